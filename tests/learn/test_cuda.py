"""Kernels in a lesson: run and watched where the tools are, answered from the recording where they are not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from minigrad.kernels.simulator import CompileError, MissingTool

from minigrad.learn import cuda, lesson

ROOT = Path(__file__).parents[2]
SCALE = """
extern "C" __global__ void scale(const float* x, float* y, float by, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = by * x[i];
}
"""
needs_tools = pytest.mark.skipif(cuda.tools() is not None, reason=str(cuda.tools()))


@needs_tools
def test_arrays_are_written_in_place_and_accesses_counted():
    x, y = np.linspace(-1, 2, 75, dtype=np.float32), np.zeros(75, np.float32)
    outcome = cuda.run(SCALE, 3, 32, x, y, 1.5, 75)
    assert np.array_equal(y, x * np.float32(1.5))
    assert str(outcome) == "no findings" and outcome.kinds == []
    assert (outcome.sectors, outcome.needed, outcome.reads) == (2 * 10, 2 * 10, 75)  # 75 numbers fill 10 sectors of 8


@needs_tools
def test_a_mistake_is_told_with_its_line():
    x, y = np.zeros(75, np.float32), np.zeros(75, np.float32)
    outcome = cuda.run(SCALE.replace("if (i < n)", ""), 3, 32, x, y, 1.5, 75)
    assert outcome.kinds == ["out of bounds"] and "line 4" in str(outcome)


@needs_tools
def test_a_wrong_source_is_told_by_the_compiler():
    with pytest.raises(CompileError, match="line 4|undefined"):
        cuda.run(SCALE.replace("by * x[i]", "by * z[i]"), 3, 32, np.zeros(9, np.float32), np.zeros(9, np.float32), 1.5, 9)


def test_without_tools_the_lesson_shows_what_was_recorded():
    """Every launch of the lesson is in the recording, and gives what a real launch prints."""
    printed = {}
    for switch in ("recorded", "" if cuda.tools() is None else "recorded"):
        environment = {**os.environ, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1", cuda.SWITCH: switch}
        command = [sys.executable, "-m", "tests.tutorials.view", "student", str(cuda.LESSON)]
        run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        found = json.loads(run.stdout.splitlines()[-1])
        again = "make the recording anew: python -m minigrad.learn.cuda"
        assert found["errors"] == [], again
        printed[switch] = found["printed"]
    assert len(set(printed.values())) == 1


def test_a_launch_that_was_not_recorded_says_what_is_missing(monkeypatch):
    monkeypatch.setenv(cuda.SWITCH, "recorded")
    with pytest.raises(MissingTool, match="not recorded"):
        cuda.run(SCALE, 1, 32, np.ones(9, np.float32), np.ones(9, np.float32), 0.37, 9)


def test_the_recording_lies_beside_its_lesson():
    here = lesson.find(str(cuda.LESSON)).path
    assert here.with_suffix(".json").is_file()
