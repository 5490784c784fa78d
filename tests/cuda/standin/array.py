"""The stand-in's array: a NumPy array that nobody else may touch, in memory of its own with guard zones."""

from __future__ import annotations

import inspect
import json
import operator
import types
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from .runtime import STATE

INTERFACE = json.loads((Path(__file__).parents[1] / "cupy_interface.json").read_text())
GUARD, ALIGNMENT = 256, 512
DTYPES = "?bBhHiIlLqQefdFD"


class Memory:
    """A piece of the device's memory, between two guard zones that nothing may write to."""

    def __init__(self, nbytes: int) -> None:
        self.raw = np.full(nbytes + ALIGNMENT + 2 * GUARD, 0xA5, np.uint8)
        self.start = -(self.raw.ctypes.data + GUARD) % ALIGNMENT + GUARD
        self.nbytes = nbytes
        self.raw[self.start : self.start + nbytes] = 0xFF  # reads as NaN, or as -1
        size = -(-max(nbytes, 1) // ALIGNMENT) * ALIGNMENT
        self.device = STATE.device
        STATE.allocate(size)
        STATE.live.add(self)
        weakref.finalize(self, STATE.free, size, self.device)

    def view(self, shape: tuple, dtype: Any, strides: tuple | None = None, offset: int = 0) -> np.ndarray:
        return np.ndarray(shape, dtype, self.raw.data, self.start + offset, strides)

    def check(self) -> None:
        """Whether something wrote outside."""
        before, after = self.raw[: self.start], self.raw[self.start + self.nbytes :]
        assert (before == 0xA5).all() and (after == 0xA5).all(), "the guard zone was written to: out of bounds"


class ndarray:
    """As `cupy.ndarray`. The methods and operators are put in below."""

    __array_priority__ = 100

    def __init__(self, shape: Any, dtype: Any = float) -> None:
        shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
        dtype = np.dtype(dtype)
        if dtype.char not in DTYPES:
            raise ValueError(f"Unsupported dtype {dtype}")
        self.memory = Memory(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
        self.a = self.memory.view(shape, dtype)
        self.base: Any = None

    shape = property(lambda self: self.a.shape)
    dtype = property(lambda self: self.a.dtype)
    ndim = property(lambda self: self.a.ndim)
    size = property(lambda self: self.a.size)
    strides = property(lambda self: self.a.strides)
    itemsize = property(lambda self: self.a.itemsize)
    nbytes = property(lambda self: self.a.nbytes)
    T = property(lambda self: wrap(self.a.T, self))
    device = property(lambda self: STATE.Device(self.memory.device))

    @property
    def flags(self) -> Any:
        f = self.a.flags
        return types.SimpleNamespace(c_contiguous=f.c_contiguous, f_contiguous=f.f_contiguous, owndata=self.base is None)

    @property
    def data(self) -> Any:
        return types.SimpleNamespace(ptr=self.a.ctypes.data, mem=self.memory)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array explicitly."
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or any(isinstance(x, np.ndarray) for x in inputs):
            return NotImplemented
        return UFUNCS[ufunc.__name__](*inputs, **kwargs)  # a NumPy number on the left

    def __len__(self) -> int:
        if not self.a.ndim:
            raise TypeError("len() of unsized object")
        return len(self.a)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        index = _index(index)
        if _has_arrays(index):
            STATE.begin()
            return wrap(_checked(self.a, index))
        return wrap(self.a[index if isinstance(index, tuple) and Ellipsis in index else _with_ellipsis(index)], self)

    def __setitem__(self, index: Any, value: Any) -> None:
        index = _index(index)
        STATE.begin()
        if not isinstance(value, ndarray):
            if not _has_arrays(index) and np.ndim(value):
                raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
            if isinstance(value, np.ndarray):
                STATE.copied += value.nbytes
        else:
            value = value.a
        if _has_arrays(index):
            _checked(self.a, index)
        self.a[index] = np.asarray(value).astype(self.a.dtype) if np.ndim(value) else value

    def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True) -> np.ndarray:
        out = np.empty(self.shape, self.dtype, order) if out is None else out
        if out.shape != self.shape or out.dtype != self.dtype:
            raise ValueError("out has another shape or dtype")
        STATE.copied += self.nbytes
        STATE.copy(out, self.a, blocking, "get")
        return out

    def item(self) -> Any:
        STATE.wait("item")
        return self.a.item()

    def tolist(self) -> Any:
        STATE.wait("tolist")
        return self.a.tolist()

    def nonzero(self) -> Any:
        if not self.ndim:
            raise AssertionError("calling nonzero on 0d arrays is deprecated")  # a warning there, and it will end
        STATE.wait("nonzero")
        return tuple(wrap(index) for index in self.a.nonzero())

    def fill(self, value: Any) -> None:
        if np.ndim(value):
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        self[...] = value

    def __bool__(self) -> bool:
        STATE.wait("bool")
        return bool(self.a)

    def __int__(self) -> int:
        STATE.wait("int")
        return int(self.a)

    def __float__(self) -> float:
        STATE.wait("float")
        return float(self.a)

    def __index__(self) -> int:
        STATE.wait("index")
        return operator.index(self.a)

    def __repr__(self) -> str:
        return repr(self.get())

    __hash__ = None  # type: ignore[assignment]

    def __dlpack__(self, **options: Any) -> Any:
        raise BufferError("the stand-in's memory is not on a device that another library could see")

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, self.memory.device)


