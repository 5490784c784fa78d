"""Optimizers: a hundred steps beside PyTorch's for every combination of options, and what all of them share."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import optim
from minigrad.optim import optimizer as shared

SHAPES = [(3, 4), (5,), (), (2, 1, 3)]


def combinations(**choices):
    return [dict(zip(choices, values)) for values in itertools.product(*choices.values())]


SGD = [
    options
    for options in combinations(
        lr=[0.05], momentum=[0.0, 0.9], dampening=[0.0, 0.3], weight_decay=[0.0, 0.1], nesterov=[False, True],
        maximize=[False, True],
    )
    if not options["nesterov"] or (options["momentum"] and not options["dampening"])
]
ADAM = combinations(
    lr=[0.03], betas=[(0.9, 0.999), (0.5, 0.6)], eps=[1e-8, 1e-2], weight_decay=[0.0, 0.1], amsgrad=[False, True],
    maximize=[False, True],
)  # fmt: skip
SIGNED = dict(lr=[0.05], weight_decay=[0.0, 0.1], maximize=[False, True])
BETAS = dict(betas=[(0.9, 0.999), (0.5, 0.6)], eps=[1e-8, 1e-2])
ALL = [
    *[("SGD", o) for o in SGD],
    *[(name, o) for name in ("Adam", "AdamW") for o in ADAM],
    *[("Adagrad", o) for o in combinations(**SIGNED, lr_decay=[0, 0.2], initial_accumulator_value=[0, 0.5], eps=[1e-10, 0.1])],
    *[("Adadelta", o) for o in combinations(**{**SIGNED, "lr": [0.7]}, rho=[0.9, 0.5], eps=[1e-6, 1e-2])],
    *[
        ("RMSprop", o)
        for o in combinations(**SIGNED, alpha=[0.99, 0.6], eps=[1e-8, 1e-2], momentum=[0.0, 0.7], centered=[False, True])
    ],
    *[("Adamax", o) for o in combinations(**SIGNED, **BETAS)],
    *[
        ("NAdam", o)
        for o in combinations(**SIGNED, **BETAS, momentum_decay=[4e-3, 0.3], decoupled_weight_decay=[False, True])
    ],
    *[("RAdam", o) for o in combinations(**SIGNED, **BETAS, decoupled_weight_decay=[False, True])],
    *[
        ("Rprop", o)
        for o in combinations(
            lr=[0.03], etas=[(0.5, 1.2), (0.3, 1.5)], step_sizes=[(1e-6, 50), (0.01, 0.1)], maximize=[False, True]
        )
    ],
]
FEW = [
    ("Adagrad", {"lr": 0.05, "lr_decay": 0.1}),
    ("Adadelta", {"lr": 0.7}),
    ("RMSprop", {"lr": 0.01, "centered": True, "momentum": 0.5}),
    ("Adamax", {"lr": 0.03}),
    ("NAdam", {"lr": 0.03}),
    ("RAdam", {"lr": 0.03, "betas": (0.5, 0.6)}),
    ("Rprop", {"lr": 0.01}),
    ("SGD", {"lr": 0.05}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    ("Adam", {"lr": 0.03, "amsgrad": True, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.03}),
]


class Race:
    """The same parameters in both engines, and the same gradients for both at each step."""

    def __init__(self, dtype="float64", shapes=SHAPES):
        self.rng = np.random.default_rng(0)
        self.dtype = dtype
        starts = [np.asarray(self.rng.standard_normal(shape), dtype) for shape in shapes]
        self.ours = [mg.tensor(x, requires_grad=True) for x in starts]
        self.theirs = [torch.tensor(x, requires_grad=True) for x in starts]

    def give_gradients(self):
        for a, b in zip(self.ours, self.theirs):
            g = np.asarray(self.rng.standard_normal(tuple(a.shape)) * 0.5 + a.numpy(force=True) * 0.1, self.dtype)
            a.grad, b.grad = mg.tensor(g), torch.tensor(g)

    def run(self, ours, theirs, steps):
        for _ in range(steps):
            self.give_gradients()
            ours.step()
            theirs.step()

    def check(self, rtol=1e-10, atol=1e-12, name=""):
        if name == "NAdam":  # PyTorch keeps its product of momenta in float32
            rtol, atol = max(rtol, 1e-6), max(atol, 1e-7)
        for a, b in zip(self.ours, self.theirs):
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol, atol)


@pytest.mark.parametrize(("name", "options"), ALL)
def test_a_hundred_steps(name, options):
    race = Race()
    race.run(getattr(optim, name)(race.ours, **options), getattr(torch.optim, name)(race.theirs, **options), 100)
    race.check(name=name)


@pytest.mark.parametrize("name", sorted({name for name, _ in ALL}))
def test_defaults(name):
    race = Race()
    race.run(getattr(optim, name)(race.ours), getattr(torch.optim, name)(race.theirs), 20)
    race.check(name=name)


@pytest.mark.parametrize(("name", "options"), FEW)
def test_float32_stays_float32(name, options):
    race = Race("float32")
    ours = getattr(optim, name)(race.ours, **{**options, "lr": np.float64(options["lr"])})
    race.run(ours, getattr(torch.optim, name)(race.theirs, **options), 20)
    race.check(1e-4, 1e-5)
    tensors = [x for state in ours.state.values() for x in state.values() if isinstance(x, mg.Tensor)]
    assert {x.dtype for x in race.ours + tensors} == {mg.float32}


@pytest.mark.parametrize(("name", "options"), FEW)
@pytest.mark.parametrize("transposed", [False, True])
def test_arrays_longer_than_a_block(name, options, transposed, monkeypatch):
    """Long arrays are worked on in pieces, also when the last is shorter; others at once."""
    monkeypatch.setattr(shared, "BLOCK", 7)
    race = Race(shapes=[(5, 9), (3, 7), (8,)])
    if transposed:
        for a in race.ours[:2]:
            a.data = mg.tensor(np.asfortranarray(a.numpy(force=True)))
            a.array = np.asfortranarray(a.array)
    race.run(getattr(optim, name)(race.ours, **options), getattr(torch.optim, name)(race.theirs, **options), 10)
    race.check(name=name)


def test_parameters_are_written_in_place_and_backward_notices():
    for name, options in FEW:
        w = mg.tensor([1.0, 2.0], requires_grad=True)
        memory, loss = w.array, (w * w * w).sum()
        loss.backward(retain_graph=True)
        getattr(optim, name)([w], **options).step()
        assert w.array is memory and w.requires_grad and w.is_leaf
        with pytest.raises(RuntimeError, match="overwritten"):
            loss.backward()


@pytest.mark.parametrize(("name", "options"), FEW)
def test_groups_have_options_of_their_own(name, options):
    race = Race()
    pair = []
    for engine, params in ((mg, race.ours), (torch, race.theirs)):
        optimizer = getattr(engine.optim, name)([{"params": params[:2], "lr": 0.2}, {"params": params[2]}], **options)
        optimizer.add_param_group({"params": params[3:], "weight_decay": 0.3})
        pair.append(optimizer)
    assert [len(group["params"]) for group in pair[0].param_groups] == [2, 1, 1]
    race.run(*pair, 20)
    race.check(name=name)
    for optimizer in pair:
        optimizer.param_groups[1]["lr"] = 0.5
    race.run(*pair, 20)
    race.check(name=name)


@pytest.mark.parametrize(("name", "options"), FEW)
def test_parameters_without_gradient_are_left_alone(name, options):
    race = Race()
    ours, theirs = getattr(optim, name)(race.ours, **options), getattr(torch.optim, name)(race.theirs, **options)
    for i in range(6):
        race.give_gradients()
        race.ours[i % 3].grad = race.theirs[i % 3].grad = None
        ours.step()
        theirs.step()
    race.check(name=name)


@pytest.mark.parametrize(("name", "options"), FEW)
def test_closure(name, options):
    race = Race(shapes=[(3,)])
    for engine, params in ((mg, race.ours), (torch, race.theirs)):
        optimizer = getattr(engine.optim, name)(params, **options)

        def closure(params=params, optimizer=optimizer):
            optimizer.zero_grad()
            loss = (params[0] ** 2).sum()
            loss.backward()
            return loss

        with engine.no_grad():
            losses = [float(optimizer.step(closure)) for _ in range(5)]
        assert losses == sorted(losses, reverse=True)
        assert optimizer.step() is None
    race.check(name=name)


@pytest.mark.parametrize(("name", "options"), ALL)
def test_gradients_are_read_only(name, options):
    """The same gradient serves for several steps."""
    race = Race()
    ours, theirs = getattr(optim, name)(race.ours, **options), getattr(torch.optim, name)(race.theirs, **options)
    race.give_gradients()
    before = [p.grad.numpy().copy() for p in race.ours]
    for _ in range(3):
        ours.step()
        theirs.step()
    assert all((p.grad.numpy() == g).all() for p, g in zip(race.ours, before))
    race.check(name=name)


def test_zero_grad():
    w = mg.ones(2, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)
    (w * 3).sum().backward()
    optimizer.zero_grad(set_to_none=False)
    assert w.grad.tolist() == [0.0, 0.0]
    optimizer.zero_grad()
    assert w.grad is None


def test_the_grad_mode_is_restored_after_an_error():
    class Broken(optim.Optimizer):
        def update(self, params, group):
            assert not mg.is_grad_enabled()
            raise OSError

    with pytest.raises(OSError):
        Broken([mg.ones(1, requires_grad=True)], {}).step()
    assert mg.is_grad_enabled()
    with pytest.raises(NotImplementedError, match="define update"):
        optim.Optimizer([mg.ones(1)], {}).step()


# ------------------------------------------------------------------------------------------------------- state_dict


def as_torch(x):
    if isinstance(x, mg.Tensor):
        return torch.tensor(x.detach().numpy())
    if isinstance(x, dict):
        return {k: as_torch(v) for k, v in x.items()}
    return [as_torch(v) for v in x] if isinstance(x, list) else x


def as_ours(x):
    if isinstance(x, torch.Tensor):
        return mg.tensor(x.detach().numpy())
    if isinstance(x, dict):
        return {k: as_ours(v) for k, v in x.items()}
    return [as_ours(v) for v in x] if isinstance(x, list) else x


@pytest.mark.parametrize(("name", "options"), FEW)
def test_state_dict_has_pytorchs_shape(name, options):
    race = Race()
    ours, theirs = getattr(optim, name)(race.ours, **options), getattr(torch.optim, name)(race.theirs, **options)
    race.run(ours, theirs, 3)
    a, b = ours.state_dict(), theirs.state_dict()
    assert list(a) == list(b) == ["state", "param_groups"]
    if name != "SGD" or "momentum" in options:
        assert {i: set(s) for i, s in a["state"].items()} == {i: set(s) for i, s in b["state"].items()}
    group = a["param_groups"][0]
    assert set(group) <= set(b["param_groups"][0]) and group["params"] == b["param_groups"][0]["params"] == [0, 1, 2, 3]
    assert {k: b["param_groups"][0][k] for k in group} == group


@pytest.mark.parametrize(("name", "options"), FEW)
@pytest.mark.parametrize("way", ["ours to ours", "theirs to ours", "ours to theirs"])
def test_training_goes_on_from_a_state_dict(name, options, way):
    race = Race()
    ours, theirs = getattr(optim, name)(race.ours, **options), getattr(torch.optim, name)(race.theirs, **options)
    race.run(ours, theirs, 10)
    if way == "ours to theirs":
        again = getattr(torch.optim, name)(race.theirs, **{**options, "lr": 9.0})
        again.load_state_dict({**copy.deepcopy(theirs.state_dict()), "state": as_torch(ours.state_dict()["state"])})
        race.run(ours, again, 10)
    else:
        again = getattr(optim, name)(race.ours, **{**options, "lr": 9.0})
        again.load_state_dict(ours.state_dict() if way == "ours to ours" else as_ours(theirs.state_dict()))
        race.run(again, theirs, 10)
    race.check(name=name)


@pytest.mark.parametrize("dtype", [mg.float32, mg.float64])
def test_what_is_loaded_is_a_copy_of_the_parameters_dtype(dtype):
    w = mg.ones(3, requires_grad=True)
    first = optim.Adam([w])
    w.grad = mg.tensor([1.0, 2.0, 3.0])
    first.step()
    saved = copy.deepcopy(first.state_dict())
    v = mg.ones(3, dtype=dtype, requires_grad=True)
    second = optim.Adam([v])
    second.load_state_dict(saved)
    assert second.state[v]["exp_avg"].dtype == dtype and second.state[v]["step"] == 1
    v.grad = mg.ones(3, dtype=dtype)
    second.step()
    assert mg.equal(saved["state"][0]["exp_avg"], first.state[w]["exp_avg"]) and saved["state"][0]["step"] == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s["param_groups"].append(s["param_groups"][0]), r"expected groups of \[2\] parameters, .* \[2, 2\]"),
        (lambda s: s["param_groups"][0]["params"].pop(), r"expected groups of \[2\] parameters, .* \[1\]"),
        (lambda s: s["state"][0].update(exp_avg=mg.ones(7)), r"exp_avg has shape \(7,\), its parameter \(3,\)"),
        (lambda s: s["param_groups"][0].update(lr=-1.0), "lr must not be negative"),
    ],
)
def test_a_state_dict_that_does_not_fit_changes_nothing(change, words):
    params = [mg.ones(3, requires_grad=True), mg.ones(2, requires_grad=True)]
    optimizer = optim.Adam(params)
    for p in params:
        p.grad = mg.ones_like(p)
    optimizer.step()
    saved = copy.deepcopy(optimizer.state_dict())
    change(saved)
    saved["param_groups"][0]["eps"] = 0.5
    with pytest.raises(ValueError, match=words):
        optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["eps"] == 1e-8 and optimizer.state[params[0]]["exp_avg"].shape == (3,)


def test_repr():
    params = torch.nn.Linear(1, 1).parameters()
    ours, theirs = repr(optim.SGD([mg.ones(1)], lr=0.5)), repr(torch.optim.SGD(params, lr=0.5))
    unsupported = ("differentiable", "foreach", "fused")
    assert ours == "\n".join(line for line in theirs.split("\n") if not line.strip().startswith(unsupported))


# --------------------------------------------------------------------------------------------------------- bad input

W = mg.ones(2, requires_grad=True)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: optim.SGD([]), ValueError, "empty parameter list"),
        (lambda: optim.SGD(W), TypeError, "got one tensor"),
        (lambda: optim.SGD({W}), TypeError, "got a set"),
        (lambda: optim.SGD(3), TypeError, "tensors or dicts in a list, got int"),
        (lambda: optim.SGD([3]), TypeError, "can only learn tensors, got int"),
        (lambda: optim.SGD([W * 2]), ValueError, "can only learn leaves"),
        (lambda: optim.SGD([W, W]), ValueError, "comes twice"),
        (lambda: optim.SGD([{"params": [W]}, {"params": [W]}]), ValueError, "comes twice"),
        (lambda: optim.SGD([{"params": {W}}]), TypeError, "got a set"),
        (lambda: optim.SGD([{"params": [W]}, [W]]), TypeError, "expected a dict with 'params', got list"),
        (lambda: optim.SGD([{"lr": 0.1}]), KeyError, "has no 'params'"),
        (lambda: optim.SGD([W], lr=-0.1), ValueError, "SGD: lr must not be negative, got -0.1"),
        (lambda: optim.SGD([W], lr=float("nan")), ValueError, "lr must not be negative, got nan"),
        (lambda: optim.SGD([W], momentum=-1), ValueError, "momentum must not be negative"),
        (lambda: optim.SGD([W], weight_decay=-1), ValueError, "weight_decay must not be negative"),
        (lambda: optim.SGD([W], nesterov=True), ValueError, "nesterov needs momentum"),
        (lambda: optim.SGD([W], momentum=0.9, dampening=0.1, nesterov=True), ValueError, "nesterov needs momentum"),
        (lambda: optim.SGD([{"params": [W], "lr": -1}]), ValueError, "lr must not be negative"),
        (lambda: optim.Adam([W], lr=-1), ValueError, "Adam: lr must not be negative"),
        (lambda: optim.Adam([W], eps=-1), ValueError, "eps must not be negative"),
        (lambda: optim.Adam([W], betas=(0.9, 1.0)), ValueError, "betas must be two numbers in"),
        (lambda: optim.Adam([W], betas=(0.9,)), ValueError, "betas must be two numbers"),
        (lambda: optim.AdamW([W], weight_decay=-1), ValueError, "AdamW: weight_decay must not be negative"),
        (lambda: optim.Adagrad([W], lr_decay=-1), ValueError, "Adagrad: lr_decay must not be negative"),
        (lambda: optim.Adadelta([W], rho=1.5), ValueError, "Adadelta: rho must be from 0 to 1, got 1.5"),
        (lambda: optim.RMSprop([W], momentum=-1), ValueError, "RMSprop: momentum must not be negative"),
        (lambda: optim.RMSprop([W], alpha=-1), ValueError, "RMSprop: alpha must not be negative"),
        (lambda: optim.Adamax([W], betas=(0.9, 1.5)), ValueError, "Adamax: betas must be two numbers in"),
        (lambda: optim.NAdam([W], momentum_decay=-1), ValueError, "NAdam: momentum_decay must not be negative"),
        (lambda: optim.RAdam([W], eps=-1), ValueError, "RAdam: eps must not be negative"),
        (lambda: optim.Rprop([W], etas=(0.5, 0.9)), ValueError, "Rprop: etas must be one number below and one above 1"),
    ],
)
def test_bad_input(make, error, words):
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize("amsgrad", [False, True])
def test_adam_reads_a_loaded_state_by_name_not_by_order(amsgrad):
    results = []
    for turn in (False, True):
        w = mg.tensor([1.0, -2.0], dtype=mg.float64, requires_grad=True)
        optimizer = mg.optim.Adam([w], lr=0.1, amsgrad=amsgrad)
        for step in range(4):
            if step == 2:
                saved = optimizer.state_dict()
                if turn:
                    saved["state"] = {i: dict(reversed(list(state.items()))) for i, state in saved["state"].items()}
                optimizer.load_state_dict(saved)
            optimizer.zero_grad()
            (w * w * w).sum().backward()
            optimizer.step()
        results.append(w.tolist())
    assert results[0] == results[1]
