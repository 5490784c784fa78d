"""What the simulator counts of our CUDA kernels beside what a card's own counters say, so that one sees how near it is.

    python benchmarks/counters.py                   # with a card and Nsight Compute (ncu): `make gpu-counters`, about a minute
    python benchmarks/counters.py --compare FILE    # anywhere: the simulator on the same shapes, and tables of both

The first launches the steps that are used (with --all, all steps) under ncu and writes benchmarks/results/gpu/
counters-<card>.json. It needs no compiler but CuPy's. The second needs what the simulator needs, and no card.

ncu launches a kernel many times over, some counters at a time, and empties the caches before each. It leaves the clocks as
they are, for nothing here is a time.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from minigrad.kernels.cuda import launcher
from minigrad.kernels.ladder import Case, Ladder, Step, ladders

import minigrad as mg
from minigrad import backend

RESULTS = Path(__file__).parent / "results" / "gpu"
Metrics = Mapping[str, float | None]  # by ncu's name; None where ncu had nothing to say
Counted = Callable[[Any, int], Any]  # of what `report.measure` gives, and the number of a launch in it: a number, or None

# ------------------------------------------------------------------------------------------------ what both count


class Quantity(NamedTuple):
    """A number that the simulator and the card both have.

    Args:
        name: what it is.
        where: the simulator has it, in words.
        counted: takes it from there.
        metrics: the card's counters, by ncu's names, which are added up.
        says: what lies between the two; empty if both count the very same thing, and should be equal.
        times, over: the sum is multiplied by the one and divided by the other, a counter.
        only: the ladder it belongs to; empty for all.
    """

    name: str
    where: str
    counted: Counted
    metrics: tuple[str, ...]
    says: str = ""
    times: float = 1
    over: str = ""
    only: str = ""

    def measured(self, found: Metrics) -> float | None:
        """What the card says, or None if a counter is missing."""
        values = [found.get(metric) for metric in (*self.metrics, self.over) if metric]
        if None in values:
            return None
        total = self.times * sum(found[metric] or 0 for metric in self.metrics)
        return total / (found[self.over] or math.inf) if self.over else total


def of(name: str, *opcodes: str) -> Counted:
    """A field of the simulator's `Cost`, of the PTX instructions that begin with one of the opcodes."""
    return lambda measured, k: getattr(measured.records[k].result.counts.opcode(*opcodes), name)


def machine(read: Callable[[Any], float]) -> Counted:
    """What the machine code says of a kernel, where there is a compiler."""
    return lambda measured, k: None if measured.resources[k] is None else read(measured.resources[k])


def of_global(what: str, opcodes: tuple[str, ...], unit: str, name: str) -> Quantity:
    """Requests to global memory, or the sectors they ask for."""
    metrics = tuple(f"l1tex__t_{unit}_pipe_lsu_mem_global_op_{opcode}.sum" for opcode in opcodes)
    return Quantity(f"global {what}: {unit}", f"{name} of {', '.join(opcodes)}", of(name, *opcodes), metrics)


def of_shared(what: str, opcode: str, says: str) -> Iterator[Quantity]:
    """Wavefronts of shared memory, and those beyond the fewest possible."""
    turns, fewest, part = of("wavefronts", opcode), of("ideal_wavefronts", opcode), f"_op_{opcode}"
    told, above = f"wavefronts of {opcode}", lambda measured, k: turns(measured, k) - fewest(measured, k)
    yield Quantity(f"shared {what}: wavefronts", told, turns, (f"l1tex__data_pipe_lsu_wavefronts_mem_shared{part}.sum",), says)
    metric = f"l1tex__data_bank_conflicts_pipe_lsu_mem_shared{part}.sum"
    yield Quantity(f"shared {what}: bank conflicts", f"{told}, less the ideal", above, (metric,), says)


INSTRUCTIONS = "smsp__inst_executed.sum"
FFMA = "smsp__sass_thread_inst_executed_op_ffma_pred_on.sum"
HMMA = "sm__inst_executed_pipe_tensor_op_hmma.sum"
OF_LOOP = "ours is of the inner loop, the card's of the whole kernel"
ARBITER = "the card also counts turns that were lost to others who wanted the memory at that moment"
ACCESSES = {"loads": ("ld",), "stores": ("st",), "atomics": ("atom", "red")}
UNITS = {"requests": "global_requests", "sectors": "sectors"}

