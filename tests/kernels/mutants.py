"""Break every kernel on purpose, and see that checking it notices: `python -m tests.kernels.mutants [NAME ...] [--all]`.

Changes are made in the PTX, so that each costs milliseconds: a barrier or a wait is left out, a comparison of two
numbers that are not constants includes or leaves out its bound, an access goes one element too far. Only instructions
that some case executes are changed; of the comparisons and accesses of a kernel some are drawn, all with --all. A
mutant is killed by a finding, a wrong result or a fault. Whatever survives either shows that a case is missing, or makes
no difference, which has to be explained in EQUIVALENT.
"""

from __future__ import annotations

import argparse
import functools
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from minigrad.kernels.cuda import launcher
from minigrad.kernels.ladder import Case, Ladder, Step, ladders
from minigrad.kernels.simulator import KernelFault, LaunchError, Module, UnsupportedPTX, stored
from minigrad.kernels.simulator import launch as launching
from minigrad.kernels.simulator.check import Runner, difference, run

DRAWN = 8  # of each kind, for each kernel
SWAP = {"lt": "le", "le": "lt", "gt": "ge", "ge": "gt", "ltu": "leu", "leu": "ltu", "gtu": "geu", "geu": "gtu", "lo": "ls", "hi": "hs"}
LIMIT = 40  # millions of instructions for a warp: a mutant may not end

# Bounds that may include their end or leave it out: a pattern for "kernel: line of the source", and the reason.
EQUIVALENT: list[tuple[str, str]] = [
    (r"^gelu.*: if \(i \+ 4 <= n\)", "the last four numbers are then done one by one"),
    (r"^embedding.*: if \(!mine && i >= begin \+ 32\) return", "looks at one token more, and leaves it"),
    (r"_v[345]: (if \(c < (row\.)?cols\)|int c = 4|return warp_sum)", "a block has fewer threads than its row has fours"),
    (r"softmax_backward_v3: for \(int c = g\.thread", "a block has fewer threads than its row has numbers"),
    (r"norm_v4: for \(int row = blockIdx\.x", "there are no more blocks than rows, and no more threads than fours"),
    (r"^col2im_v2: if \((right|down) < 0", "the last tap of a filter never reaches behind the output"),
    (r"^col2im_v3: if \(warp \* fours >=", "the threads of a warp behind the last pixel have nothing of their own"),
    (r"^im2col_v4: (for \(int j = -skip|float\* to = columns)", "skip is not negative, and a filter not empty"),
    (r"^im2col_v4: if \(j \+ [23] ", "two turns of the loop stand in a row, and the first of them is not the last"),
    (r"^attention.*: (for \(int (key|query)0 = |total\[i\] = total)", "a tile of nothing adds nothing"),
    (r"^attention.*: if \(sure \|\| c \+ i < d\)", "where d is a multiple of 4, four numbers are stored at once"),
    (r"^attention.*: : values", "that is the smaller of two numbers, where they are equal"),
    (r"^attention_backward_kv.*: p\[i\]\[j\] = __expf", "a key behind the last one is not stored"),
]


@dataclass(frozen=True)
class Mutant:
    """A change of one instruction: the number of its line in the PTX, what stands there then, and where it comes from."""

    kind: str
    line: int
    old: str
    new: str
    source_line: int

    def __str__(self) -> str:
        return f"{' '.join(self.old.split())} -> {' '.join(self.new.split()) or 'nothing'}"


def mutants(ptx: str, kernel: str) -> Iterator[Mutant]:
    """All changes of a kernel."""
    lines, inside, source_line = ptx.splitlines(), False, 0
    for number, line in enumerate(lines):
        if match := re.match(r"(?:\.visible |\.weak )*\.entry (\w+)", line):
            inside = match[1] == kernel
        if match := re.match(r"\s*\.loc\s+\d+ (\d+)", line):
            source_line = int(match[1]) or source_line  # 0 is what the compiler cannot name
        elif inside and line.startswith("\t"):
            yield from (Mutant(kind, number, line.strip(), new, source_line) for kind, new in changes(line))


def changes(line: str) -> Iterator[tuple[str, str]]:
    """What may be changed in a line of PTX.

    >>> list(changes("setp.ge.s32 %p1, %r1, %r2;"))
    [('bound', 'setp.gt.s32 %p1, %r1, %r2;')]
    >>> list(changes("bar.sync 0;")), list(changes("ld.shared.v2.f32 {%f1, %f2}, [%r1+8];"))
    ([('barrier', '')], [('index', 'ld.shared.v2.f32 {%f1, %f2}, [%r1+16];')])
    """
    if re.match(r"\s*(@!?%p\d+ )?(bar|barrier)\.", line):
        yield "barrier", ""
    if re.match(r"\s*cp\.async\.wait", line):
        yield "wait", ""
    if (match := re.match(r"\s*setp\.(\w+)\.[us]\d+\s+%p\d+, %\w+, %", line)) and match[1] in SWAP:
        yield "bound", line.replace(f"setp.{match[1]}.", f"setp.{SWAP[match[1]]}.", 1)
    if re.match(r"\s*(@!?%p\d+ )?(ld|st)\.(?!param|local)", line):
        size = int(re.search(r"\.[a-z](\d+)\s", line)[1]) // 8  # type: ignore[index]
        size *= int(match[1]) if (match := re.search(r"\.v(\d)\.", line)) else 1
        address = re.search(r"\[([%\w$]+)(?:\+(-?\d+))?\]", line)
        assert address
        yield "index", line.replace(address[0], f"[{address[1]}+{int(address[2] or 0) + size}]")


