"""The command `minigrad learn`: the map of the lessons, a learner's own copies, checks, hints and solutions."""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from . import exercise, lesson, progress
from .exercise import MARKS
from .lesson import Lesson

USAGE = """\
minigrad learn                the lessons, and how far you are
minigrad learn 3              begin lesson 3, or go on with it, in your own copy
minigrad learn check [3]      check your answers
minigrad learn hint 3.2       a nudge for exercise 3.2; ask again for the next one
minigrad learn solution 3.2   the solution, after asking whether you are sure"""

LIMIT = 180  # seconds that a learner's copy may run; more is a loop that does not end


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `minigrad learn`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = USAGE
    parser.usage = "minigrad learn [LESSON | check [LESSON] | hint EXERCISE | solution EXERCISE]"
    parser.add_argument("words", nargs="*", metavar="WHAT", help="see below")
    parser.add_argument("--fresh", action="store_true", help="begin a lesson again; your copy so far is kept beside it")
    parser.add_argument("--no-open", action="store_true", help="only make the copy, do not start Jupyter")
    parser.add_argument("--yes", action="store_true", help="show a solution without asking")


def run(options: argparse.Namespace) -> int:
    """`minigrad learn`.

    Raises:
        ValueError: no such lesson, exercise or command.
    """
    match options.words:
        case []:
            return show_map()
        case ["check", *number] if len(number) < 2:
            return check(*number)
        case ["hint", number]:
            return hint(number)
        case ["solution", number]:
            return solution(number, options.yes)
        case [number] if number[:1].isdigit():
            return begin(lesson.find(number.partition(".")[0]), options.fresh, not options.no_open)
    raise ValueError(f"learn: {' '.join(options.words)!r} is not understood; it is one of\n{USAGE}")


# ---------------------------------------------------------------------------------------------------------- the map


def show_map() -> int:
    """Every lesson with the state of its exercises."""
    where = progress.folder()
    known = progress.load(where)
    rows = [(here, [known["exercises"].get(number, "todo") for number in exercise.load(here.checks)])
            for here in lesson.lessons()]
    for here, states in rows:
        marks = "".join(MARKS[state] for state in states)
        print(f"{here.number:3}  {here.title:52} {marks}  {_state(here, states, where)}")
    if gaps := sorted(set(range(1, rows[-1][0].number)) - {here.number for here, _ in rows}):
        print(f"(still to be written: {', '.join(map(str, gaps))})")
    done, total = sum(s.count("done") for _, s in rows), sum(len(s) for _, s in rows)
    print(f"\n{done} of {total} exercises done. Your copies are in {where}")
    following = next((here for here, states in rows if set(states) != {"done"}), None)
    if following is not None:
        print(f"Go on with: minigrad learn {following.number}")
    return 0


def _state(here: Lesson, states: list[str], where: Path) -> str:
    if set(states) == {"done"}:
        return "done"
    return "begun" if progress.copy_of(here, where) else f"{here.minutes} minutes"


# -------------------------------------------------------------------------------------------------------- one lesson


def begin(here: Lesson, fresh: bool, may_open: bool) -> int:
    """Make the learner's copy if there is none, and open it."""
    where, jupyter = progress.folder(), _jupyter()
    path = progress.copy_of(here, where)
    if path is None or fresh:
        path = progress.make_copy(here, where, as_notebook=jupyter is not None)
        print(f"Lesson {here.number}, {here.title}. Your copy: {path}")
    else:
        print(f"Lesson {here.number}, {here.title}. You go on in {path}")
        if progress.load(where)["copied"].get(here.path.stem) != progress.fingerprint(here):
            print("The lesson has changed since you began. Your copy stays as it is; a new one, beside it: "
                  f"minigrad learn {here.number} --fresh")
    if jupyter and path.suffix == ".ipynb" and may_open and sys.stdout.isatty():
        return subprocess.call([*jupyter, path.name], cwd=where)
    _say_how(here, path, jupyter)
    return 0


def _say_how(here: Lesson, path: Path, jupyter: list[str] | None) -> None:
    if path.suffix == ".ipynb":
        print(f"Open it with: {' '.join(jupyter or ['jupyter', 'lab'])} {path}")
    else:
        print("Open it in any editor, and fill in where it says NotImplementedError.\n"
              "(VS Code and PyCharm show its cells; for a notebook instead: pip install jupyterlab, then "
              f"minigrad learn {here.number} --fresh)")
    print(f"Then: minigrad learn check {here.number}")


def _jupyter() -> list[str] | None:
    """The command that opens a notebook, if there is one."""
    for package, command in (("jupyterlab", "lab"), ("notebook", "notebook")):
        if importlib.util.find_spec(package) is not None:
            return [sys.executable, "-m", "jupyter", command]
    return ["jupyter", "lab"] if shutil.which("jupyter-lab") else None


def check(number: str | None = None) -> int:
    """Run the learner's copies and say what the checks found."""
    where = progress.folder()
    wanted = [lesson.find(number.partition(".")[0])] if number else lesson.lessons()
    copies = [(here, path) for here in wanted if (path := progress.copy_of(here, where)) is not None]
    if not copies:
        print(f"Nothing to check yet in {where}. Begin with: minigrad learn {wanted[0].number}")
        return 1
    code = 0
    for here, path in copies:
        print(f"Lesson {here.number}, {here.title} ({path.name})")
        code |= _check_copy(path)
    return code


def _check_copy(path: Path) -> int:
    environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": _search_path()}
    command = [sys.executable, "-m", "minigrad.learn.run", path.name]
    sys.stdout.flush()
    try:
        return subprocess.run(command, cwd=path.parent, env=environment, timeout=LIMIT).returncode
    except subprocess.TimeoutExpired:
        print(f"[!] {path.name} ran for {LIMIT} seconds and was stopped; is there a loop that does not end?")
        return 1


def _search_path() -> str:
    """So that the child finds this minigrad, also in a clone that is not installed."""
    return os.pathsep.join([str(lesson.PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])


# -------------------------------------------------------------------------------------------------- hints, solutions


def hint(number: str) -> int:
    """The next nudge for an exercise; after the last one, that one again."""
    nudges, where = exercise.find(number).nudges, progress.folder()
    known = progress.load(where)
    given = min(known["hints"].get(number, 0), len(nudges) - 1)
    print(f"Hint {given + 1} of {len(nudges)} for {number}: {nudges[given]}")
    known["hints"][number] = given + 1
    progress.save(where, known)
    return 0


def solution(number: str, sure: bool) -> int:
    """The solution of an exercise, if the learner is sure."""
    text = lesson.find(number.partition(".")[0]).solution(number)
    known = progress.load(progress.folder())
    if not sure and known["exercises"].get(number) != "done":
        left = len(exercise.find(number).nudges) - known["hints"].get(number, 0)
        more = f"There {'is 1 hint' if left == 1 else f'are {left} hints'} left (minigrad learn hint {number}). "
        try:
            answer = input(f"{more if left > 0 else ''}Show the solution of {number}? [y/N] ")
        except EOFError:
            answer = ""
        if answer.strip().lower() not in ("y", "yes"):
            print("Not shown. Good luck!")
            return 0
    print(text)
    return 0
