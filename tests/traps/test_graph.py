"""The graph and accumulation: mistakes that other engines made, each with a test (see also the docstrings)."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import time
import weakref

import numpy as np
import pytest
import torch

import minigrad as mg


def leaf(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return mg.tensor(rng.standard_normal(shape), requires_grad=True)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x + x,
        lambda x: x * x,
        lambda x: (x.exp() * x.tanh()) + x.exp(),  # a diamond
        lambda x: x @ x.T @ x,
        lambda x: x.sum(0) * x,
    ],
)
def test_a_value_used_twice_gets_both_gradients(f):
    x = leaf(3, 4)
    y = torch.tensor(x.detach().numpy().copy(), requires_grad=True)
    g = np.random.default_rng(1).standard_normal(f(x).shape)
    f(x).backward(mg.tensor(g))
    f(y).backward(torch.tensor(g))
    np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-12)


def test_reuse_does_not_take_exponential_time():
    x = leaf(2)
    y = x
    for _ in range(60):  # 2^60 paths, 60 nodes
        y = y + y
    start = time.perf_counter()
    y.backward(mg.tensor([1.0, -2.0], dtype=mg.float64))
    assert time.perf_counter() - start < 5  # walking every path would take longer than the universe is old
    assert x.grad.tolist() == [2.0**60, -(2.0**61)]


def test_second_backward_without_retain_graph_says_so():
    x = leaf(3)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        y.backward()


def test_second_backward_with_retain_graph_accumulates_in_leaves_only():
    x = leaf(3)
    h = x * x
    h.retain_grad()
    y = (h * h).sum()
    y.backward(retain_graph=True)
    first, inner = x.grad.numpy().copy(), h.grad.numpy().copy()
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * first)
    np.testing.assert_allclose(h.grad.numpy(), inner)  # not 2 * inner: nothing stale flowed through


def test_only_leaves_collect_gradients():
    x = leaf(3)
    h = x * 2
    (h * h).sum().backward()
    assert h.grad is None and x.grad is not None


@pytest.mark.parametrize("cut", ["detach", "no_grad", "requires_grad=False"])
def test_no_gradient_flows_through_a_constant(cut):
    x, w = leaf(3), leaf(3, seed=1)
    if cut == "detach":
        h = (x * 2).detach()
    elif cut == "no_grad":
        with mg.no_grad():
            h = x * 2
    else:
        h = x.requires_grad_(False) * 2
    (h * w).sum().backward()
    assert x.grad is None
    np.testing.assert_allclose(w.grad.numpy(), h.numpy())


def test_backward_of_a_constant_says_why_it_cannot():
    with mg.no_grad():
        y = leaf(3).sum()
    with pytest.raises(RuntimeError, match="does not require grad"):
        y.backward()


def test_backward_of_many_numbers_wants_a_starting_value():
    with pytest.raises(RuntimeError, match=r"shape \(3,\).*\.sum\(\)"):
        (leaf(3) * 2).backward()
    with pytest.raises(RuntimeError, match=r"expected a gradient of the output's shape \(3,\), got \(2,\)"):
        (leaf(3) * 2).backward(mg.ones(2))


def test_a_chain_of_100_000_operations():
    x = leaf(2)
    y = x
    for _ in range(100_000):
        y = y * 1.00001
    repr(y)
    weak = weakref.ref(y.node)
    y.backward(mg.tensor([1.0, 3.0], dtype=mg.float64))
    np.testing.assert_allclose(x.grad.numpy(), np.array([1.0, 3.0]) * 1.00001**100_000, rtol=1e-9)
    del y
    assert weak() is None  # freed, and without a RecursionError


def test_a_long_chain_of_second_derivatives():
    x = mg.tensor(1.0, dtype=mg.float64, requires_grad=True)
    y = x
    for _ in range(3000):
        y = y * 1.001
    (slope,) = mg.autograd.grad(y * y, x, create_graph=True)
    (curve,) = mg.autograd.grad(slope, x)
    assert curve.item() == pytest.approx(2 * 1.001**6000)


def test_deepcopy_and_pickle_of_a_leaf_with_a_long_history():
    x = leaf(3)
    for _ in range(5000):
        (x * x).sum().backward()
    for y in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert y is not x and y.requires_grad and y.is_leaf
        np.testing.assert_array_equal(y.detach().numpy(), x.detach().numpy())
        y.detach().numpy()[0] = 99
        assert x.detach().numpy()[0] != 99
    with pytest.raises(RuntimeError, match="leaves"):
        copy.deepcopy(x * 2)


def test_a_wide_graph_takes_linear_time():
    def seconds(n):
        x = leaf(1)
        total = x * 0
        for _ in range(n):
            total = total + x * x
        start = time.perf_counter()
        total.backward(mg.ones(1, dtype=mg.float64))
        return time.perf_counter() - start

    small, large = min(seconds(1000) for _ in range(3)), min(seconds(8000) for _ in range(3))
    assert large < 8 * small * 4  # quadratic would be 64 times as long


def alive(make):
    """Whether what make() returns is alive after its last name is gone, without the garbage collector's help."""
    gc.collect()
    gc.disable()
    try:
        things = make()
        weak = [weakref.ref(thing) for thing in things]
        del things
        return any(w() is not None for w in weak)
    finally:
        gc.enable()


