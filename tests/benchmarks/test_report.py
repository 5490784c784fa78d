"""Tables and pictures, from results that are made up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from minigrad.bench import picture, report
from minigrad.bench.command import SCHEMA


def contender(*ms: float, peak: float = 100.0, others: float = 0.0) -> dict:
    return {"ms": list(ms), "steps": 10, "peak_mb": peak, "others": [others] * len(ms), "losses": [0.7, 0.6]}


def results(threads: int = 2, mkl: bool = True, date: str = "2026-01-02T03:04:05+00:00", scale: float = 1.0) -> dict:
    """Two steps of 0.5 and 0.125 of torch's time, so 0.25 in the mean; a void one; two operations and a void one."""
    best = contender(4 * scale, 4 * scale)
    known = {"minigrad": contender(1.0, 1.0, peak=41), "torch": contender(2 * scale, 2 * scale, peak=302), "torch best": best}
    second = {"minigrad": contender(1.0, 1.2), "torch": contender(8 * scale, 9.6 * scale)}
    operation = {"void": None, "flops": [1e6, 3e6], "bytes": [3e6, 8e6]}
    times = {"forward": [0.5], "both": [1.0], "others": [0.0]}
    return {
        "schema": SCHEMA,
        "date": date,
        "machine": {
            "cpu": "Test Processor", "cores": 2, "vectors": "AVX2", "caches": {"L1d": "48K"}, "memory_gb": 8.0,
            "system": "Linux 6", "virtual": True, "python": "3.11.7", "commit": "abc1234", "changed": True,
            "versions": {"minigrad": "0.1.0", "numpy": "2.4", "numba": "0.68", "mkl": "2026", "torch": "2.13"},
        },
        "settings": {"threads": threads, "launches": 1, "rounds": 2, "seconds": 0.5, "numba": True, "mkl": mkl},
        "missing": {"tinygrad": "not installed: pip install tinygrad"},
        "idle": {"before": 0.0, "after": 0.0},
        "training": [
            {"name": "xor", "title": "XOR", "void": None, "contenders": known, "failed": {}},
            {"name": "mlp", "title": "MLP", "void": None, "contenders": second, "failed": {}},
            {"name": "gpt", "title": "GPT", "void": "the losses differ", "contenders": {}, "failed": {}},
        ],
        "operations": [
            {"name": "relu 4x4", "contenders": {"minigrad": times, "torch": {**times, "both": [4.0]}}, **operation},
            {"name": "sum 4x4", "contenders": {"minigrad": times, "torch": times}, **operation},
            {"name": "exp 4x4", "contenders": {}, **operation, "void": "they do not compute the same"},
        ],
        "peaks": {"gemm_gflops": 100.0, "bandwidth": {"1000": 40.0, "1000000": 10.0}},
        "peers": [{"name": "xor", "title": "XOR", "void": None, "contenders": {"jax": contender(3.0)}, "failed": {}}],
    }  # fmt: skip


