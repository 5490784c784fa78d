"""Losses, as layers and functions, against PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn

from .twin import same

rng = np.random.default_rng(0)
SHAPE = (5, 3)
REAL = rng.standard_normal(SHAPE) * 2
OTHER = rng.standard_normal(SHAPE)
SHARES = rng.random(SHAPE)
CLASSES = np.array([2, 0, 1, 2, 2])
LOG_P = np.log(SHARES / SHARES.sum(1, keepdims=True))
SOFT = OTHER**2 / (OTHER**2).sum(1, keepdims=True)


def tensors(engine, options):
    return {k: engine.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}


CASES = [
    ("MSELoss", REAL, OTHER, [{}]),
    ("L1Loss", REAL, OTHER, [{}]),
    ("SmoothL1Loss", REAL, OTHER, [{}, {"beta": 0.3}, {"beta": 0.0}]),
    ("HuberLoss", REAL, OTHER, [{}, {"delta": 0.3}]),
    (
        "CrossEntropyLoss", REAL, CLASSES,
        [
            {}, {"weight": SHARES[0]}, {"ignore_index": 2},
            {"label_smoothing": 0.2, "weight": SHARES[0], "ignore_index": 0},
        ],
    ),
    ("CrossEntropyLoss", REAL, SOFT, [{}, {"weight": SHARES[0], "label_smoothing": 0.1}]),
    ("NLLLoss", LOG_P, CLASSES, [{}, {"weight": SHARES[0], "ignore_index": 1}]),
    ("BCELoss", SHARES, SHARES[::-1].copy(), [{}, {"weight": SHARES[1]}]),
    ("BCEWithLogitsLoss", REAL, SHARES, [{}, {"weight": SHARES[1], "pos_weight": SHARES[0] * 3}]),
    ("KLDivLoss", LOG_P, SOFT, [{}]),
    ("KLDivLoss", LOG_P, np.log(SOFT), [{"log_target": True}]),
]  # fmt: skip


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(
    ("name", "input", "target", "options"),
    [(name, input, target, options) for name, input, target, each in CASES for options in each],
)
@pytest.mark.filterwarnings("ignore:reduction")
def test_layer(name, input, target, options, reduction):
    ours = getattr(nn, name)(**tensors(mg, options), reduction=reduction)
    theirs = getattr(torch.nn, name)(**tensors(torch, options), reduction=reduction)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    same(lambda x: ours(x, mg.tensor(target)), lambda x: theirs(x, torch.tensor(target)), input, second=True)
    if target.dtype.kind == "f" and name != "BCELoss":
        same(ours, theirs, input, target)


def test_kl_div_batchmean():
    same(nn.KLDivLoss(reduction="batchmean"), torch.nn.KLDivLoss(reduction="batchmean"), LOG_P, SOFT)


def test_bce_at_the_ends():
    """Logarithms stop at -100 as in PyTorch."""
    p, t = np.array([0.0, 1.0, 0.0, 1.0, 1e-30]), np.array([1.0, 0.0, 0.0, 1.0, 0.5])
    ours = nn.functional.binary_cross_entropy(mg.tensor(p), mg.tensor(t), reduction="none")
    theirs = torch.nn.functional.binary_cross_entropy(torch.tensor(p), torch.tensor(t), reduction="none")
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-12)
    x = mg.tensor(p, requires_grad=True)
    nn.functional.binary_cross_entropy(x, mg.tensor(t)).backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize(("beta", "name"), [(1.0, "smooth_l1_loss"), (0.5, "smooth_l1_loss"), (1.0, "huber_loss")])
def test_gradient_where_parabola_becomes_line(beta, name):
    x = np.array([-beta, beta, 0.0, 2 * beta])
    options = {"beta" if name == "smooth_l1_loss" else "delta": beta}
    same(
        lambda x: getattr(nn.functional, name)(x, mg.zeros(4, dtype=mg.float64), **options),
        lambda x: getattr(torch.nn.functional, name)(x, torch.zeros(4, dtype=torch.float64), **options),
        x,
    )


def test_huber_weight():
    w = SHARES
    same(
        lambda x, y: nn.functional.huber_loss(x, y, weight=mg.tensor(w)),
        lambda x, y: torch.nn.functional.huber_loss(x, y, weight=torch.tensor(w)),
        REAL, OTHER,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("run", "error", "words"),
    [
        (lambda: nn.MSELoss(reduction="avg")(mg.ones(2), mg.ones(2)), ValueError, "reduction must be .* got 'avg'"),
        (lambda: nn.HuberLoss()(mg.ones(2), mg.ones(2, 1)), ValueError, "same shape"),
        (lambda: nn.SmoothL1Loss()(mg.ones(2), mg.ones(3)), ValueError, "same shape"),
        (lambda: nn.SmoothL1Loss(beta=-1)(mg.ones(2), mg.ones(2)), RuntimeError, "beta must not be negative"),
        (lambda: nn.HuberLoss(delta=0)(mg.ones(2), mg.ones(2)), RuntimeError, "delta must be above 0"),
        (lambda: nn.BCELoss()(mg.tensor([1.5]), mg.tensor([1.0])), RuntimeError, "inputs must be from 0 to 1"),
        (lambda: nn.BCELoss()(mg.ones(2), mg.ones(3)), ValueError, "same shape"),
        (lambda: nn.CrossEntropyLoss()(mg.ones(2, 3), mg.tensor([0, 3])), IndexError, "3 is out of range for 3"),
    ],
)
def test_bad_input(run, error, words):
    with pytest.raises(error, match=words):
        run()
