"""Norms against PyTorch's, over several steps of training and in use."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn

from .twin import load, same, scramble

BATCH = [
    ("BatchNorm1d", {}, (5, 4)),
    ("BatchNorm1d", {"momentum": None}, (2, 4, 3)),
    ("BatchNorm1d", {"affine": False, "momentum": 0.3}, (3, 4)),
    ("BatchNorm2d", {"eps": 0.1}, (2, 4, 3, 5)),
    ("BatchNorm2d", {"track_running_stats": False}, (2, 4, 3, 5)),
    ("BatchNorm2d", {"bias": False, "momentum": 0.0}, (2, 4, 1, 2)),
    ("InstanceNorm1d", {}, (2, 4, 5)),
    ("InstanceNorm1d", {"affine": True}, (4, 5)),
    ("InstanceNorm1d", {"affine": True, "track_running_stats": True}, (3, 4, 5)),
    ("InstanceNorm2d", {"affine": True, "bias": False, "track_running_stats": True, "momentum": 0.4}, (2, 4, 3, 2)),
    ("InstanceNorm2d", {"track_running_stats": True, "momentum": None}, (4, 3, 2)),
]


@pytest.mark.parametrize(("name", "options", "shape"), BATCH)
def test_running_statistics_over_several_steps(name, options, shape):
    theirs = scramble(getattr(torch.nn, name)(4, **options))
    ours = getattr(nn, name)(4, **options)
    assert repr(ours) == repr(theirs)
    load(ours, theirs)
    rng = np.random.default_rng(0)
    for step in range(4):
        if step == 3:
            ours.eval(), theirs.eval()
        ours.zero_grad(), theirs.zero_grad()
        x = rng.standard_normal(shape) * 3 + step
        same(ours, theirs, x)
        for key, value in theirs.state_dict().items():
            found = ours.state_dict()[key]
            assert str(found.dtype) == str(value.dtype).removeprefix("torch.")
            np.testing.assert_allclose(found.numpy(), value.numpy(), rtol=1e-12, err_msg=key)


@pytest.mark.parametrize(("name", "options", "shape"), BATCH)
@pytest.mark.parametrize("training", [True, False])
def test_second_derivatives(name, options, shape, training):
    theirs = scramble(getattr(torch.nn, name)(4, **options))
    ours = load(getattr(nn, name)(4, **options), theirs).train(training)
    theirs.train(training)
    x = np.random.default_rng(0).standard_normal(shape)
    if training and options.get("track_running_stats", name.startswith("Batch")):
        theirs(torch.tensor(x * 2 + 1)), ours(mg.tensor(x * 2 + 1))
    same(ours, theirs, x, second=True)


def test_reset_running_stats_and_parameters():
    layer = nn.BatchNorm1d(3)
    start = {key: value.clone() for key, value in layer.state_dict().items()}
    layer(mg.randn(4, 3) + 5)
    layer.weight.data = mg.randn(3)
    assert layer.num_batches_tracked.item() == 1 and (layer.running_mean != 0).all()
    layer.reset_running_stats()
    assert layer.num_batches_tracked.item() == 0 and (layer.weight != 1).all()
    layer.reset_parameters()
    for key, value in layer.state_dict().items():
        assert (value == start[key]).all(), key
    assert start["running_var"].tolist() == [1, 1, 1] and start["weight"].tolist() == [1, 1, 1]


def test_running_statistics_take_no_part_in_the_graph():
    layer = nn.BatchNorm1d(2)
    for _ in range(2):
        x = mg.randn(4, 2, requires_grad=True)
        y = layer(x)
        y.backward(mg.randn(4, 2))
        assert layer.running_mean.node is None and x.grad is not None


@pytest.mark.parametrize("track", [True, False])
def test_empty_batches_and_tracking_that_is_switched_off_later(track):
    theirs = scramble(torch.nn.BatchNorm1d(4))
    ours = load(nn.BatchNorm1d(4), theirs)
    ours.track_running_stats = theirs.track_running_stats = track
    for x in (np.ones((0, 4)), np.random.default_rng(0).standard_normal((3, 4))):
        found, expected = ours(mg.tensor(x)), theirs(torch.tensor(x))
        np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), rtol=1e-10)
        for key, value in theirs.state_dict().items():
            np.testing.assert_allclose(ours.state_dict()[key].numpy(), value.numpy(), rtol=1e-12, err_msg=key)


def test_an_instance_norm_without_parameters_warns_of_another_number_of_channels():
    with pytest.warns(UserWarning, match=r"InstanceNorm1d: made for 3 channels, got 4"):
        assert nn.InstanceNorm1d(3)(mg.randn(2, 4, 5)).shape == (2, 4, 5)


@pytest.mark.parametrize(
    ("args", "options", "shape"),
    [
        ((2, 6), {}, (3, 6, 4)),
        ((3, 6), {"affine": False, "eps": 0.1}, (3, 6, 2, 3)),
        ((6, 6), {"bias": False}, (2, 6, 3)),
    ],
)
def test_group_norm(args, options, shape):
    theirs = scramble(torch.nn.GroupNorm(*args, **options))
    ours = nn.GroupNorm(*args, **options)
    assert repr(ours) == repr(theirs)
    assert all((p == (1 if key == "weight" else 0)).all() for key, p in ours.named_parameters())
    same(load(ours, theirs), theirs, np.random.default_rng(0).standard_normal(shape) * 2 + 1, second=True)
