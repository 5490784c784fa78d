"""What checked mode found, in sentences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .ptx import Kernel

FINDING = np.dtype([
    ("fault", "i4"), ("where", "i4"), ("other_where", "i4"), ("buffer", "i4"), ("block", "u4"), ("thread", "u4"),
    ("other_block", "u4"), ("other_thread", "u4"), ("offset", "i8"), ("count", "u8"), ("size", "i4"), ("writes", "i4"),
])  # fmt: skip

# The kinds, in the order of `enum Fault` in runtime/machine.h.
KINDS = (
    "out of bounds", "misaligned", "shared memory out of bounds", "uninitialised shared read", "race: write and write",
    "race: read after write", "race: write after read", "read before wait", "divergent barrier", "barrier after exit",
    "different barriers", "deadlock", "not in mask", "names ended lane", "reads absent lane", "never ends", "trap",
    "local memory out of bounds",
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, told for the first thread that did it.

    Args:
        kind: one of KINDS.
        text: what happened, as a sentence.
        line: of the CUDA source, 0 if it is not known.
        instruction: the number of the PTX instruction.
        count: how many times it happened.
    """

    kind: str
    text: str
    line: int
    instruction: int
    count: int

    def __str__(self) -> str:
        more = f" ({self.count} times)" if self.count > 1 else ""
        return f"line {self.line}: {self.text}{more}"


def describe(rows: np.ndarray, kernel: Kernel, block: tuple[int, int, int]) -> list[Finding]:
    """Findings from what the runtime wrote, in the order of the source."""
    lines = [i.line for i in kernel.instructions]
    found = []
    for row in rows:
        where = int(row["where"])
        text = f"{_thread(row['thread'], row['block'], block)} {_what(KINDS[row['fault']], row, kernel)}"
        if row["other_where"] >= 0:
            other = _thread(row["other_thread"], row["other_block"], block)
            text += f"; the other is {other} at line {lines[row['other_where']]}"
        found.append(Finding(KINDS[row["fault"]], text, lines[where] if where >= 0 else 0, where, int(row["count"])))
    return sorted(found, key=lambda f: (f.line, f.instruction, f.kind))


def _thread(thread: int, number: int, block: tuple[int, int, int]) -> str:
    x, y, z = thread % block[0], thread // block[0] % block[1], thread // block[0] // block[1]
    place = f"{x}" if block[1:] == (1, 1) else f"({x}, {y})" if block[2] == 1 else f"({x}, {y}, {z})"
    return f"thread {place} of block {number}"


def _what(kind: str, row: np.void, kernel: Kernel) -> str:
    """The rest of the sentence."""
    verb = "writes" if row["writes"] else "reads"
    size, offset, name = row["size"], row["offset"], "shared memory"
    if row["buffer"] >= 0:
        count = len(kernel.parameters)
        name = f"argument {row['buffer']}" if row["buffer"] < count else "memory that is no argument"
    access = f"{verb} {size} bytes at byte {offset} of {name}"
    where = "before" if offset < 0 else "beyond the end of"
    return {
        "out of bounds": f"{verb} {size} bytes at byte {offset} of {name}, {where} it",
        "misaligned": f"{access}, which is no multiple of {size}",
        "shared memory out of bounds": f"{verb} {size} bytes at byte {offset} of shared memory, beyond what the block has",
        "local memory out of bounds": f"{verb} {size} bytes at byte {offset} of its own array, beyond the end of it",
        "uninitialised shared read": f"{access}, which nobody has written",
        "race: write and write": f"{access}, which another thread writes, with no barrier between",
        "race: read after write": f"{access}, which another thread has written, with no barrier between",
        "race: write after read": f"{access}, which another thread has read, with no barrier between",
        "read before wait": f"{access}, where a cp.async is still under way: cp.async.wait_group is missing",
        "divergent barrier": "does not come to a barrier that others of its warp come to",
        "barrier after exit": "waits at a barrier that some threads of the block never reach, as they have ended",
        "different barriers": "waits at this barrier while other threads wait at another one",
        "deadlock": "never comes to an instruction at which others of its warp wait for it, since their mask names it",
        "not in mask": "executes an instruction whose mask does not name it",
        "names ended lane": "is named in the mask of an instruction, but has ended",
        "reads absent lane": f"takes a value from lane {offset} of its warp, which does not take part",
        "never ends": "does not end",
        "trap": "executes a trap",
    }[kind]
