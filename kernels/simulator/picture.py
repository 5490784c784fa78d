"""Draws who reads what: for each access of a kernel, which lane of a warp touches which word of memory.

One layout (`panels`) serves both the HTML page, which needs nothing but a browser, and the PNG, which needs matplotlib.
"""

from __future__ import annotations

import colorsys
import html
from dataclasses import dataclass
from pathlib import Path

from .counts import Counts, access
from .report import Measured, counts, inspection

MOST_ROWS = 16
LEGEND = (
    "Each colored cell is a word of 4 bytes and the lane of a warp that touches it first; gray words are fetched and not "
    "used. Global memory: a row is 128 bytes, a frame is a sector of 32. Shared memory: a column is a bank, and every "
    "further row costs another wavefront (wide accesses go by halves or quarters of the warp, loads by twice as much where "
    "lanes read the same in pairs)."
)
STYLE = (
    "body{font:15px sans-serif;margin:2em;max-width:70em}pre{overflow:auto}svg text{font:11px monospace}h3{margin-bottom:2px}"
)
GLOBAL, SHARED = 1, 2


@dataclass(frozen=True)
class Panel:
    """One access, as a grid of words. `cells` are (row, column, lane), lane -1 for what is fetched and not asked for."""

    title: str
    text: str
    columns: int
    rows: list[str]
    cells: list[tuple[int, int, int]]


def panels(counted: Counts) -> list[Panel]:
    """A panel for each instruction that accesses memory, the first of its line and kind."""
    found, seen = [], set()
    for instruction, cost, sample in zip(counted.kernel.instructions, counted.instructions, counted.samples):
        kind = access(counted.kernel, instruction.number)
        if not sample["lanes"] or (instruction.line, kind) in seen:
            continue
        seen.add((instruction.line, kind))
        texts = (counted.source or "").splitlines()
        text = texts[instruction.line - 1].strip() if 0 < instruction.line <= len(texts) else instruction.text
        if sample["space"] == SHARED:
            note = f"conflicts {cost.conflicts:.2f}"
            rows, cells = _banks(_words(sample))
        else:
            note = f"{cost.sectors / max(1, cost.global_requests):.3g} sectors a warp, {cost.efficiency:.0%} used"
            rows, cells = _sectors(_words(sample))
        title = f"line {instruction.line}: {kind}, {note}"
        found.append(Panel(title, text, 32, rows, cells))
    return found


