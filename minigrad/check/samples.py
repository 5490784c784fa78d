"""Arguments to try each operation with, for `minigrad check`."""

from __future__ import annotations

from typing import Any

import minigrad as mg
from minigrad.nn import functional as F
from minigrad.ops import conv, conversion, indexing, reduction, rnn, shape

from ..composite import alias

# An operation that is not listed in SAMPLES is called under its own name, with arguments of shape (2, 3).
POSITIVE = {"log", "log2", "log10", "log1p", "sqrt", "rsqrt", "pow", "fmod", "remainder"}  # with positive numbers
NOT_HERE = {"transfer": "it needs two devices"}
CLASSES, MASK = mg.tensor([2, 0]), mg.tensor([[True, False, True], [False, True, True]])
PLANE = conv.Geometry((2, 1), (1, 2), 1)


def _spd(x: Any) -> Any:
    """A symmetric matrix with positive and distinct eigenvalues."""
    return x @ x.mT + mg.diag_embed(mg.arange(1.0, 4.0).double())


def _written(x: Any, value: Any) -> Any:
    y = x * 1
    y[:, 1] = value
    return y


def _written_view(x: Any, value: Any) -> Any:
    y = x * 1
    y[0].mul_(value)
    return y


SAMPLES: dict[str, tuple] = {  # operation: (function, shapes of its inputs)
    "alias": (alias, (2, 3)),
    "cast": (lambda x: conversion.cast(x, dtype=mg.float64), (2, 3)),
    "cat": (lambda x, y: mg.cat([x, y], 1), (2, 3), (2, 1)),
    "clamp": (mg.clamp, (4, 5), (4, 5), (4, 5)),
    "cholesky": (lambda x: mg.linalg.cholesky(_spd(x)), (3, 3)),
    "contiguous": (lambda x: shape.contiguous(x.mT), (2, 3)),
    "cumsum": (lambda x: x.cumsum(1), (2, 3)),
    "det": (mg.linalg.det, (3, 3)),
    "diagonal": (lambda x: x.diagonal(1), (3, 4)),
    "eigh": (lambda x: tuple(mg.linalg.eigh(_spd(x))), (3, 3)),
    "embedding": (lambda w: F.embedding(CLASSES, w), (3, 4)),
    "expand": (lambda x: x.expand(4, 2, 3), (2, 1)),
    "flip": (lambda x: x.flip(0), (2, 3)),
    "inv": (mg.linalg.inv, (3, 3)),
    "linear": (F.linear, (2, 3), (4, 3), (4,)),
    "log_softmax": (lambda x: x.log_softmax(1), (2, 3)),
    "logabsdet": (lambda x: mg.linalg.slogdet(x)[1], (3, 3)),
    "logistic_loss": (lambda x, y: F.binary_cross_entropy_with_logits(x, y), (2, 3), (2, 3)),
    "masked_fill": (lambda x, value: x.masked_fill(MASK, value), (2, 3), ()),
    "matmul": (mg.matmul, (2, 3), (3, 4)),
    "on_diagonal": (lambda x: mg.diag_embed(x, 1), (2, 3)),
    "pad_constant": (lambda x: F.pad(x, (1, 2)), (2, 3)),
    "permute": (lambda x: x.permute(2, 0, 1), (2, 3, 2)),
    "pinv": (mg.linalg.pinv, (3, 2)),
    "put": (lambda x: indexing._put(x, shape=(4, 3), index=slice(1, 3), repeats=False), (2, 3)),
    "qr": (lambda x: tuple(mg.linalg.qr(x)), (3, 2)),
    "reshape": (lambda x: x.reshape(3, 2), (2, 3)),
    "safe_softmax": (lambda x: reduction.safe_softmax(x, dim=1), (2, 3)),
    "scatter_extreme": (lambda x, y: x.scatter_reduce(1, CLASSES.reshape(2, 1), y, "amax"), (2, 3), (2, 1)),
    "select": (lambda x: x[[0, 1, 1]], (2, 3)),
    "slice": (lambda x: x[:, ::2], (2, 3)),
    "softmax": (lambda x: x.softmax(1), (2, 3)),
    "solve": (mg.linalg.solve, (3, 3), (3, 2)),
    "squared_error": (F.mse_loss, (2, 3), (2, 3)),
    "svd": (lambda x: tuple(mg.linalg.svd(x, full_matrices=False)), (3, 2)),
    "transpose": (lambda x: x.transpose(0, 1), (2, 3)),
    "true_div": (mg.div, (2, 3), (2, 3)),
    "where": (lambda x, y: mg.where(MASK, x, y), (2, 3), (2, 3)),
    "write": (_written, (2, 3), (2,)),
    "write_view": (_written_view, (2, 3), (3,)),
    # convolutions and their adjoints, each of which is a derivative of another
    "conv": (lambda x, w: conv.conv(x, w, geometry=PLANE), (2, 3, 5, 4), (2, 3, 3, 2)),
    "conv_transpose": (lambda y, w: conv.conv_transpose(y, w, size=(5, 4), geometry=PLANE), (2, 2, 2, 2), (2, 3, 3, 2)),
    "correlate": (lambda x, y: conv.correlate(x, y, kernel=(3, 2), geometry=PLANE), (2, 3, 5, 4), (2, 2, 2, 2)),
    "overlap_add": (lambda x: conv.overlap_add(x, size=(5,), stride=(2,), dilation=(1,)), (2, 3, 2)),
    "windows": (lambda x: conv.windows(x, kernel=(3,), stride=(2,), dilation=(1,)) * 1, (2, 5)),
    # compositions with fused passes
    "attention": (F.scaled_dot_product_attention, (2, 3, 4), (2, 5, 4), (2, 5, 3)),
    "cross_entropy": (lambda x: F.cross_entropy(x, CLASSES), (2, 3)),
    "gelu": (F.gelu, (2, 3)),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (3,), w, b), (2, 3), (3,), (3,)),
    "convolution": (lambda x, w, b: F.conv2d(x, w, b, padding=1), (2, 3, 3, 4), (2, 3, 3, 2), (2,)),
    "recurrence": (
        lambda *a: rnn.recurrence(*a, mode="LSTM", sizes=(2, 1)), (3, 3), (2, 4), (8, 3), (8, 2), (8,), (8,),
    ),
    "max_windows": (lambda x: F.max_pool1d(x, 2), (2, 3, 6)),
    "standardize": (lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), (4, 2, 3), (2,), (2,)),
    "silu": (F.silu, (2, 3)),
    "rms_norm": (lambda x, w: F.rms_norm(x, (3,), w), (2, 3), (3,)),
}  # fmt: skip
