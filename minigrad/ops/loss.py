"""What losses are made of: how far predictions are from what they should be. The losses are in functions/loss.py."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import backend
from .. import op as op_module
from ..composite import composite
from ..kernels import cpu as kernels
from ..op import op
from .choice import where
from .elementwise import sigmoid
from .indexing import _select
from .reduction import log_softmax, sum

# The two losses that small networks use most are primitives: on a few numbers one operation takes a tenth of the time
# of the eight that their formulas have. `_each` is the gradient that each element's loss gets from the reduced loss.


def _reduced(xp, loss, reduction):
    if reduction == "none":
        return loss
    total = np.add.reduce(loss, None) if xp is np else loss.sum()
    return total / loss.size if reduction == "mean" else total


def _each(g, shape, reduction):
    return g / (math.prod(shape) or 1) if reduction == "mean" else g


@op(
    dtypes="promote",
    input=lambda g, input, target, input_shape, reduction: _each(g, input_shape, reduction) * (2 * (input - target)),
    target=lambda g, input, target, input_shape, reduction: _each(g, input_shape, reduction) * (2 * (target - input)),
)
def _squared_error(xp, input, target, *, reduction):
    difference = input - target
    return _reduced(xp, difference * difference, reduction)


@op(
    dtypes="promote",
    input=lambda g, input, target, input_shape, reduction: _each(g, input_shape, reduction) * (sigmoid(input) - target),
    target=lambda g, input, input_shape, reduction: _each(g, input_shape, reduction) * -input,
)
def _logistic_loss(xp, input, target, *, reduction):
    product = input * target  # log(1 + e^x) - x y = log(e^(x - x y) + e^(-x y)), which is exact where y is 0 or 1
    return _reduced(xp, xp.logaddexp(input - product, -product), reduction)


@composite
def _cross_entropy(input, target, *, ignore_index):
    """The common case, which has fused kernels: rows of logits, class numbers, the mean."""
    return _class_loss("cross_entropy", log_softmax(input, 1), target, None, ignore_index, "mean", 0.0)


_cross_entropy.fused("cpu", kernels.cross_entropy, kernels.cross_entropy_backward)


def _class_axis(input: Any) -> int:
    return 1 if input.ndim > 1 else 0


def _class_loss(name, log_p, target, weight, ignore_index, reduction, smoothing):
    axis = _class_axis(log_p)
    classes = log_p.shape[axis]
    numbers = target.array if isinstance(target, op_module.Tensor) else target
    xp = backend.namespace(numbers)
    counted = numbers != ignore_index
    if xp is np:  # on a GPU it would wait for the device
        wrong = counted & ((numbers < 0) | (numbers >= classes))
        if wrong.any():
            raise IndexError(f"{name}: target {int(numbers[wrong].reshape(-1)[0])} is out of range for {classes} classes")
    safe = xp.where(counted, numbers, 0)
    grid = list(xp.ogrid[tuple(slice(n) for n in numbers.shape)])
    one = xp.asarray(1, log_p.dtype)
    weights = counted * one if weight is None else weight[safe] * (counted * one)
    chosen = _select(log_p, index=(*grid[:axis], safe, *grid[axis:]))
    loss = -chosen * weights
    if smoothing:
        every = log_p if weight is None else log_p * weight.reshape(-1, *[1] * (log_p.ndim - axis - 1))
        spread_out = -sum(every, axis) * (counted * one)
        loss = loss * (1 - smoothing) + spread_out * (smoothing / classes)
    if reduction == "mean":
        total = sum(weights)
        nothing = total == 0  # then the mean is NaN, with gradient zero as in PyTorch
        return sum(loss) / where(nothing, one, total) + where(nothing, one * math.nan, one * 0)
    return sum(loss) if reduction == "sum" else loss
