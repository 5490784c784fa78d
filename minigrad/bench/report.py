"""Tables and pictures for the README and for benchmarks/, made of the results and of nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from . import picture
from .command import SCHEMA
from .statistic import geometric_mean, middle, ratio, ratios, share
from .table import number

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- benchmark: written by minigrad bench --report -->", "<!-- benchmark: end -->"


def write(root: Path = ROOT) -> list[str]:
    """Make of benchmarks/results/*.json: the section of README.md between two marks, its pictures, and all tables.

    Args:
        root: of a clone.

    Returns:
        What was written, for people.

    Raises:
        ValueError: no results, results in another form, or no marks in README.md.
    """
    folder = root / "benchmarks" / "results"
    if not folder.is_dir():
        raise ValueError("bench: --report needs a clone of the repository, with its folder benchmarks/results")
    runs = load(folder)
    main = newest(runs)
    images = root / "docs" / "images"
    images.mkdir(parents=True, exist_ok=True)
    drawn = [str(path.relative_to(root)) for path in picture.write(main, images)]
    page = folder / "README.md"
    page.write_text("\n".join(everything(runs)) + "\n")
    readme = root / "README.md"
    text = readme.read_text()
    before, mark, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (mark and end):
        raise ValueError(f"bench: README.md has no place for the results; put these two lines where they belong: {BEGIN} {END}")
    readme.write_text(f"{before}{BEGIN}\n" + "\n".join(section(main, runs)) + f"\n{END}{after}")
    return [*drawn, str(page.relative_to(root)), "README.md, the section on speed"]


def load(folder: Path) -> dict[str, dict[str, Any]]:
    """The results in a folder, by the name of their file."""
    runs = {}
    for path in sorted(folder.glob("*.json")):
        run = json.loads(path.read_text())
        if not isinstance(run, dict) or "training" not in run:
            continue  # of another script
        if run.get("schema") != SCHEMA:
            raise ValueError(f"bench: {path.name} has schema {run.get('schema')}, expected {SCHEMA}; measure again")
        runs[path.name] = run
    if not runs:
        raise ValueError(f"bench: no results in {folder}; `minigrad bench --save` measures and writes them")
    return runs


def newest(runs: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The last run with all that there is: on all cores, with numba and MKL, against PyTorch at its best."""

    def rank(run: Mapping[str, Any]) -> tuple:
        settings = run["settings"]
        return settings["numba"] and settings["mkl"], settings["threads"], len(run["operations"]), run["date"]

    return max(runs.values(), key=rank)


def variant(run: Mapping[str, Any]) -> str:
    """What was different in a run.

    >>> variant({"settings": {"threads": 1, "numba": True, "mkl": False}, "machine": {"versions": {"numba": "1"}}})
    '1 thread, without MKL'
    """
    settings, versions = run["settings"], dict(run["machine"]["versions"])
    used = {row["contenders"].get("minigrad", {}).get("uses") for row in run.get("training", ())} - {None, ""}
    if used and not any("MKL" in text for text in used):
        versions.pop("mkl", None)  # installed, but not used
    parts = [f"{settings['threads']} thread{'s' * (settings['threads'] > 1)}"]
    for name, key in (("numba", "numba"), ("MKL", "mkl")):
        if not settings[key] or key not in versions:
            parts.append(f"without {name}")
    return ", ".join(parts)


def mean(run: Mapping[str, Any], other: str) -> float | None:
    """Geometric mean of the ratios of the training steps."""
    return geometric_mean(ratio(row, other) for row in run["training"])


def section(main: Mapping[str, Any], runs: Mapping[str, Any]) -> Iterator[str]:
    """For README.md: the picture, the table, and what changes with other settings."""
    alt = "Time of each training step compared with PyTorch's"
    yield picture_of("docs/images/benchmark-training", alt)
    yield ""
    yield f"Time of a training step, on {where(main)}:"
    yield ""
    yield from training_table(main)
    yield ""
    for run in [main, *(run for run in runs.values() if run is not main and run["machine"]["cpu"] == main["machine"]["cpu"])]:
        found, best = mean(run, "torch"), mean(run, "torch best")
        if found is not None:
            text = f"- {variant(run)}: a step takes {found:.2f} of PyTorch's time in the geometric mean"
            yield text + (f", {best:.2f} of PyTorch's at its best (fused optimizers)" if best else "")
    yield ""
    yield "What this means, how it is measured and how to repeat it: [benchmarks/README.md](benchmarks/README.md)."
    yield "All tables, single operations and other libraries among them: [results](benchmarks/results/README.md)."


def picture_of(name: str, alt: str) -> str:
    """A picture that follows the page it is on."""
    dark = f'<source media="(prefers-color-scheme: dark)" srcset="{name}-dark.png">'
    return f'<picture>{dark}<img alt="{alt}" src="{name}-light.png"></picture>'


def where(run: Mapping[str, Any]) -> str:
    """The machine in a sentence."""
    known = run["machine"]
    versions = ", ".join(f"{name} {text}" for name, text in known["versions"].items() if name in _NAMED)
    caches = ", ".join(f"{level} {size}" for level, size in known["caches"].items())
    commit = f", commit {known['commit']}{' with changes' * known['changed']}" if known.get("commit") else ""
    return (
        f"{known['cpu']} ({known['cores']} cores{', a virtual machine' * known['virtual']}, {known['vectors']}, {caches}), "
        f"{variant(run)}, {known['system'].partition(' ')[0]}, Python {known['python']}, {versions}, {run['date'][:10]}{commit}"
    )


_NAMED = ("numpy", "numba", "tbb", "mkl", "torch")


def training_table(run: Mapping[str, Any]) -> Iterator[str]:
    """The training steps, in Markdown."""
    best = any(ratio(row, "torch best") is not None for row in run["training"])
    extra = " PyTorch at its best, ms | ratio |" if best else ""
    yield f"| training step | minigrad, ms | PyTorch, ms | ratio | of the rounds |{extra} peak memory, MB | PyTorch, MB |"
    yield "|---|--:|--:|--:|--:|" + "--:|--:|" * best + "--:|--:|"
    for row in run["training"]:
        if row["void"]:
            yield f"| {row['title']} | void: {row['void']} |" + " |" * (5 + 2 * best)
            continue
        found, spread = ratio(row, "torch"), ratios(row, "torch")
        cells = [row["title"], number(middle(row, "minigrad")), number(middle(row, "torch"))]
        cells += [f"**{found:.2f}**", f"{min(spread):.2f} to {max(spread):.2f}"] if found else ["-", "-"]
        if best:
            other = ratio(row, "torch best")
            cells += [number(middle(row, "torch best")), "-" if other is None else f"{other:.2f}"]
        cells += [number(row["contenders"].get(name, {}).get("peak_mb")) for name in ("minigrad", "torch")]
        yield f"| {' | '.join(cells)} |"


def peers_table(run: Mapping[str, Any]) -> Iterator[str]:
    """The small networks in all libraries, in Markdown: time in ms."""
    names = list(dict.fromkeys(name for row in run["peers"] for name in row["contenders"]))
    yield f"| ms | {' | '.join(names)} |"
    yield "|---|" + "--:|" * len(names)
    for row in run["peers"]:
        cells = [number(None if row["void"] else middle(row, name)) for name in names]
        yield f"| {row['title']} | {' | '.join(cells)} |"


def operations_table(run: Mapping[str, Any]) -> Iterator[str]:
    """The operations, in Markdown."""
    yield "| operation | forward, ms | ratio | with backward, ms | ratio | MB | MFLOP | share of the machine | torch's |"
    yield "|---|" + "--:|" * 8
    for row in run["operations"]:
        if row["void"]:
            yield f"| {row['name']} | void: {row['void']} |" + " |" * 7
            continue
        cells = [row["name"]]
        for what in ("forward", "both"):
            found = ratio(row, "torch", what)
            cells += [number(middle(row, "minigrad", what)), "-" if found is None else f"{found:.2f}"]
        cells += [f"{row['bytes'][1] / 1e6:.2f}", f"{row['flops'][1] / 1e6:.0f}"]
        shares = [share(row, run["peaks"], name) for name in ("minigrad", "torch")]
        yield f"| {' | '.join(cells + ['-' if s is None else f'{s:.0%}' for s in shares])} |"


def limits(peaks: Mapping[str, Any]) -> str:
    """What the machine can do, in a sentence."""
    sizes = sorted(map(int, peaks["bandwidth"]))
    speeds = ", ".join(f"{peaks['bandwidth'][str(n)]:.0f} ({n / 2**20:.3g} MB)" for n in sizes)
    return f"Fastest matrix product: {peaks['gemm_gflops']:.0f} GFLOP/s. c = a + b, GB/s by size of the three: {speeds}."


def everything(runs: Mapping[str, Any]) -> Iterator[str]:
    """For benchmarks/results/README.md: all tables of all runs."""
    yield "# Results"
    yield ""
    yield "Written by `minigrad bench --report`; how to read it stands in [../README.md](../README.md)."
    for name, run in runs.items():
        yield f"\n## {variant(run)}\n\n{where(run)}. [{name}]({name})\n"
        busy = [cores for row in run["training"] for known in row["contenders"].values() for cores in known["others"]]
        turns = [cores for cores in busy if cores is not None]
        if turns:
            yield f"Others used {max(turns):.2f} cores at most during a turn, {sum(turns) / len(turns):.2f} in the mean.\n"
        for other, text in (("torch", "PyTorch"), ("torch best", "PyTorch at its best")):
            found = mean(run, other)
            if found is not None:
                yield f"Geometric mean of the ratios to {text}: **{found:.3f}**\n"
        yield from training_table(run)
        if run["peers"]:
            yield "\n### The small networks in other libraries\n"
            yield from peers_table(run)
        if run["operations"]:
            yield f"\n### Operations\n\n{limits(run['peaks'])}\n"
            yield from operations_table(run)
        for opponent, why in run["missing"].items():
            yield f"\nWithout {opponent}: {why}"

