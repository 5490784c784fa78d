"""Dropout: forgetting values at random while learning."""

from __future__ import annotations

from typing import Any

from .. import backend
from ..errors import explained


def _dropped(input, p):
    kept = backend.default_generator(input.device).rng.random(input.shape, dtype="float32") >= p
    scale = backend.xp_for(input.device).asarray(1 / (1 - p) if p < 1 else 0, input.dtype)
    return input * (kept * scale)


DROPPED = {"cpu": _dropped}  # for each type of device; see also cuda/dropout.py


@explained
def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Set elements to zero with probability p and scale the others by 1 / (1 - p), so that the mean stays.

    Args:
        input: any shape.
        p: probability of dropping an element.
        training: False returns the input.
        inplace: write the result into the input.

    Raises:
        ValueError: p is no probability.

    Source: Srivastava et al., Dropout, 2014; `torch.nn.functional.dropout`.

    >>> import minigrad as mg
    >>> _ = mg.manual_seed(0)
    >>> mg.nn.functional.dropout(mg.ones(4), 0.5)
    tensor([2., 2., 2., 0.])
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p must be from 0 to 1, got {p}")
    if not training or p == 0:
        return input
    result = DROPPED.get(input.device.type, _dropped)(input, p)
    return input._assign("dropout", result) if inplace else result
