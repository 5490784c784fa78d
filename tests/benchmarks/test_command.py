"""`minigrad bench`: what it is told, what it says, and one small run from end to end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from minigrad.bench import command, machine
from minigrad.bench.operations import OPERATIONS
from minigrad.bench.process import Worker, WorkerError
from minigrad.bench.workloads import WORKLOADS
from minigrad.cli import main


def test_a_small_run_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """XOR and one operation in both libraries: agreeing losses, times, memory, and a file that says all of it."""
    path = tmp_path / "results.json"
    few = ["--launches", "1", "--rounds", "1", "--seconds", "0.02", "--threads", "1"]
    assert main(["bench", "xor", "relu 768x128", "--against", "torch", *few, "--save", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "XOR, 2-8-1 MLP" in printed and "relu 768x128" in printed and str(path) in printed
    results = json.loads(path.read_text())
    assert set(results) == {
        "schema", "date", "machine", "settings", "missing", "idle", "training", "operations", "peaks", "peers"
    }  # fmt: skip
    assert results["settings"] == {
        "threads": 1, "launches": 1, "rounds": 1, "seconds": 0.02, "numba": True, "mkl": True
    }  # fmt: skip
    assert {"cpu", "cores", "caches", "memory_gb", "python", "versions"} <= set(results["machine"])
    (row,) = results["training"]
    assert row["void"] is None and row["failed"] == {}
    ours, theirs = (row["contenders"][name] for name in ("minigrad", "torch"))
    assert ours["losses"] == pytest.approx(theirs["losses"], rel=1e-4) and len(set(ours["losses"])) == 5
    for known in (ours, theirs):
        assert len(known["ms"]) == 1 and known["ms"][0] > 0 and known["steps"] >= 4
        assert known["peak_mb"] > known["imported_mb"] > 0 and known["first_s"][0] > 0
    (operation,) = results["operations"]
    n = 4 * 768 * 128
    assert operation["void"] is None and operation["bytes"] == [2 * n, 5 * n] and operation["flops"] == [n / 4, 3 * n / 4]
    assert results["peaks"]["gemm_gflops"] > 0


def test_no_trace_of_the_other_library_is_in_a_process():
    with Worker("torch", 1) as worker:
        worker.train("xor")
        modules = worker.ask("end")["modules"]
    assert "torch" in modules and "minigrad" not in modules
    with Worker("minigrad", 1, numba=False) as worker:
        worker.train("xor")
        modules = worker.ask("end")["modules"]
    assert "minigrad" in modules and "torch" not in modules and "llvmlite" not in modules


def test_mkl_can_be_hidden(tmp_path: Path):
    code = (
        "import ctypes, sys; sys.path.insert(0, sys.argv[1]); import worker; worker.forbid(True, False)\n"
        "ctypes.CDLL(None)\n"
        "try: ctypes.CDLL('/nowhere/libmkl_rt.so.2')\n"
        "except OSError as error: print(error)"
    )
    where = str(Path(command.__file__).parent)
    run = subprocess.run([sys.executable, "-c", code, where], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert run.stdout.strip() == "/nowhere/libmkl_rt.so.2: switched off for this benchmark"


def test_a_worker_says_what_went_wrong():
    with Worker("minigrad", 1) as worker:
        with pytest.raises(WorkerError, match="minigrad: KeyError: 'nonsense'"):
            worker.train("nonsense")
        worker.process.kill()
        with pytest.raises(WorkerError, match=r"the process ended \(-9\)"):
            worker.train("xor")


def test_the_list_names_everything(capsys: pytest.CaptureFixture[str]):
    assert main(["bench", "--list"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in [*WORKLOADS, "training", "operations", "peers", "layer_norm 768x128"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "there is no 'nonsense' to measure; `minigrad bench --list` says what there is"),
        (["xor", "--against", "tensorflow"], "'tensorflow' is no opponent"),
        (["xor", "--against", "torch worst"], "'torch worst' is no opponent"),
        (["xor", "--save", "/nowhere/at/all.json"], "/nowhere/at is no folder"),
        (["xor", "--threads", "99999"], "99999 threads on"),
    ],
)
def test_wrong_usage_is_said_in_a_sentence(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]):
    assert main(["bench", *arguments]) == 1
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["--seconds", "-1"], ["--seconds", "nan"], ["--threads", "two"]])
def test_numbers_are_checked(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["bench", "xor", *arguments])
    assert "must be" in capsys.readouterr().err


def test_opponents_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "installed", lambda library: library == "torch")
    there, missing = command.available(["torch", "torch best", "jax", ""])
    assert there == ["torch", "torch best"] and missing == {"jax": "not installed: pip install jax"}


def test_tinygrad_needs_a_compiler(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "installed", lambda library: True)
    monkeypatch.setattr(command, "compiler", lambda: None)
    assert command.available(["tinygrad"])[1] == {"tinygrad": "installed, but it compiles with clang, and there is none"}


@pytest.mark.parametrize(
    ("names", "counts"), [([], (len(WORKLOADS), len(OPERATIONS), 4)), (["training"], (12, 0, 0)), (["xor", "matmul"], (1, 4, 0)), (["peers"], (0, 0, 4))]
)
def test_names_stand_for_what_they_say(names: list[str], counts: tuple[int, ...]):
    assert tuple(map(len, command.chosen(names))) == counts


def test_results_are_written_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "results.json"
    path.write_text("old")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        command.save({"ms": [0.123456789]}, path)
    assert path.read_text() == "old"
