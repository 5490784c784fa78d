"""Losses with a margin: what is right should beat what is wrong by so much, and more does not count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import explained
from ..functions.loss import _reduce, _same_shape
from ..ops.choice import clamp, minimum, where
from ..ops.elementwise import logsigmoid, sqrt
from ..ops.indexing import one_hot
from ..ops.reduction import sum
from ..tensor import Tensor
from .distance import pairwise_distance
from .loss import _Loss


def _signs(name: str, target: Any) -> None:
    if not bool(((target == 1) | (target == -1)).all()):
        raise ValueError(f"{name}: targets must be 1 or -1")


@explained
def margin_ranking_loss(input1: Any, input2: Any, target: Any, margin: float = 0, reduction: str = "mean") -> Any:
    """max(0, margin - target * (input1 - input2)): the first should be larger where target is 1, smaller where it is -1.

    Args:
        input1, input2, target: of the same number of dimensions, broadcasting.
        margin: by how much.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: a target is neither 1 nor -1, or another reduction.
        RuntimeError: other numbers of dimensions.

    Source: `torch.nn.functional.margin_ranking_loss`.

    >>> import minigrad as mg
    >>> margin_ranking_loss(mg.tensor([3.0, 1.0]), mg.tensor([1.0, 3.0]), mg.tensor([1.0, 1.0]), reduction="none")
    tensor([0., 2.])
    """
    if not input1.ndim == input2.ndim == target.ndim:
        shapes = [tuple(x.shape) for x in (input1, input2, target)]
        raise RuntimeError(f"margin_ranking_loss: all must have the same number of dimensions, got shapes {shapes}")
    _signs("margin_ranking_loss", target)
    return _reduce("margin_ranking_loss", clamp(margin - target * (input1 - input2), min=0), reduction)


def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, reduction: str = "mean") -> Any:
    """Distances that should be small where target is 1, and at least margin where it is -1.

    Args:
        input: distances.
        target: 1 or -1, broadcasting.
        margin: see above.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: a target is neither 1 nor -1, or another reduction.

    Source: `torch.nn.functional.hinge_embedding_loss`.

    >>> import minigrad as mg
    >>> hinge_embedding_loss(mg.tensor([0.3, 0.3]), mg.tensor([1, -1]), reduction="none")
    tensor([0.3000, 0.7000])
    """
    _signs("hinge_embedding_loss", target)
    loss = where(target == 1, input, clamp(margin - input, min=0))
    return _reduce("hinge_embedding_loss", loss, reduction)


@explained
def cosine_embedding_loss(input1: Any, input2: Any, target: Any, margin: float = 0, reduction: str = "mean") -> Any:
    """1 - cosine where target is 1, max(0, cosine - margin) where it is -1.

    Args:
        input1, input2: (n, features) or (features,).
        target: (n,) or ().
        margin: what cosine unlike pairs may have.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: a target is neither 1 nor -1, or another reduction.
        RuntimeError: shapes that do not fit.

    Source: `torch.nn.functional.cosine_embedding_loss`.

    >>> import minigrad as mg
    >>> cosine_embedding_loss(mg.tensor([[1.0, 0.0]]), mg.tensor([[3.0, 4.0]]), mg.tensor([1]))
    tensor(0.4000)
    """
    if target.ndim > 1 or not input1.ndim == input2.ndim == target.ndim + 1:
        shapes = [tuple(x.shape) for x in (input1, input2, target)]
        raise RuntimeError(f"cosine_embedding_loss: expected (n, features) twice and (n,), got {shapes}")
    _signs("cosine_embedding_loss", target)
    squares = (sum(input1 * input1, -1) + 1e-12) * (sum(input2 * input2, -1) + 1e-12)
    cosine = sum(input1 * input2, -1) / sqrt(squares)
    return _reduce("cosine_embedding_loss", where(target == 1, 1 - cosine, clamp(cosine - margin, min=0)), reduction)


@explained
def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """max(0, margin + distance(anchor, positive) - distance(anchor, negative)).

    Args:
        anchor, positive, negative: of the same number of dimensions.
        distance_function: of two; `pairwise_distance` if None.
        margin: how much farther the negative should be.
        swap: take the distance of positive and negative instead, if that is smaller.
        reduction: "mean", "sum" or "none".

    Raises:
        RuntimeError: other numbers of dimensions.
        ValueError: margin is not positive, or another reduction.

    Source: `torch.nn.functional.triplet_margin_with_distance_loss`.
    """
    name = "triplet_margin_loss"
    if not anchor.ndim == positive.ndim == negative.ndim:
        shapes = [tuple(x.shape) for x in (anchor, positive, negative)]
        raise RuntimeError(f"{name}: all must have the same number of dimensions, got shapes {shapes}")
    if margin <= 0:
        raise ValueError(f"{name}: margin must be above 0, got {margin}")
    distance = distance_function or pairwise_distance
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return _reduce(name, clamp(margin + near - far, min=0), reduction)


@explained
def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """`triplet_margin_with_distance_loss` with the p-norm of differences.

    Source: Balntas et al., 2016; `torch.nn.functional.triplet_margin_loss`.

    >>> import minigrad as mg
    >>> triplet_margin_loss(mg.tensor([[0.0]]), mg.tensor([[1.0]]), mg.tensor([[-1.5]]))
    tensor(0.5000)
    """

    def distance(x: Any, y: Any) -> Any:
        return pairwise_distance(x, y, p, eps)

    return triplet_margin_with_distance_loss(
        anchor, positive, negative, distance_function=distance, margin=margin, swap=swap, reduction=reduction
    )


@explained
def soft_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """log(1 + exp(-target * input)), for targets 1 and -1. Source: `torch.nn.functional.soft_margin_loss`."""
    _same_shape("soft_margin_loss", input, target)
    return _reduce("soft_margin_loss", -logsigmoid(target * input), reduction)


@explained
def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean"
) -> Any:
    """The sum over all wrong classes of max(0, margin - right score + wrong score)^p, by the number of classes.

    Args:
        input: scores, (n, classes) or (classes,).
        target: the right class, (n,) or ().
        p: 1 or 2.
        margin: see above.
        weight: of each right class, (classes,).
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: p is neither 1 nor 2, or another reduction.
        RuntimeError: shapes that do not fit.

    Source: Crammer and Singer, 2001; `torch.nn.functional.multi_margin_loss`.

    >>> import minigrad as mg
    >>> multi_margin_loss(mg.tensor([[0.5, 1.0, 0.0]]), mg.tensor([0]))
    tensor(0.6667)
    """
    if p not in (1, 2):
        raise ValueError(f"multi_margin_loss: p must be 1 or 2, got {p}")
    if tuple(target.shape) != tuple(input.shape[:-1]) or input.ndim not in (1, 2):
        raise RuntimeError(
            f"multi_margin_loss: expected scores (n, classes) and targets (n,), got {tuple(input.shape)} and "
            f"{tuple(target.shape)}"
        )
    right = one_hot(target, num_classes=input.shape[-1]).bool()
    beaten = clamp(margin - sum(where(right, input, 0.0), -1, True) + input, min=0)
    loss = where(right, 0.0, beaten * beaten if p == 2 else beaten)
    if weight is not None:
        loss = loss * weight[target].unsqueeze(-1)
    return _reduce("multi_margin_loss", sum(loss, -1) / input.shape[-1], reduction)


@explained
def multilabel_soft_margin_loss(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """The mean over classes of binary cross entropy with logits; weight is of each class.

    Source: `torch.nn.functional.multilabel_soft_margin_loss`.
    """
    _same_shape("multilabel_soft_margin_loss", input, target)
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    loss = loss if weight is None else loss * weight
    return _reduce("multilabel_soft_margin_loss", loss.mean(-1), reduction)


# ---------------------------------------------------------------------------------------------------------- layers


class _Several(_Loss):
    """A loss of three tensors."""

    def forward(self, *tensors: Tensor) -> Tensor:  # type: ignore[override]
        """The loss: a number, or with reduction="none" one for each row."""
        return type(self).function(*tensors, **{name: getattr(self, name) for name in self._options})


class MarginRankingLoss(_Several):
    """The first should be larger than the second, or smaller. Source: `torch.nn.MarginRankingLoss`."""

    function = staticmethod(margin_ranking_loss)

    def __init__(self, margin: float = 0.0, *, reduction: str = "mean") -> None:
        super().__init__(margin=margin, reduction=reduction)


class HingeEmbeddingLoss(_Loss):
    """Distances that should be small, or at least margin. Source: `torch.nn.HingeEmbeddingLoss`."""

    function = staticmethod(hinge_embedding_loss)

    def __init__(self, margin: float = 1.0, *, reduction: str = "mean") -> None:
        super().__init__(margin=margin, reduction=reduction)


class CosineEmbeddingLoss(_Several):
    """Vectors that should point the same way, or not. Source: `torch.nn.CosineEmbeddingLoss`."""

    function = staticmethod(cosine_embedding_loss)

    def __init__(self, margin: float = 0.0, *, reduction: str = "mean") -> None:
        super().__init__(margin=margin, reduction=reduction)


class TripletMarginLoss(_Several):
    """The positive should be nearer to the anchor than the negative. Source: `torch.nn.TripletMarginLoss`."""

    function = staticmethod(triplet_margin_loss)

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False, *, reduction: str = "mean"
    ) -> None:
        super().__init__(margin=margin, p=p, eps=eps, swap=swap, reduction=reduction)


class TripletMarginWithDistanceLoss(_Several):
    """TripletMarginLoss with a distance of your own. Source: `torch.nn.TripletMarginWithDistanceLoss`."""

    function = staticmethod(triplet_margin_with_distance_loss)

    def __init__(
        self,
        *,
        distance_function: Callable[[Any, Any], Any] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(distance_function=distance_function, margin=margin, swap=swap, reduction=reduction)


class SoftMarginLoss(_Loss):
    """log(1 + exp(-target * input)). Source: `torch.nn.SoftMarginLoss`."""

    function = staticmethod(soft_margin_loss)

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)


class MultiMarginLoss(_Loss):
    """The right class should beat each wrong one by margin. Source: `torch.nn.MultiMarginLoss`."""

    function = staticmethod(multi_margin_loss)

    def __init__(
        self, p: int = 1, margin: float = 1.0, weight: Tensor | None = None, *, reduction: str = "mean"
    ) -> None:
        super().__init__(p=p, margin=margin, weight=weight, reduction=reduction)


class MultiLabelSoftMarginLoss(_Loss):
    """The mean over classes of binary cross entropy with logits. Source: `torch.nn.MultiLabelSoftMarginLoss`."""

    function = staticmethod(multilabel_soft_margin_loss)

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean") -> None:
        super().__init__(weight=weight, reduction=reduction)
