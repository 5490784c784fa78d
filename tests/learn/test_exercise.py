"""How answers are judged: what is unwritten, wrong or done, and which hint an answer gets."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minigrad as mg
from minigrad.learn import Exercise, check, exercise
from minigrad.learn.compare import Raised, difference


@pytest.fixture
def norm() -> Exercise:
    made = Exercise("9.1", "norm", cases=[(np.array([0.3, -1.7, 2.2]),), (np.array([-0.4, 5.1]),)], nudges=["squares"])
    made.right(lambda x: math.hypot(*x))
    made.wrong("no root")(lambda x: float((x * x).sum()))
    made.wrong("no minus")(lambda x: float(abs(x).sum()))
    return made


def unwritten(x):
    raise NotImplementedError("exercise 9.1")


def test_unwritten(norm: Exercise):
    for answer in (unwritten, lambda x: ..., lambda x: {"a": 1.0, "b": ...}, lambda x: [1.0, ...]):
        assert str(norm.judge(answer)) == "[ ] 9.1 norm: not written yet"


def test_done(norm: Exercise):
    assert str(norm.judge(lambda x: mg.tensor(x).norm())) == "[v] 9.1 norm: right in all 2 cases"


def test_wrong_shows_what_was_expected_and_what_came(norm: Exercise):
    report = str(norm.judge(lambda x: float((x * x).sum())))
    assert report == "[x] 9.1 norm([0.3, -1.7, 2.2]): expected 2.79643, got 7.82\n    hint: no root"


def test_unknown_mistake_points_to_the_nudges(norm: Exercise):
    report = norm.judge(lambda x: 1.25)
    assert report.state == "wrong" and report.hint is None
    assert "minigrad learn hint 9.1" in str(report)


def test_mistake_in_the_first_case_only_gets_its_hint_too(norm: Exercise):
    answer = lambda x: float((x * x).sum()) if len(x) == 3 else -1.0
    assert norm.judge(answer).hint == "no root"


def test_error_is_told_not_raised(norm: Exercise):
    assert "got an error, ZeroDivisionError: division by zero" in str(norm.judge(lambda x: 1 / 0))


def test_error_can_be_a_known_mistake(norm: Exercise):
    norm.wrong("an array has no such method")(lambda x: x.nrom())
    assert norm.judge(lambda x: x.nomr()).hint == "an array has no such method"


def test_answer_may_destroy_what_it_gets(norm: Exercise):
    def destroys(x):
        result = math.hypot(*x)
        x[:] = 0
        return result

    assert norm.judge(destroys).state == "done"
    assert norm.judge(destroys).state == "done"


def test_a_class_is_tried_by_an_observer():
    counter = Exercise("9.2", "Counter", cases=[(3,)])
    counter.right(list)
    counter.wrong("a set has no order")(set)

    @counter.observe
    def _(answer, n):
        return list(answer(["c", "a", "b"]))[:n]

    assert counter.judge(tuple).state == "done"


def test_value_instead_of_function():
    table = Exercise("9.3", "table")
    table.right({"rows": 3, "columns": 5})
    table.known.append(exercise.Wrong({"rows": 5, "columns": 3}, "turned around"))
    assert str(table.judge({"rows": 3, "columns": ...})) == "[ ] 9.3 table: not written yet"
    assert str(table.judge({"rows": 5, "columns": 3})) == "[x] 9.3 table: rows: expected 3, got 5\n    hint: turned around"
    assert str(table.judge({"rows": 3, "columns": 5})) == "[v] 9.3 table: right"


@pytest.mark.parametrize(
    "got, want, said",
    [
        ([1.0, 2.0], [1.0, 2.0], None),
        (np.float32(0.1), 0.1, None),
        (mg.tensor([0.5, -2.0]), [0.5, -2.0], None),
        (math.nan, math.nan, None),
        ("yes", "yes", None),
        (1.5, 1.25, "expected 1.25, got 1.5"),
        ([[1.0, 2.0]], [1.0, 2.0], "expected shape (2,), got shape (1, 2)"),
        (3.0, [3.0, 4.0], "expected shape (2,), got a number, 3"),
        (None, 2.0, "expected 2, got None"),
        (True, 1.0, "expected 1, got True"),
        ((1.0, [2.0, 3.0]), (1.0, [2.0, 4.0]), "number 2: expected [2, 4], got [2, 3]"),
        ({"a": 1}, {"b": 1}, "expected the keys ['b'], got ['a']"),
        ({"w": [0.0]}, {"w": [1.0]}, "w: expected [1], got [0]"),
        (Raised(ValueError("x")), Raised(ValueError("y")), None),
        (Raised(ValueError("too  long")), 3.0, "expected 3, got an error, ValueError: too long"),
        (np.arange(8.0), np.arange(8.0) + (np.arange(8) > 5), "2 of 8 elements differ, the first at [6]: expected 7, got 6"),
    ],
)
def test_difference(got, want, said):
    assert difference(got, want) == said


def test_check_prints_and_raises_nothing(capsys: pytest.CaptureFixture):
    def wrong(a):
        raise RuntimeError("no idea")

    check("1.1", wrong)
    assert capsys.readouterr().out.startswith("[x] 1.1 tanh(0.3): expected")


@pytest.mark.parametrize("number, said", [("1.9", "no exercise '1.9'; lesson 1 has 1.1, "), ("77.1", "no lesson '77'; there are 1")])
def test_no_such_exercise(number: str, said: str):
    with pytest.raises(ValueError, match=said):
        exercise.find(number)


def test_two_exercises_of_one_number(tmp_path):
    file = tmp_path / "01_x.py"
    file.write_text("from minigrad.learn import Exercise\na, b = Exercise('1.1', 'a'), Exercise('1.1', 'b')\n")
    with pytest.raises(ValueError, match="two exercises have one number"):
        exercise.load(file)


def test_secret_shows_only_what_came():
    riddle = Exercise("9.4", "riddle", secret=True)
    riddle.right("sphinx")
    riddle.known.append(exercise.Wrong("human", "that is the answer to another one"))
    assert str(riddle.judge("human")) == "[x] 9.4 riddle: 'human' is not it\n    hint: that is the answer to another one"
    assert "sphinx" not in str(riddle.judge("horse"))
    assert riddle.judge("sphinx").state == "done"


def test_what_this_machine_cannot_check_is_no_mistake():
    kernel = Exercise("9.5", "kernel", cases=[(2,)])

    @kernel.right
    def right(n):
        raise ModuleNotFoundError("kernels: needs a compiler: pip install 'minigrad[sim]'")

    kernel.wrong("too fast")(right)
    report = kernel.judge(lambda n: n)
    assert (report.state, report.hint) == ("todo", None)
    assert str(report).endswith("cannot be checked on this machine, kernels: needs a compiler: pip install 'minigrad[sim]'")
