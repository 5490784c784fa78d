"""vjp, jvp, jacobian, hessian, hvp, vhp beside PyTorch's."""

from __future__ import annotations

import minigrad.autograd.functional as functional
import numpy as np
import pytest
import torch
import torch.autograd.functional

import minigrad as mg

rng = np.random.default_rng(0)
A, B = rng.standard_normal((2, 3)), rng.standard_normal(3)

FUNCTIONS = {  # name: (function, inputs, shapes of the outputs)
    "one to one": (lambda t, x: (x * x).tanh() @ t.tensor(B), (A,), ((2,),)),
    "two to one": (lambda t, x, y: x.exp() * y, (A, B), ((2, 3),)),
    "one to two": (lambda t, x: ((x * x).sum(0), x[0, 1] ** 3), (A,), ((3,), ())),
    "two to two": (lambda t, x, y: (x * y, y.sin()), (A, B), ((2, 3), (3,))),
    "linear": (lambda t, x: x * 2, (A,), ((2, 3),)),
    "empty": (lambda t, x: x[:0] * x[0, 0], (A,), ((0, 3),)),
}
NUMBERS = {
    "one": (lambda t, x: (x**3).sum() * x[0, 0], (A,)),
    "two": (lambda t, x, y: ((x * y).sin() * y).sum(), (A, B)),
    "not of the second": (lambda t, x, y: (x * x * x).sum(), (A, B)),
    "linear": (lambda t, x: x.sum() * 2, (A,)),
    "one element": (lambda t, x: (x**3).sum((0, 1)).reshape(1), (A,)),
}


def flat(x):
    return [z for each in x for z in flat(each)] if isinstance(x, (tuple, list)) else [x]


def shape(x):
    return [shape(each) for each in x] if isinstance(x, (tuple, list)) else "tensor"


def twins(name, function, inputs, vectors=None, **options):
    """Call PyTorch's function and ours, and compare structures, values, and derivatives of the results."""
    results = []
    for t in (mg, torch):
        x = [t.tensor(a, requires_grad=True) for a in inputs]
        v = [] if vectors is None else [t.tensor(a, requires_grad=True) for a in vectors]
        one = [() if vectors is None else (v[0] if len(v) == 1 else tuple(v),)][0]
        out = getattr(t.autograd.functional, name)(
            lambda *x, t=t: function(t, *x), x[0] if len(x) == 1 else tuple(x), *one, **options
        )
        every = flat(out)
        grads = []
        if options.get("create_graph"):
            total = sum((z * (i + 1.5)).sin().sum() for i, z in enumerate([*every, *x, *v]))
            grads = [
                t.zeros(z.shape, dtype=t.float64) if g is None else g
                for g, z in zip(t.autograd.grad(total, x + v, allow_unused=True), x + v)
            ]
        else:
            assert not any(z.requires_grad for z in every)
        results.append((shape(out), every + grads))
    (a, ours), (b, theirs) = results
    assert a == b
    for x, y in zip(ours, theirs, strict=True):
        assert tuple(x.shape) == tuple(y.shape)
        np.testing.assert_allclose(x.detach().numpy(), y.detach().numpy(), rtol=1e-10, atol=1e-12)


def like(arrays_or_shapes):
    return [rng.standard_normal(getattr(s, "shape", s)) for s in arrays_or_shapes]


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_first_derivatives(name, create_graph):
    function, inputs, outputs = FUNCTIONS[name]
    twins("vjp", function, inputs, like(outputs), create_graph=create_graph)
    twins("jvp", function, inputs, like(inputs), create_graph=create_graph)
    if name != "empty":  # torch cannot
        twins("jacobian", function, inputs, create_graph=create_graph)


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", NUMBERS)
def test_second_derivatives(name, create_graph):
    function, inputs = NUMBERS[name]
    twins("hessian", function, inputs, create_graph=create_graph)
    twins("vhp", function, inputs, like(inputs), create_graph=create_graph)
    twins("hvp", function, inputs, like(inputs), create_graph=create_graph)
    if name != "one element":
        twins("vjp", function, inputs, create_graph=create_graph)


def test_jacobian_of_nothing():
    assert functional.jacobian(lambda x: x[:0], mg.tensor(A)).shape == (0, 3, 2, 3)


def test_the_arguments_are_left_alone():
    x = mg.tensor(A, requires_grad=True)
    with mg.no_grad():
        functional.hessian(lambda x: (x**3).sum(), x)
    assert x.grad is None and x.is_leaf


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda f: f.vjp(lambda x: x, mg.ones(2)), RuntimeError, "vjp: v can only be left out for a single output"),
        (lambda f: f.jvp(lambda x: x, mg.ones(2)), RuntimeError, "jvp: v can only be left out for a single input"),
        (lambda f: f.vjp(lambda x: x, mg.ones(2), mg.ones(3)), RuntimeError, r"expected \[\(2,\)\], got \[\(3,\)\]"),
        (lambda f: f.vjp(lambda x: 3, mg.ones(2)), TypeError, "vjp: outputs must be a Tensor or a tuple of them, got int"),
        (lambda f: f.jacobian(lambda x: x, 3.0), TypeError, "jacobian: inputs must be a Tensor"),
        (lambda f: f.jacobian(lambda x: x, mg.tensor([1])), RuntimeError, "input 0 is int64; only floating point"),
        (lambda f: f.hessian(lambda x: x, mg.ones(2)), RuntimeError, r"one element, got a Tensor of shape \(2,\)"),
        (lambda f: f.hvp(lambda x: 3, mg.ones(2), mg.ones(2)), RuntimeError, "one element, got int"),
        (
            lambda f: f.jacobian(lambda x, y: x, (mg.ones(2), mg.ones(1)), strict=True), RuntimeError,
            "jacobian: the outputs do not depend on input 1",
        ),
    ],
)  # fmt: skip
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call(functional)
