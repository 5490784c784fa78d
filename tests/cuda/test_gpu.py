"""On a real card: `make gpu`. Skipped, with the reason, where there is none; then the other tests of this folder stand in.

These are the same declarations that run on the stand-in, so what fails here and not there is where CuPy, or the card,
differs from what the stand-in believes: mend the stand-in first, then the code.
"""

from __future__ import annotations

import importlib
import pkgutil

import numpy as np
import pytest
import torch
from minigrad.kernels import cuda as folder
from minigrad.kernels.cuda.launcher import launch, on_card
from minigrad.kernels.ladder import Ladder

import minigrad as mg
from minigrad import backend
from minigrad.fast import use_fast_paths

from ..ops.cases import CASES, Case
from . import test_kernels, test_training, test_whole_numbers
from .test_registry import LIBRARY, check_case

pytestmark = pytest.mark.gpu

LADDERS = {
    f"{ladder.name} {step.name} {number}": (ladder, step, case)
    for module in pkgutil.iter_modules(folder.__path__)
    for ladder in vars(importlib.import_module(f"{folder.__name__}.{module.name}")).values()
    if isinstance(ladder, Ladder)
    for step in ladder.steps
    for number, case in enumerate(ladder.cases)
    if step.supports(case)
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_operation(case: Case) -> None:
    check_case(case, backend.cupy().ndarray, slack=100)


@pytest.mark.parametrize("name", test_whole_numbers.CALLS)
def test_whole_numbers_and_truths(name: str) -> None:
    arrays = [getattr(test_whole_numbers, n) for n in ("INTS", "MORE", "TRUTHS", "FLOATS")]
    found = test_whole_numbers.CALLS[name](LIBRARY, *(mg.tensor(a, device="cuda") for a in arrays))
    expected = test_whole_numbers.CALLS[name](torch, *map(torch.tensor, arrays))
    np.testing.assert_allclose(found.cpu().numpy(), expected.numpy(), rtol=1e-9)


@pytest.mark.parametrize("name", LADDERS)
def test_every_kernel(name: str) -> None:
    """Each step of each ladder, at each declared shape, against NumPy in float64."""
    ladder, step, case = LADDERS[name]
    given = ladder.inputs(np.random.default_rng(0), **case)
    found = step.run(launch, case, **{key: on_card(value) for key, value in given.items()})
    for key, right in ladder.reference(case, **given).items():
        if key not in found or found[key] is None:
            continue
        tolerance = ladder.tolerance[key] if isinstance(ladder.tolerance, dict) else ladder.tolerance
        pairs = zip(found[key], right) if isinstance(right, list) else [(found[key], right)]
        for mine, theirs in pairs:
            np.testing.assert_allclose(mine.get(), theirs, rtol=3 * tolerance, atol=3 * tolerance, err_msg=key)


@pytest.mark.parametrize("name", test_kernels.CASES)
def test_kernels_in_the_engine(name: str) -> None:
    call, arrays, _ = test_kernels.CASES[name]
    with use_fast_paths(False):
        expected = test_kernels.results(call, arrays, "cpu")
    for mine, right in zip(test_kernels.results(call, arrays, "cuda"), expected):
        np.testing.assert_allclose(mine, right, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("products", ["cublas", "minigrad"])
def test_gpt_step(products: str) -> None:
    try:
        mg.cuda.preferred_blas_library(products)
        found = test_training.step(test_training.gpt(), test_training.gpt_loss, test_training.adamw, test_training.TOKENS, "cuda")
    finally:
        mg.cuda.preferred_blas_library("cublas")
    expected = test_training.step(test_training.gpt(), test_training.gpt_loss, test_training.adamw, test_training.TOKENS, "cpu")
    test_training.compare(found, expected, 1e-3)


def test_asynchronous_copies_streams_and_memory() -> None:
    a = np.random.default_rng(0).standard_normal((512, 512)).astype(np.float32)
    mg.cuda.reset_peak_memory_stats()
    stream = mg.cuda.Stream()
    with mg.cuda.stream(stream):
        x = mg.tensor(a).pin_memory().to("cuda", non_blocking=True)
        back = (x + 1).to("cpu", non_blocking=True)
    stream.synchronize()
    np.testing.assert_array_equal(back.numpy(), a + 1)
    assert mg.cuda.max_memory_allocated() >= a.nbytes and mg.cuda.memory_reserved() >= mg.cuda.memory_allocated() > 0
    start, end = mg.cuda.Event(enable_timing=True), mg.cuda.Event(enable_timing=True)
    start.record()
    x @ x
    end.record()
    end.synchronize()
    assert start.elapsed_time(end) > 0


def test_draws() -> None:
    mg.manual_seed(0)
    z = mg.randn(1_000_000, device="cuda").cpu().numpy()
    assert abs(z.mean()) < 0.01 and abs(z.std() - 1) < 0.01
    mg.manual_seed(0)
    assert (mg.randn(1_000_000, device="cuda").cpu().numpy() == z).all()
    assert sorted(mg.randperm(1000, device="cuda").tolist()) == list(range(1000))
