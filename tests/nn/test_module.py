"""The Module protocol: what is registered, named, saved, loaded, moved, hooked and printed, beside PyTorch's."""

from __future__ import annotations

import copy
import gc
import pickle
import re
import weakref

import numpy as np
import pytest
import torch

import minigrad as mg


def make(engine, dtype=None):
    """The same model in either engine: parts in parts, a shared layer, buffers of both kinds, a bias that is None."""
    nn = engine.nn

    class Inner(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 2, bias=False)
            self.scale = nn.Parameter(engine.tensor([1.5, -2.0]))
            self.register_buffer("count", engine.tensor(7))
            self.register_buffer("scratch", engine.tensor([1.0]), persistent=False)
            self.register_parameter("shift", None)
            self.plain = engine.tensor([9.0])

        def forward(self, x):
            return self.linear(x) * self.scale

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = Inner()
            self.again = self.first
            self.layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
            self.layers[1].weight = self.layers[0].weight
            self.dropout = nn.Dropout(0.5)
            self.nothing = None

        def forward(self, x):
            return self.dropout(self.layers[1](self.layers[0](self.first(x))))

    return Outer()


@pytest.fixture
def model():
    return make(mg)


@pytest.fixture
def theirs():
    return make(torch)


NAMES = [
    ("named_parameters", {}),
    ("named_parameters", {"recurse": False}),
    ("named_parameters", {"prefix": "a.b"}),
    ("named_parameters", {"remove_duplicate": False}),
    ("named_buffers", {}),
    ("named_buffers", {"remove_duplicate": False}),
    ("named_modules", {}),
    ("named_modules", {"prefix": "top", "remove_duplicate": False}),
    ("named_children", {}),
]


@pytest.mark.parametrize(("method", "options"), NAMES)
def test_names(model, theirs, method, options):
    ours, expected = (
        [(name, type(x).__name__, tuple(getattr(x, "shape", ()))) for name, x in getattr(m, method)(**options)]
        for m in (model, theirs)
    )
    assert ours == expected and (ours or options == {"recurse": False})


@pytest.mark.parametrize("method", ["parameters", "buffers", "modules", "children"])
def test_unnamed_are_the_named_ones(model, method):
    unnamed, named = list(getattr(model, method)()), [x for _, x in getattr(model, f"named_{method}")()]
    assert len(unnamed) == len(named) > 0 and all(a is b for a, b in zip(unnamed, named))


def test_state_dict_keys_and_values(model, theirs):
    state, expected = model.state_dict(), theirs.state_dict()
    assert list(state) == list(expected)
    assert list(model.state_dict(prefix="x.")) == list(theirs.state_dict(prefix="x."))
    assert all(type(value) is mg.Tensor and not value.requires_grad for value in state.values())
    assert state["first.scale"].array is model.first.scale.array
    assert model.state_dict(keep_vars=True)["first.scale"] is model.first.scale


def test_repr(model, theirs):
    assert repr(model) == repr(theirs)


@pytest.mark.parametrize("lines", ["", "one", "one\ntwo"])
@pytest.mark.parametrize("parts", [0, 2])
def test_repr_with_options_and_parts(lines, parts):
    texts = []
    for engine in (mg, torch):

        class Thing(engine.nn.Module):
            def extra_repr(self):
                return lines

        thing = Thing()
        for i in range(parts):
            thing.add_module(f"part{i}", engine.nn.Sequential(engine.nn.Tanh()))
        texts.append(repr(thing))
    assert texts[0] == texts[1]


def test_dir_lists_what_is_registered_but_no_numbers(model, theirs):
    names = dir(model.first)
    assert {"linear", "scale", "count", "plain", "forward", "shift"} <= set(names)
    assert not [name for name in dir(model.layers) if name[0].isdigit()]


# ----------------------------------------------------------------------------------------------------- attributes


def test_operations_on_a_parameter_give_plain_tensors():
    p = mg.nn.Parameter(mg.tensor([1.0, 2.0]))
    for result in (p + 1, p[0], p.detach(), p.data, p.clone(), p.reshape(2, 1), p.double(), p.sum()):
        assert type(result) is mg.Tensor
    assert isinstance(p, mg.Tensor) and p.requires_grad and p.is_leaf


def test_parameter_shares_memory_and_may_be_frozen():
    data = mg.tensor([1.0, 2.0])
    p = mg.nn.Parameter(data, requires_grad=False)
    data[0] = 5
    assert p[0] == 5 and not p.requires_grad
    assert mg.nn.Parameter(mg.ones(2, requires_grad=True) * 2).is_leaf
    assert mg.nn.Parameter().shape == (0,)
    with pytest.raises(TypeError, match="expected a Tensor, got list"):
        mg.nn.Parameter([1.0])


