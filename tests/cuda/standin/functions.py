"""The stand-in's functions of arrays: CuPy's names and parameters, NumPy's results."""

from __future__ import annotations

import inspect
import math
import types
from typing import Any

import numpy as np

from .array import INTERFACE, UFUNCS, Ufunc, _astype, look, ndarray, unwrap, wrap
from .runtime import STATE, FromPinned, pointer_of

erf = np.vectorize(math.erf, otypes=[np.float64])
WAITS = {"unique", "bincount"}  # results whose size depends on the data
NO_EMPTY = {"max", "min", "argmax", "argmin"}
VIEWS = {"broadcast_to", "reshape", "flip", "diagonal", "atleast_2d", "lib.stride_tricks.as_strided", "ascontiguousarray"}


def _of_host(obj: Any, dtype: Any, copy: Any, order: Any, blocking: bool) -> ndarray:
    """To the device: from another array, or from whatever NumPy makes an array of."""
    if isinstance(obj, ndarray):
        if obj.memory.device != STATE.device:
            STATE.begin()
            moved = ndarray(obj.shape, obj.dtype)
            moved.a[...] = obj.a
            return moved
        return _astype(obj, obj.dtype if dtype is None else dtype, order or "K", copy=bool(copy))
    if isinstance(obj, (list, tuple)) and any(isinstance(x, ndarray) for x in obj):
        obj = [unwrap(x) for x in obj]
    elif type(obj).__module__.startswith("minigrad"):
        raise TypeError(f"Unsupported type {type(obj)}")
    host = np.asarray(obj, dtype)
    new = ndarray(host.shape, host.dtype)
    STATE.copied += host.nbytes
    if blocking:
        STATE.wait("asarray")
        new.a[...] = host
    elif pointer_of(host) is not None:
        STATE.to_device.append((new.a, FromPinned(host)))
    else:  # CuPy takes a copy at once, and sends that
        STATE.to_device.append((new.a, host.copy()))
    return new


def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    STATE.begin()
    if not isinstance(condition, ndarray):
        raise TypeError(f"Unsupported type {type(condition)}")
    if x is None:
        return condition.nonzero()
    return wrap(np.where(condition.a, unwrap(x), unwrap(y)))


def _searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    if not isinstance(v, (ndarray, int, float)):
        raise NotImplementedError("Only python scalars or ndarrays are supported for v")
    if a.ndim != 1:
        raise ValueError("object too deep for desired array")
    return wrap(np.searchsorted(a.a, unwrap(v), side))


def _argsort(a: Any, axis: int = -1, kind: Any = None) -> Any:
    if kind not in (None, "stable"):
        raise ValueError(f"kind can only be None or 'stable', got {kind!r}")
    if a.dtype.kind == "c" or not a.ndim:
        raise TypeError("argsort: unsupported")
    return wrap(np.argsort(unwrap(a), axis, kind="stable"))


def _repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    if isinstance(repeats, ndarray):
        STATE.wait("repeat")
    return wrap(np.repeat(unwrap(a), unwrap(repeats), axis))


def _linalg(name: str, *args: Any, **kwargs: Any) -> Any:
    given = [unwrap(x) for x in args]
    for x in given:
        if isinstance(x, np.ndarray) and x.dtype.char not in "fdFD":
            raise TypeError(f"array type {x.dtype} is unsupported in linalg")
    if name == "solve" and given[0].shape[:-1] != given[1].shape[:-1]:  # it does not broadcast
        raise ValueError("a must have (..., M, M) shape and b must have (..., M, K) for multidimensional b")
    try:
        return wrap(tuple(found) if isinstance(found := getattr(np.linalg, name)(*given, **kwargs), tuple) else found)
    except np.linalg.LinAlgError:  # CuPy does not wait to see whether it went well
        shape = given[-1].shape if name == "solve" else given[0].shape
        return wrap(np.full(shape, np.nan, given[0].dtype))


def _eye(N: int, M: int | None = None, k: int = 0, dtype: Any = float, order: str = "C") -> Any:
    return wrap(np.eye(N, M, k, dtype))


