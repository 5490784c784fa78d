"""Gradients that are zero but at one place, and how those of a tensor's slices become one.

`q, k, v = x.unbind()`, or `x.split(n)`, gives x three gradients that are zero but at one slice each. Adding them up one by
one would fill an array with zeros and then read and write all of it. If no two overlap, their values are simply written
side by side; and if they lie side by side already, as those that attention makes (kernels/cpu/attention.py), nothing is
copied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import backend


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


def place(index: Any) -> tuple[int, int | slice] | None:
    """(dimension, number or range) of an index such as [:, :, 2] or [:, 3:5]; None for any other."""
    if type(index) is not tuple:
        return None
    index = index[:-1] if index and index[-1] is Ellipsis else index
    if not index or any(type(part) is not slice or part != slice(None) for part in index[:-1]):
        return None
    last = index[-1]
    if type(last) is int or (type(last) is slice and last.step is None and last != slice(None)):
        return len(index) - 1, last
    return None


class Slices:
    """Gradients that are zero but at one slice each, all along one dimension.

    Args:
        dim: the dimension.
        shape: of the whole.
    """

    def __init__(self, dim: int, shape: tuple[int, ...]) -> None:
        self.dim = dim
        self.shape = shape
        self.parts: list[tuple[int, int, Any]] = []  # where each begins and ends, and its array

    def take(self, where: tuple[int, int | slice] | None, value: Any) -> bool:
        """Keep one more; False if it cannot be kept: it is along another dimension, or some of it is there already."""
        if where is None or where[0] != self.dim or not backend.is_array(value):
            return False
        dim, count = self.dim, self.shape[self.dim]
        if isinstance(where[1], slice):
            start, stop, _ = where[1].indices(count)
        else:
            start = where[1] % count
            stop, value = start + 1, value.reshape((*value.shape[:dim], 1, *value.shape[dim:]))
        if start >= stop or any(start < b and a < stop for a, b, _ in self.parts):
            return False
        self.parts.append((start, stop, value))
        return True

    def whole(self) -> Any:
        """All as one array. Others may see it: it is not to be written to."""
        parts = sorted(self.parts, key=lambda part: part[0])
        xp = backend.namespace(parts[0][2])
        if sum(stop - start for start, stop, _ in parts) == self.shape[self.dim]:
            if len(parts) == 1:
                return parts[0][2]
            if (step := self._step(parts)) is not None:
                strides = list(parts[0][2].strides)
                strides[self.dim] = step
                return xp.lib.stride_tricks.as_strided(parts[0][2], self.shape, strides)
        out, end = xp.empty(self.shape, parts[0][2].dtype), 0
        along = out.swapaxes(0, self.dim)
        for start, stop, value in parts:
            if end < start:
                along[end:start] = 0
            along[start:stop], end = value.swapaxes(0, self.dim), stop
        if end < len(along):
            along[end:] = 0
        return out

    def _step(self, parts: list[tuple[int, int, Any]]) -> int | None:
        """The stride along the dimension, if all parts lie in one array where the whole would have them."""
        first = parts[0][2]
        if first.base is None:
            return None
        strides = {v.strides[self.dim] for start, stop, v in parts if stop - start > 1}
        places = [backend.address(v) for _, _, v in parts]
        step = strides.pop() if strides else places[1] - places[0]
        others = [n for n in range(first.ndim) if n != self.dim]
        alike = all(
            v.base is first.base and v.dtype == first.dtype and at - places[0] == start * step
            and all(v.strides[n] == first.strides[n] and v.shape[n] == first.shape[n] for n in others)
            for at, (start, _, v) in zip(places, parts)
        )  # fmt: skip
        return step if alike and not strides else None
