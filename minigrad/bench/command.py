"""The command `minigrad bench`."""

from __future__ import annotations

import argparse
import datetime
import json
import re
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import machine, measure, table
from .machine import cores
from .operations import OPERATIONS
from .peers import NETS
from .process import compiler
from .workloads import WORKLOADS

HELP = "measure training steps and operations, beside PyTorch and others"
SCHEMA = 1  # of the results
GROUPS = {"training": "all training steps", "operations": "all operations", "peers": "small networks, in other libraries too"}
PEERS = ("autograd", "mygrad", "jax", "tinygrad")
RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"  # in a clone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `minigrad bench` understands."""
    all_cores = cores()
    add = parser.add_argument
    add("names", metavar="NAME", nargs="*", help="what to measure, see --list (default: everything)")
    add("--list", action="store_true", help="what there is to measure, and against whom")
    add("--threads", type=_count, default=all_cores, help=f"of each contender (default: {all_cores}, all cores)")
    add("--rounds", type=_count, default=3, help="turns of each process (default: 3)")
    add("--launches", type=_count, default=2, help="how often processes are started anew (default: 2)")
    add("--seconds", type=_seconds, default=0.5, help="of a turn with a training step (default: 0.5)")
    add("--against", default="torch,torch best", help="opponents (default: 'torch,torch best')")
    add("--no-numba", action="store_true", help="hide numba from minigrad")
    add("--no-mkl", action="store_true", help="hide MKL from minigrad")
    text = "write the results as JSON (default: to benchmarks/results of a clone, named after machine and settings)"
    add("--save", metavar="FILE", nargs="?", const="", help=text)
    text = "measure nothing: make the tables and pictures of benchmarks/ and of the README from the results"
    add("--report", action="store_true", help=text)


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 60:
        raise argparse.ArgumentTypeError(f"must be seconds, above 0 and up to 60, got {text!r}")
    return value


def run(options: argparse.Namespace) -> int:
    """`minigrad bench`."""
    if options.list:
        print(*listing(), sep="\n")
        return 0
    if options.report:
        from . import report

        print(*report.write(), sep="\n")
        return 0
    training, operations, peers = chosen(options.names)
    if options.threads > cores():
        raise ValueError(f"bench: {options.threads} threads on {cores()} cores would measure how they wait; use {cores()}")
    where = target(options) if options.save is not None else None
    opponents, missing = available(options.against.split(","))
    others, absent = available(PEERS) if peers else ([], {})
    settings = measure.Settings(
        options.threads, options.launches, options.rounds, options.seconds, not options.no_numba, not options.no_mkl
    )
    for name, why in {**missing, **absent}.items():
        print(f"without {name}: {why}", file=sys.stderr)
    results: dict[str, Any] = {
        "schema": SCHEMA,
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "settings": settings.as_dict(),
        "missing": {**missing, **absent},
        "idle": {"before": idle()},
    }
    results["training"] = steps(training, opponents, settings)
    results["operations"], results["peaks"] = work(operations, opponents, settings)
    results["peers"] = steps(peers, ["torch", *others] if "torch" in opponents else others, replace(settings, launches=1))
    results["idle"]["after"] = idle()
    if where is not None:
        save(results, where)
        print(f"written to {where}")
    rows = [*results["training"], *results["operations"], *results["peers"]]
    return int(any(row["void"] for row in rows))


def listing() -> Iterable[str]:
    """What there is to measure."""
    for name, text in GROUPS.items():
        yield f"{name:14}{text}"
    yield ""
    for name, workload in WORKLOADS.items():
        yield f"{name:14}{workload.title}"
    yield "\noperations, by the first word or in full:"
    yield from (f"    {name}" for name in OPERATIONS)
    there, missing = available(["torch", *PEERS])
    yield f"\nopponents: {', '.join(there) or 'none'}"
    yield from (f"    without {name}: {why}" for name, why in missing.items())


def chosen(names: list[str]) -> tuple[list[str], list[str], list[str]]:
    """The training workloads, the operations, and the workloads for all libraries that these names stand for.

    >>> chosen(["xor", "softmax"])
    (['xor'], ['softmax 4096x1024'], [])
    """
    training, operations, peers = [], [], []
    for name in names or GROUPS:
        found = [op for op in OPERATIONS if name == "operations" or op == name or op.split()[0] == name]
        training += list(WORKLOADS) if name == "training" else [name] if name in WORKLOADS else []
        operations += found
        peers += list(NETS) if name == "peers" else []
        if not (found or name in WORKLOADS or name in GROUPS):
            raise ValueError(f"bench: there is no {name!r} to measure; `minigrad bench --list` says what there is")
    return training, operations, peers


