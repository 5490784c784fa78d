"""Every operation on device "cuda": the declarations of tests/ops, run on the stand-in, against torch.

What runs here is what runs on a card: the same formulas, rules and fallbacks, with CuPy's refusals.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad.fast import use_fast_paths

from ..ops.cases import CASES, Case
from ..ops.test_cases import TOLERANCE, close, theirs
from . import standin

MAKERS = {name for name in ("tensor", "zeros", "ones", "full", "empty", "eye", "arange", "linspace", "rand", "randn", "randint", "randperm")}


class OnCuda(ModuleType):
    """minigrad, where new tensors are on the device unless something else is said."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(mg, name)
        return (lambda *a, **k: found(*a, **{"device": "cuda", **k})) if name in MAKERS else found


LIBRARY = OnCuda("minigrad")


def on_device(case: Case, arrays: list, dtype: type) -> list:
    return [
        mg.tensor(a, dtype=dtype if a.dtype == np.float64 else None, device="cuda", requires_grad=spec.grad)
        for a, spec in zip(arrays, case.inputs)
    ]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_runs_on_the_device_in_float32(case: Case) -> None:  # by the formulas; test_kernels.py has the kernels
    with standin.installed() as cupy, use_fast_paths(False):
        arrays = case.arrays()
        y = case.call(LIBRARY, *on_device(case, arrays, np.float32))
        expected = case.call(torch, *theirs(case, arrays, np.float32))
        assert type(y.array) is cupy.ndarray and str(y.dtype) == str(expected.dtype).removeprefix("torch.")
        close(y.detach().cpu().numpy(), expected.detach().numpy(), TOLERANCE[np.float32] * case.tolerance, "forward")
        if y.requires_grad:
            y.backward(mg.randn(y.shape, dtype=y.dtype, device="cuda"))


def check_case(case: Case, arrays_of: type, slack: float = 1.0) -> None:
    """Forward, the rules on Tensors and the rules on arrays, all of them on the device, against torch on the CPU.

    Args:
        arrays_of: the type that every result has to have.
        slack: factor on the tolerances: a card adds up in another order.
    """
    arrays = case.arrays()
    mine, torchs = on_device(case, arrays, np.float64), theirs(case, arrays, np.float64)
    y, expected = case.call(LIBRARY, *mine), case.call(torch, *torchs)
    assert type(y.array) is arrays_of and y.is_cuda, "the result left the device"
    assert str(y.dtype) == str(expected.dtype).removeprefix("torch.")
    tolerance = TOLERANCE[np.float64] * case.tolerance * slack
    close(y.detach().cpu().numpy(), expected.detach().numpy(), tolerance, "forward")
    weights = np.random.default_rng(case.index).standard_normal(y.shape)
    if not y.requires_grad:
        return
    leaves = [x for x in mine if x.requires_grad]
    g = mg.tensor(weights, device="cuda", requires_grad=True)
    first = mg.autograd.grad(y, leaves, g, create_graph=True, allow_unused=True)  # the rules on Tensors
    again = [x for x in first if x is not None and x.requires_grad]
    if case.second and again:
        second = mg.autograd.grad(again, leaves, [mg.randn(x.shape, dtype=x.dtype, device="cuda") for x in again], allow_unused=True)
        assert all(type(x.array) is arrays_of for x in second if x is not None)
    y = case.call(LIBRARY, *mine)
    y.backward(mg.tensor(weights, device="cuda"))  # the rules on arrays
    expected.backward(torch.tensor(weights))
    for i, (a, b) in enumerate(zip(mine, torchs)):
        if b.grad is None:
            assert a.grad is None or not a.grad.cpu().numpy().any()
            continue
        assert type(a.grad.array) is arrays_of
        close(a.grad.cpu().numpy(), b.grad.numpy(), tolerance * 5, f"gradient of input {i}")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_runs_on_the_device(case: Case) -> None:
    with standin.installed() as cupy:
        check_case(case, cupy.ndarray)