def test_what_replaces_what(model):
    """An attribute is in one register at a time, as in PyTorch."""
    inner = model.first
    inner.scale = None
    assert inner.scale is None and "scale" in inner._parameters and "first.scale" not in model.state_dict()
    inner.scale = mg.nn.Parameter(mg.ones(2))
    inner.plain = mg.nn.Parameter(mg.ones(1))
    assert inner.plain is inner._parameters["plain"] and "first.plain" in model.state_dict()
    inner.count = mg.tensor(3)
    assert model.state_dict()["first.count"] == 3
    inner.scratch = mg.tensor([5.0])
    assert "first.scratch" not in model.state_dict() and inner.scratch == 5
    inner.linear = mg.nn.Parameter(mg.ones(1))
    assert "linear" not in inner._modules and isinstance(inner.linear, mg.nn.Parameter)
    model.nothing = mg.nn.Identity()
    assert "nothing" in dict(model.named_children())


def test_delattr(model):
    del model.first.scale, model.first.count, model.first.linear, model.first.plain, model.dropout
    assert [name for name in model.state_dict() if name.startswith("first")] == []
    for name in ("scale", "count", "linear", "plain"):
        with pytest.raises(AttributeError, match=f"'Inner' object has no attribute '{name}'"):
            getattr(model.first, name)
        with pytest.raises(AttributeError):
            delattr(model.first, name)


@pytest.mark.parametrize("value", [mg.nn.Parameter(mg.ones(1)), mg.nn.Identity()])
def test_assigning_before_init(value):
    class Early(mg.nn.Module):
        def __init__(self):
            self.part = value
            super().__init__()

    with pytest.raises(AttributeError, match=re.escape("call super().__init__() first")):
        Early()


def test_using_before_init():
    class Forgotten(mg.nn.Module):
        def __init__(self):
            self.size = 3
            self.register_buffer("x", mg.ones(1))

    with pytest.raises(AttributeError, match=re.escape("call super().__init__() first")):
        Forgotten()

    class Empty(mg.nn.Module):
        def __init__(self):
            pass

    with pytest.raises(AttributeError, match=re.escape("has not called super().__init__()")):
        Empty().weight  # noqa: B018


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (lambda m: setattr(m.first, "scale", mg.ones(2)), TypeError, "cannot assign Tensor as parameter 'scale'"),
        (lambda m: setattr(m.first, "scale", 3), TypeError, "cannot assign int as parameter 'scale'"),
        (lambda m: setattr(m.first, "count", 3), TypeError, "cannot assign int as buffer 'count'"),
        (lambda m: setattr(m, "first", 3), TypeError, "cannot assign int as module 'first'"),
        (lambda m: m.add_module("a.b", mg.nn.Identity()), KeyError, "name without dots, not empty"),
        (lambda m: m.add_module("", mg.nn.Identity()), KeyError, "name without dots, not empty"),
        (lambda m: m.add_module(3, mg.nn.Identity()), TypeError, "must be a string"),
        (lambda m: m.add_module("training", mg.nn.Identity()), KeyError, "'training' exists already"),
        (lambda m: m.add_module("x", mg.ones(1)), TypeError, "expected a Module or None"),
        (lambda m: m.register_buffer("x", 3), TypeError, "cannot assign int as buffer 'x'"),
        (lambda m: m.register_parameter("x", mg.ones(1)), TypeError, "expected a Parameter or None"),
        (lambda m: m.register_parameter("x", m.first.scale * 2), ValueError, "must be a leaf"),
        (lambda m: m.register_parameter("forward", None), KeyError, "exists already"),
        (lambda m: m.get_submodule("first.nope"), AttributeError, "no part at 'first.nope'"),
        (lambda m: m.get_parameter("first.count"), AttributeError, "no parameter at 'first.count'"),
        (lambda m: m.get_buffer("first.scale"), AttributeError, "no buffer at 'first.scale'"),
        (lambda m: m.train("yes"), ValueError, "must be True or False"),
        (lambda m: m.to(mg.int64), TypeError, "expected a floating point dtype"),
        (lambda m: m.load_state_dict([1]), TypeError, "expected a dict"),
        (lambda m: mg.nn.Module()(1), NotImplementedError, r"define forward\(self, ...\)"),
    ],
)
def test_bad_input(model, act, error, words):
    with pytest.raises(error, match=words):
        act(model)


def test_get_by_path(model):
    assert model.get_submodule("") is model
    assert model.get_submodule("layers.1") is model.layers[1]
    assert model.get_parameter("first.linear.weight") is model.first.linear.weight
    assert model.get_buffer("first.count") is model.first.count


# ------------------------------------------------------------------------------------------------------- loading


