"""The Transformer's encoder against PyTorch's, and the encoding of positions against its formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn

from .twin import load, same, scramble

D, H, N, L = 6, 2, 3, 5
rng = np.random.default_rng(0)
PADDING = np.array([[False] * 5, [False, False, False, True, True], [False, True, False, True, False]])
CAUSAL = np.triu(np.ones((L, L), bool), 1)


def layers(**options):
    options = {"dropout": 0.0, **options}
    return nn.TransformerEncoderLayer(D, H, 7, **options), torch.nn.TransformerEncoderLayer(D, H, 7, **options)


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("options", [{}, {"activation": "gelu"}, {"bias": False}, {"layer_norm_eps": 0.1}])
def test_layer(norm_first, batch_first, options):
    ours, theirs = layers(norm_first=norm_first, batch_first=batch_first, **options)
    load(ours, scramble(theirs))
    same(ours, theirs, rng.standard_normal((N, L, D) if batch_first else (L, N, D)))


@pytest.mark.parametrize("is_causal", [True, False])
@pytest.mark.parametrize("padded", [True, False])
def test_masks(padded, is_causal):
    ours, theirs = layers(batch_first=True)
    load(ours, scramble(theirs))
    masks = {"src_mask": CAUSAL, "src_key_padding_mask": PADDING if padded else None, "is_causal": is_causal}
    same(ours, theirs, rng.standard_normal((N, L, D)), **masks)


def test_activation_of_one_s_own():
    ours = nn.TransformerEncoderLayer(D, H, 7, 0.0, activation=mg.tanh)
    theirs = torch.nn.TransformerEncoderLayer(D, H, 7, 0.0, activation=torch.tanh)
    load(ours, scramble(theirs))
    same(ours, theirs, rng.standard_normal((L, N, D)))


@pytest.mark.parametrize("norm", [True, False])
def test_encoder(norm):
    ours_layer, theirs_layer = layers(batch_first=True, norm_first=True)
    ours = nn.TransformerEncoder(ours_layer, 3, nn.LayerNorm(D) if norm else None)
    theirs = torch.nn.TransformerEncoder(
        theirs_layer, 3, torch.nn.LayerNorm(D) if norm else None, enable_nested_tensor=False
    )
    load(ours, scramble(theirs))
    assert repr(ours) == repr(theirs).replace("NonDynamicallyQuantizable", "")
    same(ours, theirs, rng.standard_normal((N, L, D)), mask=CAUSAL, src_key_padding_mask=PADDING)


def test_encoder_layers_start_equal_but_are_apart():
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(D, H, 7), 2)
    first, second = (layer.linear1.weight for layer in encoder.layers)
    assert mg.equal(first, second)
    mg.nn.init.zeros_(first)
    assert (second != 0).any()


def test_layer_drops_in_training_only():
    layer = nn.TransformerEncoderLayer(D, H, 7, dropout=0.5)
    x = mg.randn(L, N, D)
    assert not mg.equal(layer(x), layer(x))
    layer.eval()
    assert mg.equal(layer(x), layer(x))


@pytest.mark.parametrize("dropped", ["self_attn", "dropout", "dropout1", "dropout2"])
def test_each_dropout_of_a_layer_is_used(dropped):
    layer = nn.TransformerEncoderLayer(D, H, 7, dropout=0.5).eval()
    getattr(layer, dropped).train()
    x = mg.randn(L, N, D)
    assert not mg.equal(layer(x), layer(x))


def test_unknown_activation():
    with pytest.raises(RuntimeError, match="activation must be 'relu', 'gelu' or a function, got 'tanh'"):
        nn.TransformerEncoderLayer(D, H, activation="tanh")


@pytest.mark.parametrize("d_model", [1, 4, 7])
def test_positions_follow_the_formula(d_model):
    pe = nn.PositionalEncoding(d_model, max_len=40).pe
    assert pe.shape == (40, d_model) and pe.dtype == mg.float32
    for pos in (0, 1, 17, 39):
        for feature in range(d_model):
            angle = pos / 10000 ** (2 * (feature // 2) / d_model)
            expected = math.cos(angle) if feature % 2 else math.sin(angle)
            assert math.isclose(pe[pos, feature].item(), expected, abs_tol=1e-6)


def test_positions_are_added_along_the_length():
    x = rng.standard_normal((N, L, D))
    encoding = nn.PositionalEncoding(D, dropout=0.0)
    expected = x + encoding.pe.numpy()[:L]
    np.testing.assert_allclose(encoding(mg.tensor(x)).numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(encoding(mg.tensor(x[0])).numpy(), expected[0], rtol=1e-12)
    encoding.batch_first = False
    swapped = encoding(mg.tensor(x.transpose(1, 0, 2))).numpy()
    np.testing.assert_allclose(swapped, expected.transpose(1, 0, 2), rtol=1e-12)


def test_positions_keep_the_dtype_and_are_not_saved():
    encoding = nn.PositionalEncoding(D)
    assert not encoding.state_dict() and [name for name, _ in encoding.named_buffers()] == ["pe"]
    for dtype in (mg.float16, mg.float32, mg.float64):
        assert encoding(mg.ones(1, L, D, dtype=dtype)).dtype == dtype


def test_positions_drop_in_training_only():
    encoding = nn.PositionalEncoding(50, dropout=0.5)
    x = mg.full((1, 4, 50), 7.0)
    assert (encoding(x) == 0).any() and (encoding.eval()(x) != 0).all()


@pytest.mark.parametrize("shape", [(1, 9, D), (1, 3, D + 1), (D,), (1, 1, 3, D)])
def test_positions_refuse_other_shapes(shape):
    with pytest.raises(RuntimeError, match="expected 6 features and at most 8 positions"):
        nn.PositionalEncoding(D, max_len=8)(mg.ones(*shape))