QUANTITIES = (
    Quantity(
        "instructions of warps", "warps", of("warps", ""), (INSTRUCTIONS,),
        "ours are PTX, the card's machine code: an address or a division of PTX is several there, a move may be none; nor do "
        "we count what no lane takes part in",
    ),
    Quantity(
        "FFMA of threads", "lanes of fma.rn.f32", of("lanes", "fma.rn.f32", "fma.rn.ftz.f32"), (FFMA,),
        "a division, a root and the like is one instruction of PTX, with several FFMA in it",
    ),
    Quantity("products of tensor cores", "warps of mma", of("warps", "mma"), (HMMA,), only="matmul_tf32"),
    Quantity(
        "FFMA %", "Resources.ffma_share", machine(lambda used: 100 * used.ffma_share), (FFMA,), OF_LOOP, 100 / 32, INSTRUCTIONS,
        only="matmul",
    ),
    Quantity(
        "HMMA %", "Resources.mma_share", machine(lambda used: 100 * used.mma_share), (HMMA,), OF_LOOP, 100, INSTRUCTIONS,
        only="matmul_tf32",
    ),
    *(of_global(what, opcodes, *unit) for what, opcodes in ACCESSES.items() for unit in UNITS.items()),
    *of_shared("loads", "ld", f"{ARBITER}, and fewer where its compiler makes one load of several"),
    *of_shared("stores", "st", ARBITER),
    Quantity("registers", "Resources.registers", machine(lambda used: used.registers), ("launch__registers_per_thread",)),
    Quantity(
        "static shared bytes", "Resources.shared", machine(lambda used: used.shared), ("launch__shared_mem_per_block_static",)
    ),
    Quantity(
        "dynamic shared bytes", "Launch.shared", lambda measured, k: measured.records[k].how.shared,
        ("launch__shared_mem_per_block_dynamic",),
    ),
    Quantity(
        "occupancy %", "Resources.occupancy", machine(lambda used: 100 * used.occupancy),
        ("sm__maximum_warps_per_active_cycle_pct",),
        "the most there can be, reckoned by both; the card has also to do with how much memory the driver made shared",
    ),
    Quantity(
        "sectors between L1 and L2", "sectors", of("sectors", ""), ("lts__t_sectors_srcunit_tex.sum",),
        "ours are as if there were no L1, which keeps some of what was loaded",
    ),
)  # fmt: skip
METRICS = tuple(dict.fromkeys(metric for q in QUANTITIES for metric in (*q.metrics, q.over) if metric))


# ------------------------------------------------------------------------------------------------ on the card


def chosen(everything: bool) -> list[tuple[Ladder, Step]]:
    """The steps that are used, or all."""
    return [(ladder, step) for ladder in ladders().values() for step in ladder.steps if step.used or everything]


def case_of(ladder: Ladder, step: Step) -> Case:
    """The example of a ladder, but a smaller one for the plain products, which keep the simulator busy."""
    return {**ladder.example, "M": 256, "N": 256, "K": 256} if ladder.name == "matmul" and not step.used else ladder.example


def number(arch: str) -> int:
    """80 of "sm_80"."""
    return int(arch.removeprefix("sm_"))


def geometry(how: Any) -> dict[str, Any]:
    """A `Launch` as JSON has it."""
    return {"grid": list(how.grid), "block": list(how.block), "shared": how.shared}


def sources() -> dict[str, str]:
    """The sources of all kernels, with a digest by which one sees whether they are still those that were measured."""
    files = sorted({kernel.file for _, step in chosen(True) for kernel in step.kernels})
    return {file: hashlib.sha256(launcher.source(file).encode()).hexdigest()[:16] for file in files}


def launch_and_note(notes: list[dict[str, Any]], about: dict[str, Any], kernel: Any, args: tuple, **sizes: int) -> None:
    """Launch a kernel on the card, and note that it was launched."""
    launcher.launch(kernel, args, **sizes)
    how = kernel.geometry(**sizes)
    if 0 not in how.grid:
        notes.append({**about, "kernel": kernel.name, **geometry(how)})


