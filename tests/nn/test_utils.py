"""Clipping gradients, and parameters as a vector, against PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad.nn import utils

rng = np.random.default_rng(0)
SHAPES = [(3, 4), (5,), (), (0,), (2, 1, 3)]


def with_gradients(values):
    """The same parameters with the same gradients in both engines; the last one has none."""
    shapes = [(v.shape, "float64") for v in values] + [((2,), "float32")]
    ours = [mg.nn.Parameter(mg.zeros(shape, dtype=dtype)) for shape, dtype in shapes]
    theirs = [torch.nn.Parameter(torch.zeros(shape, dtype=getattr(torch, dtype))) for shape, dtype in shapes]
    for a, b, v in zip(ours, theirs, values):
        a.grad, b.grad = mg.tensor(v), torch.tensor(v)
    return ours, theirs


def gradients(parameters):
    return [p.grad.numpy() for p in parameters if p.grad is not None]


@pytest.mark.parametrize("norm_type", [0.5, 1.0, 2.0, 3, float("inf")])
@pytest.mark.parametrize("max_norm", [0.7, 1e6, 0.0])
def test_clip_norm(norm_type, max_norm):
    shapes = SHAPES if norm_type != float("inf") else [s for s in SHAPES if s != (0,)]  # PyTorch raises there
    ours, theirs = with_gradients([np.asarray(rng.standard_normal(shape)) for shape in shapes])
    memory = [id(p.grad.array) for p in ours[:-1]]
    a = utils.clip_grad_norm_(ours, max_norm, norm_type)
    b = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    assert a.shape == () and a.dtype == mg.float64
    np.testing.assert_allclose(a.item(), b.item(), rtol=1e-12)
    for x, y in zip(gradients(ours), gradients(theirs)):
        np.testing.assert_allclose(x, y, rtol=1e-12)
    assert [id(p.grad.array) for p in ours[:-1]] == memory


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_clip_norm_of_what_is_not_finite(bad):
    values = [np.array([3.0, bad]), np.array([4.0])]
    ours, theirs = with_gradients(values)
    with pytest.raises(RuntimeError, match=f"norm of the gradients is {bad}"):
        utils.clip_grad_norm_(ours, 1.0, error_if_nonfinite=True)
    np.testing.assert_array_equal(gradients(ours)[0], values[0])
    a, b = utils.clip_grad_norm_(ours, 1.0), torch.nn.utils.clip_grad_norm_(theirs, 1.0)
    np.testing.assert_array_equal(a.numpy(), b.numpy())
    for x, y in zip(gradients(ours), gradients(theirs)):
        np.testing.assert_array_equal(x, y)


def test_clip_norm_in_float32_neither_overflows_nor_loses_small_numbers():
    huge = mg.nn.Parameter(mg.zeros(2))
    huge.grad = mg.tensor([3e30, 4e30])
    assert abs(utils.clip_grad_norm_(huge, 1.0).item() / 5e30 - 1) < 1e-6
    np.testing.assert_allclose(huge.grad.numpy(), [0.6, 0.8], rtol=1e-6)
    tiny = mg.nn.Parameter(mg.zeros(2))
    tiny.grad = mg.tensor([3e-30, 4e-30])
    assert abs(utils.clip_grad_norm_(tiny, 1.0).item() / 5e-30 - 1) < 1e-6
    many = mg.nn.Parameter(mg.zeros(1_000_000))
    values = rng.random(1_000_000).astype(np.float32)
    many.grad = mg.tensor(values)
    exact = np.sqrt((values.astype(np.float64) ** 2).sum())
    assert abs(utils.clip_grad_norm_(many, 1e9).item() / exact - 1) < 1e-7
    assert many.grad.dtype == mg.float32


def test_clip_without_gradients():
    assert utils.clip_grad_norm_([mg.nn.Parameter(mg.ones(2))], 1.0) == 0
    utils.clip_grad_value_([mg.nn.Parameter(mg.ones(2))], 1.0)


def test_clip_takes_one_tensor_and_an_iterator():
    ours, _ = with_gradients([np.array([3.0, 4.0])])
    assert utils.clip_grad_norm_(ours[0], 1.0) == 5
    assert abs(utils.clip_grad_norm_(iter(ours), 0.5).item() - 1) < 1e-5


def test_clip_value():
    ours, theirs = with_gradients([np.asarray(rng.standard_normal(shape)) for shape in SHAPES])
    utils.clip_grad_value_(ours, 0.4)
    torch.nn.utils.clip_grad_value_(theirs, 0.4)
    for x, y in zip(gradients(ours), gradients(theirs)):
        np.testing.assert_array_equal(x, y)


def test_vector_and_back():
    net = mg.nn.Sequential(mg.nn.Linear(3, 2), mg.nn.Linear(2, 4))
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 4))
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in net.state_dict().items()})
    vector = utils.parameters_to_vector(net.parameters())
    expected = torch.nn.utils.parameters_to_vector(theirs.parameters())
    np.testing.assert_array_equal(vector.detach().numpy(), expected.detach().numpy())
    seed = mg.randn(vector.shape[0])
    vector.backward(seed)
    assert mg.equal(utils.parameters_to_vector(p.grad for p in net.parameters()), seed)
    new = mg.randn(vector.shape[0])
    utils.vector_to_parameters(new, net.parameters())
    assert mg.equal(utils.parameters_to_vector(net.parameters()).detach(), new)
    new.zero_()
    assert (net[0].weight != 0).all()  # copied


@pytest.mark.parametrize("shape", [(5,), (7,), (6, 1)])
def test_vector_of_another_size(shape):
    with pytest.raises(ValueError, match="expected a vector of 6 elements"):
        utils.vector_to_parameters(mg.ones(*shape), [mg.ones(2, 3)])
