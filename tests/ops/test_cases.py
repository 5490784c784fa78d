"""What is made from the declarations in cases.py."""

from __future__ import annotations

import warnings
from collections import defaultdict

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad.autograd import gradcheck, gradgradcheck
from minigrad.op import REGISTRY

from .cases import CASES, Case

TOLERANCE = {np.float64: 1e-11, np.float32: 2e-5}


def ours(case: Case, arrays: list, dtype: type) -> list:
    return [
        mg.tensor(a, dtype=dtype, requires_grad=spec.grad) if a.dtype == np.float64 else mg.tensor(a)
        for a, spec in zip(arrays, case.inputs)
    ]


def theirs(case: Case, arrays: list, dtype: type) -> list:
    return [
        torch.tensor(a.astype(dtype), requires_grad=spec.grad) if a.dtype == np.float64 else torch.tensor(a)
        for a, spec in zip(arrays, case.inputs)
    ]


def close(found, expected, tolerance: float, what: str) -> None:
    assert tuple(found.shape) == tuple(expected.shape), what
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance, err_msg=what)


def compare(case: Case, mine: list, torchs: list, dtype: type) -> None:
    """Forward, dtype, and the gradient of a random weighting, against torch."""
    y, expected = case.call(mg, *mine), case.call(torch, *torchs)
    assert str(y.dtype) == str(expected.dtype).removeprefix("torch."), "dtype of the result"
    tolerance = TOLERANCE[dtype] * case.tolerance
    close(y.detach().numpy(), expected.detach().numpy(), tolerance, "forward")
    assert y.requires_grad == expected.requires_grad
    weights = np.random.default_rng(case.index).standard_normal(y.shape).astype(y.dtype)
    y.backward(mg.tensor(weights))
    expected.backward(torch.tensor(weights))
    for i, (a, b) in enumerate(zip(mine, torchs)):
        if b.requires_grad:
            if b.grad is None:  # torch has no gradient where the result does not depend on the input
                assert a.grad is None or not a.grad.numpy().any()
                continue
            assert a.grad.dtype == a.dtype
            close(a.grad.numpy(), b.grad.numpy(), tolerance * 5, f"gradient of input {i}")


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_with_torch(case, dtype):
    arrays = case.arrays()
    compare(case, ours(case, arrays, dtype), theirs(case, arrays, dtype), dtype)


def strided(a: np.ndarray, how: int) -> np.ndarray:
    """The same numbers in memory of another layout: every second element, backwards, or column-major."""
    if a.ndim == 0:
        return a
    if how == 0:
        wide = np.zeros((*a.shape[:-1], a.shape[-1] * 2), a.dtype)
        wide[..., ::2] = a
        return wide[..., ::2]
    return np.ascontiguousarray(a[::-1])[::-1] if how == 1 else np.asfortranarray(a)


@pytest.mark.parametrize("how", [0, 1, 2], ids=["gaps", "reversed", "fortran"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_memory_layout_does_not_matter(case, how):
    if case.name in ("view", "view_as"):
        return  # refusing other layouts is what they are for
    arrays = case.arrays()
    mine = [mg.from_numpy(strided(a, how)).requires_grad_(s.grad) for a, s in zip(arrays, case.inputs)]
    compare(case, mine, theirs(case, arrays, np.float64), np.float64)


@pytest.mark.parametrize("case", [case for case in CASES if case.differences], ids=str)
def test_derivatives_agree_with_finite_differences(case):
    inputs = ours(case, case.arrays(), np.float64)
    assert gradcheck(lambda *x: case.call(mg, *x), inputs, atol=1e-7, rtol=1e-6)
    if case.second:
        assert gradgradcheck(lambda *x: case.call(mg, *x), inputs, atol=1e-6, rtol=1e-5)


def cases_of_rules() -> dict[tuple[str, str], list[Case]]:
    """Which cases run which rule."""
    used: dict[tuple[str, str], list[Case]] = defaultdict(list)
    originals = {name: dict(op.rules) for name, op in REGISTRY.items()}
    current: list[Case] = []

    def spy(key, rule):
        def run(*args):
            if current[0] not in used[key]:
                used[key].append(current[0])
            return rule(*args)

        return run

    for name, op in REGISTRY.items():
        for argument, (rule, wants) in originals[name].items():
            op.rules[argument] = (spy((name, argument), rule), wants)
        op.plans.clear()
    try:
        for case in CASES:
            current[:] = [case]
            inputs = ours(case, case.arrays(), np.float64)
            y = case.call(mg, *inputs)
            g = mg.randn(y.shape, dtype=y.dtype, requires_grad=True)
            y.backward(g, retain_graph=True)
            leaves = [x for x in inputs if x.requires_grad]
            for x in mg.autograd.grad(y, leaves, g, create_graph=True, allow_unused=True):  # some run in these only
                if x is not None and x.requires_grad:
                    x.backward(mg.randn(x.shape, dtype=x.dtype), retain_graph=True)
    finally:
        for name, op in REGISTRY.items():
            op.rules.update(originals[name])
            op.plans.clear()
    return used


def test_every_rule_is_exercised():
    """An operation without a case, or a rule that no case runs, fails here: declare one in cases.py."""
    missing = {(name, argument) for name, op in REGISTRY.items() for argument in op.rules} - cases_of_rules().keys()
    assert not missing - {("transfer", "input")}  # needs a second device


def test_results_do_not_warn():
    """Infinities and NaN are values here, as in torch, not something NumPy may warn about."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = mg.tensor([0.0, -1.0, 1e38, float("inf"), float("nan")], requires_grad=True)
        for f in (mg.log, mg.sqrt, mg.exp, mg.reciprocal, mg.square, mg.rsqrt, lambda x: x - x, lambda x: x * 0 / 0):
            f(x).sum().backward()
