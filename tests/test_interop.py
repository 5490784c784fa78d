"""einops on our tensors: the same patterns on the same numbers as in PyTorch, and gradients through them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

import minigrad as mg

einops = pytest.importorskip("einops", reason="einops is not installed: pip install einops")

PATTERNS = [
    lambda x: einops.rearrange(x, "b (h w) c -> b c h w", h=2),
    lambda x: einops.rearrange(x, "b n c -> (b c) n"),
    lambda x: einops.rearrange([x, x * 2], "two b n c -> n (b two) c"),
    lambda x: einops.reduce(x, "b (n two) c -> c n", "mean", two=2),
    lambda x: einops.reduce(x, "b n c -> b", "max"),
    lambda x: einops.reduce(x, "b n c -> n", "min"),
    lambda x: einops.reduce(x, "b n c -> () n ()", "sum"),
    lambda x: einops.reduce(x, "b n c -> c", "prod"),
    lambda x: einops.repeat(x, "b n c -> b (n three) c two", three=3, two=2),
    lambda x: einops.einsum(x, x * 2, "b n c, b m c -> b n m"),
    lambda x: einops.pack([x, x[..., 0]], "b n *")[0],
]


@pytest.mark.parametrize("number", range(len(PATTERNS)))
def test_einops_gives_the_same_as_on_torch(number):
    mg.interop.register_einops()
    a = np.random.default_rng(number).standard_normal((3, 4, 5))
    x, y = mg.tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)
    found, expected = PATTERNS[number](x), PATTERNS[number](y)
    assert isinstance(found, mg.Tensor)
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), rtol=1e-12)
    weights = np.random.default_rng(9).standard_normal(found.shape)
    found.backward(mg.tensor(weights))
    expected.backward(torch.tensor(weights))
    np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-12, atol=1e-12)


def test_parse_shape_and_asnumpy():
    mg.interop.register_einops()
    x = mg.randn(2, 3)
    assert einops.parse_shape(x, "a _") == {"a": 2}
    assert einops.asnumpy(x) is not None and isinstance(einops.asnumpy(x), np.ndarray)


def test_nothing_to_call_if_einops_came_first():
    code = "import einops, minigrad; print(tuple(einops.rearrange(minigrad.zeros(2, 3), 'a b -> b a').shape))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "(3, 2)", run.stderr
