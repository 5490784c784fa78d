"""Writes the tables of kernels/README.md: what each step of each CUDA kernel costs, counted on a machine without a GPU.

    python benchmarks/kernels.py [--check]

Needs NVRTC (pip install 'minigrad[sim]') and a C++ compiler. The rows of others are quoted, with where they come from.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

from minigrad.kernels.cuda import launcher
from minigrad.kernels.ladder import Ladder, Step, ladders
from minigrad.kernels.simulator import machine_code, report

README = Path(__file__).parents[1] / "kernels" / "README.md"
ARCHITECTURES = ("sm_80", "sm_86", "sm_90")

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


def resources(kernel: Any, sizes: Any) -> list[machine_code.Resources]:
    """What a kernel takes on each architecture, in the geometry of a launch."""
    threads = math.prod(sizes.block)
    text = launcher.source(kernel.file)
    return [machine_code.resources(text, kernel.name, a, threads, sizes.shared, (), kernel.file) for a in ARCHITECTURES]


def slashed(values: list[Any]) -> str:
    return "/".join(str(value) for value in values)


def percent(values: list[float], digits: int = 0) -> str:
    return slashed([f"{100 * value:.{digits}f}" for value in values])


def matmul_row(ladder: Ladder, step: Step) -> list[str]:
    """A step of the product in the columns of MATMUL_HEAD."""
    measured = report.measure(ladder, step, ladder.example)
    record, cost = measured.records[0], measured.total
    issued = report.counts(record).opcode("fma.rn.f32").warps
    used = resources(record.kernel, record.how)
    loads = used[1].ffma_per_lds
    return [
        f"{ladder.name} {step.name}", "not measured", slashed([r.registers for r in used]),
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
        ", ".join(f"{key} {value}" for key, value in ladder.example.items() if key not in OPTIONS),
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


def text() -> str:
    """The part of the README between its marks."""
    declared = ladders()
    product, tensor = declared.pop("matmul"), declared.pop("matmul_tf32")
    rows = [matmul_row(product, step) for step in product.steps] + [line.split("|") for line in MATMUL_OTHERS]
    others = [other_row(ladder, step) for ladder in declared.values() for step in ladder.steps]
    return "\n\n".join([
        "### The product, float32, 512 x 512 x 512", table(MATMUL_HEAD, rows),
        "### The product, TF32 on tensor cores", table(TENSOR_HEAD, [tensor_row(tensor)]),
        "### Everything else", table(OTHER_HEAD, others),
    ])  # fmt: skip


def main(arguments: list[str]) -> int:
    """Write the tables, or with --check say whether they are what they should be."""
    begin, end = "<!-- counted: begin -->", "<!-- counted: end -->"
    old = README.read_text(encoding="utf-8")
    before, rest = old.split(begin)
    new = f"{before}{begin}\n\n{text()}\n\n{end}{rest.split(end)[1]}"
    if "--check" in arguments:
        return int(new != old)
    README.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
