"""Hooks on modules: what they see and what they may change, beside PyTorch's."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch

import minigrad as mg

W = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])
X, Y = np.array([[1.0, -2.0, 0.5], [0.3, 0.7, -1.1]]), np.array([[0.2, -0.4], [1.2, 0.9]])


def twins(run) -> None:
    """Everything a function of a library returns is the same from both."""
    for ours, theirs in zip(run(mg), run(torch), strict=True):
        if theirs is None:
            assert ours is None
        else:
            np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-12)


def two_in_two_out(t):
    class Both(t.nn.Module):
        def __init__(self):
            super().__init__()
            self.w = t.nn.Parameter(t.tensor(W))

        def forward(self, x, y, factor=2):
            h = x @ self.w.T
            return h * y * factor, (h + y).tanh()

    return Both()


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize("needs", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("replaces", [False, True])
def test_backward_hooks_see_and_replace_gradients_as_in_torch(needs, replaces):
    def run(t):
        seen = []
        model = two_in_two_out(t)
        x, y = (t.tensor(a).requires_grad_(need) for a, need in zip((X, Y), needs))

        def before(module, grad_output):
            seen.extend(grad_output)
            return tuple(g * 3 for g in grad_output) if replaces else None

        def after(module, grad_input, grad_output):
            seen.extend([*grad_input, *grad_output])
            return tuple(None if g is None else g - 1 for g in grad_input) if replaces and any(needs) else None

        model.register_full_backward_pre_hook(before)
        model.register_full_backward_hook(after)
        a, b = model(x * 1, y, 2)
        (a.exp().sum() + (b * t.tensor(Y)).sum()).backward()
        return [*seen, x.grad, y.grad, model.w.grad]

    twins(run)


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
def test_backward_hooks_inside_a_network_and_their_order():
    def run(t):
        seen = []
        layers = [t.nn.Linear(3, 2, dtype=t.float64), t.nn.Tanh(), t.nn.Linear(2, 1, dtype=t.float64)]
        model = t.nn.Sequential(*layers)
        model.load_state_dict(
            {"0.weight": t.tensor(W), "0.bias": t.tensor(W[:, 0]), "2.weight": t.tensor(W[:1, :2]), "2.bias": t.tensor(W[0, :1])}
        )
        for i, layer in enumerate([*layers, model]):
            layer.register_full_backward_hook(lambda m, gi, go, i=i: seen.extend([t.tensor(float(i)), *gi, *go]))
        layers[1].register_full_backward_hook(lambda m, gi, go: seen.append(t.tensor(77.0)), prepend=True)
        model(t.tensor(X)).square().mean().backward()
        return [*seen, *(p.grad for p in model.parameters())]

    twins(run)


def test_second_derivatives_pass_through_backward_hooks():
    def run(t):
        layer = t.nn.Tanh()
        layer.register_full_backward_hook(lambda m, gi, go: (gi[0] * 2,))
        x = t.tensor(X, requires_grad=True)
        (slope,) = t.autograd.grad((layer(x) * t.tensor(X[::-1].copy())).sum(), x, create_graph=True)
        return [slope, *t.autograd.grad((slope * t.tensor(X)).sum(), x)]

    twins(run)


def test_a_handle_takes_a_backward_hook_away():
    layer, calls = mg.nn.Tanh(), []
    x = mg.tensor([1.0], requires_grad=True)
    handle = layer.register_full_backward_hook(lambda *_: calls.append(1))
    layer(x).backward()
    handle.remove()
    layer(x).backward()
    assert calls == [1]


def test_no_cycles():
    gc.disable()
    try:
        layer = mg.nn.Linear(3, 2)
        layer.register_full_backward_hook(lambda *_: None)
        y = layer(mg.randn(4, 3, requires_grad=True))
        y.sum().backward()
        gone = weakref.ref(y)
        del y
        assert gone() is None
    finally:
        gc.enable()


def test_what_hooks_may_not_return():
    layer = mg.nn.Tanh()
    x = mg.tensor([1.0], requires_grad=True)
    with layer.register_full_backward_hook(lambda m, gi, go: (gi[0], gi[0])), pytest.raises(RuntimeError, match="Tanh: .* 1 gradients, got 2"):
        layer(x).backward()

    class Lists(mg.nn.Module):
        def forward(self, x):
            return [x]

    lists = Lists()
    lists.register_full_backward_hook(print)
    with pytest.raises(TypeError, match="Lists: .* a Tensor or a tuple of tensors, got list"):
        lists(x)


@pytest.mark.parametrize("kind", ["register_forward_pre_hook", "register_forward_hook"])
def test_prepend(kind):
    def run(t):
        layer, order = t.nn.Identity(), []
        for i, first in enumerate([False, False, True, False]):
            getattr(layer, kind)(lambda *_, i=i: order.append(t.tensor(i)), prepend=first)
        layer(t.tensor([1.0]))
        return order

    twins(run)
