"""Making tensors: from data, from a rule, from chance."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import backend, dtypes
from .backend import Generator
from .errors import explained
from .filling import as_array
from .ops.shape import sizes
from .tensor import Tensor


def _finish(array: Any, requires_grad: bool = False) -> Tensor:
    tensor = Tensor._wrap(array)
    return tensor.requires_grad_() if requires_grad else tensor


def _shape(name: str, size: tuple) -> tuple[int, ...]:
    try:
        shape = sizes(size)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None
    if any(n < 0 for n in shape):
        raise RuntimeError(f"{name}: sizes must not be negative, got {shape}")
    return shape


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor with a copy of the data. Source: `torch.tensor`.

    Args:
        data: nested lists of numbers, an array, a tensor or a number.
        dtype: of the numbers; default float32 for Python floats, int64 for integers, an array's own for arrays.
        device: "cpu" or "cuda".
        requires_grad: collect gradients for it.

    Raises:
        ValueError: lists of different lengths.
        TypeError: something that is not numbers.

    >>> tensor([[1, 2], [3, 4.5]])
    tensor([[1.0000, 2.0000],
            [3.0000, 4.5000]])
    """
    return _finish(as_array("tensor", data, dtype, device, copy=True), requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """A tensor of the data, without copying if it can be. Source: `torch.as_tensor`.

    >>> a = np.zeros(2); as_tensor(a)[0] = 1; float(a[0])
    1.0
    """
    if isinstance(data, Tensor):
        return data.to(dtype=dtype, device=device)
    return _finish(as_array("as_tensor", data, dtype, device, copy=False))


def is_tensor(obj: Any) -> builtins.bool:
    """Whether something is a Tensor. Source: `torch.is_tensor`.

    >>> is_tensor(tensor(1.0)), is_tensor(np.ones(2))
    (True, False)
    """
    return isinstance(obj, Tensor)


def from_numpy(ndarray: np.ndarray) -> Tensor:
    """A tensor over a NumPy array's memory. Source: `torch.from_numpy`.

    Raises:
        TypeError: not a NumPy array, or of an unsupported dtype.

    >>> from_numpy(np.arange(3))
    tensor([0, 1, 2])
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"from_numpy: expected a numpy.ndarray, got {type(ndarray).__name__}")
    dtypes.as_dtype(ndarray.dtype)
    return _finish(ndarray)


def from_dlpack(ext_tensor: Any) -> Tensor:
    """A tensor over the memory of another library's array. Source: `torch.from_dlpack`."""
    library = np if ext_tensor.__dlpack_device__()[0] == 1 else backend.cupy()
    return _finish(library.from_dlpack(ext_tensor))


# ---------------------------------------------------------------------------------------------------- from a rule


@explained
def full(
    size: Sequence[int], fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor with one number everywhere. Source: `torch.full`.

    >>> full((2,), 3.5)
    tensor([3.5000, 3.5000])
    """
    if dtype is None:
        kinds = {builtins.bool: dtypes.bool, builtins.int: dtypes.int64}
        dtype = kinds.get(type(fill_value)) or getattr(fill_value, "dtype", None) or dtypes.get_default_dtype()
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    xp = backend.xp_for(backend.as_device(device))
    return _finish(xp.full(_shape("full", (size,)), fill_value, dtypes.as_dtype(dtype)), requires_grad)


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros. Source: `torch.zeros`.

    >>> zeros(2, 1)
    tensor([[0.],
            [0.]])
    """
    xp = backend.xp_for(backend.as_device(device))
    return _finish(xp.zeros(_shape("zeros", size), _dtype(dtype)), requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones. Source: `torch.ones`.

    >>> ones(2, dtype=int)
    tensor([1, 1])
    """
    xp = backend.xp_for(backend.as_device(device))
    return _finish(xp.ones(_shape("ones", size), _dtype(dtype)), requires_grad)


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor with whatever stood in its memory. Source: `torch.empty`.

    >>> empty(2, 3).shape
    Size([2, 3])
    """
    xp = backend.xp_for(backend.as_device(device))
    return _finish(xp.empty(_shape("empty", size), _dtype(dtype)), requires_grad)


def _dtype(dtype: Any) -> np.dtype:
    return dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)


@explained
def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones on the diagonal, zeros elsewhere. Source: `torch.eye`.

    >>> eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    xp = backend.xp_for(backend.as_device(device))
    return _finish(xp.eye(n, m, dtype=_dtype(dtype)), requires_grad)


@explained
def arange(
    start: float, end: float | None = None, step: float = 1, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers from start up to but without end, in steps; int64 if all three are integers. Source: `torch.arange`.

    >>> arange(3), arange(0, 1, 0.25)
    (tensor([0, 1, 2]), tensor([0.0000, 0.2500, 0.5000, 0.7500]))
    """
    if end is None:
        start, end = 0, start
    if step == 0 or (end - start) * step < 0:
        raise RuntimeError(f"arange: cannot get from {start} to {end} in steps of {step}")
    if dtype is None:
        integers = all(isinstance(x, (int, np.integer)) for x in (start, end, step))
        dtype = dtypes.int64 if integers else dtypes.get_default_dtype()
    xp = backend.xp_for(backend.as_device(device))
    return _finish(xp.arange(start, end, step).astype(dtypes.as_dtype(dtype)), requires_grad)


@explained
def linspace(
    start: float, end: float, steps: int, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """So many numbers evenly from start to end, both included. Source: `torch.linspace`.

    >>> linspace(0, 1, 5)
    tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    xp = backend.xp_for(backend.as_device(device))
    return _finish(xp.linspace(start, end, steps).astype(_dtype(dtype)), requires_grad)


def _like(make: Any, input: Tensor, args: tuple, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    return make(
        tuple(input.shape), *args, dtype=dtype or input.dtype, device=device or input.device, requires_grad=requires_grad
    )


@explained
def zeros_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of another tensor's shape, dtype and device. Source: `torch.zeros_like`."""
    return _like(zeros, input, (), dtype, device, requires_grad)


@explained
def ones_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of another tensor's shape, dtype and device. Source: `torch.ones_like`."""
    return _like(ones, input, (), dtype, device, requires_grad)


@explained
def empty_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """An uninitialised tensor of another one's shape, dtype and device. Source: `torch.empty_like`."""
    return _like(empty, input, (), dtype, device, requires_grad)


@explained
def full_like(
    input: Tensor, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """One number everywhere in another tensor's shape, dtype and device. Source: `torch.full_like`."""
    return _like(full, input, (fill_value,), dtype, device, requires_grad)


# ----------------------------------------------------------------------------------------------------- from chance


def _rng(generator: Generator | None, device: Any) -> Any:
    where = backend.as_device(device) if device is not None or generator is None else generator.device
    return (generator or backend.default_generator(where)).rng


def rand(
    *size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Uniform random numbers from 0 to below 1. Source: `torch.rand`.

    >>> 0 <= rand(()).item() < 1
    True
    """
    return _finish(_draw(_rng(generator, device).random, _shape("rand", size), _dtype(dtype)), requires_grad)


def randn(
    *size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Normal random numbers, mean 0 and standard deviation 1. Source: `torch.randn`.

    >>> randn(2, 3).shape
    Size([2, 3])
    """
    return _finish(_draw(_rng(generator, device).standard_normal, _shape("randn", size), _dtype(dtype)), requires_grad)


def _draw(draw: Any, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """The generators make float32 and float64."""
    made = dtype if dtype in (dtypes.float32, dtypes.float64) else dtypes.float32
    return draw(shape, dtype=made).astype(dtype, copy=False) if shape else draw((1,), dtype=made).astype(dtype)[0]


@explained
def randint(
    low: int, high: Any = None, size: Any = None, *, generator: Generator | None = None, dtype: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:
    """Random integers from low to below high. Source: `torch.randint`.

    >>> bool((randint(3, (100,)) < 3).all())
    True
    """
    if size is None:
        low, high, size = 0, low, high
    if low >= high:
        raise RuntimeError(f"randint: low {low} must be below high {high}")
    array = _rng(generator, device).integers(low, high, _shape("randint", (size,)))
    return _finish(array.astype(dtypes.int64 if dtype is None else dtypes.as_dtype(dtype)), requires_grad)


@explained
def randperm(n: int, *, generator: Generator | None = None, dtype: Any = None, device: Any = None) -> Tensor:
    """The numbers from 0 to n - 1 in random order. Source: `torch.randperm`.

    >>> sorted(randperm(5).tolist())
    [0, 1, 2, 3, 4]
    """
    array = _rng(generator, device).permutation(n)
    return _finish(array.astype(dtypes.int64 if dtype is None else dtypes.as_dtype(dtype)))


@explained
def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None, dtype: Any = None,
    device: Any = None,
) -> Tensor:
    """Normal random numbers of given means and standard deviations, numbers or tensors. Source: `torch.normal`.

    >>> normal(0.0, 1.0, (2, 3)).shape
    Size([2, 3])
    """
    if size is None:
        size = np.broadcast_shapes(*(tuple(x.shape) for x in (mean, std) if isinstance(x, Tensor)))
    return randn(size, generator=generator, dtype=dtype, device=device) * std + mean


@explained
def rand_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Uniform random numbers in another tensor's shape, dtype and device. Source: `torch.rand_like`."""
    return _like(rand, input, (), dtype, device, requires_grad)


@explained
def randn_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Normal random numbers in another tensor's shape, dtype and device. Source: `torch.randn_like`."""
    return _like(randn, input, (), dtype, device, requires_grad)
