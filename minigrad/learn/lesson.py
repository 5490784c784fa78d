"""Lessons as files: where they are, the cells they consist of, and the views made of them.

A lesson is a Python file in jupytext's percent format: `# %%` begins a cell of code, `# %% [markdown]` one of text in
comments. The cell that a learner fills in has the tag of its exercise, `# %% tags=["exercise-3.2"]`. The file of the
same name in solutions/ has a cell of the same tag, and the solved lesson is the lesson with these in its place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]


def home() -> Path:
    """The folder of the lessons: inside the installed package, or beside it in a clone.

    Raises:
        FileNotFoundError: neither is there.
    """
    for folder in (PACKAGE / "tutorials", PACKAGE.parent / "tutorials"):
        if (folder / "checks").is_dir():
            return folder
    raise FileNotFoundError(f"learn: the lessons are missing, there is no tutorials/ in {PACKAGE}; install minigrad anew")


@dataclass(frozen=True)
class Cell:
    """A cell: "code" or "markdown", its text without comment signs, the line where it begins, its tags."""

    kind: str
    text: str
    line: int = 1
    tags: tuple[str, ...] = ()

    @property
    def exercise(self) -> str | None:
        """The number of the exercise that is to be written here."""
        return next((tag.removeprefix("exercise-") for tag in self.tags if tag.startswith("exercise-")), None)


@dataclass(frozen=True)
class Lesson:
    """A lesson by its file, tutorials/NN_name.py."""

    path: Path

    @property
    def number(self) -> int:
        return int(self.path.stem[:2])

    @property
    def checks(self) -> Path:
        return self.path.parent / "checks" / self.path.name

    @property
    def solutions(self) -> Path:
        return self.path.parent / "solutions" / self.path.name

    def cells(self) -> list[Cell]:
        return parse(self.path.read_text(encoding="utf-8"))

    @property
    def title(self) -> str:
        """What its heading says after the number."""
        first = next(cell.text for cell in self.cells() if cell.kind == "markdown")
        return re.sub(r"^# *(\d+ *[:·.] *)?", "", first.splitlines()[0])

    @property
    def minutes(self) -> int:
        """How long it says it takes."""
        text = "\n".join(cell.text for cell in self.cells() if cell.kind == "markdown")
        found = re.search(r"(\d+) minutes", text)
        return int(found[1]) if found else 0

    def solution(self, number: str) -> str:
        """The solution of an exercise, as code.

        Raises:
            ValueError: there is no such exercise.
        """
        answers = solutions(self)
        if number not in answers:
            raise ValueError(f"learn: there is no solution {number!r}; lesson {self.number} has {', '.join(answers)}")
        return answers[number]


def lessons() -> list[Lesson]:
    """All lessons, in order."""
    return [Lesson(path) for path in sorted(home().glob("[0-9][0-9]_*.py"))]


def find(number: str | int) -> Lesson:
    """The lesson with a number.

    Raises:
        ValueError: there is none.
    """
    everything = {str(lesson.number): lesson for lesson in lessons()}
    key = str(number).lstrip("0")
    if key not in everything:
        raise ValueError(f"learn: there is no lesson {number!r}; there are {', '.join(everything)}")
    return everything[key]


def solutions(lesson: Lesson) -> dict[str, str]:
    """The code of every solution of a lesson, by the number of its exercise."""
    cells = parse(lesson.solutions.read_text(encoding="utf-8"))
    return {cell.exercise: cell.text for cell in cells if cell.exercise}


def solved(lesson: Lesson) -> list[Cell]:
    """The cells of a lesson with every exercise done."""
    answers = solutions(lesson)
    return [replace(cell, text=answers[cell.exercise]) if cell.exercise else cell for cell in lesson.cells()]


# ------------------------------------------------------------------------------------------------ files and cells


def parse(text: str) -> list[Cell]:
    """The cells of a file in percent format.

    >>> parse("# %% [markdown]\\n# # A lesson\\n# %% tags=[\\"exercise-1.1\\"]\\nx = ...\\n")[1]
    Cell(kind='code', text='x = ...', line=4, tags=('exercise-1.1',))
    """
    cells: list[Cell] = []
    lines: list[str] = []
    for number, line in enumerate([*text.splitlines(), "# %%"], 1):
        if not re.match(r"# %%( |$)", line):
            lines.append(line)
            continue
        if cells:  # what stands before the first cell is the header
            cells[-1] = _complete(cells[-1], lines)
        tags = re.search(r"tags=(\[.*?\])", line)
        kind = "markdown" if "[markdown]" in line else "code"
        cells.append(Cell(kind, "", number + 1, tuple(json.loads(tags[1])) if tags else ()))
        lines = []
    return cells[:-1]


def _complete(cell: Cell, lines: list[str]) -> Cell:
    if cell.kind == "markdown":
        lines = [re.sub(r"^# ?", "", line) for line in lines]
    return replace(cell, text="\n".join(lines).strip("\n"))


def read(path: Path) -> list[Cell]:
    """The cells of a learner's copy, which may be a notebook."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return parse(text)
    found = json.loads(text)["cells"]
    return [
        Cell(cell["cell_type"], "".join(cell["source"]), 1, tuple(cell.get("metadata", {}).get("tags", ())))
        for cell in found
    ]


def notebook(cells: Iterable[Cell]) -> dict[str, Any]:
    """The same cells as a Jupyter notebook, ready for `json.dump`."""
    return {
        "cells": [_notebook_cell(i, cell) for i, cell in enumerate(cells)],
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _notebook_cell(i: int, cell: Cell) -> dict[str, Any]:
    found: dict[str, Any] = {"cell_type": cell.kind, "id": f"cell-{i}", "metadata": {}, "source": cell.text}
    if cell.tags:
        found["metadata"] = {"tags": list(cell.tags)}
    if cell.kind == "code":
        found |= {"execution_count": None, "outputs": []}
    return found
