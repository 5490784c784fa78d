"""Losses: how far predictions are from what they should be. What has rules or fused kernels is in ops/loss.py."""

from __future__ import annotations

from typing import Any

from ..errors import explained
from ..ops.choice import where
from ..ops.elementwise import abs as abs_
from ..ops.elementwise import exp, logsigmoid
from ..ops.loss import _class_axis, _class_loss, _cross_entropy, _logistic_loss, _squared_error
from ..ops.reduction import log_softmax, mean, sum


def _reduce(name: str, loss: Any, reduction: str) -> Any:
    _check_reduction(name, reduction)
    return mean(loss) if reduction == "mean" else sum(loss) if reduction == "sum" else loss


def _check_reduction(name: str, reduction: str) -> None:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{name}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def _same_shape(name: str, input: Any, target: Any) -> None:
    """Broadcasting a prediction against a target of another shape is nearly always a mistake: an (n,) target against
    (n, 1) predictions would compare each with all."""
    if input.array.shape != target.array.shape:
        raise ValueError(
            f"{name}: input and target must have the same shape, got {tuple(input.shape)} and {tuple(target.shape)}; "
            "reshape or expand one of them"
        )


def _weighted(name: str, loss: Any, weight: Any, reduction: str) -> Any:
    _same_shape(f"{name}: weight", loss, weight)
    loss = _reduce(name, loss * weight, "sum" if reduction == "mean" else reduction)
    return loss / sum(weight) if reduction == "mean" else loss


@explained
def mse_loss(input: Any, target: Any, reduction: str = "mean", weight: Any = None) -> Any:
    """Mean squared difference. Source: `torch.nn.functional.mse_loss`.

    Args:
        input, target: of the same shape (PyTorch broadcasts with a warning; here it is an error).
        reduction: "mean", "sum" or "none".
        weight: of each element, of the same shape; "mean" divides by their sum.

    Raises:
        ValueError: different shapes, or another reduction.

    >>> import minigrad as mg
    >>> mg.nn.functional.mse_loss(mg.tensor([1.0, 2.0]), mg.tensor([0.0, 0.0]))
    tensor(2.5000)
    """
    _same_shape("mse_loss", input, target)
    _check_reduction("mse_loss", reduction)
    if weight is not None:
        return _weighted("mse_loss", (input - target) ** 2, weight, reduction)
    return _squared_error(input, target, reduction=reduction)


@explained
def l1_loss(input: Any, target: Any, reduction: str = "mean", weight: Any = None) -> Any:
    """Mean absolute difference; see `mse_loss`. Source: `torch.nn.functional.l1_loss`.

    >>> import minigrad as mg
    >>> mg.nn.functional.l1_loss(mg.tensor([1.0, -2.0]), mg.tensor([0.0, 0.0]))
    tensor(1.5000)
    """
    _same_shape("l1_loss", input, target)
    if weight is not None:
        return _weighted("l1_loss", abs_(input - target), weight, reduction)
    return _reduce("l1_loss", abs_(input - target), reduction)


