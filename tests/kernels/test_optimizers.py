"""Optimizers that move all parameters in one kernel call: against the formula, and against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from minigrad.kernels.cpu import jit, optimizers

import minigrad as mg
from minigrad.fast import use_fast_paths

pytestmark = pytest.mark.skipif(not jit.available(), reason=f"no compiled kernels here: {jit.problem()}")

SHAPES = [(40, 33), (7,), (5, 3, 2), (1000,), ()]
STEPS = 6
rng = np.random.default_rng(0)
START = [rng.standard_normal(shape) for shape in SHAPES]
GRADS = [[rng.standard_normal(shape) for shape in SHAPES] for _ in range(STEPS)]

RULES = [
    ("SGD", dict(lr=0.1)),
    ("SGD", dict(lr=0.1, momentum=0.9, dampening=0.2, weight_decay=0.1)),
    ("SGD", dict(lr=0.1, momentum=0.9, nesterov=True)),
    ("SGD", dict(lr=0.1, weight_decay=0.1, maximize=True)),
    ("Adam", dict(lr=0.01)),
    ("Adam", dict(lr=0.01, weight_decay=0.1, amsgrad=True, maximize=True)),
    ("AdamW", dict(lr=0.01, weight_decay=0.1, betas=(0.5, 0.9))),
    ("Adagrad", dict(lr=0.1, lr_decay=0.1, weight_decay=0.1, initial_accumulator_value=0.3)),
    ("Adadelta", dict(weight_decay=0.1)),
    ("RMSprop", dict(maximize=True)),
    ("RMSprop", dict(momentum=0.5, weight_decay=0.1)),
    ("RMSprop", dict(centered=True)),
    ("RMSprop", dict(centered=True, momentum=0.9)),
    ("Adamax", dict(weight_decay=0.1)),
    ("NAdam", dict(weight_decay=0.1)),
    ("NAdam", dict(weight_decay=0.1, decoupled_weight_decay=True)),
    ("RAdam", dict(weight_decay=0.1, decoupled_weight_decay=True)),
    ("RAdam", dict(betas=(0.5, 0.6), maximize=True)),
    ("Rprop", dict(lr=0.1)),
]
DOUBLE = ("SGD", "Adam")  # compiled for float64 as well: what is tested need not be compiled twice for all


@pytest.fixture
def calls(monkeypatch):
    """How many steps the kernels took; no step is too small for them."""
    count = []
    step = optimizers.step

    def counted(*args):
        result = step(*args)
        count.append(result is not NotImplemented)
        return result

    monkeypatch.setattr(optimizers, "SMALL", 1)
    monkeypatch.setitem(mg.optim.optimizer.STEPS, "cpu", counted)
    return count


def walk(library, rule, options, dtype, skip=lambda step, i: False):
    """Where the parameters are after some steps; and what the optimizer remembers."""
    params = [library.tensor(p.astype(dtype)).requires_grad_() for p in START]
    optimizer = getattr(library.optim, rule)(params, **options)
    for step, grads in enumerate(GRADS):
        for i, (p, g) in enumerate(zip(params, grads)):
            p.grad = None if skip(step, i) else library.tensor(g.astype(dtype))
        optimizer.step()
    state = optimizer.state_dict()["state"]
    remembered = [np.asarray(v) for s in state.values() for k, v in sorted(s.items()) if k != "step" and hasattr(v, "shape")]
    return [p.detach().numpy() for p in params], remembered


CASES = [(rule, options, dtype) for rule, options in RULES for dtype in ("f4", "f8") if dtype == "f4" or rule in DOUBLE]


@pytest.mark.parametrize("rule, options, dtype", CASES)
def test_the_kernel_walks_the_way_of_the_formula_and_of_torch(rule, options, dtype, calls):
    torch = pytest.importorskip("torch")
    tolerance = 3e-6 if dtype == "f4" else 1e-10
    got, remembered = walk(mg, rule, options, dtype)
    assert sum(calls) == STEPS - bool(options.get("momentum") and rule == "SGD")  # whose first step is another
    with use_fast_paths(False):
        wanted, kept = walk(mg, rule, options, dtype)
    assert len(calls) <= STEPS
    theirs, _ = walk(torch, rule, options, dtype)
    for a, b, c in zip(got, wanted, theirs):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(a, c, rtol=tolerance, atol=tolerance)
    for a, b in zip(remembered, kept, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("rule", ["SGD", "Adam", "RMSprop"])
def test_parameters_without_gradient_stay_and_count_their_own_steps(rule, calls):
    torch = pytest.importorskip("torch")
    skip = lambda step, i: (step + i) % 3 == 0
    for a, b in zip(walk(mg, rule, {}, "f4", skip)[0], walk(torch, rule, {}, "f4", skip)[0]):
        np.testing.assert_allclose(a, b, rtol=3e-6, atol=3e-6)
    assert all(calls)


def test_a_parameter_with_gaps_in_memory_is_left_to_the_formula(calls):
    p = mg.zeros(6, 8, requires_grad=True)
    p.array = np.zeros((6, 16), np.float32)[:, ::2]
    p.grad = mg.ones(6, 8)
    mg.optim.SGD([p], lr=0.5).step()
    assert calls == [False] and (p.numpy(force=True) == -0.5).all()


def test_infinite_parameters_stay_infinite_without_decay(calls):
    p = mg.full((300,), float("inf"), requires_grad=True)
    p.grad = mg.randn(300)
    for rule in ("SGD", "RMSprop"):
        getattr(mg.optim, rule)([p]).step()
        assert np.isinf(p.detach().numpy()).all()
    assert calls == [True, True]


def test_threads_share_tensors_of_any_size(calls):
    sizes = [1, 3, 100_003, 2, 50_000, 7]
    params = [mg.zeros(n, requires_grad=True) for n in sizes]
    for p in params:
        p.grad = mg.arange(len(p), dtype=mg.float32)
    mg.optim.SGD(params, lr=1.0).step()
    assert all(np.array_equal(p.detach().numpy(), -np.arange(n, dtype=np.float32)) for p, n in zip(params, sizes))
    assert calls == [True]


@pytest.mark.parametrize("spoil", ["size", "dtype", "read-only", "transposed"])
def test_arrays_that_are_not_alike_are_left_to_the_formula(spoil, calls):
    p, g = np.zeros((6, 8), np.float32), np.ones((6, 8), np.float32)
    if spoil == "read-only":
        p.flags.writeable = False
    g = {"size": g[:5].copy(), "dtype": g.astype("f8"), "transposed": g.T.copy().T}.get(spoil, g)
    whole = np.zeros(3, np.float32), np.ones(3, np.float32)
    for tensors in ([(p, g), whole], [whole, (p, g)]):
        assert optimizers.step("sgd", tensors, (0.5, 0, 0, 1, 0)) is NotImplemented
    assert not p.any() and not whole[0].any()
