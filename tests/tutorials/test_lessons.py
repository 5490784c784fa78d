"""Every lesson, three ways: as a learner finds it, solved, and with every mistake in its hint bank."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from minigrad.learn import exercise, lesson
from minigrad.learn.exercise import Exercise, Wrong
from minigrad.learn.lesson import Lesson

ROOT = Path(__file__).parents[2]
LESSONS = lesson.lessons()
BLOCKS = ["The picture first", "The idea", "Build it", "Break it", "On real data", "Exercises", "In PyTorch and in minigrad"]
SECONDS = 60  # of one thread, for a whole lesson

each_lesson = pytest.mark.parametrize("here", LESSONS, ids=lambda here: here.path.stem)


def view(kind: str, here: Lesson) -> dict[str, Any]:
    """What comes of running a lesson as "student" or "solved", in a process of its own."""
    command = [sys.executable, "-m", "tests.tutorials.view", kind, str(here.number)]
    environment = {**os.environ, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


@each_lesson
def test_student_view(here: Lesson):
    """Top to bottom with nothing written: no exception, every exercise unwritten, every number in the text computed."""
    found = view("student", here)
    assert found["errors"] == []
    assert [(r["number"], r["state"]) for r in found["reports"]] == [(n, "todo") for n in exercise.load(here.checks)]
    assert found["seconds"] < SECONDS
    assert numbers_from_nowhere(here, found["printed"]) == []


@each_lesson
def test_solved_view(here: Lesson):
    found = view("solved", here)
    assert found["errors"] == []
    assert [(r["number"], r["state"]) for r in found["reports"]] == [(n, "done") for n in exercise.load(here.checks)]
    assert found["seconds"] < SECONDS


KNOWN = [(e, w) for here in LESSONS for e in exercise.load(here.checks).values() for w in e.known]


@pytest.mark.parametrize("e, wrong", KNOWN, ids=[f"{e.number}-{w.name}" for e, w in KNOWN])
def test_every_known_mistake_gets_its_own_hint(e: Exercise, wrong: Wrong):
    report = e.judge(wrong.code)
    assert (report.state, report.hint) == ("wrong", wrong.hint), str(report)


# ------------------------------------------------------------------------------------------------- what a lesson has


@each_lesson
def test_anatomy(here: Lesson):
    """The eight blocks, in their order; a stub, a check, a solution, nudges and known mistakes for every exercise."""
    cells = here.cells()
    text = "\n".join(cell.text for cell in cells if cell.kind == "markdown")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == BLOCKS
    assert re.match(rf"# {here.number} · \S", text)
    assert here.minutes
    for promise in ("**You will build**", "**Time**", "**You will have**", "**You need**"):
        assert promise in text
    exercises = exercise.load(here.checks)
    stubs = [cell.exercise for cell in cells if cell.exercise]
    assert 3 <= len(exercises) <= 5 and stubs == list(exercises) == list(lesson.solutions(here))
    assert re.findall(r"^### (\d+\.\d+) ", text, re.MULTILINE) == stubs
    assert all(e.known and e.nudges and e.number.startswith(f"{here.number}.") for e in exercises.values())
    hints = [wrong.hint for e in exercises.values() for wrong in e.known]
    assert len(hints) >= 8 and len(set(hints)) == len(hints)


@each_lesson
def test_nothing_leaks_the_answer(here: Lesson):
    """No line that a solution adds stands in the lesson, or in a hint that comes unasked."""
    stubs = {cell.exercise: cell.text for cell in here.cells() if cell.exercise}
    hints = [wrong.hint for e in exercise.load(here.checks).values() for wrong in e.known]
    told = "\n".join([cell.text for cell in here.cells()] + hints)
    for number, text in lesson.solutions(here).items():
        lines = {line.partition("  #")[0].strip() for line in text.splitlines()}
        leaked = [line for line in lines if len(line) > 24 and line not in stubs[number] and line in told]
        assert leaked == [], f"exercise {number}"


def numbers_from_nowhere(here: Lesson, printed: str) -> list[str]:
    """Numbers in the text, with a decimal point or of three digits and more, that neither code nor output has."""
    cells = here.cells()
    text = "\n".join(re.sub(r"^#+ .*$", "", c.text, flags=re.MULTILINE) for c in cells if c.kind == "markdown")
    text = re.sub(r"\]\([^)]*\)", "]", text)  # the addresses of links
    computed = "\n".join([c.text for c in cells if c.kind == "code"] + [printed])
    have = {float(n) for n in re.findall(r"\d+(?:\.\d+)?", computed.replace(",", "").replace("_", ""))}
    exercises = exercise.load(here.checks)
    claims = re.findall(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?![\w.]*\d)", text)
    claims = [n for n in claims if "." in n or len(n.replace(",", "")) > 2]
    claims = [n for n in claims if n not in exercises and not re.fullmatch(r"1[89]\d\d|20\d\d", n)]
    return [n for n in claims if float(n.replace(",", "")) not in have]


# Formulas that are wrong in print, by their number in our list, and the lesson that has to show it: by a cell that runs and
# asserts. E14 and E18 to E27 belong to lessons that are still to come.
WILD = {1: [2, 3, 4, 5, 6, 7, 9, 12], 2: [11], 3: [1, 10, 13], 4: [8], 10: [15, 16, 17]}


@each_lesson
def test_wrong_formulas_of_the_wild_are_shown_to_fail(here: Lesson):
    found = set()
    for cell in here.cells():
        numbers = re.findall(r"^# E(\d+):", cell.text, re.MULTILINE) if cell.kind == "code" else []
        assert not numbers or re.search(r"^\s*(assert|raise AssertionError)\b", cell.text, re.MULTILINE), cell.text
        found |= {int(number) for number in numbers}
    assert set(WILD.get(here.number, [])) <= found


def test_there_is_enough_to_do():
    """What the first six lessons promise; more is welcome, less is not."""
    exercises = [e for here in LESSONS for e in exercise.load(here.checks).values()]
    assert len(LESSONS) >= 6 and len(exercises) >= 20 and sum(len(e.known) for e in exercises) >= 45
