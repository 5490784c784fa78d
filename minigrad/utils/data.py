"""From a collection of samples to batches of tensors (as `torch.utils.data`).

A Dataset knows its samples by number, a Sampler says in which order to take them, `default_collate` puts the samples of
a batch together, and a DataLoader runs the three:

    sampler ──► 7, 2, 9, 4 ──► batches of numbers ──► [dataset[7], dataset[2]] ──► collate ──► tensors
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .. import creation
from ..backend import Generator
from ..ops.shape import stack
from ..tensor import Tensor

# -------------------------------------------------------------------------------------------------------- datasets


class Dataset:
    """A collection of samples: write `__getitem__`, and `__len__` if its size is known (as in PyTorch).

    >>> class Squares(Dataset):
    ...     def __len__(self):
    ...         return 10
    ...     def __getitem__(self, index):
    ...         return index, index**2
    >>> next(iter(DataLoader(Squares(), batch_size=4)))
    [tensor([0, 1, 2, 3]), tensor([0, 1, 4, 9])]
    """

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}: a Dataset must define __getitem__(index)")

    def __class_getitem__(cls, item: Any) -> type:
        return cls  # `Dataset[tuple[Tensor, Tensor]]` in type hints


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
        sizes = [_length("TensorDataset", f"tensor {i}", t) for i, t in enumerate(tensors)]
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
    n = _length("random_split", "dataset", dataset)
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


# -------------------------------------------------------------------------------------------------------- samplers


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
        self.num_samples = _length("RandomSampler", "data_source", data_source) if num_samples is None else num_samples
        self.generator = generator
        if not _is_positive(self.num_samples):
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
        if not _is_positive(batch_size):
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


# --------------------------------------------------------------------------------------------------------- batches


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


class DataLoader:
    """Batches of a dataset's samples, in order or shuffled (as in PyTorch).

    Args:
        dataset: anything with `__getitem__` and, unless a sampler is given, `__len__`.
        batch_size: samples to a batch; None gives single samples, not collated.
        shuffle: a new random order in each epoch.
        sampler: the order, instead of shuffle.
        batch_sampler: gives the sample numbers of each batch, instead of batch_size, shuffle, sampler and drop_last.
        num_workers: 0, samples are loaded where they are used.
        collate_fn: makes a batch from a list of samples; `default_collate` if None.
        pin_memory: without effect, for code that passes it.
        drop_last: leave out the last batch if it is smaller.
        generator: source of random numbers of the shuffling; the default one if None.

    Raises:
        ValueError: options that exclude each other, or not in their range.
        NotImplementedError: num_workers above 0.

    >>> loader = DataLoader(range(5), batch_size=2)
    >>> len(loader), list(loader)
    (3, [tensor([0, 1]), tensor([2, 3]), tensor([4])])
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable | None = None,
        batch_sampler: Iterable | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        *,
        generator: Generator | None = None,
    ) -> None:
        if not hasattr(dataset, "__getitem__"):
            raise TypeError(f"DataLoader: dataset must have __getitem__(index), got {type(dataset).__name__}")
        if num_workers != 0:
            raise NotImplementedError(
                f"DataLoader: num_workers must be 0 for now, got {num_workers!r}: samples are loaded in this process"
            )
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: pass either sampler or shuffle=True, not both: the sampler gives the order")
        if batch_sampler is not None:
            for name, given in [
                ("batch_size", batch_size != 1), ("shuffle", shuffle), ("sampler", sampler is not None),
                ("drop_last", drop_last),
            ]:
                if given:
                    raise ValueError(f"DataLoader: pass either batch_sampler or {name}, not both")
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError("DataLoader: drop_last=True needs a batch_size, got None")
        elif batch_size is not None and not _is_positive(batch_size):
            raise ValueError(f"DataLoader: batch_size must be a positive integer or None, got {batch_size!r}")
        batched = batch_size is not None or batch_sampler is not None
        if sampler is None and batch_sampler is None:
            _length("DataLoader", "dataset", dataset)
            if shuffle and len(dataset) > 0:
                sampler = RandomSampler(dataset, generator=generator)
            else:
                sampler = SequentialSampler(dataset)
        if batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)  # type: ignore[arg-type]
        self.dataset = dataset
        self.batch_size = batch_size
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self.collate_fn = collate_fn or (default_collate if batched else default_convert)
        self.pin_memory = pin_memory
        self.drop_last = drop_last
        self.generator = generator

    def __iter__(self) -> Iterator[Any]:
        if self.batch_sampler is None:
            return (self.collate_fn(self.dataset[index]) for index in self.sampler)  # type: ignore[union-attr]
        return (self.collate_fn([self.dataset[index] for index in batch]) for batch in self.batch_sampler)

    def __len__(self) -> int:
        return len(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]


# --------------------------------------------------------------------------------------------------------- helpers


def _length(where: str, what: str, x: Any) -> int:
    try:
        return len(x)
    except TypeError:
        raise TypeError(f"{where}: {what} must have a length, got {type(x).__name__}") from None


def _is_positive(n: Any) -> bool:
    return isinstance(n, (int, np.integer)) and not isinstance(n, bool) and int(n) > 0


def _rebuild(data: Any, function: Callable) -> Any:
    """Apply a function to what a tuple, list or dict holds."""
    if isinstance(data, Mapping):
        return type(data)({key: function(value) for key, value in data.items()})  # type: ignore[call-arg]
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(function(x) for x in data))
    if isinstance(data, (tuple, list)):
        return [function(x) for x in data]
    return data
