"""What is printed while it is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .measure import disturbed
from .statistic import geometric_mean, middle, ratio, ratios, share


def number(value: float | None) -> str:
    """Three digits.

    >>> number(0.07123), number(2.0), number(331.2), number(None)
    ('0.0712', '2.00', '331', '-')
    """
    return "-" if value is None else f"{value:.0f}" if value >= 100 else f"{value:#.3g}"


def header(others: Sequence[str]) -> str:
    """Of the table of training steps."""
    marks = "".join(f"{name + ' ms':>15}{'ratio':>7}{'(from - to)':>15}" for name in others)
    return f"{'':37}{'minigrad ms':>11}{marks}{'peak MB':>10}"


def line(row: Mapping[str, Any], others: Sequence[str]) -> str:
    """One training step."""
    if row["void"]:
        return f"{row['title']:37}void: {row['void']}"
    text = f"{row['title']:37}{number(middle(row, 'minigrad')):>11}"
    for name in others:
        found = ratios(row, name)
        text += f"{number(middle(row, name)):>15}"
        text += f"{ratio(row, name):7.2f}{f'({min(found):.2f} - {max(found):.2f})':>15}" if found else f"{'':22}"
    peaks = [row["contenders"].get(name, {}).get("peak_mb") for name in ("minigrad", "torch")]
    text += f"{number(peaks[0]):>10}" + (f" ({peaks[0] / peaks[1]:.2f} of torch's)" if all(peaks) else "")
    turns = sum(len(known["others"]) for known in row["contenders"].values())
    found = disturbed(row)
    return text + (f"  ! {len(found)} of {turns} turns disturbed, by up to {max(found):.1f} cores" if found else "")


def compact(rows: Sequence[Mapping[str, Any]], contenders: Sequence[str]) -> list[str]:
    """Many contenders: the time of each in ms, and in brackets the ratio of minigrad's to it."""
    lines = [f"{'ms (ratio)':37}" + "".join(f"{name:>17}" for name in contenders)]
    for row in rows:
        cells = []
        for name in contenders:
            found = ratio(row, name)
            cells.append(number(middle(row, name)) + ("" if found is None or name == "minigrad" else f" ({found:.2f})"))
        lines.append(f"{row['title']:37}" + (f"void: {row['void']}" if row["void"] else "".join(f"{c:>17}" for c in cells)))
    return lines


def summary(rows: Sequence[Mapping[str, Any]], others: Sequence[str]) -> list[str]:
    """Geometric means, and what could not be measured."""
    lines = []
    for name in others:
        found = [value for row in rows if (value := ratio(row, name)) is not None]
        if len(found) > 1:
            lines.append(f"geometric mean of {len(found)} ratios to {name}: {geometric_mean(found):.3f}")
    lines += [f"{row['name']}: {name} failed: {why}" for row in rows for name, why in row["failed"].items()]
    return lines


def operation_header(others: Sequence[str]) -> str:
    """Of the table of operations."""
    marks = "".join(f"{name + ' ms':>10}{'ratio':>7}" for name in others)
    return f"{'forward and backward':43}{'ms':>8}{marks}{'MB':>8}{'MFLOP':>9}{'share of the machine':>22}{'torch':>8}"


def operation_line(row: Mapping[str, Any], peaks: Mapping[str, Any], others: Sequence[str]) -> str:
    """One operation."""
    if row["void"]:
        return f"{row['name']:43}void: {row['void']}"
    text = f"{row['name']:43}{number(middle(row, 'minigrad', 'both')):>8}"
    for name in others:
        found = ratio(row, name, "both")
        text += f"{number(middle(row, name, 'both')):>10}" + (f"{found:7.2f}" if found else f"{'-':>7}")
    text += f"{row['bytes'][1] / 1e6:8.2f}{row['flops'][1] / 1e6:9.1f}"
    for name, width in (("minigrad", 22), ("torch", 8)):
        found = share(row, peaks, name)
        text += f"{'-' if found is None else f'{found:.0%}':>{width}}"
    return text
