"""Mixed precision, against torch's on the CPU, and on the stand-in for a device."""

from __future__ import annotations

import copy
import importlib

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad.fast import use_fast_paths

from .cuda import standin

RNG = np.random.default_rng(4)
X, W, B = RNG.standard_normal((5, 4)), RNG.standard_normal((3, 4)), RNG.standard_normal(3)


def both(dtype=np.float32, **options):
    """The same arrays for both libraries."""
    for t in (mg, torch):
        yield t, [t.tensor(a.astype(dtype), requires_grad=True, **(options if t is mg else {})) for a in (X, W, B)]


CALLS = {
    "matmul": lambda t, x, w, b: x @ w.T,
    "linear": lambda t, x, w, b: t.nn.functional.linear(x, w, b),
    "softmax of a product": lambda t, x, w, b: (x @ w.T).softmax(-1),
    "log_softmax": lambda t, x, w, b: t.log_softmax(x @ w.T, 1),
    "layer_norm": lambda t, x, w, b: t.nn.functional.layer_norm(x @ w.T, (3,), b, b),
    "cross_entropy": lambda t, x, w, b: t.nn.functional.cross_entropy(x @ w.T, t.tensor([0, 2, 1, 1, 0])),
    "mse_loss": lambda t, x, w, b: t.nn.functional.mse_loss(x @ w.T, x[:, :3]),
    "mixed": lambda t, x, w, b: x @ w.T + b,
    "relu": lambda t, x, w, b: (x @ w.T).relu(),
    "elementwise": lambda t, x, w, b: x * x + 1,
    "attention": lambda t, x, w, b: t.nn.functional.scaled_dot_product_attention(x[None], w[None], w[None]),
    "conv1d": lambda t, x, w, b: t.nn.functional.conv1d(x[None], t.cat([w, w[:2]])[:, :, None].reshape(4, 5, 1)),
    "einsum": lambda t, x, w, b: t.einsum("ij,kj->ik", x, w),
}  # fmt: skip
FULL = {"softmax of a product", "log_softmax", "layer_norm"}  # torch lists them for CUDA, and for the CPU not


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("name", CALLS)
def test_autocast_agrees_with_torch(name: str, device: str) -> None:
    with standin.installed(), use_fast_paths(False):
        results = []
        weights = None
        for t, inputs in both(device=device):
            with t.autocast(device if t is mg else "cpu", dtype=t.float16):
                lib = t
                if t is mg and device == "cuda":
                    from .cuda.test_registry import LIBRARY as lib
                y = CALLS[name](lib, *inputs)
            weights = RNG.standard_normal(tuple(y.shape)) if weights is None else weights
            dtype = str(y.dtype).removeprefix("torch.")
            y.backward(t.tensor(weights.astype(dtype), **({"device": device} if t is mg else {})))
            results.append((y, [x.grad for x in inputs]))
        (mine, grads), (theirs, wanted) = results
        expected = "float32" if name in FULL else str(theirs.dtype).removeprefix("torch.")
        assert str(mine.dtype) == expected
        np.testing.assert_allclose(mine.detach().cpu().numpy(), theirs.detach().numpy(), rtol=4e-3, atol=4e-3)
        for a, b in zip(grads, wanted):
            assert (a is None) == (b is None)
            if a is not None:
                assert str(a.dtype) == "float32"
                np.testing.assert_allclose(a.cpu().numpy(), b.numpy(), rtol=1e-2, atol=2e-2)


def test_what_autocast_leaves_alone() -> None:
    x = mg.ones(2, 2)
    with mg.autocast("cpu"):
        assert (x @ x).dtype == mg.float16 and (x + x).dtype == mg.float32
        assert (x.double() @ x.double()).dtype == mg.float64
        assert mg.is_autocast_enabled("cpu") and not mg.is_autocast_enabled("cuda") and mg.get_autocast_dtype("cpu") == mg.float16
        with mg.autocast("cpu", enabled=False):
            assert (x @ x).dtype == mg.float32 and not mg.is_autocast_enabled("cpu")
        assert (x @ x).dtype == mg.float16
    assert (x @ x).dtype == mg.float32
    with mg.autocast("cuda"):
        assert (x @ x).dtype == mg.float32, "it is for tensors on another device"
    with mg.cuda.amp.autocast():
        assert mg.is_autocast_enabled()


def test_autocast_as_a_decorator() -> None:
    @mg.autocast("cpu")
    def product(x, depth=0):
        return product(x, 1) if not depth else x @ x

    assert product(mg.ones(2, 2)).dtype == mg.float16 and (mg.ones(2, 2) @ mg.ones(2, 2)).dtype == mg.float32


def test_a_parameter_is_cast_once(monkeypatch) -> None:
    module = importlib.import_module("minigrad.tensor")
    casts = []
    original = module.cast
    monkeypatch.setattr(module, "cast", lambda x, dtype: casts.append(tuple(x.shape)) or original(x, dtype=dtype))
    x, w = mg.tensor(X, dtype=mg.float32), mg.tensor(W.T, dtype=mg.float32, requires_grad=True)
    for cache, expected in ((True, 1), (False, 3)):
        casts.clear()
        with mg.autocast("cpu", cache_enabled=cache):
            y = x @ w + x @ w
            with mg.autocast("cpu", cache_enabled=cache):
                y = y + x @ w
        assert casts.count((4, 3)) == expected
    with mg.autocast("cpu"):
        before = (x @ w).sum()
        with mg.no_grad():
            w.mul_(0)
        assert (x @ w).sum() == 0 != before, "a cast of what was overwritten must not be used again"


