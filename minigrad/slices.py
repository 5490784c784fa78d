"""Gradients that are zero but at one place, and how those of a tensor's slices become one.

`q, k, v = x.unbind()` gives x three gradients that are zero but at one slice each. Adding them up one by one would fill
an array with zeros and then read and write all of it. If each slice came once, their values are simply written side by
side; and if they lie side by side already, as those that attention makes (kernels/cpu/attention.py), nothing is copied.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np


class At:
    """A gradient that is zero but at one index: adding it to another touches that part only."""

    __slots__ = ("dtype", "index", "repeats", "shape", "value")

    def __init__(self, value: Any, shape: tuple[int, ...], index: Any, repeats: Callable | None) -> None:
        self.value = value
        self.dtype = value.dtype
        self.shape = shape
        self.index = index
        self.repeats = repeats  # how to add if the same place may occur twice in the index

    def add_to(self, target: Any) -> None:
        if self.repeats:
            self.repeats(target, self.index, self.value)
        else:
            target[self.index] += self.value


def place(index: Any) -> tuple[int, int] | None:
    """(dimension, number) of an index such as [:, :, 2]; None for any other."""
    if type(index) is not tuple:
        return None
    index = index[:-1] if index and index[-1] is Ellipsis else index
    if not index or type(index[-1]) is not int or any(type(part) is not slice or part != slice(None) for part in index[:-1]):
        return None
    return len(index) - 1, index[-1]


class Slices:
    """Gradients that are zero but at one slice each, all along one dimension.

    Args:
        dim: the dimension.
        shape: of the whole.
    """

    def __init__(self, dim: int, shape: tuple[int, ...]) -> None:
        self.dim = dim
        self.shape = shape
        self.values: dict[int, np.ndarray] = {}

    def take(self, where: tuple[int, int] | None, value: Any) -> bool:
        """Keep one more; False if it cannot be kept: it is along another dimension, or this slice is there already."""
        if where is None or where[0] != self.dim or type(value) is not np.ndarray:
            return False
        number = where[1] % self.shape[self.dim]
        return self.values.setdefault(number, value) is value

    def whole(self) -> np.ndarray:
        """All as one array. Others may see it: it is not to be written to."""
        count, values = self.shape[self.dim], self.values
        first = next(iter(values.values()))
        if len(values) == count > 1 and (step := self._step()) is not None:
            strides = (*first.strides[: self.dim], step, *first.strides[self.dim :])
            return np.lib.stride_tricks.as_strided(values[0], self.shape, strides)
        out = (np.empty if len(values) == count else np.zeros)(self.shape, first.dtype)
        along = np.moveaxis(out, self.dim, 0)
        for number, value in values.items():
            along[number] = value
        return out

    def _step(self) -> int | None:
        """How far apart in memory the slices lie, if it is the same everywhere and they are parts of one array."""
        values = [self.values[i] for i in range(len(self.values))]
        first, places = values[0], [v.__array_interface__["data"][0] for v in values]
        alike = all(v.base is first.base and v.strides == first.strides and v.dtype == first.dtype for v in values)
        if first.base is None or not alike or any(v.shape != first.shape for v in values):
            return None
        step = places[1] - places[0]
        return step if all(b - a == step for a, b in pairwise(places)) else None
