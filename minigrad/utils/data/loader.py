"""DataLoader: batches of a dataset's samples."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice, repeat
from typing import Any

from ... import backend
from ...backend import Generator
from .collate import default_collate, default_convert, pin
from .dataset import IterableDataset, length_of
from .sampler import BatchSampler, RandomSampler, SequentialSampler, is_positive
from .workers import NoMoreSamples, Workers


class DataLoader:
    """Batches of a dataset's samples, in order or shuffled (as in PyTorch).

    Args:
        dataset: anything with `__getitem__` and, unless a sampler is given, `__len__`; or an IterableDataset.
        batch_size: samples to a batch; None gives single samples, not collated.
        shuffle: a new random order in each epoch.
        sampler: the order, instead of shuffle.
        batch_sampler: gives the sample numbers of each batch, instead of batch_size, shuffle, sampler and drop_last.
        num_workers: how many processes load batches; 0 loads them where they are used.
        collate_fn: makes a batch from a list of samples; `default_collate` if None.
        pin_memory: give batches in pinned memory, from which `.to("cuda", non_blocking=True)` copies while the host goes
            on; without effect where there is no CUDA device.
        drop_last: leave out the last batch if it is smaller.
        timeout: seconds to wait for a worker's batch; 0 waits for ever.
        worker_init_fn: called in each worker with its number, before anything is loaded.
        multiprocessing_context: how workers are started: "fork", "spawn" (then dataset and functions must pickle), ...
        generator: source of random numbers of the shuffling, and of the workers' seeds; the default one if None.
        prefetch_factor: how many batches each worker loads ahead; 2 if None.
        persistent_workers, pin_memory_device, in_order: without effect, for code that passes them: workers end with
            each epoch, and batches always come in order.

    Raises:
        TypeError: the dataset has neither samples by number nor an order.
        ValueError: options that exclude each other, or not in their range.
        RuntimeError: a worker ended or took too long. An error of a worker is raised as what it was, with its traceback.

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
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        in_turn = isinstance(dataset, IterableDataset)
        if not hasattr(dataset, "__getitem__"):
            raise TypeError(f"DataLoader: dataset must have __getitem__(index), got {type(dataset).__name__}")
        if not isinstance(num_workers, int) or num_workers < 0:
            raise ValueError(f"DataLoader: num_workers must be 0 or a positive integer, got {num_workers!r}")
        if timeout < 0:
            raise ValueError(f"DataLoader: timeout must not be negative, got {timeout}")
        if prefetch_factor is not None and not (num_workers and is_positive(prefetch_factor)):
            raise ValueError(f"DataLoader: prefetch_factor={prefetch_factor!r} must be a positive integer, and needs workers")
        if in_turn and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError("DataLoader: an IterableDataset has its own order; leave out shuffle, sampler and batch_sampler")
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
        elif batch_size is not None and not is_positive(batch_size):
            raise ValueError(f"DataLoader: batch_size must be a positive integer or None, got {batch_size!r}")
        batched = batch_size is not None or batch_sampler is not None
        if in_turn:
            sampler = _Endless()
        elif sampler is None and batch_sampler is None:
            length_of("DataLoader", "dataset", dataset)
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
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.generator = generator
        self.prefetch_factor = 2 if prefetch_factor is None and num_workers else prefetch_factor
        self.persistent_workers = persistent_workers
        self._in_turn = in_turn
        self._epoch = 0

    def __iter__(self) -> Iterator[Any]:
        tasks = self.sampler if self.batch_sampler is None else self.batch_sampler
        settings = self.collate_fn, self.batch_sampler is not None, self.drop_last
        make_fetch = partial(_fetch_in_turn if self._in_turn else _fetch_by_number, *settings)
        if self.num_workers:
            batches = self._from_workers(make_fetch, iter(tasks))  # type: ignore[arg-type]
        else:
            batches = _until_end(make_fetch(self.dataset), tasks)  # type: ignore[arg-type]
        return map(pin, batches) if self.pin_memory and backend.cuda_problem() is None else batches

    def _from_workers(self, make_fetch: Callable, tasks: Iterator) -> Iterator[Any]:
        state = (self.generator or backend.default_generator()).get_state()
        seed = zlib.crc32(repr((state, self._epoch)).encode())  # draws nothing: the order is the same as without workers
        self._epoch += 1
        workers = Workers(
            self.dataset, make_fetch, self.num_workers, seed, self.prefetch_factor or 2, self.timeout, self.worker_init_fn,
            self.multiprocessing_context,
        )  # fmt: skip
        try:
            yield from workers.run(tasks)
        finally:
            workers.stop()

    def __len__(self) -> int:
        if self._in_turn:
            n = length_of("DataLoader", "dataset", self.dataset)
            size = self.batch_size or 1
            return n // size if self.drop_last else -(-n // size)
        return len(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]


class _Endless:
    """The order of an IterableDataset: it alone knows when it ends."""

    def __iter__(self) -> Iterator[None]:
        return repeat(None)


def _fetch_by_number(collate: Callable, batched: bool, drop_last: bool, dataset: Any) -> Callable[[Any], Any]:
    """A function that makes a batch of a list of numbers, or a sample of one."""
    if not batched:
        return lambda index: collate(dataset[index])
    if hasattr(dataset, "__getitems__"):
        return lambda batch: collate(dataset.__getitems__(batch))
    return lambda batch: collate([dataset[index] for index in batch])


def _fetch_in_turn(collate: Callable, batched: bool, drop_last: bool, dataset: Any) -> Callable[[Any], Any]:
    """A function that makes a batch of the next samples, as many as the list is long."""
    samples = iter(dataset)

    def fetch(batch: Any) -> Any:
        wanted = len(batch) if batched else 1
        found = list(islice(samples, wanted))
        if not found or (drop_last and len(found) < wanted):
            raise NoMoreSamples
        return collate(found if batched else found[0])

    return fetch


def _until_end(fetch: Callable[[Any], Any], tasks: Iterable) -> Iterator[Any]:
    for task in tasks:
        try:
            batch = fetch(task)
        except NoMoreSamples:
            return
        yield batch
