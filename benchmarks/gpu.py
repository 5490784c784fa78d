"""How fast our CUDA kernels are on this card, beside CuPy's (cuBLAS) and PyTorch's: `make gpu`.

Every line is the least of several times, each over many launches between two events of the card, in milliseconds. The
results go to benchmarks/results/gpu/<card>.json, labelled with the card, its driver and the versions. A number in there
is measured; those in kernels/README.md are counted, by a simulator, on a machine without a card.

    python benchmarks/gpu.py             # all of it, two minutes
    python benchmarks/gpu.py --quick     # tiny sizes, to see that it runs
    python benchmarks/gpu.py --report    # the tables in benchmarks/results/gpu/README.md; this needs no card
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from minigrad.kernels.cuda.launcher import launch, on_card
from minigrad.kernels.ladder import Ladder, Step, ladders

import minigrad as mg
from minigrad import backend
from minigrad.bench.table import number
from minigrad.bench.workloads import gpt
from minigrad.nn import functional as F

RESULTS = Path(__file__).parent / "results" / "gpu"
REPORT = RESULTS / "README.md"
Times = dict[str, float | None]


ROWS = {"rows": 8192, "cols": 4096}
HEADS = {"batch": 8, "heads": 12, "queries": 1024, "keys": 1024, "d": 64}
IMAGES = {"batch": 32, "channels": 64, "size": (56, 56), "padding": (1, 1)}
SQUARE = {"M": 4096, "N": 4096, "K": 4096}
SHAPES: dict[str, dict[str, Any]] = {  # of each ladder, one that keeps a large card busy
    "add_to_rows": {"rows": 32_768, "cols": 1024},
    "adam": {"sizes": (4_194_304,) * 8, "decay": 0.1, "decoupled": True},
    "attention": HEADS,
    "attention_backward": HEADS,
    "col2im": IMAGES,
    "im2col": IMAGES,
    "cross_entropy": ROWS,
    "dropout": {"n": 67_108_864, "p": 0.3, "seed": 1, "offset": 0},
    "embedding_backward": {"tokens": 65_536, "cols": 768, "rows": 50_257},
    "gelu": {"n": 67_108_864, "approximate": "none"},
    "gelu_backward": {"n": 67_108_864, "approximate": "none"},
    "layer_norm": {"rows": 32_768, "cols": 1024},
    "layer_norm_backward": {"rows": 32_768, "cols": 1024},
    "matmul": {**SQUARE, "force": ("large", 1)},
    "matmul_tf32": SQUARE,
    "softmax": {"rows": 32_768, "cols": 1024},
    "softmax_backward": {"rows": 32_768, "cols": 512},
    "sum_rows": {"rows": 32_768, "cols": 1024},
}


# --------------------------------------------------------------------------------------------------------- measuring


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


def gpt_steps(torch: Any, quick: bool, repeats: int) -> list[dict[str, Any]]:
    """A step of training a GPT, with our fused kernels and by the formulas, in float32 and in mixed precision.

    The model is that of `minigrad bench`, one source for both libraries, with fused Adam; a step ends with `loss.item()`.
    """
    size = (1, 16, 2, 8, 2) if quick else (6, 384, 6, 256, 32)
    names = ("layers", "width", "heads", "length", "batch")
    lines = []
    for name, half in (("step of a GPT", False), ("step of a GPT, mixed precision", True)):
        times: Times = {}
        for who, library, fused in (("ours", mg, True), ("formula", mg, False), ("torch", torch, True)):
            if library is None:
                times[who] = None
                continue
            step = gpt(*size)(library, True, "cuda")
            with mg.fast.use_fast_paths(fused), library.autocast("cuda", library.float16, enabled=half):
                times[who] = milliseconds(step, max(1, repeats // 5), library.cuda)
        lines.append(row(name, dict(zip(names, size)), times))
    return lines


def steps_of(ladder: Ladder, quick: bool) -> Iterator[dict[str, Any]]:
    """Each step of a ladder on one shape, with what memory and arithmetic it comes to.

    Its kernels alone: they are launched again on the arrays of a first run, without allocations, and without what CuPy
    does before them (for embedding_backward, to sort the tokens).
    """
    for step in ladder.steps:
        case = next(filter(step.supports, ladder.cases)) if quick else SHAPES[ladder.name]
        given = ladder.inputs(np.random.default_rng(0), **case)
        yield _step(ladder, step, dict(case), {key: on_card(value) for key, value in given.items()})


def _step(ladder: Ladder, step: Step, case: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    launches: list[tuple] = []

    def note(kernel: Any, args: tuple, **sizes: int) -> None:
        launches.append((kernel, args, sizes))
        launch(kernel, args, **sizes)

    def call() -> None:
        for kernel, args, sizes in launches:
            launch(kernel, args, **sizes)

    step.run(note, case, **given)
    once = milliseconds(call, 1, rounds=1)
    time = milliseconds(call, max(1, min(50, int(30 / max(once, 0.01)))), rounds=3)
    line = {"kernel": ladder.name, "step": step.name, "used": step.used, "shape": case, "milliseconds": time}
    if ladder.flops is not None:
        line["teraflops"] = round(ladder.flops(**case) / time / 1e9, 3)
    elif ladder.minimum_bytes is not None:
        line["gigabytes_per_second"] = round(ladder.minimum_bytes(**case) / time / 1e6, 1)
    print(f"{ladder.name:20} {step.name:4} {time:10.4f}", flush=True)
    return line


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


# --------------------------------------------------------------------------------------------------------- reporting


def told(shape: Any) -> str:
    """A shape in a table."""
    if not isinstance(shape, dict):
        return " x ".join(map(str, shape))
    parts = [(key, f"{len(v)} x {v[0]}" if key == "sizes" else v) for key, v in shape.items() if key != "force"]
    return ", ".join(f"{key} {value}" for key, value in parts)


def rate(line: dict[str, Any]) -> str:
    """Operations or bytes in a second."""
    if "teraflops" in line:
        return f"{line['teraflops']:.3g} TFLOP/s"
    return f"{line['gigabytes_per_second']:.0f} GB/s" if "gigabytes_per_second" in line else ""


def table(head: str, lines: list[list[str]]) -> list[str]:
    names = head.split("|")
    return [f"|{'|'.join(f' {cell} ' for cell in line)}|" for line in [names, ["---"] * len(names), *lines]]


def section(found: dict[str, Any]) -> list[str]:
    """The tables of one card."""
    beside, rungs = [], []
    for line in found["rows"]:
        times = line["milliseconds"]
        ratio = f"{times['ours'] / times['torch']:.2f}" if times.get("torch") else "-"
        ours = [number(times.get(who)) for who in ("ours", "formula", "cublas", "torch")]
        beside.append([line["operation"], told(line["shape"]), *ours, ratio, rate(line)])
    for line in found["ladders"]:
        first = next(other for other in found["ladders"] if other["kernel"] == line["kernel"])
        name = line["step"] + (" (used)" if line["used"] else "")
        faster = f"{first['milliseconds'] / line['milliseconds']:.3g}"
        rungs.append([line["kernel"], name, told(line["shape"]), number(line["milliseconds"]), rate(line), faster])
    return [
        f"## {found['card']}",
        "",
        f"Capability {found['capability']}, {found['multiprocessors']} multiprocessors, driver {found['driver']}, CUDA "
        f"{found['cuda']}, CuPy {found['cupy']}, PyTorch {found['torch']}, minigrad {found['minigrad']}; {found['when']}.",
        "",
        "### Beside cuBLAS and PyTorch",
        "",
        *table("operation|shape|minigrad ms|by formulas ms|cuBLAS ms|PyTorch ms|ratio to PyTorch|minigrad's rate", beside),
        "",
        "### The ladders, step by step",
        "",
        *table("kernel|step|shape|ms|rate|times as fast as v1", rungs),
    ]


HEADING = """# Measured on cards