def snapshot(model):
    return {name: value.numpy().copy() for name, value in model.state_dict().items()}


def test_load_copies_in_place(model):
    state = {name: value + 1 for name, value in model.state_dict().items()}
    identities = {name: (id(p), id(p.array)) for name, p in model.named_parameters()}
    result = model.load_state_dict(state)
    assert result == ([], []) and repr(result) == "<All keys matched successfully>"
    assert {name: (id(p), id(p.array)) for name, p in model.named_parameters()} == identities
    state["first.scale"] += 100
    assert model.first.scale.tolist() == [2.5, -1.0] and model.first.count == 8


def test_load_takes_arrays_and_converts(model):
    model.load_state_dict({"first.scale": np.array([1, 2])}, strict=False)
    assert model.first.scale.tolist() == [1.0, 2.0] and model.first.scale.dtype == mg.float32


def test_load_makes_backward_notice(model):
    x = mg.ones(1, 3, requires_grad=True)
    out = model.first(x)
    model.load_state_dict(model.state_dict())
    with pytest.raises(RuntimeError, match="overwritten in place"):
        out.backward(mg.ones(1, 2))


def broken_state(model, theirs):
    state = {name: tuple(value.shape) for name, value in theirs.state_dict().items()}
    del state["first.scale"], state["layers.1.bias"]
    state.update({"extra": (2,), "layers.7.weight": (1, 2), "layers.0.weight": (3, 2), "first.count": (1, 2)})
    return state


def words(text):
    """Names, and shapes as numbers: where PyTorch's message and ours must agree."""
    return re.sub(r"torch\.Size\(\[(.*?)\]\)", lambda m: f"({m[1]}{',' if m[1].isdigit() else ''})", text).split()


@pytest.mark.parametrize("strict", [True, False])
def test_load_lists_all_that_does_not_fit_and_leaves_the_module_untouched(model, theirs, strict):
    shapes = broken_state(model, theirs)
    before = snapshot(model)
    with pytest.raises(RuntimeError) as ours:
        model.load_state_dict({name: mg.full(shape, 5.0) for name, shape in shapes.items()}, strict=strict)
    with pytest.raises(RuntimeError) as expected:
        theirs.load_state_dict({name: torch.full(shape, 5.0) for name, shape in shapes.items()}, strict=strict)
    assert set(words(str(ours.value))) == set(words(str(expected.value)))
    after = snapshot(model)
    assert all((before[name] == after[name]).all() for name in before)


def test_load_not_strict_returns_the_keys(model, theirs):
    state = {"first.scale": [3.0, 4.0], "extra": [1.0]}
    ours = model.load_state_dict({k: mg.tensor(v) for k, v in state.items()}, strict=False)
    expected = theirs.load_state_dict({k: torch.tensor(v) for k, v in state.items()}, strict=False)
    assert (ours.missing_keys, ours.unexpected_keys) == (expected.missing_keys, expected.unexpected_keys)
    assert repr(ours).startswith("IncompatibleKeys(missing_keys=['first.count', ")
    assert model.first.scale.tolist() == [3.0, 4.0]


def test_load_refuses_what_is_no_tensor(model):
    with pytest.raises(RuntimeError, match=r"first.scale: expected a Tensor, got list"):
        model.load_state_dict({"first.scale": [1.0, 2.0]}, strict=False)


# ----------------------------------------------------------------------------------------------- changing all parts


def test_to_converts_floats_only_and_keeps_objects(model):
    parameters = list(model.parameters())
    model(mg.ones(1, 3)).sum().backward()
    assert model.double() is model
    assert all(a is b for a, b in zip(parameters, model.parameters()))
    assert {p.dtype for p in model.parameters()} == {p.grad.dtype for p in model.parameters()} == {mg.float64}
    assert model.first.count.dtype == mg.int64 and model.first.scratch.dtype == mg.float64
    assert model.layers[0].weight is model.layers[1].weight
    for convert, dtype in ((model.half, mg.float16), (model.float, mg.float32)):
        assert {p.dtype for p in convert().parameters()} == {dtype}
    assert model.to("cpu", mg.float64).first.scale.dtype == mg.float64
    assert model.type(mg.float32).first.count.dtype == mg.float32
    assert model.cpu() is model


def test_backward_after_conversion(model):
    model.eval().double()
    model(mg.ones(2, 3, dtype=mg.float64)).backward(mg.randn(2, 2, dtype=mg.float64))
    assert all(p.grad is not None and p.grad.dtype == mg.float64 for p in model.parameters())


def test_train_and_eval_are_per_module(model):
    assert model.eval() is model and not any(m.training for m in model.modules())
    model.first.train()
    assert model.first.training and model.first.linear.training and not model.training and not model.dropout.training
    model.train()
    assert all(m.training for m in model.modules())


