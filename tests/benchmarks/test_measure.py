"""Measuring, with workers that are made up: what counts, what is void, and what is told."""

from __future__ import annotations

from typing import Any

import pytest

from minigrad.bench import machine, measure
from minigrad.bench.process import WorkerError

GOOD = [0.70, 0.69, 0.68, 0.67, 0.66]


class Fake:
    """A worker with made-up losses and times, which notes who was asked."""

    asked: list[str]

    def __init__(self, contender: str, behaviour: dict[str, Any]) -> None:
        self.contender, self.behaviour = contender, behaviour

    def __enter__(self) -> Fake:
        return self

    def __exit__(self, *error: Any) -> None:
        pass

    def train(self, workload: str) -> dict[str, Any]:
        if "fails" in self.behaviour:
            raise WorkerError(f"{self.contender}: {self.behaviour['fails']}")
        return {"losses": self.behaviour.get("losses", GOOD), "first": 1.0, "imported_mb": 10.0, "version": "1"}

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        if do == "end":
            return {"peak_mb": self.behaviour.get("peak", 100.0), "uses": ""}
        Fake.asked.append(self.contender)
        times = self.behaviour.get("times", [0.001])
        return {"times": times, "wall": sum(times), "processor": sum(times)}


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch):
    """Measure `xor` with made-up workers; no machine is asked how busy it is."""

    def run(behaviour: dict[str, dict[str, Any]], launches: int = 1, rounds: int = 3, busy: Any = lambda *_: 0.0) -> dict:
        Fake.asked = []
        monkeypatch.setattr(measure.Settings, "worker", lambda self, name: Fake(name, behaviour[name]))
        monkeypatch.setattr(machine.Usage, "now", classmethod(lambda cls: cls(0.0, 0.0, 0.0)))
        monkeypatch.setattr(machine.Usage, "others", busy)
        return measure.train("xor", list(behaviour), measure.Settings(2, launches, rounds, 0.1), lambda text: None)

    return run


def test_each_round_gives_the_quarter_of_its_steps(train: Any):
    row = train({"minigrad": {"times": [0.004, 0.001, 0.002, 0.003, 0.9]}, "torch": {"times": [0.008]}}, launches=2)
    assert row["void"] is None
    assert row["contenders"]["minigrad"]["ms"] == pytest.approx([2.0] * 6)
    assert row["contenders"]["torch"]["ms"] == pytest.approx([8.0] * 6)
    assert row["contenders"]["minigrad"]["steps"] == 30
    assert row["contenders"]["minigrad"]["first_s"] == [1.0, 1.0]


def test_contenders_take_turns_and_who_begins_changes(train: Any):
    train({"minigrad": {}, "torch": {}, "torch best": {}})
    assert Fake.asked == [
        *("minigrad", "torch", "torch best"), *("torch", "torch best", "minigrad"), *("torch best", "minigrad", "torch")
    ]  # fmt: skip


def test_other_losses_make_a_row_void_and_nothing_is_timed(train: Any):
    wrong = [*GOOD[:3], 0.7, 0.66]
    row = train({"minigrad": {"losses": wrong}, "torch": {}})
    assert row["void"] == "the loss of step 4 is 0.7 in minigrad and 0.67 in torch"
    assert Fake.asked == []
    assert "void: the loss of step 4" in __import__("minigrad.bench.table", fromlist=["line"]).line(row, ["torch"])


def test_an_opponent_that_fails_is_named_and_the_others_go_on(train: Any):
    row = train({"minigrad": {}, "torch": {}, "jax": {"fails": "ImportError: no jaxlib"}})
    assert row["void"] is None and row["failed"] == {"jax": "jax: ImportError: no jaxlib"}
    assert "jax" not in row["contenders"] and len(row["contenders"]["torch"]["ms"]) == 3


def test_a_row_without_minigrad_is_void(train: Any):
    assert train({"minigrad": {"fails": "out of memory"}, "torch": {}})["void"] == "minigrad: out of memory"


def test_the_largest_peak_counts(train: Any):
    row = train({"minigrad": {"peak": 77.0}, "torch": {}}, launches=2)
    assert row["contenders"]["minigrad"]["peak_mb"] == 77.0


def test_a_disturbed_turn_is_repeated_and_the_less_disturbed_one_counts(train: Any):
    busy = iter([0.9, 0.1, 0.5, 0.6, 0.0, *[0.0] * 20])
    row = train({"minigrad": {}, "torch": {}}, busy=lambda *_: next(busy))
    assert Fake.asked[:5] == ["minigrad", "minigrad", "torch", "torch", "torch"]
    assert row["contenders"]["minigrad"]["others"] == [0.1, 0.0, 0.0]
    assert row["contenders"]["torch"]["others"] == [0.5, 0.0, 0.0]
    assert measure.disturbed(row) == [0.5]


def test_patience_with_disturbances_ends(train: Any):
    row = train({"minigrad": {}, "torch": {}}, busy=lambda *_: 1.0)
    assert len(Fake.asked) == 6 + 3, "as many turns are repeated as there are rounds"
    assert len(measure.disturbed(row)) == 6


@pytest.mark.parametrize(
    ("before", "after", "ours", "expected"),
    [
        ((0, 100.0, 0.0), (2.0, 103.0, 0.0), 2.9, 0.05),  # we worked
        ((0, 100.0, 0.0), (2.0, 103.0, 0.0), 1.0, 1.0),  # so did others
        ((0, 100.0, 5.0), (2.0, 101.0, 6.0), 1.0, 0.5),  # the host took a core away for a second
        ((0, 100.0, 0.0), (2.0, 101.0, 0.0), 1.5, 0.0),  # clocks are coarse
    ],
)
def test_what_others_used(before: tuple, after: tuple, ours: float, expected: float):
    assert machine.Usage(*before).others(machine.Usage(*after), ours) == pytest.approx(expected)