def run_all(everything: bool) -> dict[str, Any]:
    """Launch every chosen step once, with the inputs that the simulator has; what was launched, in order, and what failed."""
    notes: list[dict[str, Any]] = []
    failed, found = {}, card()
    for ladder, step in chosen(everything):
        name, case = f"{ladder.name} {step.name}", case_of(ladder, step)
        about = {"ladder": ladder.name, "step": step.name, "case": case}
        if number(step.arch) > number(found["capability"]):
            failed[name] = f"it needs {step.arch}"
            continue
        try:
            given = ladder.inputs(np.random.default_rng(len(str(dict(case)))), **case)
            given = {key: launcher.on_card(value) for key, value in given.items()}
            step.run(partial(launch_and_note, notes, about), case, **given)
            mg.cuda.synchronize()
        except Exception as problem:
            failed[name] = f"{type(problem).__name__}: {problem}"
    return {**found, "sources": sources(), "failed": failed, "launches": notes}


def card() -> dict[str, Any]:
    """What the numbers belong to."""
    cp, found = backend.cupy(), mg.cuda.get_device_properties()
    return {
        "card": found.name, "capability": f"sm_{found.major}{found.minor}", "driver": cp.cuda.runtime.driverGetVersion(),
        "cuda": cp.cuda.runtime.runtimeGetVersion(), "cupy": cp.__version__, "minigrad": mg.__version__,
        "nvrtc": ".".join(map(str, cp.cuda.nvrtc.getVersion())), "label": "measured",
        "when": datetime.now(UTC).date().isoformat(),
    }  # fmt: skip


def profile(ncu: str, everything: bool) -> dict[str, Any]:
    """Run this script under ncu, and give each launch its counters.

    Raises:
        RuntimeError: with ncu's own words, if it counted nothing, or other launches than ours.
    """
    metrics = list(METRICS)
    with tempfile.TemporaryDirectory() as folder:
        noted = Path(folder) / "launched.json"
        while True:
            done = said(command(ncu, metrics, noted, everything))
            rows, words = parse(done.stdout), complaints(done.stdout + done.stderr)
            if rows or not (strange := named(words, metrics)):
                break
            print(f"ncu does not know {', '.join(strange)}; again without", flush=True)
            metrics = [metric for metric in metrics if metric not in strange]
        if not rows or not noted.exists():
            raise RuntimeError(f"ncu counted nothing (exit status {done.returncode}); it says\n{words}")
        result = json.loads(noted.read_text(encoding="utf-8"))
    try:
        launches = join(result["launches"], rows)
    except ValueError as problem:
        raise RuntimeError(f"{problem}; ncu says\n{words}") from None
    version = re.search(r"Version (\S+)", said([ncu, "--version"]).stdout)
    return {**result, "ncu": version and version[1], "launches": launches}


