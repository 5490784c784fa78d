"""Schedules that are a factor of the first rate, a function of the epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..optimizer import Optimizer
from .scheduler import LRScheduler


class _Factor(LRScheduler):
    """The rate at an epoch is the first rate times `factor(epoch)`, reached from the present rate by multiplication."""

    resumes_with_step = False  # whether the first rate after resuming is that of the next epoch, as in PyTorch

    def factor(self, epoch: int) -> float:
        raise NotImplementedError

    def get_lr(self) -> list[float]:
        epoch = self.last_epoch
        if self._initial and epoch > 0 and not self.resumes_with_step:
            return self._present()
        before, now = self.factor(epoch - 1) if epoch > 0 else 1.0, self.factor(epoch)
        if before == now:
            return self._present()
        if before == 0:  # nothing leads up again from there
            return [base * now for base in self.base_lrs]
        return [lr * (now / before) for lr in self._present()]

    def first_lr(self) -> list[float]:
        return [base * self.factor(0) for base in self.base_lrs]


class StepLR(_Factor):
    """Multiply the rate by gamma every step_size epochs. Source: `torch.optim.lr_scheduler.StepLR`.

    >>> import minigrad as mg
    >>> optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = StepLR(optimizer, step_size=2, gamma=0.5)
    >>> for _ in range(2):
    ...     optimizer.step(); schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    resumes_with_step = True

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        if not isinstance(step_size, int) or step_size < 1:
            raise ValueError(f"StepLR: step_size must be a positive integer, got {step_size}")
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        return self.gamma ** (epoch // self.step_size)


class MultiStepLR(_Factor):
    """Multiply the rate by gamma at each of the milestones. Source: `torch.optim.lr_scheduler.MultiStepLR`.

    >>> import minigrad as mg
    >>> optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = MultiStepLR(optimizer, milestones=[1, 3], gamma=0.5)
    >>> for _ in range(3):
    ...     optimizer.step(); schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    resumes_with_step = True

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones = sorted(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        return self.gamma ** sum(epoch >= milestone for milestone in self.milestones)


class ConstantLR(_Factor):
    """A smaller rate for the first epochs, then the first one.

    Args:
        optimizer: whose rates to change.
        factor: of the rate, from 0 to 1, until epoch total_iters.
        total_iters: see factor.
        last_epoch: see `LRScheduler`.

    Source: `torch.optim.lr_scheduler.ConstantLR`.
    """

    resumes_with_step = True

    def __init__(
        self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        _share("ConstantLR", "factor", factor)
        self.start_factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        return self.start_factor if epoch < self.total_iters else 1.0


class LinearLR(_Factor):
    """From one share of the rate to another along a straight line, in total_iters epochs; warming up, usually.

    Args:
        optimizer: whose rates to change.
        start_factor: the first share, above 0 and up to 1.
        end_factor: the last share, from 0 to 1.
        total_iters: epochs from one to the other.
        last_epoch: see `LRScheduler`.

    Source: `torch.optim.lr_scheduler.LinearLR`.

    >>> import minigrad as mg
    >>> optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> optimizer.step(); schedule.step(); schedule.get_last_lr()
    [0.75]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        _share("LinearLR", "start_factor", start_factor, zero=False)
        _share("LinearLR", "end_factor", end_factor)
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        way = min(epoch, self.total_iters) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * way


class ExponentialLR(_Factor):
    """Multiply the rate by gamma every epoch. Source: `torch.optim.lr_scheduler.ExponentialLR`."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        return self.gamma**epoch


class PolynomialLR(_Factor):
    """From the first rate down to 0 in total_iters epochs, as (1 - epoch / total_iters) ** power.

    Source: `torch.optim.lr_scheduler.PolynomialLR`.
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        return (1 - min(epoch, self.total_iters) / self.total_iters) ** self.power


def _share(schedule: str, name: str, value: float, zero: bool = True) -> None:
    if not (0 <= value <= 1 and (zero or value > 0)):
        raise ValueError(f"{schedule}: {name} must be {'from 0' if zero else 'above 0 and up'} to 1, got {value}")


# ---------------------------------------------------------------------------------------------- functions of the user


class _Functions(LRScheduler):
    """A function of the epoch, or one for each group."""

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        groups = len(self._groups_of(optimizer))
        self.lr_lambdas: list[Any] = [lr_lambda] * groups if callable(lr_lambda) else list(lr_lambda)
        if len(self.lr_lambdas) != groups:
            raise ValueError(
                f"{type(self).__name__}: expected {groups} functions, one for each group, got {len(self.lr_lambdas)}"
            )
        super().__init__(optimizer, last_epoch)


class LambdaLR(_Functions):
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

    def get_lr(self) -> list[float]:
        return [base * factor(self.last_epoch) for base, factor in zip(self.base_lrs, self.lr_lambdas)]


class MultiplicativeLR(_Functions):
    """The present rate times a function of the epoch. Source: `torch.optim.lr_scheduler.MultiplicativeLR`."""

    def get_lr(self) -> list[float]:
        if self._initial:
            return self._present()
        return [lr * factor(self.last_epoch) for lr, factor in zip(self._present(), self.lr_lambdas)]
