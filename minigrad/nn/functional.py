"""The functions under the layers, stateless (as `torch.nn.functional`).

What has derivative rules of its own lives in `minigrad.ops` and only gets its second name here. What is defined here is
a line or two on top of that. Where PyTorch has `inplace`, the result can be written into the input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..ops.attention import scaled_dot_product_attention
from ..ops.elementwise import clamp, expm1, gelu, log, logsigmoid, sigmoid, sqrt, tanh, where
from ..ops.elementwise import relu as _relu
from ..ops.indexing import embedding, one_hot
from ..ops.linalg import linear
from ..ops.loss import (
    _reduce,
    _same_shape,
    binary_cross_entropy_with_logits,
    cross_entropy,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
)
from ..ops.norm import layer_norm
from ..ops.random import dropout
from ..ops.reduction import amax
from ..ops.reduction import log_softmax as _log_softmax
from ..ops.reduction import softmax as _softmax
from ..ops.shape import pad

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cosine_similarity", "cross_entropy", "dropout", "elu",
    "embedding", "gelu", "hardtanh", "huber_loss", "kl_div", "l1_loss", "layer_norm", "leaky_relu", "linear",
    "log_softmax", "logsigmoid", "mse_loss", "nll_loss", "normalize", "one_hot", "pad", "relu", "relu6",
    "scaled_dot_product_attention", "sigmoid", "silu", "smooth_l1_loss", "softmax", "softmin", "softplus", "softsign",
    "tanh",
]  # fmt: skip

# ----------------------------------------------------------------------------------------------------- activations


def _place(function: Callable, input: Any, inplace: bool) -> Any:
    """The function's result; in place it works on a copy, since backward may need what stood there."""
    return input._assign("inplace", function(input.clone())) if inplace else function(input)


def relu(input: Any, inplace: bool = False) -> Any:
    """max(x, 0); its gradient at 0 is 0. Source: `torch.nn.functional.relu`.

    >>> import minigrad as mg
    >>> relu(mg.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return _place(_relu, input, inplace)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """x above 0, negative_slope * x below. Source: `torch.nn.functional.leaky_relu`.

    >>> import minigrad as mg
    >>> leaky_relu(mg.tensor([-1.0, 2.0]), 0.5)
    tensor([-0.5000,  2.0000])
    """
    return _place(lambda x: where(x > 0, x, x * negative_slope), input, inplace)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x above 0, alpha * (exp(x) - 1) below. Source: `torch.nn.functional.elu`.

    >>> import minigrad as mg
    >>> elu(mg.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """
    # clamped, since exp of a large number is inf, and inf * 0 in the gradient is NaN
    return _place(lambda x: where(x > 0, x, expm1(clamp(x, max=0)) * alpha), input, inplace)


def silu(input: Any, inplace: bool = False) -> Any:
    """x * sigmoid(x), also called swish. Source: `torch.nn.functional.silu`.

    >>> import minigrad as mg
    >>> silu(mg.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7311])
    """
    return _place(lambda x: x * sigmoid(x), input, inplace)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """x, but not below min_val and not above max_val. Source: `torch.nn.functional.hardtanh`.

    Unlike that of clamp, its gradient at both is 0.

    >>> import minigrad as mg
    >>> hardtanh(mg.tensor([-3.0, 0.5, 3.0]))
    tensor([-1.0000,  0.5000,  1.0000])
    """

    def cut(x: Any) -> Any:
        return where((x > min_val) & (x < max_val), x, clamp(x.detach(), min_val, max_val))

    return _place(cut, input, inplace)


