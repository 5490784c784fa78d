"""Rules that give every element a step length of its own: Adagrad, Adadelta, RMSprop, Adamax, NAdam, RAdam, Rprop."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from .. import backend
from ..creation import full_like
from ..tensor import Tensor
from .optimizer import Optimizer, all_at_once, blocks, by_step


class _Adaptive(Optimizer):
    """What they share: each remembers a few arrays of its parameter's shape, and works element by element.

    A rule says in `start` which arrays, with their first value, and in `move` how they and the parameter change.
    """

    def start(self, group: dict[str, Any]) -> dict[str, float]:
        """Name and first value of what is remembered."""
        raise NotImplementedError

    def move(self, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any], t: int) -> None:
        """One step, number t, of one piece of a parameter, in place."""
        raise NotImplementedError

    def check(self, group: dict[str, Any]) -> None:
        self._need(group, *(name for name in ("lr", "eps", "weight_decay", "momentum") if name in self.defaults))
        if not all(0 <= beta < 1 for beta in group.get("betas", (0, 0))) or len(group.get("betas", (0, 0))) != 2:
            raise ValueError(f"{type(self).__name__}: betas must be two numbers in [0, 1), got {group['betas']}")

    def before(self, state: dict[str, Any], group: dict[str, Any]) -> None:
        """What is done once for a parameter before its pieces are moved."""

    def numbers(self, state: dict[str, Any], group: dict[str, Any], t: int) -> tuple[float, ...]:
        """What the rule's kernel wants to know of step t besides decay and sign (see kernels/cpu/optimizers.py)."""
        raise NotImplementedError

    def update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        for p in params:
            state = self.state[p]
            if not state:
                state["step"] = 0
                state.update({name: full_like(p, value) for name, value in self.start(group).items()})
            state["step"] += 1
            self.before(state, group)
        decay = group["weight_decay"] if "weight_decay" in self.defaults else 0
        decoupled = bool(group.get("decoupled_weight_decay"))
        shrink, decay = (1 - float(group["lr"]) * decay, 0) if decoupled else (1, decay)
        sign = -1 if group["maximize"] else 1
        names = list(self.start(group))
        for t, some in by_step(params, self.state).items():
            tensors = [(p.array, p.grad.array, *[self.state[p][name].array for name in names]) for p in some]  # type: ignore[union-attr]
            numbers = (shrink, sign, decay, *self.numbers(self.state[some[0]], group, t))
            if all_at_once(type(self).__name__.lower(), tensors, numbers) is NotImplemented:
                for p, arrays in zip(some, tensors):
                    for x, g, *pieces in blocks(*arrays):
                        if decoupled:
                            x *= shrink
                        g = g if sign == 1 else -g
                        g = g + decay * x if decay else g
                        self.move(x, g, {**self.state[p], **dict(zip(names, pieces))}, group, t)


