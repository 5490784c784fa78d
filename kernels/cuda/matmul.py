"""The matrix product in float32 on CUDA: which kernel of matmul.cu does which sizes, and what is right."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..ladder import Case, Ladder, Step
from .gelu import _value_and_slope
from .launcher import Kernel, Launch, ceil_div, launch, namespace
from .layer_norm import wide

ACTIVATIONS = {"none": 0, "relu": 1, "gelu": 2, "gelu_tanh": 3}  # the numbers that `activate` in matmul.cu knows
BUSY = 128  # blocks that keep a large card busy


def tiles(down: int, across: int, threads: tuple[int, ...]) -> Any:
    """The geometry of a kernel whose blocks do `down` x `across` numbers of C."""

    def geometry(M: int, N: int, z: int = 1) -> Launch:
        return Launch((ceil_div(N, across), ceil_div(M, down), z), threads)

    return geometry


def _kernel(name: str, geometry: Any) -> Kernel:
    return Kernel(name, "matmul.cu", geometry, wide=True)


V1 = _kernel("matmul_v1", tiles(32, 8, (32, 8)))
V2 = _kernel("matmul_v2", tiles(8, 32, (32, 8)))
V3 = _kernel("matmul_v3", tiles(32, 32, (32, 32)))
V4 = _kernel("matmul_v4", tiles(64, 64, (256,)))
V5 = _kernel("matmul_v5", tiles(128, 128, (256,)))
V6 = {layout: _kernel(f"matmul_v6_{layout}", tiles(128, 128, (256,))) for layout in ("nn", "nt", "tn")}
SMALL = {layout: _kernel(f"matmul_small_{layout}", tiles(64, 64, (64,))) for layout in V6}
ANY = {layout: _kernel(f"matmul_any_{layout}", tiles(64, 64, (64,))) for layout in V6}
SUM = _kernel("matmul_sum", lambda total: Launch((ceil_div(total, 256),), (256,)))


def plan(M: int, N: int, K: int, products: int, aligned: bool) -> tuple[str, int]:
    """Which kernel does these sizes best, and in how many slices of K: "large", "small" or "any".

    >>> plan(4096, 4096, 4096, 1, aligned=True)
    ('large', 1)
    >>> plan(64, 64, 8192, 1, aligned=True)  # one block would be alone on the card
    ('small', 32)
    """
    large = ceil_div(M, 128) * ceil_div(N, 128) * products
    if aligned and large >= BUSY // 2:
        return "large", 1
    blocks = ceil_div(M, 64) * ceil_div(N, 64) * products
    slices = max(1, min(2 * BUSY // max(blocks, 1), K // 256))
    return ("small" if aligned else "any"), slices


def sizes(a: Any, b: Any, layout: str) -> tuple[int, int, int]:
    """M, N and K of a product.

    Raises:
        RuntimeError: the inner sizes differ.
    """
    (M, K), (N, inner) = a.shape[-2:], b.shape[-2:]
    if layout == "tn":
        M, K = K, M
    if layout != "nt":
        N, inner = inner, N
    if inner != K:
        raise RuntimeError(f"matmul kernel: cannot multiply {tuple(a.shape)} and {tuple(b.shape)} in layout {layout!r}")
    return M, N, K


def product(
    a: Any, b: Any, layout: str = "nn", bias: Any = None, activation: str = "none", launch: Any = launch,
    force: tuple[str, int] | None = None,
) -> Any:
    """activation(a @ b + bias) of contiguous float32 arrays.

    Args:
        a: (..., M, K), or (..., K, M) in layout "tn".
        b: (..., K, N), or (..., N, K) in layout "nt". Batches of a and b are equal, or one of them is a single matrix.
        bias: (N,), or None.
        activation: "none", "relu", "gelu" or "gelu_tanh".
        force: a result of `plan` to use instead.

    Returns:
        (..., M, N).
    """  # fmt: skip
    xp, (M, N, K) = namespace(a), sizes(a, b, layout)
    batch = a.shape[:-2] if a.ndim >= b.ndim else b.shape[:-2]
    products = math.prod(batch)
    out = xp.empty((*batch, M, N), a.dtype)
    step_a, step_b = (0 if x.ndim == 2 else x.shape[-2] * x.shape[-1] for x in (a, b))
    aligned = wide(a.shape[-1] | b.shape[-1] | N, a, b, bias, out)
    kind, slices = force or plan(M, N, K, products, aligned)
    plain = bias is None and activation == "none"
    after = slices > 1 or (kind != "large" and not plain)  # slices are to be added, or bias and activation left to matmul_sum
    to = xp.empty((products * slices, M, N), a.dtype) if after else out
    code = ACTIVATIONS[activation]
    kernel = {"large": V6, "small": SMALL, "any": ANY}[kind][layout]
    if kind == "large":
        args: tuple = (a, b, None if after else bias, to, M, N, K, step_a, step_b, slices, 0 if after else code)
    else:
        args = (a, b, to, M, N, K, step_a, step_b, slices)
    launch(kernel, args, M=M, N=N, z=products * slices)
    if after:
        launch(SUM, (to, bias, out, M * N, out.size, slices, N, code), total=out.size)
    return out


def supports(a: Any, b: Any, bias: Any = None) -> bool:
    """Whether `product` can do it: float32, contiguous, and no more products than a grid has room for."""
    arrays = [x for x in (a, b, bias) if x is not None]
    fits = all(x.dtype == np.float32 and x.flags.c_contiguous for x in arrays) and min(a.ndim, b.ndim) >= 2
    batches = a.ndim == 2 or b.ndim == 2 or a.shape[:-2] == b.shape[:-2]
    return fits and batches and max(math.prod(a.shape[:-2]), math.prod(b.shape[:-2])) * 64 <= 65535


def _inputs(rng: Any, M: int, N: int, K: int, **options: Any) -> dict[str, Any]:
    def draw(batch: bool, *shape: int) -> Any:
        many = (options["batch"],) if batch and "batch" in options else ()
        return rng.standard_normal((*many, *shape), dtype=np.float32)

    layout, shared = options.get("layout", "nn"), options.get("shared")
    a = draw(shared != "a", *((K, M) if layout == "tn" else (M, K)))
    b = draw(shared != "b", *((N, K) if layout == "nt" else (K, N)))
    return {"a": a, "b": b, "bias": draw(False, N) if options.get("bias") else None}


def _reference(case: Case, a: Any, b: Any, bias: Any) -> dict[str, Any]:
    layout, activation = case.get("layout", "nn"), case.get("activation", "none")
    a, b = a.astype(np.float64), b.astype(np.float64)
    c = (a.swapaxes(-1, -2) if layout == "tn" else a) @ (b.swapaxes(-1, -2) if layout == "nt" else b)
    c = c if bias is None else c + bias
    if activation == "relu":
        c = np.maximum(c, 0)
    elif activation != "none":
        c = _value_and_slope(c.ravel(), activation.removeprefix("gelu_"))[0].reshape(c.shape)
    return {"c": c}


def _plain(case: Case) -> bool:
    return set(case) <= {"M", "N", "K", "force"} and case.get("force", ("large", 1)) == ("large", 1)


def _step(kernel: Kernel) -> Any:
    def run(launch: Any, case: Case, a: Any, b: Any, bias: Any) -> dict[str, Any]:
        M, N, K = sizes(a, b, "nn")
        c = namespace(a).empty((M, N), a.dtype)
        launch(kernel, (a, b, c, M, N, K), M=M, N=N)
        return {"c": c}

    return run


def _run(launch: Any, case: Case, a: Any, b: Any, bias: Any) -> dict[str, Any]:
    """What `plan` says, unless the case asks for a kernel."""
    options = {name: case[name] for name in ("layout", "activation") if name in case}
    return {"c": product(a, b, bias=bias, launch=launch, force=case.get("force"), **options)}


def _mnk(M: int, N: int, K: int, **options: Any) -> dict[str, Any]:
    return {"M": M, "N": N, "K": K, **options}


LARGE = ("large", 1)  # the kernel, and in how many slices of K
SHAPES = (
    (1, 1, 1), (3, 5, 2), (33, 65, 17), (70, 36, 40), (129, 132, 20), (130, 257, 33), (128, 128, 64),
    # No K, and borders in each part of a tile that a thread of v4 and v5 has.
    (2, 4, 0), (5, 52, 4), (20, 36, 12), (34, 20, 8), (51, 8, 20), (55, 40, 16), (40, 4, 8),
)  # fmt: skip
PLAIN = tuple(_mnk(*shape) for shape in SHAPES)
LAYOUTS = tuple(
    _mnk(M, N, K, layout=layout, force=(kind, slices))
    for layout in ("nn", "nt", "tn")
    for kind, slices, shapes in (
        ("large", 1, ((132, 260, 36), (4, 4, 4), (128, 128, 48))),
        ("small", 1, ((68, 132, 20),)),
        ("small", 3, ((12, 8, 100),)),
        ("any", 1, ((67, 65, 19), (1, 3, 5))),
        ("any", 2, ((5, 9, 37),)),
    )
    for M, N, K in shapes
)
# The border of the result in each part of a tile that a thread has, and a last tile of K of each length.
EDGES = tuple(
    _mnk(M, N, K, layout=layout, force=(kind, 1))
    for layout in ("nn", "nt", "tn")
    for kind, shapes in (
        ("any", ((4, 4, 1), (5, 21, 2), (6, 6, 5), (7, 23, 9), (36, 20, 13), (37, 5, 3), (38, 22, 7), (39, 7, 11),
                 (39, 4, 2), (39, 21, 2), (39, 6, 2), (39, 23, 2), (53, 51, 4),
                 (50, 54, 30), (51, 55, 29), (52, 56, 29))),
        *((kind, ((4, 4, 1), (4, 4, 2), (36, 20, 6), (4, 20, 10), (36, 4, 14)) if layout == "tn" else (
            (4, 4, 4), (5, 20, 8), (6, 4, 12), (7, 20, 4), (36, 20, 12), (37, 4, 8), (38, 20, 4), (39, 4, 12),
        )) for kind in ("large", "small")),
    )
    for M, N, K in shapes
)  # fmt: skip
MORE = (
    *(_mnk(36, N, 8, bias=True, layout=layout, force=("large", 1)) for layout in ("nn", "nt", "tn") for N in (4, 20)),
    *(_mnk(36, 132, 20, batch=3, layout=layout, force=("large", 1)) for layout in ("nn", "nt", "tn")),
    _mnk(36, 20, 12, batch=2, shared="b"),
    _mnk(36, 20, 64, batch=2, shared="a", force=("small", 2)),
    *(_mnk(40, 68, 8, bias=True, activation=name, force=force) for name in ACTIVATIONS for force in (LARGE, ("small", 2))),
    _mnk(7, 9, 3, bias=True, activation="relu"),
    _mnk(8, 12, 0, bias=True, force=("large", 1)),
)

MATMUL = Ladder(
    name="matmul",
    file="matmul.cu",
    steps=(
        Step("v1", "a thread for each number; neighbours do neighbouring rows, an eighth of each sector is used",
             _step(V1), (V1,),
             supports=_plain),
        Step("v2", "neighbours do neighbouring columns: whole sectors", _step(V2), (V2,), supports=_plain),
        Step("v3", "tiles in shared memory: each number is fetched once and used 32 times", _step(V3), (V3,), supports=_plain),
        Step("v4", "4 x 4 numbers for a thread: 8 reads of shared memory feed 16 multiplications",
             _step(V4), (V4,), supports=_plain),
        Step("v5", "8 x 8 numbers, 16 bytes at a time: 4 reads feed 64 multiplications", _step(V5), (V5,),
             supports=lambda case: _plain(case) and case["N"] % 4 == case["K"] % 4 == 0),
        Step("v6", "warp tiles in different banks, the next tile fetched while this one is multiplied, no checks in the loop",
             _run,
             (*V6.values(), *SMALL.values(), *ANY.values(), SUM), used=True),
    ),
    inputs=_inputs,
    reference=_reference,
    cases=(*PLAIN, *LAYOUTS, *EDGES, *MORE),
    example=_mnk(512, 512, 512, force=("large", 1)),
    tolerance=1e-4,
    minimum_bytes=lambda M, N, K, **options: 4 * (M * K + K * N + M * N),
    flops=lambda M, N, K, **options: 2 * M * N * K,
)  # fmt: skip
