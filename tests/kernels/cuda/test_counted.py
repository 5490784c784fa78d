"""What the steps meant for use cost, counted in the simulator: traffic, 128-bit accesses, bank conflicts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from minigrad.kernels.ladder import ladders
from minigrad.kernels.simulator import check, report
from minigrad.kernels.simulator.counts import Cost

from tests.simulator.harness import tools

from .benchmark import script

LADDERS = ladders()


def run(name: str, case: dict[str, Any], step: str | None = None) -> tuple[Cost, int]:
    """What a step costs on a case, and how many multiply-adds its warps issued; the results are tested elsewhere."""
    tools()
    ladder, runner = LADDERS[name], check.Runner()
    inputs = ladder.inputs(np.random.default_rng(0), **case)
    groups = [value if isinstance(value, list) else [value] for value in inputs.values()]
    runner.memory = [array for group in groups for array in group if isinstance(array, np.ndarray)]
    ladder.step(step).run(runner, case, **inputs)
    assert not runner.findings
    counts = [report.counts(record) for record in runner.records]
    return sum((c.totals() for c in counts), Cost()), sum(c.opcode("fma.rn.f32").warps for c in counts)


WAITING = [(name, case) for name, cases in script.SHAPES.items() if not name.startswith("attention") for case in cases]
TILED = [(name, case) for name, cases in script.SHAPES.items() if name.startswith("attention") for case in cases]


@pytest.mark.parametrize(("name", "case"), WAITING)
def test_kernels_that_wait_for_memory_move_no_byte_twice(name: str, case: dict[str, Any]) -> None:
    cost, _ = run(name, case)
    minimum = LADDERS[name].minimum_bytes
    assert minimum is not None
    assert cost.traffic <= 1.02 * minimum(**case)
    assert cost.wide_bytes >= 0.9 * cost.global_bytes  # 16 bytes at a time
    assert cost.wavefronts <= 1.05 * cost.ideal_wavefronts


@pytest.mark.parametrize("name", ["im2col", "col2im"])
def test_im2col_moves_no_byte_twice(name: str) -> None:
    """Where the output's rows are no multiples of four, these go number by number; a warp that goes on in the next row of the
    image meets some banks twice."""
    case = {"batch": 1, "channels": 2, "size": (28, 28)}
    cost, _ = run(name, case)
    minimum = LADDERS[name].minimum_bytes
    assert minimum is not None
    assert cost.traffic <= 1.2 * minimum(**case) and cost.wavefronts <= 2 * cost.ideal_wavefronts


def test_col2im_of_a_padded_image() -> None:
    """Only its rows are no multiples of four: they are stored 8 bytes at a time, in sectors that are met twice."""
    case = {"batch": 1, "channels": 4, "size": (34, 34)}
    cost, _ = run("col2im", case)
    minimum = LADDERS["col2im"].minimum_bytes
    assert minimum is not None
    assert cost.traffic <= 1.15 * minimum(**case) and cost.wide_bytes >= 0.85 * cost.global_bytes


@pytest.mark.parametrize(("name", "case"), TILED)
def test_attention_moves_what_its_tiles_need(name: str, case: dict[str, Any]) -> None:
    cost, _ = run(name, case)
    minimum = LADDERS[name].minimum_bytes
    assert minimum is not None
    assert cost.traffic <= 1.1 * minimum(**case)
    assert cost.wavefronts <= 1.05 * cost.ideal_wavefronts


@pytest.mark.parametrize("layout", ["nn", "nt", "tn"])
def test_matmul(layout: str) -> None:
    cost, multiplications = run("matmul", {"M": 512, "N": 512, "K": 512, "layout": layout, "force": ("large", 1)})
    assert multiplications == 512**3 / 32
    assert cost.efficiency == 1 and cost.conflicts == 1
    assert cost.sectors / multiplications <= 0.08 and cost.wavefronts / multiplications <= 0.28


@pytest.mark.parametrize("layout", ["nn", "nt", "tn"])
def test_tensor_cores_are_fed_without_conflicts(layout: str) -> None:
    cost, _ = run("matmul_tf32", {"M": 256, "N": 128, "K": 64, "layout": layout})
    assert cost.efficiency == 1 and cost.conflicts == 1


@pytest.mark.parametrize(("name", "step", "worse"), [
    ("softmax", "v1", 4), ("softmax", "v2", 1.9), ("softmax", "v3", 1.45), ("layer_norm", "v1", 4), ("matmul", "v1", 4),
])  # fmt: skip
def test_the_first_steps_are_as_bad_as_they_say(name: str, step: str, worse: float) -> None:
    """If this fails, the numbers above prove nothing."""
    case = {"M": 128, "N": 128, "K": 128} if name == "matmul" else {"rows": 128, "cols": 768}
    assert run(name, case, step)[0].sectors >= worse * run(name, case | ({"force": ("large", 1)} if name == "matmul" else {}))[0].sectors
