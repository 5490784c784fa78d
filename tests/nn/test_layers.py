"""Linear, Embedding, LayerNorm, Dropout against PyTorch's."""

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


@pytest.mark.parametrize("padding_idx", [None, 0, 2, -1])
@pytest.mark.parametrize("shape", [(), (7,), (3, 5)])
def test_embedding(shape, padding_idx):
    theirs = scramble(torch.nn.Embedding(6, 3, padding_idx=padding_idx))
    ours = load(nn.Embedding(6, 3, padding_idx=padding_idx), theirs)
    same(ours, theirs, np.random.default_rng(0).integers(0, 6, shape))


def test_embedding_padding_row_starts_as_zeros_and_others_do_not():
    table = nn.Embedding(4, 3, padding_idx=-2).weight.detach().numpy()
    assert (table[2] == 0).all() and (table[[0, 1, 3]] != 0).all()


@pytest.mark.parametrize("freeze", [True, False])
def test_embedding_from_pretrained(freeze):
    table = mg.randn(4, 3)
    layer = nn.Embedding.from_pretrained(table, freeze=freeze, padding_idx=1)
    assert layer.weight.requires_grad is not freeze
    assert (layer(mg.tensor([3, 1])) == table[[3, 1]]).all()


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
    for layer in (nn.Linear(2, 3, dtype=dtype), nn.Embedding(2, 3, dtype=dtype), nn.LayerNorm(2, dtype=dtype)):
        assert {p.dtype for p in layer.parameters()} == {dtype}


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: nn.Dropout(1.5), ValueError, "p must be from 0 to 1, got 1.5"),
        (lambda: nn.Embedding(3, 2, padding_idx=3), ValueError, "padding_idx 3 is out of range for 3 rows"),
        (lambda: nn.Linear(-1, 2), ValueError, "sizes must not be negative"),
        (lambda: nn.Embedding.from_pretrained(mg.ones(3)), ValueError, "2-d table"),
        (lambda: nn.Linear(3, 2)(mg.ones(2, 4)), RuntimeError, "3 features"),
        (lambda: nn.LayerNorm(3)(mg.ones(2, 4)), RuntimeError, r"ends in \(3,\)"),
        (lambda: nn.Embedding(3, 2)(mg.tensor([3])), IndexError, "out of range"),
    ],
)
def test_bad_input(make, error, words):
    with pytest.raises(error, match=words):
        make()
