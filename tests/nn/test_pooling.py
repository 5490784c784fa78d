"""Pools against PyTorch's: layers, NaN and infinities, integers, random geometry."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn

from .twin import same

LAYERS = [
    ("MaxPool1d", (3,), {}, (2, 3, 8)),
    ("MaxPool1d", (2,), {"stride": 1, "dilation": 2, "return_indices": True}, (3, 8)),
    ("MaxPool2d", ((3, 2),), {"stride": (2, 1), "padding": 1, "ceil_mode": True}, (2, 3, 6, 5)),
    ("MaxPool2d", (2,), {"return_indices": True}, (1, 2, 4, 6)),
    ("AvgPool1d", (3,), {"stride": 2, "padding": 1, "count_include_pad": False}, (2, 3, 8)),
    ("AvgPool2d", (3, 2, 1), {"count_include_pad": False, "ceil_mode": True}, (2, 3, 6, 7)),
    ("AvgPool2d", ((2, 3),), {"divisor_override": 4}, (3, 6, 7)),
    ("AdaptiveAvgPool1d", (3,), {}, (2, 3, 8)),
    ("AdaptiveAvgPool2d", ((3, None),), {}, (2, 3, 7, 5)),
    ("AdaptiveMaxPool1d", (2,), {"return_indices": True}, (2, 3, 7)),
    ("AdaptiveMaxPool2d", ((2, 3),), {"return_indices": True}, (3, 5, 7)),
]


@pytest.mark.parametrize(("name", "args", "options", "shape"), LAYERS)
def test_layers(name, args, options, shape):
    ours, theirs = getattr(nn, name)(*args, **options), getattr(torch.nn, name)(*args, **options)
    assert repr(ours) == repr(theirs)
    x = np.random.default_rng(0).standard_normal(shape)
    if options.get("return_indices"):
        found, expected = ours(mg.tensor(x))[1], theirs(torch.tensor(x))[1]
        assert found.dtype == mg.int64 and found.tolist() == expected.tolist()
        same(lambda x: ours(x)[0], lambda x: theirs(x)[0], x)
    else:
        same(ours, theirs, x)


@pytest.mark.parametrize("seed", range(6))
def test_nan_and_infinities_in_a_maximum(seed):
    rng = np.random.default_rng(seed)
    x = rng.choice([np.nan, -np.inf, np.inf, 0.0, 1.0], (2, 1, 5, 6), p=[0.1, 0.5, 0.1, 0.2, 0.1])
    for pool in (
        lambda t, x: t.nn.functional.max_pool2d(x, 3, 2, 1, return_indices=True),
        lambda t, x: t.nn.functional.max_pool1d(x[:, 0], 2, 1, 1, return_indices=True),
        lambda t, x: t.nn.functional.adaptive_max_pool2d(x, (2, 4), return_indices=True),
    ):
        a, b = mg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        (values, places), (expected, expected_places) = pool(mg, a), pool(torch, b)
        np.testing.assert_array_equal(values.detach().numpy(), expected.detach().numpy())
        np.testing.assert_array_equal(places.numpy(), expected_places.numpy())
        seeds = rng.standard_normal(tuple(values.shape))
        values.backward(mg.tensor(seeds))
        expected.backward(torch.tensor(seeds))
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-12)


def test_infinities_do_not_spread_in_means():
    x = np.random.default_rng(0).standard_normal((1, 2, 5, 6))
    x[0, 0, 4, 5], x[0, 1, 0, 0] = np.inf, np.nan
    for pool in (lambda F, x: F.avg_pool2d(x, 2, 1, 1), lambda F, x: F.adaptive_avg_pool2d(x, (3, 4))):
        found, expected = pool(nn.functional, mg.tensor(x)), pool(torch.nn.functional, torch.tensor(x))
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12)


def test_integers_have_a_maximum():
    x = np.random.default_rng(0).integers(-9, 9, (2, 3, 5, 6))
    found = nn.functional.max_pool2d(mg.tensor(x), 3, 2, 1)
    assert found.dtype == mg.int64
    assert found.tolist() == torch.nn.functional.max_pool2d(torch.tensor(x), 3, 2, 1).tolist()


def test_an_output_of_size_zero():
    assert nn.functional.adaptive_avg_pool2d(mg.randn(2, 3, 4, 5), (0, 2)).shape == (2, 3, 0, 2)
    assert nn.functional.adaptive_avg_pool1d(mg.randn(2, 3, 4), 0).shape == (2, 3, 0)


@settings(deadline=None, max_examples=80)
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.integers(0, 2),
    st.integers(1, 2),
    st.booleans(),
    st.booleans(),
)
def test_pools_in_any_geometry(size, kernel, stride, padding, dilation, ceil_mode, count_include_pad):
    x = np.random.default_rng(0).standard_normal((2, 1, *size))
    extra = {"max_pool2d": {"dilation": dilation}, "avg_pool2d": {"count_include_pad": count_include_pad}}
    for name, more in extra.items():
        options = {"stride": stride, "padding": padding, "ceil_mode": ceil_mode, **more}
        try:
            expected = getattr(torch.nn.functional, name)(torch.tensor(x), kernel, **options)
        except RuntimeError:
            with pytest.raises(RuntimeError, match=name):
                getattr(nn.functional, name)(mg.tensor(x), kernel, **options)
            continue
        assume(np.isfinite(expected.numpy()).all())  # a dilated window can miss all elements, which we refuse
        same(
            lambda x, f=name, o=options: getattr(nn.functional, f)(x, kernel, **o),
            lambda x, f=name, o=options: getattr(torch.nn.functional, f)(x, kernel, **o),
            x,
        )
