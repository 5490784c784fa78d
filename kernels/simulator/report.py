"""Tables: what each line of a kernel costs, and the steps of a ladder side by side. Every number in them is counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..ladder import Case, Ladder, Step
from .check import Record, Runner, difference, run
from .counts import Cost, Counts
from .errors import MissingTool
from .launch import Module
from .machine_code import Resources
from .stored import module


@dataclass(frozen=True)
class Measured:
    """A step that ran on a case: what it launched, how far it is from the reference, what it took of the machine."""

    ladder: Ladder
    step: Step
    case: Case
    records: list[Record]
    error: float
    problem: str
    resources: list[Resources | None]  # of each record

    @property
    def total(self) -> Cost:
        """All launches together."""
        total = Cost()
        for record in self.records:
            total += counts(record).totals()
        return total

    @property
    def over_minimum(self) -> float | None:
        """Bytes counted over bytes needed."""
        if self.ladder.minimum_bytes is None:
            return None
        return self.total.traffic / self.ladder.minimum_bytes(**self.case)


def counts(record: Record) -> Counts:
    """The counts of a launch in checked mode."""
    assert record.result.counts is not None
    return record.result.counts


def measure(ladder: Ladder, step: Step, case: Case, arch: str = "sm_80") -> Measured:
    """Run a step on a case in checked mode, and compile it for an architecture."""
    runner = Runner()
    error, problem = difference(ladder, *run(ladder, step, case, runner))
    problem = problem or "; ".join(str(finding) for finding in runner.findings[:3])
    return Measured(ladder, step, case, runner.records, error, problem, [_resources(record, arch) for record in runner.records])


def _resources(record: Record, arch: str) -> Resources | None:
    threads = 1
    for size in record.how.block:
        threads *= size
    try:
        kept: Module = module(record.kernel.file)
        return kept.resources(record.kernel.name, arch, threads, record.how.shared)
    except MissingTool:
        return None


# ------------------------------------------------------------------------------------------------ text


def table(rows: Sequence[Sequence[Any]], head: Sequence[str], left: Sequence[int] = ()) -> list[str]:
    """Lines of a table; columns in `left` begin at the left, the others end at the right.

    >>> print(*table([(1, "a"), (23, "b")], ["n", "name"], left=[1]), sep="\\n")
     n  name
     1  a
    23  b
    """
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[k]) for row in cells) for k in range(len(head))]
    lines = []
    for row in cells:
        parts = [cell.ljust(width) if k in left else cell.rjust(width) for k, (cell, width) in enumerate(zip(row, widths))]
        lines.append("  ".join(parts).rstrip())
    return lines


def short(number: float) -> str:
    """A count in three digits.

    >>> short(999), short(30720), short(1310720)
    ('999', '30.7 K', '1.31 M')
    """
    for unit, size in (("G", 1e9), ("M", 1e6), ("K", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:g}"


def inspection(measured: Measured, width: int = 120) -> list[str]:
    """What `minigrad kernels inspect` prints."""
    told = " ".join(f"{key}={value}" for key, value in measured.case.items())
    lines = [f"{measured.ladder.name} {measured.step.name}: {measured.step.says}", told, ""]
    for record, used in zip(measured.records, measured.resources):
        how = record.how
        lines += [f"{record.kernel.name}<<<{how.grid}, {how.block}, {how.shared}>>>", *_lines(record, width)]
        lines += ["", *(machine(used) if used else ["registers and occupancy need NVRTC: pip install 'minigrad[sim]'"]), ""]
    lines += _summary(measured)
    lines.append(f"WRONG: {measured.problem}" if measured.problem else "right, with no findings")
    return lines


def _lines(record: Record, width: int) -> list[str]:
    rows = []
    for line in counts(record).lines():
        c = line.cost
        if not (c.sectors or c.wavefronts or c.flops):
            continue
        rows.append((
            line.number, short(c.sectors) if c.sectors else "", f"{c.efficiency:.1%}" if c.sectors else "",
            short(c.wavefronts) if c.wavefronts else "", f"{c.conflicts:.2f}" if c.wavefronts else "",
            short(c.flops) if c.flops else "", " ".join(line.kinds) or "-", line.text,
        ))  # fmt: skip
    head = ["line", "sectors", "efficiency", "wavefronts", "conflicts", "flop", "accesses", "source"]
    return [text[:width] for text in table(rows, head, left=[6, 7])]


def machine(used: Resources) -> list[str]:
    """What a kernel takes of a multiprocessor, in words."""
    spills = f"{used.spill_stores + used.spill_loads} bytes spilled" if used.spill_stores + used.spill_loads else "no spills"
    lines = [
        f"{used.arch}: {used.registers} registers, {spills}, {used.shared} bytes of static shared memory; {used.blocks} blocks "
        f"on a multiprocessor, occupancy {used.occupancy:.0%} (limit: {used.limited_by})"
    ]
    if used.loop:
        parts = sorted(used.loop.items(), key=lambda item: -item[1])
        mix = ", ".join(f"{name} {count / used.loop_length:.0%}" for name, count in parts if count / used.loop_length >= 0.005)
        lines.append(f"hot loop of {used.loop_length} machine instructions: {mix}")
    return lines


def _summary(measured: Measured) -> list[str]:
    c = measured.total
    lines = []
    if c.sectors:
        wide = f", {c.wide_bytes / c.global_bytes:.0%} of it 16 bytes at a time" if c.global_bytes else ""
        lines.append(f"global memory: {short(c.traffic)}B in {short(c.sectors)} sectors, {c.efficiency:.1%} used{wide}")
    if measured.over_minimum is not None and measured.ladder.minimum_bytes is not None:
        needed = measured.ladder.minimum_bytes(**measured.case)
        lines.append(f"bytes counted over bytes needed: {measured.over_minimum:.3f} (needed: {short(needed)}B)")
    if c.wavefronts:
        lines.append(f"shared memory: {short(c.wavefronts)} wavefronts, {c.conflicts:.2f} times those without conflicts")
    active = c.lanes / max(1, 32 * c.warps)
    lines.append(f"{short(c.flops)} flop, {short(c.warps)} instructions of warps, {active:.0%} of the lanes active")
    return lines


def comparison(ladder: Ladder, case: Case, arch: str = "sm_80") -> tuple[list[str], list[Measured]]:
    """What `minigrad kernels compare` prints: the ladder, a row for each step, and a chart."""
    steps = [step for step in ladder.steps if step.supports(case)]
    all_measured = [measure(ladder, step, case, arch) for step in steps]
    rows = []
    for m in all_measured:
        c, used = m.total, next((r for r in m.resources if r), None)
        over = "" if m.over_minimum is None else f"{m.over_minimum:.2f}"
        rows.append((
            m.step.name, short(c.sectors), over, f"{c.efficiency:.0%}", short(c.wavefronts), f"{c.conflicts:.2f}",
            short(c.warps), used.registers if used else "?", f"{used.occupancy:.0%}" if used else "?",
            f"{used.ffma_share:.0%}" if used and used.loop.get("FFMA") else "", "no" if m.problem else "yes", m.step.says,
        ))  # fmt: skip
    head = ["step", "sectors", "of minimum", "used", "wavefronts", "conflicts"]
    head += ["instructions", "registers", "occupancy", "FFMA", "right", "what is new"]
    told = " ".join(f"{key}={value}" for key, value in case.items())
    lines = [f"{ladder.name}, {told}, {arch}; all numbers are counted, none is measured", "", *table(rows, head, left=[0, 11])]
    return [*lines, "", *bars([(m.step.name, m.total.traffic) for m in all_measured], "bytes of global memory")], all_measured


def bars(values: Sequence[tuple[str, float]], title: str, width: int = 60) -> list[str]:
    """A chart of letters.

    >>> print(*bars([("v1", 4.0), ("v2", 1.0)], "bytes", width=8), sep="\\n")
    bytes
    v1  ████████  4
    v2  ██  1
    """
    most = max((value for _, value in values), default=0) or 1
    names = max((len(name) for name, _ in values), default=0)
    return [title, *(f"{name:{names}}  {'█' * max(1, round(width * value / most))}  {short(value)}" for name, value in values)]