def said(words: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command, and keep what it prints; numbers with points, whatever the user's language."""
    return subprocess.run(words, capture_output=True, encoding="utf-8", errors="replace", env={**os.environ, "LC_ALL": "C"})


def command(ncu: str, metrics: list[str], noted: Path, everything: bool) -> list[str]:
    """The command line: our kernels only, the caches emptied, the clocks left alone."""
    names = "|".join(name for file in sources() for name in launcher.signatures(file))
    return [
        ncu, "--csv", "--page", "raw", "--print-units", "base", "--print-kernel-base", "function",
        "--clock-control", "none", "--cache-control", "all", "--target-processes", "all",
        "--kernel-name", f"regex:^({names})$", "--metrics", ",".join(metrics),
        sys.executable, str(Path(__file__).resolve()), "--run", str(noted), *(["--all"] if everything else []),
    ]  # fmt: skip


def complaints(printed: str) -> str:
    """The end of what was printed, without the table and how far it got."""
    return "\n".join([line for line in printed.splitlines() if not line.startswith(('"', "==PROF=="))][-40:])


def named(words: str, metrics: list[str]) -> list[str]:
    """The metrics that a complaint names; none if it names them all, as an echo of the command line does."""
    found = [metric for metric in metrics if re.search(rf"\b{metric.partition('.')[0]}\b", words)]
    return found if len(found) < len(metrics) else []


def parse(text: str) -> list[dict[str, str]]:
    """The launches of ncu's raw page, as cells by column.

    It has a line of names, a line of units and a line for each launch; around and between them stands what else was said.
    """
    rows = list(csv.reader(text.splitlines()))
    head = next((row for row in rows if row[:1] == ["ID"]), [])
    return [dict(zip(head, row)) for row in rows if head and len(row) == len(head) and row[0].isdigit()]


def value(cell: str | None) -> float | None:
    """A number as ncu writes it, as "1,024"; None for "n/a" and its like."""
    try:
        found = float((cell or "").replace(",", ""))
    except ValueError:
        return None
    return None if math.isnan(found) else int(found) if found.is_integer() else found


def join(launches: list[dict[str, Any]], rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Our launches with the counters that ncu read, in order.

    Raises:
        ValueError: if the kernels are not the same.
    """
    ours, theirs = [launch["kernel"] for launch in launches], [row["Kernel Name"].partition("(")[0].strip() for row in rows]
    if ours != theirs:
        k = next((k for k, (mine, other) in enumerate(zip(ours, theirs)) if mine != other), min(len(ours), len(theirs)))
        parts = ", ".join(ours[k : k + 3]) or "nothing", ", ".join(theirs[k : k + 3]) or "nothing"
        counts = f"{len(ours)} launches of ours, {len(theirs)} seen by ncu"
        raise ValueError(f"{counts}; from number {k} on, ours are {parts[0]}, and ncu's {parts[1]}")
    return [{**launch, "metrics": {m: value(row.get(m)) for m in METRICS}} for launch, row in zip(launches, rows)]


# ------------------------------------------------------------------------------------------------ the simulator beside it


class Row(NamedTuple):
    """A quantity of a kernel, as both have it."""

    kernel: str
    quantity: Quantity
    counted: float | None
    measured: float | None

    @property
    def ratio(self) -> float | None:
        """Counted over measured, if there are both: 1 is what one hopes for."""
        if self.counted is None or self.measured is None:
            return None
        return 1.0 if self.counted == self.measured else self.counted / self.measured if self.measured else math.inf

    @property
    def apart(self) -> float:
        """How far the ratio is from 1, to find the worst row."""
        return abs(math.log(self.ratio)) if self.ratio else math.inf

    def cells(self) -> list[str]:
        """The row in a table."""
        ratio = "n/a" if self.ratio is None else f"{self.ratio:.3f}"
        return [self.kernel, self.quantity.name, shown(self.counted), shown(self.measured), ratio]


def shown(number: float | None) -> str:
    """A number in a table."""
    return "n/a" if number is None else f"{number:,}" if isinstance(number, int) else f"{number:,.1f}"


def tuples(given: Any) -> Any:
    """A case as it was before it was JSON."""
    if isinstance(given, dict):
        return {key: tuples(item) for key, item in given.items()}
    return tuple(map(tuples, given)) if isinstance(given, list) else given


def compare(found: dict[str, Any]) -> tuple[list[Row], list[str]]:
    """Run the simulator on what was measured: a row for each quantity, and what is not as it should be, in sentences."""
    rows: list[Row] = []
    now, then = sources(), found["sources"].items()
    problems = [f"{name} did not run on the card: {why}" for name, why in found["failed"].items()]
    problems += [f"{file} has changed since it was measured" for file, digest in then if now.get(file) != digest]
    for (name, step), launches in groupby(found["launches"], key=lambda launch: (launch["ladder"], launch["step"])):
        try:
            rows += compare_step(name, step, list(launches), found["capability"])
        except ValueError as problem:
            problems.append(f"{name} {step} is left out: {problem}")
    return rows, problems


def compare_step(name: str, step: str, launches: list[dict[str, Any]], capability: str) -> Iterator[Row]:
    """The rows of a step.

    Raises:
        ValueError: if there is no such step any more, or the simulator launches something else, or its results are wrong.
    """
    from minigrad.kernels.simulator import machine_code, report

    if name not in ladders():
        raise ValueError("there is no such kernel any more")
    ladder = ladders()[name]
    arch = max((a for a in machine_code.LIMITS if number(a) <= number(capability)), key=number, default="sm_75")
    measured = report.measure(ladder, ladder.step(step), tuples(launches[0]["case"]), arch)
    here = [{"kernel": record.kernel.name, **geometry(record.how)} for record in measured.records]
    there = [{key: launch[key] for key in ("kernel", "grid", "block", "shared")} for launch in launches]
    if here != there:
        raise ValueError(f"the card launched {there}, the simulator {here}")
    if measured.problem:
        raise ValueError(f"in the simulator it is wrong: {measured.problem}")
    for k, launch in enumerate(launches):
        kernel = f"{name} {step}: {launch['kernel']}"
        for quantity in QUANTITIES:
            if quantity.only in ("", name):
                yield Row(kernel, quantity, quantity.counted(measured, k), quantity.measured(launch["metrics"]))


def nearness(rows: list[Row]) -> list[list[str]]:
    """A line for each quantity: how often both agree, and how far apart they are where they do not."""
    lines = []
    for quantity in QUANTITIES:
        both = [row for row in rows if row.quantity is quantity and row.ratio is not None]
        if any(row.counted or row.measured for row in both):
            ratios = [row.ratio or 0.0 for row in both]
            far, equal = max(both, key=lambda row: row.apart), ratios.count(1.0)
            where = "" if equal == len(both) else f"{far.kernel}: {shown(far.counted)}, {shown(far.measured)}"
            same = "no" if quantity.says else "yes"
            lines.append([quantity.name, same, f"{equal} of {len(both)}", f"{min(ratios):.3f}", f"{max(ratios):.3f}", where])
    return lines


def table(head: str, rows: list[list[str]]) -> str:
    """A table in Markdown; the head with its columns parted by bars."""
    lines = [head.split("|"), ["---"] * (head.count("|") + 1), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def text(found: dict[str, Any], rows: list[Row], problems: list[str]) -> str:
    """All of it, in Markdown."""
    from minigrad.kernels.simulator import nvrtc

    ours = ".".join(map(str, nvrtc.version())) if nvrtc.available() else "n/a"
    ticks = lambda q: " + ".join(f"`{metric}`" for metric in q.metrics) + (f" / `{q.over}`" if q.over else "")
    mapped = [[q.name, q.where, ticks(q), q.says] for q in QUANTITIES]
    parts = [
        f"# Counted, and measured on {found['card']}",
        f"Measured on {found['when']} with Nsight Compute {found['ncu']}. The machine code is from NVRTC {found['nvrtc']} on "
        f"the card, {ours} in the simulator. A ratio is counted / measured; both may be 0, which is equal.",
        *(["Not as it should be:\n\n" + "\n".join(f"- {problem}" for problem in problems)] if problems else []),
        "## How near",
        table("quantity|the same thing|equal|least ratio|greatest ratio|furthest apart: counted, measured", nearness(rows)),
        "## What is compared with what",
        table("quantity|of the simulator|of the card|between them", mapped),
        "## Everything, but where both are 0",
        table("kernel|quantity|counted|measured|ratio", [row.cells() for row in rows if row.counted or row.measured]),
    ]
    return "\n\n".join(parts) + "\n"


def main(argv: list[str] | None = None) -> int:
    """Measure, or compare; 1 where there is no card, no ncu, or it counted nothing."""
    parser = argparse.ArgumentParser(description="What the simulator counts beside what the counters of a card say.")
    parser.add_argument("--all", action="store_true", help="every step, not only those that are used")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="run the simulator on what is in this file; print tables")
    parser.add_argument("--out", type=Path, help="where to write: the JSON, or with --compare the tables")
    parser.add_argument("--ncu", default=shutil.which("ncu") or shutil.which("ncu", path="/usr/local/cuda/bin"))
    parser.add_argument("--run", type=Path, metavar="FILE", help=argparse.SUPPRESS)  # what ncu runs
    args = parser.parse_args(argv)
    try:
        if args.compare:
            found = json.loads(args.compare.read_text(encoding="utf-8"))
            return written(text(found, *compare(found)), args.out)
        if problem := backend.cuda_problem():
            raise RuntimeError(f"nothing to measure: {problem}")
        if args.run:
            return written(json.dumps(run_all(args.all)), args.run)
        if args.ncu is None:
            raise RuntimeError("nothing to measure with: install Nsight Compute, or name its ncu: --ncu PATH")
        print(f"{len(chosen(args.all))} steps under {args.ncu}: about a minute", flush=True)
        found = profile(args.ncu, args.all)
    except (RuntimeError, OSError) as problem:
        print(f"benchmarks/counters.py: {problem}", file=sys.stderr)
        return 1
    print(*(f"{name} did not run: {why}\n" for name, why in found["failed"].items()), sep="", end="")
    missing = [m for m in METRICS if all(launch["metrics"][m] is None for launch in found["launches"])]
    print(f"{len(found['launches'])} launches" + (f", without {', '.join(missing)}" if missing else ""))
    out = args.out or RESULTS / f"counters-{'-'.join(found['card'].lower().split())}.json"
    return written(json.dumps(found, indent=1) + "\n", out)


def written(result: str, path: Path | None) -> int:
    """Write a result to a file, or print it."""
    if path is None:
        print(result, end="")
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(result, encoding="utf-8")
        print(f"written to {path}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
