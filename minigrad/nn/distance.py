"""Lengths, distances and angles of vectors, as functions and as layers."""

from __future__ import annotations

from typing import Any

from ..errors import explained
from ..ops.choice import clamp, where
from ..ops.elementwise import sqrt
from ..ops.reduction import amax
from ..tensor import Tensor
from .module import Module


def vector_norm(input: Any, p: float, dim: Any) -> Any:
    """The p-norm along a dimension, which is kept; its gradient at the zero vector is 0."""
    if p == float("inf"):
        return amax(input.abs(), dim, True)
    total = (input * input if p == 2 else input.abs() ** p).sum(dim, True)
    zero = total == 0
    root = where(zero, 1.0, total)
    return where(zero, 0.0, sqrt(root) if p == 2 else root ** (1 / p))


@explained
def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    """Each vector along a dimension divided by its p-norm, or by eps if that is larger.

    Source: `torch.nn.functional.normalize`.

    >>> import minigrad as mg
    >>> normalize(mg.tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """
    return input / clamp(vector_norm(input, p, dim), min=eps)


@explained
def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """Cosine of the angle between vectors along a dimension. Source: `torch.nn.functional.cosine_similarity`.

    Args:
        x1, x2: tensors whose shapes broadcast.
        dim: along which the vectors lie, in the broadcast shape.
        eps: the least length to divide by.

    >>> import minigrad as mg
    >>> cosine_similarity(mg.tensor([1.0, 0.0]), mg.tensor([1.0, 1.0]), dim=0)
    tensor(0.7071)
    """
    x1, x2 = (x.reshape((1,) * (max(x1.ndim, x2.ndim) - x.ndim) + tuple(x.shape)) for x in (x1, x2))
    return (normalize(x1, 2.0, dim, eps) * normalize(x2, 2.0, dim, eps)).sum(dim)


@explained
def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """The p-norm of x1 - x2 + eps along the last dimension.

    Args:
        x1, x2: tensors whose shapes broadcast.
        p: of the norm.
        eps: added to each difference, which keeps the gradient finite where both are equal.
        keepdim: keep the last dimension, with size 1.

    Source: `torch.nn.functional.pairwise_distance`.

    >>> import minigrad as mg
    >>> pairwise_distance(mg.tensor([[0.0, 0.0]]), mg.tensor([[3.0, 4.0]]))
    tensor([5.0000])
    """
    length = vector_norm(x1 - x2 + eps, p, -1)
    return length if keepdim else length.squeeze(-1)


class CosineSimilarity(Module):
    """Cosine of the angle between vectors along dim. Source: `torch.nn.CosineSimilarity`."""

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Their broadcast shape, without dim."""
        return cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The p-norm of differences along the last dimension. Source: `torch.nn.PairwiseDistance`."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Their broadcast shape, without the last dimension unless keepdim."""
        return pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