def relu6(input: Any, inplace: bool = False) -> Any:
    """x, but not below 0 and not above 6. Source: `torch.nn.functional.relu6`."""
    return hardtanh(input, 0.0, 6.0, inplace)


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + exp(beta * x)) / beta, and x where beta * x is above threshold. Source: `torch.nn.functional.softplus`.

    >>> import minigrad as mg
    >>> softplus(mg.tensor([-1.0, 0.0, 100.0]))
    tensor([  0.3133,   0.6931, 100.0000])
    """
    scaled = input * beta
    return where(scaled > threshold, input, logsigmoid(-scaled) / -beta)


def softsign(input: Any) -> Any:
    """x / (1 + |x|). Source: `torch.nn.functional.softsign`."""
    return input / (1 + input.abs())


def _required(name: str, input: Any, dim: int | None) -> int:
    if dim is None:
        raise ValueError(
            f"{name}: say along which dimension to normalise an input of shape {tuple(input.shape)}, for example dim=-1"
        )
    return dim


def softmax(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """exp(x) / sum(exp(x)) along a dimension: positive, and 1 in sum. Source: `torch.nn.functional.softmax`.

    Args:
        input: any shape.
        dim: along which to normalise; required.
        dtype: convert to this first.

    Raises:
        ValueError: no dim.

    >>> import minigrad as mg
    >>> softmax(mg.tensor([1000.0, 1000.0, 0.0]), dim=0)
    tensor([0.5000, 0.5000, 0.0000])
    """
    return _softmax(input, _required("softmax", input, dim), dtype)


def log_softmax(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """log(softmax(x)) without overflow, see `softmax`. Source: `torch.nn.functional.log_softmax`."""
    return _log_softmax(input, _required("log_softmax", input, dim), dtype)


def softmin(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """softmax(-x). Source: `torch.nn.functional.softmin`."""
    return _softmax(-input, _required("softmin", input, dim), dtype)


# ----------------------------------------------------------------------------------------------- lengths and angles


def _vector_norm(input: Any, p: float, dim: Any) -> Any:
    """The p-norm along a dimension, which is kept; its gradient at the zero vector is 0."""
    if p == float("inf"):
        return amax(input.abs(), dim, True)
    total = (input * input if p == 2 else input.abs() ** p).sum(dim, True)
    zero = total == 0
    root = where(zero, 1.0, total)
    return where(zero, 0.0, sqrt(root) if p == 2 else root ** (1 / p))


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    """Each vector along a dimension divided by its p-norm, or by eps if that is larger.

    Source: `torch.nn.functional.normalize`.

    >>> import minigrad as mg
    >>> normalize(mg.tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """
    return input / clamp(_vector_norm(input, p, dim), min=eps)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """Cosine of the angle between vectors along a dimension. Source: `torch.nn.functional.cosine_similarity`.

    Args:
        x1, x2: tensors whose shapes broadcast.
        dim: along which the vectors lie, in the broadcast shape.
        eps: the least length to divide by.

    >>> import minigrad as mg
    >>> cosine_similarity(mg.tensor([1.0, 0.0]), mg.tensor([1.0, 1.0]), dim=0)
    tensor(0.7071)
    """
    x1, x2 = (x.reshape((1,) * (max(x1.ndim, x2.ndim) - x.ndim) + tuple(x.shape)) for x in (x1, x2))
    return (normalize(x1, 2.0, dim, eps) * normalize(x2, 2.0, dim, eps)).sum(dim)


# ----------------------------------------------------------------------------------------------------------- losses


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """d*d / (2 * beta) where the difference d is below beta, |d| - beta / 2 beyond.

    Args:
        input, target: of the same shape.
        reduction: "mean", "sum" or "none".
        beta: where the parabola becomes a line; 0 gives `l1_loss`.

    Raises:
        ValueError: different shapes, or another reduction.
        RuntimeError: beta is negative.

    Source: Girshick, Fast R-CNN, 2015; `torch.nn.functional.smooth_l1_loss`.

    >>> import minigrad as mg
    >>> smooth_l1_loss(mg.tensor([0.5, 3.0]), mg.tensor([0.0, 0.0]), reduction="none")
    tensor([0.1250, 2.5000])
    """
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction)
    _same_shape("smooth_l1_loss", input, target)
    d = (input - target).abs()
    return _reduce("smooth_l1_loss", where(d < beta, d * d * (0.5 / beta), d - 0.5 * beta), reduction)


def huber_loss(
    input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None
) -> Any:
    """d*d / 2 where the difference d is up to delta, delta * (|d| - delta / 2) beyond.

    Args:
        input, target: of the same shape.
        reduction: "mean", "sum" or "none".
        delta: where the parabola becomes a line; above 0.
        weight: of each element.

    Source: Huber, 1964; `torch.nn.functional.huber_loss`.

    >>> import minigrad as mg
    >>> huber_loss(mg.tensor([0.5, 3.0]), mg.tensor([0.0, 0.0]), reduction="none", delta=2.0)
    tensor([0.1250, 4.0000])
    """
    if delta <= 0:
        raise RuntimeError(f"huber_loss: delta must be above 0, got {delta}")
    _same_shape("huber_loss", input, target)
    d = (input - target).abs()
    loss = where(d <= delta, d * d * 0.5, (d - 0.5 * delta) * delta)
    return _reduce("huber_loss", loss if weight is None else loss * weight, reduction)


def _clamped_log(p: Any) -> Any:
    """log(p), but not below -100, and with gradient 0 there."""
    tiny = p < 1e-43
    return where(tiny, -100.0, log(where(tiny, 1.0, p)))


def binary_cross_entropy(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """Negative log likelihood of yes/no targets, from probabilities.

    Logarithms stop at -100, so that the loss stays finite; where one does, the gradient is 0 (PyTorch's is 1e12).
    Better use `binary_cross_entropy_with_logits`, which is exact.

    Args:
        input: probabilities from 0 to 1, any shape.
        target: probabilities of the same shape.
        weight: of each element.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: different shapes, or another reduction.
        RuntimeError: an input outside of 0 to 1.

    Source: `torch.nn.functional.binary_cross_entropy`.

    >>> import minigrad as mg
    >>> binary_cross_entropy(mg.tensor([0.5, 0.0]), mg.tensor([1.0, 1.0]), reduction="none")
    tensor([  0.6931, 100.0000])
    """
    _same_shape("binary_cross_entropy", input, target)
    if not bool(((input >= 0) & (input <= 1)).all()):
        raise RuntimeError("binary_cross_entropy: inputs must be from 0 to 1; for logits use the _with_logits form")
    loss = -(target * _clamped_log(input) + (1 - target) * _clamped_log(1 - input))
    return _reduce("binary_cross_entropy", loss if weight is None else loss * weight, reduction)
