"""Learning rates that change as training goes on (as `torch.optim.lr_scheduler`).

`step()` is called after `optimizer.step()`, once an epoch or once a batch as you like; either is called an epoch here.
Most schedules derive the next rate from the present one, as PyTorch's do, so that several can be chained.

scheduler.py has what all share, factors.py the schedules that are a factor of the first rate, curves.py those that
follow a curve between two rates, combined.py those made of others, and the one that watches the loss.
"""

from .combined import ChainedScheduler, ReduceLROnPlateau, SequentialLR
from .curves import CosineAnnealingLR, CosineAnnealingWarmRestarts, CyclicLR, OneCycleLR
from .factors import (
    ConstantLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from .scheduler import LRScheduler