class Adagrad(_Adaptive):
    """Divide the gradient by the root of the sum of all its squares so far.

        s = s + grad^2
        p = p - lr / (1 + (t - 1) * lr_decay) * grad / (sqrt(s) + eps)

    Args:
        params: parameters or groups.
        lr: length of a step.
        lr_decay: how fast lr falls with the number of steps.
        weight_decay: factor of the parameter that is added to its gradient.
        initial_accumulator_value: of s.
        eps: keeps the division from zero.
        maximize: climb instead.
        foreach, fused: PyTorch's choice of implementation, no effect here.

    Raises:
        ValueError: an option is negative.

    Source: Duchi et al., Adaptive subgradient methods, 2011; `torch.optim.Adagrad`.

    >>> import minigrad as mg
    >>> w = mg.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = mg.optim.Adagrad([w], lr=0.1)
    >>> (w * w).sum().backward(); optimizer.step(); w.detach()
    tensor([0.9000, 1.9000])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        fused: bool | None = None,
    ) -> None:
        options = dict(lr=lr, lr_decay=lr_decay, eps=eps, weight_decay=weight_decay, maximize=maximize)
        super().__init__(params, {**options, "initial_accumulator_value": initial_accumulator_value})

    def check(self, group: dict[str, Any]) -> None:
        super().check(group)
        self._need(group, "lr_decay", "initial_accumulator_value")

    def start(self, group: dict[str, Any]) -> dict[str, float]:
        return {"sum": group["initial_accumulator_value"]}

    def numbers(self, state: dict[str, Any], group: dict[str, Any], t: int) -> tuple[float, ...]:
        return float(group["lr"]) / (1 + (t - 1) * group["lr_decay"]), group["eps"]

    def move(self, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any], t: int) -> None:
        s, xp = state["sum"], backend.namespace(p)
        s += g * g
        p -= float(group["lr"]) / (1 + (t - 1) * group["lr_decay"]) * (g / (xp.sqrt(s) + group["eps"]))


class Adadelta(_Adaptive):
    """Scale the gradient by the usual size of the last steps over that of the last gradients.

        v = rho * v + (1 - rho) * grad^2
        step = sqrt(u + eps) / sqrt(v + eps) * grad
        u = rho * u + (1 - rho) * step^2
        p = p - lr * step

    Args:
        params: parameters or groups.
        lr: factor of the step.
        rho: how slowly the two means forget, from 0 to 1.
        eps: keeps the roots from zero.
        weight_decay: factor of the parameter that is added to its gradient.
        maximize: climb instead.
        foreach: PyTorch's choice of implementation, no effect here.

    Raises:
        ValueError: an option is out of range.

    Source: Zeiler, ADADELTA, 2012; `torch.optim.Adadelta`.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, dict(lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize))

    def check(self, group: dict[str, Any]) -> None:
        super().check(group)
        if not 0 <= group["rho"] <= 1:
            raise ValueError(f"Adadelta: rho must be from 0 to 1, got {group['rho']}")

    def start(self, group: dict[str, Any]) -> dict[str, float]:
        return {"square_avg": 0, "acc_delta": 0}

    def numbers(self, state: dict[str, Any], group: dict[str, Any], t: int) -> tuple[float, ...]:
        return float(group["lr"]), group["rho"], 1 - group["rho"], group["eps"]

    def move(self, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any], t: int) -> None:
        v, u, rho, eps = state["square_avg"], state["acc_delta"], group["rho"], group["eps"]
        xp = backend.namespace(p)
        v *= rho
        v += (1 - rho) * (g * g)
        step = xp.sqrt(u + eps) / xp.sqrt(v + eps) * g
        u *= rho
        u += (1 - rho) * (step * step)
        p -= float(group["lr"]) * step


class RMSprop(_Adaptive):
    """Divide the gradient by its usual size.

        v = alpha * v + (1 - alpha) * grad^2
        p = p - lr * grad / (sqrt(v) + eps)

    Args:
        params: parameters or groups.
        lr: length of a step.
        alpha: how slowly v forgets.
        eps: keeps the division from zero.
        weight_decay: factor of the parameter that is added to its gradient.
        momentum: how much of the last step is kept.
        centered: take the mean gradient's square off v, which makes it a variance.
        maximize: climb instead.
        foreach: PyTorch's choice of implementation, no effect here.

    Raises:
        ValueError: an option is negative.

    Source: Hinton, lecture 6e of Neural Networks for Machine Learning, 2012; `torch.optim.RMSprop`.

    >>> import minigrad as mg
    >>> w = mg.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = mg.optim.RMSprop([w], lr=0.1, alpha=0.75)
    >>> (w * w).sum().backward(); optimizer.step(); w.detach()
    tensor([0.8000, 1.8000])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        options = dict(lr=lr, momentum=momentum, alpha=alpha, eps=eps, centered=centered)
        super().__init__(params, {**options, "weight_decay": weight_decay, "maximize": maximize})

    def check(self, group: dict[str, Any]) -> None:
        super().check(group)
        self._need(group, "alpha")

    def start(self, group: dict[str, Any]) -> dict[str, float]:
        names = ["square_avg"] + ["momentum_buffer"] * (group["momentum"] > 0) + ["grad_avg"] * bool(group["centered"])
        return dict.fromkeys(names, 0)

    def numbers(self, state: dict[str, Any], group: dict[str, Any], t: int) -> tuple[float, ...]:
        alpha, momentum = group["alpha"], max(0, group["momentum"])
        return float(group["lr"]), alpha, 1 - alpha, group["eps"], momentum, bool(group["centered"])

    def move(self, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any], t: int) -> None:
        v, alpha = state["square_avg"], group["alpha"]
        v *= alpha
        v += (1 - alpha) * (g * g)
        spread = v
        if group["centered"]:
            mean = state["grad_avg"]
            mean += (1 - alpha) * (g - mean)
            spread = v - mean * mean
        step = g / (backend.namespace(p).sqrt(spread) + group["eps"])
        if group["momentum"] > 0:
            last = state["momentum_buffer"]
            last *= group["momentum"]
            last += step
            step = last
        p -= float(group["lr"]) * step


class Adamax(_Adaptive):
    """Adam whose measure of the gradient's size is its largest value, slowly forgotten.

        m = beta1 * m + (1 - beta1) * grad
        u = max(beta2 * u, |grad| + eps)
        p = p - lr / (1 - beta1^t) * m / u

    Args:
        params: parameters or groups.
        lr: length of a step.
        betas: how slowly the two forget, from 0 to below 1.
        eps: keeps the division from zero.
        weight_decay: factor of the parameter that is added to its gradient.
        maximize: climb instead.
        foreach: PyTorch's choice of implementation, no effect here.

    Raises:
        ValueError: an option is out of range.

    Source: Kingma and Ba, Adam, 2014, section 7.1; `torch.optim.Adamax`.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, maximize=maximize))

    def start(self, group: dict[str, Any]) -> dict[str, float]:
        return {"exp_avg": 0, "exp_inf": 0}

    def numbers(self, state: dict[str, Any], group: dict[str, Any], t: int) -> tuple[float, ...]:
        beta1, beta2 = group["betas"]
        return float(group["lr"]) / (1 - beta1**t), 1 - beta1, beta2, group["eps"]

    def move(self, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any], t: int) -> None:
        (beta1, beta2), m, u, xp = group["betas"], state["exp_avg"], state["exp_inf"], backend.namespace(p)
        m += (1 - beta1) * (g - m)
        u *= beta2
        xp.maximum(u, xp.abs(g) + group["eps"], out=u)
        p -= float(group["lr"]) / (1 - beta1**t) * (m / u)