ndarray.__module__ = "cupy"


def wrap(found: Any, *sources: ndarray) -> Any:
    """What NumPy computed, in the device's memory; a view of a source where NumPy gave one."""
    if isinstance(found, tuple):
        return type(found)(*(wrap(x, *sources) for x in found)) if hasattr(found, "_fields") else tuple(wrap(x, *sources) for x in found)
    if isinstance(found, list):
        return [wrap(x, *sources) for x in found]
    if not isinstance(found, (np.ndarray, np.generic)):
        return found
    found = np.asarray(found)
    for source in sources:
        if found.size and np.may_share_memory(found, source.a):
            view = object.__new__(ndarray)
            view.memory = source.memory
            offset = found.ctypes.data - source.memory.raw.ctypes.data - source.memory.start
            view.a = source.memory.view(found.shape, found.dtype, found.strides, offset)
            view.base = source if source.base is None else source.base
            return view
    new = ndarray(found.shape, found.dtype)
    if not found.flags.c_contiguous and found.flags.f_contiguous:
        new.a = new.memory.view(found.shape, found.dtype, found.strides)
    new.a[...] = found
    return new


def look(compute: Any, *sources: ndarray) -> Any:
    """What a function gives that makes a view if it can: only a copy is an operation."""
    found = compute()
    if not any(np.may_share_memory(found, source.a) for source in sources):
        STATE.begin()
        found = compute()
    return wrap(found, *sources)


def unwrap(value: Any) -> Any:
    """The NumPy array behind an array; TypeError for a NumPy array itself, as CuPy raises."""
    if isinstance(value, ndarray):
        if value.memory.device != STATE.device:
            raise ValueError(f"Array device must be same as the current device: {value.memory.device} is not {STATE.device}")
        return value.a
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, (list, tuple)):
        return type(value)([unwrap(x) for x in value])
    if value is None or isinstance(value, (bool, int, float, complex, np.generic, np.dtype, str, type, slice)) or value is Ellipsis:
        return value
    raise TypeError(f"Unsupported type {type(value)}")


def _index(index: Any) -> Any:
    """An index in NumPy's words. Arrays of NumPy and lists are taken to the device, as CuPy does."""
    if isinstance(index, tuple):
        return tuple(_index(part) for part in index)
    if isinstance(index, ndarray):
        if index.dtype.kind == "b":
            STATE.wait("mask")
        return index.a
    if isinstance(index, (list, np.ndarray)):
        index = np.asarray(index)
        STATE.copied += index.nbytes
    return index


