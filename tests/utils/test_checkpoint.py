"""Checkpointed functions give the same results and gradients, and keep nothing of what is inside them."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
import torch
import torch.utils.checkpoint

import minigrad as mg
from minigrad import nn
from minigrad.nn import functional as F
from minigrad.utils.checkpoint import checkpoint, checkpoint_sequential

rng = np.random.default_rng(0)
A, W = rng.standard_normal((3, 4)), rng.standard_normal((4, 4))
SEED = rng.standard_normal((3, 4))


def block(t, w):
    """It sees a parameter that is not among its arguments."""
    return lambda x, scale=1.0: ((x @ w).tanh() * scale + x) @ w


def two(t, w):
    return lambda x, y: ((x @ w).tanh(), (x * y).exp().sum() * w[0, 0])


def run(t, wrap, order):
    x, w, s = (t.tensor(a, requires_grad=True) for a in (A, W, A[0]))
    h = x * 2
    y = wrap(block(t, w), h, scale=s)
    y, z = wrap(two(t, w), y * 0.3, h * 0.1)
    y = wrap(lambda y: wrap(block(t, w), y), y)  # one inside the other
    out = y * z
    if order == 1:
        out.backward(t.tensor(SEED))
        return [p.detach().numpy() for p in (out, x.grad, w.grad, s.grad)]
    first = t.autograd.grad(out, [x, w, s], t.tensor(SEED), create_graph=True)
    total = sum((g * g).sum() for g in first)
    return [p.detach().numpy() for p in t.autograd.grad(total, [x, w, s])]


@pytest.mark.parametrize("order", [1, 2])
def test_as_torch(order):
    """Arguments, keyword arguments, several results, parameters from outside, one in the other."""
    theirs = run(torch, lambda f, *a, **k: torch.utils.checkpoint.checkpoint(f, *a, use_reentrant=False, **k), order)
    for wrap in (checkpoint, lambda f, *a, **k: checkpoint(f, *a, use_reentrant=True, **k), lambda f, *a, **k: f(*a, **k)):
        for a, b in zip(run(mg, wrap, order), theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


def test_what_is_inside_is_freed_and_computed_again():
    inside, runs = [], []

    def function(x):
        h = x.exp()
        inside.append(weakref.ref(h.array))
        runs.append(mg.is_grad_enabled())
        return (h * h).sin()

    x = mg.tensor(A, requires_grad=True)
    kept = function(x)
    assert inside[-1]() is not None, "what backward wants is kept"
    y = checkpoint(function, x)
    assert inside[-1]() is None and runs == [True, True]
    y.sum().backward()
    assert len(runs) == 3 and inside[-1]() is None and kept is not None
    with mg.no_grad():
        assert not checkpoint(function, x).requires_grad


def test_memory_between_forward_and_backward():
    """Five arrays, or one: counted with tracemalloc."""
    import tracemalloc

    def held(wrap):
        x = mg.randn(1000, 50, requires_grad=True)
        tracemalloc.start()
        y = wrap(lambda x: x.exp().sin().exp().sin().exp().sin().exp().sin(), x)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        y.sum().backward()
        return held / x.array.nbytes

    assert held(lambda f, x: f(x)) > 4.5 and held(checkpoint) < 1.5


@pytest.mark.parametrize("preserve", [True, False])
def test_the_same_random_numbers(preserve):
    x = mg.ones(1000, requires_grad=True)
    mg.manual_seed(0)
    plain = F.dropout(x, 0.5)
    _, then = mg.rand(2), mg.rand(3)
    mg.manual_seed(0)
    y = checkpoint(lambda x: F.dropout(x, 0.5) * 1, x, preserve_rng_state=preserve)
    assert mg.equal(y, plain)
    mg.rand(2)
    y.sum().backward()
    assert mg.equal(x.grad, y) == preserve
    if preserve:
        assert mg.equal(mg.rand(3), then), "the draws go on from where they were"


def test_hooks_see_the_whole_gradient_once():
    x = mg.tensor(A, requires_grad=True)
    seen = []
    x.register_hook(lambda g: seen.append(g.numpy().copy()))
    (checkpoint(lambda x: x * x, x) + x).backward(mg.tensor(SEED))
    assert len(seen) == 1
    np.testing.assert_allclose(seen[0], SEED * (2 * A + 1))


def test_inputs_that_were_overwritten_are_noticed():
    x, w = mg.tensor(A, requires_grad=True), mg.tensor(W, requires_grad=True)
    h = x * 1
    y = checkpoint(lambda h: h @ w, h)
    h.mul_(2)
    with pytest.raises(RuntimeError, match="checkpoint needs its argument 'input' as it was"):
        y.sum().backward()
    y = checkpoint(lambda x: x @ w, x)
    with mg.no_grad():
        w.mul_(2)
    with pytest.raises(RuntimeError, match="checkpoint needs its argument 'input' as it was"):
        y.sum().backward()


@pytest.mark.parametrize("segments", [1, 2, 3, 5])
def test_sequential(segments):
    ours = nn.Sequential(*(nn.Linear(4, 4) for _ in range(5))).double()
    theirs = torch.nn.Sequential(*(torch.nn.Linear(4, 4) for _ in range(5))).double()
    theirs.load_state_dict({k: torch.tensor(v.detach().numpy()) for k, v in ours.state_dict().items()})
    x, y = mg.tensor(A, requires_grad=True), torch.tensor(A, requires_grad=True)
    calls = []
    for i, layer in enumerate(ours):
        layer.register_forward_hook(lambda *_, i=i: calls.append(i))
    checkpoint_sequential(ours, segments, x).backward(mg.tensor(SEED))
    theirs(y).backward(torch.tensor(SEED))
    np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-11)
    for a, b in zip(ours.parameters(), theirs.parameters()):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-11)
    last = 5 - (5 // segments) * (segments - 1)  # layers that are not computed again
    assert len(calls) == 5 + 5 - last


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: checkpoint(lambda x: 3, x), TypeError, "must return a Tensor or several, got int"),
        (lambda x: checkpoint_sequential([nn.Identity()], 2, x), ValueError, "segments must be from 1 to 1, got 2"),
        (lambda x: checkpoint(Growing(), x).sum().backward(), RuntimeError, r"\[\(4, 4\)\] when computed again, \[\(3, 4\)\]"),
    ],
)
def test_errors(call, error, words):
    with pytest.raises(error, match=f"checkpoint.*{words}"):
        call(mg.tensor(A, requires_grad=True))


class Growing:
    more = 0

    def __call__(self, x):
        self.more += 1
        return mg.cat([x * 2, x[1 : self.more] * 2])
