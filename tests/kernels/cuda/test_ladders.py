"""Every step of every ladder of CUDA kernels: right on all declared shapes, in three orders of threads, without a finding."""

from __future__ import annotations

import pytest
from minigrad.kernels.ladder import Ladder, Step, ladders
from minigrad.kernels.simulator import check, nvrtc

from tests.simulator.harness import tools

STEPS = [pytest.param(ladder, step, id=f"{name}-{step.name}") for name, ladder in ladders().items() for step in ladder.steps]


@pytest.mark.parametrize(("ladder", "step"), STEPS)
def test_step(ladder: Ladder, step: Step) -> None:
    tools()
    report = check.check(ladder, step)
    assert report.cases and not report.problems, "\n".join(report.problems[:5])


@pytest.mark.skipif(not nvrtc.available(), reason="needs NVRTC: pip install 'minigrad[sim]'")
def test_what_newer_cards_do_otherwise() -> None:
    """sm_90 has an instruction that rounds to TF32."""
    tools()
    ladder = ladders()["matmul_tf32"]
    report = check.check(ladder, ladder.step(), ("random",), arch="sm_90")
    assert report.cases and not report.problems, "\n".join(report.problems[:5])


def test_every_ladder_names_the_step_that_is_used() -> None:
    assert all(sum(step.used for step in ladder.steps) == 1 and ladder.steps[-1].used for ladder in ladders().values())


def test_every_source_has_a_ladder() -> None:
    from minigrad.kernels.cuda import launcher

    sources = {path.name for path in launcher.FOLDER.glob("*.cu")}
    assert sources == {ladder.file for ladder in ladders().values()}
