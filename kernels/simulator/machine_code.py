"""What the machine code of a kernel says: registers, spills, shared memory, occupancy, and what its hot loop is made of."""

from __future__ import annotations

import functools
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import host, nvrtc

# Of one multiprocessor: registers, threads, bytes of shared memory, blocks. CUDA C++ Programming Guide, "Technical
# Specifications per Compute Capability".
LIMITS = {
    "sm_75": (65536, 1024, 65536, 16),
    "sm_80": (65536, 2048, 167936, 32),
    "sm_86": (65536, 1536, 102400, 16),
    "sm_89": (65536, 1536, 102400, 24),
    "sm_90": (65536, 2048, 233472, 32),
    "sm_100": (65536, 2048, 233472, 32),
    "sm_120": (65536, 1536, 102400, 24),
}

# Instructions by what they do, in the order in which the patterns are tried.
GROUPS = (
    ("FFMA", r"FFMA"),
    ("MMA", r"[HIQD]?G?MMA|IMMA"),
    ("float", r"F(ADD|MUL|MNMX|SETP|SEL|CHK|SET)|H(ADD2|MUL2|FMA2)|D(ADD|MUL|FMA)"),
    ("MUFU", r"MUFU"),
    ("LDGSTS", r"LDGSTS"),
    ("LDG", r"LDG|LD\."),
    ("STG", r"STG|ST\."),
    ("LDSM", r"LDSM"),
    ("LDS", r"LDS"),
    ("STS", r"STS"),
    ("local", r"LDL|STL"),
    ("SHFL", r"SHFL|VOTE|MATCH|REDUX"),
    ("BAR", r"BAR|WARPSYNC|DEPBAR|LDGDEPBAR"),
    ("atomic", r"ATOM|RED"),
    ("branch", r"BRA|BSSY|BSYNC|EXIT|RET|CALL"),
    ("other", r""),
)


@dataclass(frozen=True)
class Resources:
    """What a kernel takes of a multiprocessor, and the loop it spends its time in.

    Args:
        arch: the architecture.
        registers: of a thread.
        spill_stores, spill_loads: bytes that did not fit into registers.
        stack: bytes of local memory of a thread.
        shared: bytes of static shared memory of a block.
        warnings: what the compiler had to say.
        blocks: how many blocks run at a time on a multiprocessor.
        occupancy: the share of its threads that they fill.
        limited_by: what keeps it from being more.
        instructions: of the whole kernel.
        loop: how often each group of GROUPS occurs in the innermost hot loop; empty if there is no loop.
    """

    arch: str
    registers: int
    spill_stores: int
    spill_loads: int
    stack: int
    shared: int
    warnings: str
    blocks: int
    occupancy: float
    limited_by: str
    instructions: int
    loop: dict[str, int]

    @property
    def loop_length(self) -> int:
        """The instructions of the hot loop."""
        return sum(self.loop.values())

    @property
    def ffma_share(self) -> float:
        """The share of FFMA among the instructions of the hot loop."""
        return self.loop.get("FFMA", 0) / max(1, self.loop_length)

    @property
    def mma_share(self) -> float:
        """The share of tensor-core products among the instructions of the hot loop."""
        return self.loop.get("MMA", 0) / max(1, self.loop_length)

    @property
    def ffma_per_lds(self) -> float:
        """How many FFMA there are for each load from shared memory in the hot loop."""
        return self.loop.get("FFMA", 0) / loads if (loads := self.loop.get("LDS", 0)) else float("inf")


