"""Measuring in turns: minigrad and its opponents, each in a process of its own, one at a time.

A launch starts a process for each, and makes sure that they compute the same. Then come rounds: in each, every process
has its turn of so many seconds, while the others sleep; who begins changes from round to round. A round gives one time
for each, the 25th percentile of its steps, and so one ratio. What the machine did besides is noted with each turn. A
second launch gets other addresses in memory and other cores, which is part of what a time depends on. A turn that others
disturbed is repeated once, as far as the patience for that goes; which of the two counts is decided by the disturbance,
never by the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from . import machine
from .operations import CHECKED
from .process import Worker, WorkerError
from .statistic import disagreement, quarter
from .workloads import WORKLOADS

DISTURBED = 0.15  # cores that others used during a turn: more than this is told

Say = Callable[[str], None]
Row = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        threads: of every contender.
        launches: how often processes are started.
        rounds: turns of each process.
        seconds: of a turn.
        numba, mkl: False hides them from minigrad.
    """

    threads: int
    launches: int = 2
    rounds: int = 3
    seconds: float = 0.5
    numba: bool = True
    mkl: bool = True

    def worker(self, contender: str) -> Worker:
        """A process for a contender."""
        return Worker(contender, self.threads, self.numba, self.mkl)

    def as_dict(self) -> dict[str, Any]:
        """For the results."""
        return asdict(self)


def turn(worker: Worker, do: str, **request: Any) -> dict[str, Any]:
    """One turn of a process, with what others did meanwhile: `others`, in cores."""
    before = machine.Usage.now()
    reply = worker.ask(do, **request)
    after = machine.Usage.now()
    reply["others"] = None if before is None or after is None else before.others(after, reply["processor"])
    return reply


def rounds(contenders: Sequence[str], count: int) -> Iterator[list[str]]:
    """Who comes when.

    >>> list(rounds(["a", "b", "c"], 2))
    [['a', 'b', 'c'], ['b', 'c', 'a']]
    """
    for i in range(count):
        first = i % len(contenders)
        yield [*contenders[first:], *contenders[:first]]


# -------------------------------------------------------------------------------------------------- training steps


def train(name: str, contenders: Sequence[str], settings: Settings, say: Say) -> Row:
    """Measure a training workload.

    Args:
        name: one of WORKLOADS.
        contenders: minigrad and its opponents; the losses of torch, if it is there, are what all are held against.
        settings: how long and how often.
        say: is told what goes on.

    Returns:
        A row of the results: see benchmarks/README.md.
    """
    row: Row = {"name": name, "title": WORKLOADS[name].title, "void": None, "contenders": {}, "failed": {}}
    again = settings.rounds  # so many turns may be repeated because others disturbed them
    for launch in range(settings.launches):
        with ExitStack() as stack:
            workers = start(row, contenders, settings, stack, say)
            if row["void"]:
                break
            for order in rounds(list(workers), settings.rounds):
                for contender in order:
                    say(f"{name}: launch {launch + 1} of {settings.launches}, {contender}")
                    reply = turn(workers[contender], "turn", seconds=settings.seconds)
                    if again and (reply["others"] or 0) > DISTURBED:
                        again -= 1
                        reply = min(reply, turn(workers[contender], "turn", seconds=settings.seconds), key=_others)
                    add(row["contenders"][contender], reply)
            for contender, worker in workers.items():
                known = row["contenders"][contender]
                end = worker.ask("end")
                known["peak_mb"] = max(known["peak_mb"], end["peak_mb"])
                known["uses"] = end["uses"]
    return row


