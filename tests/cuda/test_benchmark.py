"""benchmarks/gpu.py runs, and labels what it writes; here on the stand-in, whose milliseconds mean nothing."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

import minigrad as mg

from .test_kernels import kernels, modules

__all__ = ["kernels", "modules"]  # fixtures


@pytest.fixture(scope="module")
def gpu():
    spec = importlib.util.spec_from_file_location("gpu", Path(__file__).parents[2] / "benchmarks" / "gpu.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_a_card_it_says_so(gpu, capsys) -> None:
    if mg.cuda.is_available():
        pytest.skip("there is one")
    assert gpu.main([]) == 1
    assert "nothing to measure: device 'cuda'" in capsys.readouterr().err


def test_it_measures_and_labels(gpu, kernels, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(gpu, "milliseconds", lambda call, *args, **kwargs: (call(), 0.5)[1])
    assert gpu.main(["--quick", "--out", str(tmp_path / "row.json")]) == 0
    found = json.loads((tmp_path / "row.json").read_text())
    assert found["card"] == "Stand-in" and found["capability"] == "sm_90" and found["label"] == "measured" and found["torch"] is None
    assert [line["operation"] for line in found["rows"]] == [
        "matmul", "matmul", "layer_norm", "softmax", "gelu", "cross_entropy", "attention", "attention with backward", "step of a GPT",
    ]
    first = found["rows"][0]
    assert first["milliseconds"] == {"ours": 0.5, "cublas": 0.5, "torch": None} and first["teraflops"] == round(2 * 64**3 / 0.5 / 1e9, 3)
    assert mg.cuda.preferred_blas_library() == "cublas" and {"softmax_v4", "attention_v2_d64"} <= set(kernels)


def test_the_time_of_a_call(gpu, cupy) -> None:
    x = mg.ones(3, device="cuda")
    assert gpu.milliseconds(lambda: (x + 1) * 2, repeats=4) == 2.0  # the stand-in counts a millisecond for an operation
