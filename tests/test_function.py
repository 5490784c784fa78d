"""Functions with a backward of their own: the same class in both engines, with first and second derivatives."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad.autograd import Function, gradcheck, gradgradcheck
from minigrad.function import once_differentiable

rng = np.random.default_rng(0)
A, B = rng.standard_normal((3, 4)), rng.standard_normal(4)


def cube(t):
    class Cube(t.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor):
            ctx.save_for_backward(x)
            ctx.factor = factor
            return x * x * x * factor

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 3 * ctx.factor * x * x * g, None

    return lambda x, y: Cube.apply(x, 2.5) + y


def saves_its_result(t):
    class Exp(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(y, None)
            return y

        @staticmethod
        def backward(ctx, g):
            y, nothing = ctx.saved_tensors
            assert nothing is None
            return g * y

    return lambda x, y: Exp.apply(x * y) * x


def several(t):
    class Several(t.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            a, b = x * y, (y * y).sum()
            ctx.save_for_backward(x, y, a)
            return a, b

        @staticmethod
        def backward(ctx, ga, gb):
            x, y, a = ctx.saved_tensors
            gy = (ga * x).sum(0) + 2 * gb * y
            return ga * a / x, gy

    def use(x, y):
        a, b = Several.apply(x, y)
        return a * a * b

    return use


def one_of_several_is_used(t):
    return lambda x, y: several(t)(x, y).sum() * 0 + x.sum() * y.sum()


def constant_result(t):
    class Biggest(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            place = x.argmax(0)
            rest = x * 0
            ctx.mark_non_differentiable(place, rest)
            ctx.save_for_backward(x)
            return x * x, place, rest

        @staticmethod
        def backward(ctx, g, unused, zero):
            assert not zero.any() and zero.shape == g.shape
            return 2 * g * ctx.saved_tensors[0]

    def use(x, y):
        value, place, rest = Biggest.apply(x)
        assert not rest.requires_grad and not place.requires_grad and value.requires_grad
        return value * y * (place + 1)

    return use


def with_setup_context(t):
    class Product(t.autograd.Function):
        @staticmethod
        def forward(x, y):
            return x * y

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            return (g * y if ctx.needs_input_grad[0] else None), ((g * x).sum(0) if ctx.needs_input_grad[1] else None)

    return Product.apply


def straight_through(t):
    class Round(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.round()

        @staticmethod
        def backward(ctx, g):
            return g

    return lambda x, y: Round.apply(x * 3) * y * x


def two_dtypes(t):
    class Both(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.float() * 2, x * x

        @staticmethod
        def backward(ctx, low, high):
            assert low.dtype == t.float32 and high.dtype == t.float64
            return low.double() * 2 + high * 2 * ctx.saved_tensors[0]

    def use(x, y):
        low, high = Both.apply(x)
        return low.double() * y + high * x

    return use


def its_argument(t):
    class Same(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 3

    return lambda x, y: Same.apply(x * y) * y


MAKERS = [
    cube, saves_its_result, several, one_of_several_is_used, constant_result, with_setup_context, straight_through,
    two_dtypes, its_argument,
]  # fmt: skip


def both(maker, dtype="float64"):
    """Result and first and second derivatives in both engines."""
    rows = []
    for t in (mg, torch):
        x, y = (t.tensor(a.astype(dtype), requires_grad=True) for a in (A, B))
        out = maker(t)(x, y)
        seed = t.tensor(np.random.default_rng(3).standard_normal(tuple(out.shape)))
        first = t.autograd.grad(out, [x, y], seed, retain_graph=True)
        recorded = t.autograd.grad(out, [x, y], seed, create_graph=True)
        weights = [t.tensor(np.random.default_rng(4).standard_normal(g.shape)) for g in recorded]
        total = sum((g * w).sum() for g, w in zip(recorded, weights)) + (x * y * 0).sum()
        second = t.autograd.grad(total, [x, y])
        rows.append([z.detach().numpy() for z in (out, *first, *recorded, *second)])
    return rows


@pytest.mark.parametrize("maker", MAKERS)
def test_as_torch(maker):
    ours, theirs = both(maker)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6 if maker is two_dtypes else 1e-11, atol=1e-12)
    np.testing.assert_allclose(ours[1], ours[3], rtol=1e-12)


@pytest.mark.parametrize("maker", [cube, saves_its_result, several, with_setup_context])
def test_finite_differences(maker):
    inputs = [mg.tensor(a, requires_grad=True) for a in (A, B)]
    assert gradcheck(maker(mg), inputs) and gradgradcheck(maker(mg), inputs)


def test_backward_into_grad_twice():
    x = mg.tensor(A, requires_grad=True)
    y = several(mg)(x, mg.tensor(B, requires_grad=True))
    y.sum().backward(retain_graph=True)
    first = x.grad.numpy().copy()
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * first)
    with pytest.raises(RuntimeError, match="already differentiated"):
        y.sum().backward()


def test_needs_input_grad_and_arguments_without_graph():
    seen = []

    class Add(Function):
        @staticmethod
        def forward(ctx, x, y, z):
            seen.append(ctx.needs_input_grad)
            assert not mg.is_grad_enabled() or not (x + y).requires_grad
            return x + y

        @staticmethod
        def backward(ctx, g):
            return g, g, None

    x = mg.tensor(A, requires_grad=True)
    assert Add.apply(x, mg.tensor(B), "z").requires_grad and seen == [(True, False, False)]
    assert not Add.apply(x.detach(), mg.tensor(B), 1).requires_grad
    with mg.no_grad():
        assert not Add.apply(x, x, None).requires_grad


def below(tensors):
    """All nodes that tensors were computed from."""
    seen, stack = set(), [x.node for x in tensors]
    while stack:
        node = stack.pop()
        if node is not None and node not in seen:
            seen.add(node)
            stack += node.parents
    return [weakref.ref(node) for node in seen if node.plan is not None]


@pytest.mark.parametrize("maker", [saves_its_result, several, constant_result])
def test_nothing_keeps_the_results_alive(maker):
    """No reference cycles: memory goes with the last name, without the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        x, y = (mg.tensor(a, requires_grad=True) for a in (A, B))
        out = maker(mg)(x, y)
        grads = mg.autograd.grad(out.sum(), [x, y], create_graph=True)
        watched = below([out, *grads])
        assert len(watched) > 5
        del out, grads
        assert [w() for w in watched if w() is not None] == []
    finally:
        gc.enable()