Written by `python benchmarks/gpu.py --report` from the files beside it, each of which `make gpu` measured on the card that
it is named after. **Ratio** is the time of minigrad divided by PyTorch's: below 1 minigrad is faster. A **rate** takes what
must be moved or computed at least, so that it can be held against the card's own. **By formulas** is the same without our
kernels, by CuPy's own functions alone. The ladders are their kernels alone, without allocations and without the sorting that
embedding_backward needs from v2 on. What takes a few hundredths of a millisecond measures the host, which starts the
kernels, not the card. Products of float32 are exact; only matmul_tf32 uses tensor cores, and PyTorch's attention, which
multiplies on them three times to be exact.
"""


def write_report() -> None:
    """The tables of all cards that there are results of."""
    paths = [path for path in sorted(RESULTS.glob("*.json")) if not path.name.startswith("counters-")]  # see counters.py
    cards = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    sections = ["\n".join(section(found)) for found in cards]
    REPORT.write_text("\n".join([HEADING, *sections]) + "\n", encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and write the row; 1 where there is no card."""
    parser = argparse.ArgumentParser(description="Our CUDA kernels beside cuBLAS and PyTorch on this card.")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs; written with --out only")
    parser.add_argument("--out", type=Path, help="where to write the JSON row")
    parser.add_argument("--report", action="store_true", help="write the tables anew and measure nothing")
    args = parser.parse_args(argv)
    if args.report:
        write_report()
        return 0
    if problem := backend.cuda_problem():
        print(f"benchmarks/gpu.py: nothing to measure: {problem}", file=sys.stderr)
        return 1
    torch, repeats = opponent(), 1 if args.quick else 50
    before = mg.cuda.preferred_blas_library()
    try:
        lines = products(torch, args.quick, repeats)
    finally:
        mg.cuda.preferred_blas_library(before)
    for part in (rows_of, attentions, gpt_steps):
        lines += part(torch, args.quick, repeats)
    rungs = [line for ladder in ladders().values() for line in steps_of(ladder, args.quick)]
    result = {**card(), "rows": lines, "ladders": rungs}
    name = "-".join(result["card"].lower().split()) + ".json"
    out = args.out or (None if args.quick else RESULTS / name)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(f"written to {out}; add it to the repository, and python benchmarks/gpu.py --report makes the tables of it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
