"""Whether two results are the same, and if not, the first place where they differ, in words."""

from __future__ import annotations

from typing import Any

import numpy as np


class Raised:
    """In place of a result: the error that came instead."""

    def __init__(self, error: BaseException) -> None:
        self.type = type(error)
        self.text = " ".join(str(error).split())

    def __repr__(self) -> str:
        return f"{self.type.__name__}: {self.text}" if self.text else self.type.__name__


def difference(got: Any, want: Any, rtol: float = 1e-5, atol: float = 1e-8, where: str = "") -> str | None:
    """The first difference between what came and what was expected.

    Numbers, lists of numbers, arrays and Tensors are one kind of thing: arrays, compared within a tolerance, and equal
    only if their shapes are. Dictionaries, lists and tuples are compared part by part.

    Args:
        got, want: the two results.
        rtol, atol: two numbers are the same if |got - want| <= atol + rtol * |want|.
        where: which part of a larger result this is.

    Returns:
        A sentence, or None if there is no difference.

    >>> difference([1.0, 2.5], [1.0, 2.0])
    'expected [1, 2], got [1, 2.5]'
    >>> difference({"w": 1.0}, {"w": 1.0}) is None
    True
    """
    got, want = plain(got), plain(want)
    at = f"{where}: " if where else ""
    if isinstance(got, Raised) or isinstance(want, Raised):
        same = isinstance(got, Raised) and isinstance(want, Raised) and got.type is want.type
        return None if same else f"{at}expected {show(want)}, got {show(got)}"
    if isinstance(want, dict) and isinstance(got, dict):
        if list(got) != list(want) and set(got) != set(want):
            return f"{at}expected the keys {list(want)}, got {list(got)}"
        return _first(((got[key], want[key], f"{where} {key}".strip()) for key in want), rtol, atol)
    if isinstance(want, (list, tuple)) and isinstance(got, (list, tuple)):
        if len(got) != len(want):
            return f"{at}expected {len(want)} results, got {len(got)}"
        return _first(((g, w, f"{where} number {i + 1}".strip()) for i, (g, w) in enumerate(zip(got, want))), rtol, atol)
    if isinstance(want, np.ndarray) and isinstance(got, np.ndarray):
        return _arrays(got, want, rtol, atol, at)
    same = type(got) is type(want) and got == want
    return None if same else f"{at}expected {show(want)}, got {show(got)}"


def _first(parts: Any, rtol: float, atol: float) -> str | None:
    found = (difference(got, want, rtol, atol, where) for got, want, where in parts)
    return next((text for text in found if text), None)


def _arrays(got: np.ndarray, want: np.ndarray, rtol: float, atol: float, at: str) -> str | None:
    if got.shape != want.shape:
        return f"{at}expected {_shaped(want)}, got {_shaped(got)}"
    same = np.isclose(got, want, rtol, atol, equal_nan=True)
    if same.all():
        return None
    if want.size <= 6:
        return f"{at}expected {show(want)}, got {show(got)}"
    index = tuple(int(i) for i in np.argwhere(~same)[0])
    many = int((~same).sum())
    place = f"{many} of {want.size} elements differ, the first at {list(index)}"
    return f"{at}{place}: expected {show(want[index])}, got {show(got[index])}"


def plain(value: Any) -> Any:
    """A result without its wrapping: Tensors, numbers and lists of numbers become arrays, anything else stays."""
    if hasattr(value, "detach"):
        value = value.detach()
    if hasattr(value, "array") and isinstance(value.array, np.ndarray):
        return value.array
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, float, list, tuple, np.ndarray, np.generic)):
        try:
            array = np.asarray(value)
        except (ValueError, TypeError):  # rows of unequal length
            return value
        if array.dtype.kind in "iuf" or (array.dtype.kind == "b" and array.ndim):
            return array
        if isinstance(value, np.ndarray):
            return value.tolist()
    return value


def show(value: Any) -> str:
    """A result as it is printed in a report: short, six digits.

    >>> show(np.array([[0.5, 1.0], [2.0, 1 / 3]]))
    '[[0.5, 1], [2, 0.333333]]'
    """
    if isinstance(value, np.generic):
        value = np.asarray(value)
    if isinstance(value, Raised):
        return f"an error, {value!r}"
    if not isinstance(value, np.ndarray):
        text = repr(value)
        return text if len(text) <= 120 else text[:117] + "..."
    if value.size > 24:
        return f"an array of shape {value.shape}"
    return _number(value.item()) if not value.ndim else "[" + ", ".join(show(part) for part in value) + "]"


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _shaped(value: np.ndarray) -> str:
    return f"a number, {show(value)}" if not value.ndim else f"shape {value.shape}"
