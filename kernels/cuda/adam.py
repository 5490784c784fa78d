"""Adam and AdamW for many parameters in one launch: how adam.cu is launched, and what is right."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from ..ladder import Case, Ladder, Step
from .launcher import Kernel, Launch, ceil_div, launch, namespace
from .layer_norm import address, unaligned

CHUNK = 4096  # numbers of a block: CHUNK in adam.cu

V1 = Kernel("adam_v1", "adam.cu", lambda n: Launch((ceil_div(n, 256),), (256,)), wide=True)
V2 = Kernel("adam_v2", "adam.cu", lambda blocks: Launch((blocks,), (256,)), wide=True)


@lru_cache(16)  # the same in every step
def chunk_table(*sizes: int) -> np.ndarray:
    """For each block which array it does, and which piece of it.

    >>> chunk_table(1, 0, 5000).tolist()
    [[0, 0], [2, 0], [2, 1]]
    """
    counts = [ceil_div(n, CHUNK) for n in sizes]
    pieces = [np.arange(count) for count in counts]
    table = np.stack([np.repeat(np.arange(len(sizes)), counts), np.concatenate([*pieces, np.empty(0, int)])], axis=1)
    return np.ascontiguousarray(table, np.int32)


def constants(step: int, lr: float, betas: tuple[float, float], eps: float, weight_decay: float, decoupled: bool) -> tuple:
    """The numbers that a kernel takes, in its order."""
    beta1, beta2 = betas
    corrections = (1 - beta1**step, math.sqrt(1 - beta2**step))
    return (float(lr), float(beta1), float(beta2), float(eps), float(weight_decay), *corrections, int(decoupled))


def update(
    params: list, grads: list, firsts: list, seconds: list, unscale: Any = None, *, step: int, lr: float,
    betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0.0, decoupled: bool = True,
    launch: Any = launch,
) -> None:
    """One step for lists of contiguous float32 arrays, in place.

    Args:
        firsts, seconds: the moving averages of the gradient and of its square.
        unscale: an array of one number that gradients are multiplied by, or None.
        step: counted from 1.
        decoupled: AdamW's weight decay rather than Adam's.
    """  # fmt: skip
    if not params:
        return
    xp, chunks = namespace(params[0]), chunk_table(*(p.size for p in params))
    table = np.array([[*map(address, row), row[0].size] for row in zip(params, grads, firsts, seconds)], np.uint64)
    numbers = constants(step, lr, betas, eps, weight_decay, decoupled)
    launch(V2, (xp.asarray(table), xp.asarray(chunks), *numbers, unscale), blocks=len(chunks))


def _update_each(
    params: list, grads: list, firsts: list, seconds: list, unscale: Any, launch: Any, **options: Any
) -> None:
    numbers = constants(**options)
    for p, g, m, v in zip(params, grads, firsts, seconds):
        launch(V1, (p, g, m, v, p.size, *numbers, unscale), n=p.size)


def _options(case: Case) -> dict[str, Any]:
    return {
        "step": case.get("step", 3), "lr": 0.01, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": case.get("decay", 0.0),
        "decoupled": bool(case.get("decoupled")),
    }  # fmt: skip


def _inputs(rng: Any, sizes: tuple[int, ...], **options: Any) -> dict[str, Any]:
    def draw() -> list[Any]:
        arrays = [rng.standard_normal(n, dtype=np.float32) for n in sizes]
        return [unaligned(x) for x in arrays] if options.get("moved") else arrays

    unscale = np.array([0.5], np.float32) if options.get("unscale") else None
    return {"params": draw(), "grads": draw(), "firsts": draw(), "seconds": [x * x for x in draw()], "unscale": unscale}


def _reference(case: Case, params: list, grads: list, firsts: list, seconds: list, unscale: Any) -> dict[str, Any]:
    o, results = _options(case), []
    beta1, beta2 = o["betas"]
    for p, g, m, v in zip(params, grads, firsts, seconds):
        p, g, m, v = (x.astype(np.float64) for x in (p, g, m, v))
        g = g * (1 if unscale is None else unscale[0])
        if o["decoupled"]:
            p = p * (1 - o["lr"] * o["weight_decay"])
        else:
            g = g + o["weight_decay"] * p
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        right = np.sqrt(v) / math.sqrt(1 - beta2 ** o["step"]) + o["eps"]
        results.append((p - o["lr"] / (1 - beta1 ** o["step"]) * m / right, m, v))
    return dict(zip(("params", "firsts", "seconds"), map(list, zip(*results))))


def _step(function: Any) -> Any:
    def run(launch: Any, case: Case, **lists: Any) -> dict[str, Any]:
        function(**lists, launch=launch, **_options(case))
        return {name: lists[name] for name in ("params", "firsts", "seconds")}

    return run


SIZES = (1, 3, 4, 257, 4096, 4099, 9000)
ADAM = Ladder(
    name="adam",
    file="adam.cu",
    steps=(
        Step("v1", "a launch for each array, a number for each thread", _step(_update_each), (V1,)),
        Step("v2", "all arrays in one launch, 16 bytes at a time", _step(update), (V2,), used=True),
    ),
    inputs=_inputs,
    reference=_reference,
    cases=(
        {"sizes": SIZES}, {"sizes": SIZES, "decay": 0.1}, {"sizes": SIZES, "decay": 0.1, "decoupled": True, "unscale": True},
        {"sizes": (5, 8192), "step": 1}, {"sizes": (4, 300), "moved": True},
        {"sizes": (5, 513), "moved": True, "decoupled": True, "decay": 0.1},
        {"sizes": (7,), "decoupled": True, "decay": 0.5, "step": 1000},
    ),
    example={"sizes": (65536, 65536), "decay": 0.1, "decoupled": True},
    tolerance=2e-6,
    minimum_bytes=lambda sizes, **options: 28 * sum(sizes),
)  # fmt: skip
