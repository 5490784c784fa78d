"""What takes the time, and what takes the memory? `profile` writes down every operation, forward and backward.

    with profile() as prof:
        loss = model(x, y)
        loss.backward()
        optimizer.step()
    print(prof)
    prof.export_chrome_trace("trace.json")     # for chrome://tracing or https://ui.perfetto.dev

It is a `Watcher` of the engine (see autograd.py), which tells it when a derivative rule begins and what it gave. Forward
passes are seen by a function that stands among an operation's fast paths while a profile is on, and compositions by
their fused pairs. So nothing is slower when no profile is on.

Times are those of the calls. An operation that runs on a GPU may go on after its call has returned.
"""

from __future__ import annotations

import os
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..autograd import Node, Watcher, watchers
from ..composite import COMPOSITIONS
from ..op import REGISTRY, Op, _try_fast
from .profile_table import Event, as_table, rows, write_trace

_installed = 0  # how many profiles are on, in all threads
_least: dict[str, int] = {}  # meanwhile: of how few numbers the kernels of each operation need not be asked
_lock = threading.Lock()


class profile(Watcher):
    """Writes down what each operation costs: a context manager, for this thread; it may be entered again and goes on.

    Args:
        record_shapes: also the shapes of the arguments, so that the table can tell them apart.
        profile_memory: also what each operation allocates and needs at most, as `tracemalloc` sees it. This makes
            everything slower, and does not see what compiled kernels allocate for themselves. Without it only the size of
            the results is known.

    Attributes:
        events: what was written down, in the order in which it began.
        seconds: how long it was on.

    Source: `torch.profiler.profile`.

    >>> import minigrad as mg
    >>> x = mg.ones(2, 3, requires_grad=True)
    >>> with profile(record_shapes=True) as prof:
    ...     (x * x).sum().backward()
    >>> [(event.phase, event.name, event.shapes) for event in prof.events][:3]
    [('forward', 'mul', ((2, 3), (2, 3))), ('forward', 'sum', ((2, 3),)), ('backward', 'sum', ((),))]
    """

    def __init__(self, record_shapes: bool = False, profile_memory: bool = False) -> None:
        self.record_shapes, self.profile_memory = bool(record_shapes), bool(profile_memory)
        self.events: list[Event] = []
        self.seconds = 0.0
        self.peak: int | None = None
        self._since = 0.0
        self._running: _Running | None = None
        self._ended = 0.0  # when the last derivative rule had given its gradient
        self._node: Node | None = None
        self._before: list[tuple[Watcher, ...]] = []
        self._traces = False

    def __enter__(self) -> profile:
        if self in watchers.get():
            raise RuntimeError("profile: this one is on already; make another one")
        self._traces = self.profile_memory and not tracemalloc.is_tracing()
        if self._traces:
            tracemalloc.start()
        _install(1)
        self._before.append(watchers.get())
        watchers.set((*watchers.get(), self))
        self._running, self._ended, self._node = None, 0.0, None
        self._since = time.perf_counter()
        return self

    def __exit__(self, *error: Any) -> None:
        self.seconds += time.perf_counter() - self._since
        watchers.set(self._before.pop())
        _install(-1)
        self._running = self._node = None
        if self._traces:
            tracemalloc.stop()

    # ------------------------------------------------------------------------------------------ what the engine tells

    def begins(self, what: Any, position: int, g: Any) -> None:
        if self._running is not None:
            return  # inside a rule that computes gradients of its own, as a checkpoint's does
        phase = "backward" if isinstance(what, Node) else "optimizer"
        name = what.name if phase == "backward" else type(what).__name__
        if phase == "backward" and self._ended and self._node is not None:
            self._add(Event("(sum of gradients)", phase, self._ended, time.perf_counter() - self._ended))
        shapes = (tuple(getattr(g, "shape", ())),) if self.record_shapes and phase == "backward" else ()
        self._running = _Running(self, name, phase, shapes, (what, position), [g], what is not self._node)

    def passed(self, what: Any, position: int, g: Any) -> None:
        if what is None:  # backward begins
            self._node, self._ended = None, 0.0
        elif self._running is not None and self._running.key == (what, position):
            self._running.ends(g)
            if isinstance(what, Node):
                self._node, self._ended = what, time.perf_counter()

    def _add(self, event: Event) -> None:
        self.events.append(event)
        if event.peak is not None:
            self.peak = max(self.peak or 0, event.peak)

    # -------------------------------------------------------------------------------------------------- what it gives

    def rows(self, group_by_shape: bool = False) -> list[dict[str, Any]]:
        """For each operation and phase: name, phase, shapes, calls, seconds, bytes, and with memory allocated and peak.

        Args:
            group_by_shape: a row for every combination of shapes; needs `record_shapes`.
        """
        if group_by_shape and not self.record_shapes:
            raise ValueError("profile: to group by shape, record them: profile(record_shapes=True)")
        return rows(self.events, group_by_shape)

    def table(self, sort_by: str = "time", row_limit: int | None = None, group_by_shape: bool = False) -> str:
        """A table of the operations, the most expensive first.

        Args:
            sort_by: "time", "mean" (of a call), "calls", "memory" or "name".
            row_limit: so many rows, then the sum of the rest.
            group_by_shape: see `rows`.

        Raises:
            ValueError: another sort_by.
        """
        return as_table(self.rows(group_by_shape), sort_by, row_limit, self.seconds, self.peak)

    def __str__(self) -> str:
        return self.table()

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write what happened when, for chrome://tracing or https://ui.perfetto.dev; all of the file or nothing.

        Args:
            path: a JSON file.
        """
        write_trace(self.events, path)


@dataclass(slots=True)
class _Running:
    """What is being measured."""

    owner: profile
    name: str
    phase: str
    shapes: tuple
    key: Any
    inputs: list
    first: bool = True
    start: float = 0.0
    held: int = 0

    def __post_init__(self) -> None:
        if self.owner.profile_memory:
            tracemalloc.reset_peak()
            self.held = tracemalloc.get_traced_memory()[0]
        self.start = time.perf_counter()

    def ends(self, result: Any) -> None:
        """It is done; write it down."""
        seconds = time.perf_counter() - self.start
        allocated = peak = None
        if self.owner.profile_memory:
            now, peak = tracemalloc.get_traced_memory()
            allocated = now - self.held
        size = new_bytes(result, self.inputs)
        event = Event(self.name, self.phase, self.start, seconds, self.shapes, size, self.first, allocated, peak)
        self.owner._running = None
        self.owner._add(event)


def new_bytes(result: Any, inputs: list) -> int:
    """Size of an array that was newly made; 0 of a view of what was there."""
    array = getattr(result, "array", getattr(result, "value", result))  # of a Tensor, of a gradient at one index
    if type(array) is not np.ndarray or any(array is x for x in inputs):
        return getattr(array, "nbytes", 0) if type(array) is not np.ndarray else 0
    if array.base is not None and any(type(x) is np.ndarray and np.may_share_memory(array, x) for x in inputs):
        return 0
    return array.nbytes


# ----------------------------------------------------------------------------------------------- the forward passes


def _active() -> list[profile]:
    """The profiles of this thread, if an operation is not inside another that is being measured."""
    found = [watcher for watcher in watchers.get() if isinstance(watcher, profile)]
    return [] if any(p._running is not None for p in found) else found


def _measured(name: str, arrays: list, compute: Callable[[], Any], result: Callable[[Any], Any] = lambda out: out) -> Any:
    """Compute, and write it down in every profile that is on."""
    running = []
    for owner in _active():
        shapes = tuple(_shape(a) for a in arrays) if owner.record_shapes else ()
        owner._running = _Running(owner, name, "forward", shapes, None, arrays)
        running.append(owner._running)
    try:
        out = compute()
    except BaseException:
        for one in running:
            one.owner._running = None
        raise
    for one in running:
        if out is NotImplemented:
            one.owner._running = None
        else:
            one.ends(result(out))
    return out


def _shape(value: Any) -> Any:
    return tuple(value.shape) if hasattr(value, "shape") else value


def _watch(plain: Any) -> Callable:
    """What stands among the fast paths of an operation; plain has those that were there before."""

    def watch(op: Op, xp: Any, arrays: list, options: Any) -> Any:
        def compute() -> Any:
            out = _try_fast(plain, xp, arrays, options)
            return op.forward(xp, *arrays, **options) if out is NotImplemented else out

        return _measured(op.name, arrays, compute)

    return watch


def _watch_pair(name: str, forward: Callable, backward: Callable) -> tuple[Callable, Callable]:
    """A fused pair whose forward pass is measured; its backward pass is a rule."""

    def watched(*arrays: Any, **options: Any) -> Any:
        return _measured(name, list(arrays), lambda: forward(*arrays, **options), lambda done: done[0])

    watched.unwatched = (forward, backward)  # type: ignore[attr-defined]
    return watched, backward


def _install(change: int) -> None:
    """Watch the forward passes while at least one profile is on."""
    global _installed
    with _lock:
        before, _installed = _installed, _installed + change
        if before == 0:
            for op in REGISTRY.values():
                _least[op.name] = op.least
                op.fast["watch"], op.least = [_watch(SimpleNamespace(fast=dict(op.fast)))], 0
            for name, device, pairs in _pairs():
                pairs[device] = _watch_pair(name, *pairs[device])
        elif _installed == 0:
            for op in REGISTRY.values():
                op.fast.pop("watch", None)
                op.least = _least.pop(op.name, op.least)
            for _, device, pairs in _pairs():
                pairs[device] = getattr(pairs[device][0], "unwatched", pairs[device])


def _pairs() -> Iterator[tuple[str, str, dict]]:
    for name, composition in COMPOSITIONS.items():
        for device in list(composition.pairs):
            yield name, device, composition.pairs