@pytest.mark.parametrize("call, error", [
    (lambda: mg.autocast("tpu"), "autocast: device_type must be 'cpu' or 'cuda', got 'tpu'"),
    (lambda: mg.autocast("cpu", dtype="bfloat16"), "autocast: dtype must be float16, got bfloat16"),
])
def test_wrong_settings(call, error) -> None:
    with pytest.raises(RuntimeError, match=error):
        call()


# ------------------------------------------------------------------------------------------------------- GradScaler


def train(t, scaler_options, poison=(), clip=False):
    """A few steps of both libraries, with an infinite gradient in some; what the scaler and the weights became."""
    model = t.nn.Linear(4, 3)
    with t.no_grad():
        model.weight.copy_(t.tensor(W.astype(np.float32)))
        model.bias.copy_(t.tensor(B.astype(np.float32)))
    optimizer = t.optim.SGD(model.parameters(), lr=0.1)
    scaler = t.amp.GradScaler("cpu", **scaler_options)
    scales = []
    for step in range(6):
        optimizer.zero_grad()
        loss = (model(t.tensor(X.astype(np.float32))) ** 2).mean()
        scaler.scale(loss).backward()
        if step in poison:
            model.weight.grad[1, 2] = float("inf") if step % 2 else float("nan")
        if clip:
            scaler.unscale_(optimizer)
            t.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        scaler.step(optimizer)
        scaler.update()
        scales.append(scaler.get_scale())
    return scales, model.weight.detach().numpy(), scaler.state_dict()


@pytest.mark.parametrize("options", [{}, {"init_scale": 8.0, "growth_interval": 2, "growth_factor": 3.0, "backoff_factor": 0.25}, {"enabled": False}], ids=["usual", "other", "off"])
@pytest.mark.parametrize("poison, clip", [((), False), ((1, 4), False), ((2,), True), ((), True)])
def test_grad_scaler_agrees_with_torch(options, poison, clip) -> None:
    if options.get("enabled") is False and poison:
        return
    mine, theirs = train(mg, options, poison, clip), train(torch, options, poison, clip)
    assert mine[0] == theirs[0] and mine[2] == theirs[2]
    np.testing.assert_allclose(mine[1], theirs[1], rtol=1e-5)
    assert np.isfinite(mine[1]).all()


def test_grad_scaler_state() -> None:
    a, b = mg.amp.GradScaler("cpu", init_scale=4.0), mg.amp.GradScaler("cpu")
    b.load_state_dict(copy.deepcopy(a.state_dict()))
    assert b.get_scale() == 4.0 and b.is_enabled()
    b.update(new_scale=16.0)
    assert b.get_scale() == 16.0 and [x.item() for x in b.scale([mg.tensor(1.0), mg.tensor(2.0)])] == [16.0, 32.0]
    with pytest.raises(RuntimeError, match="load_state_dict: the state is empty"):
        b.load_state_dict({})


def test_wrong_order_of_calls() -> None:
    w = mg.tensor([1.0], requires_grad=True)
    optimizer, scaler = mg.optim.SGD([w], lr=0.1), mg.amp.GradScaler("cpu")
    with pytest.raises(AssertionError, match="update: no gradients were checked"):
        scaler.update()
    scaler.scale(w.sum()).backward()
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match=r"unscale_\(\) was called for this optimizer already"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="step: called already"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="closures are not supported"):
        scaler.step(optimizer, closure=lambda: None)
    scaler.update()
    h = mg.tensor([1.0], dtype=mg.float16, requires_grad=True)
    h.sum().backward()
    with pytest.raises(ValueError, match="unscale_: found gradients in float16"):
        scaler.unscale_(mg.optim.SGD([h], lr=0.1))


def test_without_a_device_the_scaler_says_so() -> None:
    if mg.cuda.is_available():
        pytest.skip("there is one")
    with pytest.warns(UserWarning, match="GradScaler: does nothing, since device 'cuda'"):
        scaler = mg.amp.GradScaler()
    assert not scaler.is_enabled() and scaler.get_scale() == 1.0 and scaler.state_dict() == {}


def test_small_gradients_survive_and_the_step_waits_once() -> None:
    with standin.installed():
        from .cuda.standin.runtime import STATE

        grads = []
        for scale in (1.0, 2.0**16):
            model = mg.nn.Linear(4, 3, bias=False).cuda()
            with mg.no_grad():
                model.weight.copy_(mg.tensor(W, dtype=mg.float32, device="cuda"))
            optimizer, scaler = mg.optim.SGD(model.parameters(), lr=0.1), mg.cuda.amp.GradScaler(init_scale=scale)
            with mg.cuda.amp.autocast():
                loss = (model(mg.tensor(X, dtype=mg.float32, device="cuda")).float() * 1e-8).sum()
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            STATE.waits.clear()
            scaler.step(optimizer)
            scaler.update()
            assert sum(STATE.waits.values()) == 1, STATE.waits
            grads.append(model.weight.grad.cpu().numpy())
        assert not grads[0].any(), "1e-8 is 0 in float16"
        np.testing.assert_allclose(grads[1], 1e-8 * np.tile(X.sum(0), (3, 1)), rtol=2e-3, atol=1e-10)