def resources(
    source: str, kernel: str, arch: str, threads: int = 256, shared: int = 0,
    options: Sequence[str] = (), name: str = "kernel.cu",
) -> Resources:  # fmt: skip
    """Compile a kernel to machine code and look at it.

    Args:
        source: CUDA C++.
        kernel: the name of the kernel.
        arch: one of nvrtc.ARCHITECTURES.
        threads: of a block, for the occupancy.
        shared: bytes of dynamic shared memory of a block.
        options: for NVRTC.
        name: of the source.
    """
    code, log = nvrtc.cubin(source, arch, options, name)
    report = _report(log, kernel)
    blocks, limit = blocks_per_multiprocessor(arch, report["registers"], report["shared"] + shared, threads)
    instructions, loop = hot_loop(_disassembled(code).get(kernel, ""))
    warps = -(-threads // 32)
    return Resources(
        arch=arch, **report, warnings="\n".join(re.findall(r".*warning.*", log)), blocks=blocks,
        occupancy=blocks * warps * 32 / LIMITS[arch.rstrip("af")][1], limited_by=limit, instructions=instructions, loop=loop,
    )  # fmt: skip


def blocks_per_multiprocessor(arch: str, registers: int, shared: int, threads: int) -> tuple[int, str]:
    """How many blocks fit on a multiprocessor at a time, and what the limit is.

    Registers are given to warps in units of 256, shared memory in units of 128 bytes (256 on sm_75), and from sm_80 on the
    system keeps 1 KB of it for each block.

    >>> blocks_per_multiprocessor("sm_80", 128, 33280, 256)
    (2, 'registers')
    """
    all_registers, all_threads, all_shared, most = LIMITS[arch.rstrip("af")]
    warps = -(-threads // 32)
    of_warp = -(-max(registers, 1) * 32 // 256) * 256
    unit, reserved = (256, 0) if arch == "sm_75" else (128, 1024)
    of_block = -(-(shared + reserved) // unit) * unit
    # The registers of a multiprocessor are in four parts, and a warp lives in one of them.
    fits = {
        "registers": 4 * (all_registers // 4 // of_warp) // warps,
        "shared memory": all_shared // of_block if of_block else most,
        "threads": all_threads // (warps * 32),
        "blocks": most,
    }
    limit = min(fits, key=lambda what: (fits[what], what != "threads"))
    return fits[limit], limit


def _report(log: str, kernel: str) -> dict[str, int]:
    """What ptxas says of one kernel."""
    part = re.search(rf"Compiling entry function '{re.escape(kernel)}'.*?(?=Compiling entry function|\Z)", log, re.S)
    text = part[0] if part else ""
    number = lambda pattern: int(match[1]) if (match := re.search(pattern, text)) else 0
    return {
        "registers": number(r"Used (\d+) registers"), "stack": number(r"(\d+) bytes stack frame"),
        "spill_stores": number(r"(\d+) bytes spill stores"), "spill_loads": number(r"(\d+) bytes spill loads"),
        "shared": number(r"(\d+) bytes smem"),
    }  # fmt: skip


@functools.lru_cache(64)
def _disassembled(code: bytes) -> dict[str, str]:
    """The machine code of each kernel, as nvdisasm prints it."""

    def run() -> bytes:
        tool = nvrtc.pip_file("nvidia-cuda-nvdisasm", "bin/nvdisasm*")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "kernel.cubin"
            path.write_bytes(code)
            return subprocess.run([str(tool), "-c", str(path)], capture_output=True, check=True).stdout

    text = host.cached(f"{host.digest(code)}.sass", run).decode(errors="replace")
    parts = re.split(r"^\s*\.text\.([\w$]+):", text, flags=re.M)
    return {name: part.split(".section")[0] for name, part in zip(parts[1::2], parts[2::2])}


_INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,6}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)(.*?);")
_TARGET = re.compile(r"`\((\.L_\S+?)\)")


def hot_loop(text: str) -> tuple[int, dict[str, int]]:
    """How many instructions there are, and the groups of those in the innermost hot loop.

    That is the shortest loop that holds at least half of the arithmetic of the loop with most. The one with most would be
    the outer one, wherever the compiler did not unroll the inner one.
    """
    instructions: list[tuple[str, str]] = []
    labels: dict[str, int] = {}
    for line in text.splitlines():
        if label := re.match(r"\s*(\.L_[\w$]+):", line):
            labels[label[1]] = len(instructions)
        elif match := _INSTRUCTION.search(line):
            instructions.append((match[1], match[2]))
    loops = []
    for k, (opcode, rest) in enumerate(instructions):
        if opcode.startswith("BRA") and (target := _TARGET.search(rest)) and labels.get(target[1], k + 1) <= k:
            loops.append(instructions[labels[target[1]] : k + 1])
    loops = [body for body in loops if len(body) > 1]  # after its end a kernel jumps to itself
    most = max((_work(body) for body in loops), default=0)
    hot = min((body for body in loops if 2 * _work(body) >= most), key=len, default=[])
    return len(instructions), dict(Counter(group(opcode) for opcode, _ in hot))


def group(opcode: str) -> str:
    """The group of an instruction.

    >>> group("FFMA"), group("LDS.128"), group("LDGSTS.E.BYPASS.128"), group("HMMA.1688.F32.TF32"), group("IMAD.MOV.U32")
    ('FFMA', 'LDS', 'LDGSTS', 'MMA', 'other')
    """
    return next(name for name, pattern in GROUPS if re.match(pattern, opcode))


def _work(body: list[tuple[str, str]]) -> int:
    """How much a loop computes: a tensor-core product counts for ten."""
    weights = {"FFMA": 1, "float": 1, "MUFU": 1, "MMA": 10}
    return sum(weights.get(group(opcode), 0) for opcode, _ in body)
