"""Linear, LayerNorm, Dropout against PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn

from .twin import load, same, scramble


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5, 3), (3,), (2, 4, 3), (0, 3)])
def test_linear(shape, bias):
    theirs = scramble(torch.nn.Linear(3, 4, bias=bias))
    ours = load(nn.Linear(3, 4, bias=bias), theirs)
    same(ours, theirs, np.random.default_rng(0).standard_normal(shape))


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        (4, {}),
        ((3, 4), {"eps": 0.1}),
        ((4,), {"bias": False}),
        ((3, 4), {"elementwise_affine": False}),
        (4, {"elementwise_affine": False, "bias": False}),
    ],
)
def test_layer_norm(shape, options):
    theirs = scramble(torch.nn.LayerNorm(shape, **options))
    ours = load(nn.LayerNorm(shape, **options), theirs)
    same(ours, theirs, np.random.default_rng(0).standard_normal((2, 3, 4)) * 3 + 1)


@pytest.mark.parametrize(
    ("shape", "options", "input"),
    [(6, {}, (3, 6)), ((2, 6), {"eps": 0.1}, (3, 2, 6)), ([6], {"elementwise_affine": False}, (6,))],
)
def test_rms_norm(shape, options, input):
    theirs = scramble(torch.nn.RMSNorm(shape, **options))
    ours = nn.RMSNorm(shape, **options)
    assert repr(ours) == repr(theirs) and all((p == 1).all() for p in ours.parameters())
    same(load(ours, theirs), theirs, np.random.default_rng(0).standard_normal(input) * 2 + 1, second=True)


def test_rms_norm_by_default_adds_the_epsilon_of_the_dtype():
    x = np.full((2, 3), 1e-4) * [[1], [-3]]
    for dtype in ("float32", "float64"):
        found = nn.functional.rms_norm(mg.tensor(x, dtype=dtype), (3,))
        expected = torch.nn.functional.rms_norm(torch.tensor(x, dtype=getattr(torch, dtype)), (3,))
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-6)


def test_layer_norm_starts_as_ones_and_zeros():
    layer = nn.LayerNorm((2, 3))
    assert (layer.weight == 1).all() and (layer.bias == 0).all()


def test_dropout_keeps_a_share_and_scales_it_and_so_does_its_gradient():
    mg.manual_seed(0)
    x = mg.full((20000,), 3.0, requires_grad=True)
    y = nn.Dropout(0.3)(x)
    kept = y.detach().numpy() != 0
    np.testing.assert_allclose(y.detach().numpy()[kept], 3 / 0.7, rtol=1e-6)
    assert abs(kept.mean() - 0.7) < 5 * np.sqrt(0.3 * 0.7 / 20000)
    seed = mg.randn(20000)
    y.backward(seed)
    np.testing.assert_allclose(x.grad.numpy(), kept * seed.numpy() / 0.7, rtol=1e-6)


@pytest.mark.parametrize(("p", "training", "expected"), [(0.5, False, 2.0), (0.0, True, 2.0), (1.0, True, 0.0)])
def test_dropout_at_its_ends(p, training, expected):
    assert (nn.Dropout(p).train(training)(mg.full((9,), 2.0)) == expected).all()


def test_dropout_in_place():
    x = mg.ones(50)
    y = nn.Dropout(0.5, inplace=True)(x)
    assert y is x and (x == 0).any()


@pytest.mark.parametrize("dtype", [mg.float16, mg.float32, mg.float64])
def test_parameters_have_the_dtype_that_was_asked_for(dtype):
    for layer in (nn.Linear(2, 3, dtype=dtype), nn.LayerNorm(2, dtype=dtype)):
        assert {p.dtype for p in layer.parameters()} == {dtype}


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: nn.Dropout(1.5), ValueError, "p must be from 0 to 1, got 1.5"),
        (lambda: nn.Linear(-1, 2), ValueError, "sizes must not be negative"),
        (lambda: nn.Linear(3, 2)(mg.ones(2, 4)), RuntimeError, "3 features"),
        (lambda: nn.LayerNorm(3)(mg.ones(2, 4)), RuntimeError, r"ends in \(3,\)"),
    ],
)
def test_bad_input(make, error, words):
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("lead", [(5,), (), (2, 3)])
def test_bilinear(lead, bias):
    theirs = scramble(torch.nn.Bilinear(3, 4, 2, bias=bias))
    ours = nn.Bilinear(3, 4, 2, bias=bias)
    assert repr(ours) == repr(theirs)
    assert all(0.3 < abs(p.detach().numpy()).max() * np.sqrt(3) <= 1 for p in ours.parameters())
    rng = np.random.default_rng(0)
    same(load(ours, theirs), theirs, rng.standard_normal((*lead, 3)), rng.standard_normal((*lead, 4)), second=True)


@pytest.mark.parametrize("bias", [True, False])
def test_lazy_linear_becomes_a_linear_and_keeps_its_parameters(bias):
    layer = nn.LazyLinear(3, bias=bias, dtype=mg.float64)
    assert repr(layer) == repr(torch.nn.LazyLinear(3, bias=bias))
    optimizer = mg.optim.SGD(layer.parameters(), lr=0.5)
    x = mg.randn(4, 5, dtype=mg.float64)
    out = layer(x)
    assert type(layer) is nn.Linear and repr(layer) == repr(torch.nn.Linear(5, 3, bias=bias))
    before = layer.weight.detach().clone()
    assert before.shape == (3, 5) and before.dtype == mg.float64 and 0.5 < abs(before.numpy()).max() * np.sqrt(5) <= 1
    seed = mg.randn(4, 3, dtype=mg.float64)
    out.backward(seed)
    optimizer.step()
    np.testing.assert_allclose(layer.weight.detach().numpy(), (before - seed.T @ x * 0.5).numpy(), rtol=1e-12)
    layer.zero_grad()
    theirs = scramble(torch.nn.Linear(5, 3, bias=bias))
    same(load(layer, theirs), theirs, x.numpy())


@pytest.mark.parametrize(("name", "shape", "sizes"), [
    ("Dropout1d", (300, 50, 3), 1), ("Dropout1d", (9000, 3), 1), ("Dropout2d", (300, 50, 3, 2), 2), ("Dropout2d", (300, 50, 3), 1),
    ("Dropout2d", (20, 30, 3), 1),
])  # fmt: skip
def test_dropout_of_whole_channels(name, shape, sizes):
    mg.manual_seed(0)
    layer = getattr(nn, name)(0.3)
    assert repr(layer) == repr(getattr(torch.nn, name)(0.3))
    x = mg.tensor(np.random.default_rng(0).standard_normal(shape), requires_grad=True)
    y = layer(x)
    kept = (y.detach().numpy() != 0).reshape(-1, int(np.prod(shape[-sizes:])))
    assert (kept == kept[:, :1]).all() and abs(kept.mean() - 0.7) < 5 * np.sqrt(0.21 / len(kept))
    seed = np.random.default_rng(1).standard_normal(shape)
    y.backward(mg.tensor(seed))
    mask = kept.reshape(shape) / 0.7
    np.testing.assert_allclose(y.detach().numpy(), x.detach().numpy() * mask, rtol=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), seed * mask, rtol=1e-6)
    assert layer.eval()(x) is x
    in_place = x.detach().clone()
    assert getattr(nn, name)(1.0, inplace=True)(in_place) is in_place and (in_place == 0).all()
