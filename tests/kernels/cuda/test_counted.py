"""What the steps meant for use cost, counted in the simulator: traffic, 128-bit accesses, bank conflicts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from minigrad.kernels.ladder import ladders
from minigrad.kernels.simulator import check, report
from minigrad.kernels.simulator.counts import Cost

from tests.simulator.harness import tools

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


@pytest.mark.parametrize(("name", "case"), [
    ("softmax", {"rows": 64, "cols": 1024}),
    ("softmax", {"rows": 8, "cols": 16384}),
    ("softmax", {"rows": 64, "cols": 512, "log": True}),
    ("softmax_backward", {"rows": 64, "cols": 512}),
    ("softmax_backward", {"rows": 16, "cols": 4096, "log": True}),
    ("layer_norm", {"rows": 8192, "cols": 768}),
    ("layer_norm", {"rows": 8192, "cols": 512, "rms": True}),
    ("layer_norm_backward", {"rows": 16384, "cols": 256}),
    ("layer_norm_backward", {"rows": 8192, "cols": 768}),
    ("layer_norm_backward", {"rows": 8192, "cols": 1280, "rms": True}),
    ("cross_entropy", {"rows": 256, "cols": 1024}),
    ("cross_entropy", {"rows": 128, "cols": 4096, "smoothing": 0.1}),
    ("gelu", {"n": 65536, "approximate": "none"}),
    ("gelu_backward", {"n": 65536, "approximate": "tanh"}),
    ("dropout", {"n": 65536, "p": 0.2, "seed": 5, "offset": 0}),
    ("adam", {"sizes": (65536, 8192)}),
    ("embedding_backward", {"tokens": 1024, "cols": 512, "rows": 3000}),
    ("im2col", {"batch": 1, "channels": 4, "size": (32, 32), "padding": (1, 1)}),
    ("im2col", {"batch": 1, "channels": 2, "size": (28, 28), "padding": (1, 1)}),
    ("im2col", {"batch": 1, "channels": 2, "size": (56, 56), "padding": (2, 2), "kernel": (5, 5)}),
    ("col2im", {"batch": 1, "channels": 4, "size": (32, 32), "padding": (1, 1)}),
    ("col2im", {"batch": 1, "channels": 2, "size": (28, 28), "padding": (1, 1)}),
    ("col2im", {"batch": 1, "channels": 2, "size": (56, 56), "padding": (2, 2), "kernel": (5, 5)}),
    ("col2im", {"batch": 1, "channels": 2, "size": (36, 36), "kernel": (5, 5)}),
])  # fmt: skip
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


@pytest.mark.parametrize(("name", "case"), [
    ("attention", {"queries": 256, "keys": 256, "d": 64}),
    ("attention", {"queries": 192, "keys": 256, "d": 64, "causal": True}),
    ("attention", {"queries": 128, "keys": 128, "d": 128, "causal": True}),
    ("attention_backward", {"queries": 256, "keys": 256, "d": 64}),
    ("attention_backward", {"queries": 128, "keys": 128, "d": 64, "causal": True}),
    ("attention_backward", {"queries": 96, "keys": 96, "d": 128}),
])  # fmt: skip
def test_attention_moves_what_its_tiles_need(name: str, case: dict[str, Any]) -> None:
    cost, _ = run(name, {"batch": 1, "heads": 1, **case})
    minimum = LADDERS[name].minimum_bytes
    assert minimum is not None
    assert cost.traffic <= 1.1 * minimum(batch=1, heads=1, **case)
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
