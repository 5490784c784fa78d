"""Schedules made of other schedules, and the one that watches the loss."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from ..optimizer import Optimizer
from .scheduler import LRScheduler


class _Several(LRScheduler):
    """What both combinations share: their schedules, and how these are saved."""

    unsaved = ("optimizer", "_schedulers")

    def _keep(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None) -> None:
        name = type(self).__name__
        if not schedulers:
            raise ValueError(f"{name}: expected at least one schedule, got none")
        for i, schedule in enumerate(schedulers):
            if not isinstance(schedule, LRScheduler):
                raise TypeError(f"{name}: schedule {i} is {type(schedule).__name__}, not an LRScheduler")
            if isinstance(schedule, ReduceLROnPlateau):
                raise ValueError(f"{name}: schedule {i} is ReduceLROnPlateau, whose step needs the loss; call it by itself")
        self.optimizer = optimizer or schedulers[0].optimizer
        for i, schedule in enumerate(schedulers):
            if schedule.optimizer is not self.optimizer:
                raise ValueError(f"{name}: schedule {i} belongs to another optimizer; all must change the same one")
        self._schedulers = list(schedulers)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "_schedulers": [schedule.state_dict() for schedule in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for schedule, saved in zip(self._schedulers, state_dict["_schedulers"]):
            schedule.load_state_dict(saved)


class SequentialLR(_Several):
    """One schedule after the other; each begins at its own epoch 0.

    Args:
        optimizer: whose rates to change.
        schedulers: made for this optimizer.
        milestones: the epochs at which the second, third, ... begin.
        last_epoch: see `LRScheduler`.

    Raises:
        ValueError: another number of milestones, or schedules of another optimizer.
        TypeError: something else than a schedule.

    Source: `torch.optim.lr_scheduler.SequentialLR`.

    >>> import minigrad as mg
    >>> from minigrad.optim.lr_scheduler import ExponentialLR, LinearLR
    >>> optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    >>> warmup, decay = LinearLR(optimizer, 0.5, total_iters=2), ExponentialLR(optimizer, 0.5)
    >>> schedule, rates = SequentialLR(optimizer, [warmup, decay], milestones=[2]), []
    >>> for _ in range(5):
    ...     rates += schedule.get_last_lr(); optimizer.step(); schedule.step()
    >>> rates
    [0.5, 0.75, 1.0, 0.5, 0.25]
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ) -> None:
        self._keep(schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"SequentialLR: {len(schedulers)} schedules need {len(schedulers) - 1} milestones, got {len(milestones)}"
            )
        self._milestones = list(milestones)
        self.last_epoch = last_epoch + 1
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        self._take_back()  # making the schedules took their first steps
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._begin()
        self._last_lr = first.get_last_lr()

    def _take_back(self) -> None:
        for schedule in self._schedulers:
            if isinstance(schedule, _Several):
                schedule._take_back()  # type: ignore[attr-defined]
            else:
                schedule.last_epoch -= 1

    def step(self) -> None:
        self.last_epoch += 1
        i = bisect_right(self._milestones, self.last_epoch)
        schedule = self._schedulers[i]
        if i > 0 and self._milestones[i - 1] == self.last_epoch:
            schedule.restart()
        else:
            schedule.step()
        self._last_lr = schedule.get_last_lr()


class ChainedScheduler(_Several):
    """Several schedules at once, each going on from what the one before it set.

    Args:
        schedulers: made for the same optimizer.
        optimizer: theirs.

    Source: `torch.optim.lr_scheduler.ChainedScheduler`.
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        self._keep(schedulers, optimizer)
        self._last_lr = self._present()

    def step(self) -> None:
        for schedule in self._schedulers:
            schedule.step()
        self._last_lr = self._present()


class ReduceLROnPlateau(LRScheduler):
    """Multiply the rate by factor when a number, the loss usually, has not got better for some epochs.

    Args:
        optimizer: whose rates to change.
        mode: "min" if smaller is better, "max" if larger.
        factor: below 1.
        patience: how many epochs without progress are accepted.
        threshold: what counts as progress,
        threshold_mode: relative to the best value so far ("rel"), or as a difference ("abs").
        cooldown: epochs to wait after a reduction.
        min_lr: the least rate, or one for each group.
        eps: a smaller change of the rate is not made.

    Raises:
        ValueError: an option out of range.

    Source: `torch.optim.lr_scheduler.ReduceLROnPlateau`.

    >>> import minigrad as mg
    >>> optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> for loss in (3.0, 3.1, 3.2):
    ...     schedule.step(loss)
    >>> schedule.get_last_lr()
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        self.min_lrs = self._one_each("min_lr", min_lr, optimizer)
        for name, value, known in (("mode", mode, ("min", "max")), ("threshold_mode", threshold_mode, ("rel", "abs"))):
            if value not in known:
                raise ValueError(f"ReduceLROnPlateau: {name} must be {known[0]!r} or {known[1]!r}, got {value!r}")
        if factor >= 1:
            raise ValueError(f"ReduceLROnPlateau: factor must be below 1, got {factor}")
        self.optimizer = optimizer
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.eps = eps
        self.last_epoch = 0
        self.best = math.inf if mode == "min" else -math.inf
        self.cooldown_counter = 0
        self.num_bad_epochs = 0
        self._last_lr = self._present()

    def _is_better(self, value: float) -> bool:
        sign = -1 if self.mode == "max" else 1  # of a change for the worse
        bar = self.best * (1 - sign * self.threshold) if self.threshold_mode == "rel" else self.best - sign * self.threshold
        return sign * value < sign * bar

    def step(self, metrics: Any) -> None:  # type: ignore[override]
        """Go on by one epoch.

        Args:
            metrics: the number to watch, of this epoch.
        """
        value = float(metrics)
        self.last_epoch += 1
        better = self._is_better(value)
        self.best = value if better else self.best
        self.num_bad_epochs = 0 if better else self.num_bad_epochs + 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group, least in zip(self.optimizer.param_groups, self.min_lrs):
                lr = max(float(group["lr"]) * self.factor, least)
                if group["lr"] - lr > self.eps:
                    group["lr"] = lr
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = self._present()