@pytest.fixture
def clone(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with two runs. Pictures take a second, so they are drawn in their own test only."""
    if "picture" not in request.node.name:
        monkeypatch.setattr(picture, "write", lambda results, folder: [])
    folder = tmp_path / "benchmarks" / "results"
    folder.mkdir(parents=True)
    (folder / "machine-2-threads.json").write_text(json.dumps(results()))
    (folder / "machine-1-threads.json").write_text(json.dumps(results(threads=1, scale=0.5)))
    (folder / "of-another-script.json").write_text('{"import": 0.1}')
    (tmp_path / "README.md").write_text(f"# before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    return tmp_path


def test_the_section_of_the_readme_is_replaced_and_nothing_else(clone: Path):
    report.write(clone)
    text = (clone / "README.md").read_text()
    assert text.startswith(f"# before\n{report.BEGIN}\n") and text.endswith(f"{report.END}\nafter\n")
    assert "old" not in text
    assert "| XOR | 1.00 | 2.00 | **0.50** | 0.50 to 0.50 | 4.00 | 0.25 | 41.0 | 302 |" in text
    assert "| GPT | void: the losses differ |" in text
    assert "- 2 threads: a step takes 0.25 of PyTorch's time in the geometric mean, 0.25 of PyTorch's at its best" in text
    assert "- 1 thread: a step takes 0.50 of PyTorch's time" in text
    assert "Test Processor (2 cores, a virtual machine, AVX2, L1d 48K), 2 threads" in text and "abc1234 with changes" in text
    report.write(clone)
    assert (clone / "README.md").read_text() == text, "a second time changes nothing"


def test_every_table_has_rows_of_one_width(clone: Path):
    report.write(clone)
    for page in (clone / "README.md", clone / "benchmarks" / "results" / "README.md"):
        blocks = [block.splitlines() for block in page.read_text().split("\n\n") if block.lstrip().startswith("|")]
        assert blocks
        for block in blocks:
            assert len({line.count("|") for line in block if line.startswith("|")}) == 1, block


def test_all_tables_are_there(clone: Path):
    report.write(clone)
    text = (clone / "benchmarks" / "results" / "README.md").read_text()
    assert "## 2 threads" in text and "## 1 thread" in text
    assert "Geometric mean of the ratios to PyTorch: **0.250**" in text
    # 8 MB at 10 GB/s take 0.8 ms: 80 % of 1 ms, 20 % of torch's 4
    assert "| relu 4x4 | 0.500 | 1.00 | 1.00 | 0.25 | 8.00 | 3 | 80% | 20% |" in text
    assert "| exp 4x4 | void: they do not compute the same |" in text
    assert "| ms | jax |" in text and "| XOR | 3.00 |" in text
    assert "Without tinygrad: not installed" in text


def test_pictures_are_written_for_light_and_dark_pages(clone: Path):
    image = pytest.importorskip("matplotlib.image")
    report.write(clone)
    folder = clone / "docs" / "images"
    names = {f"benchmark-{what}-{theme}.png" for what in ("training", "operations") for theme in ("light", "dark")}
    assert {path.name for path in folder.iterdir()} == names
    for name in names:
        pixels = image.imread(folder / name)
        assert min(pixels.shape[:2]) > 250
        corner, spread = pixels[2, 2, :3].mean(), pixels[..., :3].std()
        assert corner > 0.9 if "light" in name else corner < 0.15
        assert spread > 0.05, "something is drawn"
    before = (folder / "benchmark-training-light.png").read_bytes()
    report.write(clone)
    assert (folder / "benchmark-training-light.png").read_bytes() == before, "the same results give the same file"


def test_the_best_equipped_run_is_the_one_shown():
    runs = {
        "plain": results(mkl=False, date="2026-05-01"),
        "old": results(date="2026-01-01"),
        "new": results(date="2026-02-01"),
        "one": results(threads=1, date="2026-06-01"),
    }
    assert report.newest(runs) is runs["new"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda clone: (clone / "README.md").write_text("nothing"), "README.md has no place for the results"),
        (lambda clone: [p.unlink() for p in (clone / "benchmarks/results").glob("machine*")], "no results in"),
        (
            lambda clone: (clone / "benchmarks/results/x.json").write_text('{"training": [], "schema": 0}'),
            f"x.json has schema 0, expected {SCHEMA}",
        ),
        (lambda clone: __import__("shutil").rmtree(clone / "benchmarks"), "needs a clone of the repository"),
    ],
)
def test_what_is_wrong_is_said(clone: Path, change, message: str):
    change(clone)
    with pytest.raises(ValueError, match=message):
        report.write(clone)


def test_mkl_that_is_there_but_was_not_used_is_not_claimed():
    run = results()
    assert report.variant(run) == "2 threads"
    run["training"][0]["contenders"]["minigrad"]["uses"] = "tbb, OpenBLAS"
    assert report.variant(run) == "2 threads, without MKL"
    run["training"][1]["contenders"]["minigrad"]["uses"] = "tbb, MKL"
    assert report.variant(run) == "2 threads"