def test_apply_children_first(model):
    seen = []
    assert model.apply(lambda m: seen.append(type(m).__name__)) is model
    expected = []
    make(torch).apply(lambda m: expected.append(type(m).__name__))
    assert seen == expected


def test_zero_grad(model):
    model(mg.ones(1, 3)).sum().backward()
    model.zero_grad(set_to_none=False)
    assert all((p.grad == 0).all() for p in model.parameters())
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_freezing(model):
    assert model.first.requires_grad_(False) is model.first
    model.eval()(mg.ones(1, 3)).sum().backward()
    assert model.first.scale.grad is None and model.layers[0].weight.grad is not None


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_are_independent_and_keep_what_is_shared(copied):
    model = mg.nn.Sequential(mg.nn.Linear(2, 2), mg.nn.LayerNorm(2), mg.nn.Linear(2, 2), mg.nn.Dropout(0.1)).eval()
    model[2].weight = model[0].weight
    model.register_buffer("count", mg.tensor(3), persistent=False)
    other = copied(model)
    assert repr(other) == repr(model) and not other.training and other.count == 3
    assert other[2].weight is other[0].weight and type(other[0].weight) is mg.nn.Parameter
    x = mg.randn(4, 2)
    assert mg.equal(other(x), model(x))
    before = snapshot(model)
    for value in (*other.parameters(), *other.buffers()):
        value.array[...] = 9
    assert all((before[name] == value).all() for name, value in snapshot(model).items())
    other(x).sum().backward()
    assert other[0].weight.grad is not None and model[0].weight.grad is None


def test_a_module_goes_by_reference_count():
    gc.disable()
    try:
        model = make(mg)
        watched = [weakref.ref(model), weakref.ref(model.layers[0].weight)]
        model(mg.ones(1, 3)).sum().backward()
        del model
        assert [w() for w in watched] == [None, None]
    finally:
        gc.enable()


# ------------------------------------------------------------------------------------------------------------ hooks


def test_hooks_run_in_order_and_replace(model):
    layer, log = mg.nn.Identity(), []

    def pre(tag, new=None):
        return lambda module, args: log.append((tag, module is layer, args[0].item())) or new

    def post(tag, new=None):
        return lambda module, args, out: log.append((tag, args[0].item(), out.item())) or new

    one = mg.tensor(1.0)
    handles = [
        layer.register_forward_pre_hook(pre("a", one * 2)),
        layer.register_forward_pre_hook(pre("b", (one * 3,))),
        layer.register_forward_pre_hook(pre("first"), prepend=True),
        layer.register_forward_hook(post("c", one * 4)),
        layer.register_forward_hook(post("d")),
        layer.register_forward_hook(post("e"), prepend=True),
    ]
    assert layer(one) == 4
    assert log == [
        ("first", True, 1.0), ("a", True, 1.0), ("b", True, 2.0), ("e", 3.0, 3.0), ("c", 3.0, 3.0), ("d", 3.0, 4.0)
    ]  # fmt: skip
    for handle in handles:
        handle.remove()
    assert layer(one) == 1 and len(log) == 6


def test_hook_as_context_manager():
    layer = mg.nn.Identity()
    with layer.register_forward_hook(lambda module, args, out: out + 1):
        assert layer(mg.tensor(1.0)) == 2
    assert layer(mg.tensor(1.0)) == 1


def test_keyword_arguments_reach_forward():
    class Add(mg.nn.Module):
        def forward(self, x, *, by):
            return x + by

    add = Add()
    assert add(1, by=2) == 3
    add.register_forward_hook(lambda module, args, out: out * 10)
    assert add(1, by=2) == 30


def test_attributes_and_registers_agree_whatever_happens():
    """Parts are ordinary attributes too, for speed: no way of changing one may leave the other behind."""
    nn = mg.nn
    layer = nn.Linear(3, 2)
    layer.extra = nn.Linear(1, 1)
    layer.register_buffer("count", mg.zeros(2))
    new = nn.Parameter(mg.ones(2, 3))
    layer.weight = new
    assert layer.weight is new is layer._parameters["weight"]
    layer.bias = None
    assert layer.bias is None and layer._parameters["bias"] is None
    layer.count = mg.ones(3)
    assert layer.count is layer._buffers["count"]
    layer.double()
    assert layer.count is layer._buffers["count"] and layer.count.dtype == mg.float64
    twin = copy.deepcopy(layer)
    assert twin.weight is twin._parameters["weight"] is not layer.weight
    del layer.weight
    assert not hasattr(layer, "weight") and "weight" not in layer._parameters
    many = nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.Linear(1, 1)})
    many.pop("a")
    many.clear()
    assert not hasattr(many, "a") and not hasattr(many, "b") and not len(many)
