"""Queues of work on a device. What is in one is done in order; what is in different ones may overlap."""

from __future__ import annotations

from typing import Any

from .. import backend
from .devices import handle


class Stream:
    """A queue of work on the current device (as `torch.cuda.Stream`); used inside `with minigrad.cuda.stream(s)`.

    Memory that is let go is given to the next who asks on the same stream. A tensor made on one stream and used on
    another must outlive that use: keep it, or call `tensor.record_stream(stream)`.

    Args:
        device: where; the current one if None.
        priority: lower goes first.
    """

    def __init__(self, device: Any = None, priority: int = 0, *, of: Any = None) -> None:
        if of is None:
            with handle(device):
                of = backend.cupy().cuda.Stream(non_blocking=True, priority=priority)
        self.cupy = of

    def synchronize(self) -> None:
        """Wait until everything in the queue is done."""
        self.cupy.synchronize()

    def query(self) -> bool:
        """Whether everything in the queue is done."""
        return bool(self.cupy.done)

    def record_event(self, event: Event | None = None) -> Event:
        """Put an event into the queue: it is reached when everything before it is done."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Let what comes next in the queue wait for an event; the host goes on."""
        self.cupy.wait_event(event.cupy)

    def wait_stream(self, stream: Stream) -> None:
        """Let what comes next in the queue wait for all that another queue holds now; the host goes on."""
        self.wait_event(stream.record_event())

    def __enter__(self) -> Stream:
        self.cupy.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.cupy.__exit__(*error)

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Stream) and self.cupy is other.cupy

    def __hash__(self) -> int:
        return id(self.cupy)


class Event:
    """A mark in a stream (as `torch.cuda.Event`), to wait for, or to take the time between two.

    Args:
        enable_timing: let `elapsed_time` ask for the time.
        blocking: let the host sleep while it waits, instead of looking again and again.
        interprocess: without effect.
    """

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False) -> None:
        self.cupy = backend.cupy().cuda.Event(blocking, not enable_timing)

    def record(self, stream: Stream | None = None) -> None:
        """Put the mark into a stream, the current one if None."""
        self.cupy.record((current_stream() if stream is None else stream).cupy)

    def wait(self, stream: Stream | None = None) -> None:
        """Let a stream, the current one if None, wait for the mark."""
        (current_stream() if stream is None else stream).wait_event(self)

    def query(self) -> bool:
        """Whether the mark was reached."""
        return bool(self.cupy.done)

    def synchronize(self) -> None:
        """Wait until the mark is reached."""
        self.cupy.synchronize()

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this mark to another, both reached and made with enable_timing=True."""
        return float(backend.cupy().cuda.get_elapsed_time(self.cupy, end_event.cupy))


def current_stream(device: Any = None) -> Stream:
    """The queue that operations go to now. Source: `torch.cuda.current_stream`."""
    with handle(device):
        return Stream(of=backend.cupy().cuda.get_current_stream())


def default_stream(device: Any = None) -> Stream:
    """The queue that operations go to if nothing else is said. Source: `torch.cuda.default_stream`."""
    handle(device)
    return Stream(of=backend.cupy().cuda.Stream.null)


def stream(stream: Stream) -> Stream:
    """Use a stream inside a `with` block. Source: `torch.cuda.stream`."""
    return stream


def synchronize(device: Any = None) -> None:
    """Wait until a device has done all that it was asked to. Source: `torch.cuda.synchronize`."""
    handle(device).synchronize()
