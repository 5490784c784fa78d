"""L-BFGS beside PyTorch's, on functions with valleys, with and without line search."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch.optim.lbfgs import _strong_wolfe

import minigrad as mg
from minigrad import optim
from minigrad.optim.lbfgs import Point, strong_wolfe

rng = np.random.default_rng(0)
STARTS = [rng.standard_normal((2, 3)), rng.standard_normal(4), rng.standard_normal(())]
MATRIX, GOAL = rng.standard_normal((12, 11)), rng.standard_normal(12)


def rosenbrock(engine, params):
    x = engine.cat([p.reshape(-1) for p in params])
    return ((x[1:] - x[:-1] ** 2) ** 2 * 100 + (1 - x[:-1]) ** 2).sum()


def regression(engine, params):
    x = engine.cat([p.reshape(-1) for p in params])
    return ((engine.tensor(MATRIX) @ x - engine.tensor(GOAL)) ** 2).mean() + (x**4).sum() * 0.1


def bumpy(engine, params):
    x = engine.cat([p.reshape(-1) for p in params])
    return (x**2).sum() + (engine.sin(x * 3) * 2).sum()


def race(function, options, steps, reload_at=None):
    """The losses and parameters of both engines, step by step."""
    found = []
    for engine in (mg, torch):
        params = [engine.tensor(s.copy(), requires_grad=True) for s in STARTS]
        optimizer = engine.optim.LBFGS(params, **options)

        def closure(engine=engine, params=params):
            for p in params:
                p.grad = None
            loss = function(engine, params)
            loss.backward()
            return loss

        rows = []
        for i in range(steps):
            if i == reload_at:
                saved = copy.deepcopy(optimizer.state_dict())
                optimizer = engine.optim.LBFGS(params, lr=9.0)
                optimizer.load_state_dict(saved)
            with engine.no_grad():
                rows.append([optimizer.step(closure).item(), *np.concatenate([p.detach().numpy().ravel() for p in params])])
            state = optimizer.state_dict()["state"][0]
        found.append((np.array(rows), state["func_evals"], state["n_iter"]))
    return found


OPTIONS = [
    {"lr": 0.01, "max_iter": 3},
    {"lr": 0.05, "max_iter": 4, "history_size": 2},
    {"lr": 0.01, "max_iter": 5, "max_eval": 3},
    {"line_search_fn": "strong_wolfe", "max_iter": 2},
    {"line_search_fn": "strong_wolfe", "max_iter": 3, "history_size": 3},
    {"line_search_fn": "strong_wolfe", "max_iter": 6, "max_eval": 4},
    {"line_search_fn": "strong_wolfe", "max_iter": 4, "lr": 0.2, "tolerance_grad": 1e-3, "tolerance_change": 1e-5},
    {"line_search_fn": "strong_wolfe", "max_iter": 2, "lr": 30.0},
    {"line_search_fn": "strong_wolfe", "max_iter": 1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("function", [rosenbrock, regression, bumpy])
def test_trajectory(function, options):
    """Two roundings apart, the engines walk the same way; how far is up to the function."""
    (ours, evals, steps), (theirs, evals_theirs, steps_theirs) = race(function, options, 15)
    finite = np.isfinite(theirs).all(1)
    np.testing.assert_allclose(ours[finite], theirs[finite], rtol=1e-6, atol=1e-7)
    if finite.all():
        assert (evals, steps) == (evals_theirs, steps_theirs)


def test_it_arrives():
    (ours, *_), (theirs, *_) = race(rosenbrock, {"line_search_fn": "strong_wolfe"}, 8)
    assert abs(ours[-1, 0] - theirs[-1, 0]) < 1e-9 and ours[-1, 0] < ours[0, 0] / 100


def test_training_goes_on_from_a_state_dict():
    (ours, evals, _), (theirs, evals_theirs, _) = race(
        regression, {"line_search_fn": "strong_wolfe", "max_iter": 2}, 6, reload_at=3
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-8)
    assert evals == evals_theirs


def test_it_loads_pytorchs_state():
    theirs = torch.tensor([3.0, -2.0], dtype=torch.float64, requires_grad=True)
    ours = mg.tensor([3.0, -2.0], dtype=mg.float64, requires_grad=True)
    pair = []
    for engine, x in ((torch, theirs), (mg, ours)):
        optimizer = engine.optim.LBFGS([x], lr=0.1, max_iter=2)

        def closure(x=x):
            x.grad = None
            loss = (x**4).sum() + (x[0] * x[1]) ** 2
            loss.backward()
            return loss

        pair.append((optimizer, closure))
        if engine is torch:
            optimizer.step(closure)
    saved = pair[0][0].state_dict()
    state = {
        key: [mg.tensor(v.numpy()) for v in value] if isinstance(value, list) and key != "al"
        else mg.tensor(value.numpy()) if isinstance(value, torch.Tensor) else value
        for key, value in saved["state"][0].items()
        if key != "al"
    }  # fmt: skip
    pair[1][0].load_state_dict({**saved, "state": {0: state}})
    with mg.no_grad():
        ours.copy_(mg.tensor(theirs.detach().numpy()))
    for _ in range(3):
        for optimizer, closure in pair:
            optimizer.step(closure)
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-9)


def test_a_parameter_without_gradient_stays():
    a, b = mg.ones(2, requires_grad=True), mg.ones(3, requires_grad=True)
    optimizer = optim.LBFGS([a, b])

    def closure():
        optimizer.zero_grad()
        loss = ((a - 3) ** 2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert abs(a.detach().numpy() - 3).max() < 1e-5 and b.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("run", "error", "words"),
    [
        (lambda w: optim.LBFGS([w]).step(), TypeError, "step needs a closure"),
        (lambda w: optim.LBFGS([{"params": [w]}, {"params": [mg.ones(1)]}]), ValueError, "must be in one group"),
        (lambda w: optim.LBFGS([w], line_search_fn="armijo"), ValueError, "None or 'strong_wolfe', got 'armijo'"),
        (lambda w: optim.LBFGS([w], lr=-1), ValueError, "lr must not be negative, got -1"),
    ],
)
def test_bad_input(run, error, words):
    with pytest.raises(error, match=f"LBFGS: .*{words}"):
        run(mg.ones(2, requires_grad=True))


@pytest.mark.parametrize("most", [25, 6, 3, 1, 0])
def test_line_search_as_pytorchs(most):
    """Every turn of the line search, on bumpy functions of one number, from slopes that are hard to get below."""
    draws, compared = np.random.default_rng(1), 0
    while compared < 200:
        bend, heights, waves = draws.uniform(0.02, 1), draws.uniform(-2, 2, 3), draws.uniform(0, 9, 3)
        first, reach = 10 ** draws.uniform(-2.5, 1.5), 10 ** draws.uniform(-9.5, 0)
        slope = float(heights @ waves) - 1
        if not -0.6 < slope < -0.02:
            continue
        compared += 1
        both = ours, theirs = Line(bend, heights, waves), Line(bend, heights, waves)
        point, evals = strong_wolfe(
            lambda t, line=ours: Point(t, *(values := line(t)), values[1]),
            Point(0.0, 0.0, slope, slope), first, reach, most,
        )  # fmt: skip
        g, d = (torch.tensor([x], dtype=torch.float64) for x in (slope / reach, reach))
        f, _, t, evals_theirs = _strong_wolfe(
            lambda x, t, d, line=theirs: ((values := line(float(t)))[0], torch.tensor([values[1]], dtype=d.dtype) / d),
            None, first, d, 0.0, g, g.dot(d), max_ls=most,
        )  # fmt: skip
        np.testing.assert_allclose(*(line.asked for line in both), rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose([point.t, point.loss], [float(t), f], rtol=1e-6, atol=1e-9)
        assert evals == evals_theirs == len(ours.asked)


class Line:
    """A bumpy function with its slope, which notes where it was asked."""

    def __init__(self, bend, heights, waves):
        self.bend, self.heights, self.waves, self.asked = bend, heights, waves, []

    def __call__(self, t):
        self.asked.append(float(t))
        value = self.bend * t**2 + self.heights @ np.sin(self.waves * t) - t
        return float(value), float(2 * self.bend * t + self.heights @ (self.waves * np.cos(self.waves * t)) - 1)