def chosen(all_mutants: list[Mutant], every: bool) -> list[Mutant]:
    """All barriers and waits, and some of each other kind."""
    rng, result = np.random.default_rng(7), []
    for kind in dict.fromkeys(m.kind for m in all_mutants):
        members = [m for m in all_mutants if m.kind == kind]
        drawn = kind in ("bound", "index") and not every and len(members) > DRAWN
        result += [members[k] for k in sorted(rng.choice(len(members), DRAWN, replace=False))] if drawn else members
    return result


def killed(ladder: Ladder, step: Step, cases: list[Case], modules: Callable[[str, str], Module]) -> str:
    """What notices a mutant; "" if nothing does."""
    for case in cases:
        for order in ("random", "descending"):
            runner = Runner("checked", order, modules=modules)
            try:
                _, text = difference(ladder, *run(ladder, step, case, runner))
            except (KernelFault, LaunchError, UnsupportedPTX) as error:
                return f"fault: {error}"
            if runner.findings:
                return f"finding: {runner.findings[0].kind}"
            if text:
                return "result"
    return ""


def size(case: Case) -> int:
    """How large a case is; small ones are tried first."""
    return int(np.prod([value for value in case.values() if isinstance(value, int) and value], dtype=float))


def of_step(ladder: Ladder, step: Step, every: bool) -> Iterator[tuple[str, Mutant, str]]:
    """The kernel, the mutant and what killed it, for all kernels of a step."""
    cases = sorted((case for case in ladder.cases if step.supports(case)), key=size)
    reached = {kernel.name: {id(case): executed(ladder, step, case, kernel.name) for case in cases} for kernel in step.kernels}
    for kernel in step.kernels:
        text = stored.module(kernel.file).ptx
        used = [case for case in cases if reached[kernel.name][id(case)]]
        lived = set().union(*reached[kernel.name].values())
        alive = [m for m in mutants(text, kernel.name) if " ".join(m.old.rstrip(";").split()) in lived]
        for mutant in chosen(alive, every):
            lines = text.splitlines()
            lines[mutant.line] = mutant.new
            changed = Module("\n".join(lines), None, kernel.file)
            modules = lambda file, arch, changed=changed, own=kernel.file: changed if file == own else stored.module(file)
            yield kernel.name, mutant, killed(ladder, step, used, modules)


@functools.cache
def _records(name: str, step: str, case: tuple) -> list[tuple[str, set[str]]]:
    ladder, runner = ladders()[name], Runner()
    run(ladder, ladder.step(step), dict(case), runner)
    found = []
    for record in runner.records:
        counted = record.result.counts
        assert counted is not None
        costs = zip(counted.kernel.instructions, counted.instructions)
        found.append((record.kernel.name, {i.text for i, cost in costs if cost.warps}))
    return found


def executed(ladder: Ladder, step: Step, case: Case, kernel: str) -> set[str]:
    """The instructions of a kernel that a case comes to: what the compiler unrolled in vain cannot be killed."""
    records = _records(ladder.name, step.name, tuple(case.items()))
    return set().union(*(texts for name, texts in records if name == kernel))


def reason(kernel: str, source: str) -> str:
    """Why a bound there may be moved by one; "" if nobody said so."""
    return next((why for pattern, why in EQUIVALENT if re.search(pattern, f"{kernel}: {source}")), "")


def of_ladder(ladder: Ladder, every: bool) -> tuple[int, int, int]:
    """Make the mutants of the step that is used, and print what survives: how many were made, lived, and are explained."""
    step, start = ladder.step(), time.perf_counter()
    counts: dict[str, list[int]] = {}
    explained = 0
    for kernel, mutant, by in of_step(ladder, step, every):
        count = counts.setdefault(mutant.kind, [0, 0])
        count[0] += 1
        if not by:
            count[1] += 1
            source = launcher.source(ladder.file).splitlines()[mutant.source_line - 1].strip()
            why = reason(kernel, source) if mutant.kind == "bound" else ""
            explained += bool(why)
            print(f"  {kernel}, line {mutant.source_line}: {source}\n    {mutant}: {why or 'UNEXPLAINED'}")
    made, lived = (sum(count[k] for count in counts.values()) for k in (0, 1))
    told = ", ".join(f"{kind} {done - lost}/{done}" for kind, (done, lost) in counts.items())
    seconds = time.perf_counter() - start
    print(f"{ladder.name} {step.name}: {made - lived} of {made} killed ({told}), {explained} explained, {seconds:.0f} s", flush=True)
    return made, lived, explained


def main() -> int:
    """Print what survived, and how many were killed; 1 if something survived that nobody explained."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    launching.LIMIT = LIMIT
    chosen_ladders = [ladder for ladder in ladders().values() if not options.names or ladder.name in options.names]
    made, lived, explained = map(sum, zip(*(of_ladder(ladder, options.all) for ladder in chosen_ladders)))
    share = (made - lived) / max(1, made - explained)
    print(f"{made - lived} of {made} killed, {lived} lived, {explained} of them explained; {share:.1%} of those that matter")
    return int(lived > explained)


if __name__ == "__main__":
    sys.exit(main())