def _has_arrays(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(part, (np.ndarray, bool)) for part in parts)


def _with_ellipsis(index: Any) -> tuple:
    parts = index if isinstance(index, tuple) else (index,)
    return parts if any(part is Ellipsis for part in parts) else (*parts, Ellipsis)


def _checked(a: np.ndarray, index: Any) -> np.ndarray:
    try:
        return a[index]
    except IndexError as error:
        if "out of bounds" in str(error):
            raise AssertionError(f"CuPy would count on from the other end and say nothing: {error}") from None
        raise


# ------------------------------------------------------------------------------------------------------------- ufuncs


AT = {"add": "iefdILQ", "maximum": "ifdILQ", "minimum": "ifdILQ"}  # the dtypes that there are atomic operations for


class Ufunc:
    """As `cupy.ufunc`: only the dtypes that CuPy has loops for, and only the methods that it has."""

    def __init__(self, name: str, function: Any) -> None:
        self.__name__ = name
        self.function = function
        self.loops = [loop.split("->") for loop in INTERFACE["ufuncs"][name]]
        self.nin = len(self.loops[0][0])

    def __call__(self, *args: Any, out: Any = None, dtype: Any = None, casting: str = "same_kind") -> Any:
        if not self.nin <= len(args) <= self.nin + 1:
            raise TypeError(f"Wrong number of arguments for {self.__name__!r}")
        args, outs = args[: self.nin], args[self.nin :]
        out = outs[0] if outs and out is None else out
        given = [unwrap(x) for x in args]
        if not any(isinstance(x, ndarray) for x in args) and out is None:
            given = [np.asarray(x) for x in given]
        STATE.begin()
        inputs, result = self._loop(given, dtype)
        with np.errstate(all="ignore"):
            found = self.function(*[x.astype(t) if hasattr(x, "astype") else np.dtype(t).type(x) for x, t in zip(given, inputs)])
        found = np.asarray(found).astype(result, copy=False)
        if out is None:
            return wrap(found)
        if not np.can_cast(found.dtype, out.dtype, casting):
            raise TypeError(f"output (typecode '{found.dtype.char}') could not be coerced to provided output parameter")
        if out.shape != np.broadcast_shapes(found.shape, out.shape):
            raise ValueError(f"operands could not be broadcast together with shapes {found.shape} {out.shape}")
        out.a[...] = found
        return out

    def _loop(self, given: list, dtype: Any) -> tuple[str, str]:
        """CuPy's first loop that the inputs can be cast to; Python's numbers are weak."""
        if dtype is not None:
            return next((i, o) for i, o in self.loops if np.dtype(o[0]) == np.dtype(dtype))
        strong = [x.dtype for x in given if hasattr(x, "dtype")]
        weak = [x for x in given if not hasattr(x, "dtype")]
        common = np.result_type(*strong, *weak) if weak else None
        for inputs, result in self.loops:
            wanted = [common if common is not None else x.dtype for x in given]
            if all(np.can_cast(w, np.dtype(t), "safe") for w, t in zip(wanted, inputs)):
                return inputs, result
        raise TypeError(f"Wrong type ({', '.join(map(str, strong))}) of arguments for cupy_{self.__name__}")

    def at(self, a: ndarray, indices: Any, b: Any = None) -> None:
        if self.__name__ not in AT:
            raise NotImplementedError(f"`cupy_{self.__name__}.at` is not supported yet")
        if a.dtype.char not in AT[self.__name__]:
            raise TypeError(f"scatter_{self.__name__} does not support {a.dtype} as data type")
        STATE.begin()
        index = _index(indices)
        _checked(a.a, index)
        combine, values = getattr(np, self.__name__), unwrap(b)
        if self.__name__ != "add" and a.dtype.kind == "f":  # it compares by fmaxf and fminf, float64 too, to which NaN is nothing
            combine, values = {"maximum": np.fmax, "minimum": np.fmin}[self.__name__], values.astype(np.float32)
            a.a[index] = a.a[index].astype(np.float32)
        combine.at(a.a, index, values)

    def reduce(self, array: ndarray, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        if self.__name__ != "add":
            raise NotImplementedError(f"`cupy_{self.__name__}.reduce` is not supported yet")
        return array.sum(axis, dtype, out, keepdims)

    def accumulate(self, array: ndarray, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
        if self.__name__ != "add":
            raise NotImplementedError(f"`cupy_{self.__name__}.accumulate` is not supported yet")
        return array.cumsum(axis, dtype, out)


UFUNCS: dict[str, Ufunc] = {name: Ufunc(name, getattr(np, name)) for name in INTERFACE["ufuncs"] if hasattr(np, name)}


def _operator(name: str, ufunc: Any, reflected: bool = False, in_place: bool = False) -> Any:
    def method(self: ndarray, other: Any) -> Any:
        if not isinstance(other, (ndarray, np.ndarray, np.generic, bool, int, float, complex)):
            return NotImplemented
        if in_place:
            return ufunc(self, other, self)
        return ufunc(other, self) if reflected else ufunc(self, other)

    method.__name__ = name
    return method


_BINARY = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "power", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
    "lshift": "left_shift", "rshift": "right_shift",
}  # fmt: skip
for _short, _long in _BINARY.items():
    setattr(ndarray, f"__{_short}__", _operator(_short, UFUNCS[_long]))
    setattr(ndarray, f"__r{_short}__", _operator(_short, UFUNCS[_long], reflected=True))
    setattr(ndarray, f"__i{_short}__", _operator(_short, UFUNCS[_long], in_place=True))
for _short, _long in {"lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal", "ne": "not_equal"}.items():
    setattr(ndarray, f"__{_short}__", _operator(_short, UFUNCS[_long]))
for _short, _long in {"neg": "negative", "abs": "absolute", "invert": "invert"}.items():
    setattr(ndarray, f"__{_short}__", lambda self, _u=UFUNCS[_long]: _u(self))


def _matmul(a: Any, b: Any) -> Any:
    if not isinstance(a, ndarray) or not isinstance(b, ndarray):
        return NotImplemented
    STATE.begin()
    return wrap(unwrap(a) @ unwrap(b))


ndarray.__matmul__ = _matmul  # type: ignore[attr-defined]
ndarray.__rmatmul__ = lambda a, b: _matmul(b, a)  # type: ignore[attr-defined]


def _method(name: str, text: str) -> Any:
    """A method with CuPy's parameters, done by NumPy's of the same name."""
    scope: dict[str, Any] = {"float": float}
    exec(f"def f{text}: pass", scope)
    signature = inspect.signature(scope["f"])

    def method(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        given = [unwrap(x) for x in bound.args]
        named = {k: unwrap(v) for k, v in bound.kwargs.items() if v is not None}
        compute = lambda: getattr(unwrap(self), name)(*given, **named)
        if name in ("reshape", "swapaxes", "transpose", "view", "squeeze", "diagonal", "ravel"):
            return look(compute, self)
        STATE.begin()
        if name in ("max", "min", "argmax", "argmin") and not self.size:
            raise ValueError(f"zero-size array to reduction operation cupy_{name} which has no identity")
        if name == "astype":
            return _astype(self, *bound.args, **bound.kwargs)
        with np.errstate(all="ignore"):
            return wrap(compute())

    return method


def _astype(self: ndarray, dtype: Any, order: str = "K", casting: Any = None, subok: Any = None, copy: bool = True) -> ndarray:
    if np.dtype(dtype).char not in DTYPES:
        raise ValueError(f"Unsupported dtype {dtype}")
    if not copy and self.dtype == dtype and (order != "C" or self.flags.c_contiguous):
        return self
    with np.errstate(all="ignore"):
        return wrap(self.a.astype(dtype, order=order))


for _name, _text in INTERFACE["methods"].items():
    if _name not in ndarray.__dict__:
        setattr(ndarray, _name, _method(_name, _text))
