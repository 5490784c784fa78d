"""Draws."""

from __future__ import annotations

from typing import Any

from .. import backend
from .. import op as op_module
from ..errors import explained


def _rng(where: Any, generator: Any) -> Any:
    return (generator or backend.default_generator(where)).rng


@explained
def bernoulli(input: Any, *, generator: Any = None) -> Any:
    """1 with the probability that the element gives, else 0; no gradient. Source: `torch.bernoulli`.

    >>> import minigrad as mg
    >>> mg.bernoulli(mg.tensor([0.0, 1.0]))
    tensor([0., 1.])
    """
    p = input.array
    if p.size and not (p.min() >= 0 and p.max() <= 1):
        raise RuntimeError(f"bernoulli: probabilities must be from 0 to 1, got {p.min()} to {p.max()}")
    drawn = _rng(input.device, generator).random(p.shape) < p
    return op_module.Tensor._wrap(drawn.astype(p.dtype))


@explained
def multinomial(input: Any, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Any:
    """Draw class numbers with probabilities in proportion to the weights in each row. Source: `torch.multinomial`.

    Args:
        input: weights, not negative, (classes,) or (rows, classes).
        num_samples: how many to draw from each row.
        replacement: whether a class can be drawn again.
        generator: source of random numbers.

    Returns:
        int64, (num_samples,) or (rows, num_samples).

    Raises:
        RuntimeError: negative, infinite or all-zero weights, or more draws than there are classes to draw.

    >>> import minigrad as mg
    >>> mg.multinomial(mg.tensor([0.0, 1.0]), 3, replacement=True)
    tensor([1, 1, 1])
    """
    weights = input.array
    xp = backend.namespace(weights)
    if weights.ndim not in (1, 2):
        raise RuntimeError(f"multinomial: expected 1 or 2 dimensions, got shape {tuple(weights.shape)}")
    rows = xp.atleast_2d(weights).astype(xp.float64)
    totals = rows.sum(axis=1, keepdims=True)
    if not (xp.isfinite(rows).all() and (rows >= 0).all() and (totals > 0).all()):
        raise RuntimeError("multinomial: weights must be finite, not negative, and not all zero in a row")
    if not replacement and num_samples > int((rows > 0).sum(axis=1).min()):
        raise RuntimeError(f"multinomial: cannot draw {num_samples} different classes: fewer have a weight above zero")
    rng = _rng(input.device, generator)
    if replacement:
        edges = xp.cumsum(rows / totals, axis=1)
        edges[:, -1] = 1
        drawn = xp.stack([xp.searchsorted(e, rng.random(num_samples), side="right") for e in edges])
    else:  # the order of -log(u) / weight is that of drawing one after the other (Efraimidis and Spirakis, 2006)
        waits = -xp.log(1 - rng.random(rows.shape)) / xp.where(rows > 0, rows, 1)
        drawn = xp.argsort(xp.where(rows > 0, waits, xp.inf), axis=1)[:, :num_samples]
    return op_module.Tensor._wrap((drawn if weights.ndim == 2 else drawn[0]).astype(xp.int64))
