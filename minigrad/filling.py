"""Data into tensors: what users may call data, writing it over a tensor, drawing random numbers, new tensors like it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import backend, dtypes, op
from .backend import Array
from .methods import Methods
from .ops import shape as shapes


def as_array(name: str, data: Any, dtype: Any, device: Any, copy: bool) -> Array:
    """Whatever users call data, as an array of a supported dtype on the right device."""
    if isinstance(data, op.Tensor):
        data = data.array
    elif isinstance(data, (list, tuple)) and any(isinstance(x, op.Tensor) for x in data):
        data = [x.tolist() if isinstance(x, op.Tensor) else x for x in data]
    if hasattr(data, "dtype") and hasattr(data, "shape"):
        array = data if not isinstance(data, np.generic) else np.asarray(data)
        target = dtypes.as_dtype(array.dtype if dtype is None else dtype)
        place = backend.device_of(array) if device is None else backend.as_device(device)
    else:
        try:
            array = np.array(data)
        except ValueError:
            raise ValueError(f"{name}: expected nested lists of equal lengths, got lists that differ in length") from None
        if array.dtype.kind not in "biuf":
            raise TypeError(f"{name}: expected numbers or nested lists of numbers, got {type(data).__name__} of {array.dtype}")
        kinds = {"f": dtypes.get_default_dtype(), "b": dtypes.bool}
        default = dtypes.get_default_dtype() if array.size == 0 else kinds.get(array.dtype.kind, dtypes.int64)
        target, copy, place = dtypes.as_dtype(default if dtype is None else dtype), False, backend.as_device(device)
    array = array.astype(target, copy=copy, order="C" if copy else "K")
    return backend.to_device(array, place)


class Filling(Methods):
    """What a Tensor inherits: filling it, and making others like it."""

    __slots__ = ()
    array: Array
    dtype: Any
    device: Any
    _check_writable: Callable
    _bump: Callable

    def copy_(self, src: Any, non_blocking: Any = False) -> Any:
        """Write another tensor's numbers into this one, broadcasting."""
        self[...] = src if isinstance(src, op.Tensor) else op.Tensor(src)
        return self

    def fill_(self, value: Any) -> Any:
        """Write one number everywhere."""
        self[...] = value
        return self

    def fill_diagonal_(self, fill_value: Any) -> Any:
        """Write one number on the diagonal of a matrix."""
        self.diagonal().fill_(fill_value)
        return self

    def zero_(self) -> Any:
        """Write zero everywhere."""
        return self.fill_(0)

    def normal_(self, mean: Any = 0.0, std: Any = 1.0, *, generator: Any = None) -> Any:
        """Write normal random numbers."""
        return self._draw("normal_", "standard_normal", generator, std, mean)

    def uniform_(self, from_: Any = 0.0, to: Any = 1.0, *, generator: Any = None) -> Any:
        """Write uniform random numbers between two bounds (the first is called `from` in PyTorch)."""
        return self._draw("uniform_", "random", generator, to - from_, from_)

    def exponential_(self, lambd: Any = 1.0, *, generator: Any = None) -> Any:
        """Write exponential random numbers with mean 1 / lambd."""
        return self._draw("exponential_", "standard_exponential", generator, 1 / lambd, 0.0)

    def random_(self, from_: Any = 0, to: Any = None, *, generator: Any = None) -> Any:
        """Write random integers from `from_` to below `to`; a single number is `to`; without one, up to 2**24."""
        low, high = (from_, to) if to is not None else (0, from_ or 2**24)
        rng = (generator or backend.default_generator(self.device)).rng
        return self.copy_(op.Tensor._wrap(rng.integers(low, high, self.array.shape)))

    def bernoulli_(self, p: Any = 0.5, *, generator: Any = None) -> Any:
        """Write ones with probability p, else zeros."""
        self._draw("bernoulli_", "random", generator, 1.0, 0.0)
        self.array[...] = self.array < p
        return self

    def _draw(self, name: str, method: str, generator: Any, scale: Any, shift: Any) -> Any:
        self._check_writable(name)
        if self.array.dtype.kind != "f":
            raise RuntimeError(f"{name}: expected a floating point tensor, this one is {self.dtype}")
        draw = getattr((generator or backend.default_generator(self.device)).rng, method)
        made = self.array.dtype if self.array.dtype.itemsize >= 4 else dtypes.float32
        self.array[...] = draw(self.array.shape, dtype=made) * scale + shift
        self._bump()
        return self

    def new_tensor(self, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: Any = False) -> Any:
        """A tensor of data, with this one's dtype and device."""
        return op.Tensor(data, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad)

    def new_full(self, size: Any, fill_value: Any, **options: Any) -> Any:
        """A tensor with one number everywhere, with this one's dtype and device."""
        return self.new_tensor(np.full(size, fill_value), **options)

    def new_zeros(self, *size: Any, **options: Any) -> Any:
        """Zeros, with this one's dtype and device."""
        return self.new_tensor(np.zeros(shapes.sizes(size)), **options)

    def new_ones(self, *size: Any, **options: Any) -> Any:
        """Ones, with this one's dtype and device."""
        return self.new_tensor(np.ones(shapes.sizes(size)), **options)

    def new_empty(self, *size: Any, **options: Any) -> Any:
        """A tensor to be filled, with this one's dtype and device."""
        return self.new_tensor(np.empty(shapes.sizes(size)), **options)
