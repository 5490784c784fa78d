"""Learning rate schedules give PyTorch's rates, chained, resumed and on groups too."""

from __future__ import annotations

import copy
import json
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
    ("MultiplicativeLR", {"lr_lambda": lambda epoch: 1 - 0.3 / epoch}),
    ("MultiStepLR", {"milestones": [3, 7, 7, 11]}),
    ("MultiStepLR", {"milestones": [9, 6, 0], "gamma": 0.6}),
    ("ExponentialLR", {"gamma": 0.8}),
    ("ConstantLR", {}),
    ("ConstantLR", {"factor": 0.7, "total_iters": 6}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.9, "end_factor": 0.2, "total_iters": 11}),
    ("LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 9}),
    ("PolynomialLR", {}),
    ("PolynomialLR", {"total_iters": 17, "power": 2.5}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3}),
    ("CosineAnnealingWarmRestarts", {"T_0": 2, "T_mult": 3, "eta_min": 0.03}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": [1.0, 2.5], "step_size_up": 4}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 3, "step_size_down": 5, "mode": "triangular2"}),
    (
        "CyclicLR",
        {
            "base_lr": [0.1, 0.3], "max_lr": 1.0, "step_size_up": 4, "mode": "exp_range", "gamma": 0.9,
            "base_momentum": 0.5, "max_momentum": [0.7, 0.95],
        },
    ),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 4, "scale_fn": lambda x: 1 / (x + 1)}),
    (
        "CyclicLR",
        {
            "base_lr": 0.1, "max_lr": 1.0, "step_size_up": 4, "scale_fn": lambda x: 1 / (x + 1),
            "scale_mode": "iterations", "cycle_momentum": False,
        },
    ),
    ("OneCycleLR", {"max_lr": 2.0, "total_steps": 40}),
    (
        "OneCycleLR",
        {
            "max_lr": [2.0, 0.5], "epochs": 8, "steps_per_epoch": 5, "pct_start": 0.21, "anneal_strategy": "linear",
            "div_factor": 7.0, "final_div_factor": 30.0, "base_momentum": 0.4, "max_momentum": [0.8, 0.9],
        },
    ),
    ("OneCycleLR", {"max_lr": 2.0, "total_steps": 40, "three_phase": True}),
    ("OneCycleLR", {"max_lr": 2.0, "total_steps": 40, "pct_start": 0.4, "cycle_momentum": False}),
]  # fmt: skip


def optimizers():
    """Two groups with rates of their own, in both engines."""
    for engine in (mg, torch):
        a, b = (engine.ones(1, requires_grad=True) for _ in range(2))
        yield engine.optim.SGD([{"params": [a], "lr": 0.4}, {"params": [b]}], lr=1.5)


def close(a, b):
    assert len(a) == len(b) and all(math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-12) for x, y in zip(a, b)), (a, b)


def rates(optimizer):
    """Learning rates and momenta: some schedules move these too."""
    return [number for group in optimizer.param_groups for number in (group["lr"], group["momentum"])]


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


def three(make, optimizer):
    return [
        make.LambdaLR(optimizer, lambda epoch: 0.5 + epoch),  # its first rate is not the optimizer's
        make.CosineAnnealingLR(optimizer, 5, eta_min=0.01),
        make.StepLR(optimizer, 2, 0.5),
    ]


def engines():
    return zip((lr_scheduler, torch.optim.lr_scheduler), optimizers())


def test_chained():
    pairs = [three(*pair) for pair in engines()]
    both = [pairs[0][0].optimizer, pairs[1][0].optimizer]
    for a, b in zip(*pairs):
        close(a.base_lrs, b.base_lrs)
    run(*both, *pairs, 12)


