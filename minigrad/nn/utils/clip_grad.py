"""Making gradients smaller that are too large."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ... import backend
from ...tensor import Tensor

BLOCK = 1 << 13  # elements of a piece: above 10,000 OpenBLAS starts threads for a dot product, which costs more


def _gradients(parameters: Any) -> list[Tensor]:
    parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p.grad for p in parameters if p.grad is not None]


def _norm(xp: Any, arrays: list[Any], norm_type: float) -> Any:
    """The norm of all elements of all arrays, as a float64 number of no dimensions.

    Added up in float64, so that squares of float32 neither overflow nor vanish; on the CPU in pieces that stay in the
    cache.
    """
    parts = []
    for array in arrays:
        flat = array.reshape(-1)
        length = BLOCK if xp is np else max(1, flat.size)
        for start in range(0, flat.size, length):
            x = flat[start : start + length].astype("float64")
            if norm_type == 2:
                parts.append(xp.dot(x, x))
            else:
                parts.append(xp.abs(x).max() if norm_type == math.inf else (xp.abs(x) ** norm_type).sum())
    if not parts:
        return xp.zeros((), "float64")
    total = xp.stack(parts)
    return total.max() if norm_type == math.inf else total.sum() ** (1 / norm_type)


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients by one factor so that, taken together as one vector, their norm is at most max_norm.

    Args:
        parameters: those whose `.grad` to scale, in place.
        max_norm: the largest norm.
        norm_type: 2 is Euclid's; float("inf") takes the largest element.
        error_if_nonfinite: raise if the norm is NaN or infinite, before anything is changed.
        foreach: PyTorch's choice of implementation, no effect here.

    Returns:
        The norm before clipping, a tensor of no dimensions.

    Raises:
        RuntimeError: see error_if_nonfinite.

    Source: Pascanu et al., On the difficulty of training RNNs, 2013; `torch.nn.utils.clip_grad_norm_`.

    >>> import minigrad as mg
    >>> w = mg.tensor([1.0, 1.0], requires_grad=True)
    >>> (w * mg.tensor([3.0, 4.0])).sum().backward()
    >>> clip_grad_norm_(w, 1.0), w.grad
    (tensor(5.), tensor([0.6000, 0.8000]))
    """
    grads = _gradients(parameters)
    if not grads:
        return Tensor(0.0)
    warnings = backend.silence()  # an infinite norm is the caller's to notice, see error_if_nonfinite
    try:
        return _clip(backend.namespace(grads[0].array), grads, max_norm, norm_type, error_if_nonfinite)
    finally:
        backend.restore(warnings)


def _clip(xp: Any, grads: list[Tensor], max_norm: float, norm_type: float, error_if_nonfinite: bool) -> Tensor:
    total = _norm(xp, [g.array for g in grads], norm_type)
    if error_if_nonfinite and not bool(xp.isfinite(total)):
        raise RuntimeError(
            f"clip_grad_norm_: the norm of the gradients is {float(total)}; pass "
            "error_if_nonfinite=False to scale them all the same"
        )
    factor = xp.minimum(max_norm / (total + 1e-6), 1.0)
    if xp is not np or factor != 1:  # to ask a GPU would be to wait for it
        for g in grads:
            g.array *= factor.astype(g.dtype)
            g._bump()
    return Tensor._wrap(total.astype(grads[0].dtype))


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Cut every element of all gradients to at most clip_value in size, in place.

    Source: `torch.nn.utils.clip_grad_value_`.

    >>> import minigrad as mg
    >>> w = mg.tensor([1.0, 1.0], requires_grad=True)
    >>> (w * mg.tensor([3.0, -4.0])).sum().backward()
    >>> clip_grad_value_(w, 3.5); w.grad
    tensor([ 3.0000, -3.5000])
    """
    for g in _gradients(parameters):
        backend.namespace(g.array).clip(g.array, -clip_value, clip_value, out=g.array)
        g._bump()
