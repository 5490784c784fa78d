"""How fast our CUDA kernels are on this card, beside CuPy's (cuBLAS) and PyTorch's: `make gpu`.

Every line is the least of several times, each over many launches between two events of the card, in milliseconds. The
results go to benchmarks/results/gpu/<card>.json, labelled with the card, its driver and the versions. A number in there
is measured; those in kernels/README.md are counted, by a simulator, on a machine without a card.

    python benchmarks/gpu.py             # all of it, a few minutes
    python benchmarks/gpu.py --quick     # tiny sizes, to see that it runs
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
from minigrad import backend
from minigrad.nn import functional as F

RESULTS = Path(__file__).parent / "results" / "gpu"
Times = dict[str, float | None]


def milliseconds(call: Callable[[], Any], repeats: int, events: Any = mg.cuda, rounds: int = 5) -> float:
    """Least time of a call over several rounds of launches."""
    call()
    best = float("inf")
    for _ in range(rounds):
        start, end = events.Event(enable_timing=True), events.Event(enable_timing=True)
        start.record()
        for _ in range(repeats):
            call()
        end.record()
        end.synchronize()
        best = min(best, start.elapsed_time(end) / repeats)
    return best


def opponent() -> Any:
    """PyTorch, if it is installed and sees the card."""
    if find_spec("torch") is None:
        return None
    import torch

    return torch if torch.cuda.is_available() else None


def tensors(torch: Any, *shapes: tuple[int, ...]) -> list[tuple[Any, Any]]:
    """The same random tensors for both libraries, on the card; None where there is no PyTorch."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]
    return [(mg.tensor(a, device="cuda"), None if torch is None else torch.tensor(a, device="cuda")) for a in arrays]


def row(name: str, shape: Any, times: Times, bytes_: float = 0, flops: float = 0) -> dict[str, Any]:
    """A result, with what it means in bytes and operations per second for our kernel."""
    ours = times["ours"] or float("nan")
    line: dict[str, Any] = {"operation": name, "shape": shape, "milliseconds": times}
    if bytes_:
        line["gigabytes_per_second"] = round(bytes_ / ours / 1e6, 1)
    if flops:
        line["teraflops"] = round(flops / ours / 1e9, 3)
    shown = "  ".join(f"{who} {'-' if t is None else f'{t:.4f}'}" for who, t in times.items())
    print(f"{name:28} {shape!s:24} {shown}", flush=True)
    return line


def products(torch: Any, quick: bool, repeats: int) -> list[dict[str, Any]]:
    """Products of square matrices in float32: our kernel, cuBLAS by CuPy, PyTorch (without TF32, as by default)."""
    lines = []
    for n in (64, 96) if quick else (256, 512, 1024, 2048, 4096):
        (a, ta), (b, tb) = tensors(torch, (n, n), (n, n))
        times: Times = {}
        for who, library in (("ours", "minigrad"), ("cublas", "cublas")):
            mg.cuda.preferred_blas_library(library)
            times[who] = milliseconds(lambda a=a, b=b: a @ b, repeats)
        times["torch"] = torch and milliseconds(lambda a=ta, b=tb: a @ b, repeats, torch.cuda)
        lines.append(row("matmul", [n, n, n], times, flops=2 * n**3))
    return lines


def rows_of(torch: Any, quick: bool, repeats: int) -> list[dict[str, Any]]:
    """What a Transformer does with rows: memory decides, so the rate is given in bytes."""
    shapes = [(8, 64)] if quick else [(8192, 768), (8192, 4096), (2048, 32768)]
    return [line for shape in shapes for line in _rows_of(torch, shape, repeats)]


def _rows_of(torch: Any, shape: tuple[int, int], repeats: int) -> list[dict[str, Any]]:
    (x, tx), (w, tw) = tensors(torch, shape, shape[1:])
    size, cols, other = 4 * x.numel(), shape[1:], torch and torch.nn.functional
    labels = np.random.default_rng(1).integers(0, shape[1], shape[0])
    y, ty = mg.tensor(labels, device="cuda"), torch and torch.tensor(labels, device="cuda")
    calls: dict[str, tuple[Callable, Callable, float]] = {
        "layer_norm": (lambda: F.layer_norm(x, cols, w, w), lambda: other.layer_norm(tx, cols, tw, tw), 2 * size),
        "softmax": (lambda: x.softmax(-1), lambda: tx.softmax(-1), 2 * size),
        "gelu": (lambda: F.gelu(x, approximate="tanh"), lambda: other.gelu(tx, approximate="tanh"), 2 * size),
        "cross_entropy": (lambda: F.cross_entropy(x, y), lambda: other.cross_entropy(tx, ty), size),
    }
    lines = []
    for name, (ours, theirs, traffic) in calls.items():
        times: Times = {"ours": milliseconds(ours, repeats)}
        with mg.fast.use_fast_paths(False):
            times["formula"] = milliseconds(ours, repeats)
        times["torch"] = torch and milliseconds(theirs, repeats, torch.cuda)
        lines.append(row(name, list(shape), times, bytes_=traffic))
    return lines


