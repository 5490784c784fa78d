"""Dropout from a counter on CUDA: how dropout.cu is launched, and what is right."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ladder import Case, Ladder, Step
from .gelu import fours, ones
from .launcher import Kernel, launch, namespace
from .layer_norm import wide

V1 = Kernel("dropout_v1", "dropout.cu", ones, wide=True)
V2 = Kernel("dropout_v2", "dropout.cu", fours, wide=True)


def threshold(p: float) -> int:
    """A random word below this drops its number; p is below 1."""
    return min(int(p * 2**32), 2**32 - 1)


def apply(x: Any, p: float, seed: int, offset: int = 0, launch: Any = launch, kernel: Kernel | None = None) -> Any:
    """x with each number 0 with probability p < 1, and the others divided by 1 - p.

    The same seed and offset drop the same numbers: apply it to the gradient for the backward pass. The next draw should
    have an offset that is larger by a quarter of x's size, rounded up.
    """
    y = namespace(x).empty(x.shape, x.dtype)
    args = (x, y, x.size, np.uint64(seed), np.uint64(offset), np.uint32(threshold(p)), 1 / (1 - p))
    launch(kernel or (V2 if wide(0, x, y) else V1), args, n=x.size)
    return y


def philox(counter: np.ndarray, key: int) -> np.ndarray:
    """Philox 4x32-10 of 64 bit counters: an array (..., 4) of random words."""
    word, low = np.uint64(32), np.uint64(0xFFFFFFFF)
    x, y, z, w = counter & low, counter >> word, np.zeros_like(counter), np.zeros_like(counter)
    k, l = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        p, q = np.uint64(0xD2511F53) * x, np.uint64(0xCD9E8D57) * z
        x, y, z, w = (q >> word) ^ y ^ np.uint64(k), q & low, (p >> word) ^ w ^ np.uint64(l), p & low
        k, l = (k + 0x9E3779B9) & 0xFFFFFFFF, (l + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([x, y, z, w], -1).astype(np.uint32)


def _reference(case: Case, x: Any) -> dict[str, Any]:
    counters = np.arange(-(-x.size // 4), dtype=np.uint64) + np.uint64(case["offset"])
    words, p = philox(counters, case["seed"]).ravel()[: x.size], case["p"]
    return {"y": np.where(words >= threshold(p), x / (1 - p), 0)}


def _step(kernel: Kernel) -> Any:
    return lambda launch, case, x: {"y": apply(x, case["p"], case["seed"], case["offset"], launch, kernel)}


def _case(n: int, p: float = 0.3, seed: int = 2**40 + 17, offset: int = 0) -> dict[str, Any]:
    return {"n": n, "p": p, "seed": seed, "offset": offset}


# p at which a random word is exactly the threshold: it is kept.
WORDS = philox(np.zeros(1, np.uint64), 3)[0]
EXACT = tuple(_case(n, float(word) / 2**32, 3) for n in (3, 4) for word in WORDS)

DROPOUT = Ladder(
    name="dropout",
    file="dropout.cu",
    steps=(
        Step("v1", "a number for each thread: four random words drawn, one used", _step(V1), (V1,)),
        Step("v2", "four numbers for each thread: one draw, 16 bytes at a time", _step(V2), (V2,), used=True),
    ),
    inputs=lambda rng, n, **options: {"x": rng.standard_normal(n, dtype=np.float32)},
    reference=_reference,
    cases=(*(_case(n) for n in (1, 2, 3, 4, 1023, 1026, 2049)), _case(300, 0.0), _case(300, 0.9, 3, 2**33 - 5), *EXACT),
    example=_case(262144),
    tolerance=1e-6,
    minimum_bytes=lambda n, **options: 8 * n,
)  # fmt: skip
