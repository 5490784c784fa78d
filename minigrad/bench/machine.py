"""On what machine, and whether it had anything else to do."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGES = ("minigrad", "numpy", "numba", "tbb", "mkl", "torch", "autograd", "mygrad", "jax", "tinygrad")


def describe() -> dict[str, Any]:
    """Processor, caches, memory, system, versions, and which version of the source."""
    cpuinfo = _read("/proc/cpuinfo")
    name = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.M)
    flags = set(next((line.split() for line in cpuinfo.splitlines() if line.startswith("flags")), []))
    memory = re.search(r"^MemTotal:\s*(\d+)", _read("/proc/meminfo"), re.M)
    return {
        "cpu": name[1].strip() if name else platform.processor() or platform.machine(),
        "cores": cores(),
        "vectors": next((text for flag, text in _VECTORS if flag in flags), platform.machine()),
        "caches": caches(),
        "memory_gb": round(int(memory[1]) / 2**20, 1) if memory else None,
        "system": f"{platform.system()} {platform.release()}",
        "virtual": "hypervisor" in flags,
        "python": platform.python_version(),
        "versions": versions(),
        **commit(),
    }


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_VECTORS = [("avx512f", "AVX-512"), ("avx2", "AVX2"), ("asimd", "NEON")]


def caches() -> dict[str, str]:
    """Size of each cache that the first core uses.

    >>> sorted(caches()) == sorted(set(caches()))
    True
    """
    found = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (_read(folder / part).strip() for part in ("level", "type", "size"))
        found[f"L{level}{kind[0].lower() if kind in ('Data', 'Instruction') else ''}"] = size
    return found


def versions() -> dict[str, str]:
    """Of the packages that matter, those that are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit() -> dict[str, Any]:
    """Of the clone that this runs in: the commit, and whether files differ from it. Empty where there is no clone."""
    git = ["git", "-C", str(Path(__file__).parents[2])]
    try:
        run = lambda *words: subprocess.run([*git, *words], capture_output=True, text=True, timeout=10, check=True).stdout
        return {"commit": run("rev-parse", "--short", "HEAD").strip(), "changed": bool(run("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError):
        return {}


def installed(library: str) -> bool:
    """Whether a library can be imported, without doing so."""
    return importlib.util.find_spec(library) is not None


# --------------------------------------------------------------------------------------------------- is it idle?


@dataclass
class Usage:
    """Seconds of processor time that the whole machine has spent so far, and seconds that its host took away."""

    clock: float
    busy: float
    stolen: float

    @classmethod
    def now(cls) -> Usage | None:
        """None on systems that do not tell."""
        numbers = _read("/proc/stat").partition("\n")[0].split()[1:]
        if len(numbers) < 8:
            return None
        user, nice, system, _, _, irq, softirq, stolen = (int(n) / os.sysconf("SC_CLK_TCK") for n in numbers[:8])
        return cls(time.perf_counter(), user + nice + system + irq + softirq, stolen)

    def others(self, after: Usage, ours: float) -> float:
        """How many cores were kept from us between two moments, in which we used so many seconds of processor time.

        >>> Usage(0.0, 10.0, 0.0).others(Usage(2.0, 14.0, 0.0), ours=3.0)
        0.5
        """
        spent = after.busy - self.busy - ours + after.stolen - self.stolen
        return max(0.0, spent / (after.clock - self.clock))


def busy(seconds: float = 0.5) -> float | None:
    """How many cores are at work while we wait; None where the system does not tell."""
    before = Usage.now()
    time.sleep(seconds)
    after = Usage.now()
    return None if before is None or after is None else before.others(after, 0.0)


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