def available(names: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """Which opponents are there, and why the others are not."""
    there, missing = [], {}
    for name in filter(None, map(str.strip, names)):
        library = name.partition(" ")[0]
        if library not in ("torch", *PEERS) or name not in (library, "torch best"):
            raise ValueError(f"bench: {name!r} is no opponent; there are torch, 'torch best', {', '.join(PEERS)}")
        if not machine.installed(library):
            missing[name] = f"not installed: pip install {library}"
        elif library == "tinygrad" and compiler() is None:
            missing[name] = "installed, but it compiles with clang, and there is none"
        else:
            there.append(name)
    return there, missing


# -------------------------------------------------------------------------------------------------- measure and print


def idle() -> float | None:
    """How many cores others use; warns if that is a matter of concern."""
    busy = machine.busy()
    if busy is not None and busy > measure.DISTURBED:
        text = f"the machine is not idle: {busy:.1f} of {cores()} cores are at work for others"
        print(f"{text}, and what is measured now means little", file=sys.stderr)
    return busy


def steps(names: list[str], others: list[str], settings: measure.Settings) -> list[measure.Row]:
    """Measure and print training workloads."""
    rows: list[measure.Row] = []
    wide = len(others) > 2
    if names and not wide:
        print(f"\n{table.header(others)}")
    for name in names:
        rows.append(measure.train(name, ["minigrad", *others], settings, say))
        say("")
        if not wide:
            print(table.line(rows[-1], others), flush=True)
    if wide and rows:
        print("", *table.compact(rows, ["minigrad", *others]), sep="\n")
    for line in table.summary(rows, others):
        print(line)
    return rows


def work(names: list[str], others: list[str], settings: measure.Settings) -> tuple[list[measure.Row], dict[str, Any]]:
    """Measure and print operations."""
    if not names:
        return [], {}
    others = [name for name in others if name == "torch"]
    quick = replace(settings, rounds=min(settings.rounds, 2), seconds=settings.seconds / 2.5)
    rows, peaks = measure.operate(names, ["minigrad", *others], quick, say)
    say("")
    near, far = (peaks["bandwidth"][size] for size in (min(peaks["bandwidth"], key=int), max(peaks["bandwidth"], key=int)))
    print(f"\nmatrix products reach {peaks['gemm_gflops']:.0f} GFLOP/s, memory {near:.0f} GB/s in cache and {far:.0f} beyond")
    print(table.operation_header(others))
    for row in rows:
        print(table.operation_line(row, peaks, others), flush=True)
    return rows, peaks


def say(text: str) -> None:
    """What goes on, in one line that is written over; nothing where nobody looks."""
    if sys.stderr.isatty():
        print(f"\r{text:100}\r", end="", file=sys.stderr, flush=True)


# ------------------------------------------------------------------------------------------------------------ files


def target(options: argparse.Namespace) -> Path:
    """Where to write the results; wrong places are told before anything is measured.

    The name tells the machine and the settings: intel-xeon-processor-2-cores-2-threads-no-mkl.json
    """
    if options.save:
        path = Path(options.save)
    else:
        known = machine.describe()
        name = re.sub(r"[^a-z0-9]+", "-", re.sub(r"\(r\)|\(tm\)|@.*", "", known["cpu"].lower())).strip("-")
        variant = "-no-numba" * options.no_numba + "-no-mkl" * options.no_mkl
        folder = RESULTS if RESULTS.is_dir() else Path()
        path = folder / f"{name}-{known['cores']}-cores-{options.threads}-threads{variant}.json"
    if not path.parent.is_dir():
        raise ValueError(f"bench: {path.parent} is no folder; make it, or name another place with --save")
    if path.is_dir():
        raise ValueError(f"bench: {path} is a folder; name a file with --save")
    return path


def save(results: dict[str, Any], path: Path) -> None:
    """Write results as JSON, all or nothing."""
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(json.dumps(rounded(results), indent=1) + "\n")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def rounded(value: Any) -> Any:
    """Numbers with six digits: more is noise.

    >>> rounded({"ms": [1.23456789, 3]})
    {'ms': [1.23457, 3]}
    """
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
