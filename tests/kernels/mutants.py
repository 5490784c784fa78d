"""Break every kernel on purpose, and see that checking it notices: `python -m tests.kernels.mutants [NAME ...]`.

Changes are made in the program that the simulator executes, one for each instruction that some case comes to: a barrier
or a wait is left out, a comparison of integers includes or leaves out its bound, an access goes one element too far. A
mutant is killed by a finding, a wrong result or a fault. Whatever survives either shows that a case is missing, or
makes no difference, which has to be explained in EQUIVALENT.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from minigrad.kernels.cuda import launcher
from minigrad.kernels.ladder import Case, Ladder, Step, ladders
from minigrad.kernels.simulator import KernelFault, LaunchError, UnsupportedPTX, ptx, stored
from minigrad.kernels.simulator import launch as launching
from minigrad.kernels.simulator.check import Runner, difference, run
from minigrad.kernels.simulator.counts import width

# As the runtime calls them.
SWAP = {"lt": "le", "le": "lt", "gt": "ge", "ge": "gt", "lo": "le", "ls": "lt", "hi": "ge", "hs": "gt"}
LIMIT = 4  # millions of instructions for a warp: a mutant may not end
TRIALS = ("fast", "checked")  # fast is a tenth of the time, and kills nearly all

# Bounds that may include their end or leave it out: a pattern for "kernel: line of the source", and the reason.
EQUIVALENT: list[tuple[str, str]] = [
    (r"^gelu.*: if \(i \+ 4 <= n\)", "the last four numbers are then done one by one"),
    (r"^embedding.*: for \(int i = begin", "each block has a token"),
    (r"^sum_rows_v1: for \(int r = 0", "there is a row"),
    (r"^add_to_rows_v2: for \(int first = ", "in a turn without a row nothing is read or stored"),
    (r"^add_to_rows_v2: if \(first \+ 8 \* i < rows\) v", "the first of four is there, says the loop"),
    (r"(softmax|cross_entropy).*: (bool held|if \(HOLD)", "either way is right, and 513 or 1,025 numbers are not wide"),
    (r"(softmax_v5|softmax_backward_v3|cross_entropy_v4): if \(c < ", "a row has more than two fours for each thread"),
    (r"(softmax_v5|softmax_backward_v3|cross_entropy_v4): for \(int c", "a row has a number for each thread, and more"),
    (r"norm_v4: (if \(c < |int c = 4|int thread = )", "a row has a four for each thread, and more"),
    (r"norm_v4: for \(int row = blockIdx\.x", "there are no more blocks than rows"),
    (r"^matmul_v4: int t = ", "a block has 256 threads"),
    (r"^matmul_v[345]: for \(int k0 = ", "a tile of nothing adds nothing"),
    (r"^matmul_(v6|small|tf32)_n[nt]: for \(int todo = ", "K is a multiple of 4, and not 1"),
    (r"^matmul_tf32_nn: held\[i\]", "K is a multiple of 4, and so is what is left of it"),
    (r"^attention_backward_(q|kv)_v1: for \(int (key|query) = ", "there is a key, and a query"),
    (r"^attention.*: for \(int (key|query)0 = ", "a tile of nothing adds nothing"),
    (r"^attention.*: (to \+= |if \(sure \|\| c \+ i < d\))", "where d is no multiple of 4, none begins at column d"),
    (r"^attention_backward_kv.*: p\[i\]\[j\] = __expf", "a key behind the last one is not stored"),
    (r"^attention_backward.*: if \(key >= end\)", "zeros, or not stored, behind the last; no diagonal here"),
    (r"^im2col_v3: for \(int i = 0; i < kh", "a filter is not empty"),
    (r"^col2im_v2: if \((right|down) < 0", "the last tap of a filter never reaches behind the output"),
    (r"^col2im_v3(_by_two)?: if \(warp \* fours >=", "the threads of a warp behind the last pixel have nothing of their own"),
    (r"^col2im_v3: end\[half\] = top", "what would stand below the image is not stored"),
    (r"^col2im_v3: if \(rest > 0\)", "without a rest nothing is taken of what was passed"),
    (r"^col2im_v3_by_two: const bool mine = ", "a row that is made twice is the same"),
    (r"^col2im_v3_by_two: const int end = ", "a filter is not empty"),
    (r"^col2im_v3_by_two: if \(\(right \? place : other\)", "the first place of all is a left one's"),
]

needed: set[str] = set()  # the patterns that something was explained with


@dataclass(frozen=True)
class Mutant:
    """A change of one instruction: where it is, what it is and will be in words, and what `Program.changed` is told."""

    kind: str
    number: int
    line: int
    text: str
    now: str
    name: str = ""
    offset: int = 0

    def __str__(self) -> str:
        return f"{self.text} -> {self.now}"


def mutants(instructions: list[ptx.Instruction]) -> Iterator[Mutant]:
    """All changes of a kernel. An instruction that the compiler knows no line of counts to the line of a later one.

    >>> read = lambda text: ptx.parse(".entry k() {" + text + ";\\n}").kernels["k"].instructions
    >>> told = lambda text: [str(mutant) for mutant in mutants(read(text))]
    >>> told("setp.hs.u32 %p1, %r1, %r2; setp.lt.u32 %p1, %r1, 3; setp.lt.s32 %p1, %r1, 3")
    ['setp.hs.u32 %p1, %r1, %r2 -> setp.gt.u32', 'setp.lt.s32 %p1, %r1, 3 -> setp.le.s32']
    >>> told("bar.sync 0; ld.shared.v2.f32 {%f1, %f2}, [%r1+8]")
    ['bar.sync 0 -> nothing', 'ld.shared.v2.f32 {%f1, %f2}, [%r1+8] -> 8 bytes further']
    """
    lines = [i.line for i in instructions]
    for i in instructions:
        line = next(filter(None, lines[i.number :]), 1)
        for kind, now, name, offset in changes(i.opcode, i.modifiers, i.operands):
            yield Mutant(kind, i.number, line, i.text, now, name, offset)


def changes(opcode: str, modifiers: tuple[str, ...], operands: tuple[str, ...]) -> Iterator[tuple[str, str, str, int]]:
    """The kind, the words, the new operation and the further bytes of each change of an instruction."""
    if opcode in ("bar", "barrier") or (opcode == "cp" and modifiers[1].startswith("wait")):
        yield "wait" if opcode == "cp" else "barrier", "nothing", "nothing", 0
    # Integers are signed in the sources: constants of no sign are the compiler's, for a loop in turns or a logarithm.
    bound = opcode == "setp" and modifiers[0] in SWAP and len(modifiers) == 2 and modifiers[1][0] in "us"
    if bound and (modifiers[1][0] == "s" or operands[2][0] == "%"):
        name = f"setp.{SWAP[modifiers[0]]}.{modifiers[1]}"
        yield "bound", name, name, 0
    if opcode in ("ld", "st", "ldmatrix") and not {"param", "local"} & set(modifiers):
        size = width(opcode, modifiers)
        yield "index", f"{size} bytes further", "", size


@dataclass(frozen=True)
class Broken:
    """A module in which one kernel is a mutant."""

    module: launching.Module
    kernel: launching.Kernel

    def get(self, name: str) -> launching.Kernel:
        """The kernel of that name."""
        return self.kernel if name == self.kernel.name else self.module.get(name)


def broken(module: launching.Module, name: str, mutant: Mutant) -> Broken:
    """A module of which one kernel has been changed."""
    kernel = copy.copy(module.get(name))
    kernel.program = kernel.program.changed(mutant.number, mutant.name, mutant.offset)
    return Broken(module, kernel)


def killed(ladder: Ladder, step: Step, cases: list[Case], module: Any) -> str:
    """What notices that a module is broken; "" if nothing does."""
    for mode, case in itertools.product(TRIALS, cases):
        runner = Runner(mode, "random", modules=lambda file, arch: module)
        try:
            _, text = difference(ladder, *run(ladder, step, case, runner))
        except (KernelFault, LaunchError, UnsupportedPTX) as error:
            return f"fault: {error}"
        if runner.findings:
            return f"finding: {runner.findings[0].kind}"
        if text:
            return f"result: {text}"
    return ""


def size(case: Case) -> int:
    """How large a case is; small ones are tried first."""
    return int(np.prod([value for value in case.values() if isinstance(value, int) and value], dtype=float))


def executed(ladder: Ladder, step: Step, case: Case) -> dict[str, set[int]]:
    """The numbers of the instructions that a case comes to, by kernel: no case can kill what none executes."""
    runner = Runner()
    run(ladder, step, case, runner)
    found: dict[str, set[int]] = {}
    for record in runner.records:
        found.setdefault(record.kernel.name, set()).update(np.flatnonzero(record.result.counts.rows["warps"]).tolist())
    return found


def of_step(ladder: Ladder, step: Step, kernels: list[launcher.Kernel]) -> Iterator[tuple[str, Mutant, str]]:
    """The kernel, the mutant and what killed it, for some kernels of a step."""
    cases = sorted((case for case in ladder.cases if step.supports(case)), key=size)
    reached = [executed(ladder, step, case) for case in cases]
    module = stored.module(ladder.file)
    unbroken = killed(ladder, step, cases, module)
    assert not unbroken, f"{ladder.name} {step.name}, as it is: {unbroken}"
    for kernel in kernels:
        for mutant in mutants(module.get(kernel.name).ptx.instructions):
            number = mutant.number
            used = [case for case, numbers in zip(cases, reached) if number in numbers.get(kernel.name, ())]
            if used:
                yield kernel.name, mutant, killed(ladder, step, used, broken(module, kernel.name, mutant))


def reason(kernel: str, source: str) -> str:
    """Why a bound there may be moved by one; "" if nobody said so."""
    for pattern, why in EQUIVALENT:
        if re.search(pattern, f"{kernel}: {source}"):
            needed.add(pattern)
            return why
    return ""


def of_kernels(ladder: Ladder) -> Iterator[tuple[str, Mutant, str]]:
    """The same for all kernels of a ladder, each in the step that is used if it is there."""
    seen: set[str] = set()
    for step in sorted(ladder.steps, key=lambda step: not step.used):
        kernels = [kernel for kernel in step.kernels if kernel.name not in seen]
        seen |= {kernel.name for kernel in kernels}
        yield from of_step(ladder, step, kernels)


def of_ladder(ladder: Ladder) -> tuple[int, int, int]:
    """Make the mutants of a ladder, and print what survives: how many were made, lived, and are explained."""
    start = time.perf_counter()
    counts: dict[str, list[int]] = {}
    explained = 0
    for kernel, mutant, by in of_kernels(ladder):
        count = counts.setdefault(mutant.kind, [0, 0])
        count[0] += 1
        if not by:
            count[1] += 1
            source = launcher.source(ladder.file).splitlines()[mutant.line - 1].strip()
            why = reason(kernel, source) if mutant.kind == "bound" else ""
            explained += bool(why)
            print(f"  {kernel}, line {mutant.line}: {source}\n    {mutant}: {why or 'UNEXPLAINED'}")
    made, lived = (sum(count[k] for count in counts.values()) for k in (0, 1))
    told = ", ".join(f"{kind} {done - lost}/{done}" for kind, (done, lost) in counts.items())
    told += f"), {explained} explained, {time.perf_counter() - start:.0f} s"
    print(f"{ladder.name}: {made - lived} of {made} killed ({told}", flush=True)
    return made, lived, explained


def main() -> int:
    """Print what survived, and how many were killed; 1 if something survived that nobody explained."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    launching.LIMIT = LIMIT
    chosen_ladders = [ladder for ladder in ladders().values() if not options.names or ladder.name in options.names]
    made, lived, explained = map(sum, zip(*(of_ladder(ladder) for ladder in chosen_ladders)))
    for pattern, _ in EQUIVALENT:
        if not options.names and pattern not in needed:
            print(f"  nothing has to be explained any more at {pattern}")
    share = (made - lived) / max(1, made)
    print(f"{made - lived} of {made} killed, {share:.1%}; {lived} lived, {explained} of them explained")
    return int(lived > explained)


if __name__ == "__main__":
    sys.exit(main())