def _words(sample) -> list[tuple[int, int]]:
    """The words of 4 bytes that each lane touches: (word, lane)."""
    lanes, size = int(sample["lanes"]), int(sample["size"])
    offsets = [(int(sample["offset"][lane]), lane) for lane in range(32) if lanes >> lane & 1]
    return [(word, lane) for at, lane in offsets for word in range(at // 4, (at + size - 1) // 4 + 1)]


def _sectors(words: list[tuple[int, int]]) -> tuple[list[str], list[tuple[int, int, int]]]:
    """A row for each line of 128 bytes, four sectors in each; what a sector brings along unasked is gray."""
    lines = sorted({word // 32 for word, _ in words})[:MOST_ROWS]
    row = {line: k for k, line in enumerate(lines)}
    owner: dict[int, int] = {}
    for word, lane in words:
        owner.setdefault(word, lane)
    cells = []
    for sector in sorted({word // 8 for word in owner}):
        if sector // 4 in row:
            cells += [(row[sector // 4], word % 32, owner.get(word, -1)) for word in range(8 * sector, 8 * sector + 8)]
    return [f"byte {128 * line}" for line in lines], cells


def _banks(words: list[tuple[int, int]]) -> tuple[list[str], list[tuple[int, int, int]]]:
    """A column for each bank; words that meet in a bank stand one under the other, and take a wavefront each."""
    depth: dict[int, int] = {}
    cells, seen = [], set()
    for word, lane in words:
        if word not in seen and depth.get(word % 32, 0) < MOST_ROWS:
            seen.add(word)
            cells.append((depth.get(word % 32, 0), word % 32, lane))
            depth[word % 32] = depth.get(word % 32, 0) + 1
    return [f"wavefront {k + 1}" for k in range(max(depth.values(), default=0))], cells


def color(lane: int) -> str:
    """The color of a lane; gray for nobody's.

    >>> color(-1), color(0)
    ('#d9d9d9', '#d16b6b')
    """
    if lane < 0:
        return "#d9d9d9"
    red, green, blue = colorsys.hls_to_rgb(lane / 32, 0.62, 0.53)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"


def write_html(measured: Measured, path: Path) -> None:
    """A page with the tables of the inspection and the pictures."""
    parts = [f"<h1>{html.escape(measured.ladder.name)} {measured.step.name}</h1>"]
    parts.append(f"<pre>{html.escape(chr(10).join(inspection(measured, 200)))}</pre>")
    parts.append(f"<p>{LEGEND}</p>")
    for record in measured.records:
        parts.append(f"<h2>{html.escape(record.kernel.name)}</h2>")
        parts += [_svg(panel) for panel in panels(counts(record))]
    page = f"<!doctype html><meta charset=utf-8><title>{measured.ladder.name}</title><style>{STYLE}</style>"
    path.write_text(page + "\n".join(parts), encoding="utf-8")


def _svg(panel: Panel, size: int = 22) -> str:
    left, height = 96, size * len(panel.rows)
    shapes = []
    for row, column, lane in panel.cells:
        x, y = left + size * column, size * row
        shapes.append(f"<rect x={x} y={y} width={size} height={size} fill='{color(lane)}' stroke=white />")
        if lane >= 0:
            shapes.append(f"<text x={x + size / 2} y={y + size * 0.7} text-anchor=middle>{lane}</text>")
    for row, name in enumerate(panel.rows):
        shapes.append(f"<text x=0 y={size * row + size * 0.7}>{name}</text>")
        for x in range(left, left + 32 * size, 8 * size):
            shapes.append(f"<rect x={x} y={size * row} width={8 * size} height={size} fill=none stroke=#555 />")
    title = f"<h3>{html.escape(panel.title)}</h3><code>{html.escape(panel.text)}</code><br>"
    return f"{title}<svg width={left + size * panel.columns + 2} height={height + 2}>{''.join(shapes)}</svg>"


def write_png(measured: Measured, path: Path) -> None:
    """The same pictures in one image."""
    try:
        import matplotlib
    except ImportError:
        raise ImportError("a PNG needs matplotlib: pip install 'minigrad[viz]'; --html needs nothing") from None
    matplotlib.use("Agg", force=False)
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    drawn = [panel for record in measured.records for panel in panels(counts(record))]
    heights = [len(panel.rows) + 2.2 for panel in drawn]
    figure = Figure(figsize=(12, 0.3 * sum(heights) + 0.3), layout="constrained")
    axes = figure.subplots(len(drawn), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for panel, ax in zip(drawn, axes):
        for row, column, lane in panel.cells:
            ax.add_patch(Rectangle((column, row), 1, 1, facecolor=color(lane), edgecolor="white"))
            if lane >= 0:
                ax.text(column + 0.5, row + 0.55, str(lane), ha="center", va="center", fontsize=6)
        ax.set(xlim=(0, panel.columns), ylim=(len(panel.rows), 0), xticks=[0, 8, 16, 24, 32])
        ax.set_yticks([k + 0.5 for k in range(len(panel.rows))], panel.rows, fontsize=7)
        ax.set_title(f"{panel.title}\n{panel.text[:110]}".replace("$", r"\$"), fontsize=8, loc="left", family="monospace")
        ax.grid(axis="x", color="#555555")
    figure.savefig(path, dpi=110)


def write_chart(all_measured: list[Measured], path: Path) -> None:
    """The ladder as bars: traffic, wavefronts and instructions of each step."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("a chart needs matplotlib: pip install 'minigrad[viz]'") from None
    quantities = {
        "bytes of global memory": lambda c: c.traffic,
        "wavefronts of shared memory": lambda c: c.wavefronts,
        "instructions of warps": lambda c: c.warps,
    }
    figure = Figure(figsize=(12, 0.45 * len(all_measured) + 1.4), layout="constrained")
    for ax, (title, value) in zip(figure.subplots(1, 3, sharey=True), quantities.items()):
        ax.barh([m.step.name for m in all_measured], [value(m.total) for m in all_measured], color="#4878a8")
        ax.set_title(f"{title}, counted", fontsize=9)
        ax.invert_yaxis() if ax.get_subplotspec().is_first_col() else None
        ax.spines[["top", "right"]].set_visible(False)
    first = all_measured[0]
    figure.suptitle(", ".join([first.ladder.name, *(f"{k}={v}" for k, v in first.case.items())]), fontsize=10)
    figure.savefig(path, dpi=110)
