"""What a launch cost, counted: per PTX instruction, per source line, in all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .ptx import Instruction, Kernel, size_of

FIELDS = (
    "warps", "lanes", "global_requests", "global_bytes", "sectors", "ideal_sectors",
    "shared_requests", "shared_bytes", "wavefronts", "ideal_wavefronts",
)  # fmt: skip
STATISTICS = np.dtype([(name, "u8") for name in FIELDS])
SAMPLE = np.dtype([("lanes", "u4"), ("buffer", "i4"), ("size", "i4"), ("space", "i4"), ("offset", "i8", 32)])
SECTOR = 32  # bytes that global memory is fetched in

_FLOPS = {"add": 1, "sub": 1, "mul": 1, "fma": 2, "mad": 2, "div": 1, "rcp": 1, "sqrt": 1, "rsqrt": 1, "ex2": 1, "lg2": 1}
_FLOPS |= {"sin": 1, "cos": 1, "tanh": 1}


@dataclass(frozen=True)
class Cost:
    """What one instruction, one line or a whole launch cost. `warps` counts executions by a warp, `lanes` by a thread."""

    warps: int = 0
    lanes: int = 0
    global_requests: int = 0
    global_bytes: int = 0
    sectors: int = 0
    ideal_sectors: int = 0
    shared_requests: int = 0
    shared_bytes: int = 0
    wavefronts: int = 0
    ideal_wavefronts: int = 0
    flops: int = 0
    wide_bytes: int = 0  # of global memory, moved 16 bytes at a time

    @property
    def efficiency(self) -> float:
        """The share of the fetched sectors that was needed; 1 if there was no access."""
        return self.ideal_sectors / self.sectors if self.sectors else 1.0

    @property
    def conflicts(self) -> float:
        """How many times longer the accesses to shared memory took because of bank conflicts; 1 is none."""
        return self.wavefronts / self.ideal_wavefronts if self.ideal_wavefronts else 1.0

    @property
    def traffic(self) -> int:
        """The bytes of all sectors that crossed the memory bus, if no cache held any."""
        return SECTOR * self.sectors

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(a + b for a, b in zip(vars(self).values(), vars(other).values())))


@dataclass(frozen=True)
class Line:
    """A line of the source and what it cost."""

    number: int
    text: str
    cost: Cost
    kinds: tuple[str, ...]  # of its accesses: "ld.global.128"


class Counts:
    """The counts of a launch.

    Args:
        kernel: what was executed.
        rows: for each of its instructions, what the runtime counted.
        samples: one access of each, as SAMPLE says: which lanes, of what, how many bytes, where.
        source: the CUDA source.
    """

    def __init__(self, kernel: Kernel, rows: np.ndarray, samples: np.ndarray, source: str | None = None) -> None:
        self.kernel, self.rows, self.samples, self.source = kernel, rows, samples, source

    @cached_property
    def instructions(self) -> list[Cost]:
        """What each instruction cost; only computed if somebody asks, as it takes longer than most launches."""
        return [_cost(i, row) for i, row in zip(self.kernel.instructions, self.rows)]

    def totals(self) -> Cost:
        """All instructions together."""
        return _sum(self.instructions)

    def lines(self) -> list[Line]:
        """The lines that accessed memory or computed, in the order of the source."""
        texts = self.source.splitlines() if self.source else []
        found: dict[int, list[int]] = {}
        for instruction, cost in zip(self.kernel.instructions, self.instructions):
            if cost.warps:
                found.setdefault(instruction.line, []).append(instruction.number)
        result = []
        for number, members in sorted(found.items()):
            text = texts[number - 1].strip() if 0 < number <= len(texts) else ""
            kinds = dict.fromkeys(kind for n in members if (kind := access(self.kernel, n)))
            result.append(Line(number, text, _sum(self.instructions[n] for n in members), tuple(kinds)))
        return result

    def opcode(self, *prefixes: str) -> Cost:
        """All instructions whose text begins with one of the prefixes: `opcode("fma.rn.f32")`, `opcode("ld.shared")`."""
        names = [".".join([i.opcode, *i.modifiers]) for i in self.kernel.instructions]
        return _sum(cost for name, cost in zip(names, self.instructions) if name.startswith(prefixes))


def access(kernel: Kernel, number: int) -> str:
    """What kind of access an instruction is, as "ld.global.128" with the bits that a thread moves; "" if it is none."""
    i = kernel.instructions[number]
    space = next((m.split("::")[0] for m in i.modifiers if m.split("::")[0] in ("global", "shared")), "")
    if i.opcode in ("ld", "st", "atom", "red", "ldmatrix") and (space or "param" not in i.modifiers):
        return f"{i.opcode}.{space or 'generic'}.{8 * width(i.opcode, i.modifiers)}"
    if i.opcode == "cp" and len(i.operands) > 2:
        return f"cp.async.{8 * int(i.operands[2])}"
    return ""


def width(opcode: str, modifiers: tuple[str, ...]) -> int:
    """The bytes that a thread moves with an access."""
    if opcode == "ldmatrix":
        return 16
    vector = next((int(m[1:]) for m in modifiers if m in ("v2", "v4", "v8")), 1)
    return vector * size_of(modifiers[-1])


def _cost(instruction: Instruction, row: np.void) -> Cost:
    cost = Cost(*(int(row[name]) for name in FIELDS))
    kind = instruction.modifiers[-1] if instruction.modifiers else ""
    flops = 0
    if kind in ("f32", "f64", "f16", "bf16", "f16x2", "bf16x2"):
        flops = _FLOPS.get(instruction.opcode, 0) * cost.lanes * (2 if kind.endswith("x2") else 1)
    if instruction.opcode == "mma":
        shape = next(m for m in instruction.modifiers if m[0] == "m" and m[1:2].isdigit())
        m, n, k = map(int, shape.replace("n", " ").replace("k", " ")[1:].split())
        flops = 2 * m * n * k * cost.warps
    moved = cost.global_bytes // cost.lanes if cost.lanes else 0
    return replace(cost, flops=flops, wide_bytes=cost.global_bytes if moved >= 16 else 0)


def _sum(costs: Iterable[Cost]) -> Cost:
    total = Cost()
    for cost in costs:
        total += cost
    return total
