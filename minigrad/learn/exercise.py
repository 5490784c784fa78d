"""Exercises: what an answer should give, and the mistakes that are known.

    slope = Exercise("1.1", "slope", cases=[(0.3,), (-1.7,)], nudges=["Which of x and y is squared?"])

    @slope.right
    def right(x):                       # the reference; better yet, something independent, such as finite differences
        return 1 - math.tanh(x) ** 2

    @slope.wrong("You squared the input of tanh. It is the output that is squared.")
    def input_squared(x):
        return 1 - x * x

A known wrong answer is code. If a learner's results are its results, its hint is what the learner made: the checker
compares numbers and never reads anybody's source.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from . import lesson, progress
from .compare import Raised, difference, plain, show

MARKS = {"todo": "[ ]", "wrong": "[x]", "done": "[v]"}


@dataclass(frozen=True)
class Report:
    """What a check found: the state is "todo", "wrong" or "done"; the hint that of the known mistake it matches."""

    number: str
    name: str
    state: str
    text: str
    hint: str | None = None

    def __str__(self) -> str:
        line = f"{MARKS[self.state]} {self.number} {self.name}{self.text}"
        return line if self.state != "wrong" else f"{line}\n    hint: {self.hint or self._no_hint()}"

    def _no_hint(self) -> str:
        return f"this is none of the mistakes we know. A nudge: minigrad learn hint {self.number}"


@dataclass(frozen=True)
class Wrong:
    """A known wrong answer: the code that makes the mistake, and what to say to whoever made it."""

    code: Any
    hint: str

    @property
    def name(self) -> str:
        return getattr(self.code, "__name__", "value")


@dataclass
class Exercise:
    """One exercise of a lesson.

    Args:
        number: of the lesson and of the exercise, "3.2".
        name: of the function that the learner writes.
        cases: the arguments of each call, in tuples. Odd sizes, odd values: a mistake must not hide in a 0 or a 1.
        nudges: what `minigrad learn hint` says, one more each time, from a push to nearly the answer.
        rtol, atol: how close two numbers must be, see `compare.difference`.
        secret: do not show what was expected, since that is the answer.
    """

    number: str
    name: str
    cases: Sequence[tuple] = ((),)
    nudges: Sequence[str] = ()
    rtol: float = 1e-5
    atol: float = 1e-8
    secret: bool = False
    reference: Any = None
    observed: Callable = lambda answer, *case: answer(*case) if callable(answer) else answer
    known: list[Wrong] = field(default_factory=list)

    def right(self, function: Any) -> Any:
        """Decorator: the reference answer."""
        self.reference = function
        return function

    def observe(self, function: Callable) -> Callable:
        """Decorator: how to try an answer, if it is not simply called: a function (answer, *case) -> what to compare."""
        self.observed = function
        return function

    def wrong(self, hint: str) -> Callable:
        """Decorator: a known wrong answer, with its hint."""

        def keep(code: Any) -> Any:
            self.known.append(Wrong(code, hint))
            return code

        return keep

    def judge(self, answer: Any) -> Report:
        """Try an answer on every case, and find the mistake that it matches, if there is one."""
        got = self._results(answer)
        if any(_unwritten(result) for result in got):
            return Report(self.number, self.name, "todo", ": not written yet")
        want = self._results(self.reference)
        if missing := next((w for w in want if isinstance(w, Raised) and issubclass(w.type, ImportError)), None):
            return Report(self.number, self.name, "todo", f": cannot be checked on this machine, {missing.text}")
        wrong_at = self._differ(got, want)
        if not wrong_at:
            return Report(self.number, self.name, "done", f": right{_in_all(len(want))}")
        k = wrong_at[0]
        text = f"{show(plain(got[k]))} is not it" if self.secret else difference(got[k], want[k], self.rtol, self.atol)
        return Report(self.number, self.name, "wrong", f"{self._call(k)}: {text}", self._hint(got, k))

    def _results(self, answer: Any) -> list[Any]:
        return [_try(self.observed, answer, case) for case in self.cases]

    def _differ(self, got: list[Any], want: list[Any]) -> list[int]:
        """The cases in which two answers differ."""
        return [k for k, (g, w) in enumerate(zip(got, want)) if difference(g, w, self.rtol, self.atol)]

    def _hint(self, got: list[Any], k: int) -> str | None:
        """The hint of the mistake that gives the same in all cases; else of one that gives the same in case k."""
        with contextlib.redirect_stdout(io.StringIO()):
            known = [(wrong.hint, self._differ(got, self._results(wrong.code))) for wrong in self.known]
        whole = [hint for hint, differ in known if not differ]
        part = [hint for hint, differ in known if k not in differ]
        return next(iter(whole + part), None)

    def _call(self, k: int) -> str:
        arguments = ", ".join(_short(value) for value in self.cases[k])
        if len(arguments) <= 72:
            return f"({arguments})" if self.cases[k] else ""
        return f", case {k + 1} of {len(self.cases)}"


def _try(observe: Callable, answer: Any, case: tuple) -> Any:
    """What an answer gives for a case; its own copy of it, for it may change what it gets."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return observe(answer, *copy.deepcopy(case))
    except Exception as error:
        return Raised(error)


def _unwritten(result: Any) -> bool:
    if isinstance(result, Raised):
        return result.type is NotImplementedError
    if isinstance(result, dict):
        return any(_unwritten(part) for part in result.values())
    return result is ... or (isinstance(result, (list, tuple)) and any(_unwritten(part) for part in result))


def _short(value: Any) -> str:
    value = plain(value)
    return repr(value.tolist()) if isinstance(value, np.ndarray) else repr(value)


def _in_all(cases: int) -> str:
    return f" in all {cases} cases" if cases > 1 else ""


# ---------------------------------------------------------------------------------------------- what lessons call


@lru_cache
def load(path: Path) -> dict[str, Exercise]:
    """The exercises that a file of tutorials/checks declares, by number.

    Raises:
        ValueError: two exercises have one number.
    """
    spec = importlib.util.spec_from_file_location(f"minigrad_checks_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = [value for value in vars(module).values() if isinstance(value, Exercise)]
    exercises = {exercise.number: exercise for exercise in sorted(found, key=lambda e: e.number)}
    if len(exercises) < len(found):
        raise ValueError(f"{path.name}: two exercises have one number, of {[e.number for e in found]}")
    return exercises


def find(number: str) -> Exercise:
    """The exercise with a number such as "3.2".

    Raises:
        ValueError: there is none.
    """
    here = lesson.find(number.partition(".")[0])
    exercises = load(here.checks)
    if number not in exercises:
        raise ValueError(f"learn: there is no exercise {number!r}; lesson {here.number} has {', '.join(exercises)}")
    return exercises[number]


REPORTS: list[Report] = []  # of this process, for whoever runs a lesson; see run.py


def check(number: str, answer: Any) -> None:
    """Check an answer and print what was found. An answer that fails raises nothing: the lesson goes on.

    Args:
        number: of the exercise, "3.2".
        answer: the function, class or value that the exercise asks for.
    """
    report = find(number).judge(answer)
    REPORTS.append(report)
    progress.record(number, report.state)
    print(report)
