"""The workloads: the same in both libraries, and such that a library that does not learn would be caught."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest
import torch

import minigrad as mg
from minigrad.bench.statistic import disagreement
from minigrad.bench.worker import FIRST
from minigrad.bench.workloads import WORKLOADS

SMALL = ["xor", "mlp_128", "mlp_512_sgd", "lenet", "lstm_16", "adam_1m"]


def losses(name: str, library, best: bool = False) -> list[float]:
    step = WORKLOADS[name].make(library, best)
    return [step() for _ in range(FIRST)]


@pytest.mark.parametrize("name", SMALL)
def test_both_libraries_compute_the_same_and_so_does_torch_at_its_best(name: str):
    found = {"torch": losses(name, torch), "torch best": losses(name, torch, best=True), "minigrad": losses(name, mg)}
    assert disagreement(found, WORKLOADS[name].tolerance) is None


@pytest.mark.parametrize("name", SMALL)
def test_who_does_not_learn_or_learns_differently_is_caught(name: str, monkeypatch: pytest.MonkeyPatch):
    expected = losses(name, torch)
    kind = torch.optim.SGD if name.endswith("sgd") else torch.optim.Adam
    step = kind.step
    with monkeypatch.context() as patch:
        patch.setattr(kind, "step", lambda self: None)
        assert disagreement({"torch": expected, "idle": losses(name, torch)}, WORKLOADS[name].tolerance)

    def slower(self) -> None:
        for group in self.param_groups:
            group["lr"] *= 0.9
        step(self)

    monkeypatch.setattr(kind, "step", slower)
    assert disagreement({"torch": expected, "slower": losses(name, torch)}, WORKLOADS[name].tolerance)


@pytest.mark.parametrize("name", ["autograd", "mygrad", "jax"])
@pytest.mark.parametrize("workload", ["xor", "mlp_128"])
def test_other_libraries_compute_the_same(name: str, workload: str):
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed: pip install 'minigrad[bench]'")
    text = f"from minigrad.bench.peers import make; step = make({name!r}, {workload!r}); print(*[step() for _ in range({FIRST})])"
    command = [sys.executable, "-W", "ignore", "-c", text]  # a process of its own: once JAX is there, each fork warns
    theirs = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    found = {"torch": losses(workload, torch), name: [float(loss) for loss in theirs]}
    assert disagreement(found, WORKLOADS[workload].tolerance) is None
