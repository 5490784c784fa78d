"""What the engine costs around small operations, beside PyTorch: python benchmarks/overhead.py

Both engines run in one process, on one thread, in alternating rounds; the 25th percentile of the rounds counts.
Operations are measured in a chain of 50 on 4x4 arrays, so that the fixed cost of a backward call spreads over them.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import platform
import time
from collections.abc import Callable

import numpy as np
import torch

import minigrad as mg

ROUNDS, CHAIN = 60, 50


def percentile(seconds: list[float]) -> float:
    return float(np.percentile(seconds, 25))


def side_by_side(*functions: Callable[[], object], repeat: int = 5) -> list[float]:
    """Time of each function, in seconds, measured in turns."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(ROUNDS):
        for function, seconds in zip(functions, times):
            start = time.perf_counter()
            for _ in range(repeat):
                function()
            seconds.append((time.perf_counter() - start) / repeat)
    return [percentile(seconds) for seconds in times]


def chain(library, operation: Callable, backward: bool) -> Callable[[], object]:
    x = library.ones(4, 4) * 0.5
    x.requires_grad_()
    other = library.ones(4, 4) * 1.01
    g = library.ones(4, 4)

    def run() -> None:
        y = x
        for _ in range(CHAIN):
            y = operation(y, other)
        if backward:
            y.backward(g)

    return run


def xor(library, optimizer: str) -> Callable[[], object]:
    """One training step of a 2-8-1 network on the four cases of exclusive or."""
    x = library.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = library.tensor([[0.0], [1.0], [1.0], [0.0]])
    nn = library.nn
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    step = getattr(library.optim, optimizer)(net.parameters(), lr=0.01)

    def run() -> None:
        step.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(net(x), y)
        loss.backward()
        step.step()

    return run


def main() -> None:
    torch.set_num_threads(1)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, one thread used")
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, PyTorch {torch.__version__}\n")
    a, b = np.ones((4, 4), np.float32), np.ones((4, 4), np.float32)
    bare = min(side_by_side(lambda: [a + b for _ in range(CHAIN)])) / CHAIN * 1e6
    print(f"a bare NumPy addition of 4x4 arrays takes {bare:.2f} us\n")
    print(f"{'us per operation':24} {'minigrad':>9} {'torch':>9} {'ratio':>7}")
    operations: dict[str, Callable] = {
        "add": lambda x, other: x + other,
        "mul": lambda x, other: x * other,
        "mul by a number": lambda x, other: x * 1.01,
        "tanh": lambda x, other: x.tanh(),
        "matmul": lambda x, other: x @ other,
        "reshape": lambda x, other: x.reshape(4, 4),
    }
    for name, operation in operations.items():
        for backward in (False, True):
            ours, theirs = side_by_side(chain(mg, operation, backward), chain(torch, operation, backward))
            label = f"{name}, {'forward + backward' if backward else 'forward'}"
            print(f"{label:36} {ours / CHAIN * 1e6:6.2f} {theirs / CHAIN * 1e6:9.2f} {ours / theirs:7.2f}", flush=True)
    print()
    for optimizer in ("SGD", "Adam"):
        if hasattr(mg, "optim"):
            ours, theirs = side_by_side(xor(mg, optimizer), xor(torch, optimizer), repeat=20)
            label = f"XOR step with {optimizer}"
            print(f"{label:36} {ours * 1e6:6.0f} {theirs * 1e6:9.0f} {ours / theirs:7.2f}", flush=True)


if __name__ == "__main__":
    main()
