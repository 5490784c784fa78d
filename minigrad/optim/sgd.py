"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..tensor import Tensor
from .optimizer import BLOCK, Optimizer, all_at_once, as_factor, blocks, few


class SGD(Optimizer):
    """Step against the gradient, with momentum if asked for.

        v = momentum * v + (1 - dampening) * grad        (v = grad the first time)
        p = p - lr * v                                   nesterov: p - lr * (grad + momentum * v)

    Args:
        params: parameters or groups.
        lr: length of a step, relative to the gradient.
        momentum: how much of the last step is kept.
        dampening: how much of the gradient is held back from v.
        weight_decay: factor of the parameter that is added to its gradient.
        nesterov: look ahead by one step of momentum.
        maximize: climb instead.
        foreach, fused: PyTorch's choice of implementation, no effect here.

    Raises:
        ValueError: an option is negative, or nesterov without momentum or with dampening.

    Source: Sutskever et al., On the importance of initialization and momentum, 2013; `torch.optim.SGD`.

    >>> import minigrad as mg
    >>> w = mg.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = mg.optim.SGD([w], lr=0.1)
    >>> (w * w).sum().backward(); optimizer.step(); w.detach()
    tensor([0.8000, 1.6000])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
    ) -> None:
        options = dict(lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov)
        super().__init__(params, {**options, "maximize": maximize})

    def check(self, group: dict[str, Any]) -> None:
        self._need(group, "lr", "momentum", "weight_decay")
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError("SGD: nesterov needs momentum above 0 and dampening 0")

    def update(self, params: list[Any], group: dict[str, Any]) -> None:
        lr, momentum, decay = float(group["lr"]), group["momentum"], group["weight_decay"]
        if group["maximize"]:
            lr, decay = -lr, -decay  # the same as turning the gradient around
        if not few(params) and self._by_kernel(params, group, lr, decay):
            return
        dtype, rate = None, lr  # type: Any, Any
        for p in params:
            x, g = p.array, p.grad.array
            if x.dtype is not dtype:
                dtype, rate = x.dtype, as_factor(x, lr)
            if decay:
                g = g + decay * x
            if momentum:
                g = self._with_momentum(p, g, group)
            if g.size <= BLOCK:
                x -= rate * g
            else:
                for part, step in blocks(x, g):
                    part -= rate * step

    def _by_kernel(self, params: list[Any], group: dict[str, Any], lr: float, decay: float) -> bool:
        """Move all parameters by one call of a kernel, if there is one."""
        momentum, state = group["momentum"], self.state
        if not momentum:
            tensors: list[tuple] = [(p.array, p.grad.array) for p in params]
        elif all(state[p].get("momentum_buffer") is not None for p in params):
            tensors = [(p.array, p.grad.array, state[p]["momentum_buffer"].array) for p in params]
        else:
            return False  # the first step is another
        numbers = (lr, decay, momentum, 1 - group["dampening"], group["nesterov"])
        return all_at_once("sgd", tensors, numbers) is not NotImplemented

    def _with_momentum(self, p: Tensor, g: Any, group: dict[str, Any]) -> Any:
        momentum, state = group["momentum"], self.state[p]
        if state.get("momentum_buffer") is None:
            state["momentum_buffer"] = Tensor(g)
            v = state["momentum_buffer"].array
        else:
            v = state["momentum_buffer"].array
            v *= momentum
            v += g if group["dampening"] == 0 else (1 - group["dampening"]) * g
        return g + momentum * v if group["nesterov"] else v
