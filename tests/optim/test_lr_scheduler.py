"""Learning rate schedules give PyTorch's rates, chained, resumed and on groups too."""

from __future__ import annotations

import math

import pytest
import torch

import minigrad as mg
from minigrad.optim import SGD, lr_scheduler

SCHEDULES = [
    ("StepLR", {"step_size": 3}),
    ("StepLR", {"step_size": 1, "gamma": 0.7}),
    ("CosineAnnealingLR", {"T_max": 7}),
    ("CosineAnnealingLR", {"T_max": 4, "eta_min": 0.05}),
    ("LambdaLR", {"lr_lambda": lambda epoch: 0.9**epoch}),
    ("LambdaLR", {"lr_lambda": [lambda epoch: 1 / (epoch + 1), lambda epoch: min(1, epoch / 5)]}),
]


def optimizers():
    """Two groups with rates of their own, in both engines."""
    for engine in (mg, torch):
        a, b = (engine.ones(1, requires_grad=True) for _ in range(2))
        yield engine.optim.SGD([{"params": [a], "lr": 0.4}, {"params": [b]}], lr=1.5)


def close(a, b):
    assert len(a) == len(b) and all(math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-12) for x, y in zip(a, b)), (a, b)


def rates(optimizer):
    return [group["lr"] for group in optimizer.param_groups]


def run(ours, theirs, ours_schedules, theirs_schedules, epochs):
    for _ in range(epochs):
        close(rates(ours), rates(theirs))
        ours.step()
        theirs.step()
        for schedule in (*ours_schedules, *theirs_schedules):
            schedule.step()
        for a, b in zip(ours_schedules, theirs_schedules):
            close(a.get_last_lr(), b.get_last_lr())
            assert a.last_epoch == b.last_epoch


@pytest.mark.parametrize(("name", "options"), SCHEDULES)
def test_rates(name, options):
    ours, theirs = optimizers()
    a, b = getattr(lr_scheduler, name)(ours, **options), getattr(torch.optim.lr_scheduler, name)(theirs, **options)
    close(a.get_last_lr(), b.get_last_lr())
    run(ours, theirs, [a], [b], 30)
    close(a.base_lrs, b.base_lrs)


def test_chained():
    ours, theirs = optimizers()
    pairs = [
        [
            make.LambdaLR(optimizer, lambda epoch: 0.5 + epoch),  # its first rate is not the optimizer's
            make.CosineAnnealingLR(optimizer, 5, eta_min=0.01),
            make.StepLR(optimizer, 2, 0.5),
        ]
        for make, optimizer in ((lr_scheduler, ours), (torch.optim.lr_scheduler, theirs))
    ]
    for a, b in zip(*pairs):
        close(a.base_lrs, b.base_lrs)
    run(ours, theirs, *pairs, 12)


@pytest.mark.parametrize(("name", "options"), SCHEDULES)
def test_resumed_from_state_dicts(name, options):
    ours, theirs = optimizers()
    a, b = getattr(lr_scheduler, name)(ours, **options), getattr(torch.optim.lr_scheduler, name)(theirs, **options)
    run(ours, theirs, [a], [b], 5)
    fresh, _ = optimizers()
    again = getattr(lr_scheduler, name)(fresh, **options)
    again.load_state_dict(a.state_dict())
    fresh.load_state_dict(ours.state_dict())
    run(fresh, theirs, [again], [b], 12)


@pytest.mark.parametrize(("name", "options"), SCHEDULES)
def test_resumed_at_an_epoch(name, options):
    pair = []
    for schedules, optimizer in zip((lr_scheduler, torch.optim.lr_scheduler), optimizers()):
        for group, first in zip(optimizer.param_groups, (0.4, 1.5)):
            group["initial_lr"] = first
        pair += [optimizer, getattr(schedules, name)(optimizer, **options, last_epoch=5)]
    run(pair[0], pair[2], [pair[1]], [pair[3]], 12)


def test_state_dict_holds_plain_values():
    ours, _ = optimizers()
    for name, options in SCHEDULES:
        state = getattr(lr_scheduler, name)(ours, **options).state_dict()
        assert {"base_lrs", "last_epoch"} <= set(state)
        assert all(isinstance(value, (int, float, list)) for value in state.values())


def test_order_of_the_steps_is_watched():
    optimizer = SGD([mg.ones(1, requires_grad=True)], lr=1.0)
    schedule = lr_scheduler.StepLR(optimizer, 2)
    with pytest.warns(UserWarning, match="before optimizer.step"):
        schedule.step()
    schedule.step()  # said once


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda o: lr_scheduler.StepLR("adam", 3), TypeError, "expected an Optimizer, got str"),
        (lambda o: lr_scheduler.LambdaLR("adam", abs), TypeError, "expected an Optimizer, got str"),
        (lambda o: lr_scheduler.StepLR(o, 3, last_epoch=4), KeyError, "needs 'initial_lr' in parameter group 0"),
        (lambda o: lr_scheduler.StepLR(o, 0), ValueError, "step_size must be a positive integer, got 0"),
        (lambda o: lr_scheduler.CosineAnnealingLR(o, 0), ValueError, "T_max must be positive, got 0"),
        (lambda o: lr_scheduler.LambdaLR(o, [abs]), ValueError, "expected 2 functions, one for each group, got 1"),
        (lambda o: lr_scheduler.LRScheduler(o), NotImplementedError, "define get_lr"),
    ],
)
def test_bad_input(make, error, words):
    with pytest.raises(error, match=words):
        make(next(optimizers()))
