"""Activations, as functions and as layers, against PyTorch's: also at their kinks and far out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn

from .twin import close, pair, same

VALUES = np.array(
    [-800.0, -25.0, -3.0, -2.0, -1.0, -0.5, -0.3, 0.0, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 6.0, 7.0, 7.5, 25.0, 33.0, 800.0]
)
LAYERS = [
    ("ReLU", {}),
    ("ReLU6", {}),
    ("SiLU", {}),
    ("Tanh", {}),
    ("Sigmoid", {}),
    ("LogSigmoid", {}),
    ("Softsign", {}),
    ("GELU", {}),
    ("GELU", {"approximate": "tanh"}),
    ("LeakyReLU", {}),
    ("LeakyReLU", {"negative_slope": 0.3}),
    ("ELU", {}),
    ("ELU", {"alpha": 0.7}),
    ("Hardtanh", {}),
    ("Hardtanh", {"min_val": -0.3, "max_val": 5.0}),
    ("Softplus", {}),
    ("Softplus", {"beta": 2.0, "threshold": 9.0}),
    ("Softmax", {"dim": 0}),
    ("LogSoftmax", {"dim": -1}),
    ("Softmin", {"dim": 1}),
    ("Mish", {}),
    ("Tanhshrink", {}),
    ("SELU", {}),
    ("CELU", {}),
    ("CELU", {"alpha": 0.5}),
    ("PReLU", {}),
    ("PReLU", {"num_parameters": 5, "init": -0.3}),
    ("Hardswish", {}),
    ("Hardshrink", {}),
    ("Hardshrink", {"lambd": 2.0}),
    ("Softshrink", {}),
    ("Softshrink", {"lambd": 2.0}),
    ("Threshold", {"threshold": 0.5, "value": 20.0}),
    ("GLU", {"dim": 0}),
    ("GLU", {}),
]


@pytest.mark.parametrize(("name", "options"), LAYERS)
def test_layer(name, options):
    ours, theirs = getattr(nn, name)(**options), getattr(torch.nn, name)(**options)
    far = "Soft" in name and "dim" in options
    values = np.random.default_rng(0).standard_normal((4, 5)) * 3 if far else VALUES.reshape(4, 5)
    if name == "GLU":
        values = values if options else VALUES.reshape(2, 10)
    theirs = theirs.double()
    ours = ours.double()
    same(ours, theirs, values)
    # PyTorch's own second derivative of softplus is 0 beyond the threshold, and NaN before it where exp overflows
    ours.zero_grad(), theirs.zero_grad()
    same(ours, theirs, np.random.default_rng(0).standard_normal(values.shape) * 3, second=True)
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("name", ["ReLU", "ReLU6", "SiLU", "LeakyReLU", "ELU", "Hardtanh", "Mish", "SELU", "CELU", "Hardswish", "Threshold"])
def test_in_place(name):
    options = {"threshold": 0.3, "value": 2.0} if name == "Threshold" else {}
    ours, theirs = getattr(nn, name)(**options, inplace=True), getattr(torch.nn, name)(**options, inplace=True)
    assert repr(ours) == repr(theirs)
    x, y = pair(VALUES)
    a, b = x * 1, y * 1
    assert ours(a) is a
    theirs(b)
    close(a, b)
    seed = np.random.default_rng(0).standard_normal(VALUES.shape)
    a.backward(mg.tensor(seed))
    b.backward(torch.tensor(seed))
    close(x.grad, y.grad)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmin"])
def test_softmax_wants_a_dim(name):
    with pytest.raises(ValueError, match=rf"{name}: say along which dimension .* shape \(2, 3\)"):
        getattr(nn.functional, name)(mg.ones(2, 3))


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmin"])
def test_softmax_converts_first(name):
    x = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
    a = getattr(nn.functional, name)(mg.tensor(x), dim=0, dtype=mg.float64)
    b = getattr(torch.nn.functional, name)(torch.tensor(x), dim=0, dtype=torch.float64)
    assert a.dtype == mg.float64
    close(a, b)


def test_hardtanh_wants_its_bounds_in_order():
    with pytest.raises(ValueError, match="min_val must be below max_val, got 1 and 1"):
        nn.Hardtanh(1, 1)


def test_prelu_of_channels():
    x, w = np.random.default_rng(0).standard_normal((2, 3, 4, 5)), np.array([0.3, -0.2, 1.5])
    same(nn.functional.prelu, torch.nn.functional.prelu, x, w, second=True)
    same(nn.functional.prelu, torch.nn.functional.prelu, x[0, 0, 0], w[:1], second=True)
    assert nn.PReLU(3).weight.tolist() == torch.nn.PReLU(3).weight.tolist() and list(nn.PReLU().state_dict()) == ["weight"]


def test_hardsigmoid():
    """PyTorch divides by 6 in float32."""
    (x, y), seed = pair(VALUES), np.random.default_rng(0).standard_normal(VALUES.shape)
    for inplace in (False, True):
        ours, theirs = nn.Hardsigmoid(inplace), torch.nn.Hardsigmoid(inplace)
        a, b = ours(x * 1), theirs(y * 1)
        close(a, b, rtol=1e-7)
        a.backward(mg.tensor(seed))
        b.backward(torch.tensor(seed))
        close(x.grad, y.grad, rtol=1e-7)
        assert repr(ours) == repr(theirs)


def test_softmax2d():
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    same(nn.Softmax2d(), torch.nn.Softmax2d(), x)
    same(nn.Softmax2d(), torch.nn.Softmax2d(), x[0])


def test_rrelu():
    x = mg.randn(4000, requires_grad=True)
    layer = nn.RReLU(0.2, 0.6)
    assert repr(nn.RReLU()) == repr(torch.nn.RReLU())
    below = x.detach().numpy() < 0
    y = layer(x)
    y.backward(mg.ones(4000))
    slopes = x.grad.numpy()
    np.testing.assert_allclose(y.detach().numpy(), slopes * x.detach().numpy(), rtol=1e-6)
    assert (slopes[~below] == 1).all() and slopes[below].min() > 0.2 and slopes[below].max() < 0.6
    assert abs(slopes[below].mean() - 0.4) < 0.01 and len(set(slopes[below])) > 1000
    same(nn.RReLU(0.2, 0.6).eval(), torch.nn.RReLU(0.2, 0.6).eval(), VALUES)


def test_gumbel_softmax():
    """How often each class is chosen, what comes out, and that a choice has the gradient of the shares."""
    F, logits = nn.functional, mg.tensor([1.0, -0.5, 0.2, 0.0]).requires_grad_()
    mg.manual_seed(0)
    chosen = F.gumbel_softmax(logits.detach().expand(20000, 4), hard=True).numpy()
    assert set(np.unique(chosen)) == {0.0, 1.0} and (chosen.sum(1) == 1).all()
    np.testing.assert_allclose(chosen.mean(0), F.softmax(logits, 0).detach().numpy(), atol=0.01)
    grads, seed = [], mg.tensor([0.3, -1.0, 2.0, 0.7])
    for hard in (True, False):
        mg.manual_seed(1)
        y = F.gumbel_softmax(logits, tau=0.7, hard=hard, dim=0)
        grads.append(mg.autograd.grad(y, logits, seed)[0].numpy())
    soft = y.detach().numpy()
    np.testing.assert_allclose(grads[0], grads[1], rtol=1e-5)
    np.testing.assert_allclose(grads[1], soft * (seed.numpy() - (seed.numpy() * soft).sum()) / 0.7, rtol=1e-4)
    y = F.gumbel_softmax(mg.zeros(3, 4, 5), hard=True, dim=1)
    assert (y.sum(1).numpy() == 1).all()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda F: F.glu(mg.ones(2, 3)), RuntimeError, r"glu: the size of dimension -1 must be even, got .* \(2, 3\)"),
        (lambda F: F.prelu(mg.ones(2, 3), mg.ones(2)), RuntimeError, r"prelu: .* 3 channels, got shape \(2,\)"),
        (lambda F: F.softshrink(mg.ones(2), -1), RuntimeError, "softshrink: lambd must not be negative, got -1"),
        (lambda F: F.celu(mg.ones(2), 0), RuntimeError, "celu: alpha must not be 0"),
        (lambda F: F.rrelu(mg.ones(2), 2, 1), RuntimeError, "rrelu: lower must not be above upper, got 2 and 1"),
        (lambda F: nn.Softmax2d()(mg.ones(2)), ValueError, r"Softmax2d: expected .* got shape \(2,\)"),
    ],
)
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call(nn.functional)
