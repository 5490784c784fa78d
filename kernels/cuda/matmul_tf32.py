"""The matrix product in TF32 on tensor cores: how matmul_tf32.cu is launched, and what is right."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..ladder import Case, Ladder, Step
from .launcher import Kernel, launch, namespace
from .layer_norm import wide
from .matmul import _inputs, _mnk, sizes, tiles

KERNELS = {
    layout: Kernel(f"matmul_tf32_{layout}", "matmul_tf32.cu", tiles(128, 128, (256,)), wide=True)
    for layout in ("nn", "nt", "tn")
}


def product(a: Any, b: Any, layout: str = "nn", bias: Any = None, launch: Any = launch) -> Any:
    """a @ b + bias of contiguous float32 arrays, with factors rounded to TF32; the arguments are those of matmul.product.

    Returns:
        The result, or NotImplemented where sizes are no multiples of 4 or addresses none of 16 bytes.
    """
    xp, (M, N, K) = namespace(a), sizes(a, b, layout)
    batch = a.shape[:-2] if a.ndim >= b.ndim else b.shape[:-2]
    out = xp.empty((*batch, M, N), a.dtype)
    if not wide(a.shape[-1] | b.shape[-1] | N, a, b, bias, out):
        return NotImplemented
    step_a, step_b = (0 if x.ndim == 2 else x.shape[-2] * x.shape[-1] for x in (a, b))
    launch(KERNELS[layout], (a, b, bias, out, M, N, K, step_a, step_b), M=M, N=N, z=math.prod(batch))
    return out


def _rounded(x: Any) -> Any:
    """To the nearest number with 10 bits behind the comma, halves away from zero."""
    return ((x.view(np.uint32) + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32).astype(np.float64)


def _reference(case: Case, a: Any, b: Any, bias: Any) -> dict[str, Any]:
    layout, a, b = case.get("layout", "nn"), _rounded(a), _rounded(b)
    c = (a.swapaxes(-1, -2) if layout == "tn" else a) @ (b.swapaxes(-1, -2) if layout == "nt" else b)
    return {"c": c if bias is None else c + bias}


# Where a result ends, in each part of a tile that a lane has.
BORDERS = (*((8 * k + 4, 28) for k in range(8)), *((60, 8 * k + 4) for k in range(3)))


def _no_halves(rng: Any, **case: Any) -> dict[str, Any]:
    """Numbers that are not in the middle between two of TF32: sm_90 rounds those to even, what came before away from zero."""
    inputs = _inputs(rng, **case)
    for name in ("a", "b"):
        inputs[name].view(np.uint32)[...] |= 1
    return inputs


MATMUL_TF32 = Ladder(
    name="matmul_tf32",
    file="matmul_tf32.cu",
    steps=(
        Step("v1", "tensor cores: rounded once on the way to shared memory, fragments read by ldmatrix without bank conflicts",
             lambda launch, case, a, b, bias: {"c": product(a, b, case.get("layout", "nn"), bias, launch)},
             tuple(KERNELS.values()), arch="sm_80", used=True),
    ),
    inputs=_no_halves,
    reference=_reference,
    cases=(
        *(_mnk(*s, layout=layout) for layout in KERNELS for s in ((4, 4, 4), (132, 140, 36), (128, 128, 48), (68, 260, 16))),
        *(_mnk(M, N, 4, layout=layout, bias=bias) for layout in KERNELS for M, N in BORDERS for bias in (True, False)),
        *(_mnk(8, 12, k, layout="tn") for k in (1, 2, 3, 9, 10, 11)),
        _mnk(20, 12, 24, batch=3, bias=True), _mnk(8, 4, 0, bias=True),
    ),
    example=_mnk(512, 512, 512),
    tolerance=1e-4,
    minimum_bytes=lambda M, N, K, **options: 4 * (M * K + K * N + M * N),
    flops=lambda M, N, K, **options: 2 * M * N * K,
)  # fmt: skip
