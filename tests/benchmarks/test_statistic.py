"""The arithmetic behind every figure: by hand."""

from __future__ import annotations

import math

import pytest

from minigrad.bench.statistic import bandwidth, disagreement, geometric_mean, middle, quarter, ratio, ratios, share


@pytest.mark.parametrize(
    ("times", "expected"),
    [([7.0], 7.0), ([1.0, 3.0], 1.5), ([5.0, 1.0, 2.0, 4.0, 3.0], 2.0), ([1.0, 1.0, 1.0, 100.0], 1.0), ([4, 3, 2, 1], 1.75)],
)
def test_quarter_is_the_25th_percentile(times: list[float], expected: float):
    assert quarter(times) == expected


def row(void: str | None = None, **ms: list[float]) -> dict:
    return {"void": void, "contenders": {name.replace("_", " "): {"ms": values} for name, values in ms.items()}}


def test_a_ratio_is_the_median_of_the_rounds_not_the_ratio_of_medians():
    measured = row(minigrad=[1.0, 2.0, 30.0], torch=[10.0, 4.0, 40.0])
    assert ratios(measured, "torch") == [0.1, 0.5, 0.75]
    assert ratio(measured, "torch") == 0.5
    assert middle(measured, "torch") == 10.0
    assert ratios(row(minigrad=[1.0], torch_best=[4.0]), "torch best") == [0.25]


def test_void_rows_and_absent_contenders_have_no_ratio():
    assert ratio(row("the losses differ", minigrad=[1.0], torch=[2.0]), "torch") is None
    assert ratio(row(minigrad=[1.0]), "torch") is None
    assert ratio(row(torch=[1.0]), "torch") is None


def test_geometric_mean():
    assert geometric_mean([0.25, 1.0]) == 0.5
    assert geometric_mean([2.0, None, 8.0]) == pytest.approx(4.0)
    assert geometric_mean([None]) is None


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ({"torch": [2.0, 1.0], "minigrad": [2.0, 1.00009]}, None),
        ({"torch": [2.0, 1.0], "minigrad": [2.0, 1.00011]}, "the loss of step 2 is 1.00011 in minigrad and 1 in torch"),
        ({"torch": [2.0, 1.0], "minigrad": [2.0, math.nan]}, "the loss of step 2 is nan in minigrad and 1 in torch"),
        ({"torch": [math.nan, 1.0], "minigrad": [math.nan, 1.0]}, "the loss of step 1 is nan in minigrad and nan in torch"),
        ({"torch": [2.0, 1.0], "torch best": [2.0, 1.0], "minigrad": [3.0, 1.0]}, "step 1 is 3 in minigrad"),
        ({"torch": [-2.0], "minigrad": [2.0]}, "the loss of step 1 is 2 in minigrad and -2 in torch"),
        ({"minigrad": [2.0, 2.0]}, "the loss of minigrad stands still: 2, 2"),
    ],
)
def test_losses_must_agree_and_move(losses: dict, expected: str | None):
    found = disagreement(losses, 1e-4)
    assert found is None if expected is None else found is not None and expected in found


PEAKS = {"gemm_gflops": 100.0, "bandwidth": {"1000": 40.0, "1000000": 10.0}}


def test_bandwidth_is_that_of_the_working_set():
    assert [bandwidth(PEAKS, size) for size in (10, 1000, 10**6, 10**9)] == [40.0, 40.0, 10.0, 10.0]
    assert bandwidth(PEAKS, 1000 * math.sqrt(1000)) == pytest.approx(25.0)


@pytest.mark.parametrize(
    ("flops", "size", "ms", "expected"),
    [
        (1e9, 1000.0, 20.0, 0.5),  # 1 GFLOP at 100 GFLOP/s takes 10 ms: bound by arithmetic
        (0.0, 1e6, 0.4, 0.25),  # 1 MB at 10 GB/s takes 0.1 ms: bound by memory
        (1e6, 1e6, 0.1, 1.0),  # 0.01 ms of arithmetic, 0.1 ms of memory: the longer counts
    ],
)
def test_share_of_the_roofline(flops: float, size: float, ms: float, expected: float):
    measured = {"void": None, "flops": [0, flops], "bytes": [0, size], "contenders": {"minigrad": {"both": [ms]}}}
    assert share(measured, PEAKS, "minigrad") == pytest.approx(expected)
    assert share(measured, PEAKS, "torch") is None
    assert share({**measured, "void": "why"}, PEAKS, "minigrad") is None
