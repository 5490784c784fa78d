"""benchmarks/counters.py: what ncu prints is read, launches get their counters, and the tables say how near both are.

The card and ncu are made up; the simulator is real.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from minigrad.kernels import simulator
from minigrad.kernels.cuda import launcher
from minigrad.kernels.ladder import ladders

from minigrad import backend

from ..cuda.test_kernels import kernels, modules

__all__ = ["kernels", "modules"]  # fixtures

LOADS, STORES = (f"l1tex__t_sectors_pipe_lsu_mem_global_op_{op}.sum" for op in ("ld", "st"))
WAVEFRONTS, LINES = "l1tex__data_pipe_lsu_wavefronts_mem_shared_op_ld.sum", "lts__t_sectors_srcunit_tex.sum"

# As ncu prints it with --csv --page raw --print-units base, with what else comes between.
PAGE = f"""\
==PROF== Connected to process 4711 (/usr/bin/python3.12)
==PROF== Profiling "gelu_v2": 0%....50%....100% - 12 passes
a warning of "somebody", else
"ID","Process ID","Process Name","Host Name","Kernel Name","Context","Stream","Block Size","Grid Size","Device","CC","{LINES}","{LOADS}","{STORES}","{WAVEFRONTS}"
"","","","","","","","","","","","byte","sector","sector",""
"0","4711","python3.12","127.0.0.1","gelu_v2","1","7","(256, 1, 1)","(4, 1, 1)","0","9.0","1,310,720","512","n/a","0"
==WARNING== something, between
7,"somebody, again"
"1","4711","python3.12","127.0.0.1","adam_v1(float*, int)","1","7","(256, 1, 1)","(4, 1, 1)","0","9.0","12.5","1,024","2,048","(!) nan"
"""


@pytest.fixture(scope="module")
def counters() -> Any:
    spec = importlib.util.spec_from_file_location("counters", Path(__file__).parents[2] / "benchmarks" / "counters.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def launch(ladder: str, step: str, case: dict, kernel: str, grid: list, block: list, shared: int = 0, **metrics: Any) -> dict:
    about = {"ladder": ladder, "step": step, "case": case, "kernel": kernel, "grid": grid, "block": block, "shared": shared}
    return {**about, "metrics": metrics.get("metrics", {})}


def result(counters: Any, *launches: dict, **more: Any) -> dict:
    """What the half on the card writes."""
    words = {"card": "Test Card", "capability": "sm_90", "ncu": "2025.3.1.0", "nvrtc": "12.9", "when": "2026-01-02"}
    return {**words, "sources": counters.sources(), "failed": {}, "launches": list(launches), **more}


def gelu(**more: Any) -> dict:
    return {**launch("gelu", "v2", {"n": 4096, "approximate": "none"}, "gelu_v2", [4], [256]), **more}


# ------------------------------------------------------------------------------------------------ on the card


def test_the_page_of_ncu(counters) -> None:
    first, second = counters.parse(PAGE)
    assert first["Kernel Name"] == "gelu_v2" and second["Kernel Name"] == "adam_v1(float*, int)"
    assert [counters.value(first[name]) for name in (LINES, LOADS, STORES, WAVEFRONTS)] == [1310720, 512, None, 0]
    assert [counters.value(second[name]) for name in (LINES, LOADS, STORES, WAVEFRONTS)] == [12.5, 1024, 2048, None]
    assert isinstance(counters.value("1,024"), int) and counters.value(None) is counters.value("nan") is None
    assert counters.parse("==ERROR== An error occurred\n") == counters.parse("") == []


def test_launches_get_their_counters_in_order(counters) -> None:
    ours = [gelu(), launch("adam", "v1", {}, "adam_v1", [4], [256])]
    first, second = counters.join(ours, counters.parse(PAGE))
    assert first["ladder"] == "gelu" and first["metrics"][LOADS] == 512 and second["metrics"][LOADS] == 1024
    assert first["metrics"][STORES] is None and first["metrics"]["launch__registers_per_thread"] is None
    assert set(first["metrics"]) == set(counters.METRICS)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["adam_v1", "gelu_v2"], "2 launches of ours, 2 seen by ncu; from number 0 on, ours are adam_v1, gelu_v2, and ncu's gelu_v2"),
        (["gelu_v2"], "1 launches of ours, 2 seen by ncu; from number 1 on, ours are nothing, and ncu's adam_v1"),
        (["gelu_v2", "adam_v1", "gelu_v2"], "from number 2 on, ours are gelu_v2, and ncu's nothing"),
    ],
)
def test_other_launches_than_ours(counters, names, message) -> None:
    with pytest.raises(ValueError, match=message):
        counters.join([{"kernel": name} for name in names], counters.parse(PAGE))


NCU = """#!{python}
import json, os, sys
if "--version" in sys.argv:
    sys.exit(print("NVIDIA Nsight Compute CLI\\nVersion 2025.3.1.0 (build 36398880)"))
