"""Orders in which to take samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ... import creation
from ...backend import Generator
from ...functions.random import multinomial
from .dataset import length_of


class Sampler:
    """An order in which to take samples: iterating gives their numbers (as in PyTorch)."""

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__}: a Sampler must define __iter__()")

    def __class_getitem__(cls, item: Any) -> type:
        return cls


class SequentialSampler(Sampler):
    """0, 1, 2, ... (as in PyTorch)."""

    def __init__(self, data_source: Any) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """Random order, a new one each time (as in PyTorch).

    Args:
        data_source: with a length.
        replacement: draw each number from all samples, so that some come twice and some never.
        num_samples: how many to draw; the size of data_source if None.
        generator: source of random numbers; the default one if None.

    Raises:
        ValueError: num_samples is not a positive integer.

    >>> sorted(RandomSampler(range(4)))
    [0, 1, 2, 3]
    """

    def __init__(
        self, data_source: Any, replacement: bool = False, num_samples: int | None = None, generator: Any = None
    ) -> None:
        self.data_source = data_source
        self.replacement = replacement
        self.num_samples = length_of("RandomSampler", "data_source", data_source) if num_samples is None else num_samples
        self.generator = generator
        if not is_positive(self.num_samples):
            raise ValueError(f"RandomSampler: num_samples must be a positive integer, got {self.num_samples!r}")

    def __iter__(self) -> Iterator[int]:
        n = len(self.data_source)
        if self.replacement:
            yield from creation.randint(n, (self.num_samples,), generator=self.generator).tolist()
            return
        for start in range(0, self.num_samples, n):
            yield from creation.randperm(n, generator=self.generator).tolist()[: self.num_samples - start]

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """Groups the numbers of another sampler (as in PyTorch).

    Args:
        sampler: any iterable of sample numbers.
        batch_size: how many to a batch.
        drop_last: leave out the last batch if it is smaller.

    Raises:
        ValueError: batch_size is not a positive integer.

    >>> list(BatchSampler(range(5), 2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable, batch_size: int, drop_last: bool) -> None:
        if not is_positive(batch_size):
            raise ValueError(f"BatchSampler: batch_size must be a positive integer, got {batch_size!r}")
        if not isinstance(drop_last, bool):
            raise ValueError(f"BatchSampler: drop_last must be True or False, got {drop_last!r}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list]:
        batch = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        n = len(self.sampler)  # type: ignore[arg-type]
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)


class SubsetRandomSampler(Sampler):
    """The given numbers in random order, a new one each time (as in PyTorch).

    >>> sorted(SubsetRandomSampler([3, 7, 9]))
    [3, 7, 9]
    """

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        for i in creation.randperm(len(self.indices), generator=self.generator).tolist():
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """Numbers drawn with probabilities in proportion to weights (as in PyTorch), to see rare classes as often as others.

    Args:
        weights: of each number, not negative.
        num_samples: how many to draw.
        replacement: whether a number can come twice.
        generator: source of random numbers; the default one if None.

    Raises:
        ValueError: num_samples is no positive integer, or weights is not a sequence of numbers.

    >>> list(WeightedRandomSampler([0.0, 1.0, 0.0], num_samples=2))
    [1, 1]
    """

    def __init__(
        self, weights: Sequence[float], num_samples: int, replacement: bool = True, generator: Generator | None = None
    ) -> None:
        if not is_positive(num_samples):
            raise ValueError(f"WeightedRandomSampler: num_samples must be a positive integer, got {num_samples!r}")
        if not isinstance(replacement, bool):
            raise ValueError(f"WeightedRandomSampler: replacement must be True or False, got {replacement!r}")
        self.weights = creation.as_tensor(weights, dtype=np.float64)
        if self.weights.ndim != 1:
            raise ValueError(f"WeightedRandomSampler: expected one weight for each number, got {tuple(self.weights.shape)}")
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        drawn = multinomial(self.weights, self.num_samples, self.replacement, generator=self.generator)
        return iter(drawn.tolist())

    def __len__(self) -> int:
        return self.num_samples


def is_positive(n: Any) -> bool:
    """Whether this is a positive integer."""
    return isinstance(n, (int, np.integer)) and not isinstance(n, bool) and int(n) > 0
