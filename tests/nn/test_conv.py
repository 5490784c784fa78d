"""Convolution layers against PyTorch's, and conv2d over random geometry."""

from __future__ import annotations

import gc
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.nn import functional as F

from .twin import load, same, scramble

LAYERS = [
    ("Conv1d", (4, 6, 3), {}, (2, 4, 8)),
    ("Conv1d", (4, 6, 3), {"stride": 2, "padding": 1, "bias": False}, (4, 8)),
    ("Conv1d", (2, 6, 4), {"padding": "same", "groups": 2}, (1, 2, 5)),
    ("Conv2d", (3, 5, (3, 2)), {"stride": (2, 1), "padding": (0, 1), "dilation": (1, 2)}, (2, 3, 7, 6)),
    ("Conv2d", (4, 6, 3), {"groups": 2, "bias": False, "padding": 1}, (2, 4, 5, 4)),
    ("Conv2d", (4, 4, 3), {"groups": 4}, (0, 4, 5, 4)),
    ("Conv2d", (2, 3, 2), {"padding": "valid"}, (2, 4, 5)),
    ("ConvTranspose1d", (4, 6, 3), {"stride": 2, "output_padding": 1}, (2, 4, 5)),
    ("ConvTranspose1d", (4, 6, 3), {"bias": False}, (4, 5)),
    ("ConvTranspose2d", (4, 6, (3, 2)), {"stride": (2, 3), "padding": 1, "groups": 2, "output_padding": (0, 1)}, (2, 4, 3, 4)),
    ("ConvTranspose2d", (2, 3, 2), {"dilation": 2}, (1, 2, 4, 3)),
]  # fmt: skip
for mode in ("reflect", "replicate", "circular"):
    LAYERS += [
        ("Conv1d", (2, 3, 3), {"padding": 2, "padding_mode": mode}, (2, 2, 5)),
        ("Conv2d", (2, 3, (4, 3)), {"padding": "same", "padding_mode": mode}, (2, 2, 5, 4)),
        ("Conv2d", (2, 3, 3), {"padding": (2, 1), "stride": 2, "padding_mode": mode}, (2, 5, 4)),
    ]


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize(("name", "args", "options", "shape"), LAYERS)
def test_layers(name, args, options, shape):
    theirs = scramble(getattr(torch.nn, name)(*args, **options))
    ours = getattr(nn, name)(*args, **options)
    assert repr(ours) == repr(theirs)
    for attribute in ("kernel_size", "stride", "padding", "dilation", "output_padding", "groups", "padding_mode"):
        assert getattr(ours, attribute) == getattr(theirs, attribute), attribute
    same(load(ours, theirs), theirs, np.random.default_rng(0).standard_normal(shape), second=shape[0] > 0)


@pytest.mark.parametrize("output_size", [(7, 9), (8, 10), (2, 3, 8, 9)])
def test_output_size_of_a_transposed_convolution(output_size):
    theirs = scramble(torch.nn.ConvTranspose2d(4, 3, 3, stride=2, padding=(0, 1)))
    ours = load(nn.ConvTranspose2d(4, 3, 3, stride=2, padding=(0, 1)), theirs)
    x = np.random.default_rng(0).standard_normal((2, 4, 3, 5))
    same(lambda x: ours(x, output_size=output_size), lambda x: theirs(x, output_size=output_size), x)


@pytest.mark.parametrize("name", ["Conv2d", "ConvTranspose2d"])
def test_first_values_are_uniform_within_one_over_the_root_of_the_fan_in(name):
    mg.manual_seed(0)
    layer = getattr(nn, name)(24, 36, (3, 5), groups=2)
    fan_in = {"Conv2d": 12, "ConvTranspose2d": 18}[name] * 15
    for p in layer.parameters():
        values = p.detach().numpy() * np.sqrt(fan_in)
        assert abs(values).max() <= 1 and abs(values).max() > 0.8
        assert abs(values.mean()) < 5 * np.sqrt(1 / 3 / values.size)
        assert abs((values**2).mean() - 1 / 3) < 5 * np.sqrt(4 / 45 / values.size)


