"""Whose memory a gradient is in: its own, whatever the rules, views, hooks and the caller have."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg

from .test_graph import leaf


def test_gradients_share_memory_with_nothing():
    a, b = leaf(3), leaf(3, seed=1)
    seed = mg.tensor([1.0, 2.0, 3.0], dtype=mg.float64)
    y = a + b  # the rule of add hands the same array to both
    y.backward(seed)
    arrays = [a.grad.array, b.grad.array, seed.array, a.array, b.array]
    for i, x in enumerate(arrays):
        for other in arrays[i + 1 :]:
            assert not np.shares_memory(x, other)
    a.grad.mul_(100)  # as clipping does
    assert b.grad.tolist() == [1, 2, 3] and seed.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "f", [lambda x: x.reshape(6), lambda x: x.T, lambda x: x.expand(2, 2, 3), lambda x: x * 1, lambda x: x.sum(0), lambda x: x]
)
def test_leaf_gradients_own_their_memory(f):
    x = mg.tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    y = f(x)
    seed = mg.randn(y.shape, dtype=mg.float64)
    before = seed.numpy().copy()
    y.backward(seed)
    assert not np.shares_memory(x.grad.array, seed.array)
    assert x.grad.array.flags.writeable and x.grad.is_contiguous()
    x.grad.mul_(0)
    np.testing.assert_array_equal(seed.numpy(), before)
    for g in mg.autograd.grad(f(x), [x, x], seed):
        assert not np.shares_memory(g.array, seed.array)


def test_a_gradient_that_is_all_of_another_array_is_taken_if_nobody_else_has_that():
    x, kept = leaf(6), []
    (x.reshape(2, 3) * 2).backward(mg.randn(2, 3, dtype=mg.float64))
    assert x.grad.array.base is not None, "it was copied"
    x.grad = None
    y = x.reshape(2, 3)
    y.register_hook(kept.append)
    (y * 2).backward(mg.randn(2, 3, dtype=mg.float64))
    assert not np.shares_memory(x.grad.array, kept[0].array)
    a, b = leaf(6), leaf(6, seed=1)
    ((a.reshape(2, 3) + b.reshape(2, 3)) * 2).backward(mg.randn(2, 3, dtype=mg.float64))  # both get views of one array
    assert not np.shares_memory(a.grad.array, b.grad.array)
    one = leaf(1)
    (one.sum() * 1.75).backward()
    one.grad.mul_(2)  # what broadcasting gives is one number, and read-only
    assert one.grad.tolist() == [3.5]
    part = leaf(6)
    part.register_hook(lambda g: mg.from_numpy(np.zeros(600)[:6]))
    (part * 2).backward(mg.randn(6, dtype=mg.float64))
    assert part.grad.array.base is None, "it keeps more memory than it needs"


def test_a_hook_may_keep_the_gradient_it_sees():
    kept = []
    x = leaf(3)
    x.register_hook(kept.append)
    (x * 3).backward(mg.tensor([1.0, 2.0, 3.0], dtype=mg.float64))
    x.grad.zero_()
    assert kept[0].tolist() == [3, 6, 9]