class NAdam(_Adaptive):
    """Adam that looks ahead by one step of momentum, as Nesterov's does.

    Args:
        params: parameters or groups.
        lr: length of a step.
        betas: how slowly the mean gradient and the mean square forget, from 0 to below 1.
        eps: keeps the division from zero.
        weight_decay: factor of the parameter that is added to its gradient.
        momentum_decay: how fast the momentum grows to its full size.
        decoupled_weight_decay: take weight_decay * lr off the parameter instead, as in AdamW.
        maximize: climb instead.
        foreach: PyTorch's choice of implementation, no effect here.

    Raises:
        ValueError: an option is out of range.

    Source: Dozat, Incorporating Nesterov momentum into Adam, 2016; `torch.optim.NAdam`.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        options = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay)
        super().__init__(params, {**options, "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize})

    def check(self, group: dict[str, Any]) -> None:
        super().check(group)
        self._need(group, "momentum_decay")

    def start(self, group: dict[str, Any]) -> dict[str, float]:
        return {"exp_avg": 0, "exp_avg_sq": 0}

    @staticmethod
    def _momentum(group: dict[str, Any], t: int) -> float:
        return group["betas"][0] * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"]))

    def before(self, state: dict[str, Any], group: dict[str, Any]) -> None:
        state["mu_product"] = state.get("mu_product", 1.0) * self._momentum(group, state["step"])

    def _loaded(self, key: str, value: Any, param: Tensor) -> Any:
        return float(value) if key == "mu_product" else super()._loaded(key, value, param)

    def _rates(self, state: dict[str, Any], group: dict[str, Any], t: int) -> tuple[float, float]:
        """Step lengths: along the gradient and along the mean gradient."""
        now, soon, product = self._momentum(group, t), self._momentum(group, t + 1), state["mu_product"]
        lr = float(group["lr"])
        return lr * (1 - now) / (1 - product), lr * soon / (1 - product * soon)

    def numbers(self, state: dict[str, Any], group: dict[str, Any], t: int) -> tuple[float, ...]:
        beta1, beta2 = group["betas"]
        unbias = 1 / math.sqrt(1 - beta2**t)
        return 1 - beta1, beta2, 1 - beta2, unbias, group["eps"], *self._rates(state, group, t)

    def move(self, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any], t: int) -> None:
        (beta1, beta2), m, v = group["betas"], state["exp_avg"], state["exp_avg_sq"]
        m += (1 - beta1) * (g - m)
        v *= beta2
        v += (1 - beta2) * (g * g)
        size = backend.namespace(p).sqrt(v / (1 - beta2**t)) + group["eps"]
        along_gradient, along_mean = self._rates(state, group, t)
        p -= along_gradient * (g / size)
        p -= along_mean * (m / size)


class RAdam(_Adaptive):
    """Adam that does not divide by the gradient's size while that is known from too few steps.

    Args:
        params: parameters or groups.
        lr: length of a step.
        betas: how slowly the mean gradient and the mean square forget, from 0 to below 1.
        eps: keeps the division from zero.
        weight_decay: factor of the parameter that is added to its gradient.
        decoupled_weight_decay: take weight_decay * lr off the parameter instead, as in AdamW.
        maximize: climb instead.
        foreach: PyTorch's choice of implementation, no effect here.

    Raises:
        ValueError: an option is out of range.

    Source: Liu et al., On the variance of the adaptive learning rate and beyond, 2019; `torch.optim.RAdam`.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        options = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, maximize=maximize)
        super().__init__(params, {**options, "decoupled_weight_decay": decoupled_weight_decay})

    def start(self, group: dict[str, Any]) -> dict[str, float]:
        return {"exp_avg": 0, "exp_avg_sq": 0}

    @staticmethod
    def _trust(beta2: float, t: int) -> float:
        """How far the mean square can be relied upon, from 0 to 1."""
        longest = 2 / (1 - beta2) - 1  # how many steps the mean square stands for, in the end and now
        known = longest - 2 * t * beta2**t / (1 - beta2**t)
        if known <= 5:
            return 0.0
        return (known - 4) * (known - 2) * longest / ((longest - 4) * (longest - 2) * known)

    def numbers(self, state: dict[str, Any], group: dict[str, Any], t: int) -> tuple[float, ...]:
        (beta1, beta2), lr = group["betas"], float(group["lr"])
        trust, lr = self._trust(beta2, t), lr / (1 - beta1**t)
        lr *= math.sqrt(trust * (1 - beta2**t)) if trust else 1
        return 1 - beta1, beta2, 1 - beta2, lr, trust > 0, group["eps"]

    def move(self, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any], t: int) -> None:
        (beta1, beta2), m, v = group["betas"], state["exp_avg"], state["exp_avg_sq"]
        m += (1 - beta1) * (g - m)
        v *= beta2
        v += (1 - beta2) * (g * g)
        step = m * (float(group["lr"]) / (1 - beta1**t))
        if trust := self._trust(beta2, t):
            step *= math.sqrt(trust * (1 - beta2**t)) / (backend.namespace(p).sqrt(v) + group["eps"])
        p -= step