def attentions(torch: Any, quick: bool, repeats: int) -> list[dict[str, Any]]:
    """Causal attention, forward, and forward with backward."""
    shapes = [(1, 2, 16, 16)] if quick else [(8, 12, 1024, 64), (1, 16, 4096, 128)]
    return [line for shape in shapes for line in _attention(torch, shape, repeats)]


def _attention(torch: Any, shape: tuple[int, int, int, int], repeats: int) -> list[dict[str, Any]]:
    both = tensors(torch, shape, shape, shape)
    mine = [pair[0].requires_grad_() for pair in both]
    others = [pair[1].requires_grad_() for pair in both] if torch else []
    batch, heads, length, width = shape
    flops = 2 * batch * heads * length * length * width  # half of the two products, since it is causal

    def ours() -> Any:
        return F.scaled_dot_product_attention(*mine, is_causal=True)

    def theirs() -> Any:
        return torch.nn.functional.scaled_dot_product_attention(*others, is_causal=True)

    lines = []
    for name, one, other, work in (
        ("attention", ours, theirs, flops),
        ("attention with backward", lambda: ours().sum().backward(), lambda: theirs().sum().backward(), 3.5 * flops),
    ):
        times: Times = {"ours": milliseconds(one, repeats), "torch": torch and milliseconds(other, repeats, torch.cuda)}
        lines.append(row(name, list(shape), times, flops=work))
    return lines


def gpt_steps(quick: bool, repeats: int) -> list[dict[str, Any]]:
    """A step of training a GPT, with our fused kernels, by the formulas, and in mixed precision."""
    from minigrad.models.gpt import GPT, GPTConfig

    layers, width, length, batch = (1, 16, 8, 2) if quick else (6, 384, 256, 32)
    rng = np.random.default_rng(0)
    tokens, targets = (mg.tensor(rng.integers(0, 65, (batch, length)), device="cuda") for _ in range(2))
    times: Times = {}
    for who, fused, half in (("ours", True, False), ("formula", False, False), ("ours, mixed precision", True, True)):
        mg.manual_seed(0)
        model = GPT(GPTConfig(vocab_size=65, block_size=length, n_layer=layers, n_head=2, n_embd=width, dropout=0.0)).cuda()
        optimizer = mg.optim.AdamW(model.parameters(), lr=1e-3)

        def step(model: Any = model, optimizer: Any = optimizer, half: bool = half) -> None:
            optimizer.zero_grad()
            with mg.autocast("cuda", enabled=half):
                loss = model(tokens, targets)[1]
            loss.backward()
            optimizer.step()

        with mg.fast.use_fast_paths(fused):
            times[who] = milliseconds(step, max(1, repeats // 10))
    return [row("step of a GPT", [layers, width, length, batch], times)]


def card() -> dict[str, Any]:
    """What the numbers belong to."""
    cp, torch = backend.cupy(), opponent()
    found = mg.cuda.get_device_properties()
    return {
        "card": found.name, "capability": f"sm_{found.major}{found.minor}", "memory_bytes": found.total_memory,
        "multiprocessors": found.multi_processor_count, "driver": cp.cuda.runtime.driverGetVersion(),
        "cuda": cp.cuda.runtime.runtimeGetVersion(), "cupy": cp.__version__, "torch": torch and torch.__version__,
        "minigrad": mg.__version__, "python": platform.python_version(), "label": "measured",
        "when": datetime.now(UTC).date().isoformat(),
    }  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and write the row; 1 where there is no card."""
    parser = argparse.ArgumentParser(description="Our CUDA kernels beside cuBLAS and PyTorch on this card.")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs; written with --out only")
    parser.add_argument("--out", type=Path, help="where to write the JSON row")
    args = parser.parse_args(argv)
    if problem := backend.cuda_problem():
        print(f"benchmarks/gpu.py: nothing to measure: {problem}", file=sys.stderr)
        return 1
    torch, repeats = opponent(), 1 if args.quick else 50
    before = mg.cuda.preferred_blas_library()
    try:
        lines = products(torch, args.quick, repeats)
    finally:
        mg.cuda.preferred_blas_library(before)
    lines += rows_of(torch, args.quick, repeats) + attentions(torch, args.quick, repeats) + gpt_steps(args.quick, repeats)
    result = {**card(), "rows": lines}
    name = "-".join(result["card"].lower().split()) + ".json"
    out = args.out or (None if args.quick else RESULTS / name)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(f"written to {out}; add it to the repository, and the tables can name it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
