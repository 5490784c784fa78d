"""What kernels that work on rows have in common: when they pay, and how they get rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import available, dense, loaded

SMALL = 1 << 12  # elements: below, NumPy is quick enough not to import numba
TINY = 1 << 8  # below, it is done before the threads have begun


def pays(x: np.ndarray, *others: np.ndarray | None) -> bool:
    """Whether a kernel can take these arrays, all of one dtype, and x is large enough for it."""
    return (
        x.size >= (min(SMALL, TINY) if loaded() else SMALL)
        and x.dtype.char in "fd"
        and all(a is None or a.dtype == x.dtype for a in others)
        and available()
    )


def as_rows(x: np.ndarray, size: int) -> np.ndarray:
    """The array as a matrix whose rows have `size` elements."""
    return dense(x).reshape(-1, size)


def flat(x: np.ndarray) -> np.ndarray:
    """All elements in one row."""
    return dense(x).reshape(-1)


def given_or(given: np.ndarray | None, value: float, like: np.ndarray) -> np.ndarray:
    """A weight or a bias, or what has the same effect as none: a number for each column."""
    return np.full(like.shape[1], value, like.dtype) if given is None else flat(given)


def per_thread(x: np.ndarray, threads: int) -> Any:
    """A row for each thread, in which it sums up what it sees."""
    return np.empty((threads, x.shape[-1]), x.dtype)
