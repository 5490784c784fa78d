"""nn.functional: that all of it is there, and what is not tested through a layer."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch

import minigrad as mg
import minigrad.nn.functional as F

from .twin import same

rng = np.random.default_rng(0)


@pytest.mark.parametrize("name", F.__all__)
def test_named_and_ordered_as_in_pytorch(name):
    """PyTorch's names and order, but for what is deprecated or not supported, and for what stands at the end."""
    ours = list(inspect.signature(getattr(F, name)).parameters)
    skip = {"_stacklevel", "size_average", "reduce"}
    function = getattr(torch.nn.functional, name)
    function = getattr(torch.nn.functional, f"{name}_with_indices", function)  # max_pool2d takes *args for that one's
    try:
        theirs = [p for p in inspect.signature(function).parameters if p not in skip]
    except ValueError:  # written in C++, without a signature
        return
    assert ours == theirs[: len(ours)]


@pytest.mark.parametrize("p", [1.0, 2.0, 3.5, float("inf")])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_normalize(p, dim):
    x = rng.standard_normal((3, 4, 5))
    ours, theirs = F.normalize, torch.nn.functional.normalize
    same(lambda x: ours(x, p, dim), lambda x: theirs(x, p, dim), x, second=p != float("inf"))


def test_normalize_zero_vector():
    x = np.array([[0.0, 0.0], [3.0, -4.0]])
    same(lambda x: F.normalize(x), lambda x: torch.nn.functional.normalize(x), x)


@pytest.mark.parametrize(
    ("first", "second", "dim"),
    [((3, 4), (3, 4), 1), ((3, 4), (3, 4), 0), ((2, 3, 4), (4,), -1), ((3, 1, 4), (5, 4), 2)],
)
def test_cosine_similarity(first, second, dim):
    a, b = rng.standard_normal(first), rng.standard_normal(second)
    same(
        lambda a, b: F.cosine_similarity(a, b, dim=dim),
        lambda a, b: torch.nn.functional.cosine_similarity(a, b, dim=dim),
        a, b, second=True,
    )  # fmt: skip


def test_cosine_similarity_with_zero_vector_is_zero_with_finite_gradient():
    a = mg.zeros(2, 3, requires_grad=True)
    out = F.cosine_similarity(a, mg.ones(2, 3))
    out.backward(mg.tensor([1.0, -2.0]))
    assert (out == 0).all() and a.grad.isfinite().all()


def test_what_an_activation_returns_where_both_branches_overflow():
    """The branch that is not chosen must not turn the gradient into NaN."""
    x = mg.tensor([1e4, -1e4], requires_grad=True)
    for f in (F.elu, F.softplus, F.silu, F.logsigmoid, F.gelu):
        x.grad = None
        f(x).backward(mg.tensor([2.0, -3.0]))
        assert x.grad.isfinite().all(), f.__name__
