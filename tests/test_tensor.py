"""Making tensors, converting them, and Python's own protocols."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

import minigrad as mg


@pytest.mark.parametrize(
    "data",
    [1, 1.5, True, [1, 2], [1.0, 2], [[True], [False]], [], [[]], (1, 2.0), np.arange(3), np.float64(2), np.zeros((2, 0)), np.int32(3), np.arange(3, dtype=np.uint8), np.array([1.5], np.float16)],
    ids=repr,
)
def test_data_gets_torchs_dtype_and_shape(data):
    mine, theirs = mg.tensor(data), torch.tensor(data)
    assert str(mine.dtype) == str(theirs.dtype).removeprefix("torch.") and tuple(mine.shape) == tuple(theirs.shape)
    assert mine.tolist() == theirs.tolist()


def test_what_copies_and_what_shares():
    a = np.zeros(3, np.float32)
    for make, shares in [(mg.tensor, False), (mg.Tensor, False), (mg.as_tensor, True), (mg.from_numpy, True), (mg.from_dlpack, True)]:
        assert np.shares_memory(make(a).array, a) is shares, make
    t = mg.tensor([1.0])
    assert mg.as_tensor(t) is t and mg.as_tensor(t, dtype=mg.float64) is not t
    assert np.shares_memory(np.asarray(t), t.array) and np.shares_memory(t.numpy(), t.array)
    assert np.shares_memory(np.from_dlpack(t), t.array)
    theirs = torch.from_dlpack(t)
    theirs[0] = 5
    assert t.item() == 5
    assert mg.from_dlpack(torch.arange(3)).tolist() == [0, 1, 2]


@pytest.mark.parametrize("name, args", [
    ("zeros", (2, 3)), ("zeros", ((2, 3),)), ("ones", (2,)), ("eye", (3,)), ("eye", (2, 3)), ("full", ((2,), 3)), ("full", ((2,), 2.5)), ("full", ((2,), True)),
    ("arange", (5,)), ("arange", (1, 4)), ("arange", (0, 1, 0.25)), ("arange", (5, 0, -2)), ("linspace", (0, 1, 5)), ("zeros", ((),)), ("arange", (2.5,)),
])  # fmt: skip
def test_factories_are_torchs(name, args):
    mine, theirs = getattr(mg, name)(*args), getattr(torch, name)(*args)
    assert str(mine.dtype) == str(theirs.dtype).removeprefix("torch.") and mine.tolist() == theirs.tolist()
    if not name.endswith("space") and name != "arange":
        assert getattr(mg, name)(*args, dtype=mg.float64).dtype == mg.float64
    like = mine.double() if mine.dtype != mg.bool else mine
    for f in ("zeros_like", "ones_like", "empty_like", "rand_like", "randn_like"):
        if like.dtype == mg.float64:
            made = getattr(mg, f)(like)
            assert made.shape == like.shape and made.dtype == like.dtype


def test_new_tensors_take_after_their_source():
    x = mg.zeros(2, dtype=mg.float64)
    for made in (x.new_tensor([1, 2]), x.new_zeros(3), x.new_ones(2, 3), x.new_full((2,), 7), x.new_empty(1)):
        assert made.dtype == mg.float64
    assert x.new_full((2,), 7).tolist() == [7, 7] and x.new_ones(2, 3).shape == (2, 3)


@pytest.mark.parametrize("how", ["half", "float", "double", "int", "long", "bool"])
def test_conversions_are_torchs(how):
    values = [-1.7, 0.0, 2.5]
    mine, theirs = getattr(mg.tensor(values), how)(), getattr(torch.tensor(values), how)()
    assert str(mine.dtype) == str(theirs.dtype).removeprefix("torch.") and mine.tolist() == theirs.tolist()


def test_to_in_its_forms():
    x = mg.tensor([1.5])
    assert x.to(mg.float32) is x and x.to("cpu") is x and x.to(x) is x and x.cpu() is x
    assert x.to("cpu", mg.float64).dtype == mg.float64 and x.to(dtype=mg.int64).tolist() == [1]
    assert x.to(copy=True) is not x and x.type(mg.float64).dtype == mg.float64 and x.type_as(mg.tensor(1)).dtype == mg.int64
    y = x.requires_grad_().double()
    y.backward(mg.tensor([2.0], dtype=mg.float64))
    assert x.grad.dtype == mg.float32 and x.grad.tolist() == [2]


def test_default_dtype():
    mg.set_default_dtype(mg.float64)
    try:
        assert mg.tensor(1.5).dtype == mg.zeros(2).dtype == mg.rand(2).dtype == (mg.tensor([1]) / 2).dtype == mg.float64
    finally:
        mg.set_default_dtype(mg.float32)
    with pytest.raises(TypeError, match="floating point"):
        mg.set_default_dtype(mg.int64)


def test_numpy_on_either_side():
    x, a = mg.tensor([1.0, 2.0], requires_grad=True), np.array([3.0, 4.0], np.float32)
    for y in (x * a, a * x, a + x, x - a, a - x, a / x, x @ a, a @ x, a > x, x**a):
        assert isinstance(y, mg.Tensor)
    (a * x).sum().backward()
    assert x.grad.tolist() == [3, 4]
    assert np.mean(x.detach()) == 1.5 and np.sum(x.detach(), axis=0, keepdims=True).tolist() == [3]


def test_python_protocols():
    x = mg.tensor([[1, 2], [3, 4]])
    assert len(x) == 2 and [row.tolist() for row in x] == [[1, 2], [3, 4]]
    assert float(x[0, 0]) == 1.0 and int(mg.tensor(2.7)) == 2 and bool(mg.tensor([1])) and [10, 20, 30][mg.tensor(1)] == 20
    assert 3 in x and 7 not in x and x.size() == (2, 2) and x.size(-1) == 2 and x.shape.numel() == 4
    assert hash(x) == hash(x) and x.stride() == (2, 1) and x.T.stride() == (1, 2) and not x.T.is_contiguous()
    assert x.is_floating_point() is False and x.numel() == 4 and x.dim() == x.ndim == 2 and x.element_size() == 8
    with pytest.raises(TypeError, match="only a tensor with one integer"):
        [1, 2][mg.tensor(1.0)]


def test_copies():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    (x * 2).sum().backward()
    for y in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert y.requires_grad and y.tolist() == [1, 2] and not np.shares_memory(x.array, y.array)
    assert copy.deepcopy(x).grad.tolist() == [2, 2]
    shared = copy.copy(x)
    assert np.shares_memory(shared.array, x.array)
