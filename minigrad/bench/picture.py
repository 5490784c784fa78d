"""The results as pictures, each in two versions: for a light page and for a dark one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .statistic import middle, ratio, ratios, share

LONGEST = 2.5  # ratio up to which bars are drawn; beyond it they end at the edge, and the number says it
THEMES = {
    "light": {"page": "#ffffff", "text": "#1f2328", "faint": "#c8cdd3", "minigrad": "#1f6feb", "torch": "#bc4c00"},
    "dark": {"page": "#0d1117", "text": "#e6edf3", "faint": "#3d444d", "minigrad": "#58a6ff", "torch": "#f0883e"},
}


def write(results: Mapping[str, Any], folder: Path, name: str = "benchmark") -> list[Path]:
    """Draw what there is: training steps, operations.

    Args:
        results: of a run.
        folder: where to.
        name: how the files' names begin.

    Returns:
        The files: <name>-training-light.png and so on.

    Raises:
        ImportError: without matplotlib, with the pip line.
    """
    written = []
    for theme, colours in THEMES.items():
        for what, draw in (("training", training), ("operations", operations)):
            if any(not row["void"] for row in results[what]):
                path = folder / f"{name}-{what}-{theme}.png"
                part = path.with_name(f"{path.name}.part")
                figure = _figure(colours, draw, results)
                figure.savefig(part, format="png", dpi=130, metadata={"Software": None})
                part.replace(path)
                written.append(path)
    return written


def _figure(colours: Mapping[str, str], draw: Any, results: Mapping[str, Any]) -> Any:
    """A figure in the colours of a page."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("bench: pictures need matplotlib: pip install 'minigrad[bench]'") from None
    names = ("text.color", "axes.labelcolor", "xtick.color", "ytick.color")
    settings: dict[Any, Any] = {**dict.fromkeys(names, colours["text"]), "axes.edgecolor": colours["faint"], "font.size": 10}
    settings |= dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), colours["page"])
    settings |= dict.fromkeys(("axes.spines.top", "axes.spines.right"), False)
    with matplotlib.rc_context(settings):
        figure = Figure(layout="constrained")
        draw(figure, results, colours)
        return figure


def _where(results: Mapping[str, Any]) -> str:
    known, threads = results["machine"], results["settings"]["threads"]
    return f"{known['cpu']}, {threads} thread{'s' * (threads > 1)}, {results['date'][:10]}"


