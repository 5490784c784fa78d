"""Lessons as files: the cells are those that jupytext sees, and a notebook has the same."""

from __future__ import annotations

import json
from pathlib import Path

import jupytext
import pytest

from minigrad.learn import lesson
from minigrad.learn.run import run

TEXT = """\
# ---
# jupyter: {}
# ---

# %% [markdown]
# # 7 · A title
#
# Takes 12 minutes.

# %% tags=["exercise-7.1", "hide-input"]
def f(x):

    return x  # %% is no cell here

# %%
# a comment
f(2)
"""


@pytest.mark.parametrize("here", lesson.lessons(), ids=lambda here: here.path.stem)
def test_cells_are_those_of_jupytext(here: lesson.Lesson):
    for path in (here.path, here.solutions):
        text = path.read_text()
        theirs = [c for c in jupytext.reads(text, fmt="py:percent").cells if c.cell_type != "raw"]
        ours = lesson.parse(text)
        theirs = theirs[len(theirs) - len(ours) :]  # a docstring before the first cell is a cell of its own there
        for mine, other in zip(ours, theirs):
            tags = tuple(other.metadata.get("tags", ()))
            assert (mine.kind, mine.text, mine.tags) == (other.cell_type, other.source, tags)


def test_parse():
    cells = lesson.parse(TEXT)
    assert [cell.kind for cell in cells] == ["markdown", "code", "code"]
    assert cells[0].text == "# 7 · A title\n\nTakes 12 minutes."
    assert cells[1].exercise == "7.1" and cells[1].tags == ("exercise-7.1", "hide-input")
    assert TEXT.splitlines()[cells[1].line - 1] == "def f(x):"
    assert cells[2].exercise is None


def test_title_and_minutes(tmp_path: Path):
    path = tmp_path / "07_a_title.py"
    path.write_text(TEXT)
    here = lesson.Lesson(path)
    assert (here.number, here.title, here.minutes) == (7, "A title", 12)


def test_notebook_has_the_same_cells(tmp_path: Path):
    path = tmp_path / "07_a_title.ipynb"
    path.write_text(json.dumps(lesson.notebook(lesson.parse(TEXT))))
    same = [(cell.kind, cell.text, cell.tags) for cell in lesson.parse(TEXT)]
    assert [(cell.kind, cell.text, cell.tags) for cell in lesson.read(path)] == same
    theirs = jupytext.read(path)
    assert [(cell.cell_type, cell.source) for cell in theirs.cells] == [(kind, text) for kind, text, _ in same]


def test_run_goes_on_after_an_error_and_says_where():
    cells = lesson.parse("# %%\nx = 2\n\n# %%\ny = 1\nz = x / 0\n\n# %%\n%matplotlib inline\nprint(x)\n\n# %%\nif x\n    pass\n")
    names: dict = {}
    outcome = run(cells, Path("07_a.py"), names)
    assert outcome.printed == "2\n" and names["y"] == 1
    assert outcome.errors[0] == "07_a.py, line 6: ZeroDivisionError: division by zero"
    assert outcome.errors[1].startswith("07_a.py, line 13: SyntaxError")


@pytest.mark.parametrize("number", ["1", "01", 1])
def test_find(number):
    assert lesson.find(number).number == 1


def test_no_such_solution():
    with pytest.raises(ValueError, match="no solution '1.9'; lesson 1 has 1.1, "):
        lesson.find(1).solution("1.9")
