"""Running a lesson from top to bottom, cell by cell: python -m minigrad.learn.run FILE

An error in a cell is told, and the next cell is run all the same: one unfinished exercise must not hide another.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import exercise
from .lesson import Cell, read


@dataclass
class Outcome:
    """What came of running a lesson: the reports of its checks, the errors of its cells, and what was printed."""

    reports: list[exercise.Report] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    printed: str = ""


def run(cells: Iterable[Cell], path: Path, names: dict[str, Any] | None = None) -> Outcome:
    """Run the cells of a lesson, in one namespace.

    Args:
        cells: of the lesson.
        path: for tracebacks.
        names: the namespace; a new one if left out. Afterwards it holds what the lesson defined.
    """
    outcome, printed = Outcome(), io.StringIO()
    names = {} if names is None else names
    names |= {"__name__": "__main__", "__file__": str(path)}
    exercise.REPORTS.clear()
    for i, cell in enumerate(cells):
        if cell.kind != "code":
            continue
        text = re.sub(r"^(\s*)[%!].*$", r"\1pass", cell.text, flags=re.MULTILINE)  # what only a notebook understands
        try:
            with contextlib.redirect_stdout(printed):
                exec(compile("\n" * (cell.line - 1) + text, str(path), "exec"), names)
        except Exception as error:
            place = f"line {_line(error, path) or cell.line}" if path.suffix == ".py" else f"cell {i + 1}"
            outcome.errors.append(f"{path.name}, {place}: {type(error).__name__}: {error}")
    outcome.reports = list(exercise.REPORTS)
    outcome.printed = printed.getvalue()
    return outcome


def _line(error: Exception, path: Path) -> int | None:
    """The last line of this file that the error came through."""
    if isinstance(error, SyntaxError):
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return lines[-1] if lines else None


def main(name: str) -> int:
    """Run a file and print its reports and errors; 1 if an exercise is wrong or a cell failed."""
    path = Path(name)
    outcome = run(read(path), path)
    print(*outcome.reports, *(f"[!] {error}" for error in outcome.errors), sep="\n")
    return int(bool(outcome.errors) or any(report.state == "wrong" for report in outcome.reports))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