@st.composite
def geometries(draw):
    """Any geometry in which a kernel fits, as (input shape, weight shape, options of conv2d)."""
    numbers = {name: (draw(st.integers(1, 3)), draw(st.integers(1, 3))) for name in ("kernel", "stride", "dilation")}
    padding = (draw(st.integers(0, 2)), draw(st.integers(0, 2)))
    size = []
    for k, d, p in zip(numbers["kernel"], numbers["dilation"], padding):
        least = max(1, d * (k - 1) + 1 - 2 * p)
        size.append(least + draw(st.integers(0, 5)))
    groups, batch = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    inner, outer = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    options = {"stride": numbers["stride"], "dilation": numbers["dilation"], "padding": padding, "groups": groups}
    return (batch, inner * groups, *size), (outer * groups, inner, *numbers["kernel"]), options


@settings(deadline=None, max_examples=60)
@given(geometries(), st.integers(0, 1000))
def test_conv2d_in_any_geometry(geometry, seed):
    x_shape, w_shape, options = geometry
    rng = np.random.default_rng(seed)
    x, w, b = (rng.standard_normal(shape) for shape in (x_shape, w_shape, w_shape[:1]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        same(
            lambda x, w, b: F.conv2d(x, w, b, **options),
            lambda x, w, b: torch.nn.functional.conv2d(x, w, b, **options),
            x, w, b, second=True,
        )  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(geometries(), st.data())
def test_conv_transpose2d_is_the_adjoint_of_conv2d_in_any_geometry(geometry, data):
    x_shape, w_shape, options = geometry
    rng = np.random.default_rng(0)
    x, w = (mg.tensor(rng.standard_normal(shape)) for shape in (x_shape, w_shape))
    y = F.conv2d(x, w, **options)
    g = mg.tensor(rng.standard_normal(tuple(y.shape)))
    whole = [
        (n - 1) * s - 2 * p + d * (k - 1) + 1
        for n, s, p, d, k in zip(y.shape[2:], options["stride"], options["padding"], options["dilation"], w_shape[2:])
    ]
    rest = tuple(n - m for n, m in zip(x_shape[2:], whole))  # what the windows do not reach
    back = F.conv_transpose2d(g, w, output_padding=rest, **options)
    assert back.shape == x.shape
    np.testing.assert_allclose((y * g).sum().item(), (x * back).sum().item(), rtol=1e-10, atol=1e-10)


def test_only_input_and_weight_are_kept_for_backward():
    """The matrix of windows, nine times the input here, must not stay alive."""
    x, w = mg.randn(1, 2, 40, 40, requires_grad=True), mg.randn(2, 2, 3, 3, requires_grad=True)
    gc.collect()
    y = F.conv2d(x, w)
    kept = [value for value in y.node.saved if isinstance(value, np.ndarray)]
    assert sorted(a.size for a in kept) == sorted([x.numel(), w.numel()])


def test_results_are_contiguous_so_that_view_works():
    x = mg.randn(2, 3, 5, 6)
    for y in (F.conv2d(x, mg.randn(4, 3, 2, 2)), F.conv_transpose2d(x, mg.randn(3, 4, 2, 2), stride=2, padding=1)):
        assert y.view(2, -1).shape == (2, y.numel() // 2)
    columns = F.unfold(x[:, :, :1], 1)
    columns.zero_()  # not a view of x
    assert (x != 0).all()


@pytest.mark.parametrize(
    ("name", "args", "shape"),
    [("Unfold", ((2, 3), 1, 1, 2), (2, 3, 5, 6)), ("Fold", ((4, 5), 2, 1, 1, (1, 2)), (1, 8, 15))],
)
def test_unfold_and_fold_layers(name, args, shape):
    ours, theirs = getattr(nn, name)(*args), getattr(torch.nn, name)(*args)
    assert repr(ours) == repr(theirs)
    same(ours, theirs, np.random.default_rng(0).standard_normal(shape))


def test_a_small_image_network_trains_as_in_torch():
    def build(nn):
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), nn.GroupNorm(3, 6), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
            nn.Flatten(), nn.Linear(6, 3),
        )  # fmt: skip

    theirs = build(torch.nn).double()
    ours = load(build(nn), theirs)
    rng = np.random.default_rng(0)
    a = mg.optim.SGD(ours.parameters(), lr=0.1, momentum=0.9)
    b = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9)
    for _ in range(5):
        x, target = rng.standard_normal((6, 1, 9, 8)), rng.integers(0, 3, 6)
        for t, model, optimizer in ((mg, ours, a), (torch, theirs, b)):
            optimizer.zero_grad()
            t.nn.functional.cross_entropy(model(t.tensor(x)), t.tensor(target)).backward()
            optimizer.step()
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[name].numpy(), value.numpy(), rtol=1e-9, atol=1e-11, err_msg=name)
