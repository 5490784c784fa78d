"""Counts what the CUDA kernels cost, on a machine without a GPU: what must hold, and the tables of kernels/README.md.

    python benchmarks/kernels.py [--check]

Prints everything that must hold, with the figure that was counted; exits with 1 if something does not. Then it writes the
tables, or with --check sees whether they are there as they should be. Needs NVRTC (pip install 'minigrad[sim]') and a C++
compiler. The rows of others are quoted, with where they come from.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from minigrad.kernels.cuda import launcher, matmul
from minigrad.kernels.ladder import Ladder, Step, ladders
from minigrad.kernels.simulator import machine_code, report

README = Path(__file__).parents[1] / "kernels" / "README.md"
BEGIN, END = "<!-- counted: begin -->", "<!-- counted: end -->"
ARCHITECTURES = ("sm_80", "sm_86", "sm_90")  # of the tables
EVERYWHERE = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90")  # where it must hold

# What must hold: at least or at most how much, and how many digits say it.
TARGETS = {
    "compiler warnings": ("<=", 0, 0),
    "bytes spilled or in local memory": ("<=", 0, 0),
    "matmul: FFMA % of the inner loop on sm_80": (">=", 87, 1),
    "matmul: FFMA % of the inner loop on sm_90": (">=", 86, 1),
    "matmul: FFMA per LDS": (">=", 16, 1),
    "matmul: registers": ("<=", 128, 0),
    "matmul: blocks on a multiprocessor": (">=", 2, 0),
    "matmul: sector efficiency %": (">=", 100, 1),
    "matmul: sectors per warp-FFMA": ("<=", 0.08, 3),
    "matmul: shared wavefronts per warp-FFMA": ("<=", 0.28, 3),
    "matmul_tf32: HMMA % of the loop": (">=", 22, 1),
    "memory-bound: bytes / minimum": ("<=", 1.02, 3),
    "memory-bound: % of bytes 16 at a time": (">=", 90, 1),
    "memory-bound: bank conflicts": ("<=", 1.05, 2),
    "memory-bound: occupancy %": (">=", 50, 0),
    "attention: bytes / FlashAttention-2's": ("<=", 1.1, 3),
    "attention: bank conflicts": ("<=", 1.05, 2),
}
GATES_HEAD = ("what", "where it is worst", "counted", "target", "holds")


def convolution(stride: int, n: int, k: int) -> dict[str, Any]:
    """An image of n by n, with a filter of k by k that keeps it so, but for the stride."""
    sizes = {"size": n, "kernel": k, "padding": k // 2, "stride": stride}
    return {"batch": 1, "channels": 1, **{name: (number, number) for name, number in sizes.items()}}


WIDTHS = ((1, 28), *((stride, n) for stride in (1, 2) for n in (32, 56, 64, 72, 112, 128, 224)))
CONVOLUTIONS = [convolution(stride, n, k) for stride, n in WIDTHS for k in (3, 5)]
heads = lambda queries, keys, d, **more: {"batch": 1, "heads": 1, "queries": queries, "keys": keys, "d": d, **more}

# The shapes of which it must hold, by kernel.
SHAPES: dict[str, list[dict[str, Any]]] = {
    "adam": [{"sizes": (65536, 8192)}],
    "add_to_rows": [{"rows": 1024, "cols": 768}],
    "cross_entropy": [{"rows": 256, "cols": 1024}, {"rows": 128, "cols": 4096, "smoothing": 0.1}],
    "dropout": [{"n": 65536, "p": 0.2, "seed": 5, "offset": 0}],
    "embedding_backward": [{"tokens": 1024, "cols": 512, "rows": 3000}],
    "gelu": [{"n": 65536, "approximate": "none"}, {"n": 65536, "approximate": "tanh"}],
    "gelu_backward": [{"n": 65536, "approximate": "none"}, {"n": 65536, "approximate": "tanh"}],
    "im2col": CONVOLUTIONS,
    "col2im": CONVOLUTIONS,
    "layer_norm": [{"rows": 8192, "cols": 768}, {"rows": 8192, "cols": 512, "rms": True}],
    "layer_norm_backward": [{"rows": r, "cols": c} for r, c in ((16384, 256), (8192, 768))],
    "softmax": [{"rows": 64, "cols": 1024}, {"rows": 8, "cols": 16384}, {"rows": 64, "cols": 512, "log": True}],
    "softmax_backward": [{"rows": 64, "cols": 512}, {"rows": 16, "cols": 4096, "log": True}],
    "sum_rows": [{"rows": 4096, "cols": 768}, {"rows": 2048, "cols": 1536}],
    "attention": [heads(256, 256, 64), heads(192, 256, 64, causal=True), heads(128, 128, 128, causal=True)],
    "attention_backward": [heads(256, 256, 64), heads(128, 128, 64, causal=True), heads(96, 96, 128)],
}

MATMUL_HEAD = (
    "kernel", "measured GFLOP/s", "registers 80/86/90", "shared bytes", "occupancy % 80/86/90", "FFMA % of inner loop 80/86/90",
    "FFMA per LDS (86)", "sector efficiency", "sectors per warp-FFMA", "shared wavefronts per warp-FFMA",
)  # fmt: skip

# Siboehm's kernels (github.com/siboehm/SGEMM_CUDA): GFLOP/s from its README (RTX A6000, 4096^3; cuBLAS 23249.6 there), the
# rest counted by us in the same way, with an earlier simulator.
MATMUL_OTHERS = """
siboehm 1|309.0|32/36/32|0|100/67/100|12.1/12.1/12.5|no LDS|15%|33.125|0.000
siboehm 2|1986.5|32/40/32|0|100/67/100|21.6/21.6/21.9|no LDS|100%|5.016|0.000
siboehm 3|2980.3|32/36/32|8192|100/67/100|38.1/38.1/37.2|0.8|100%|0.266|2.062
siboehm 4|8474.7|46/48/39|4096|50/67/75|61.0/61.0/61.0|2.7|100%|0.141|1.156
siboehm 5|15971.7|123/128/96|8192|25/33/25|81.5/81.5/79.0|12.8|42%|0.188|0.766
siboehm 6|18237.3|103/102/92|8192|25/33/25|87.2/87.2/84.2|16.0|83%|0.094|0.648
siboehm 7|16213.4|96/126/92|8192|25/33/25|77.8/77.8/78.0|6.4|83%|0.094|0.281
siboehm 8|16459.2|103/107/92|8352|25/33/25|86.9/86.9/79.0|13.5|83%|0.094|0.672
siboehm 9|19721.0|102/100/92|16384|25/33/25|88.4/88.4/82.1|16.0|83%|0.094|0.664
siboehm 10|21779.3|167/168/168|16384|19/25/19|91.3/91.3/89.5|21.3|100%|0.078|0.289
siboehm 11|17278.3|169/170/172|49152|12/17/12|64.2/64.2/62.0|21.3|80%|0.078|0.336
""".strip().splitlines()

TENSOR_HEAD = (
    "kernel", "registers 80/86/90", "occupancy % 80/86/90", "HMMA % of loop 80/86/90", "sector efficiency", "bank conflicts",
)  # fmt: skip

OPTIONS = ("seed", "offset", "p", "decay", "decoupled", "approximate")  # of an example, which say nothing of its size
OTHER_HEAD = (
    "kernel", "step", "shape", "bytes / minimum", "sector efficiency", "16-byte share", "bank conflicts", "registers 80/86/90",
    "occupancy % 80/86/90",
)  # fmt: skip


def table(head: tuple[str, ...], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def resources(kernel: Any, sizes: Any, architectures: Iterable[str] = ARCHITECTURES) -> list[machine_code.Resources]:
    """What a kernel takes on each architecture, in the geometry of a launch."""
    text, threads = launcher.source(kernel.file), math.prod(sizes.block)
    return [machine_code.resources(text, kernel.name, a, threads, sizes.shared, (), kernel.file) for a in architectures]


def told(case: Any) -> str:
    """A shape in words."""
    return ", ".join(f"{key} {value}" for key, value in case.items() if key not in OPTIONS)


# -------------------------------------------------------------------------------------------------- what must hold


class Gate(NamedTuple):
    """One figure that must hold: which of TARGETS, of which kernel and shape, and what was counted."""

    what: str
    where: str
    counted: float

    @property
    def holds(self) -> bool:
        sign, target, _ = TARGETS[self.what]
        return self.counted <= target if sign == "<=" else self.counted >= target

    def row(self) -> list[str]:
        """In the columns of GATES_HEAD."""
        sign, target, digits = TARGETS[self.what]
        return [self.what, self.where, f"{self.counted:.{digits}f}", f"{sign} {target:g}", "yes" if self.holds else "**no**"]


def compiled() -> Iterator[Gate]:
    """Of all kernels of each source: what the compiler says."""
    for file, oldest in sorted({(ladder.file, ladder.step().arch) for ladder in ladders().values()}):
        for arch in EVERYWHERE[EVERYWHERE.index(oldest) :]:
            kernels = launcher.signatures(file)
            used = [machine_code.resources(launcher.source(file), name, arch, 256, 0, (), file) for name in kernels]
            where = f"{len(kernels)} kernels of {file} on {arch}"
            yield Gate("compiler warnings", where, sum(bool(r.warnings) for r in used))
            local = [r.spill_stores + r.spill_loads + r.stack + r.loop.get("local", 0) for r in used]
            yield Gate("bytes spilled or in local memory", where, sum(local))


def of_products() -> Iterator[Gate]:
    """Of matmul at 512 x 512 x 512, and of TF32, for every layout."""
    for layout in ("nn", "nt", "tn"):
        ladder = ladders()["matmul"]
        measured = report.measure(ladder, ladder.step(), ladder.example | {"layout": layout})
        record, cost = measured.records[0], measured.total
        assert record.kernel == matmul.V6[layout]
        issued = report.counts(record).opcode("fma.rn.f32").warps
        yield Gate("matmul: sector efficiency %", layout, 100 * cost.efficiency)
        yield Gate("matmul: sectors per warp-FFMA", layout, cost.sectors / issued)
        yield Gate("matmul: shared wavefronts per warp-FFMA", layout, cost.wavefronts / issued)
        for arch, used in zip(EVERYWHERE, resources(record.kernel, record.how, EVERYWHERE)):
            if arch in ("sm_80", "sm_90"):
                yield Gate(f"matmul: FFMA % of the inner loop on {arch}", layout, 100 * used.ffma_share)
            yield Gate("matmul: FFMA per LDS", f"{layout} on {arch}", used.ffma_per_lds)
            yield Gate("matmul: registers", f"{layout} on {arch}", used.registers)
            yield Gate("matmul: blocks on a multiprocessor", f"{layout} on {arch}", used.blocks)
        ladder = ladders()["matmul_tf32"]
        record = report.measure(ladder, ladder.step(), ladder.example | {"layout": layout}).records[0]
        for arch, used in zip(EVERYWHERE[1:], resources(record.kernel, record.how, EVERYWHERE[1:])):
            yield Gate("matmul_tf32: HMMA % of the loop", f"{layout} on {arch}", 100 * used.mma_share)


def of_memory(name: str, case: Any) -> Iterator[Gate]:
    """Of a kernel that waits for memory, or of attention, on a shape."""
    ladder = ladders()[name]
    measured = report.measure(ladder, ladder.step(), case)  # that the results are right is tested elsewhere
    where, cost, over = f"{name}: {told(case)}", measured.total, measured.over_minimum or math.inf
    if name.startswith("attention"):
        yield Gate("attention: bytes / FlashAttention-2's", where, over)
        yield Gate("attention: bank conflicts", where, cost.conflicts)
        return
    yield Gate("memory-bound: bytes / minimum", where, over)
    yield Gate("memory-bound: % of bytes 16 at a time", where, 100 * cost.wide_bytes / max(1, cost.global_bytes))
    yield Gate("memory-bound: bank conflicts", where, cost.conflicts)
    for record in measured.records:
        for arch, used in zip(EVERYWHERE, resources(record.kernel, record.how, EVERYWHERE)):
            yield Gate("memory-bound: occupancy %", f"{record.kernel.name} on {arch}", 100 * used.occupancy)


def gates() -> list[Gate]:
    """Everything that must hold, counted."""
    found = [*compiled(), *of_products()]
    for name, cases in SHAPES.items():
        for case in cases:
            found += of_memory(name, case)
    return list(dict.fromkeys(found))


def worst(found: list[Gate]) -> list[Gate]:
    """Of each of TARGETS the figure that is nearest to not holding, or furthest from it."""
    groups = [[gate for gate in found if gate.what == what] for what in TARGETS]
    pick = lambda what: max if TARGETS[what][0] == "<=" else min
    chosen = [pick(group[0].what)(group, key=lambda gate: gate.counted) for group in groups]
    same = [len({gate.counted for gate in group}) == 1 < len(group) for group in groups]
    return [g._replace(where=f"alike in all {len(group)}") if one else g for g, group, one in zip(chosen, groups, same)]


def slashed(values: list[Any]) -> str:
    return "/".join(str(value) for value in values)


def percent(values: list[float], digits: int = 0) -> str:
    return slashed([f"{100 * value:.{digits}f}" for value in values])


def on_cards(ladder: Ladder, step: Step) -> str:
    """Its GFLOP/s on the cards that gpu.py has measured, 4096 x 4096 x 4096."""
    found = []
    for path in sorted((README.parents[1] / "benchmarks" / "results" / "gpu").glob("*.json")):
        card = json.loads(path.read_text(encoding="utf-8"))
        for line in card.get("ladders", ()):
            if (line["kernel"], line["step"]) == (ladder.name, step.name):
                found.append(f"{1000 * line['teraflops']:.0f} ({card['card'].split()[1]})")
    return ", ".join(found) or "not measured"


def matmul_row(ladder: Ladder, step: Step) -> list[str]:
    """A step of the product in the columns of MATMUL_HEAD."""
    measured = report.measure(ladder, step, ladder.example)
    record, cost = measured.records[0], measured.total
    issued = report.counts(record).opcode("fma.rn.f32").warps
    used = resources(record.kernel, record.how)
    loads = used[1].ffma_per_lds
    return [
        f"{ladder.name} {step.name}", on_cards(ladder, step), slashed([r.registers for r in used]),
        str(used[0].shared + record.how.shared),
        percent([r.occupancy for r in used]), percent([r.ffma_share for r in used], 1),
        "no LDS" if math.isinf(loads) else f"{loads:.1f}", f"{cost.efficiency:.0%}", f"{cost.sectors / issued:.3f}",
        f"{cost.wavefronts / issued:.3f}",
    ]  # fmt: skip


def other_row(ladder: Ladder, step: Step) -> list[str]:
    """A step of anything else in the columns of OTHER_HEAD; the registers are those of its largest launch."""
    measured = report.measure(ladder, step, ladder.example)
    cost = measured.total
    record = max(measured.records, key=lambda r: report.counts(r).totals().warps)
    used = resources(record.kernel, record.how) if step.arch == "sm_75" else []
    over = measured.over_minimum
    return [
        ladder.name, step.name + (" (used)" if step.used else ""),
        told(ladder.example),
        f"{over:.3f}" if over else "", f"{cost.efficiency:.0%}", f"{cost.wide_bytes / max(1, cost.global_bytes):.0%}",
        f"{cost.conflicts:.2f}" if cost.wavefronts else "none", slashed([r.registers for r in used]),
        percent([r.occupancy for r in used]),
    ]  # fmt: skip


def tensor_row(ladder: Ladder) -> list[str]:
    """The TF32 product."""
    measured = report.measure(ladder, ladder.step(), ladder.example)
    used = resources(measured.records[0].kernel, measured.records[0].how)
    cost = measured.total
    return [
        ladder.name, slashed([r.registers for r in used]), percent([r.occupancy for r in used]),
        percent([r.mma_share for r in used], 1), f"{cost.efficiency:.0%}", f"{cost.conflicts:.2f}",
    ]  # fmt: skip


def text(found: list[Gate]) -> str:
    """The part of the README between its marks."""
    declared = ladders()
    product, tensor = declared.pop("matmul"), declared.pop("matmul_tf32")
    rows = [matmul_row(product, step) for step in product.steps] + [line.split("|") for line in MATMUL_OTHERS]
    others = [other_row(ladder, step) for ladder in declared.values() for step in ladder.steps]
    return "\n\n".join([
        "### What must hold", table(GATES_HEAD, [gate.row() for gate in worst(found)]),
        "### The product, float32, 512 x 512 x 512", table(MATMUL_HEAD, rows),
        "### The product, TF32 on tensor cores", table(TENSOR_HEAD, [tensor_row(tensor)]),
        "### Everything else", table(OTHER_HEAD, others),
    ])  # fmt: skip


def main(arguments: list[str]) -> int:
    """Print what must hold; write the tables, or with --check say whether they are what they should be."""
    found = gates()
    print(*report.table([gate.row() for gate in found], GATES_HEAD, left=[0, 1, 4]), sep="\n")
    broken = sum(not gate.holds for gate in found)
    print(f"{len(found) - broken} of {len(found)} hold")
    old = README.read_text(encoding="utf-8")
    before, rest = old.split(BEGIN)
    new = f"{before}{BEGIN}\n\n{text(found)}\n\n{END}{rest.split(END)[1]}"
    if "--check" in arguments:
        return int(new != old or broken > 0)
    README.write_text(new, encoding="utf-8")
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
