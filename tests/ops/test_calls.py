"""The texts that are made for each operation: what may be passed, and names that they use themselves."""

from __future__ import annotations

import builtins

import numpy as np
import pytest

import minigrad as mg
from minigrad import calls
from minigrad.op import REGISTRY, op

OWN = sorted({*calls._TAKEN, "wanted", "mine"} - {"out"})


@pytest.fixture
def declare():
    """Declares operations, and takes them back out of the registry."""
    before = set(REGISTRY)
    yield lambda text, name: exec(text, {"op": op}, found := {}) or found[name]
    for name in set(REGISTRY) - before:
        del REGISTRY[name]


@pytest.mark.parametrize("name", OWN)
def test_an_argument_may_be_called_as_anything(name, declare):
    f = declare(
        f"@op(dtypes='promote', {name}=lambda g, b: g * b, b=lambda g, {name}: g * {name})\n"
        f"def product(xp, {name}, b): return {name} * b",
        "product",
    )
    rng = np.random.default_rng(0)
    x, y, g = (mg.tensor(rng.normal(size=3), requires_grad=True) for _ in range(3))
    f(x, y).backward(g.detach())
    assert np.array_equal(x.grad.numpy(), (g * y).detach().numpy())
    assert np.array_equal(y.grad.numpy(), (g * x).detach().numpy())
    x.grad = None
    f(x, 2.5).backward(g.detach())
    f(b=x, **{name: 0.5}).backward(g.detach())
    assert np.array_equal(x.grad.numpy(), (g * 3).detach().numpy())


def test_all_names_of_the_texts_are_known():
    functions = [(f.op, f) for f in (mg.mul, mg.add, mg.tanh, mg.sum, mg.transpose)]
    for operation in REGISTRY.values():
        plans = [operation.plan(1 << i, len(operation.arguments)) for i in range(len(operation.arguments))]
        functions += [(operation, plan.record) for plan in plans]
    for operation, function in functions:
        ends = ("", "_array", "_storage")
        own = {operation.name} | {f"{x}{end}" for x in operation.arguments for end in ends}
        code = function.__code__
        names = {*code.co_varnames, *code.co_freevars, *(n for n in code.co_names if hasattr(builtins, n))}
        assert names <= calls._TAKEN | own, f"{operation}: {names - calls._TAKEN - own}"


def test_options_by_name_by_position_and_left_out():
    x, y = mg.tensor([1.0, -2.0]), mg.tensor([3.0, 5.0])
    assert mg.add(x, y).tolist() == [4, 3]
    assert mg.add(x, y, alpha=2).tolist() == mg.add(x, y, 2).tolist() == mg.add(input=x, other=y, alpha=2).tolist() == [7, 8]
    with pytest.raises(TypeError, match="has no argument 'beta'"):
        mg.add(x, y, beta=2)
    with pytest.raises(TypeError, match="has no argument 'beta'"):
        mg.add(x, 1.5, beta=2)
    assert mg.add(x, 1.5, alpha=2).tolist() == [4, 1]


def test_what_was_made_from_a_number_is_not_watched_for_writes():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3.0
    y.add_(1.0)  # mul keeps the number only
    y.backward(mg.tensor([1.0, -1.0]))
    assert x.grad.tolist() == [3, -3]
