"""What is made of many timings: plain arithmetic, without a clock in it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np


def quarter(times: Sequence[float]) -> float:
    """The 25th percentile: what a step takes when nothing disturbs it. The mean and the median tell of the disturbances.

    >>> quarter([4.0, 1.0, 2.0, 3.0, 50.0])
    2.0
    """
    return float(np.percentile(np.asarray(times, float), 25))


def ratios(row: Mapping[str, Any], other: str, what: str = "ms", one: str = "minigrad") -> list[float]:
    """Time of one contender to that of another, round by round; empty if either was not measured, or the row is void.

    Args:
        row: of the results.
        other, one: contenders.
        what: the times to compare: "ms" of a training step, "forward" or "both" of an operation.

    >>> ratios({"void": None, "contenders": {"minigrad": {"ms": [1.0, 3.0]}, "torch": {"ms": [2.0, 4.0]}}}, "torch")
    [0.5, 0.75]
    """
    both = [row["contenders"].get(name, {}).get(what, []) for name in (one, other)]
    return [] if row["void"] else [ours / theirs for ours, theirs in zip(*both)]


def ratio(row: Mapping[str, Any], other: str, what: str = "ms", one: str = "minigrad") -> float | None:
    """The median of the rounds' ratios; None if there is none."""
    found = ratios(row, other, what, one)
    return float(np.median(found)) if found else None


def middle(row: Mapping[str, Any], contender: str, what: str = "ms") -> float | None:
    """The median of the rounds' times of a contender, in ms; None if it was not measured."""
    found = row["contenders"].get(contender, {}).get(what)
    return float(np.median(found)) if found else None


def bandwidth(peaks: Mapping[str, Any], size: float) -> float:
    """GB/s of the machine for a working set of so many bytes, between those that were measured.

    >>> bandwidth({"bandwidth": {"1000": 80.0, "4000": 20.0}}, 2000)
    50.0
    """
    sizes = sorted(map(int, peaks["bandwidth"]))
    return float(np.interp(math.log(size), np.log(sizes), [peaks["bandwidth"][str(n)] for n in sizes]))


def share(row: Mapping[str, Any], peaks: Mapping[str, Any], contender: str, what: str = "both") -> float | None:
    """Of the time that an operation takes, how much the machine's limits explain: 1 is as fast as it can be.

    The limits are the FLOPs at the speed of the fastest matrix product, or the bytes at the bandwidth that the machine
    has for so many, whichever takes longer. Above 1, a part of the bytes was in a nearer cache than we suppose.
    """
    ms = middle(row, contender, what)
    if ms is None or row["void"]:
        return None
    i = ("forward", "both").index(what)
    bound = max(row["flops"][i] / peaks["gemm_gflops"], row["bytes"][i] / bandwidth(peaks, row["bytes"][i]))
    return bound / 1e6 / ms


def geometric_mean(values: Iterable[float | None]) -> float | None:
    """Of those that there are; None if there are none.

    >>> geometric_mean([0.5, None, 2.0])
    1.0
    """
    there = [value for value in values if value is not None]
    return math.exp(sum(map(math.log, there)) / len(there)) if there else None


def disagreement(losses: Mapping[str, Sequence[float]], tolerance: float) -> str | None:
    """Why the first losses of the contenders make a comparison void; None if they agree.

    Args:
        losses: of each contender; the first is what the others are held against.
        tolerance: relative.

    >>> disagreement({"torch": [2.0, 1.5], "minigrad": [2.0, 1.6]}, 1e-3)
    'the loss of step 2 is 1.6 in minigrad and 1.5 in torch'
    """
    (reference, expected), *others = losses.items()
    for name, found in others:
        for step, (a, b) in enumerate(zip(found, expected), 1):
            if not abs(a - b) <= tolerance * abs(b):  # also where one is NaN
                return f"the loss of step {step} is {a:.6g} in {name} and {b:.6g} in {reference}"
    if len(set(expected)) < len(expected):
        return f"the loss of {reference} stands still: {', '.join(f'{value:.6g}' for value in expected)}"
    return None
