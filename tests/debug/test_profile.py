"""The profiler: what it counts, what it keeps apart, and that it leaves nothing behind."""

from __future__ import annotations

import json
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad.autograd import watchers
from minigrad.composite import COMPOSITIONS
from minigrad.debug import profile
from minigrad.debug.profile_table import Event
from minigrad.fast import use_fast_paths
from minigrad.op import REGISTRY
from minigrad.utils.checkpoint import checkpoint

F = mg.nn.functional


def tensor(*shape: int, grad: bool = True) -> mg.Tensor:
    return mg.tensor(np.random.default_rng(sum(shape)).standard_normal(shape), dtype=mg.float32, requires_grad=grad)


def seen(prof: profile, phase: str) -> list[str]:
    return [event.name for event in prof.events if event.phase == phase and not event.name.startswith("(")]


def nothing_is_counted_twice(prof: profile) -> None:
    spans = sorted((event.start, event.start + event.seconds) for event in prof.events)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans)), "one was counted inside another"


def test_every_operation_is_seen_once_in_each_direction():
    x, w = tensor(3, 5), tensor(5, 2)
    with profile() as prof:
        y = (x @ w).tanh() * 2.0
        y.backward(mg.ones(3, 2))
    assert seen(prof, "forward") == ["matmul", "tanh", "mul"]
    rows = {(row["name"], row["phase"]): row["calls"] for row in prof.rows() if not row["name"].startswith("(")}
    assert rows == {(name, phase): 1 for name in ("matmul", "tanh", "mul") for phase in ("forward", "backward")}
    assert seen(prof, "backward") == ["mul", "tanh", "matmul", "matmul"]  # two rules, one call


def test_gradients_are_what_they_are_without_it():
    x = tensor(4, 3)
    (x.exp() * x).sum().backward()
    plain, x.grad = x.grad, None
    with profile(record_shapes=True, profile_memory=True):
        (x.exp() * x).sum().backward()
    assert mg.equal(x.grad, plain)


def test_shapes_and_sizes_are_those_of_the_arrays():
    x, w = tensor(3, 5), tensor(7, 5)
    with profile(record_shapes=True) as prof:
        y = x @ w.t()
        y.backward(tensor(3, 7, grad=False))
    forward = [(e.name, e.shapes, e.bytes) for e in prof.events if e.phase == "forward"]
    assert forward == [("transpose", ((7, 5),), 0), ("matmul", ((3, 5), (5, 7)), 3 * 7 * 4)]  # a view takes no memory
    backward = [(e.name, e.shapes, e.bytes) for e in prof.events if e.name == "matmul" and e.phase == "backward"]
    assert backward == [("matmul", ((3, 7),), 3 * 5 * 4), ("matmul", ((3, 7),), 5 * 7 * 4)]


def test_shapes_tell_rows_apart():
    with profile(record_shapes=True) as prof:
        for n in (2, 3, 2):
            tensor(n, grad=False).exp()
    assert {(row["shapes"], row["calls"]) for row in prof.rows(group_by_shape=True)} == {(((2,),), 2), (((3,),), 1)}
    assert [row["calls"] for row in prof.rows()] == [3]
    with pytest.raises(ValueError, match="record them"), profile() as other:
        other.rows(group_by_shape=True)


@pytest.mark.parametrize("fast", [True, False])
def test_it_sees_the_same_with_fast_paths_on_and_off(fast: bool):
    x = tensor(4, 6)
    with use_fast_paths(fast), profile() as prof:
        F.softmax(x, dim=-1).sum()
    assert seen(prof, "forward")[-1] == "sum"
    assert any("softmax" in name for name in seen(prof, "forward"))


def test_a_composition_is_one_operation_where_it_has_a_fused_pass_and_many_where_not():
    x, w = tensor(4, 6), tensor(6)
    with profile() as fused:
        F.layer_norm(x, (6,), w).backward(tensor(4, 6, grad=False))
    with use_fast_paths(False), profile() as formula:
        F.layer_norm(x, (6,), w).backward(tensor(4, 6, grad=False))
    assert seen(fused, "forward").count("layer_norm") == 1
    assert "layer_norm" in seen(fused, "backward")
    assert "layer_norm" not in seen(formula, "forward")
    assert len(seen(formula, "forward")) > 3


def test_times_fit_into_each_other():
    """What the operations took together is no more than the block took, and none took less than nothing."""
    x = tensor(50, 50)
    with profile() as prof:
        for _ in range(3):
            (x @ x).tanh().sum().backward()
    assert all(event.seconds > 0 for event in prof.events)
    assert sum(event.seconds for event in prof.events) <= prof.seconds
    nothing_is_counted_twice(prof)


def test_rules_that_are_recorded_are_not_counted_twice():
    x = tensor(4)
    with profile() as prof:
        y = (x**3).sum()
        (g,) = mg.autograd.grad(y, x, create_graph=True)
        g.sum().backward()
    nothing_is_counted_twice(prof)
    assert seen(prof, "forward") == ["pow", "sum", "sum"]


def test_a_checkpoint_is_one_operation_backward():
    x = tensor(4, 3)
    with profile() as prof:
        checkpoint(lambda x: x.exp().tanh(), x, use_reentrant=False).sum().backward()
    nothing_is_counted_twice(prof)
    assert seen(prof, "backward") == ["sum", "checkpoint"]


def test_backward_of_what_was_computed_before_is_seen():
    y = tensor(3).exp().sum()
    with profile() as prof:
        y.backward()
    assert seen(prof, "forward") == [] and seen(prof, "backward") == ["sum", "exp"]


