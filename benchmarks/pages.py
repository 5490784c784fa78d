"""What it costs where a result lies behind its argument, in huge and in small pages: python benchmarks/pages.py

NumPy alone, one thread: `np.exp(x, out=y)` and others on 16 MB, where y begins at the end of x plus a distance. The
distances come in random order, round after round, and the 25th percentile counts. For Linux.
"""

from __future__ import annotations

import mmap
import platform
import time
from collections.abc import Callable

import numpy as np

SIZE, ROUNDS = 1 << 22, 8  # numbers of 4 bytes
DISTANCES = [0, 16, 32, 64, 80, 128, 256, 4096 + 16, 2**16 + 16, 2**20 + 16]  # bytes
LOOPS: dict[str, Callable[[np.ndarray, np.ndarray], object]] = {
    "np.exp": lambda x, y: np.exp(x, out=y),
    "np.add, of a number": lambda x, y: np.add(x, 1, out=y),
    "np.copyto": lambda x, y: np.copyto(y, x),
}


def memory(advice: int, numbers: int) -> np.ndarray:
    """Memory of our own, in pages of one kind; not from malloc, which mixes them."""
    block = mmap.mmap(-1, numbers * 4, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    block.madvise(advice)
    return np.frombuffer(block, np.float32)


def huge_megabytes() -> int:
    """How much of this process's memory is in huge pages now."""
    with open("/proc/self/smaps") as lines:
        return sum(int(line.split()[1]) for line in lines if line.startswith("AnonHugePages")) // 1024


def measure(base: np.ndarray) -> dict[tuple[str, int], float]:
    """Milliseconds of each loop at each distance."""
    rng = np.random.default_rng(0)
    x = base[4 : 4 + SIZE]  # where malloc puts it: 16 bytes into a page
    base[:] = 1
    x[:] = rng.standard_normal(SIZE)
    times: dict[tuple[str, int], list[float]] = {(name, distance): [] for name in LOOPS for distance in DISTANCES}
    for _ in range(ROUNDS):
        for distance in rng.permutation(DISTANCES):
            y = base[4 + SIZE + distance // 4 :][:SIZE]
            for name, loop in LOOPS.items():
                for i in range(4):
                    start = time.perf_counter()
                    loop(x, y)
                    if i:
                        times[name, int(distance)].append(time.perf_counter() - start)
    return {key: float(np.percentile(seconds, 25)) * 1e3 for key, seconds in times.items()}


def main() -> None:
    print(f"{platform.processor() or platform.machine()}, NumPy {np.__version__}; ms, by bytes between the end of x and y\n")
    for title, advice in (("huge pages", mmap.MADV_HUGEPAGE), ("pages of 4 KB", mmap.MADV_NOHUGEPAGE)):
        before = huge_megabytes()
        base = memory(advice, 2 * SIZE + max(DISTANCES) + 4)
        found = measure(base)
        print(f"{title + f' ({huge_megabytes() - before} MB are)':24}", *[f"{distance:8}" for distance in DISTANCES])
        for name in LOOPS:
            print(f"{name:24}", *[f"{found[name, distance]:8.2f}" for distance in DISTANCES])
        print()
        del base


if __name__ == "__main__":
    main()
