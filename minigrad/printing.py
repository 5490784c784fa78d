"""How a tensor looks when printed: PyTorch's format, so that what a lesson shows can be compared."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from . import backend, dtypes

if TYPE_CHECKING:
    from .tensor import Tensor

THRESHOLD, EDGE, WIDTH, PRECISION = 1000, 3, 80, 4


def tensor_text(tensor: Tensor) -> str:
    """The text of a tensor: its numbers, and what is not plain about it."""
    array = backend.to_device(tensor.array, backend.CPU)
    notes = []
    if array.size == 0 and array.shape != (0,):
        notes.append(f"size={tuple(array.shape)}")
    if tensor.device.type != "cpu":
        notes.append(f"device='{tensor.device}'")
    if array.dtype not in (dtypes.get_default_dtype(), dtypes.int64, dtypes.bool) or (
        array.size == 0 and array.dtype != dtypes.get_default_dtype()
    ):
        notes.append(f"dtype={array.dtype}")
    if tensor.grad_fn is not None:
        notes.append(f"grad_fn=<{tensor.grad_fn.name}>")
    elif tensor.requires_grad:
        notes.append("requires_grad=True")
    prefix = "tensor(" if type(tensor).__name__ == "Tensor" else f"{type(tensor).__name__} containing:\ntensor("
    text = prefix + ("[]" if array.size == 0 else _body(array))
    used = len(text) - text.rfind("\n") + 1
    for note in notes:
        fits = used + len(note) + 2 <= WIDTH
        text += (", " if fits else ",\n" + " " * 7) + note
        used = used + len(note) + 2 if fits else 7 + len(note)
    return text + ")"


def _body(array: np.ndarray) -> str:
    shown = array
    if array.size > THRESHOLD:
        for axis in range(array.ndim):
            if shown.shape[axis] > 2 * EDGE:
                keep = [*range(EDGE), *range(-EDGE, 0)]
                shown = shown.take(keep, axis=axis)
    one = _number_format(shown.astype(np.float64) if array.dtype.kind == "f" else shown)
    if array.ndim == 0:
        return one(array.item()).strip()
    return _rows(array, one, array.size > THRESHOLD, indent=7)


def _number_format(shown: np.ndarray) -> Callable[[Any], str]:
    """How to write one number, so that all take the same width."""
    if shown.dtype.kind != "f":
        width = max(len(str(v)) for v in shown.reshape(-1).tolist())
        return lambda v: str(v).rjust(width)
    decisive = shown[np.isfinite(shown) & (shown != 0)]
    high, low = (np.abs(decisive).max(), np.abs(decisive).min()) if decisive.size else (1.0, 1.0)
    whole = bool((decisive == np.ceil(decisive)).all())
    form = ".0f" if whole else f".{PRECISION}f"
    if high / low > 1000 or high > 1e8 or (low < 1e-4 and not whole):
        form = f".{PRECISION}e"

    def write(v: float) -> str:
        return format(v, form) + ("." if form == ".0f" and math.isfinite(v) else "")

    width = max((len(write(v)) for v in decisive.tolist()), default=1)
    return lambda v: write(v).rjust(width)


def _rows(array: np.ndarray, one: Any, shorten: bool, indent: int) -> str:
    n = len(array)
    cut = shorten and n > 2 * EDGE
    items = [*array[:EDGE], None, *array[-EDGE:]] if cut else list(array)
    margin = " " * (indent + 1)
    if array.ndim == 1:
        words = [" ..." if item is None else one(item.item()) for item in items]
        per_line = max(1, (WIDTH - indent) // (len(words[0]) + 2))
        lines = [", ".join(words[i : i + per_line]) for i in range(0, len(words), per_line)]
        return "[" + (",\n" + margin).join(lines) + "]"
    parts = ["..." if item is None else _rows(item, one, shorten, indent + 1) for item in items]
    return "[" + ("," + "\n" * (array.ndim - 1) + margin).join(parts) + "]"
