"""Models of all kinds, from one source, train alike in PyTorch and in minigrad: see public/__init__.py."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
import torch

import minigrad as mg

STEPS = 5
MODELS = ["gpt", "bert", "transformer", "resnet", "dcgan", "vae", "lstm_lm", "unet", "vit", "seq2seq"]
VARIANTS = [(name, {}) for name in MODELS] + [("seq2seq", {"attention": "luong"})]


def numpy_state(model):
    return {name: value.detach().numpy().copy() for name, value in model.state_dict().items()}


def train(library, model, start, batches, dtype):
    """The losses of all steps, (steps, losses of a step)."""
    step, losses = start(), []
    for arrays in batches:
        tensors = [library.tensor(a.astype(dtype) if a.dtype.kind == "f" else a) for a in arrays]
        found = step(*tensors)
        losses.append([loss.item() for loss in (found if isinstance(found, tuple) else (found,))])
    return np.array(losses)


def near(a, b, tolerance, what):
    """Equal but for a part of the largest element."""
    assert a.shape == b.shape and a.dtype == b.dtype, what
    if a.dtype.kind != "f":
        np.testing.assert_array_equal(a, b, what)
    else:
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b).max(), err_msg=what)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")  # PyTorch's, about its own speed
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("float64", 1e-8)])
@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_trains_as_in_pytorch(name, options, dtype, tolerance):
    module = import_module(f"{__package__}.public.{name}")
    rng = np.random.default_rng(0)
    batches = [module.batch(rng) for _ in range(STEPS)]
    torch.manual_seed(0)
    theirs, start_theirs = module.build(torch, **options)
    ours, start_ours = module.build(mg, **options)
    theirs.to(getattr(torch, dtype))
    ours.to(getattr(mg, dtype))
    with torch.no_grad():  # nothing may hide behind a weight of zero or one
        for p in theirs.parameters():
            p.add_(0.02 * torch.randn_like(p))
    before = numpy_state(theirs)
    assert list(ours.state_dict()) == list(before)
    ours.load_state_dict(before)

    expected = train(torch, theirs, start_theirs, batches, dtype)
    losses = train(mg, ours, start_ours, batches, dtype)
    np.testing.assert_allclose(losses, expected, rtol=tolerance)
    after, state = numpy_state(theirs), numpy_state(ours)
    for key, value in after.items():
        near(state[key], value, tolerance, key)
    for key, _ in theirs.named_parameters():  # what does not move tells nothing; softmax does not see a bias of the keys
        assert (after[key] != before[key]).any() or key.endswith("key.bias"), key
