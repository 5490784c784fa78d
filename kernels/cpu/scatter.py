"""Adding rows to a table at given places, where a place may come more than once: the gradient of an embedding.

Each thread owns a part of the table and adds what belongs there, in the order in which it comes: no two threads write to
one row, and the result does not depend on their timing. NumPy would sort the places first, or add number by number.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import dense, get_num_threads, jit, prange
from .rows import pays


@jit("F[:,::1], int64[::1], F[:,::1], int64")
def _add_rows(table, places, values, parts):
    rows = len(table)
    for part in prange(parts):
        first, end = part * rows // parts, (part + 1) * rows // parts
        for i in range(len(places)):
            row = places[i] if places[i] >= 0 else places[i] + rows
            if first <= row < end:
                for j in range(table.shape[1]):
                    table[row, j] += values[i, j]


def add_rows(table: np.ndarray, index: Any, values: np.ndarray) -> Any:
    """`table[index] += values` in place, every row as often as it comes.

    Returns:
        None, or NotImplemented if nothing was done: another index than one array of integers, or not enough to do.

    >>> add_rows(np.zeros((3, 2)), (np.array([1, 1]),), np.ones((2, 2))) is NotImplemented  # two rows do not pay
    True
    """
    places = index
    if isinstance(index, tuple) and index and all(isinstance(i, slice) and i == slice(None) for i in index[1:]):
        places = index[0]
    if not isinstance(places, np.ndarray) or places.dtype.kind not in "iu" or table.ndim < 2 or not places.size:
        return NotImplemented
    if values.shape != places.shape + table.shape[1:] or not table.flags.carray or not pays(values, table):
        return NotImplemented
    rows = dense(values).reshape(places.size, -1)
    _add_rows(table.reshape(len(table), -1), dense(places.astype(np.int64, copy=False)).reshape(-1), rows, get_num_threads())
    return None
