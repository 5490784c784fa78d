"""`minigrad kernels`: what is declared is listed, checked, inspected and compared; a kernel that is wrong is told."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
from minigrad.kernels.cuda import launcher
from minigrad.kernels.ladder import Ladder, Step, ladders
from minigrad.kernels.simulator import Module, check, cli, nvrtc, picture, report

from minigrad.cli import main

from .harness import kernel_text, tools

# Doubles a row of numbers, 32 threads to a block. %r0: the number of the thread. %rd3 and %rd4: its number in x and in y.
BODY = """mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x; mad.lo.u32 %r0, %r1, %r2, %r3;
    ld.param.u32 %r4, [n]; setp.ge.u32 %p1, %r0, %r4; @%p1 bra end; ld.param.u64 %rd0, [x]; ld.param.u64 %rd1, [y];
    .loc 1 3 5
    mul.wide.u32 %rd2, %r0, 4; add.s64 %rd3, %rd0, %rd2; add.s64 %rd4, %rd1, %rd2; ld.global.f32 %f1, [%rd3];
    add.f32 %f1, %f1, %f1; st.global.f32 [%rd4], %f1; end:"""
SOURCE = '// what stands here is shown\nextern "C" __global__ void k(const float* x, float* y, int n) {\n  y[i] = x[i] + x[i];\n}\n'


@pytest.fixture
def doubling(monkeypatch: pytest.MonkeyPatch) -> Ladder:
    """A ladder of one step whose kernel is the PTX above; `.text` of the list can be changed."""
    tools()
    return make(monkeypatch, BODY)


def make(monkeypatch: pytest.MonkeyPatch, body: str) -> Ladder:
    text = kernel_text(body, ".param .u64 x, .param .u64 y, .param .u32 n")
    monkeypatch.setattr(check, "module", lambda file, arch: Module(text, SOURCE, file))
    monkeypatch.setattr(report, "module", lambda file, arch="sm_80": Module(text, None, file))
    monkeypatch.setattr(report, "_resources", lambda record, arch: None)
    monkeypatch.setattr(launcher, "source", lambda file: SOURCE)
    monkeypatch.setattr(launcher, "signatures", lambda file: launcher.read_signatures(SOURCE))
    kernel = launcher.Kernel("k", "doubling.cu", lambda n: launcher.Launch((-(-n // 32),), (32,)))

    def run(launch, case, x):
        y = np.empty(x.shape, x.dtype)
        launch(kernel, (x, y, x.size), n=x.size)
        return {"y": y}

    return Ladder(
        name="doubling", file="doubling.cu", steps=(Step("v1", "doubles", run, (kernel,), used=True),),
        inputs=lambda rng, n: {"x": rng.standard_normal(n, dtype=np.float32)}, reference=lambda case, x: {"y": 2.0 * x.astype("f8")},
        cases=({"n": 1}, {"n": 33}, {"n": 100}, {"n": 0}), example={"n": 128}, minimum_bytes=lambda n: 8 * n, flops=lambda n: n,
    )  # fmt: skip


def test_a_right_kernel(doubling: Ladder):
    done = check.check(doubling, doubling.step())
    assert (done.cases, done.runs, done.problems, done.error) == (4, 12, [], 0.0)


@pytest.mark.parametrize(("change", "problem"), [
    (("add.f32 %f1, %f1, %f1;", "add.f32 %f1, %f1, 0f3F800000;"), "y[0] is "),
    (("setp.ge.u32", "setp.gt.u32"), "beyond the end of it"),
    (("setp.ge.u32 %p1, %r0, %r4", "add.u32 %r5, %r0, 1; setp.ge.u32 %p1, %r5, %r4"), "is nan, not"),
    (("mul.wide.u32 %rd2, %r0, 4;", "mul.wide.u32 %rd2, %r1, 4;"), "y["),
    (("st.global.f32 [%rd4], %f1;", ""), "is nan, not"),
    (("st.global.f32 [%rd4]", "st.global.f32 [%rd1]"), "race: write"),
    (("add.f32", "tex.f32"), "does not know the PTX instruction"),
])  # fmt: skip
def test_a_wrong_kernel_is_told(change: tuple[str, str], problem: str, monkeypatch: pytest.MonkeyPatch):
    tools()
    ladder = make(monkeypatch, BODY.replace(*change))
    problems = check.check(ladder, ladder.step()).problems
    assert problems
    if "race" in problem:
        assert any("another thread writes, with no barrier" in text for text in problems)
    else:
        assert any(problem in text for text in problems), problems


def test_arrays_of_a_run_lie_apart(doubling: Ladder):
    """What leaves one array must not land in another, where nobody would notice."""
    places = []

    def run(launch, case, x, y, z):
        places.extend(sorted((a.ctypes.data, a.nbytes) for a in (x, *y, np.empty(5), np.zeros((2, 3), np.float32), np.empty_like(x))))
        return {"y": x}

    moved = np.zeros(9, np.float32)[1:]
    ladder = dataclasses.replace(
        doubling, inputs=lambda rng, n: {"x": np.ones(n), "y": [np.ones(n), moved], "z": None}, reference=lambda case, x, y, z: {"y": x}
    )
    got, want = check.run(ladder, dataclasses.replace(doubling.step(), run=run), {"n": 3}, check.Runner())
    assert (got["y"] == want["y"]).all() and len(places) == 6
    assert all(start + size + 4096 <= after for (start, size), (after, _) in itertools.pairwise(places))
    assert any(start % 16 == moved.ctypes.data % 16 != 0 for start, _ in places), "alignment stays as it was"


def test_outputs_of_a_wrong_shape_or_name(doubling: Ladder):
    want = {"y": np.ones(3), "z": [np.ones(2), np.zeros(1)]}
    assert check.difference(doubling, want, want) == (0.0, "")
    assert "y is (2,), not (3,)" in check.difference(doubling, {**want, "y": np.ones(2)}, want)[1]
    assert "z.1 is missing" in check.difference(doubling, {**want, "z": [np.ones(2)]}, want)[1]
    worst, text = check.difference(doubling, {**want, "z": [np.ones(2), np.array([5e-5])]}, want)
    assert worst == pytest.approx(5)
    assert text == "z.1[0] is 5e-05, not 0"
    nan, inf = {"y": np.array([np.nan, np.inf])}, {"y": np.array([np.nan, -np.inf])}
    assert check.difference(doubling, nan, nan)[0] == 0
    assert check.difference(doubling, nan, inf)[0] == np.inf


def test_inspection(doubling: Ladder):
    measured = report.measure(doubling, doubling.step(), doubling.example)
    assert measured.over_minimum == 1.0
    lines = report.inspection(measured)
    (row,) = (line for line in lines if line.lstrip().startswith("3 "))
    assert row.split() == "3 32 100.0% 128 ld.global.32 st.global.32 y[i] = x[i] + x[i];".split()
    assert "k<<<(4,), (32,), 0>>>" in lines
    assert "global memory: 1.02 KB in 32 sectors, 100.0% used, 0% of it 16 bytes at a time" in lines
    assert "bytes counted over bytes needed: 1.000 (needed: 1.02 KB)" in lines
    assert lines[-1] == "right, with no findings"


def test_comparison(doubling: Ladder):
    lines, _ = report.comparison(doubling, {"n": 64})
    assert lines[0] == "doubling, n=64, sm_80; all numbers are counted, none is measured"
    assert lines[3].split()[:6] == ["v1", "16", "1.00", "100%", "0", "1.00"]
    assert lines[-1] == "v1  " + "█" * 60 + "  512"


def test_pictures(doubling: Ladder, tmp_path: Path):
    measured = report.measure(doubling, doubling.step(), doubling.example)
    read, written = picture.panels(report.counts(measured.records[0]))
    assert read.title == "line 3: ld.global.32, 4 sectors a warp, 100% used"
    assert written.text == "y[i] = x[i] + x[i];"
    assert len(read.rows) == 1
    assert sorted(read.cells) == [(0, lane, lane) for lane in range(32)]
    picture.write_html(measured, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text().count("<rect") == 2 * (32 + 4)
    pytest.importorskip("matplotlib", reason="pictures need matplotlib: pip install 'minigrad[viz]'")
    picture.write_png(measured, tmp_path / "picture.png")
    picture.write_chart([measured], tmp_path / "chart.png")
    for name in ("picture.png", "chart.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_pictures_show_conflicts_and_waste():
    """A column of a 32 x 32 array: 32 wavefronts in one bank of shared memory, 32 sectors of which an eighth is used."""
    words = [(32 * lane, lane) for lane in range(32)]
    rows, cells = picture._banks(words)
    assert len(rows) == picture.MOST_ROWS
    assert {column for _, column, _ in cells} == {0}
    rows, cells = picture._sectors(words[:4])
    assert rows == ["byte 0", "byte 128", "byte 256", "byte 384"]
    assert [lane for _, _, lane in cells].count(-1) == 4 * 7


# ------------------------------------------------------------------------------------------------ the command


def test_list(capsys: pytest.CaptureFixture):
    assert main(["kernels", "list"]) == 0
    text = capsys.readouterr().out
    for ladder in ladders().values():
        assert ladder.name in text
        assert all(step.says in text for step in ladder.steps)


@pytest.mark.skipif(not nvrtc.available(), reason="NVRTC is not installed: pip install 'minigrad[sim]'")
def test_commands(capsys: pytest.CaptureFixture, tmp_path: Path):
    tools()
    assert main(["kernels", "check", "softmax", "--step", "v1"]) == 0
    assert "all are right, with no findings" in capsys.readouterr().out
    page = tmp_path / "page.html"
    assert main(["kernels", "inspect", "softmax", "--shape", "rows=8", "64", "--step", "v2", "--html", str(page)]) == 0
    text = capsys.readouterr().out
    assert "rows=8 cols=64" in text
    assert "sm_80: " in text
    assert page.exists()
    assert main(["kernels", "compare", "softmax", "--shape", "rows=8"]) == 0
    assert "v3" in capsys.readouterr().out


def test_wrong_words(capsys: pytest.CaptureFixture):
    for words, text in {
        "check nothing": "there is no kernel called 'nothing'; there are ", "inspect softmax --shape size=3": "softmax has no size or option 'size'; it has ",
        "inspect softmax --step v99": "softmax has no step 'v99'; its steps are v1, ", "inspect softmax --shape 1 2 3 4 5 6": "softmax takes 2 sizes (rows, cols), not 6",
    }.items():  # fmt: skip
        assert main(["kernels", *words.split()]) == 1
        assert text in capsys.readouterr().err


def test_shapes_from_words():
    ladder = dataclasses.replace(ladders()["softmax"], example={"rows": 1, "cols": 2}, cases=({"rows": 1, "cols": 1, "log": True},))
    assert cli.case_of(ladder, []) == {"rows": 1, "cols": 2}
    assert cli.case_of(ladder, ["7", "log=True"]) == {"rows": 7, "cols": 2, "log": True}
    assert cli.case_of(ladder, ["cols=5"]) == {"rows": 1, "cols": 5}
