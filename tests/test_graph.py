"""autograd.graph.saved_tensors_hooks: what is kept for backward can be kept in another form."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from minigrad.autograd.graph import saved_tensors_hooks

import minigrad as mg
from minigrad.nn import functional as F
from tests.ops.cases import CASES
from tests.ops.test_cases import compare, ours, theirs


class Held:
    """A form of keeping that no rule could use by mistake."""

    def __init__(self, tensor):
        assert not tensor.requires_grad
        self.numbers = tensor.numpy().tobytes(), tensor.dtype, tensor.shape

    def open(self):
        data, dtype, shape = self.numbers
        return mg.tensor(np.frombuffer(data, dtype).reshape(shape))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_operation_runs_backward_from_what_was_packed(case):
    arrays = case.arrays()
    with saved_tensors_hooks(Held, Held.open):
        compare(case, ours(case, arrays, np.float64), theirs(case, arrays, np.float64), np.float64)


@pytest.mark.parametrize("change", [2.0, 1.0])
def test_backward_uses_what_unpack_gives_as_in_torch(change):
    results = []
    for t in (mg, torch):
        x = t.tensor([1.0, -2.0, 3.0], requires_grad=True)
        w = t.tensor([0.5, 4.0, -1.0], requires_grad=True)
        with t.autograd.graph.saved_tensors_hooks(lambda saved: saved * change, lambda kept: kept):
            y = (x * w).exp().sum()
        y.backward()
        results.append((x.grad.tolist(), w.grad.tolist()))
    np.testing.assert_allclose(results[0], results[1], rtol=1e-6)


def test_second_derivatives():
    x = mg.randn(3, 5, dtype=mg.float64, requires_grad=True)

    def f(x):
        with saved_tensors_hooks(Held, Held.open):
            return F.layer_norm(x, (5,), x[0]).tanh() * x

    assert mg.autograd.gradcheck(f, x) and mg.autograd.gradgradcheck(f, x)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: F.layer_norm(x, (33,)), lambda x: F.gelu(x, approximate="tanh"),
        lambda x: F.scaled_dot_product_attention(x[None], x[None], x[None]), lambda x: F.cross_entropy(x, mg.arange(7)),
    ],
)  # fmt: skip
def test_what_a_fused_pass_keeps_is_packed_too(f):
    x = mg.randn(7, 33, dtype=mg.float64, requires_grad=True)
    g = mg.randn(*f(x).shape, dtype=mg.float64)
    (plain,) = mg.autograd.grad(f(x), x, g)
    for change, same in [(1.0, True), (0.5, False)]:
        with saved_tensors_hooks(lambda t: t * change if t.is_floating_point() else t, lambda t: t):  # noqa: B023
            y = f(x)
        assert np.allclose(mg.autograd.grad(y, x, g)[0].numpy(), plain.numpy(), rtol=1e-12) == same


def test_functions_of_the_user_are_packed_too():
    class Square(mg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            return g * 2 * ctx.saved_tensors[0]

    seen = []
    x = mg.tensor([3.0, -4.0], requires_grad=True)
    with saved_tensors_hooks(lambda t: seen.append(t.tolist()) or t * 10, lambda t: t):
        y = Square.apply(x)
    y.sum().backward()
    assert seen == [[3, -4]] and x.grad.tolist() == [60, -80]


def test_the_innermost_hooks_pack_and_only_inside():
    names = []
    x = mg.tensor([2.0], requires_grad=True)
    hooks = [saved_tensors_hooks(lambda t, k=k: names.append(k) or t, lambda t: t) for k in "ab"]
    with hooks[0]:
        y = x.exp()
        with hooks[1]:
            y = y.exp()
        y = y.exp()
    y.exp().sum().backward()
    assert names == ["a", "b", "a"]


def test_what_was_packed_may_be_overwritten():
    x = mg.tensor([2.0], requires_grad=True)
    y = x * 1
    with saved_tensors_hooks(Held, Held.open):
        z = y.square()
    with mg.no_grad():
        y.mul_(100)
    z.backward()
    assert x.grad.tolist() == [4]


def test_retain_graph_and_freeing():
    opened = []
    x = mg.tensor([2.0], requires_grad=True)
    with saved_tensors_hooks(Held, lambda held: opened.append(1) or held.open()):
        y = x.square()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [8] and len(opened) == 2
    with pytest.raises(RuntimeError, match="retain_graph"):
        y.backward()


def test_only_in_the_thread_that_asked():
    packed = []

    def other():
        mg.tensor([2.0], requires_grad=True).square()

    with saved_tensors_hooks(packed.append, lambda t: t):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert not packed


@pytest.mark.parametrize(
    "unpack, kind, message",
    [
        (lambda kept: kept.numpy(), TypeError, "unpack_hook must return a Tensor, got ndarray"),
        (lambda kept: kept[:1], RuntimeError, r"had shape \(2,\) and dtype float32, unpack_hook gave \(1,\) and float32"),
        (lambda kept: kept.double(), RuntimeError, "gave .* float64"),
    ],
)
def test_what_unpack_must_give(unpack, kind, message):
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    with saved_tensors_hooks(lambda t: t, unpack):
        y = x.square().sum()
    with pytest.raises(kind, match=message):
        y.backward()


def test_the_usual_call_and_the_general_one_record_the_same():
    x, y = mg.randn(3, 5, requires_grad=True), mg.randn(3, 5, requires_grad=True)
    g, found = mg.randn(3, 5), []
    assert "for " not in mg.mul.text and mg.mul.text.startswith("def mul(input, other, *more, **options):")
    for options in ({}, {"out": None}):  # `out` is none of its options, so this is nothing usual
        result = mg.mul(x, y, **options)
        result.backward(g)
        found.append((result.node.name, result.tolist(), x.grad.tolist(), y.grad.tolist()))
        x.grad = y.grad = None
    assert found[0] == found[1] == ("mul", (x * y).tolist(), (g * y).tolist(), (g * x).tolist())
