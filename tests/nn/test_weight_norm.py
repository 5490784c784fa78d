"""Weight norm against PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn
from minigrad.nn import utils

from .twin import close, load, same, scramble

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated")
rng = np.random.default_rng(0)


def layers(name="weight", dim=0, kind="Linear"):
    theirs = torch.nn.utils.weight_norm(scramble(getattr(torch.nn, kind)(4, 3)), name, dim)
    return load(utils.weight_norm(getattr(nn, kind)(4, 3), name, dim), scramble(theirs)), theirs


@pytest.mark.parametrize("dim", [0, 1, None, -1, -2])
def test_length_and_direction(dim):
    ours, theirs = layers(dim=dim)
    same(ours, theirs, rng.standard_normal((5, 4)), second=True)
    close(ours.weight, theirs.weight)


def test_start_and_removal():
    layer = nn.Linear(4, 3)
    weight = layer.weight.detach().clone()
    utils.weight_norm(layer)
    np.testing.assert_allclose(layer.weight_g.detach().numpy(), np.linalg.norm(weight.numpy(), axis=1, keepdims=True), rtol=1e-6)
    assert layer.weight_v.is_leaf and not isinstance(layer.weight, nn.Parameter)
    utils.remove_weight_norm(layer)
    assert isinstance(layer.weight, nn.Parameter) and sorted(layer.state_dict()) == ["bias", "weight"]
    np.testing.assert_allclose(layer.weight.detach().numpy(), weight.numpy(), rtol=1e-6)
    assert not layer._forward_pre_hooks


def test_removal_gives_the_weight_of_now():
    ours, theirs = layers()
    close(utils.remove_weight_norm(ours).weight, torch.nn.utils.remove_weight_norm(theirs).weight)


def test_on_a_recurrent_weight():
    ours, theirs = layers("weight_hh_l0", kind="GRU")
    x = rng.standard_normal((5, 2, 4))
    close(ours(mg.tensor(x))[0], theirs(torch.tensor(x))[0])


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: utils.weight_norm(nn.Linear(2, 3), "w"), ValueError, r"weight_norm: Linear has no parameter 'w', only \['weight', 'bias'\]"),
        (lambda: utils.weight_norm(utils.weight_norm(nn.Linear(2, 3))), RuntimeError, "Linear has it on 'weight' already"),
        (lambda: utils.remove_weight_norm(nn.Linear(2, 3)), ValueError, "there is none on 'weight' of Linear"),
    ],
)
def test_what_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
