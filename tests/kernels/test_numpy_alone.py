"""What NumPy alone does faster than the formulas, on machines without numba: the same comparisons as for compiled kernels."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from minigrad.kernels.cpu import conv_runs, jit

import minigrad as mg
from minigrad.composite import COMPOSITIONS
from minigrad.fast import use_fast_paths
from minigrad.nn import functional as F
from minigrad.ops import conv as ops

from .test_cpu import CASES as FUSED
from .test_cpu import test_fused_passes_agree_with_their_formulas as fused_passes_agree
from .test_images import CASES, LAYOUTS, assert_fast_paths_agree, conv, inf, normal, run

attention = importlib.import_module("minigrad.kernels.cpu.attention")  # its name is that of a function, too
ALONE = ("conv", "pool", "norm")
CASES = {name: case for name, case in CASES.items() if any(word in name for word in ALONE)} | {
    "conv padding without end": (conv(padding=(3, 4)), [(normal(5, 2, 3, 4), normal(3, 2, 2, 3), normal(3))]),
    "conv one infinity": (conv(padding=1), [(np.where(np.arange(252).reshape(2, 3, 7, 6) == 132, inf, normal(2, 3, 7, 6)), normal(9, 3, 3, 3))]),
    "conv infinite corner": (conv(padding=1), [(normal(2, 3, 7, 6), np.where(np.arange(9).reshape(3, 3) == 0, inf, normal(9, 3, 3, 3)))]),
    "conv_transpose padding": (lambda x, w: F.conv_transpose2d(x, w, padding=(2, 1)), [(normal(3, 4, 6, 5), normal(4, 3, 3, 4))]),
    "max_pool of one image": (lambda x: F.max_pool2d(x, 2, stride=1), [(normal(3, 5, 6),), (np.round(normal(3, 9, 8)),)]),
    "max_pool with padding": (lambda x: F.max_pool2d(x, 2, stride=3, padding=1), [(normal(2, 3, 8, 8),)]),
    "max_pool with rests": (lambda x: F.max_pool2d(x, (3, 2), stride=(2, 3), dilation=(1, 2)), [(np.round(normal(3, 2, 9, 12)),)]),
}  # fmt: skip


@pytest.fixture(autouse=True)
def without_numba(monkeypatch):
    monkeypatch.setattr(jit, "_problem", "hidden by a test")


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", CASES)
def test_numpy_alone_agrees_with_formulas(name, layout, dtype):
    assert_fast_paths_agree(CASES[name], name, layout, dtype)


@pytest.mark.parametrize("name", ["conv", "conv1d", "conv stride", "max_pool", "batch_norm"])
def test_numpy_alone_is_used(name):
    f, examples = CASES[name]
    x = [mg.from_numpy(a).requires_grad_() for a in examples[0]]
    assert f(*x).node.name in COMPOSITIONS
    with use_fast_paths(False):
        assert f(*x).node.name not in COMPOSITIONS


@pytest.mark.parametrize("room", [1, 300, 1 << 20])
def test_images_in_blocks_of_any_size(room, monkeypatch):
    """One at a time, a few with a rest, and all at once."""
    monkeypatch.setattr(conv_runs, "ROOM", room)
    for name in ("conv", "conv few channels", "conv stride", "conv_transpose"):
        test_numpy_alone_agrees_with_formulas(name, "plain", np.float64)


def test_geometries_of_one_to_three_dimensions():
    """Kernels, strides, dilations, paddings and groups as they come, against the operations of ops/conv.py."""
    rng, tried = np.random.default_rng(3), 0
    while tried < 60:
        n, groups = rng.integers(1, 4), int(rng.integers(1, 4))
        kernel, dilation, before, after, size = (rng.integers(*limits, n).tolist() for limits in ((1, 4), (1, 3), (0, 4), (0, 4), (1, 8)))
        stride = rng.integers(1, 4, n).tolist() if rng.random() < 0.5 else [1] * n
        widths, whole = list(zip(before, after)), [sum(sizes) for sizes in zip(size, before, after)]
        geometry, weight = ops.Geometry(tuple(stride), tuple(dilation), groups), normal(2 * groups, 3, *kernel)
        if any(length <= d * (k - 1) for length, d, k in zip(whole, dilation, kernel)):
            continue
        tried += 1
        x = normal(3, 3 * groups, *size)
        with use_fast_paths(False):
            padded = np.pad(x, [(0, 0), (0, 0), *widths])
            y = ops.conv(padded, weight, geometry=geometry)
            g = rng.standard_normal(y.shape)
            slope = ops.conv_transpose(g, weight, size=tuple(whole), geometry=geometry)
            wanted = ops.correlate(padded, g, kernel=tuple(kernel), geometry=geometry)
        np.testing.assert_allclose(conv_runs.conv(x, weight, None, geometry, widths), y, atol=1e-10)
        np.testing.assert_allclose(conv_runs.correlate(x, g, kernel, geometry, widths), wanted, atol=1e-10)
        if max(stride) == 1 or max(dilation) == 1:
            slope = slope[(..., *[slice(b, b + length) for b, length in zip(before, size)])]
            np.testing.assert_allclose(conv_runs.conv_transpose(g, weight, size, geometry, widths), slope, atol=1e-10)
        else:
            assert not conv_runs.can_turn_around(weight, geometry)


def test_running_statistics_follow_the_batch():
    x, batch, formula = mg.from_numpy(normal(8, 5, 23, 24)), [mg.zeros(5).double(), mg.ones(5).double()], [mg.zeros(5).double(), mg.ones(5).double()]
    F.batch_norm(x, *batch, training=True)
    with use_fast_paths(False):
        F.batch_norm(x, *formula, training=True)
    for got, wanted in zip(batch, formula):
        np.testing.assert_allclose(got.array, wanted.array, rtol=1e-10)


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("name", FUSED)
def test_fused_passes_agree_with_their_formulas(name, dtype):
    fused_passes_agree(name, dtype)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("shapes", [((3, 2, 70, 5), (3, 2, 70, 5), (3, 2, 70, 4)), ((2, 130, 4), (2, 67, 4), (2, 67, 3)), ((65, 4), (140, 4), (140, 3))])
def test_attention_in_blocks(shapes, causal, monkeypatch):
    """More queries than a block has, more and fewer keys than queries, and one part of the batch at a time."""
    monkeypatch.setattr(attention, "ROOM", 1)
    monkeypatch.setattr(attention, "ROWS", 64)
    arrays = [normal(*shape) for shape in shapes]
    f = lambda *x: F.scaled_dot_product_attention(*x, is_causal=causal)
    for got, wanted in zip(run(f, arrays, fast=True), run(f, arrays, fast=False)):
        np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-12)