with open({log!r}, "a") as log:
    print(json.dumps(sys.argv[1:]), file=log)
given = dict(zip(sys.argv, sys.argv[1:]))
metrics = given["--metrics"].split(",")
{trouble}
with open(given["--run"], "w") as file:
    file.write({launched!r})
print("==PROF== Connected")
print(*(f'"{{c}}"' for c in ("ID", "Kernel Name", *metrics)), sep=",")
print(*('""' for c in ("ID", "Kernel Name", *metrics)), sep=",")
thousand = "1,000" if os.environ.get("LC_ALL") == "C" else "1.000"
print(*(f'"{{c}}"' for c in ("0", "gelu_v2", *(thousand for m in metrics))), sep=",")
"""


@pytest.fixture
def ncu(counters, tmp_path, monkeypatch):
    """Makes a command that does as ncu does: writes what was launched, prints a page; `trouble` is what it does before."""
    monkeypatch.setattr(backend, "cuda_problem", lambda: None)

    def make(trouble: str = "", launched: str | None = None) -> tuple[Path, Path]:
        path, log = tmp_path / "ncu", tmp_path / "log"
        launched = json.dumps(result(counters, gelu())) if launched is None else launched
        path.write_text(NCU.format(python=sys.executable, log=str(log), launched=launched, trouble=trouble))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path, log

    return make


def test_a_run_under_ncu(counters, ncu, tmp_path) -> None:
    path, log = ncu()
    assert counters.main(["--ncu", str(path), "--out", str(tmp_path / "x" / "row.json")]) == 0
    found = json.loads((tmp_path / "x" / "row.json").read_text())
    assert found["card"] == "Test Card" and found["ncu"] == "2025.3.1.0"
    assert found["launches"] == [gelu(metrics=dict.fromkeys(counters.METRICS, 1000))]
    words = json.loads(log.read_text())
    for option, expected in {"--clock-control": "none", "--cache-control": "all", "--page": "raw", "--print-units": "base"}.items():
        assert words[words.index(option) + 1] == expected
    assert "--csv" in words and "--all" not in words and words[words.index(sys.executable) + 1].endswith("counters.py")
    pattern = words[words.index("--kernel-name") + 1]
    assert pattern.startswith("regex:^(") and {"gelu_v2", "norm_sum_partials"} <= set(pattern[8:-2].split("|"))


def test_a_counter_that_ncu_does_not_know(counters, ncu, tmp_path, capsys) -> None:
    """It is left out, and no other."""
    unknown = WAVEFRONTS
    path, log = ncu(f'if {unknown!r} in metrics: sys.exit("==ERROR== Failed to find metric {unknown}")')
    assert counters.main(["--ncu", str(path), "--out", str(tmp_path / "row.json")]) == 0
    metrics = json.loads((tmp_path / "row.json").read_text())["launches"][0]["metrics"]
    assert metrics[unknown] is None and metrics[LOADS] == 1000 and len(log.read_text().splitlines()) == 2
    assert f"ncu does not know {unknown}; again without" in (out := capsys.readouterr().out)
    assert f"1 launches, without {unknown}\n" in out


@pytest.mark.parametrize(
    ("trouble", "launched", "message"),
    [
        ('sys.exit("==ERROR== ERR_NVGPUCTRPERM")', None, "counted nothing (exit status 1); it says\n==ERROR== ERR_NVGPUCTRPERM"),
        ("print(*metrics); sys.exit(3)", None, "counted nothing (exit status 3); it says"),
        ('print("==WARNING== beware")', '{"launches": [{"kernel": "adam_v1"}]}', "are adam_v1, and ncu's gelu_v2; ncu says\n==WARNING== beware\n"),
    ],
)  # fmt: skip
def test_ncu_fails(counters, ncu, tmp_path, capsys, trouble, launched, message) -> None:
    path, log = ncu(trouble, launched)
    assert counters.main(["--ncu", str(path), "--out", str(tmp_path / "row.json")]) == 1
    assert message in capsys.readouterr().err
    assert len(log.read_text().splitlines()) == 1 and not (tmp_path / "row.json").exists()


def test_without_a_card_or_ncu_it_says_so(counters, monkeypatch, capsys) -> None:
    monkeypatch.setattr(backend, "cuda_problem", lambda: "device 'cuda' is not here")
    assert counters.main([]) == 1
    assert capsys.readouterr().err == "benchmarks/counters.py: nothing to measure: device 'cuda' is not here\n"
    monkeypatch.setattr(backend, "cuda_problem", lambda: None)
    monkeypatch.setattr(counters.shutil, "which", lambda *args, **kwargs: None)
    assert counters.main([]) == 1
    assert "install Nsight Compute" in capsys.readouterr().err
    assert counters.main(["--ncu", "/not/there"]) == 1
    assert "No such file" in capsys.readouterr().err


def test_what_is_launched_on_the_card_is_what_the_simulator_counts(counters, kernels, monkeypatch) -> None:
    """On the stand-in; adam launches several times, what embedding_backward does depends on its inputs, one step fails."""
    from minigrad.kernels.simulator.check import Runner, run

    few, drawn = {name: ladders()[name] for name in ("adam", "embedding_backward", "softmax_backward")}, []

    def inputs(rng: Any, **case: Any) -> dict:
        drawn.append(rng.bit_generator.state["state"])
        return ladders()["embedding_backward"].inputs(rng, **case)

    few["embedding_backward"] = dataclasses.replace(few["embedding_backward"], inputs=inputs)

    def fails(launch: Any, case: Any, **inputs: Any) -> Any:
        raise RuntimeError("no")

    broken = [dataclasses.replace(step, run=fails) for step in few["softmax_backward"].steps[:1]]
    broken += [dataclasses.replace(step, arch="sm_100") for step in few["softmax_backward"].steps[1:]]
    few["softmax_backward"] = dataclasses.replace(few["softmax_backward"], steps=tuple(broken))
    monkeypatch.setattr(counters, "ladders", lambda: few)
    found = json.loads(json.dumps(counters.run_all(True)))
    assert found["card"] == "Stand-in" and found["capability"] == "sm_90" and found["label"] == "measured"
    assert found["failed"] == {"softmax_backward v1": "RuntimeError: no", "softmax_backward v2": "it needs sm_100"}
    expected = []
    for name in ("adam", "embedding_backward"):
        for step in few[name].steps:
            run(few[name], step, few[name].example, runner := Runner("fast"))
            records = [{"kernel": r.kernel.name, **counters.geometry(r.how)} for r in runner.records]
            expected += [(name, step.name, record["kernel"], record["grid"]) for record in records]
    assert [(x["ladder"], x["step"], x["kernel"], x["grid"]) for x in found["launches"]] == expected
    assert [x["kernel"] for x in found["launches"]].count("adam_v1") == 2 and kernels == [name for *_, name, _ in expected]
    assert len(drawn) == 6 and drawn.count(drawn[0]) == 6  # from the same seed


def test_nothing_is_noted_where_there_is_nothing_to_launch(counters, monkeypatch) -> None:
    notes: list[dict] = []
    monkeypatch.setattr(counters.launcher, "launch", lambda kernel, args, **sizes: None)
    for blocks in (0, 3):
        kernel = launcher.Kernel("k", "gelu.cu", lambda n: launcher.Launch((n,), (32,), 4))
        counters.launch_and_note(notes, {"step": "v1"}, kernel, (), n=blocks)
    assert notes == [{"step": "v1", "kernel": "k", "grid": [3], "block": [32], "shared": 4}]


def test_every_case_comes_back_from_json(counters) -> None:
    steps, used = counters.chosen(True), counters.chosen(False)
    assert {ladder.name for ladder, _ in used} == set(ladders()) and len(used) < len(steps) and all(step.used for _, step in used)
    for ladder, step in steps:
        case = counters.case_of(ladder, step)
        assert case == {**ladder.example, **(dict.fromkeys("MNK", 256) if ladder.name == "matmul" and not step.used else {})}
        assert step.supports(case) and counters.tuples(json.loads(json.dumps(case))) == case == counters.tuples(case)


# ------------------------------------------------------------------------------------------------ the simulator beside it


def compare(counters: Any, found: dict) -> tuple[list, list[str]]:
    try:
        return counters.compare(found)
    except simulator.MissingTool as error:
        pytest.skip(str(error))


def compared(counters: Any, *launches: dict) -> dict[tuple[str, str], tuple]:
    """Rows as (counted, measured), by kernel and quantity."""
    rows, problems = compare(counters, result(counters, *launches))
    assert not problems
    return {(row.kernel, row.quantity.name): (row.counted, row.measured) for row in rows}


def test_counted_beside_measured(counters) -> None:
    """A thread has four numbers: 16 bytes at a time, so a warp asks for 16 sectors."""
    measured = {LOADS: 512, STORES: 640, WAVEFRONTS: 0, LINES: 1152, "l1tex__t_requests_pipe_lsu_mem_global_op_ld.sum": 32}
    found = compared(counters, gelu(metrics=measured))
    kernel = "gelu v2: gelu_v2"
    assert found[kernel, "global loads: sectors"] == (512, 512) and found[kernel, "global stores: sectors"] == (512, 640)
    assert found[kernel, "global loads: requests"] == (32, 32) and found[kernel, "global stores: requests"] == (32, None)
    assert found[kernel, "sectors between L1 and L2"] == (1024, 1152) and found[kernel, "global atomics: sectors"] == (0, None)
    assert found[kernel, "dynamic shared bytes"] == (0, None) and (kernel, "FFMA %") not in found


def test_products(counters) -> None:
    """As many FFMA as the formula has, and products of tensor cores of 16 x 8 x 8."""
    case = {"M": 128, "N": 128, "K": 64}
    ffma, instructions = "smsp__sass_thread_inst_executed_op_ffma_pred_on.sum", "smsp__inst_executed.sum"
    measured = {ffma: 2**20, instructions: 2**16, "sm__inst_executed_pipe_tensor_op_hmma.sum": 0}
    measured["launch__shared_mem_per_block_static"] = 5
    one = launch("matmul", "v6", {**case, "force": ["large", 1]}, "matmul_v6_nn", [1, 1, 1], [256], metrics=measured)
    two = launch("matmul_tf32", "v1", case, "matmul_tf32_nn", [1, 1, 1], [256], metrics={**measured, instructions: 0})
    found = compared(counters, one, two)
    assert found["matmul v6: matmul_v6_nn", "FFMA of threads"] == (2**20, 2**20)
    assert found["matmul v6: matmul_v6_nn", "FFMA %"][1] == 50
    assert found["matmul v6: matmul_v6_nn", "static shared bytes"][0] in (2 * 2 * 16 * 128 * 4, None)  # None without NVRTC
    assert found["matmul v6: matmul_v6_nn", "static shared bytes"][1] == 5
    assert found["matmul v6: matmul_v6_nn", "dynamic shared bytes"] == (0, None)
    assert found["matmul_tf32 v1: matmul_tf32_nn", "products of tensor cores"] == (128 * 128 * 64 // (16 * 8 * 8), 0)
    assert found["matmul_tf32 v1: matmul_tf32_nn", "HMMA %"][1] == 0  # and no division by zero


def test_shared_memory(counters) -> None:
    """For each k each of 8 warps loads 16 bytes twice of A, in pairs, in two turns at least, and twice of B, in four; v5 in more."""
    case = {"M": 128, "N": 128, "K": 64, "force": ["large", 1]}
    steps = {"v5": "matmul_v5", "v6": "matmul_v6_nn"}
    found = compared(counters, *(launch("matmul", step, case, name, [1, 1, 1], [256]) for step, name in steps.items()))
    for step, name in steps.items():
        kernel = f"matmul {step}: {name}"
        loads, above = (found[kernel, f"shared loads: {what}"][0] for what in ("wavefronts", "bank conflicts"))
        assert loads - above == 8 * 64 * (2 * 2 + 2 * 4) and (above > 0) == (step == "v5")
        assert found[kernel, "shared stores: wavefronts"][0] > 0


def test_several_launches_of_a_step(counters) -> None:
    """Each launch has its own row."""
    case, parts = {"sizes": [1024, 512], "decay": 0.1, "decoupled": True}, [{LINES: 100}, {LINES: 3}]
    rows, _ = compare(counters, result(counters, *(launch("adam", "v1", case, "adam_v1", [n], [256], metrics=m) for n, m in zip((4, 2), parts))))
    assert [(row.counted, row.measured) for row in rows if row.quantity.name == "sectors between L1 and L2"] == [(8 * 128, 100), (8 * 64, 3)]


def test_atomics_are_theirs(counters) -> None:
    """Each number of the gradients is added once, and eight lie in a sector."""
    case = {"tokens": 64, "cols": 32, "rows": 50}
    found = compared(counters, launch("embedding_backward", "v1", case, "embedding_backward_v1", [8], [256], metrics={
        f"l1tex__t_sectors_pipe_lsu_mem_global_op_{op}.sum": n for op, n in (("atom", 6), ("red", 250))
    }))  # fmt: skip
    assert found["embedding_backward v1: embedding_backward_v1", "global atomics: sectors"] == (64 * 32 // 8, 256)


def test_what_cannot_be_compared_is_told(counters) -> None:
    launches = [gelu(grid=[5]), launch("gone", "v1", {}, "gone_v1", [1], [1]), launch("adam", "v9", {}, "adam_v9", [1], [1])]
    found = result(counters, *launches, failed={"dropout v1": "it needs sm_100"})
    found["sources"] = {**found["sources"], "gelu.cu": "0", "old.cu": "1"}
    rows, problems = compare(counters, found)
    assert rows == [] and problems[:3] == [
        "dropout v1 did not run on the card: it needs sm_100", "gelu.cu has changed since it was measured",
        "old.cu has changed since it was measured",
    ]  # fmt: skip
    assert "gelu v2 is left out: the card launched" in problems[3] and "'grid': [5]" in problems[3]
    assert problems[4:] == [
        "gone v1 is left out: there is no such kernel any more",
        "adam v9 is left out: adam has no step 'v9'; its steps are v1, v2",
    ]
    assert f"\n- {problems[0]}\n" in counters.text(found, rows, problems)


def test_a_kernel_that_is_wrong_in_the_simulator(counters, monkeypatch) -> None:
    ladder = ladders()["gelu"]
    wrong = dataclasses.replace(ladder, reference=lambda case, x: {"y": x + 1})
    monkeypatch.setattr(counters, "ladders", lambda: {"gelu": wrong})
    _, problems = compare(counters, result(counters, gelu()))
    assert len(problems) == 1 and "gelu v2 is left out: in the simulator it is wrong" in problems[0]


def test_the_tables(counters, tmp_path, capsys) -> None:
    kinds = {q.name: q for q in counters.QUANTITIES}
    row = lambda kernel, name, counted, measured: counters.Row(kernel, kinds[name], counted, measured)
    rows = [
        row("a", "global loads: sectors", 2048, 2048), row("b", "global loads: sectors", 100, 125),
        row("c", "global loads: sectors", 300, 200), row("a", "global stores: sectors", 0, 0), row("a", "registers", 32, None),
        row("a", "shared loads: bank conflicts", 0, 7), row("b", "shared loads: bank conflicts", 7, 0),
        row("a", "occupancy %", 62.5, 62.5),
    ]  # fmt: skip
    lines = counters.text(result(counters), rows, []).splitlines()
    assert lines[0] == "# Counted, and measured on Test Card" and "with Nsight Compute 2025.3.1.0" in lines[2] and "NVRTC 12.9" in lines[2]
    for line in (
        "| global loads: sectors | yes | 1 of 3 | 0.800 | 1.500 | c: 300, 200 |",
        "| occupancy % | no | 1 of 1 | 1.000 | 1.000 |  |",
        "| a | global loads: sectors | 2,048 | 2,048 | 1.000 |",
        "| b | global loads: sectors | 100 | 125 | 0.800 |",
        "| a | registers | 32 | n/a | n/a |",
        "| a | shared loads: bank conflicts | 0 | 7 | 0.000 |",
        "| b | shared loads: bank conflicts | 7 | 0 | inf |",
        "| a | occupancy % | 62.5 | 62.5 | 1.000 |",
    ):
        assert line in lines
    assert not [line for line in lines if line.startswith(("| a | global stores", "| registers | yes | 0 of"))]
    assert len([line for line in lines if line.startswith("| shared loads: bank conflicts | no | 0 of 2 | 0.000 | inf |")]) == 1
    assert not [line for line in lines if "Not as it should be" in line]
    mapped = next(line for line in lines if line.startswith("| FFMA % | Resources.ffma_share |"))
    assert "`smsp__sass_thread_inst_executed_op_ffma_pred_on.sum` / `smsp__inst_executed.sum`" in mapped
    (tmp_path / "card.json").write_text(json.dumps(result(counters)))
    assert counters.main(["--compare", str(tmp_path / "card.json")]) == 0
    assert capsys.readouterr().out.startswith("# Counted, and measured on Test Card")
