"""Losses, as functions and as layers: distances and likelihoods. Those with a margin are in margin.py.

The functions that stand on derivative rules or fused kernels of their own are in functions/loss.py. The layers keep the
options of the function of the same idea, where its arguments are explained.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..errors import explained
from ..functions.loss import (
    _reduce,
    _same_shape,
    binary_cross_entropy_with_logits,
    cross_entropy,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
)
from ..ops.choice import clamp, where
from ..ops.elementwise import exp, log
from ..tensor import Tensor
from .module import Module


@explained
def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """d*d / (2 * beta) where the difference d is below beta, |d| - beta / 2 beyond.

    Args:
        input, target: of the same shape.
        reduction: "mean", "sum" or "none".
        beta: where the parabola becomes a line; 0 gives `l1_loss`.

    Raises:
        ValueError: different shapes, or another reduction.
        RuntimeError: beta is negative.

    Source: Girshick, Fast R-CNN, 2015; `torch.nn.functional.smooth_l1_loss`.

    >>> import minigrad as mg
    >>> smooth_l1_loss(mg.tensor([0.5, 3.0]), mg.tensor([0.0, 0.0]), reduction="none")
    tensor([0.1250, 2.5000])
    """
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction)
    _same_shape("smooth_l1_loss", input, target)
    d = (input - target).abs()
    return _reduce("smooth_l1_loss", where(d < beta, d * d * (0.5 / beta), d - 0.5 * beta), reduction)


@explained
def huber_loss(
    input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None
) -> Any:
    """d*d / 2 where the difference d is up to delta, delta * (|d| - delta / 2) beyond.

    Args:
        input, target: of the same shape.
        reduction: "mean", "sum" or "none".
        delta: where the parabola becomes a line; above 0.
        weight: of each element.

    Source: Huber, 1964; `torch.nn.functional.huber_loss`.

    >>> import minigrad as mg
    >>> huber_loss(mg.tensor([0.5, 3.0]), mg.tensor([0.0, 0.0]), reduction="none", delta=2.0)
    tensor([0.1250, 4.0000])
    """
    if delta <= 0:
        raise RuntimeError(f"huber_loss: delta must be above 0, got {delta}")
    _same_shape("huber_loss", input, target)
    d = (input - target).abs()
    loss = where(d <= delta, d * d * 0.5, (d - 0.5 * delta) * delta)
    return _reduce("huber_loss", loss if weight is None else loss * weight, reduction)


def _clamped_log(p: Any) -> Any:
    """log(p), but not below -100, and with gradient 0 there."""
    tiny = p < 1e-43
    return where(tiny, -100.0, log(where(tiny, 1.0, p)))


@explained
def binary_cross_entropy(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """Negative log likelihood of yes/no targets, from probabilities.

    Logarithms stop at -100, so that the loss stays finite; where one does, the gradient is 0 (PyTorch's is 1e12).
    Better use `binary_cross_entropy_with_logits`, which is exact.

    Args:
        input: probabilities from 0 to 1, any shape.
        target: probabilities of the same shape.
        weight: of each element.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: different shapes, or another reduction.
        RuntimeError: an input outside of 0 to 1.

    Source: `torch.nn.functional.binary_cross_entropy`.

    >>> import minigrad as mg
    >>> binary_cross_entropy(mg.tensor([0.5, 0.0]), mg.tensor([1.0, 1.0]), reduction="none")
    tensor([  0.6931, 100.0000])
    """
    _same_shape("binary_cross_entropy", input, target)
    if not bool(((input >= 0) & (input <= 1)).all()):
        raise RuntimeError("binary_cross_entropy: inputs must be from 0 to 1; for logits use the _with_logits form")
    loss = -(target * _clamped_log(input) + (1 - target) * _clamped_log(1 - input))
    return _reduce("binary_cross_entropy", loss if weight is None else loss * weight, reduction)


@explained
def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Any:
    """Negative log likelihood of targets under normal distributions: (log(var) + (input - target)^2 / var) / 2.

    Args:
        input: means, any shape.
        target: of the same shape, or broadcasting.
        var: variances, of the same shape, or with a last dimension of 1 or none for one variance to a row, or a number.
        full: add the constant log(2 pi) / 2.
        eps: the least variance; the gradient passes as if there was none.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: a negative variance, a shape that does not fit, or another reduction.

    Source: Nix and Weigend, 1994; `torch.nn.functional.gaussian_nll_loss`.

    >>> import minigrad as mg
    >>> gaussian_nll_loss(mg.tensor([1.0, 2.0]), mg.tensor([0.0, 0.0]), mg.tensor([1.0, 4.0]), reduction="none")
    tensor([0.5000, 1.1931])
    """
    if not isinstance(var, Tensor):
        var = (input.detach() * 0 + 1) * var
    if bool((var < 0).any()):
        raise ValueError("gaussian_nll_loss: variances must not be negative")
    if tuple(var.shape) == tuple(input.shape[:-1]) and var.ndim < input.ndim:
        var = var.unsqueeze(-1)
    if tuple(var.shape) not in (tuple(input.shape), (*input.shape[:-1], 1)):
        raise ValueError(
            f"gaussian_nll_loss: var must have the shape of input, {tuple(input.shape)}, or 1 or nothing in place of its "
            f"last dimension, got {tuple(var.shape)}"
        )
    var = var + (clamp(var, min=eps) - var).detach()
    loss = (log(var) + (input - target) ** 2 / var) * 0.5
    return _reduce("gaussian_nll_loss", loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)


@explained
def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Any:
    """Negative log likelihood of counts under Poisson distributions: rate - count * log(rate).

    Args:
        input: logarithms of the rates, or the rates.
        target: counts.
        log_input: which of the two input is.
        full: add Stirling's approximation of log(count!), for counts above 1.
        eps: added to rates before the logarithm.
        reduction: "mean", "sum" or "none".

    Source: `torch.nn.functional.poisson_nll_loss`.

    >>> import minigrad as mg
    >>> poisson_nll_loss(mg.tensor([0.0, 1.0]), mg.tensor([2.0, 3.0]), reduction="none")
    tensor([ 1.0000, -0.2817])
    """
    loss = exp(input) - target * input if log_input else input - target * log(input + eps)
    if full:
        many = where(target > 1, target, 1.0)
        stirling = many * log(many) - many + 0.5 * log(many * (2 * math.pi))
        loss = loss + where(target > 1, stirling, 0.0)
    return _reduce("poisson_nll_loss", loss, reduction)


# ---------------------------------------------------------------------------------------------------------- layers


class _Loss(Module):
    """A function of input and target as a layer: its options are attributes, under the function's own names.

    Args:
        options: values of the options; tensors become buffers, which move and are saved with the module.
    """

    function: Callable

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self._options = tuple(options)
        for name, value in options.items():
            if name in ("weight", "pos_weight"):
                self.register_buffer(name, value)
            else:
                setattr(self, name, value)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss: a number, or with reduction="none" one for each element or row."""
        return type(self).function(input, target, **{name: getattr(self, name) for name in self._options})


class MSELoss(_Loss):
    """Mean squared difference. Source: `torch.nn.MSELoss`.

    >>> import minigrad as mg
    >>> mg.nn.MSELoss()(mg.tensor([1.0, 2.0]), mg.tensor([0.0, 0.0]))
    tensor(2.5000)
    """

    function = staticmethod(mse_loss)

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)


