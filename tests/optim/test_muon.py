"""Muon beside PyTorch's, which iterates in bfloat16: here it is made to keep the dtype, so that both can agree."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import optim
from minigrad.optim.muon import orthogonal

from .test_optimizers import Race

SHAPES = [(3, 4), (5, 2), (1, 3), (4, 4)]
OPTIONS = [
    dict(zip(("lr", "weight_decay", "momentum", "nesterov", "adjust_lr_fn"), values))
    for values in itertools.product([0.05], [0.0, 0.1], [0.0, 0.9], [False, True], [None, "original", "match_rms_adamw"])
] + [{"ns_steps": 3, "eps": 2.0}, {"ns_coefficients": (2.0, -1.5, 0.5)}, {}]


@pytest.fixture
def full_precision(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_hundred_steps(options, full_precision):
    race = Race(shapes=SHAPES)
    race.run(optim.Muon(race.ours, **options), torch.optim.Muon(race.theirs, **options), 100)
    race.check(1e-9)


def test_near_pytorchs_own_arithmetic():
    race = Race("float32", shapes=SHAPES)
    race.run(optim.Muon(race.ours, lr=0.05), torch.optim.Muon(race.theirs, lr=0.05), 20)
    race.check(0.1, 0.1)
    assert all(x.dtype == mg.float32 for x in race.ours)


def test_training_goes_on_from_a_state_dict(full_precision):
    race = Race(shapes=SHAPES)
    ours, theirs = optim.Muon(race.ours, lr=0.05), torch.optim.Muon(race.theirs, lr=0.05)
    race.run(ours, theirs, 5)
    again = optim.Muon(race.ours, lr=9.0)
    again.load_state_dict(ours.state_dict())
    race.run(again, theirs, 5)
    race.check(1e-9)
    assert set(again.state_dict()["state"][0]) == set(theirs.state_dict()["state"][0])


def test_singular_values_end_near_one():
    for shape in ((6, 4), (4, 6)):
        x = orthogonal(np.random.default_rng(0).standard_normal(shape), (3.4445, -4.7750, 2.0315), 5, 1e-7)
        assert np.abs(np.linalg.svd(x, compute_uv=False) - 0.95).max() < 0.3 and x.shape == shape


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"params": [mg.ones(3)]}, r"can only learn matrices, got a parameter of shape \(3,\); give it to AdamW"),
        ({"adjust_lr_fn": "adam"}, "adjust_lr_fn must be None, 'original' or 'match_rms_adamw', got 'adam'"),
        ({"ns_steps": 100}, "ns_steps must be from 0 to 99, got 100"),
        ({"ns_coefficients": (1, 2)}, "ns_coefficients must be three numbers"),
        ({"momentum": -1}, "momentum must not be negative"),
    ],
)
def test_bad_input(options, words):
    with pytest.raises(ValueError, match=f"Muon: {words}"):
        optim.Muon(**{"params": [mg.ones(2, 2)], **options})
