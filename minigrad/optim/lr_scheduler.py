"""Learning rates that change as training goes on (as `torch.optim.lr_scheduler`).

`step()` is called after `optimizer.step()`, once an epoch or once a batch as you like; either is called an epoch here.
Each schedule derives the next rate from the present one, as PyTorch's do, so that several can be chained.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from .optimizer import Optimizer


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

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        for i, group in enumerate(self._groups_of(optimizer)):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"{type(self).__name__}: resuming at epoch {last_epoch} needs 'initial_lr' in parameter group {i}; "
                    "load the optimizer's state_dict first"
                )
        self.optimizer = optimizer
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._step_count = 0
        self._last_lr = [group["lr"] for group in optimizer.param_groups]
        self.step()

    def _groups_of(self, optimizer: Optimizer) -> list[dict[str, Any]]:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__}: expected an Optimizer, got {type(optimizer).__name__}")
        return optimizer.param_groups

    def get_lr(self) -> list[float]:
        """The rate of each group at epoch `last_epoch`, from the present one; subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__}: define get_lr(self)")

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
        for group, lr in zip(self.optimizer.param_groups, self.get_lr()):
            group["lr"] = lr
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def get_last_lr(self) -> list[float]:
        """The rate of each group that was set last."""
        return self._last_lr

    def _present(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs, but the optimizer and functions."""
        return {key: value for key, value in self.__dict__.items() if key not in ("optimizer", "lr_lambdas")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from where `state_dict` was called; the optimizer's own state_dict brings the present rate."""
        self.__dict__.update({k: v for k, v in state_dict.items() if k not in ("optimizer", "lr_lambdas")})


class LambdaLR(LRScheduler):
    """The first rate times a function of the epoch. Source: `torch.optim.lr_scheduler.LambdaLR`.

    Args:
        optimizer: whose rates to change.
        lr_lambda: a function of the epoch, or one for each group.
        last_epoch: see `LRScheduler`.

    Raises:
        ValueError: another number of functions than of groups.

    >>> import minigrad as mg
    >>> optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = LambdaLR(optimizer, lambda epoch: 0.5**epoch)
    >>> optimizer.step(); schedule.step(); schedule.get_last_lr()
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        groups = len(self._groups_of(optimizer))
        self.lr_lambdas = [lr_lambda] * groups if callable(lr_lambda) else list(lr_lambda)
        if len(self.lr_lambdas) != groups:
            raise ValueError(f"LambdaLR: expected {groups} functions, one for each group, got {len(self.lr_lambdas)}")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [base * factor(self.last_epoch) for base, factor in zip(self.base_lrs, self.lr_lambdas)]


class StepLR(LRScheduler):
    """Multiply the rate by gamma every step_size epochs. Source: `torch.optim.lr_scheduler.StepLR`.

    >>> import minigrad as mg
    >>> optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = StepLR(optimizer, step_size=2, gamma=0.5)
    >>> for _ in range(2):
    ...     optimizer.step(); schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        if not isinstance(step_size, int) or step_size < 1:
            raise ValueError(f"StepLR: step_size must be a positive integer, got {step_size}")
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        now = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return [lr * self.gamma if now else lr for lr in self._present()]


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
        if self._step_count == 1:  # the beginning, or where to resume from
            return self._present()

        def height(epoch: int) -> float:
            return (1 + math.cos(math.pi * epoch / self.T_max)) / 2

        if (self.last_epoch - 1) % (2 * self.T_max) == self.T_max:  # the curve was at 0, which nothing scales up from
            rise = height(self.last_epoch)
            return [lr + (base - self.eta_min) * rise for base, lr in zip(self.base_lrs, self._present())]
        ratio = height(self.last_epoch) / height(self.last_epoch - 1)
        return [self.eta_min + (lr - self.eta_min) * ratio for lr in self._present()]
