"""Gradients of slices, put together without being added to zeros."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import minigrad as mg
from minigrad.slices import Slices, place

rng = np.random.default_rng(0)


def normal(*shape):
    return rng.standard_normal(shape)


@pytest.mark.parametrize(
    "index, found",
    [((2,), (0, 2)), ((2, Ellipsis), (0, 2)), ((slice(None), -1, Ellipsis), (1, -1)), ((slice(2, 5),), (0, slice(2, 5))),
     ((slice(None), slice(None, 3), Ellipsis), (1, slice(None, 3))), ((slice(2, 5, 2),), None), ((slice(1, 3), slice(2)), None), ((slice(1, None), 0), None), ((slice(None),), None),
     ((0, 1), None), ((Ellipsis,), None), ((), None), ((None, 1), None), ((True,), None), (np.array([1]), None), ((Ellipsis, 1), None)],
)  # fmt: skip
def test_which_indices_are_a_slice(index, found):
    assert place(index) == found


@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("beside", [True, False])
def test_slices_become_the_whole(dim, beside):
    x = normal(3, 4, 5)
    slices = Slices(dim, x.shape)
    values = list(np.moveaxis(x, dim, 0))
    for i, value in enumerate(values if beside else [v.copy() for v in values]):
        assert slices.take((dim, i), value)
    assert np.array_equal(slices.whole(), x)
    assert np.shares_memory(slices.whole(), x) == beside


@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("cuts", [(0, 2, 4), (0, 1, 3, 4), (0, 4)])
def test_ranges_become_the_whole(cuts, dim, beside):
    x = normal(3, 4, 5).swapaxes(1, dim)
    slices = Slices(dim, x.shape)
    for start, stop in reversed(list(pairwise(cuts))):
        value = np.moveaxis(np.moveaxis(x, dim, 0)[start:stop], 0, dim)
        where = start if stop - start == 1 else slice(start, stop)
        value = np.moveaxis(value, dim, 0)[0] if stop - start == 1 else value
        assert slices.take((dim, where), value if beside else value.copy())
    assert np.array_equal(slices.whole(), x)
    assert np.shares_memory(slices.whole(), x) == beside


def test_missing_slices_are_zero_and_nothing_comes_twice():
    slices = Slices(0, (6, 2))
    assert slices.take((0, -1), np.ones(2)) and slices.take((0, slice(1, 3)), np.full((2, 2), 2.0))
    assert not slices.take((0, 5), np.ones(2)) and not slices.take((1, 0), np.ones(6))
    assert not slices.take((0, slice(2, 4)), np.ones((2, 2))) and not slices.take((0, slice(4, 4)), np.ones((0, 2)))
    assert slices.whole().tolist() == [[0, 0], [2, 2], [2, 2], [0, 0], [0, 0], [1, 1]]


def test_parts_of_one_array_in_another_order_are_copied():
    x = normal(3, 5)
    slices = Slices(0, x.shape)
    for i, j in enumerate((1, 0, 2)):
        slices.take((0, i), x[j])
    assert np.array_equal(slices.whole(), x[[1, 0, 2]]) and not np.shares_memory(slices.whole(), x)


def test_every_mixture_has_the_right_gradient():
    def mixed(x):
        a, b, c = x.unbind()
        d, e = x[:, 1], x[1:, 0]
        x = x + x.split([1, 2])[1].sum() * x[1:2].exp() + x[:, :2].sum(1, keepdim=True) * x[:, 3:].sin()
        return a * b + b * c.exp() + x[-1] * x[0] + (d * d).sum() + e.sum() * c + x.mean(0), (x * x).sum()

    x = mg.tensor(normal(3, 4), requires_grad=True)
    assert mg.autograd.gradcheck(mixed, x) and mg.autograd.gradgradcheck(mixed, x)


def test_the_gradient_of_a_leaf_is_its_own():
    g = mg.tensor(normal(3, 4))
    x = mg.tensor(normal(3, 4), requires_grad=True)
    parts = x.unbind()
    mg.autograd.backward(list(parts), [g[0], g[1], g[2]])
    before = g.numpy().copy()
    x.grad.mul_(2)
    assert np.array_equal(g.numpy(), before) and np.array_equal(x.grad.numpy(), 2 * before)


@pytest.mark.parametrize("cut", ["unbind", "split"])
def test_heads_get_their_gradient_in_place(cut):
    torch = pytest.importorskip("torch")
    x, g = normal(2, 40, 48).astype(np.float32), normal(2, 40, 16).astype(np.float32)
    found = []
    for library in (mg, torch):
        t = library.tensor(x).requires_grad_()
        if cut == "unbind":
            q, k, v = t.view(2, 40, 3, 2, 8).permute(2, 0, 3, 1, 4).unbind()
        else:
            q, k, v = (z.view(2, 40, 2, 8).transpose(1, 2) for z in t.split(16, dim=2))
        y = library.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        y.transpose(1, 2).reshape(2, 40, 16).backward(library.tensor(g))
        found.append(t.grad.numpy())
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5)
