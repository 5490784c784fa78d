"""LRScheduler: what all schedules share."""

from __future__ import annotations

import warnings
from typing import Any

from ..optimizer import Optimizer


class LRScheduler:
    """The base of all schedules: a subclass defines `get_lr` (as `torch.optim.lr_scheduler.LRScheduler`).

    Args:
        optimizer: whose groups' "lr" is changed.
        last_epoch: -1 to begin; to resume, the number of steps that were taken less one: then each group must have its
            "initial_lr".

    Attributes:
        last_epoch: how many steps were taken.
        base_lrs: the rate at the beginning, of each group.

    Raises:
        TypeError: not an Optimizer.
        KeyError: resuming without "initial_lr".
    """

    resumes_from: tuple[str, ...] = ("initial_lr",)  # what each group must have
    unsaved: tuple[str, ...] = ("optimizer", "lr_lambdas", "scale_function")  # what a state_dict cannot hold

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        for i, group in enumerate(self._groups_of(optimizer)):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            for name in self.resumes_from:
                if name not in group:
                    raise KeyError(
                        f"{type(self).__name__}: resuming at epoch {last_epoch} needs {name!r} in parameter group {i}; "
                        "load the optimizer's state_dict first"
                    )
        self.optimizer = optimizer
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._last_lr = self._present()
        self._begin()

    def _begin(self) -> None:
        """The first step, which the constructor takes: to epoch 0, or to where training is resumed."""
        self._step_count = 0
        self._initial = True
        self.step()
        self._initial = False

    def _groups_of(self, optimizer: Optimizer) -> list[dict[str, Any]]:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__}: expected an Optimizer, got {type(optimizer).__name__}")
        return optimizer.param_groups

    def _one_each(self, name: str, value: Any, optimizer: Optimizer) -> list[Any]:
        """An option that may be one value, or one for each group."""
        groups = len(self._groups_of(optimizer))
        values = list(value) if isinstance(value, (list, tuple)) else [value] * groups
        if len(values) != groups:
            raise ValueError(
                f"{type(self).__name__}: expected {groups} values for {name}, one for each group, got {len(values)}"
            )
        return values

    def get_lr(self) -> list[float]:
        """The rate of each group at epoch `last_epoch`, from the present one; subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__}: define get_lr(self)")

    def first_lr(self) -> list[float]:
        """The rate of each group at epoch 0, whatever the present one: for a schedule that follows another."""
        return self.get_lr()

    def step(self) -> None:
        """Go on by one epoch and set the optimizer's rates."""
        self._step_count += 1
        if self._step_count == 2 and self.optimizer._step_count == 0:
            warnings.warn(
                "lr_scheduler.step() was called before optimizer.step(): the first rate of the schedule is skipped; "
                "call optimizer.step() first",
                stacklevel=2,
            )
        self.last_epoch += 1
        self._set(self.get_lr())

    def restart(self) -> None:
        """Begin at epoch 0 now."""
        self.last_epoch = 0
        self._set(self.first_lr())

    def _set(self, rates: list[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, rates):
            group["lr"] = lr
        self._last_lr = self._present()

    def get_last_lr(self) -> list[float]:
        """The rate of each group that was set last."""
        return self._last_lr

    def _present(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs, but the optimizer and functions."""
        return {key: value for key, value in self.__dict__.items() if key not in self.unsaved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from where `state_dict` was called; the optimizer's own state_dict brings the present rate."""
        self.__dict__.update({key: value for key, value in state_dict.items() if key not in self.unsaved})