class Rprop(_Adaptive):
    """Step by the gradient's sign only: further while the sign stays, less far, after one rest, when it changes.

    Args:
        params: parameters or groups.
        lr: the first step size.
        etas: factors of the step size when the sign changed and when it stayed.
        step_sizes: the least and the largest step size.
        foreach: PyTorch's choice of implementation, no effect here.
        maximize: climb instead.

    Raises:
        ValueError: an option is out of range.

    Source: Riedmiller and Braun, A direct adaptive method for faster backpropagation learning, 1993; `torch.optim.Rprop`.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, dict(lr=lr, etas=etas, step_sizes=step_sizes, maximize=maximize))

    def check(self, group: dict[str, Any]) -> None:
        super().check(group)
        if len(group["etas"]) != 2 or not 0 < group["etas"][0] < 1 < group["etas"][1]:
            raise ValueError(f"Rprop: etas must be one number below and one above 1, got {group['etas']}")

    def start(self, group: dict[str, Any]) -> dict[str, float]:
        return {"prev": 0, "step_size": float(group["lr"])}

    def numbers(self, state: dict[str, Any], group: dict[str, Any], t: int) -> tuple[float, ...]:
        return *group["etas"], *group["step_sizes"]

    def move(self, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any], t: int) -> None:
        prev, size, xp = state["prev"], state["step_size"], backend.namespace(p)
        agreement = g * prev
        size *= xp.where(agreement > 0, group["etas"][1], xp.where(agreement < 0, group["etas"][0], 1.0)).astype(p.dtype)
        xp.clip(size, *group["step_sizes"], out=size)
        prev[...] = xp.where(agreement < 0, 0, g)
        p -= xp.sign(prev) * size
