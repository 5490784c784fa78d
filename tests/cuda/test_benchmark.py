"""benchmarks/gpu.py runs, and labels what it writes; here on the stand-in, whose milliseconds mean nothing."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from minigrad.kernels.ladder import ladders

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
    monkeypatch.setattr(gpu, "opponent", lambda: None)  # PyTorch would want a card
    assert gpu.main(["--quick", "--out", str(tmp_path / "row.json")]) == 0
    found = json.loads((tmp_path / "row.json").read_text())
    assert found["card"] == "Stand-in" and found["capability"] == "sm_90" and found["label"] == "measured" and found["torch"] is None
    assert [line["operation"] for line in found["rows"]] == [
        "matmul", "matmul", "layer_norm", "softmax", "gelu", "cross_entropy", "attention", "attention with backward", "step of a GPT",
        "step of a GPT, mixed precision",
    ]
    assert {(line["kernel"], line["step"]) for line in found["ladders"]} == {(name, s.name) for name, ladder in ladders().items() for s in ladder.steps}
    assert found["ladders"][0]["gigabytes_per_second"] > 0
    first = found["rows"][0]
    assert first["milliseconds"] == {"ours": 0.5, "cublas": 0.5, "torch": None} and first["teraflops"] == round(2 * 64**3 / 0.5 / 1e9, 3)
    assert mg.cuda.preferred_blas_library() == "cublas" and {"softmax_v4", "attention_v2_d64"} <= set(kernels)


def test_the_time_of_a_call(gpu, cupy) -> None:
    x = mg.ones(3, device="cuda")
    assert gpu.milliseconds(lambda: (x + 1) * 2, repeats=4) == 2.0  # the stand-in counts a millisecond for an operation


def test_every_ladder_has_a_shape_for_a_card(gpu) -> None:
    assert gpu.SHAPES.keys() == ladders().keys()
    for name, ladder in ladders().items():
        assert any(step.supports(gpu.SHAPES[name]) for step in ladder.steps if step.used)
        assert ladder.flops or ladder.minimum_bytes(**gpu.SHAPES[name]) > 1e8, "less would measure the host"


ROW = {
    "card": "Card 9", "capability": "sm_90", "multiprocessors": 3, "driver": 1, "cuda": 2, "cupy": "14", "torch": None,
    "minigrad": "0", "when": "2026-01-01",
    "rows": [
        {"operation": "matmul", "shape": [2, 3], "milliseconds": {"ours": 2.0, "cublas": 1.0, "torch": 4.0}, "teraflops": 1.5},
        {"operation": "step", "shape": {"layers": 2}, "milliseconds": {"ours": 2.0, "formula": 3.0, "torch": None}},
    ],
    "ladders": [
        {"kernel": "adam", "step": "v1", "used": False, "shape": {"sizes": [7, 7]}, "milliseconds": 4.0, "gigabytes_per_second": 10.0},
        {"kernel": "adam", "step": "v2", "used": True, "shape": {"sizes": [7, 7]}, "milliseconds": 0.5, "gigabytes_per_second": 80.0},
    ],
}  # fmt: skip


def test_the_report(gpu, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(gpu, "RESULTS", tmp_path)
    monkeypatch.setattr(gpu, "REPORT", tmp_path / "README.md")
    (tmp_path / "card-9.json").write_text(json.dumps(ROW))
    assert gpu.main(["--report"]) == 0
    text = (tmp_path / "README.md").read_text()
    assert "| matmul | 2 x 3 | 2.00 | - | 1.00 | 4.00 | 0.50 | 1.5 TFLOP/s |" in text
    assert "| step | layers 2 | 2.00 | 3.00 | - | - | - |  |" in text
    assert "| adam | v2 (used) | sizes 2 x 7 | 0.500 | 80 GB/s | 8 |" in text


def test_the_report_is_that_of_the_files(gpu, tmp_path, monkeypatch) -> None:
    written = gpu.REPORT.read_text(encoding="utf-8")
    monkeypatch.setattr(gpu, "REPORT", tmp_path / "README.md")
    gpu.write_report()
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == written, "python benchmarks/gpu.py --report"
