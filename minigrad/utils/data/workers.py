"""Processes that load batches ahead of time.

Batch number k is made by worker k % n, and taken from it in turn: so the order is that of the sampler, however long each
takes. Every worker has a queue that it gets its tasks from, and a pipe through which it sends its batches back.
"""

from __future__ import annotations

import random
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import backend

STOP, BATCH, END, ERROR = "stop", "batch", "end", "error"


class NoMoreSamples(Exception):
    """Raised by the function that loads batches of an IterableDataset when that has ended."""


@dataclass
class WorkerInfo:
    """What a worker knows about itself (as in PyTorch).

    Attributes:
        id: from 0 to num_workers - 1.
        num_workers: how many there are.
        seed: of its random numbers.
        dataset: its copy.
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """In a worker, what it knows about itself; elsewhere None (as in PyTorch)."""
    return _info


def _work(info: WorkerInfo, make_fetch: Callable, init: Callable | None, tasks: Any, results: Any) -> None:
    """The life of a worker: get a task, load the batch, send it; an error is sent as well, with its traceback."""
    global _info
    _info = info
    try:
        random.seed(info.seed)
        np.random.seed(info.seed % 2**32)
        backend.manual_seed(info.seed)
        fetch = None
        while (task := tasks.get()) != STOP:
            try:
                if fetch is None:
                    if init is not None:
                        init(info.id)
                    fetch = make_fetch(info.dataset)
                results.send((BATCH, fetch(task)))
            except NoMoreSamples:
                results.send((END, None))
            except Exception as error:
                results.send((ERROR, (type(error), traceback.format_exc())))
    except (KeyboardInterrupt, BrokenPipeError, EOFError):
        pass  # the one who wanted the batches is gone


class Workers:
    """Several worker processes, and what they were asked for.

    Args:
        dataset, make_fetch: each calls make_fetch(dataset), which gives a function that loads a batch.
        count: how many.
        seed: worker i draws its random numbers from seed + i.
        ahead: how many batches each loads before they are wanted.
        timeout: seconds to wait for a batch; 0 waits for ever.
        init: called in each worker with its number.
        context: of multiprocessing, or its name; "fork" where there is that, else "spawn".
    """

    def __init__(
        self, dataset: Any, make_fetch: Callable, count: int, seed: int, ahead: int, timeout: float,
        init: Callable | None, context: Any,
    ) -> None:  # fmt: skip
        import multiprocessing  # here, since it takes long

        if context is None:
            context = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
        context = multiprocessing.get_context(context) if isinstance(context, str) else context
        self.ahead = ahead
        self.timeout = timeout
        self.tasks, self.results, self.processes = [], [], []
        for i in range(count):
            tasks, (receiving, sending) = context.Queue(), context.Pipe(duplex=False)
            arguments = (WorkerInfo(i, count, seed + i, dataset), make_fetch, init, tasks, sending)
            process = context.Process(target=_work, args=arguments, daemon=True)
            process.start()
            sending.close()  # ours; then the end of the worker is the end of the pipe
            self.tasks.append(tasks)
            self.results.append(receiving)
            self.processes.append(process)

    def run(self, tasks: Iterator) -> Iterator[Any]:
        """The batches of the tasks, in their order, up to where each worker has no more."""
        waiting: deque[int] = deque()  # whose batch is the next, the one after it, ...

        def ask(worker: int) -> None:
            """For one more batch, if there are more."""
            task = next(tasks, STOP)
            if task is not STOP:
                self.tasks[worker].put(task)
                waiting.append(worker)

        for _ in range(self.ahead):
            for worker in range(len(self.processes)):
                ask(worker)
        while waiting:
            worker = waiting.popleft()
            kind, value = self._receive(worker)
            if kind == BATCH:
                ask(worker)
                yield value
            elif kind == END:
                waiting = deque(other for other in waiting if other != worker)
            else:
                kind_raised, text = value
                raise _as_raised_there(kind_raised, text, worker)

    def _receive(self, worker: int) -> tuple[str, Any]:
        pipe, process = self.results[worker], self.processes[worker]
        if self.timeout and not pipe.poll(self.timeout):
            raise RuntimeError(f"DataLoader: worker {worker} gave no batch within the timeout of {self.timeout} seconds")
        try:
            return pipe.recv()
        except EOFError:
            process.join(1)
            raise RuntimeError(
                f"DataLoader: worker {worker} (pid {process.pid}) ended unexpectedly with exit code {process.exitcode}; "
                "try num_workers=0 to see why"
            ) from None

    def stop(self) -> None:
        """End all processes."""
        for queue in self.tasks:
            queue.put(STOP)
            queue.close()
        for pipe in self.results:
            pipe.close()
        for process in self.processes:
            process.join(0.2)
            if process.is_alive():
                process.terminate()
                process.join()
        for queue in self.tasks:
            queue.cancel_join_thread()


def _as_raised_there(kind: type[BaseException], text: str, worker: int) -> BaseException:
    """An exception of the same class, with the traceback of the worker in its message."""
    message = f"caught {kind.__name__} in DataLoader worker {worker}.\nOriginal {text}"
    try:
        return kind(_Text(message) if issubclass(kind, KeyError) else message)
    except TypeError:  # it wants other arguments
        return RuntimeError(message)


class _Text(str):
    """A string that is shown as it is: KeyError shows the repr of its message."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)