def _new(fill: Any) -> Any:
    def make(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
        new = ndarray(shape, dtype)
        if fill is not None:
            STATE.begin()
            new.a[...] = fill
        return new

    return make


def _full(shape: Any, fill_value: Any, dtype: Any = None, order: str = "C") -> ndarray:
    return _new(unwrap(fill_value))(shape, np.asarray(unwrap(fill_value)).dtype if dtype is None else dtype)


def _like(fill: Any) -> Any:
    return lambda a, dtype=None, order="K", subok=None, shape=None: _new(fill)(
        a.shape if shape is None else shape, dtype or a.dtype
    )


SPECIAL: dict[str, Any] = {
    "empty": _new(None), "zeros": _new(0), "ones": _new(1), "full": _full, "eye": _eye,
    "empty_like": _like(None), "zeros_like": _like(0), "ones_like": _like(1),
    "full_like": lambda a, fill_value, dtype=None, **_: _full(a.shape, fill_value, dtype or a.dtype),
    "asarray": lambda a, dtype=None, order=None, *, copy=None, blocking=False: _of_host(a, dtype, copy, order, blocking),
    "array": lambda obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, *, blocking=False: _of_host(obj, dtype, copy, order, blocking),
    "asnumpy": lambda a, stream=None, order="C", out=None, *, blocking=True: a.get(stream, order, out, blocking),
    "where": _where, "searchsorted": _searchsorted, "argsort": _argsort, "repeat": _repeat,
}  # fmt: skip


def _from_dlpack(array: Any) -> Any:
    raise BufferError("the stand-in's memory is not on a device that another library could see")


class _Ogrid:
    def __getitem__(self, key: Any) -> Any:
        found = np.ogrid[key]
        return wrap(list(found) if isinstance(found, tuple) else found)


def _function(name: str, text: str) -> Any:
    """A function with CuPy's parameters."""
    scope: dict[str, Any] = {}
    exec(f"def f{text}: pass", scope)
    signature = inspect.signature(scope["f"])
    compute = SPECIAL.get(name)
    if compute is None:
        compute = (lambda *a, **k: _linalg(name.partition(".")[2], *a, **k)) if name.startswith("linalg.") else _by_numpy(name)

    def function(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        if name not in VIEWS:
            STATE.begin()
        if name in WAITS:
            STATE.wait(name)
        if name in NO_EMPTY and not bound.args[0].size:
            raise ValueError(f"zero-size array to reduction operation cupy_{name} which has no identity")
        with np.errstate(all="ignore"):
            return compute(*bound.args, **bound.kwargs)

    function.__name__ = name
    return function


def _by_numpy(name: str) -> Any:
    found: Any = np
    for part in name.split("."):
        found = getattr(found, part)

    def compute(*args: Any, **kwargs: Any) -> Any:
        result = lambda: found(*[unwrap(x) for x in args], **{k: unwrap(v) for k, v in kwargs.items()})
        return look(result, *[x for x in args if isinstance(x, ndarray)]) if name in VIEWS else wrap(result())

    return compute


def fill(cp: types.ModuleType) -> None:
    """Put the functions into the module, under CuPy's names."""
    for name in ("linalg", "lib", "random"):
        setattr(cp, name, types.SimpleNamespace())
    cp.lib.stride_tricks = types.SimpleNamespace()
    for name, ufunc in UFUNCS.items():
        setattr(cp, name, ufunc)
    for name, text in INTERFACE["functions"].items():
        if name.startswith(("cuda.", "get_default")):
            continue
        *path, last = name.split(".")
        place: Any = cp
        for part in path:
            place = getattr(place, part)
        setattr(place, last, _function(name, text))
    cp.ogrid, cp.inf = _Ogrid(), math.inf
    cp.from_dlpack = _from_dlpack
    for dtype in ("int8", "int16", "int32", "int64", "uint8", "uint32", "uint64", "float16", "float32", "float64"):
        setattr(cp, dtype, getattr(np, dtype))
    cp.Ufunc = Ufunc