def forward():
    x = leaf(3)
    y = (x.tanh() * x).reshape(3, 1)[0]
    return [x, y, x.node, y.node]


def backward():
    x = leaf(3)
    y = (x.tanh() * x).sum()
    y.backward()
    return [x, y, y.node, x.grad]


def create_graph():
    x = leaf(3)
    y = (x.tanh() * x).sum()
    y.backward(create_graph=True)
    (x.grad * x.grad).sum().backward()
    return [x, y, y.node, x.grad]


def hooks():
    x = leaf(3)
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: g * 2)
    y.sum().backward()
    return [x, y, y.node, y.grad]


def written():
    x = leaf(3)
    y = x * 2
    view = y[1:]
    view.mul_(3)
    y.sum().backward()
    return [x, y, view, y.node, view.node]


def failed():
    x = leaf(3)
    y = x * 2
    y.register_hook(lambda g: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        y.sum().backward()
    return [x, y, y.node]


@pytest.mark.parametrize("make", [forward, backward, create_graph, hooks, written, failed])
def test_memory_goes_with_the_last_name(make):
    assert not alive(make)


def test_rules_do_not_change_the_gradient_they_get():
    from tests.ops.cases import CASES
    from tests.ops.test_cases import ours

    for case in CASES:
        y = case.call(mg, *ours(case, case.arrays(), np.float64))
        g = mg.randn(y.shape, dtype=y.dtype)
        g.array.flags.writeable = False  # a rule that writes to it fails
        y.backward(g)


def test_an_exception_restores_the_grad_mode():
    x = leaf(3)
    y = x * 2
    y.register_hook(lambda g: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        y.sum().backward()
    assert mg.is_grad_enabled()
    with pytest.raises(ZeroDivisionError), mg.no_grad():
        raise ZeroDivisionError
    assert mg.is_grad_enabled()
    with np.errstate(divide="raise"):  # the user's own NumPy settings come back too
        with pytest.raises(RuntimeError):
            x @ x.reshape(1, 3)
        with pytest.raises(FloatingPointError):
            np.ones(1) / np.zeros(1)


def test_no_grad_stays_in_its_thread():
    seen = {}
    entered, checked = threading.Event(), threading.Event()

    def other():
        with mg.no_grad():
            entered.set()
            checked.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    entered.wait(10)
    seen["here"] = mg.is_grad_enabled()
    checked.set()
    thread.join()
    assert seen["here"]
    mg.set_grad_enabled(False)
    try:
        thread = threading.Thread(target=lambda: seen.update(there=mg.is_grad_enabled()))
        thread.start()
        thread.join()
    finally:
        mg.set_grad_enabled(True)
    assert seen["there"]


def test_two_threads_differentiate_at_once():
    w = leaf(4)
    results = {}

    def work(k):
        total = 0
        for _ in range(200):
            (g,) = mg.autograd.grad(((w * k) ** 2).sum(), w)
            total = total + g
        results[k] = total.numpy()

    threads = [threading.Thread(target=work, args=(k,)) for k in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in (1, 2, 3):
        np.testing.assert_allclose(results[k], 200 * 2 * k * k * w.detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("mode", ["decorator", "bare decorator", "nested"])
def test_no_grad_in_all_its_forms(mode):
    x = leaf(2)
    if mode == "nested":
        with mg.no_grad():
            with mg.enable_grad():
                assert (x * 2).requires_grad
            assert not (x * 2).requires_grad
        return
    decorate = mg.no_grad() if mode == "decorator" else mg.no_grad

    @decorate
    def f(n):
        assert not (x * 2).requires_grad
        return f(n - 1) if n else "done"

    assert f(3) == "done" and mg.is_grad_enabled()


@pytest.mark.parametrize("mode", [True, False])
def test_set_grad_enabled_as_a_decorator_changes_nothing_outside_the_function(mode):
    before = mg.is_grad_enabled()

    @mg.set_grad_enabled(mode)
    def f():
        return mg.is_grad_enabled()

    assert mg.is_grad_enabled() is before
    with mg.set_grad_enabled(not mode):
        assert f() is mode and mg.is_grad_enabled() is not mode
    assert mg.is_grad_enabled() is before


def test_grad_of_what_is_not_connected():
    x, other = leaf(3), leaf(3, seed=1)
    y = (x * 2).sum()
    with pytest.raises(RuntimeError, match="do not depend on input 1.*allow_unused=True"):
        mg.autograd.grad(y, [x, other], retain_graph=True)
    gx, go = mg.autograd.grad(y, [x, other], allow_unused=True, retain_graph=True)
    assert gx.tolist() == [2, 2, 2] and go is None
    assert mg.autograd.grad(y, [x, other], materialize_grads=True)[1].tolist() == [0, 0, 0]


def test_the_output_itself_can_be_the_input():
    x = leaf()
    assert mg.autograd.grad(x, x)[0].item() == 1
    y = x * 3
    gy, gx = mg.autograd.grad(y, [y, x])
    assert gy.item() == 1 and gx.item() == 3


def test_grad_with_respect_to_an_inner_value():
    x = leaf(3)
    h = x.exp()
    y = (h * h).sum()
    gh, gx = mg.autograd.grad(y, [h, x])
    np.testing.assert_allclose(gh.numpy(), 2 * h.detach().numpy())
    np.testing.assert_allclose(gx.numpy(), 2 * h.detach().numpy() ** 2)
    assert x.grad is None


def test_grad_computes_only_what_was_asked_for():
    ran = []
    x, w = leaf(3), leaf(3, seed=1)
    h = w.exp()
    h.register_hook(lambda g: ran.append(1))
    mg.autograd.grad((x * h).sum(), x)
    assert not ran


def test_create_graph_false_keeps_no_graph():
    x = leaf(3)
    (g,) = mg.autograd.grad((x**3).sum(), x)
    assert g.node is None


@pytest.mark.parametrize("f, third", [(mg.tanh, -0.5652092882597699), (mg.exp, np.exp(0.5)), (lambda x: x**3, 6.0)])
def test_third_derivatives(f, third):
    x = mg.tensor(0.5, dtype=mg.float64, requires_grad=True)
    y = f(x)
    for _ in range(3):
        (y,) = mg.autograd.grad(y, x, create_graph=True)
    assert y.item() == pytest.approx(third, rel=1e-12)


def test_backward_with_create_graph_can_be_differentiated_from_grad():
    x = leaf(3)
    (x**3).sum().backward(create_graph=True)
    g, x.grad = x.grad, None
    (g * mg.tensor([1.0, 2.0, 3.0], dtype=mg.float64)).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 6 * x.detach().numpy() * [1, 2, 3], rtol=1e-12)


def test_hooks_change_and_observe():
    x = leaf(3)
    h = x * 2
    seen = []
    handle = h.register_hook(lambda g: seen.append(g.tolist()))
    h.register_hook(lambda g: g * 10)
    h.sum().backward(retain_graph=True)
    assert seen == [[1, 1, 1]] and x.grad.tolist() == [20, 20, 20]
    handle.remove()
    h.sum().backward()
    assert len(seen) == 1
    h.register_hook(lambda g: mg.ones(7))
    with pytest.raises(RuntimeError, match=r"expected None or a Tensor of shape \(3,\)"):
        (x * 1 + h).sum().backward()


def test_training_for_2000_steps_does_not_grow():
    import tracemalloc

    x = mg.randn(16, 4)
    w1, w2 = mg.randn(4, 8, requires_grad=True), mg.randn(8, 1, requires_grad=True)

    def steps(n):
        for _ in range(n):
            loss = ((x @ w1).tanh() @ w2).square().mean()
            loss.backward()
            with mg.no_grad():
                for w in (w1, w2):
                    w -= 0.01 * w.grad
                    w.grad = None

    gc.disable()
    try:
        tracemalloc.start()
        steps(2000)  # until Python's own free lists are full
        before = tracemalloc.get_traced_memory()[0]
        steps(2000)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
        gc.enable()
    assert grown < 2000 * 16  # the smallest object takes 16 bytes: not one per step


def test_everything_is_reproducible():
    def run():
        mg.manual_seed(3)
        x, w = mg.randn(5, 3), mg.rand(3, 2, requires_grad=True)
        y = mg.nn.functional.dropout((x @ w).relu(), 0.5).sum()
        y.backward()
        return y.item(), w.grad.tolist(), mg.randperm(5).tolist(), mg.randint(9, (4,)).tolist(), mg.normal(0, 1, (2,)).tolist()

    assert run() == run()
