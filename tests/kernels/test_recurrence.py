"""Whole sequences in one kernel against the formula, step by step."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from minigrad.kernels.cpu import blas, jit, rows

import minigrad as mg
from minigrad.ops.rnn import recurrence

from .rows import LAYOUTS, compare, normal

MODES = import_module("minigrad.kernels.cpu.recurrence").MODES
GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "GRU": 3, "LSTM": 4}
SIZES = {"one": (1,), "equal": (5,) * 4, "packed": (7, 7, 4, 2, 2, 1), "long": (3,) * 40}

pytestmark = pytest.mark.skipif(
    not jit.available() or blas.blas() is None, reason=f"no compiled kernels here: {jit.problem() or 'no BLAS'}"
)


@pytest.fixture(autouse=True)
def no_size_is_too_small(monkeypatch):
    monkeypatch.setattr(rows, "SMALL", 1)


def inputs(mode, sizes, hidden, dtype):
    state = hidden * (2 if mode == "LSTM" else 1)
    shapes = (sum(sizes), GATES[mode] * hidden), (sizes[0], state), (GATES[mode] * hidden, hidden), (GATES[mode] * hidden,)
    return [(0.5 * normal(*shape)).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("mode, dtype", [*((mode, np.float32) for mode in MODES), ("LSTM", np.float64), ("GRU", np.float64)])
def test_sequences_agree_with_the_formula(mode, dtype, sizes, reverse, monkeypatch):
    def f(x, hx, weight, bias=None):
        return recurrence(x, hx, weight, bias, mode=mode, sizes=SIZES[sizes], reverse=reverse)

    arrays = inputs(mode, SIZES[sizes], 7, dtype)
    for layout in LAYOUTS.values():
        compare(f, [layout(a) for a in arrays], list(MODES[mode]), monkeypatch)
    compare(f, arrays[:3], list(MODES[mode]), monkeypatch)


@pytest.mark.parametrize("mode", ["LSTM", "GRU", "RNN"])
def test_layers_agree_with_torch(mode):
    torch = pytest.importorskip("torch")
    options = dict(num_layers=2, bidirectional=True, batch_first=True)
    theirs, mine = getattr(torch.nn, mode)(6, 19, **options), getattr(mg.nn, mode)(6, 19, **options)
    mine.load_state_dict({name: mg.from_numpy(p.detach().numpy().copy()) for name, p in theirs.named_parameters()})
    x = normal(3, 11, 6).astype(np.float32)
    g = normal(3, 11, 38).astype(np.float32)
    y, wanted = mine(mg.from_numpy(x))[0], theirs(torch.from_numpy(x))[0]
    y.backward(mg.from_numpy(g))
    wanted.backward(torch.from_numpy(g))
    np.testing.assert_allclose(y.detach().numpy(), wanted.detach().numpy(), rtol=1e-4, atol=1e-5)
    for (name, p), q in zip(mine.named_parameters(), theirs.parameters()):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-4, atol=1e-4, err_msg=name)


def test_second_derivatives_go_through_the_formula():
    x = [mg.from_numpy(a).requires_grad_() for a in inputs("LSTM", (2, 1), 3, np.float64)]
    assert mg.autograd.gradgradcheck(lambda *a: recurrence(*a, mode="LSTM", sizes=(2, 1)), x)


def test_a_result_that_was_overwritten_is_noticed():
    x = [mg.from_numpy(a).requires_grad_() for a in inputs("GRU", (5,) * 4, 7, np.float32)]
    y = recurrence(*x, mode="GRU", sizes=(5,) * 4)
    with mg.no_grad():
        y.mul_(2)
    with pytest.raises(RuntimeError, match="recurrence needs its result .* overwritten"):
        y.sum().backward()
