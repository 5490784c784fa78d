"""How long `import minigrad` takes, and how much of that is Python and NumPy. Run it as `make bench-import`.

Each import runs in a fresh interpreter. The cases alternate, so that all see the same machine in the same mood, and the
first round is a warm-up. What counts is the median: a single slow start says more about the machine than about us.
"""

from __future__ import annotations

import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROUNDS = 10
CASES = {"python": "pass", "numpy": "import numpy", "minigrad": "import minigrad"}


def seconds(code: str) -> float:
    """Wall time of a fresh interpreter that runs the code, in a clone as in an installation."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])
    return time.perf_counter() - start


def main() -> None:
    times: dict[str, list[float]] = {name: [] for name in CASES}
    for round in range(ROUNDS + 1):
        for name, code in CASES.items():
            taken = seconds(code)
            if round:
                times[name].append(taken)
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, {platform.machine()}; median of {ROUNDS}")
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        print(f"{name:9} {median:.3f} s   (from {min(times[name]):.3f} to {max(times[name]):.3f})")
    print(f"import minigrad, NumPy included: {medians['minigrad'] - medians['python']:.3f} s")
    print(f"import minigrad, above NumPy:    {medians['minigrad'] - medians['numpy']:.3f} s")


if __name__ == "__main__":
    main()
