"""Muon: momentum for matrices, made orthogonal."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from .. import backend
from ..creation import zeros_like
from ..tensor import Tensor
from .optimizer import Optimizer


class Muon(Optimizer):
    """Step along the orthogonal matrix that is nearest to the momentum: all its directions count alike.

        m = momentum * m + (1 - momentum) * grad
        p = p * (1 - lr * weight_decay) - lr * ratio * orthogonal(m)     nesterov: of (1 - momentum) * grad + momentum * m

    It is for the matrices inside a network; give biases, gains and embeddings to AdamW.

    Args:
        params: parameters or groups, all of two dimensions.
        lr: length of a step.
        weight_decay: share of each parameter, times lr, that is taken off in a step.
        momentum: how slowly m forgets.
        nesterov: look ahead by one step of momentum.
        ns_coefficients, ns_steps: of the iteration, see `orthogonal`.
        eps: keeps a division from zero.
        adjust_lr_fn: the ratio for a (rows, columns) matrix: "original" (also None) sqrt(max(1, rows / columns)),
            "match_rms_adamw" 0.2 * sqrt(max(rows, columns)), which lets AdamW's lr be kept.

    Raises:
        ValueError: an option is out of range, or a parameter is no matrix.

    Source: Jordan et al., Muon: an optimizer for hidden layers, 2024; Liu et al., Muon is scalable for LLM training,
    2025; `torch.optim.Muon`, which iterates in bfloat16 where this stays in the parameter's dtype.

    >>> import minigrad as mg
    >>> w = mg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    >>> optimizer = mg.optim.Muon([w], lr=0.1, weight_decay=0)
    >>> (w * w).sum().backward(); optimizer.step(); w.detach().shape
    Size([2, 2])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        options = dict(lr=lr, weight_decay=weight_decay, momentum=momentum, nesterov=nesterov, eps=eps)
        shape = dict(ns_coefficients=ns_coefficients, ns_steps=ns_steps, adjust_lr_fn=adjust_lr_fn)
        super().__init__(params, {**options, **shape})

    def check(self, group: dict[str, Any]) -> None:
        self._need(group, "lr", "weight_decay", "momentum")
        if group["adjust_lr_fn"] not in (None, "original", "match_rms_adamw"):
            raise ValueError(
                f"Muon: adjust_lr_fn must be None, 'original' or 'match_rms_adamw', got {group['adjust_lr_fn']!r}"
            )
        if len(group["ns_coefficients"]) != 3:
            raise ValueError(f"Muon: ns_coefficients must be three numbers, got {group['ns_coefficients']}")
        if not 0 <= group["ns_steps"] < 100:
            raise ValueError(f"Muon: ns_steps must be from 0 to 99, got {group['ns_steps']}")
        for p in group["params"]:
            if p.ndim != 2:
                raise ValueError(
                    f"Muon: can only learn matrices, got a parameter of shape {tuple(p.shape)}; give it to AdamW"
                )

    def update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        lr, momentum = float(group["lr"]), group["momentum"]
        for p in params:
            state = self.state[p]
            if not state:
                state["momentum_buffer"] = zeros_like(p)
            m, g, (rows, columns) = state["momentum_buffer"].array, p.grad.array, p.shape  # type: ignore[union-attr]
            m += (1 - momentum) * (g - m)
            if group["nesterov"]:
                g = g + momentum * (m - g)
            else:
                g = m
            match = group["adjust_lr_fn"] == "match_rms_adamw"
            ratio = 0.2 * math.sqrt(max(rows, columns)) if match else math.sqrt(max(1, rows / columns))
            p.array *= 1 - lr * group["weight_decay"]
            p.array -= lr * ratio * orthogonal(g, group["ns_coefficients"], group["ns_steps"], group["eps"])


def orthogonal(matrix: Any, coefficients: tuple[float, float, float], steps: int, eps: float) -> Any:
    """About U V^T of a matrix U S V^T: its singular values all brought near 1, by the Newton-Schulz iteration.

        x = a * x + b * (x x^T) x + c * (x x^T)^2 x

    applies a * s + b * s^3 + c * s^5 to each singular value s, which takes them from anywhere in (0, 1] to 0.7 ... 1.2.

    Args:
        matrix: an array of two dimensions.
        coefficients: a, b and c.
        steps: how often.
        eps: the least norm to divide by.
    """
    a, b, c = coefficients
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix  # the shorter side first makes x x^T small
    xp = backend.namespace(x)
    x = x / xp.maximum(xp.linalg.norm(x), eps)
    for _ in range(steps):
        square = x @ x.T
        x = a * x + (b * square + c * (square @ square)) @ x
    return x.T if tall else x
