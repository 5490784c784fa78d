"""What a profile is shown as: a table for the eye, a trace for Chrome's viewer."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PHASES = ("forward", "backward", "optimizer")
_KEYS = {
    "time": lambda row: -row["seconds"],
    "mean": lambda row: -row["seconds"] / row["calls"],
    "calls": lambda row: -row["calls"],
    "memory": lambda row: -(row["bytes"] if row["allocated"] is None else row["allocated"]),
    "name": lambda row: (row["name"], PHASES.index(row["phase"])),
}


@dataclass(slots=True)
class Event:
    """One operation, forward or backward.

    Attributes:
        name: of the operation.
        phase: "forward", "backward" or "optimizer".
        start, seconds: when it began, by `time.perf_counter`, and how long it took.
        shapes: of its arguments, or of the gradient that it got; numbers as they are.
        bytes: size of the result, 0 for a view.
        first: not the second rule of an operation with several arguments.
        allocated, peak: bytes that it allocated and did not free, and most that was allocated in all; None if not asked for.
    """

    name: str
    phase: str
    start: float
    seconds: float
    shapes: tuple = ()
    bytes: int = 0
    first: bool = True
    allocated: int | None = None
    peak: int | None = None


def rows(events: Sequence[Event], group_by_shape: bool = False) -> list[dict[str, Any]]:
    """Events of one operation and phase together."""
    found: dict[tuple, dict[str, Any]] = {}
    for event in events:
        shapes = event.shapes if group_by_shape else ()
        fresh = {"name": event.name, "phase": event.phase, "shapes": shapes, "calls": 0, "seconds": 0.0, "bytes": 0}
        row = found.setdefault((event.name, event.phase, str(shapes)), {**fresh, "allocated": None, "peak": None})
        row["calls"] += event.first
        row["seconds"] += event.seconds
        row["bytes"] += event.bytes
        if event.allocated is not None and event.peak is not None:
            row["allocated"] = (row["allocated"] or 0) + event.allocated
            row["peak"] = max(row["peak"] or 0, event.peak)
    for row in found.values():
        row["calls"] = max(row["calls"], 1)
    return list(found.values())


def as_table(
    found: list[dict[str, Any]], sort_by: str, row_limit: int | None, elapsed: float, peak: int | None
) -> str:
    """Rows as text.

    >>> row = {"name": "mul", "phase": "forward", "shapes": (), "calls": 2, "seconds": 0.5, "bytes": 2e6}
    >>> print(as_table([{**row, "allocated": None, "peak": None}], "time", None, 1.0, None))
    operation                 phase      calls  total ms  share   mean us  result MB
    mul                       forward        2     500.0  50.0%  250000.0       2.00
    inside operations                        2     500.0  50.0%                 2.00
    elsewhere                                      500.0  50.0%
    """
    if sort_by not in _KEYS:
        raise ValueError(f"profile: sort_by must be one of {', '.join(_KEYS)}, got {sort_by!r}")
    found = sorted(found, key=_KEYS[sort_by])
    memory = any(row["allocated"] is not None for row in found)
    heads = "  allocated MB  peak MB" * memory + "  shapes" * any(row["shapes"] for row in found)
    lines = [f"{'operation':26}{'phase':9}{'calls':>7}{'total ms':>10}{'share':>7}{'mean us':>10}{'result MB':>11}{heads}"]
    for row in found[:row_limit]:
        lines.append(_line(row, elapsed, memory))
    if rest := found[len(found[:row_limit]) :]:
        lines.append(_line(_sum(f"{len(rest)} more", rest), elapsed, memory, total=True))
    inside = _sum("inside operations", found)
    lines.append(_line(inside, elapsed, memory, total=True))
    other = max(0.0, elapsed - inside["seconds"])
    lines.append(f"{'elsewhere':42}{1e3 * other:10.1f}{_share(other, elapsed):>7}")
    if peak is not None:
        lines.append(f"at most {peak / 1e6:.2f} MB were allocated at a time")
    return "\n".join(lines)


def _line(row: dict[str, Any], elapsed: float, memory: bool, total: bool = False) -> str:
    mean = "" if total else f"{1e6 * row['seconds'] / row['calls']:.1f}"
    text = f"{row['name']:26}{row['phase']:9}{row['calls']:7}{1e3 * row['seconds']:10.1f}"
    text += f"{_share(row['seconds'], elapsed):>7}{mean:>10}{row['bytes'] / 1e6:11.2f}"
    if memory:
        text += f"{(row['allocated'] or 0) / 1e6:14.2f}{(row['peak'] or 0) / 1e6:9.2f}"
    return text + (f"  {', '.join(map(str, row['shapes']))}" if row["shapes"] else "")


def _share(seconds: float, elapsed: float) -> str:
    return f"{100 * seconds / elapsed:.1f}%" if elapsed else ""


def _sum(name: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    sums = {key: sum(row[key] or 0 for row in found) for key in ("calls", "seconds", "bytes", "allocated")}
    return {"name": name, "phase": "", "shapes": (), "peak": max((row["peak"] or 0 for row in found), default=0), **sums}


def write_trace(events: Sequence[Event], path: str | os.PathLike[str]) -> None:
    """Events in the Trace Event Format; the file is there in whole or not at all."""
    start = min((event.start for event in events), default=0.0)
    names = [
        {"ph": "M", "name": "thread_name", "pid": 0, "tid": tid, "args": {"name": phase}}
        for tid, phase in enumerate(PHASES)
    ]
    spans = [
        {
            "ph": "X", "name": event.name, "cat": event.phase, "pid": 0, "tid": PHASES.index(event.phase),
            "ts": 1e6 * (event.start - start), "dur": 1e6 * event.seconds, "args": _details(event),
        }
        for event in events
    ]  # fmt: skip
    target = Path(path)
    part = target.with_name(f"{target.name}.part")
    try:
        part.write_text(json.dumps({"traceEvents": names + spans, "displayTimeUnit": "ms"}))
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _details(event: Event) -> dict[str, Any]:
    details: dict[str, Any] = {"result bytes": event.bytes}
    if event.shapes:
        details["shapes"] = ", ".join(map(str, event.shapes))
    if event.allocated is not None:
        details |= {"allocated bytes": event.allocated, "peak bytes": event.peak}
    return details