def start(row: Row, contenders: Sequence[str], settings: Settings, stack: ExitStack, say: Say) -> dict[str, Worker]:
    """A process for each contender that takes part; the row is void if they do not compute the same."""
    workers: dict[str, Worker] = {}
    for contender in contenders:
        if contender in row["failed"]:
            continue
        say(f"{row['name']}: starting {contender}")
        worker = stack.enter_context(settings.worker(contender))
        try:
            opening = worker.train(row["name"])
        except WorkerError as error:
            row["failed"][contender] = str(error)
            continue
        fresh = {"ms": [], "steps": 0, "processor": 0.0, "wall": 0.0, "others": [], "peak_mb": 0.0, "first_s": []}
        known = row["contenders"].setdefault(contender, fresh)
        known["first_s"].append(opening.pop("first"))
        known.update(opening)
        workers[contender] = worker
    losses = {name: row["contenders"][name]["losses"] for name in sorted(workers, key=lambda name: name != "torch")}
    why = disagreement(losses, WORKLOADS[row["name"]].tolerance) if losses else None
    row["void"] = row["failed"].get("minigrad") or why or (None if losses else "no contender could run it")
    return workers


def _others(reply: Mapping[str, Any]) -> float:
    return reply["others"] or 0.0


def add(known: dict[str, Any], reply: dict[str, Any]) -> None:
    """Add what a turn gave to what is known of a contender."""
    known["ms"].append(quarter(reply["times"]) * 1e3)
    known["steps"] += len(reply["times"])
    known["processor"] += reply["processor"]
    known["wall"] += reply["wall"]
    known["others"].append(reply["others"])


def disturbed(row: Mapping[str, Any]) -> list[float]:
    """How many cores others used, of the turns in which they used more than DISTURBED."""
    turns = [cores for known in row["contenders"].values() for cores in known["others"]]
    return [cores for cores in turns if cores is not None and cores > DISTURBED]


# ------------------------------------------------------------------------------------------------------ operations


def operate(names: Sequence[str], contenders: Sequence[str], settings: Settings, say: Say) -> tuple[list[Row], dict[str, Any]]:
    """Measure operations.

    Args:
        names: of OPERATIONS.
        contenders, settings, say: as in `train`; torch at its best is no other than torch here.

    Returns:
        A row for each, and what the machine can do: its matrix products and its memory.
    """
    rows: list[Row] = [{"name": name, "void": None, "contenders": {}} for name in names]
    peaks: dict[str, Any] = {"gemm_gflops": 0.0}
    say("the bandwidth of the memory")
    with settings.worker("numpy") as worker:
        peaks.update(worker.ask("machine", threads=settings.threads))
    for launch in range(settings.launches):
        with ExitStack() as stack:
            workers = {name: stack.enter_context(settings.worker(name)) for name in contenders}
            for worker in workers.values():
                worker.operations()
                peaks["gemm_gflops"] = max(peaks["gemm_gflops"], worker.ask("gemm", seconds=0.3)["gflops"])
                for size in peaks["bandwidth"] if worker.contender == "torch" else ():
                    found = worker.ask("bandwidth", size=int(size), seconds=0.1)["gbs"]
                    peaks["bandwidth"][size] = max(peaks["bandwidth"][size], found)
            for row in rows:
                say(f"{row['name']}: launch {launch + 1} of {settings.launches}")
                one(row, workers, settings)
    return rows, peaks


def one(row: Row, workers: dict[str, Worker], settings: Settings) -> None:
    """Measure one operation in one launch."""
    try:
        sums = {}
        for contender, worker in workers.items():
            prepared = worker.ask("prepare", name=row["name"])
            sums[contender] = prepared.pop("sums")
            row.update(prepared)
            row["contenders"].setdefault(contender, {"forward": [], "both": [], "others": []})
    except WorkerError as error:
        row["void"] = str(error)
        return
    (reference, expected), *others = sorted(sums.items(), key=lambda item: item[0] != "torch")
    for name, found in others:
        if not all(abs(a - b) <= CHECKED * abs(b) for a, b in zip(found, expected, strict=True)):
            row["void"] = f"{name} and {reference} do not compute the same"
            return
    for order in rounds(list(workers), settings.rounds):
        for contender in order:
            reply, known = turn(workers[contender], "turn", seconds=settings.seconds), row["contenders"][contender]
            known["forward"].append(quarter(reply["forward"]) * 1e3)
            known["both"].append(quarter(reply["both"]) * 1e3)
            known["others"].append(reply["others"])
