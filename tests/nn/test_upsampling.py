"""Interpolation over many sizes, and the layers of upsampling.py, against PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn

from .twin import same


@pytest.mark.parametrize(
    ("name", "options", "shape"),
    [
        ("Upsample", {"scale_factor": 2}, (2, 3, 4)),
        ("Upsample", {"scale_factor": (2, 1.5), "mode": "bilinear", "recompute_scale_factor": True}, (1, 2, 3, 5)),
        ("Upsample", {"size": (5, 4), "mode": "bilinear", "align_corners": True}, (1, 2, 3, 5)),
        ("Upsample", {"size": 7, "mode": "linear"}, (1, 2, 3)),
        ("UpsamplingNearest2d", {"scale_factor": 3}, (1, 2, 3, 2)),
        ("UpsamplingBilinear2d", {"size": (5, 7)}, (1, 2, 3, 2)),
        ("PixelShuffle", {"upscale_factor": 2}, (1, 8, 3, 2)),
        ("PixelUnshuffle", {"downscale_factor": 3}, (2, 3, 6)),
    ],
)
def test_layers(name, options, shape):
    ours, theirs = getattr(nn, name)(**options), getattr(torch.nn, name)(**options)
    assert repr(ours) == repr(theirs)
    same(ours, theirs, np.random.default_rng(0).standard_normal(shape))


@settings(deadline=None, max_examples=100)
@given(
    st.integers(1, 40),
    st.one_of(st.integers(1, 60), st.floats(0.1, 4)),
    st.sampled_from(["nearest", "nearest-exact", "linear", "linear aligned", "area"]),
    st.booleans(),
)
def test_any_size(n, new, mode, recompute):
    options = {"mode": mode.split()[0], **({"align_corners": True} if "aligned" in mode else {})}
    if isinstance(new, float):
        new = max(new, 1.01 / n)
        options |= {"scale_factor": new, "recompute_scale_factor": recompute}
    else:
        options["size"] = new
    x = np.random.default_rng(0).standard_normal((1, 2, n)).astype(np.float32)  # in which PyTorch decides ties
    found = nn.functional.interpolate(mg.tensor(x), **options)
    expected = torch.nn.functional.interpolate(torch.tensor(x), **options)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("factor", [(1.25, 1.25), (1.25, 2.0), (2.0, 1.3)])
def test_a_factor_that_changes_no_size_changes_nothing(factor):
    x = np.random.default_rng(0).standard_normal((1, 2, 2, 2))
    ours = nn.functional.interpolate(mg.tensor(x), scale_factor=factor, mode="bilinear")
    theirs = torch.nn.functional.interpolate(torch.tensor(x), scale_factor=factor, mode="bilinear")
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-12)


def test_results_are_contiguous():
    x = mg.randn(2, 3, 4, 5)
    for mode in ("nearest", "bilinear"):
        assert nn.functional.interpolate(x, scale_factor=2, mode=mode).view(2, -1).shape == (2, 240)


def test_unshuffling_undoes_shuffling():
    x = mg.randn(2, 12, 3, 4)
    assert (nn.functional.pixel_unshuffle(nn.functional.pixel_shuffle(x, 2), 2) == x).all()
