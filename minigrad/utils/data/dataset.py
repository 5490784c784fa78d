"""Collections of samples, and what is made of several."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from ... import creation
from ...backend import Generator
from ...tensor import Tensor


class Dataset:
    """A collection of samples: write `__getitem__`, and `__len__` if its size is known (as in PyTorch).

    >>> class Squares(Dataset):
    ...     def __len__(self):
    ...         return 10
    ...     def __getitem__(self, index):
    ...         return index, index**2
    >>> from minigrad.utils.data import DataLoader
    >>> next(iter(DataLoader(Squares(), batch_size=4)))
    [tensor([0, 1, 2, 3]), tensor([0, 1, 4, 9])]
    """

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}: a Dataset must define __getitem__(index)")

    def __add__(self, other: Any) -> ConcatDataset:
        return ConcatDataset([self, other])

    def __class_getitem__(cls, item: Any) -> type:
        return cls  # `Dataset[tuple[Tensor, Tensor]]` in type hints


class IterableDataset(Dataset):
    """Samples that come one after the other, from a stream for example: write `__iter__` (as in PyTorch).

    With several workers each gets a copy: let it ask `get_worker_info()` which part of the samples is its own.

    >>> class Numbers(IterableDataset):
    ...     def __iter__(self):
    ...         return iter(range(5))
    >>> from minigrad.utils.data import DataLoader
    >>> list(DataLoader(Numbers(), batch_size=3))
    [tensor([0, 1, 2]), tensor([3, 4])]
    """

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__}: an IterableDataset must define __iter__()")

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}: an IterableDataset has no samples by number; iterate over it")

    def __add__(self, other: Any) -> ChainDataset:  # type: ignore[override]
        return ChainDataset([self, other])


class ChainDataset(IterableDataset):
    """One IterableDataset after the other (as in PyTorch)."""

    def __init__(self, datasets: Iterable) -> None:
        self.datasets = list(datasets)
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise AssertionError(f"ChainDataset: expected IterableDatasets, got {type(dataset).__name__}")

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(self.datasets)

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self.datasets)  # type: ignore[arg-type]


class ConcatDataset(Dataset):
    """Several datasets as one: the numbers go on from one to the next (as in PyTorch).

    Args:
        datasets: with lengths.

    Raises:
        AssertionError: there is none, or one has no samples by number.

    >>> both = ConcatDataset(["ab", "cde"])
    >>> len(both), both[1], both[2], both[-1]
    (5, 'b', 'c', 'e')
    """

    def __init__(self, datasets: Iterable) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("ConcatDataset: expected at least one dataset, got none")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise AssertionError("ConcatDataset: an IterableDataset has no samples by number; use ChainDataset")
        self.cumulative_sizes = [int(n) for n in np.cumsum([length_of("ConcatDataset", "dataset", d) for d in self.datasets])]

    def __getitem__(self, index: int) -> Any:
        n = len(self)
        if not -n <= index < n:
            raise IndexError(f"ConcatDataset: index {index} is out of range for {n} samples")
        index += n if index < 0 else 0
        which = bisect_right(self.cumulative_sizes, index)
        return self.datasets[which][index - (self.cumulative_sizes[which - 1] if which else 0)]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


class TensorDataset(Dataset):
    """Samples cut out of tensors along their first dimension (as in PyTorch).

    Args:
        tensors: all with the same first size.

    Raises:
        AssertionError: their first sizes differ.

    >>> TensorDataset(creation.arange(3), creation.arange(3) * 10)[1]
    (tensor(1), tensor(10))
    """

    def __init__(self, *tensors: Tensor) -> None:
        sizes = [length_of("TensorDataset", f"tensor {i}", t) for i, t in enumerate(tensors)]
        if not sizes or len(set(sizes)) > 1:
            raise AssertionError(f"TensorDataset: expected tensors of one first size, got {sizes}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])


class Subset(Dataset):
    """Some samples of another dataset (as in PyTorch).

    Args:
        dataset: where they come from.
        indices: their numbers there.

    >>> Subset("abcdef", [4, 1])[0]
    'e'
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return [self.dataset[self.indices[i]] for i in index]
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)


def random_split(dataset: Any, lengths: Sequence[float], generator: Generator | None = None) -> list[Subset]:
    """Deal a dataset out at random (as in PyTorch).

    Args:
        dataset: with a length.
        lengths: sizes that add up to the dataset's, or fractions that add up to 1; then what rounding leaves over goes
            to the first subsets, one each.
        generator: source of random numbers; the default one if None.

    Raises:
        ValueError: the lengths do not add up, or one is negative.

    >>> [len(part) for part in random_split(range(10), [0.75, 0.25])]
    [8, 2]
    """
    n = length_of("random_split", "dataset", dataset)
    if any(length < 0 for length in lengths):
        raise ValueError(f"random_split: lengths must not be negative, got {list(lengths)}")
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        sizes = [math.floor(n * fraction) for fraction in lengths]
        for i in range(n - sum(sizes)):
            sizes[i % len(sizes)] += 1
    else:
        sizes = list(lengths)  # type: ignore[arg-type]
    if sum(sizes) != n or any(size != int(size) for size in sizes):
        raise ValueError(
            f"random_split: lengths must add up to the {n} samples of the dataset or, as fractions, to 1, "
            f"got {list(lengths)} with sum {sum(lengths)}"
        )
    order = creation.randperm(n, generator=generator).tolist()
    ends = np.cumsum(sizes, dtype=int)
    return [Subset(dataset, order[end - int(size) : end]) for end, size in zip(ends, sizes)]


def length_of(where: str, what: str, x: Any) -> int:
    """The length of what must have one."""
    try:
        return len(x)
    except TypeError:
        raise TypeError(f"{where}: {what} must have a length, got {type(x).__name__}") from None
