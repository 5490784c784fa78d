"""Putting the samples of a batch together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ... import creation
from ...ops.shape import stack
from ...tensor import Tensor


def default_convert(data: Any) -> Any:
    """NumPy arrays inside a sample as tensors, everything else as it is (as in PyTorch)."""
    if isinstance(data, (np.ndarray, np.generic)) and data.dtype.kind in "biuf":
        return creation.as_tensor(data)
    return _rebuild(data, default_convert)


def default_collate(batch: Sequence[Any]) -> Any:
    """Put samples together along a new first dimension (as in PyTorch).

    Args:
        batch: tensors, arrays, numbers, strings, or tuples, lists and dicts of these, all of one structure.

    Returns:
        The same structure with a tensor for each group of tensors, arrays or numbers (Python floats become float64);
        strings stay in a list, and a tuple becomes a list.

    Raises:
        RuntimeError: samples differ in shape or length.
        TypeError: a type that cannot become a tensor; pass a collate_fn of your own.

    >>> default_collate([(1, "a"), (2, "b")])
    [tensor([1, 2]), ['a', 'b']]
    """
    first = batch[0]
    if isinstance(first, (Tensor, np.ndarray)):
        for i, sample in enumerate(batch):
            if sample.shape != first.shape:
                raise RuntimeError(
                    f"default_collate: samples of one batch must have one shape, got {tuple(first.shape)} first and "
                    f"{tuple(sample.shape)} as number {i}; pad them, or pass a collate_fn"
                )
        return stack([creation.as_tensor(sample) for sample in batch])
    if isinstance(first, (bool, int, np.generic)):
        return creation.tensor(np.array(batch))
    if isinstance(first, float):
        return creation.tensor(batch, dtype=np.float64)
    if isinstance(first, (str, bytes)):
        return list(batch)
    if isinstance(first, Mapping):
        return type(first)({key: default_collate([sample[key] for sample in batch]) for key in first})  # type: ignore[call-arg]
    if isinstance(first, Sequence):
        if lengths := {len(sample) for sample in batch} - {len(first)}:
            raise RuntimeError(
                f"default_collate: samples of one batch must have one length, got {len(first)} and {min(lengths)}; pad "
                "them, or pass a collate_fn"
            )
        columns = [default_collate(column) for column in zip(*batch)]
        return type(first)(*columns) if hasattr(first, "_fields") else columns
    raise TypeError(
        f"default_collate: expected tensors, arrays, numbers, strings, or tuples, lists or dicts of them, got "
        f"{type(first).__name__}; pass a collate_fn"
    )


def pin(data: Any) -> Any:
    """The tensors of a batch in pinned memory; what has a method `pin_memory` of its own is asked (as in PyTorch)."""
    if hasattr(data, "pin_memory"):
        return data.pin_memory()
    return _rebuild(data, pin)


def _rebuild(data: Any, function: Callable) -> Any:
    """Apply a function to what a tuple, list or dict holds."""
    if isinstance(data, Mapping):
        return type(data)({key: function(value) for key, value in data.items()})  # type: ignore[call-arg]
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(function(x) for x in data))
    if isinstance(data, (tuple, list)):
        return [function(x) for x in data]
    return data
