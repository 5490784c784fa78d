"""Blocked attention against the formula."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from minigrad.kernels.cpu import blas, jit, rows

import minigrad as mg
from minigrad.nn import functional as F

from .rows import LAYOUTS, compare, inf, normal

attention = import_module("minigrad.kernels.cpu.attention")
KERNELS = [attention._forward, attention._backward]

pytestmark = pytest.mark.skipif(
    not jit.available() or blas.blas() is None, reason=f"no compiled kernels here: {jit.problem() or 'no BLAS'}"
)


@pytest.fixture(autouse=True)
def no_size_is_too_small(monkeypatch):
    monkeypatch.setattr(rows, "SMALL", 1)


def attend(**options):
    return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, **options)


SHAPES = {
    "odd": ((2, 3, 5, 7), (2, 3, 6, 7), (2, 3, 6, 2)),
    "one head": ((5, 7), (6, 7), (6, 2)),
    "two blocks": ((2, 130, 5), (2, 130, 5), (2, 130, 4)),
    "more keys": ((3, 65, 4), (3, 200, 4), (3, 200, 3)),
    "more queries": ((1, 2, 150, 4), (1, 2, 70, 4), (1, 2, 70, 3)),
    "shared": ((2, 1, 9, 4), (1, 3, 6, 4), (3, 6, 2)),
    "one feature": ((2, 9, 1), (2, 9, 1), (2, 9, 1)),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("shapes", SHAPES)
def test_shapes_and_layouts(shapes, causal, dtype, monkeypatch):
    arrays = [normal(*shape).astype(dtype) for shape in SHAPES[shapes]]
    for layout in LAYOUTS.values():
        compare(attend(is_causal=causal), [layout(a) for a in arrays], KERNELS, monkeypatch)


def hiding(*shape):
    """A mask under which some queries see nothing."""
    mask = normal(*shape) > 0
    mask[..., 0, :] = False
    return mask


MASKS = {
    "bool": hiding(2, 3, 70, 66),
    "keys": hiding(2, 1, 1, 66),
    "of one dimension": normal(66) > 0,
    "for all heads": hiding(70, 66),
    "numbers": np.where(hiding(3, 70, 66), normal(3, 70, 66), -inf),
    "a number for a query": normal(2, 1, 70, 1),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", MASKS)
def test_masks(name, dtype, monkeypatch):
    mask = MASKS[name] if MASKS[name].dtype == bool else MASKS[name].astype(dtype)
    arrays = [normal(2, 3, n, 5).astype(dtype) for n in (70, 66, 66)]
    compare(attend(attn_mask=mg.from_numpy(mask)), arrays, KERNELS, monkeypatch)


def test_scores_far_out(monkeypatch):
    arrays = [10 * normal(2, 70, 5), 10 * normal(2, 70, 5), normal(2, 70, 5)]  # exp of the scores would overflow
    compare(attend(is_causal=True, scale=1.5), arrays, KERNELS, monkeypatch)


def test_heads_that_lie_beside_each_other_are_read_in_place(monkeypatch):
    def f(qkv):
        q, k, v = qkv.view(2, 70, 3, 4, 8).permute(2, 0, 3, 1, 4).unbind()
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        assert y.node.name != "attention" or y.transpose(1, 2).array.flags.c_contiguous
        return y.transpose(1, 2).reshape(2, 70, 32)

    compare(f, [normal(2, 70, 96)], KERNELS, monkeypatch)


def test_a_mask_that_learns_is_left_to_the_formula():
    q, mask = mg.randn(2, 70, 5), mg.randn(70, 70, requires_grad=True)
    y = F.scaled_dot_product_attention(q, q, q, attn_mask=mask)
    (y * mg.randn(2, 70, 5)).sum().backward()
    assert y.node.name != "attention" and mask.grad.abs().sum() > 0


def test_later_values_do_not_reach_earlier_queries():
    q, k, v = (normal(1, 150, 4) for _ in range(3))
    y = attention.attention(q, k, v, scale=1.0, is_causal=True)[0]
    v[:, 100:], k[:, 100:] = 1e6, 1e6
    assert np.array_equal(y[:, :100], attention.attention(q, k, v, scale=1.0, is_causal=True)[0][:, :100])
