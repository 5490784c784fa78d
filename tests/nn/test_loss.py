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

SYMMETRIC = ("MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "BCEWithLogitsLoss", "KLDivLoss", "MultiLabelSoftMarginLoss")
COUNTS = rng.poisson(3.0, SHAPE) + 0.0
COUNTS[0] = 0, 1, 2
SIGNS = np.sign(OTHER)


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
    ("PoissonNLLLoss", REAL, COUNTS, [{}, {"full": True}]),
    ("PoissonNLLLoss", SHARES, COUNTS, [{"log_input": False, "full": True, "eps": 0.1}]),
    ("HingeEmbeddingLoss", REAL, SIGNS, [{}, {"margin": 2.5}]),
    ("SoftMarginLoss", REAL, SIGNS, [{}]),
    ("MultiLabelSoftMarginLoss", REAL, SHARES, [{}, {"weight": SHARES[0]}]),
    ("MultiMarginLoss", REAL, CLASSES, [{}, {"p": 2, "margin": 0.3, "weight": SHARES[0]}]),
    ("MultiMarginLoss", REAL[0], CLASSES[0], [{"p": 2}]),
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
    same(lambda x: ours(x, mg.tensor(target)), lambda x: theirs(x, torch.tensor(target)), input, second=name != "MultiMarginLoss")
    if target.dtype.kind == "f" and name in SYMMETRIC:
        same(ours, theirs, input, target)


def both(name, *inputs, constant=(), **options):
    """A loss of several tensors, with every reduction, second derivatives too."""
    for reduction in ("mean", "sum", "none"):
        ours = getattr(nn, name)(**tensors(mg, options), reduction=reduction)
        theirs = getattr(torch.nn, name)(**tensors(torch, options), reduction=reduction)
        assert repr(ours) == repr(theirs)
        same(
            lambda *x, ours=ours: ours(*x, *map(mg.tensor, constant)),
            lambda *x, theirs=theirs: theirs(*x, *map(torch.tensor, constant)),
            *inputs, second=True,
        )  # fmt: skip


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("var", [SHARES, SHARES[:, :1], SHARES[:, 0]], ids=lambda v: str(v.shape))
def test_gaussian(var, full):
    both("GaussianNLLLoss", REAL, OTHER, var + 0.1, full=full)
    both("GaussianNLLLoss", REAL, OTHER, var, full=full, eps=0.5)
    functions = (e.nn.functional.gaussian_nll_loss for e in (mg, torch))
    same(*(lambda x, y, f=f: f(x, y, 0.3) for f in functions), REAL, OTHER)


@pytest.mark.parametrize("margin", [0.0, 0.8])
def test_of_pairs(margin):
    both("MarginRankingLoss", REAL, OTHER, constant=[SIGNS], margin=margin)
    both("MarginRankingLoss", REAL, OTHER[:1], constant=[SIGNS[:, :1]], margin=margin)
    both("CosineEmbeddingLoss", REAL, OTHER, constant=[SIGNS[:, 0]], margin=margin)
    both("CosineEmbeddingLoss", REAL[0], OTHER[0], constant=[SIGNS[0, 0]], margin=margin)


@pytest.mark.parametrize("options", [{}, {"margin": 3.0, "p": 3.0}, {"swap": True, "p": 1.0, "eps": 0.1}], ids=str)
def test_of_triplets(options):
    third = np.random.default_rng(5).standard_normal(SHAPE)
    both("TripletMarginLoss", REAL, OTHER, third, **options)
    both("TripletMarginLoss", REAL, OTHER[:1], third, **options)
    if "p" not in options:
        own = {**options, "distance_function": lambda x, y: (x * y * y).sum(-1)}
        modules = (e.nn.TripletMarginWithDistanceLoss(**own) for e in (mg, torch))
        same(*modules, REAL, OTHER, third, second=True)
        same(*(e.nn.TripletMarginWithDistanceLoss(swap=True) for e in (mg, torch)), REAL, OTHER, third)


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_weight_of_each_element(name, reduction):
    ours, theirs = (getattr(e.nn.functional, name) for e in (mg, torch))
    same(
        lambda x, y, w: ours(x, y, weight=w, reduction=reduction),
        lambda x, y, w: theirs(x, y, weight=w, reduction=reduction),
        REAL, OTHER, SHARES, second=True,
    )  # fmt: skip


def test_kinks_of_margins():
    """Where exactly the margin is kept, the gradient is that of PyTorch."""
    x, y, sign = np.array([1.0, 0.0, 2.0]), np.array([0.0, 1.0, 2.0]), np.array([1.0, -1.0, 1.0])
    for options in ({"margin": 1.0}, {"margin": 0.0}):
        both("MarginRankingLoss", x, y, constant=[sign], **options)
        both("HingeEmbeddingLoss", x, constant=[-sign], **options)


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
        (lambda: nn.functional.mse_loss(mg.ones(2), mg.ones(2), weight=mg.ones(1)), ValueError, "mse_loss: weight: .*same shape"),
        (lambda: nn.GaussianNLLLoss()(mg.ones(2), mg.ones(2), mg.tensor([1.0, -1])), ValueError, "must not be negative"),
        (lambda: nn.GaussianNLLLoss()(mg.ones(2, 3), mg.ones(2, 3), mg.ones(3)), ValueError, r"var must have .* got \(3,\)"),
        (lambda: nn.PoissonNLLLoss(reduction="all")(mg.ones(2), mg.ones(2)), ValueError, "reduction must be"),
        (lambda: nn.HingeEmbeddingLoss()(mg.ones(2), mg.tensor([0, 1])), ValueError, "targets must be 1 or -1"),
        (lambda: nn.MarginRankingLoss()(mg.ones(2), mg.ones(2), mg.tensor([2, 1])), ValueError, "targets must be 1 or -1"),
        (lambda: nn.MarginRankingLoss()(mg.ones(2), mg.ones(2), mg.tensor(1)), RuntimeError, "same number of dimensions"),
        (lambda: nn.CosineEmbeddingLoss()(mg.ones(2), mg.ones(2), mg.ones(2)), RuntimeError, r"expected \(n, features\) twice"),
        (lambda: nn.TripletMarginLoss()(mg.ones(2), mg.ones(2), mg.ones(1, 2)), RuntimeError, "same number of dimensions"),
        (lambda: nn.TripletMarginLoss(margin=0)(*[mg.ones(2)] * 3), ValueError, "margin must be above 0, got 0"),
        (lambda: nn.MultiMarginLoss(p=3)(mg.ones(2, 3), mg.tensor([0, 1])), ValueError, "p must be 1 or 2, got 3"),
        (lambda: nn.MultiMarginLoss()(mg.ones(2, 3), mg.tensor([0])), RuntimeError, r"got \(2, 3\) and \(1,\)"),
        (lambda: nn.SoftMarginLoss()(mg.ones(2), mg.ones(1)), ValueError, "soft_margin_loss: .*same shape"),
        (lambda: nn.MultiLabelSoftMarginLoss()(mg.ones(2), mg.ones(1)), ValueError, "same shape"),
    ],
)
def test_bad_input(run, error, words):
    with pytest.raises(error, match=words):
        run()
