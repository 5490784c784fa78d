"""Normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..composite import composite
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