@explained
def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """Negative log likelihood of yes/no targets, from logits; exact and finite for any logit.

    Args:
        input: logits, any shape.
        target: probabilities from 0 to 1, of the same shape.
        weight: of each element.
        reduction: "mean", "sum" or "none".
        pos_weight: weight of the positive class, broadcasting.

    Raises:
        ValueError: different shapes, or another reduction.

    Source: `torch.nn.functional.binary_cross_entropy_with_logits`.

    >>> import minigrad as mg
    >>> mg.nn.functional.binary_cross_entropy_with_logits(mg.tensor([800.0, 0.0]), mg.tensor([0.0, 1.0]), reduction="none")
    tensor([8.0000e+02, 6.9315e-01])
    """
    name = "binary_cross_entropy_with_logits"
    _same_shape(name, input, target)
    _check_reduction(name, reduction)
    if weight is None and pos_weight is None:
        return _logistic_loss(input, target, reduction=reduction)
    positive = target if pos_weight is None else target * pos_weight
    loss = -(positive * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    return _reduce(name, loss if weight is None else loss * weight, reduction)


@explained
def nll_loss(
    input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """Minus the log probability of each target class, from log probabilities. Source: `torch.nn.functional.nll_loss`.

    Args:
        input: log probabilities, (classes,), (n, classes) or (n, classes, ...).
        target: class numbers, the shape of input without classes.
        weight: of each class; "mean" divides by the sum of the targets' weights.
        ignore_index: a target that counts for nothing.
        reduction: "mean", "sum" or "none".

    >>> import minigrad as mg
    >>> mg.nn.functional.nll_loss(mg.tensor([[-0.1, -2.0], [-3.0, -0.2]]), mg.tensor([0, 1]))
    tensor(0.1500)
    """
    _check_reduction("nll_loss", reduction)
    _check_classes("nll_loss", input, target)
    return _class_loss("nll_loss", input, target, weight, ignore_index, reduction, 0.0)


@explained
def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Negative log likelihood of the target class, from logits. Source: `torch.nn.functional.cross_entropy`.

    Args:
        input: logits, (classes,), (n, classes) or (n, classes, ...).
        target: class numbers, the shape of input without classes; or probabilities, the shape of input.
        weight: of each class, shape (classes,).
        ignore_index: a class number that counts for nothing.
        reduction: "mean", "sum" or "none". "mean" divides by the sum of the targets' weights, so that ignored targets do
            not dilute it; it is NaN if all are ignored.
        label_smoothing: how much of the target, from 0 to 1, is spread evenly over all classes.

    Raises:
        ValueError: shapes do not fit, or another reduction.
        IndexError: a class number out of range.
        RuntimeError: targets of another dtype, or label_smoothing out of range.

    >>> import minigrad as mg
    >>> mg.nn.functional.cross_entropy(mg.tensor([[2.0, 0.0, 0.0]]), mg.tensor([0]))
    tensor(0.2395)
    """
    name = "cross_entropy"
    _check_reduction(name, reduction)
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"{name}: label_smoothing must be from 0 to 1, got {label_smoothing}")
    if tuple(input.shape) == tuple(target.shape) and target.dtype.kind == "f":
        return _soft_loss(input, target, weight, reduction, label_smoothing)
    _check_classes(name, input, target)
    if weight is None and label_smoothing == 0 and input.ndim == 2 and reduction == "mean":
        return _cross_entropy(input, target, ignore_index=ignore_index)
    axis = 1 if input.ndim > 1 else 0
    return _class_loss(name, log_softmax(input, axis), target, weight, ignore_index, reduction, label_smoothing)


def _check_classes(name: str, input: Any, target: Any) -> None:
    shape = tuple(input.shape)
    if not shape:
        raise ValueError(f"{name}: expected an input with a dimension for the classes, got a 0-d tensor")
    expected = shape[:1] + shape[2:] if len(shape) > 1 else ()
    if tuple(target.shape) != expected:
        raise ValueError(
            f"{name}: for an input of shape {shape} (classes in dimension {_class_axis(input)}) expected targets of shape "
            f"{expected}, got {tuple(target.shape)}"
        )
    if target.dtype.kind not in "iu":
        raise RuntimeError(
            f"{name}: targets must be class numbers (int64), or probabilities of the input's shape {shape}; got "
            f"{target.dtype} of shape {tuple(target.shape)}"
        )


def _soft_loss(input, target, weight, reduction, smoothing):
    axis = _class_axis(input)
    classes = input.shape[axis]
    if smoothing:
        target = target * (1 - smoothing) + smoothing / classes
    terms = target * log_softmax(input, axis)
    if weight is not None:
        terms = terms * weight.reshape(-1, *[1] * (input.ndim - axis - 1))
    loss = -sum(terms, axis)
    if reduction == "mean":
        return sum(loss) / (input.numel() // classes)
    return _reduce("cross_entropy", loss, reduction)


@explained
def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """Kullback-Leibler divergence of a distribution from log probabilities. Source: `torch.nn.functional.kl_div`.

    Args:
        input: log probabilities.
        target: probabilities, or log probabilities with log_target.
        reduction: "mean" (over elements), "batchmean" (over the first dimension, the mathematical one), "sum", "none".
        log_target: see target.

    >>> import minigrad as mg
    >>> mg.nn.functional.kl_div(mg.tensor([-0.7, -0.7]), mg.tensor([0.5, 0.5]), reduction="sum")
    tensor(0.0069)
    """
    if log_target:
        loss = exp(target) * (target - input)
    else:
        positive = target > 0
        loss = where(positive, target * (where(positive, target, 1.0).log() - input), -target * input)
    if reduction == "batchmean":
        return sum(loss) / input.shape[0]
    return _reduce("kl_div", loss, reduction)