def test_what_was_overwritten_is_noticed():
    x = mg.tensor(A, requires_grad=True)
    h = x * 1
    y = cube(mg)(h, 0)
    h.mul_(2)
    with pytest.raises(RuntimeError, match="Cube needs its argument 'x' as it was in the forward pass"):
        y.sum().backward()
    y = make(forward=lambda ctx, x: [y := x.exp(), ctx.save_for_backward(y)][0]).apply(x)
    y.add_(1)
    with pytest.raises(RuntimeError, match="Mine needs its result as it was in the forward pass"):
        y.sum().backward()


def test_once_differentiable():
    class Square(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            assert not x.detach().requires_grad
            return mg.tensor(g.numpy() * 2 * x.detach().numpy())

    x = mg.tensor(A, requires_grad=True)
    Square.apply(x).backward(mg.tensor(A))
    np.testing.assert_allclose(x.grad.numpy(), 2 * A * A)
    (g,) = mg.autograd.grad(Square.apply(x).sum(), x, create_graph=True)
    np.testing.assert_allclose(g.detach().numpy(), 2 * A)
    with pytest.raises(RuntimeError, match=r"once_differentiable and has no derivative"):
        g.sum().backward()


def make(forward=None, backward=None):
    methods = {"forward": forward or (lambda ctx, x, y: x * y), "backward": backward or (lambda ctx, g: (g, g))}
    return type("Mine", (Function,), {name: staticmethod(f) for name, f in methods.items()})


def run(**methods):
    make(**methods).apply(mg.ones(2, requires_grad=True), mg.ones(2, requires_grad=True)).backward(mg.ones(2))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: run(backward=lambda ctx, g: g), RuntimeError, "Mine: backward must return one gradient .* 2 arguments .* got 1"),
        (lambda: run(backward=lambda ctx, g: (g, g, g)), RuntimeError, "2 arguments of forward, got 3"),
        (lambda: run(backward=lambda ctx, g: (g, 1.0)), TypeError, "must return tensors or None, got float for 'y'"),
        (lambda: run(backward=lambda ctx, g: (mg.ones(3), g)), RuntimeError, r"backward of Mine: the rule of 'x' gave shape \(3,\)"),
        (lambda: run(forward=lambda ctx, x, y: 3), TypeError, "Mine: forward must return a Tensor or several, got int"),
        (lambda: run(forward=lambda ctx, x, y: ctx.save_for_backward(1)), TypeError, "expected tensors or None, got int"),
        (lambda: run(forward=lambda ctx, x, y: ctx.mark_dirty(x)), NotImplementedError, "must not write to its arguments"),
        (lambda: run(forward=lambda ctx, x, y: ctx.set_materialize_grads(False)), NotImplementedError, "always tensors"),
        (lambda: type("Mine", (Function,), {}).apply(mg.ones(2)), NotImplementedError, "define forward"),
    ],
)
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call()
