"""Activations, as functions and as layers, against PyTorch's: also at their kinks and far out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn

from .twin import close, pair, same

VALUES = np.array([-800.0, -25.0, -3.0, -1.0, -0.3, 0.0, 0.2, 0.5, 1.0, 2.0, 5.0, 6.0, 7.0, 25.0, 800.0])
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
]


@pytest.mark.parametrize(("name", "options"), LAYERS)
def test_layer(name, options):
    ours, theirs = getattr(nn, name)(**options), getattr(torch.nn, name)(**options)
    far = "Soft" in name and "dim" in options
    values = np.random.default_rng(0).standard_normal((3, 5)) * 3 if far else VALUES.reshape(3, 5)
    same(ours, theirs, values)
    # PyTorch's own second derivative of softplus is 0 beyond the threshold, and NaN before it where exp overflows
    same(ours, theirs, np.random.default_rng(0).standard_normal((3, 5)) * 3, second=True)
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("name", ["ReLU", "ReLU6", "SiLU", "LeakyReLU", "ELU", "Hardtanh"])
def test_in_place(name):
    ours, theirs = getattr(nn, name)(inplace=True), getattr(torch.nn, name)(inplace=True)
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
