"""First values: bounds, means and deviations by their formulas, distributions by their quantiles."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn
from minigrad.nn import init

SHAPE = (60, 20, 5)  # fan in 100, fan out 300
COUNT = math.prod(SHAPE)


@pytest.fixture(autouse=True)
def seed():
    mg.manual_seed(0)


def filled(function, *args, shape=SHAPE, **options):
    w = nn.Parameter(mg.full(shape, 1e9))
    assert function(w, *args, **options) is w
    assert w.is_leaf and w.requires_grad and w.dtype == mg.float32
    return w.detach().numpy().astype(np.float64)


def is_uniform(x, low, high):
    """Kolmogorov and Smirnov: the empirical distribution is nowhere further off than chance allows."""
    assert low <= x.min() and x.max() <= high
    is_distributed(x, lambda v: (v - low) / (high - low))


def is_normal(x, mean, std):
    is_distributed(x, lambda v: np.vectorize(NormalDist(mean, std).cdf)(v))


def is_distributed(x, cdf):
    x = np.sort(x.reshape(-1))
    distance = np.abs(cdf(x) - (np.arange(x.size) + 0.5) / x.size).max()
    assert distance < 1.95 / math.sqrt(x.size)  # exceeded once in a thousand


GAINS = [("linear", None), ("conv2d", None), ("conv_transpose1d", None), ("sigmoid", None), ("tanh", None)]
GAINS += [("relu", None), ("selu", None), ("leaky_relu", None), ("leaky_relu", 0.3), ("leaky_relu", 2)]


@pytest.mark.parametrize(("name", "param"), GAINS)
def test_gain(name, param):
    assert math.isclose(init.calculate_gain(name, param), torch.nn.init.calculate_gain(name, param), rel_tol=1e-12)


def test_uniform():
    is_uniform(filled(init.uniform_, -2.0, 5.0), -2, 5)


def test_normal():
    is_normal(filled(init.normal_, 3.0, 0.5), 3, 0.5)


def test_constants():
    assert (filled(init.constant_, 2.5) == 2.5).all()
    assert (filled(init.ones_) == 1).all()
    assert (filled(init.zeros_) == 0).all()
    assert (filled(init.eye_, shape=(3, 5)) == np.eye(3, 5)).all()


@pytest.mark.parametrize("gain", [1.0, 2.5])
def test_xavier(gain):
    bound = gain * math.sqrt(6 / (100 + 300))
    is_uniform(filled(init.xavier_uniform_, gain), -bound, bound)
    is_normal(filled(init.xavier_normal_, gain), 0, gain * math.sqrt(2 / (100 + 300)))


@pytest.mark.parametrize("mode", ["fan_in", "fan_out"])
@pytest.mark.parametrize(
    ("nonlinearity", "a", "gain"), [("relu", 0, math.sqrt(2)), ("leaky_relu", math.sqrt(5), math.sqrt(1 / 3))]
)
def test_kaiming(mode, nonlinearity, a, gain):
    std = gain / math.sqrt({"fan_in": 100, "fan_out": 300}[mode])
    options = {"a": a, "mode": mode, "nonlinearity": nonlinearity}
    is_uniform(filled(init.kaiming_uniform_, **options), -std * math.sqrt(3), std * math.sqrt(3))
    is_normal(filled(init.kaiming_normal_, **options), 0, std)


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [(0, 1, -2, 2), (0, 0.02, -2, 2), (1, 2, 0, 1.5), (0, 1, 2, 3), (0, 1, -0.1, 0.1), (0, 1, 6, 50), (5, 1, -50, -1)],
)
def test_trunc_normal(mean, std, a, b):
    x = filled(init.trunc_normal_, mean, std, a, b)
    assert a <= x.min() and x.max() <= b
    # The tails are taken from the side where they are small, or 1 - (1 - tiny) loses all digits.
    normal, sign = NormalDist(), -1 if a > mean else 1
    low, high = sorted((normal.cdf(sign * (a - mean) / std), normal.cdf(sign * (b - mean) / std)))
    share = lambda v: (np.vectorize(normal.cdf)(sign * (v - mean) / std) - low) / (high - low)
    is_distributed(x * 1.0 if sign > 0 else -x, share if sign > 0 else lambda v: share(-v))


@pytest.mark.parametrize("shape", [(7, 3), (3, 7), (4, 4), (5, 2, 6)])
@pytest.mark.parametrize("gain", [1.0, 0.3])
def test_orthogonal(shape, gain):
    w = filled(init.orthogonal_, gain, shape=shape).reshape(shape[0], -1)
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(product, gain**2 * np.eye(len(product)), atol=1e-6)


def test_orthogonal_is_uniform():
    """A random rotation of the plane: its angle is uniform, and half of all matrices are reflections."""
    matrices = np.stack([filled(init.orthogonal_, shape=(2, 2)) for _ in range(1000)])
    is_uniform(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]), -math.pi, math.pi)
    assert abs((np.linalg.det(matrices) > 0).mean() - 0.5) < 0.06


def test_generator_repeats():
    for function in (init.uniform_, init.normal_, init.xavier_uniform_, init.xavier_normal_, init.kaiming_uniform_,
                     init.kaiming_normal_, init.trunc_normal_, init.orthogonal_):  # fmt: skip
        first, again = (filled(function, generator=mg.Generator().manual_seed(5)) for _ in range(2))
        assert (first == again).all() and (first != filled(function)).any()


def test_layers_start_as_in_pytorch():
    linear = nn.Linear(200, 100)
    bound = 1 / math.sqrt(200)
    is_uniform(linear.weight.detach().numpy(), -bound, bound)
    is_uniform(linear.bias.detach().numpy(), -bound, bound)
    is_normal(nn.Embedding(100, 50).weight.detach().numpy().astype(np.float64), 0, 1)


def test_layers_without_features_can_be_made():
    assert nn.Linear(0, 3)(mg.ones(2, 0)).tolist() == [[0.0] * 3] * 2
    assert nn.Linear(3, 0)(mg.ones(2, 3)).shape == (2, 0)
    assert init.orthogonal_(mg.empty(0, 3)).shape == (0, 3)


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (lambda: init.calculate_gain("swish"), "nonlinearity must be one of .* got 'swish'"),
        (lambda: init.calculate_gain("leaky_relu", "x"), "slope of leaky_relu must be a number"),
        (lambda: init.xavier_normal_(mg.empty(3)), "at least 2 dimensions"),
        (lambda: init.kaiming_normal_(mg.empty(3, 2), mode="both"), "'fan_in' or 'fan_out', got 'both'"),
        (lambda: init.eye_(mg.empty(3)), "2 dimensions"),
        (lambda: init.orthogonal_(mg.empty(3)), "at least 2 dimensions"),
        (lambda: init.trunc_normal_(mg.empty(3), a=1, b=1), "a < b"),
    ],
)
def test_bad_input(run, words):
    with pytest.raises(ValueError, match=words):
        run()