def training(figure: Any, results: Mapping[str, Any], colours: Mapping[str, str]) -> None:
    """A bar for each training step, as long as its time compared with PyTorch's, and a mark for PyTorch at its best."""
    rows = results["training"][::-1]
    figure.set_size_inches(6, 1.9 + 0.42 * len(rows))  # no wider, or the writing is too small on a phone
    axes = figure.add_subplot()
    longest = max([1.0, *(value for row in rows for value in [*ratios(row, "torch"), *ratios(row, "torch best")])])
    longest = min(longest, LONGEST)
    for y, row in enumerate(rows):
        found = ratio(row, "torch")
        if found is None:
            axes.text(0.01, y, "void" if row["void"] else "not measured", va="center", color=colours["text"])
            continue
        spread = ratios(row, "torch")
        axes.barh(y, found, 0.62, color=colours["minigrad"])
        axes.plot([min(spread), max(spread)], [y, y], color=colours["text"], lw=1.2, solid_capstyle="butt")
        best = ratio(row, "torch best")
        if best is not None:
            axes.plot([best, best], [y - 0.38, y + 0.38], color=colours["torch"], lw=2.2)
        end = min(longest, max([*spread, best or 0.0])) + 0.02 * longest
        background = {"facecolor": colours["page"], "edgecolor": "none", "pad": 1}
        axes.text(end, y, f"{found:.2f}", va="center", bbox=background)
    axes.axvline(1, color=colours["text"], lw=1, zorder=0.5)
    axes.set_yticks(range(len(rows)), [row["title"].replace(", ", "\n", 1) for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, longest * 1.12)
    axes.set_xlabel("time of a training step, PyTorch = 1 (shorter is faster)")
    axes.set_title(f"minigrad beside PyTorch {results['machine']['versions'].get('torch', '')}", loc="left", weight="bold")
    _legend(axes, colours)
    figure.supxlabel(_where(results), fontsize=8, x=0.99, ha="right")


def _legend(axes: Any, colours: Mapping[str, str]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [
        Patch(color=colours["minigrad"], label="to PyTorch as first written"),
        Line2D([], [], color=colours["torch"], lw=2.2, label="to PyTorch at its best"),
        Line2D([], [], color=colours["text"], lw=1.2, label="smallest and largest of the rounds"),
    ]
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(-0.02, 1.06), frameon=False, labelspacing=0.3)


def operations(figure: Any, results: Mapping[str, Any], colours: Mapping[str, str]) -> None:
    """Left the roofline, with every operation under it; right how near to it each comes."""
    rows = [row for row in results["operations"] if not row["void"]]
    figure.set_size_inches(12, 1.4 + 0.21 * max(20, len(rows)))
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    _roofline(left, rows, results["peaks"], colours)
    _shares(right, rows[::-1], results["peaks"], colours)
    figure.suptitle("Operations, forward and backward, and what the machine allows", x=0.01, ha="left", weight="bold")
    figure.supxlabel(_where(results), fontsize=8, x=0.99, ha="right")


def _points(rows: Sequence[Mapping[str, Any]], contender: str) -> Iterator[tuple[Mapping[str, Any], float, float]]:
    """FLOPs per byte, and GFLOP/s, of the operations that have FLOPs."""
    for row in rows:
        ms = middle(row, contender, "both")
        if ms is not None and row["flops"][1]:
            yield row, row["flops"][1] / row["bytes"][1], row["flops"][1] / ms / 1e6


def _roofline(axes: Any, rows: Sequence[Mapping[str, Any]], peaks: Mapping[str, Any], colours: Mapping[str, str]) -> None:
    speeds = {int(size): speed for size, speed in peaks["bandwidth"].items()}
    peak, lowest, highest = peaks["gemm_gflops"], 0.03, 500.0
    near = (max(speeds.values()), "in cache", "right", 0.6)
    far = (speeds[max(speeds)], "from memory", "left", 0.4)
    for speed, text, side, at in (near, far):
        axes.plot([lowest, peak / speed, highest], [lowest * speed, peak, peak], color=colours["text"], lw=1)
        x = at * peak / speed * (0.8 if side == "right" else 1.25)
        axes.text(x, at * peak, f"{speed:.0f} GB/s\n{text}", ha=side, va="center", fontsize=8)
    axes.text(highest, peak * 1.12, f"fastest matrix product: {peak:.0f} GFLOP/s", ha="right", fontsize=8)
    others = {row["name"]: (x, y) for row, x, y in _points(rows, "torch")}
    for row, x, y in _points(rows, "minigrad"):
        if row["name"] in others:
            axes.plot([x, x], [y, others[row["name"]][1]], color=colours["faint"], lw=1, zorder=1)
    for contender, marker in (("torch", "_"), ("minigrad", "o")):
        points = [(x, y) for _, x, y in _points(rows, contender)]
        size, width = (60, 2) if marker == "_" else (16, 1)
        axes.scatter(*zip(*points), s=size, lw=width, marker=marker, color=colours[contender], label=contender, zorder=2)
    axes.set(xscale="log", yscale="log", xlim=(lowest, highest), ylim=(None, peak * 2))
    axes.set_xlabel("FLOPs for each byte that must be moved")
    axes.set_ylabel("GFLOP/s")
    axes.legend(frameon=False, loc="lower right")


def _shares(axes: Any, rows: Sequence[Mapping[str, Any]], peaks: Mapping[str, Any], colours: Mapping[str, str]) -> None:
    for y, row in enumerate(rows):
        ours, theirs = (share(row, peaks, name) for name in ("minigrad", "torch"))
        if ours is not None:
            axes.barh(y, 100 * ours, 0.62, color=colours["minigrad"])
        if theirs is not None:
            axes.plot([100 * theirs] * 2, [y - 0.4, y + 0.4], color=colours["torch"], lw=2.2)
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows], fontsize=8)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("% of what the machine allows (the mark: torch)")