def test_the_step_of_an_optimizer_is_seen():
    model = mg.nn.Linear(3, 2)
    optimizer = mg.optim.Adam(model.parameters())
    model(tensor(4, 3)).sum().backward()
    with profile() as prof:
        optimizer.step()
    assert [(e.phase, e.name) for e in prof.events] == [("optimizer", "Adam")]


def test_memory_is_what_tracemalloc_sees():
    x = tensor(1000, 250, grad=False)  # a million bytes
    with profile(profile_memory=True) as prof:
        x.sin()  # which has no kernel to be loaded
        x.t()
    sin, t = prof.events
    assert 1_000_000 <= sin.allocated < 1_010_000 and sin.peak >= sin.allocated
    assert t.allocated < 10_000 and t.peak < 100_000, "its own peak, not that of what came before"
    assert prof.peak == sin.peak


def test_it_is_of_its_thread():
    with profile() as prof:
        other = threading.Thread(target=lambda: tensor(3).exp().sum().backward())
        other.start()
        other.join()
    assert prof.events == []


def test_two_at_a_time_see_the_same_and_one_may_go_on():
    x = tensor(3, grad=False)
    with profile() as outer:
        x.exp()
        with profile() as inner:
            x.tanh()
        x.sin()
    with inner:
        x.cos()
    assert seen(outer, "forward") == ["exp", "tanh", "sin"]
    assert seen(inner, "forward") == ["tanh", "cos"]
    with outer, pytest.raises(RuntimeError, match="is on already"), outer:
        pass


def test_nothing_stays_behind_even_after_an_error():
    before = {name: (dict(op.fast), op.least) for name, op in REGISTRY.items()}
    assert not any("watch" in fast for fast, _ in before.values()), "something did stay behind"
    assert mg.add.op.least > 0, "something did stay behind"
    pairs = {name: dict(composition.pairs) for name, composition in COMPOSITIONS.items()}
    with pytest.raises(RuntimeError, match="matmul"), profile() as prof:
        with pytest.raises(RuntimeError, match="broadcast"):
            tensor(3) + tensor(4)
        tensor(3).exp()
        tensor(2, 3) @ tensor(2, 3)
    assert seen(prof, "forward") == ["exp"], "what failed is not counted, what comes after it is"
    assert {name: (dict(op.fast), op.least) for name, op in REGISTRY.items()} == before
    assert {name: dict(composition.pairs) for name, composition in COMPOSITIONS.items()} == pairs
    assert watchers.get() == ()


# ------------------------------------------------------------------------------------------------ tables and traces


def made(**calls: tuple[int, float, int]) -> profile:
    """A profile with made-up events: name -> (calls, seconds of each, bytes of each)."""
    prof = profile()
    prof.events = [
        Event(name, "forward", 0.0, seconds, bytes=size) for name, (n, seconds, size) in calls.items() for _ in range(n)
    ]
    prof.seconds = 10.0
    return prof


@pytest.mark.parametrize(
    ("key", "order"), [("time", "cab"), ("mean", "acb"), ("calls", "bca"), ("memory", "bac"), ("name", "abc")]
)
def test_the_table_is_sorted_as_asked(key: str, order: str):
    prof = made(a=(1, 2.0, 10), b=(5, 0.25, 30), c=(4, 1.0, 1))
    assert "".join(line[0] for line in prof.table(sort_by=key).splitlines()[1:4]) == order


def test_the_table_adds_up():
    prof = made(a=(1, 2.0, 1_000_000), b=(5, 0.2, 0), c=(4, 0.5, 0))
    lines = prof.table(row_limit=1).splitlines()
    assert lines[1].split() == ["a", "forward", "1", "2000.0", "20.0%", "2000000.0", "1.00"]
    assert lines[2].split() == ["2", "more", "9", "3000.0", "30.0%", "0.00"]
    assert lines[3].split() == ["inside", "operations", "10", "5000.0", "50.0%", "1.00"]
    assert lines[4].split() == ["elsewhere", "5000.0", "50.0%"]
    with pytest.raises(ValueError, match="one of time, mean, calls, memory, name, got 'cost'"):
        prof.table(sort_by="cost")


def test_an_empty_profile_prints():
    with profile() as prof:
        pass
    assert "inside operations" in str(prof)


def test_the_trace_is_what_chrome_reads(tmp_path: Path):
    x = tensor(3, 4)
    with profile(record_shapes=True) as prof:
        (x * x).sum().backward()
    prof.export_chrome_trace(tmp_path / "trace.json")
    assert [path.name for path in tmp_path.iterdir()] == ["trace.json"]
    trace = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    spans = [event for event in trace if event["ph"] == "X"]
    assert [span["name"] for span in spans] == [event.name for event in prof.events]
    assert min(span["ts"] for span in spans) == 0
    for span, event in zip(spans, prof.events):
        assert span["dur"] == pytest.approx(1e6 * event.seconds)
        assert span["cat"] == event.phase
    assert spans[0]["args"] == {"result bytes": 48, "shapes": "(3, 4), (3, 4)"}
    lanes = {event["tid"]: event["args"]["name"] for event in trace if event["ph"] == "M"}
    assert {lanes[span["tid"]] for span in spans} == {"forward", "backward"}


def test_a_trace_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "trace.json"
    path.write_text("old")
    prof = made(a=(1, 1.0, 1))
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        prof.export_chrome_trace(path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
