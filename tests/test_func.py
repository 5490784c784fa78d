"""Derivatives of functions as functions, beside PyTorch's: also inside one another, and of tensors they only see."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.func

import minigrad as mg

rng = np.random.default_rng(0)
A, B, C = rng.standard_normal((2, 3)), rng.standard_normal(3), rng.standard_normal()

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

USES = {
    "grad": lambda t, x, y, c: t.func.grad(lambda x: (x**3 * y).sum())(x),
    "argnums": lambda t, x, y, c: t.func.grad(lambda x, y: (x**3 * y).sum(), argnums=1)(x, y),
    "several": lambda t, x, y, c: t.func.grad(lambda x, y: (x**3 * y).sum(), argnums=(1, 0))(x, y),
    "aux": lambda t, x, y, c: t.func.grad(lambda x: ((x * x).sum(), x * 2), has_aux=True)(x),
    "value": lambda t, x, y, c: t.func.grad_and_value(lambda x: (x * x).sum())(x),
    "value and aux": lambda t, x, y, c: t.func.grad_and_value(lambda x: ((x * x).sum(), x * 2), has_aux=True)(x),
    "third": lambda t, x, y, c: t.func.grad(t.func.grad(t.func.grad(lambda c: (c * 2).sin() * c)))(c),
    "perturbation": lambda t, x, y, c: t.func.grad(lambda a: a * t.func.grad(lambda b: a * b * b)(c))(c),
    "kwargs": lambda t, x, y, c: t.func.grad(lambda x, *, k: (x**3).sum() * k)(x, k=c),
    "jacrev": lambda t, x, y, c: t.func.jacrev(lambda x: (x * y).exp())(x),
    "jacrev several": lambda t, x, y, c: t.func.jacrev(lambda x, y: (x * y, y.sum()), argnums=(0, 1))(x, y),
    "jacfwd": lambda t, x, y, c: t.func.jacfwd(lambda x: x @ y * x.sum())(x),
    "hessian": lambda t, x, y, c: t.func.hessian(lambda x: (x * x * x * y).sum() * x[0, 0])(x),
    "hessian of several": lambda t, x, y, c: t.func.hessian(lambda x, y: (x * x * y.sin()).sum(), argnums=(0, 1))(x, y),
    "vjp": lambda t, x, y, c: t.func.vjp(lambda x: (x * x).sum(0), x)[1](y),
    "vjp several": lambda t, x, y, c: t.func.vjp(lambda x, y: (x * y, y.sum()), x, y)[1]((x, c)),
    "vjp aux": lambda t, x, y, c: (lambda r: (r[0], r[1](y), r[2]))(t.func.vjp(lambda x: (x.sum(0), x), x, has_aux=True)),
    "jvp": lambda t, x, y, c: t.func.jvp(lambda x, y: x.exp() * y, (x, y), (x * 2, y * y)),
    "jvp of grad": lambda t, x, y, c: t.func.jvp(t.func.grad(lambda x: (x**3).sum() * x[0, 0]), (x,), (x * x,)),
    "jvp several": lambda t, x, y, c: t.func.jvp(lambda x: (x.sum(0), x * x), (x,), (x * 2,)),
    "jvp aux": lambda t, x, y, c: t.func.jvp(lambda x: (x * x, x), (x,), (x * 2,), has_aux=True),
}


def flat(x):
    return [z for each in x for z in flat(each)] if isinstance(x, (tuple, list)) else [x]


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("tracked", [False, True])
def test_as_torch(use, tracked):
    rows = []
    for t in (mg, torch):
        inputs = [t.tensor(a, requires_grad=tracked) for a in (A, B, C)]
        found = flat(USES[use](t, *inputs))
        if tracked:
            total = sum((z * (i + 1.5)).sin().sum() for i, z in enumerate(found))
            grads = t.autograd.grad(total, inputs, allow_unused=True)
            found += [z * 0 if g is None else g for z, g in zip(inputs, grads)]
        else:
            assert not any(z.requires_grad for z in found)
        rows.append(found)
    for a, b in zip(*rows, strict=True):
        assert tuple(a.shape) == tuple(b.shape)
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-10, atol=1e-12)


def test_under_no_grad():
    with mg.no_grad():
        assert mg.func.grad(lambda x: x * x)(mg.tensor(3.0)).item() == 6


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda f: f.grad(lambda x: x)(mg.ones(2)), RuntimeError, r"shape \(\), got shape \(2,\); use jacrev"),
        (lambda f: f.grad(lambda x: 3)(mg.ones(2)), RuntimeError, r"shape \(\), got int"),
        (lambda f: f.grad(lambda x: x.sum(), argnums=1)(mg.ones(2)), RuntimeError, "argnums has 1, but there are only 1"),
        (lambda f: f.grad(lambda x: x.sum(), has_aux=True)(mg.ones(2)), RuntimeError, r"must return \(output, aux\)"),
        (lambda f: f.vjp(lambda x: x, mg.ones(2))[1](mg.ones(3)), RuntimeError, r"shapes \[\(2,\)\], got \[\(3,\)\]"),
        (lambda f: f.jvp(lambda x: x, mg.ones(2), mg.ones(2)), TypeError, "primals must be a tuple of tensors, got Tensor"),
        (lambda f: f.jvp(lambda x: x, (mg.ones(2),), (mg.ones(3),)), RuntimeError, r"\[\(2,\)\], got \[\(3,\)\]"),
        (lambda f: f.vmap(lambda x: x), NotImplementedError, "batch dimension"),
    ],
)
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call(mg.func)
