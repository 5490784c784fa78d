"""Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict and the modules of shape, beside PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn

from .twin import load, same, scramble


def five(engine, kind):
    layers = [engine.nn.Linear(2, n + 1) for n in range(5)]
    return engine.nn.Sequential(*layers) if kind == "Sequential" else engine.nn.ModuleList(layers)


def sizes(container):
    return [(name, layer.out_features) for name, layer in container.named_children()]


EDITS = {
    "slice": lambda c, nn: c[1:4],
    "slice with step": lambda c, nn: c[::-2],
    "delete": lambda c, nn: c.__delitem__(1),
    "delete slice": lambda c, nn: c.__delitem__(slice(0, 3, 2)),
    "delete last": lambda c, nn: c.__delitem__(-1),
    "set": lambda c, nn: c.__setitem__(-2, nn.Linear(2, 50)),
    "append": lambda c, nn: c.append(nn.Linear(2, 50)),
    "extend": lambda c, nn: c.extend([nn.Linear(2, 50), nn.Linear(2, 60)]),
    "insert": lambda c, nn: c.insert(1, nn.Linear(2, 50)) and None,
    "insert at end": lambda c, nn: c.insert(5, nn.Linear(2, 50)) and None,
    "pop": lambda c, nn: c.pop(2) and None,
    "add": lambda c, nn: c + c[:2],
    "add in place": lambda c, nn: c.__iadd__(c[:2]),
}


@pytest.mark.parametrize("kind", ["Sequential", "ModuleList"])
@pytest.mark.parametrize("edit", EDITS)
def test_edits(kind, edit):
    ours, theirs = five(mg, kind), five(torch, kind)
    a, b = EDITS[edit](ours, mg.nn), EDITS[edit](theirs, torch.nn)
    assert sizes(ours) == sizes(theirs) and len(ours) == len(theirs)
    assert (a is None) == (b is None)
    if a is not None:
        assert type(a).__name__ == kind and sizes(a) == sizes(b)
        assert (a is ours) == (b is theirs)


@pytest.mark.parametrize("kind", ["Sequential", "ModuleList"])
def test_reading(kind):
    c = five(mg, kind)
    assert c[0] is next(iter(c)) and c[-1] is list(c)[4] and c[1] in c and c[np.int64(2)] is c[2]
    assert c[1:3][0] is c[1]
    assert c.pop() not in c and len(c) == 4
    assert bool(type(c)()) is True
    for index in (4, -5):
        with pytest.raises(IndexError, match=f"index {index} is out of range for 4 modules"):
            c[index]
    with pytest.raises(TypeError):
        c["0"]


def test_sequential_computes_in_order():
    theirs = scramble(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)))
    ours = load(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), theirs)
    assert repr(ours) == repr(theirs)
    same(ours, theirs, np.random.default_rng(0).standard_normal((5, 3)))


def test_sequential_with_names():
    net = nn.Sequential({"fc": nn.Linear(3, 4), "act": nn.ReLU(), "out": nn.Linear(4, 2)})
    assert list(net.state_dict()) == ["fc.weight", "fc.bias", "out.weight", "out.bias"]
    assert net.act is net[1] and [name for name, _ in net[1:].named_children()] == ["act", "out"]


def test_empty_sequential_is_the_identity():
    x = mg.ones(2)
    assert nn.Sequential()(x) is x and repr(nn.Sequential()) == "Sequential()"


def test_module_list_takes_an_iterator_and_has_no_forward():
    layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
    assert list(layers.state_dict())[::2] == ["0.weight", "1.weight", "2.weight"]
    with pytest.raises(NotImplementedError):
        layers(mg.ones(2))
    with pytest.raises(TypeError, match="expected a Module or None"):
        layers.append(mg.ones(2))


@pytest.mark.parametrize("engine", [mg, torch])
def test_module_dict(engine):
    nn = engine.nn
    d = nn.ModuleDict({"b": nn.Linear(2, 1), "a": nn.ReLU()})
    d["c"] = nn.Identity()
    d.update([("d", nn.Tanh())])
    assert list(d) == list(d.keys()) == ["b", "a", "c", "d"] and len(d) == 4 and "a" in d and "x" not in d
    assert next(iter(d.values())) is d["b"] and dict(d.items())["c"] is d["c"]
    tanh = d.pop("d")
    assert type(tanh) is nn.Tanh and "d" not in d
    del d["a"]
    assert list(d.state_dict()) == ["b.weight", "b.bias"]
    d.clear()
    assert len(d) == 0
    with pytest.raises(KeyError):
        d["b"]


@pytest.mark.parametrize("engine", [mg, torch])
def test_parameter_list(engine):
    weights = engine.nn.ParameterList([engine.ones(2, 3), engine.nn.Parameter(engine.zeros(4))])
    weights.append(engine.ones(1)).extend([engine.ones(5)])
    weights[0] = engine.nn.Parameter(engine.ones(7))
    assert len(weights) == 4 and [tuple(w.shape) for w in weights] == [(7,), (4,), (1,), (5,)]
    assert list(weights.state_dict()) == ["0", "1", "2", "3"] and all(w.requires_grad for w in weights)
    assert [tuple(w.shape) for w in weights[1:3]] == [(4,), (1,)] and weights[-1] is weights[3]


@pytest.mark.parametrize("engine", [mg, torch])
def test_parameter_dict(engine):
    weights = engine.nn.ParameterDict({"a": engine.ones(2, 3)})
    weights["b"] = engine.nn.Parameter(engine.zeros(4))
    assert len(weights) == 2 and list(weights) == list(weights.keys()) == ["a", "b"] and "a" in weights
    assert list(weights.state_dict()) == ["a", "b"] and all(w.requires_grad for w in weights.values())
    del weights["a"]
    assert [name for name, _ in weights.items()] == ["b"]


def test_parameter_list_repr():
    text = repr(nn.ParameterList([mg.ones(2, 3)]))
    assert text == "ParameterList((0): Parameter containing: [float32 of size 2x3])"


@pytest.mark.parametrize(
    ("name", "args", "shape"),
    [
        ("Identity", (), (2, 3)),
        ("Flatten", (), (2, 3, 4)),
        ("Flatten", (0, 1), (2, 3, 4)),
        ("Flatten", (2,), (2, 3, 4, 1)),
        ("Unflatten", (1, (3, 4)), (2, 12)),
        ("Unflatten", (-1, (3, -1)), (2, 12)),
    ],
)
def test_shapes(name, args, shape):
    ours, theirs = getattr(nn, name)(*args), getattr(torch.nn, name)(*args)
    assert repr(ours) == repr(theirs)
    same(ours, theirs, np.random.default_rng(0).standard_normal(shape))


def test_identity_ignores_its_arguments():
    assert repr(nn.Identity(54, unused=True)) == "Identity()"
