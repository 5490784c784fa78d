"""Whole sequences in one kernel against the formula, step by step."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from minigrad.kernels.cpu import jit, rows

import minigrad as mg
from minigrad.ops.rnn import recurrence

from .rows import LAYOUTS, compare, normal

KERNELS = import_module("minigrad.kernels.cpu.recurrence").KERNELS
GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "GRU": 3, "LSTM": 4}
SIZES = {"one": (1,), "equal": (5,) * 4, "packed": (7, 7, 4, 2, 2, 1), "long": (3,) * 40}

pytestmark = pytest.mark.skipif(
    not jit.available(), reason=f"no compiled kernels here: {jit.problem()}"
)


@pytest.fixture(autouse=True)
def no_size_is_too_small(monkeypatch):
    monkeypatch.setattr(rows, "SMALL", 1)


def inputs(mode, sizes, hidden, dtype, features=5):
    gates, state = GATES[mode] * hidden, hidden * (2 if mode == "LSTM" else 1)
    shapes = (sum(sizes), features), (sizes[0], state), (gates, features), (gates, hidden), (gates,), (gates,)
    return [(0.3 * normal(*shape)).astype(dtype) for shape in shapes]  # larger weights make chaos


MODES = [*((mode, np.float32) for mode in KERNELS), ("LSTM", np.float64), ("GRU", np.float64)]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("mode, dtype", MODES)
def test_sequences_agree_with_the_formula(mode, dtype, sizes, reverse, monkeypatch):
    def f(*tensors):
        return recurrence(*tensors, mode=mode, sizes=SIZES[sizes], reverse=reverse)

    arrays = inputs(mode, SIZES[sizes], 7, dtype)
    for layout in LAYOUTS.values():
        compare(f, [layout(a) for a in arrays], list(KERNELS[mode]), monkeypatch)
    compare(f, arrays[:4], list(KERNELS[mode]), monkeypatch)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("hidden, features", [(1, 1), (16, 40), (35, 17)])
@pytest.mark.parametrize("mode, dtype", MODES)
def test_sequences_one_after_the_other_agree_with_the_formula(mode, dtype, hidden, features, reverse, monkeypatch):
    def f(*tensors):
        return recurrence(*tensors, mode=mode, sizes=(19,) * 6, reverse=reverse, batch_first=True)

    arrays = inputs(mode, (19,) * 6, hidden, dtype, features)
    arrays[2:4] = (2 * w / np.asarray(hidden**0.5, dtype) for w in arrays[2:4])
    for threads in (1, 2):
        with_threads = mg.get_num_threads()
        mg.set_num_threads(threads)
        try:
            compare(f, arrays, list(KERNELS[mode]), monkeypatch)
        finally:
            mg.set_num_threads(with_threads)


@pytest.mark.parametrize("steps, batch", [(150, 1), (40, 30), (3, 300)])
def test_gradients_of_weights_that_are_collected_in_several_turns(steps, batch, monkeypatch):
    def f(*tensors):
        return recurrence(*tensors, mode="LSTM", sizes=(batch,) * steps)

    arrays = [0.3 * a for a in inputs("LSTM", (batch,) * steps, 9, np.float64)]
    compare(f, arrays, list(KERNELS["LSTM"]), monkeypatch)


@pytest.mark.parametrize("mode", KERNELS)
def test_nan_and_infinity_stay_in_their_sequence(mode, monkeypatch):
    def f(*tensors):
        return recurrence(*tensors, mode=mode, sizes=(5,) * 4)

    arrays = inputs(mode, (5,) * 4, 7, np.float32)
    arrays[0][6, 2], arrays[0][13, 0] = np.nan, np.inf
    compare(f, arrays, list(KERNELS[mode]), monkeypatch)


@pytest.mark.parametrize("wanted", [(0,), (1,), (2, 5), (3, 4)])
def test_only_what_is_asked_for_gets_a_gradient(wanted):
    arrays = inputs("GRU", (6, 4, 4), 7, np.float64)
    found = []
    for names in (wanted, range(6)):
        tensors = [mg.from_numpy(a).requires_grad_(i in names) for i, a in enumerate(arrays)]
        y = recurrence(*tensors, mode="GRU", sizes=(6, 4, 4))
        y.backward(mg.from_numpy(np.cos(np.arange(y.numel())).reshape(y.shape)))
        found.append([x.grad for x in tensors])
    assert [g is not None for g in found[0]] == [i in wanted for i in range(6)]
    for i in wanted:
        np.testing.assert_array_equal(found[0][i].numpy(), found[1][i].numpy())


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("mode", ["LSTM", "GRU", "RNN"])
def test_layers_agree_with_torch(mode, batch_first):
    torch = pytest.importorskip("torch")
    options = dict(num_layers=2, bidirectional=True, batch_first=batch_first)
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


def test_an_input_that_was_overwritten_is_noticed():
    x = [mg.from_numpy(a).requires_grad_() for a in inputs("GRU", (5,) * 4, 7, np.float32)]
    y = recurrence(*x, mode="GRU", sizes=(5,) * 4)
    with mg.no_grad():
        x[3].mul_(2)
    with pytest.raises(RuntimeError, match="recurrence needs its argument 'weight_hh' .* overwritten"):
        y.sum().backward()
