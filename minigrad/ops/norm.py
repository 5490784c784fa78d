"""Normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..composite import composite
from ..errors import explained
from ..kernels import cpu as kernels
from .elementwise import rsqrt
from .reduction import mean


@composite
def _layer_norm(input, weight=None, bias=None, *, dims, eps):
    centred = input - mean(input, dims, True)
    out = centred * rsqrt(mean(centred * centred, dims, True) + eps)
    if weight is not None:
        out = out * weight
    return out if bias is None else out + bias


_layer_norm.fused("cpu", kernels.layer_norm, kernels.layer_norm_backward)


@explained
def layer_norm(
    input: Any, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Shift and scale the last dimensions to mean 0 and variance 1, then by weight and bias.

    Args:
        input: (..., *normalized_shape).
        normalized_shape: sizes of the last dimensions, over which mean and variance are taken.
        weight, bias: of that shape, or None.
        eps: added to the variance.

    Raises:
        RuntimeError: the input does not end in normalized_shape, or weight or bias have another shape.

    Source: Ba, Kiros and Hinton, Layer Normalization, 2016; `torch.nn.functional.layer_norm`.

    >>> import minigrad as mg
    >>> mg.nn.functional.layer_norm(mg.tensor([[1.0, 2.0, 3.0]]), (3,))
    tensor([[-1.2247,  0.0000,  1.2247]])
    """
    expected = tuple(normalized_shape)
    if not expected or tuple(input.shape[-len(expected) :]) != expected:
        raise RuntimeError(
            f"layer_norm: expected an input whose shape ends in {expected}, got {tuple(input.shape)}"
        )
    for name, x in (("weight", weight), ("bias", bias)):
        if x is not None and tuple(x.shape) != expected:
            raise RuntimeError(f"layer_norm: {name} must have shape {expected}, got {tuple(x.shape)}")
    return _layer_norm(input, weight, bias, dims=tuple(range(-len(expected), 0)), eps=eps)


@composite
def _rms_norm(input, weight=None, *, dims, eps):
    out = input * rsqrt(mean(input * input, dims, True) + eps)
    return out if weight is None else out * weight


_rms_norm.fused("cpu", kernels.rms_norm, kernels.rms_norm_backward)


@explained
def rms_norm(input: Any, normalized_shape: Sequence[int], weight: Any = None, eps: float | None = None) -> Any:
    """Scale the last dimensions to mean square 1, then by weight.

    Args:
        input: (..., *normalized_shape).
        normalized_shape: sizes of the last dimensions, over which the mean is taken.
        weight: of that shape, or None.
        eps: added to the mean square; if None, the distance of the dtype's 1 to its next number.

    Raises:
        RuntimeError: the input does not end in normalized_shape, or weight has another shape.

    Source: Zhang and Sennrich, Root Mean Square Layer Normalization, 2019; `torch.nn.functional.rms_norm`.

    >>> import minigrad as mg
    >>> rms_norm(mg.tensor([3.0, 4.0]), (2,))
    tensor([0.8485, 1.1314])
    """
    expected = tuple(normalized_shape)
    if not expected or tuple(input.shape[-len(expected) :]) != expected:
        raise RuntimeError(f"rms_norm: expected an input whose shape ends in {expected}, got {tuple(input.shape)}")
    if weight is not None and tuple(weight.shape) != expected:
        raise RuntimeError(f"rms_norm: weight must have shape {expected}, got {tuple(weight.shape)}")
    eps = float(np.finfo(input.dtype).eps) if eps is None else eps
    return _rms_norm(input, weight, dims=tuple(range(-len(expected), 0)), eps=eps)
