"""Number types under PyTorch's names, and PyTorch's rules for mixing them.

A dtype is a `numpy.dtype`, which CuPy uses too: `minigrad.float32 == np.float32`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

float16 = half = np.dtype(np.float16)
float32 = float = np.dtype(np.float32)
float64 = double = np.dtype(np.float64)
int8, int16, int32, int64 = (np.dtype(t) for t in (np.int8, np.int16, np.int32, np.int64))
uint8 = np.dtype(np.uint8)
short, int, long = int16, int32, int64
bool = np.dtype(np.bool_)

SUPPORTED = (float16, float32, float64, int8, int16, int32, int64, uint8, bool)
_RANK = {"b": 0, "u": 1, "i": 1, "f": 2}
_default = float32


def get_default_dtype() -> np.dtype:
    """The dtype of new floating point tensors, float32 unless changed."""
    return _default


def set_default_dtype(dtype: Any) -> None:
    """Choose the dtype of new floating point tensors (as `torch.set_default_dtype`).

    Args:
        dtype: a floating point dtype.

    Raises:
        TypeError: not a floating point dtype.

    >>> import minigrad as mg
    >>> mg.set_default_dtype(mg.float64); mg.tensor(1.5).dtype
    dtype('float64')
    >>> mg.set_default_dtype(mg.float32)
    """
    global _default
    if (found := as_dtype(dtype)).kind != "f":
        raise TypeError(f"set_default_dtype: expected a floating point dtype, got {found}")
    _default = found


_PYTHON = {"float": None, "int": int64, "bool": bool}


def as_dtype(dtype: Any) -> np.dtype:
    """Read a dtype the way users name it: ours, NumPy's, a name, or Python's float, int, bool."""
    if isinstance(dtype, type) and dtype.__module__ == "builtins" and dtype.__name__ in _PYTHON:
        return _PYTHON[dtype.__name__] or _default
    try:
        found = np.dtype(dtype) if dtype is not None else None
    except TypeError:
        found = None
    for known in SUPPORTED:
        if found is not None and found == known:  # to NumPy, None is float64
            return known
    names = ", ".join(str(d) for d in SUPPORTED)
    raise TypeError(f"dtype: expected one of {names}, got {dtype!r}")


def result_type(values: list[Any]) -> np.dtype:
    """The dtype in which arrays and Python numbers are combined, by PyTorch's rules.

    Kinds rank bool < integer < floating point. Among arrays with dimensions the usual promotion holds. A 0-d array,
    and after it a Python number, only matters if its kind ranks higher.

    >>> result_type([np.zeros(2, np.int64), 0.5]), result_type([np.zeros(2, np.float32), np.zeros((), np.float64)])
    (dtype('float32'), dtype('float32'))
    """
    result: np.dtype | None = None
    with_dims = [v.dtype for v in values if getattr(v, "ndim", 0) > 0]
    without = [v.dtype for v in values if getattr(v, "ndim", 1) == 0]
    numbers = [
        {"bool": bool, "int": int64, "float": _default}[type(v).__name__]
        for v in values
        if type(v).__name__ in _PYTHON
    ]
    for group in (with_dims, without, numbers):
        if group:
            best = group[0]
            for dtype in group[1:]:
                best = _promote(best, dtype)
            if result is None or _RANK[best.kind] > _RANK[result.kind]:
                result = best
    assert result is not None
    return result


def _promote(a: np.dtype, b: np.dtype) -> np.dtype:
    """NumPy's promotion, but an integer never widens a floating point type: int64 with float32 is float32."""
    if (a.kind == "f") != (b.kind == "f"):
        return a if a.kind == "f" else b
    return np.promote_types(a, b)


def can_store(source: np.dtype, target: np.dtype) -> Any:
    """Whether an in-place operation may write such a result: never a higher kind into a lower one."""
    return _RANK[source.kind] <= _RANK[target.kind]