class L1Loss(_Loss):
    """Mean absolute difference. Source: `torch.nn.L1Loss`."""

    function = staticmethod(l1_loss)

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)


class SmoothL1Loss(_Loss):
    """A parabola near 0, a line beyond beta. Source: `torch.nn.SmoothL1Loss`."""

    function = staticmethod(smooth_l1_loss)

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction=reduction, beta=beta)


class HuberLoss(_Loss):
    """A parabola near 0, a line beyond delta. Source: `torch.nn.HuberLoss`."""

    function = staticmethod(huber_loss)

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction, delta=delta)


class CrossEntropyLoss(_Loss):
    """Negative log likelihood of the target class, from logits. Source: `torch.nn.CrossEntropyLoss`.

    >>> import minigrad as mg
    >>> mg.nn.CrossEntropyLoss()(mg.tensor([[2.0, 0.0, 0.0]]), mg.tensor([0]))
    tensor(0.2395)
    """

    function = staticmethod(cross_entropy)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(
            weight=weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing
        )


class NLLLoss(_Loss):
    """Minus the log probability of the target class, from log probabilities. Source: `torch.nn.NLLLoss`."""

    function = staticmethod(nll_loss)

    def __init__(self, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction)


class BCELoss(_Loss):
    """Negative log likelihood of yes/no targets, from probabilities. Source: `torch.nn.BCELoss`."""

    function = staticmethod(binary_cross_entropy)

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean") -> None:
        super().__init__(weight=weight, reduction=reduction)


class BCEWithLogitsLoss(_Loss):
    """Negative log likelihood of yes/no targets, from logits. Source: `torch.nn.BCEWithLogitsLoss`."""

    function = staticmethod(binary_cross_entropy_with_logits)

    def __init__(
        self, weight: Tensor | None = None, *, reduction: str = "mean", pos_weight: Tensor | None = None
    ) -> None:
        super().__init__(weight=weight, reduction=reduction, pos_weight=pos_weight)


class KLDivLoss(_Loss):
    """Kullback-Leibler divergence from log probabilities. Source: `torch.nn.KLDivLoss`."""

    function = staticmethod(kl_div)

    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction=reduction, log_target=log_target)


class GaussianNLLLoss(_Loss):
    """Negative log likelihood under normal distributions. Source: `torch.nn.GaussianNLLLoss`."""

    function = staticmethod(gaussian_nll_loss)

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(full=full, eps=eps, reduction=reduction)

    def forward(self, input: Tensor, target: Tensor, var: Any) -> Tensor:  # type: ignore[override]
        """The loss: a number, or with reduction="none" one for each element."""
        return gaussian_nll_loss(input, target, var, self.full, self.eps, self.reduction)


class PoissonNLLLoss(_Loss):
    """Negative log likelihood under Poisson distributions. Source: `torch.nn.PoissonNLLLoss`."""

    function = staticmethod(poisson_nll_loss)

    def __init__(
        self, log_input: bool = True, full: bool = False, *, eps: float = 1e-8, reduction: str = "mean"
    ) -> None:
        super().__init__(log_input=log_input, full=full, eps=eps, reduction=reduction)