COMBINED = {
    "chained": lambda make, o: make.ChainedScheduler(three(make, o)),
    "warm-up": lambda make, o: make.SequentialLR(
        o, [make.LinearLR(o, 0.1, total_iters=4), make.CosineAnnealingLR(o, 9)], [4]
    ),
    "five": lambda make, o: make.SequentialLR(
        o,
        [
            make.ConstantLR(o, 0.5, 2), make.PolynomialLR(o, 6), make.MultiplicativeLR(o, lambda e: 1.1 + e),
            make.CosineAnnealingWarmRestarts(o, 2), make.StepLR(o, 2),
        ],
        [3, 6, 9, 13],
    ),
    "begins with the second": lambda make, o: make.SequentialLR(
        o, [make.ExponentialLR(o, 0.5), make.LinearLR(o, total_iters=6), make.MultiStepLR(o, [0, 2])], [0, 5]
    ),
    "one in the other": lambda make, o: make.SequentialLR(
        o,
        [make.ExponentialLR(o, 0.9), make.SequentialLR(o, [make.LinearLR(o), make.StepLR(o, 3, 0.5)], [4])],
        [30],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", COMBINED)
def test_combined(name):
    pairs = list(engines())
    a, b = (COMBINED[name](*pair) for pair in pairs)
    (_, ours), (_, theirs) = pairs
    for step in range(20):
        close(rates(ours), rates(theirs))
        close(a.get_last_lr(), b.get_last_lr())
        ours.step(), theirs.step(), a.step(), b.step()
        if step == 7:  # saved and loaded on the way
            fresh = next(optimizers())
            again = COMBINED[name](lr_scheduler, fresh)
            again.load_state_dict(copy.deepcopy(a.state_dict()))
            fresh.load_state_dict(ours.state_dict())
            ours, a = fresh, again


LOSSES = [5.0, 4.0, 4.1, 3.9999, 4.3, 4.2, 4.1, 4.0, 2.0, 2.1, 2.0, 1.9999, 2.0, 2.2, -1.0, -1.0, -1.1, -3.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "options",
    [
        {"patience": 1},
        {"patience": 2, "cooldown": 2, "factor": 0.5},
        {"patience": 0, "threshold": 0.1, "threshold_mode": "abs", "min_lr": [0.1, 0.0]},
        {"patience": 0, "threshold": 0.3, "factor": 0.7},
        {"patience": 1, "mode": "max", "factor": 0.5, "threshold": 0.2},
        {"patience": 1, "mode": "max", "threshold_mode": "abs", "threshold": 0.2, "eps": 0.05},
        {"patience": 0, "factor": 0.9, "min_lr": 0.3},
    ],
    ids=str,
)
@pytest.mark.parametrize("sign", [1, -1])
def test_plateau(options, sign):
    ours, theirs = optimizers()
    a = lr_scheduler.ReduceLROnPlateau(ours, **options)
    b = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    changes = set()
    for i, loss in enumerate(LOSSES):
        a.step(mg.tensor(sign * loss) if i % 2 else sign * loss)
        b.step(torch.tensor(sign * loss) if i % 2 else sign * loss)
        close(rates(ours), rates(theirs))
        close(a.get_last_lr(), b.get_last_lr())
        changes.add(a.get_last_lr()[1])
        if i == 9:
            again = lr_scheduler.ReduceLROnPlateau(ours)
            again.load_state_dict(a.state_dict())
            a = again
    assert len(changes) > 2


@pytest.mark.parametrize(("name", "options"), [(n, o) for n, o in SCHEDULES if n in ("CyclicLR", "OneCycleLR")])
def test_momentum_is_the_first_beta_of_adam(name, options):
    a, b = (engine.ones(1, requires_grad=True) for engine in (mg, torch))
    ours = mg.optim.Adam([{"params": [a]}, {"params": [mg.ones(1)]}], betas=(0.3, 0.6))
    theirs = torch.optim.Adam([{"params": [b]}, {"params": [torch.ones(1)]}], betas=(0.3, 0.6))
    schedules = getattr(lr_scheduler, name)(ours, **options), getattr(torch.optim.lr_scheduler, name)(theirs, **options)
    for _ in range(20):
        for x, y in zip(ours.param_groups, theirs.param_groups):
            close([x["lr"], *x["betas"]], [y["lr"], *y["betas"]])
        ours.step(), theirs.step()
        for schedule in schedules:
            schedule.step()


@pytest.mark.parametrize("mult", [1, 2])
def test_warm_restarts_within_an_epoch(mult):
    ours, theirs = optimizers()
    a = lr_scheduler.CosineAnnealingWarmRestarts(ours, 2, mult)
    b = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(theirs, 2, mult)
    for epoch in (0, 0.3, 0.9, 1.9, 2, 2.5, 4.7, 6, 7.5, 14.25, 1.0):
        a.step(epoch), b.step(epoch)
        close(rates(ours), rates(theirs))
        assert a.last_epoch == b.last_epoch


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
        if name == "OneCycleLR":  # it keeps its bounds in the groups, where loading the optimizer's state brings them back
            getattr(schedules, name)(optimizer, **options)
        pair += [optimizer, getattr(schedules, name)(optimizer, **options, last_epoch=5)]
    run(pair[0], pair[2], [pair[1]], [pair[3]], 12)


def test_state_dict_holds_plain_values():
    ours, _ = optimizers()
    for name, options in SCHEDULES:
        state = getattr(lr_scheduler, name)(ours, **options).state_dict()
        assert {"base_lrs", "last_epoch"} <= set(state)
        json.dumps(state)


def test_order_of_the_steps_is_watched():
    optimizer = SGD([mg.ones(1, requires_grad=True)], lr=1.0)
    schedule = lr_scheduler.StepLR(optimizer, 2)
    with pytest.warns(UserWarning, match="before optimizer.step"):
        schedule.step()
    schedule.step()  # said once


def run_over(schedule, steps):
    for _ in range(steps):
        schedule.optimizer.step()
        schedule.step()


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda o: lr_scheduler.StepLR("adam", 3), TypeError, "expected an Optimizer, got str"),
        (lambda o: lr_scheduler.LambdaLR("adam", abs), TypeError, "expected an Optimizer, got str"),
        (lambda o: lr_scheduler.StepLR(o, 3, last_epoch=4), KeyError, "needs 'initial_lr' in parameter group 0"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0, 9, last_epoch=4), KeyError, "needs 'initial_lr' in parameter group 0"),
        (lambda o: lr_scheduler.StepLR(o, 0), ValueError, "step_size must be a positive integer, got 0"),
        (lambda o: lr_scheduler.CosineAnnealingLR(o, 0), ValueError, "T_max must be positive, got 0"),
        (lambda o: lr_scheduler.LambdaLR(o, [abs]), ValueError, "expected 2 functions, one for each group, got 1"),
        (lambda o: lr_scheduler.LRScheduler(o), NotImplementedError, "define get_lr"),
        (lambda o: lr_scheduler.ConstantLR(o, 1.5), ValueError, "ConstantLR: factor must be from 0 to 1, got 1.5"),
        (lambda o: lr_scheduler.LinearLR(o, 0), ValueError, "start_factor must be above 0 and up to 1, got 0"),
        (lambda o: lr_scheduler.LinearLR(o, 1, -1), ValueError, "end_factor must be from 0 to 1, got -1"),
        (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 0), ValueError, "T_0 must be a positive integer, got 0"),
        (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 2, 0.5), ValueError, "T_mult must be a positive .* 0.5"),
        (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 2).step(-1), ValueError, "epoch must not be negative"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0), ValueError, "total_steps, or epochs and steps_per_epoch"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0, 9, pct_start=2), ValueError, "pct_start must be from 0 to 1, got 2"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0, 9, anneal_strategy="log"), ValueError, "must be 'cos' or 'linear'"),
        (lambda o: lr_scheduler.OneCycleLR(o, [1.0], 9), ValueError, "expected 2 values for max_lr.*got 1"),
        (lambda o: run_over(lr_scheduler.OneCycleLR(o, 1.0, 3), 4), ValueError, "this is step 4, but total_steps is 3"),
        (lambda o: lr_scheduler.CyclicLR(o, 0.1, 1.0, mode="square"), ValueError, "mode must be 'triangular'.*'square'"),
        (
            lambda o: lr_scheduler.CyclicLR(mg.optim.Adagrad([mg.ones(1)]), 0.1, 1.0), ValueError,
            "Adagrad has neither momentum nor betas; pass cycle_momentum=False",
        ),
        (lambda o: lr_scheduler.SequentialLR(o, [], []), ValueError, "expected at least one schedule, got none"),
        (lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.StepLR(o, 2)], [3]), ValueError, "need 0 milestones, got 1"),
        (lambda o: lr_scheduler.ChainedScheduler([o]), TypeError, "schedule 0 is SGD, not an LRScheduler"),
        (
            lambda o: lr_scheduler.ChainedScheduler([lr_scheduler.ReduceLROnPlateau(o)]), ValueError,
            "schedule 0 is ReduceLROnPlateau, whose step needs the loss",
        ),
        (
            lambda o: lr_scheduler.ChainedScheduler([lr_scheduler.StepLR(x, 2) for x in (o, next(optimizers()))]),
            ValueError, "schedule 1 belongs to another optimizer",
        ),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, "least"), ValueError, "mode must be 'min' or 'max', got 'least'"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=1.0), ValueError, "factor must be below 1, got 1.0"),
    ],
)
def test_bad_input(make, error, words):
    with pytest.raises(error, match=words):
        make(next(optimizers()))
