"""Schedules that follow a curve between two rates; two of them move the momentum along with it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..optimizer import Optimizer
from .scheduler import LRScheduler


def _cosine(start: float, end: float, way: float) -> float:
    """From start to end along half a cosine, as way goes from 0 to 1."""
    return end + (start - end) / 2 * (math.cos(math.pi * way) + 1)


class CosineAnnealingLR(LRScheduler):
    """From the first rate down to eta_min in T_max epochs, along half a cosine, and up again if it goes on.

        lr(t) = eta_min + (lr(0) - eta_min) * (1 + cos(pi * t / T_max)) / 2

    Args:
        optimizer: whose rates to change.
        T_max: epochs from the top to the bottom.
        eta_min: the rate at the bottom.
        last_epoch: see `LRScheduler`.

    Source: Loshchilov and Hutter, SGDR, 2016; `torch.optim.lr_scheduler.CosineAnnealingLR`.

    >>> import minigrad as mg
    >>> optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = CosineAnnealingLR(optimizer, T_max=2)
    >>> optimizer.step(); schedule.step(); schedule.get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        if not T_max > 0:
            raise ValueError(f"CosineAnnealingLR: T_max must be positive, got {T_max}")
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The present rate, scaled by how much the curve falls from the last epoch to this one."""
        if self._initial:  # the beginning, or where to resume from
            return self._present()
        height = _cosine(1, 0, self.last_epoch / self.T_max)
        if (self.last_epoch - 1) % (2 * self.T_max) == self.T_max:  # the curve was at 0, which nothing scales up from
            return [lr + (base - self.eta_min) * height for base, lr in zip(self.base_lrs, self._present())]
        ratio = height / _cosine(1, 0, (self.last_epoch - 1) / self.T_max)
        return [self.eta_min + (lr - self.eta_min) * ratio for lr in self._present()]

    def first_lr(self) -> list[float]:
        return list(self.base_lrs)


class CosineAnnealingWarmRestarts(LRScheduler):
    """Down from the first rate to eta_min along half a cosine, then from the top again.

    Args:
        optimizer: whose rates to change.
        T_0: epochs of the first descent.
        T_mult: each descent takes so many times as long as the one before.
        eta_min: the rate at the bottom.
        last_epoch: see `LRScheduler`.

    Raises:
        ValueError: T_0 or T_mult is no positive integer.

    Source: Loshchilov and Hutter, SGDR, 2016; `torch.optim.lr_scheduler.CosineAnnealingWarmRestarts`.
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        for name, value in (("T_0", T_0), ("T_mult", T_mult)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"CosineAnnealingWarmRestarts: {name} must be a positive integer, got {value}")
        self.T_0 = T_0
        self.T_i = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [_cosine(base, self.eta_min, self.T_cur / self.T_i) for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Go on by one epoch, or to an epoch: step(epoch + batch / batches) moves along the curve within an epoch."""
        if epoch is not None and epoch < 0:
            raise ValueError(f"CosineAnnealingWarmRestarts: epoch must not be negative, got {epoch}")
        if epoch is None and self.last_epoch >= 0:
            epoch, self.T_cur = self.last_epoch + 1, self.T_cur + 1
            if self.T_cur >= self.T_i:
                self.T_cur, self.T_i = self.T_cur % self.T_i, self.T_i * self.T_mult
        else:
            epoch = epoch or 0
            self.T_cur, self.T_i = epoch, self.T_0
            while self.T_cur >= self.T_i:
                self.T_cur, self.T_i = self.T_cur - self.T_i, self.T_i * self.T_mult
        self.last_epoch = math.floor(epoch)
        self._set(self.get_lr())


class _WithMomentum(LRScheduler):
    """Rate and momentum (or the first beta) move against each other, if cycle_momentum."""

    def _keep_momentum(self, optimizer: Optimizer, low: Any, high: Any, first: bool) -> None:
        """Note the bounds of the momentum in each group, and begin at the upper one."""
        if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
            raise ValueError(
                f"{type(self).__name__}: {type(optimizer).__name__} has neither momentum nor betas; pass cycle_momentum=False"
            )
        lows, highs = self._one_each("base_momentum", low, optimizer), self._one_each("max_momentum", high, optimizer)
        for group, base_momentum, max_momentum in zip(optimizer.param_groups, lows, highs) if first else ():
            group.update(base_momentum=base_momentum, max_momentum=max_momentum)
            self._set_momentum(group, max_momentum)

    @staticmethod
    def _set_momentum(group: dict[str, Any], value: float) -> None:
        if "betas" in group:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value


class OneCycleLR(_WithMomentum):
    """Up from a low rate to the highest, then down to nearly nothing: one cycle for the whole training.

    Args:
        optimizer: whose rates to change.
        max_lr: the highest rate, or one for each group.
        total_steps: steps of the whole cycle; or give the next two.
        epochs, steps_per_epoch: whose product is total_steps.
        pct_start: share of the steps that go up.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: move the momentum from max_momentum down to base_momentum and up again.
        base_momentum, max_momentum: its bounds, or one for each group.
        div_factor: the cycle begins at max_lr / div_factor,
        final_div_factor: and ends at that divided by this.
        three_phase: come down to the first rate as fast as it went up, and only then on to the last one.
        last_epoch: see `LRScheduler`.

    Raises:
        ValueError: no number of steps, an option out of range, or more steps than total_steps.

    Source: Smith and Topin, Super-Convergence, 2017; `torch.optim.lr_scheduler.OneCycleLR`.
    """

    resumes_from = ("initial_lr", "max_lr", "min_lr")

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None and epochs is not None and steps_per_epoch is not None:
            total_steps = epochs * steps_per_epoch
        if not isinstance(total_steps, int) or total_steps < 1:
            raise ValueError(
                f"OneCycleLR: total_steps, or epochs and steps_per_epoch, must be positive integers, got {total_steps}, "
                f"{epochs} and {steps_per_epoch}"
            )
        if not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: pct_start must be from 0 to 1, got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR: anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}")
        self.total_steps = total_steps
        self.anneal_strategy = anneal_strategy
        top = float(pct_start * total_steps) - 1
        high, low = "max_momentum", "base_momentum"
        self.phases: list[list] = [[top, "initial_lr", "max_lr", high, low]]  # where it ends, from what to what
        if three_phase:
            self.phases.append([2 * top, "max_lr", "initial_lr", low, high])
            self.phases.append([total_steps - 1, "initial_lr", "min_lr", high, high])
        else:
            self.phases.append([total_steps - 1, "max_lr", "min_lr", low, high])
        for group, highest in zip(self._groups_of(optimizer), self._one_each("max_lr", max_lr, optimizer)):
            if last_epoch == -1:
                first = highest / div_factor
                group.update(initial_lr=first, max_lr=highest, min_lr=first / final_div_factor)
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._keep_momentum(optimizer, base_momentum, max_momentum, last_epoch == -1)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        step, start = self.last_epoch, 0.0
        if step > self.total_steps:
            raise ValueError(f"OneCycleLR: this is step {step}, but total_steps is {self.total_steps}")
        for phase in self.phases:
            end, *names = phase
            if step <= end or phase is self.phases[-1]:
                break
            start = end
        way = (step - start) / (end - start)

        def between(a: float, b: float) -> float:
            return _cosine(a, b, way) if self.anneal_strategy == "cos" else a + (b - a) * way

        for group in self.optimizer.param_groups if self.cycle_momentum else ():
            self._set_momentum(group, between(group[names[2]], group[names[3]]))
        return [between(group[names[0]], group[names[1]]) for group in self.optimizer.param_groups]


class CyclicLR(_WithMomentum):
    """Up and down between two rates along straight lines, again and again.

    Args:
        optimizer: whose rates to change.
        base_lr, max_lr: the bounds, or one for each group.
        step_size_up: epochs from base_lr to max_lr.
        step_size_down: and back; as many if None.
        mode: "triangular" keeps the height, "triangular2" halves it with each cycle, "exp_range" multiplies it by gamma
            with each epoch.
        gamma: see mode.
        scale_fn: a function that gives a factor of the height, instead of mode.
        scale_mode: whether scale_fn is called with the number of the "cycle", from 1, or of the epoch ("iterations").
        cycle_momentum: move the momentum from max_momentum down to base_momentum and up again.
        base_momentum, max_momentum: its bounds, or one for each group.
        last_epoch: see `LRScheduler`.

    Raises:
        ValueError: another mode, or an optimizer without momentum.

    Source: Smith, Cyclical learning rates for training neural networks, 2015; `torch.optim.lr_scheduler.CyclicLR`.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        if scale_fn is None and mode not in ("triangular", "triangular2", "exp_range"):
            raise ValueError(f"CyclicLR: mode must be 'triangular', 'triangular2' or 'exp_range', got {mode!r}")
        base_lrs = self._one_each("base_lr", base_lr, optimizer)
        self.max_lrs = self._one_each("max_lr", max_lr, optimizer)
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, base_lrs):
                group["lr"] = lr
        down = step_size_up if step_size_down is None else step_size_down
        self.total_size = float(step_size_up + down)
        self.step_ratio = step_size_up / self.total_size
        self.mode = mode
        self.gamma = gamma
        self.scale_function = scale_fn
        self.scale_mode = scale_mode if scale_fn else "iterations" if mode == "exp_range" else "cycle"
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._keep_momentum(optimizer, base_momentum, max_momentum, last_epoch == -1)
            self.base_momentums = self._one_each("base_momentum", base_momentum, optimizer)
            self.max_momentums = self._one_each("max_momentum", max_momentum, optimizer)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """The factor of the height, at a cycle or an epoch."""
        if self.scale_function is not None:
            return self.scale_function(x)
        return {"triangular": 1.0, "triangular2": 0.5 ** (x - 1), "exp_range": self.gamma**x}[self.mode]

    def get_lr(self) -> list[float]:
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        way = 1.0 + self.last_epoch / self.total_size - cycle
        height = way / self.step_ratio if way <= self.step_ratio else (way - 1) / (self.step_ratio - 1)
        height *= self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            for group, low, high in zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums):
                self._set_momentum(group, high - (high - low) * height)
        return [low + (high - low) * height for low, high in zip(self.base_lrs, self.max_lrs)]
