"""Adam and AdamW."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from .. import backend
from ..creation import zeros_like
from ..tensor import Tensor
from .optimizer import Optimizer, all_at_once, as_factor, blocks


class Adam(Optimizer):
    """Step by the mean gradient, divided by its usual size, for each element by itself.

        m = beta1 * m + (1 - beta1) * grad
        v = beta2 * v + (1 - beta2) * grad^2
        p = p - lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

    Args:
        params: parameters or groups.
        lr: length of a step: about how far each element moves.
        betas: how slowly the two means forget, from 0 to below 1.
        eps: keeps the division from zero.
        weight_decay: factor of the parameter that is added to its gradient (AdamW decays apart from it).
        amsgrad: divide by the largest v so far.
        maximize: climb instead.
        foreach, fused: PyTorch's choice of implementation, no effect here.

    Raises:
        ValueError: an option is out of range.

    Source: Kingma and Ba, Adam, 2014; amsgrad: Reddi et al., 2018; `torch.optim.Adam`.

    >>> import minigrad as mg
    >>> w = mg.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = mg.optim.Adam([w], lr=0.1)
    >>> (w * w).sum().backward(); optimizer.step(); w.detach()
    tensor([0.9000, 1.9000])
    """

    decoupled = False

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
    ) -> None:
        options = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad, maximize=maximize)
        super().__init__(params, options)

    def check(self, group: dict[str, Any]) -> None:
        self._need(group, "lr", "eps", "weight_decay")
        if len(group["betas"]) != 2 or not all(0 <= beta < 1 for beta in group["betas"]):
            raise ValueError(f"{type(self).__name__}: betas must be two numbers in [0, 1), got {group['betas']}")

    def update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        steps: dict[int, list[tuple]] = {}  # the same step for all, unless some had no gradient at times
        for p in params:
            state = self.state[p]
            if not state:
                state.update(step=0, exp_avg=zeros_like(p), exp_avg_sq=zeros_like(p))
                if group["amsgrad"]:
                    state["max_exp_avg_sq"] = zeros_like(p)
            t = state["step"] = state["step"] + 1
            arrays: tuple = (p.array, p.grad.array, state["exp_avg"].array, state["exp_avg_sq"].array)  # type: ignore[union-attr]
            if group["amsgrad"]:
                arrays += (state["max_exp_avg_sq"].array,)
            steps.setdefault(t, []).append(arrays)
        for t, tensors in steps.items():
            if all_at_once("adam", tensors, self._numbers(t, group)) is NotImplemented:
                dtype, factors = None, None  # type: Any, Any
                for arrays in tensors:
                    if arrays[0].dtype is not dtype:
                        dtype, factors = arrays[0].dtype, [as_factor(arrays[0], x) for x in self._factors(t, group)]
                    for piece in blocks(*arrays):
                        self._move(group, factors, *piece)

    def _numbers(self, t: int, group: dict[str, Any]) -> tuple[float, ...]:
        """All that the kernel wants to know, worked out."""
        (beta1, beta2), lr, decay = group["betas"], float(group["lr"]), group["weight_decay"]
        shrink, decay = (1 - lr * decay, 0) if self.decoupled else (1, decay)
        means = (beta1, 1 - beta1, beta2, 1 - beta2)
        rate, unbias = lr / (1 - beta1**t), 1 / math.sqrt(1 - beta2**t)
        return shrink, -1 if group["maximize"] else 1, decay, *means, rate, unbias, group["eps"], bool(group["amsgrad"])

    def _factors(self, t: int, group: dict[str, Any]) -> tuple[float, ...]:
        """All that the formula wants to know; numerator and denominator times sqrt(1 - beta2^t), which saves a pass."""
        (beta1, beta2), lr, decay = group["betas"], float(group["lr"]), group["weight_decay"]
        size = math.sqrt(1 - beta2**t)
        rate = lr * size / (1 - beta1**t)
        return 1 - lr * decay if self.decoupled else decay, beta1, 1 - beta1, beta2, 1 - beta2, group["eps"] * size, rate

    def _move(self, group: dict[str, Any], factors: Iterable, p: Any, g: Any, m: Any, v: Any, v_max: Any = None) -> None:
        """One step of one piece, in place; `work` is the only array that is made."""
        xp, (decay, beta1, fresh1, beta2, fresh2, eps, rate) = backend.namespace(p), factors
        if group["maximize"]:
            g = -g
        if group["weight_decay"]:
            if self.decoupled:
                p *= decay
            else:
                g = g + decay * p
        work = xp.multiply(g, fresh1, out=xp.empty_like(p))
        m *= beta1
        m += work
        xp.multiply(g, g, out=work)
        work *= fresh2
        v *= beta2
        v += work
        if v_max is not None:
            xp.maximum(v_max, v, out=v_max)
        xp.sqrt(v if v_max is None else v_max, out=work)
        work += eps
        xp.divide(m, work, out=work)
        work *= rate
        p -= work


class AdamW(Adam):
    """Adam whose weight decay is apart from the gradient: first p = p * (1 - lr * weight_decay), then Adam's step.

    Args:
        weight_decay: share of each parameter, times lr, that is taken off in a step; 0.01 if left out.
        params, lr, betas, eps, amsgrad, maximize, foreach, fused: see `Adam`.

    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2017; `torch.optim.AdamW`.

    >>> import minigrad as mg
    >>> w = mg.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = mg.optim.AdamW([w], lr=0.1, weight_decay=0.5)
    >>> (w * w).sum().backward(); optimizer.step(); w.detach()
    tensor([0.8500, 1.8000])
    """

    decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
