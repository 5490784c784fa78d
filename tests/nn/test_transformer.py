"""The Transformer against PyTorch's, and the encoding of positions against its formula."""

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


# -------------------------------------------------------------------------------------------------- decoder and both

M = 4  # length of the memory
TGT, MEMORY = rng.standard_normal((N, L, D)), rng.standard_normal((N, M, D))
MEMORY_PADDING = np.array([[False] * 4, [False, False, True, True], [True, False, True, False]])
IGNORE = pytest.mark.filterwarnings("ignore:enable_nested_tensor")  # PyTorch's, about its own speed
NUMBERS = rng.standard_normal((L, M))
MASKS = [
    {},
    {"tgt_mask": CAUSAL},
    {"tgt_mask": CAUSAL, "tgt_is_causal": True},
    {"tgt_key_padding_mask": PADDING},
    {"memory_key_padding_mask": MEMORY_PADDING},
    {"memory_mask": NUMBERS},
    {"memory_mask": NUMBERS > 1, "memory_key_padding_mask": MEMORY_PADDING, "tgt_mask": CAUSAL, "tgt_key_padding_mask": PADDING},
]


def decoders(**options):
    options = {"dropout": 0.0, **options}
    return nn.TransformerDecoderLayer(D, H, 7, **options), torch.nn.TransformerDecoderLayer(D, H, 7, **options)


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("options", [{}, {"activation": "gelu"}, {"bias": False}, {"layer_norm_eps": 0.1}])
def test_decoder_layer(norm_first, batch_first, options):
    ours, theirs = decoders(norm_first=norm_first, batch_first=batch_first, **options)
    load(ours, scramble(theirs))
    assert repr(ours) == repr(theirs).replace("NonDynamicallyQuantizable", "")
    same(ours, theirs, *(x if batch_first else x.swapaxes(0, 1) for x in (TGT, MEMORY)))


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("masks", MASKS)
def test_decoder_masks(norm_first, masks):
    ours, theirs = decoders(batch_first=True, norm_first=norm_first)
    load(ours, scramble(theirs))
    same(ours, theirs, TGT, MEMORY, **masks)


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("masks", MASKS[-2:])
def test_decoder(norm, masks):
    ours_layer, theirs_layer = decoders(batch_first=True)
    ours = nn.TransformerDecoder(ours_layer, 2, nn.LayerNorm(D) if norm else None)
    theirs = torch.nn.TransformerDecoder(theirs_layer, 2, torch.nn.LayerNorm(D) if norm else None)
    load(ours, scramble(theirs))
    same(ours, theirs, TGT, MEMORY, **masks)


@pytest.mark.parametrize("dropped", ["self_attn", "multihead_attn", "dropout", "dropout1", "dropout2", "dropout3"])
def test_each_dropout_of_a_decoder_layer_is_used(dropped):
    layer = nn.TransformerDecoderLayer(D, H, 7, dropout=0.5).eval()
    x, memory = mg.randn(L, N, D), mg.randn(M, N, D)
    assert mg.equal(layer(x, memory), layer(x, memory))
    getattr(layer, dropped).train()
    assert not mg.equal(layer(x, memory), layer(x, memory))


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("options", [{}, {"norm_first": True, "activation": "gelu"}, {"bias": False, "layer_norm_eps": 0.1}])
@pytest.mark.parametrize("masked", [True, False])
@IGNORE
def test_transformer(batch_first, options, masked):
    args = (D, H, 2, 1, 7, 0.0)
    theirs = scramble(torch.nn.Transformer(*args, batch_first=batch_first, **options))
    theirs.encoder.enable_nested_tensor = False
    ours = load(nn.Transformer(*args, batch_first=batch_first, **options), theirs)
    assert repr(ours) == repr(theirs).replace("NonDynamicallyQuantizable", "")
    masks = {
        "src_mask": rng.standard_normal((M, M)),
        "tgt_mask": CAUSAL,
        "memory_mask": NUMBERS,
        "src_key_padding_mask": MEMORY_PADDING,
        "tgt_key_padding_mask": PADDING,
        "memory_key_padding_mask": MEMORY_PADDING,
    }
    masks = {name: mask.astype(float) * -3 if mask.dtype == bool else mask for name, mask in masks.items()}
    same(ours, theirs, *(x if batch_first else x.swapaxes(0, 1) for x in (MEMORY, TGT)), **(masks if masked else {}))


@IGNORE
def test_transformer_of_one_sequence():
    theirs = scramble(torch.nn.Transformer(D, H, 1, 1, 7, 0.0))
    ours = load(nn.Transformer(D, H, 1, 1, 7, 0.0), theirs)
    causal = {"src_mask": CAUSAL[:M, :M], "src_is_causal": True, "tgt_mask": CAUSAL, "tgt_is_causal": True}
    same(ours, theirs, MEMORY[0], TGT[0], **causal)


def test_transformer_with_parts_of_one_s_own():
    encoder, decoder = nn.TransformerEncoder(layers()[0], 1), nn.TransformerDecoder(decoders()[0], 1)
    model = nn.Transformer(D, H, custom_encoder=encoder, custom_decoder=decoder)
    assert model.encoder is encoder and model.decoder is decoder


def test_transformer_begins_with_xavier():
    mg.manual_seed(0)
    model = nn.Transformer(40, 2, 1, 1, 60)
    for p in model.parameters():
        if p.ndim > 1:
            np.testing.assert_allclose(p.abs().max().item(), math.sqrt(6 / sum(p.shape)), rtol=0.02)


@pytest.mark.parametrize("size", [0, 1, 4])
@pytest.mark.parametrize("dtype", [None, "float64"])
def test_causal_mask(size, dtype):
    ours = nn.Transformer.generate_square_subsequent_mask(size, dtype=dtype)
    theirs = torch.nn.Transformer.generate_square_subsequent_mask(size, dtype=dtype and getattr(torch, dtype))
    assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch.")
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize(
    ("src", "tgt", "words"),
    [
        ((3, 2, D), (3, 3, D), r"Transformer: src and tgt must have the same dimensions and batch.*\(3, 2, 6\) and tgt \(3, 3, 6\)"),
        ((3, D), (3, 3, D), "the same dimensions and batch size"),
        ((3, 2, D + 1), (3, 2, D), r"must have d_model=6 features, got src \(3, 2, 7\)"),
        ((3, 2, D), (3, 2, D + 1), r"must have d_model=6 features"),
    ],
)
def test_transformer_refuses_other_shapes(src, tgt, words):
    with pytest.raises(RuntimeError, match=words):
        nn.Transformer(D, H, 1, 1, 7)(mg.ones(src), mg.ones(tgt))


# --------------------------------------------------------------------------------------------------------- positions


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
