"""Turns a kernel into a program for the runtime: registers get places, operations become rows of numbers.

A kernel has thousands of registers, of which a hundred or so are alive at a time. Registers that are never alive
together share a place, so that the register file of a warp fits into the processor's first cache.
"""

from __future__ import annotations

import copy
import ctypes
import heapq

import numpy as np

from . import host
from .encode import BRANCH, EXIT, PLAIN, SPECIAL, Encoder, Operation
from .ptx import File, Kernel

LANES = 32
INSTRUCTION = np.dtype([
    ("run", "u8"), ("r", "u8"), ("immediate", "i8"), ("guard", "u4"), ("mask", "u4"), ("where", "i4"),
    ("kind", "u1"), ("negated", "u1"), ("space", "u1"), ("wide", "u1"),
])  # fmt: skip
CONSTANT = np.dtype([("offset", "u4"), ("width", "u4"), ("value", "u8")])
PAIR = np.dtype([("offset", "u4"), ("which", "u4")])


class Program:
    """A kernel that the runtime can execute.

    Args:
        file: what was parsed.
        kernel: the kernel of it.
        addresses: where the module's variables are.
    """

    def __init__(self, file: File, kernel: Kernel, addresses: dict[str, int]) -> None:
        self.kernel = kernel
        known = host.opcodes()
        encoder = Encoder(file, kernel, addresses, known)
        self.width = encoder.width
        places = _Places(encoder)
        code, operands = self._rows(encoder, places.of, known)
        constants = [(offset, *map(int, name[1:].split(":"))) for name, offset in places.of.items() if name[0] == "="]
        specials = [(offset, SPECIAL[name]) for name, offset in places.of.items() if name in SPECIAL]
        self.parameters = [
            (offset, *map(int, name[1:].split(":"))) for name, offset in places.of.items() if name[0] == "@"
        ]
        grain = _grain(encoder.operations)
        header = np.array([
            len(code), len(operands), len(constants), len(specials), places.bytes, -(-kernel.local_bytes // 16) * 16,
            grain, encoder.fences, len(kernel.instructions),
        ], "u4")  # fmt: skip
        self.tables = [header, code, operands, np.array(constants, CONSTANT), np.array(specials, PAIR)]
        self._load()

    def _load(self) -> None:
        library = host.library()
        pointers = [ctypes.c_void_p(table.ctypes.data) for table in self.tables]
        self.handle = ctypes.c_void_p(library.sim_program(*pointers))
        self._forget = library.sim_forget

    def changed(self, number: int, name: str = "", offset: int = 0) -> Program:
        """A copy in which a PTX instruction is another operation, or reaches `offset` bytes further: broken on purpose."""
        other = copy.copy(self)
        other.tables = [table.copy() for table in self.tables]
        row = other.tables[1][np.flatnonzero(self.tables[1]["where"] == number)[0]]
        row["immediate"] += offset
        if name:
            row["run"], row["kind"] = host.opcodes()[name], PLAIN
        other._load()
        return other

    def __del__(self) -> None:
        if hasattr(self, "handle"):
            self._forget(self.handle)

    @staticmethod
    def _rows(encoder: Encoder, places: dict[str, int], known: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
        operands: list[int] = []
        code = np.zeros(len(encoder.operations), INSTRUCTION)
        for row, o in zip(code, encoder.operations):
            place = lambda name: places[name] if name else 0
            row["run"], row["r"] = known.get(o.name, 0), len(operands)
            row["immediate"], row["guard"], row["mask"], row["where"] = o.immediate, place(o.guard), place(o.mask), o.where
            row["kind"], row["negated"], row["space"], row["wide"] = o.kind, o.negated, o.space, o.wide
            operands += [places[name] for name in (*o.writes, *o.reads)]
        return code, np.array(operands or [0], "u4")

    def parameter_constants(self, values: bytes) -> np.ndarray:
        """What the registers that stand for parameters hold, given the bytes of all parameters."""
        rows = [
            (place, width, int.from_bytes(values[offset : offset + width], "little"))
            for place, width, offset in self.parameters
        ]
        return np.array(rows, CONSTANT)


def _grain(operations: list[Operation]) -> int:
    """The smallest element that shared or global memory is accessed in, 4 at most."""
    sizes = [int(o.name.rsplit("b", 1)[1]) // 8 for o in operations if o.space in (1, 2, 5) and o.name[:3] in ("ld.", "st.")]
    return min([4, *sizes])


class _Places:
    """Where the registers lie: `of` maps names to byte offsets, `bytes` is the size of a warp's register file."""

    def __init__(self, encoder: Encoder) -> None:
        self.bytes = 64  # offset 0 stands for no register
        self.of: dict[str, int] = {}
        self.width = encoder.width
        intervals = _intervals(encoder)
        for name in dict.fromkeys(n for o in encoder.operations for n in (*o.writes, *o.reads, o.guard, o.mask) if n):
            if name not in intervals:  # constants, parameters and special registers keep theirs
                self.of[name] = self._fresh(self.width(name))
        free: dict[int, list[int]] = {}
        busy: list[tuple[int, int, int]] = []  # until when, width, place
        for name, (first, last) in sorted(intervals.items(), key=lambda item: item[1]):
            while busy and busy[0][0] < first:
                _, width, place = heapq.heappop(busy)
                free.setdefault(width, []).append(place)
            width = self.width(name)
            self.of[name] = free[width].pop() if free.get(width) else self._fresh(width)
            heapq.heappush(busy, (last, width, self.of[name]))

    def _fresh(self, width: int) -> int:
        place = self.bytes
        self.bytes += max(64, LANES * width)
        return place


def _intervals(encoder: Encoder) -> dict[str, tuple[int, int]]:
    """From where to where each register is alive, loops included."""
    operations = encoder.operations
    alive_after = _alive(operations)
    spans: dict[str, tuple[int, int]] = {}

    def extend(name: str, at: int) -> None:
        if name and name[0] not in "=@" and name not in SPECIAL:
            first, last = spans.get(name, (at, at))
            spans[name] = min(first, at), max(last, at)

    for at, operation in enumerate(operations):
        for name in (*operation.writes, *operation.reads, operation.guard, operation.mask):
            extend(name, at)
    for end, (start, names) in alive_after.items():  # per basic block: what is alive at its beginning and its end
        for name in names[0]:
            extend(name, start)
        for name in names[1]:
            extend(name, end)
    return spans


def _alive(operations: list[Operation]) -> dict[int, tuple[int, tuple[set[str], set[str]]]]:
    """For each basic block, by its last operation: its first one, and the registers alive before and after it."""
    leaders = {0} | {o.immediate for o in operations if o.kind == BRANCH}
    leaders |= {k + 1 for k, o in enumerate(operations) if o.kind in (BRANCH, EXIT)}
    starts = sorted(k for k in leaders if k < len(operations))
    blocks = list(zip(starts, [*(k - 1 for k in starts[1:]), len(operations) - 1]))
    number = {start: k for k, (start, _) in enumerate(blocks)}
    used, made, following = [], [], []
    for start, end in blocks:
        reads: set[str] = set()
        writes: set[str] = set()
        for o in operations[start : end + 1]:
            reads |= {n for n in (*o.reads, o.guard, o.mask) if n} - writes
            if o.guard:
                reads |= set(o.writes) - writes  # lanes whose guard is false keep what they had
            writes |= set(o.writes)
        last = operations[end]
        to = [number[last.immediate]] if last.kind == BRANCH else []
        if not (last.kind in (BRANCH, EXIT) and not last.guard) and end + 1 < len(operations):
            to.append(number[end + 1])
        used.append(reads)
        made.append(writes)
        following.append(to)
    before: list[set[str]] = [set() for _ in blocks]
    after: list[set[str]] = [set() for _ in blocks]
    changed = True
    while changed:
        changed = False
        for k in reversed(range(len(blocks))):
            after[k] = set().union(*(before[n] for n in following[k]))
            now = used[k] | (after[k] - made[k])
            changed |= now != before[k]
            before[k] = now
    return {end: (start, (before[k], after[k])) for k, (start, end) in enumerate(blocks)}
