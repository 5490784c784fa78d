"""Devices, transfers, streams, memory: what is around the operations."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn
from minigrad.fast import use_fast_paths
from minigrad.utils.data import DataLoader, TensorDataset

from . import standin
from .standin.runtime import STATE

RNG = np.random.default_rng(2)


def test_to_and_from_the_device(cupy) -> None:
    a = RNG.standard_normal((3, 4))
    x = mg.tensor(a)
    y = x.cuda()
    assert y.is_cuda and str(y.device) == "cuda:0" and type(y.array) is cupy.ndarray and y.data_ptr() == y.array.data.ptr
    assert y.cuda() is y and y.to("cuda") is y and y.to(0) is y and y.to("cuda:0") is y and x.cpu() is x
    assert (y.cpu().numpy() == a).all() and y.tolist() == a.tolist() and y[1, 2].item() == a[1, 2]
    assert y.to("cpu", mg.float32).dtype == mg.float32 and x.to(y).is_cuda
    with pytest.raises(TypeError, match=r"numpy: this tensor is on a CUDA device; use tensor.cpu\(\).numpy\(\)"):
        y.numpy()
    assert (y.numpy(force=True) == a).all()
    with pytest.raises(RuntimeError, match="device 'cuda:1': only 1 CUDA devices are there"):
        x.to("cuda:1")
    assert repr(mg.tensor([1.5], device="cuda")) == "tensor([1.5000], device='cuda:0')"


def test_gradients_come_back_to_where_the_leaf_is(cupy) -> None:
    x = mg.tensor(RNG.standard_normal((2, 3)), requires_grad=True)
    w = mg.tensor(RNG.standard_normal((3, 2)), device="cuda", requires_grad=True)
    g = RNG.standard_normal((2, 2))
    (x.cuda() @ w).cpu().backward(mg.tensor(g))
    np.testing.assert_allclose(x.grad.numpy(), g @ w.detach().cpu().numpy().T)
    np.testing.assert_allclose(w.grad.cpu().numpy(), x.detach().numpy().T @ g)
    assert w.grad.is_cuda and not x.grad.is_cuda


def test_mixing_devices_is_refused_in_our_words(cupy) -> None:
    x, y = mg.ones(3), mg.ones(3, device="cuda")
    for call in (lambda: x + y, lambda: y * x, lambda: mg.where(y > 0, x, y), lambda: mg.cat([x, y])):
        with pytest.raises(RuntimeError, match="expected all tensors on one device, got .*; move them with .to"):
            call()
    with pytest.raises(RuntimeError, match="setitem: the tensor is on cuda:0, the value on cpu"):
        y[:] = x
    with pytest.raises(RuntimeError, match="expected all tensors on one device"):
        y + np.ones(3)
    assert (y + x.sum().item()).is_cuda and (y * np.float32(2)).tolist() == [2, 2, 2]


@use_fast_paths(False)  # test_training.py has the kernels
def test_nothing_waits_but_what_must(cupy) -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.LayerNorm(8), nn.Dropout(0.1), nn.Linear(8, 3)).cuda()
    optimizer = mg.optim.AdamW(model.parameters(), lr=0.1)
    inputs, targets = mg.randn(5, 4, device="cuda"), mg.tensor([0, 2, 1, 1, 0], device="cuda")
    STATE.waits.clear()
    STATE.copied = 0
    for _ in range(2):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    assert not STATE.waits and STATE.copied < 100, (STATE.waits, STATE.copied)  # a few numbers may go along, no arrays
    loss.item()
    assert dict(STATE.waits) == {"item": 1}


def test_pinned_memory(cupy) -> None:
    a = RNG.standard_normal((3, 4))
    x = mg.tensor(a)
    p = x.pin_memory()
    assert p.is_pinned() and not x.is_pinned() and p.pin_memory() is p and (p.numpy() == a).all()
    assert p[1:].is_pinned() and not (p + 1).is_pinned()
    with pytest.raises(RuntimeError, match="pin_memory: only tensors on the CPU can be pinned, this one is on cuda:0"):
        x.cuda().pin_memory()
    STATE.waits.clear()
    y = p.to("cuda", non_blocking=True)
    assert not STATE.waits, "an asynchronous copy must not wait"
    del p
    gc.collect()  # the memory may not be given away while the device still reads it
    assert (y.cpu().numpy() == a).all()
    STATE.waits.clear()
    y = x.pin_memory().cuda()
    assert STATE.waits["asarray"] == 1, "without non_blocking the host may write to pinned memory at once: so it waits"
    x.cuda()
    assert STATE.waits["asarray"] == 1, "other memory was copied away by then"


def test_to_the_host_without_waiting(cupy) -> None:
    y = mg.tensor([1.0, 2.0], device="cuda")
    STATE.waits.clear()
    x = y.to("cpu", non_blocking=True)
    assert not STATE.waits and np.isnan(x.numpy()).all(), "the numbers may come at any time until the stream is synchronized"
    mg.cuda.synchronize()
    assert x.tolist() == [1, 2] and x.is_pinned()


def test_data_loader_pins_batches(cupy) -> None:
    data = TensorDataset(mg.arange(5).float(), mg.arange(5))
    for x, y in DataLoader(data, batch_size=2, pin_memory=True):
        assert x.is_pinned() and y.is_pinned() and x.dtype == mg.float32
    assert not next(iter(DataLoader(data)))[0].is_pinned()
    collated = DataLoader([{"a": 1.0, "b": "text"}, {"a": 2.0, "b": "word"}], batch_size=2, pin_memory=True)
    batch = next(iter(collated))
    assert batch["a"].is_pinned() and batch["b"] == ["text", "word"]


def test_without_a_device_pinning_has_no_effect() -> None:
    if mg.cuda.is_available():
        pytest.skip("there is a CUDA device here, and this is about machines without one")
    assert not next(iter(DataLoader(mg.arange(3), pin_memory=True))).is_pinned()


def test_memory_is_counted_and_comes_back(cupy) -> None:
    gc.collect()
    before = mg.cuda.memory_allocated()
    x = mg.zeros(1000, 1000, device="cuda")
    assert mg.cuda.memory_allocated() - before == 4_000_256  # whole blocks of 512 bytes
    mg.cuda.reset_peak_memory_stats()
    for _ in range(3):
        y = x + x
        del y
    assert mg.cuda.max_memory_allocated() - before == 2 * 4_000_256 and mg.cuda.memory_allocated() - before == 4_000_256
    del x
    assert mg.cuda.memory_allocated() == before <= mg.cuda.memory_reserved()
    mg.cuda.empty_cache()
    assert mg.cuda.memory_reserved() == before
    free, total = mg.cuda.mem_get_info()
    assert 0 < free <= total
    with pytest.raises(ValueError, match="expected a number from 0 to 1, got 2"):
        mg.cuda.set_per_process_memory_fraction(2)


@use_fast_paths(False)
def test_a_training_step_leaves_no_memory_behind(cupy) -> None:
    model = nn.Linear(64, 64).cuda()
    inputs = mg.randn(32, 64, device="cuda")
    gc.disable()
    try:
        used = []
        for _ in range(3):
            model.zero_grad()
            (model(inputs).relu() ** 2).mean().backward()
            used.append(mg.cuda.memory_allocated())
        assert used[0] == used[1] == used[2]
    finally:
        gc.enable()


def test_out_of_memory_names_the_operation(cupy) -> None:
    mg.cuda.set_per_process_memory_fraction(1e-6)
    x = mg.zeros(100, 100, device="cuda")
    with pytest.raises(MemoryError, match="add: not enough memory for the result"):
        x + mg.zeros(100, 100, 1, device="cuda")


def test_streams_and_events(cupy) -> None:
    s = mg.cuda.Stream()
    assert mg.cuda.current_stream() == mg.cuda.default_stream() != s
    start, end = mg.cuda.Event(enable_timing=True), mg.cuda.Event(enable_timing=True)
    with mg.cuda.stream(s):
        assert mg.cuda.current_stream() == s
        start.record()
        x = mg.ones(3, device="cuda") * 2
        end.record()
    assert mg.cuda.current_stream() == mg.cuda.default_stream()
    mg.cuda.current_stream().wait_stream(s)
    x.record_stream(s)
    s.synchronize()
    assert s.query() and end.query() and start.elapsed_time(end) > 0 and x.tolist() == [2, 2, 2]


def test_several_devices() -> None:
    with standin.installed(devices=2):
        assert mg.cuda.device_count() == 2 and mg.cuda.current_device() == 0
        x = mg.ones(2, device="cuda:1")
        assert str(x.device) == "cuda:1" and mg.cuda.memory_allocated(1) == 512 and mg.cuda.memory_allocated(0) == 0
        with mg.cuda.device(1):
            y = x + mg.ones(2, device="cuda")
        assert mg.cuda.current_device() == 0 and y.device == mg.device("cuda:1")
        assert str(y.to("cuda:0").device) == "cuda:0" and y.to("cuda:0").tolist() == [2, 2]
        mg.cuda.set_device(1)
        assert str(mg.zeros(1, device="cuda").device) == "cuda:1"
        with pytest.raises(RuntimeError, match="device 'cuda:5': only 2 CUDA devices are there"):
            mg.cuda.set_device(5)
        with pytest.raises(ValueError, match="expected a CUDA device, got 'cpu'"):
            mg.cuda.memory_allocated("cpu")


def test_questions(cupy) -> None:
    assert mg.cuda.is_available() and mg.cuda.device_count() == 1 and mg.cuda.is_initialized()
    assert mg.cuda.get_device_name() == "Stand-in" and mg.cuda.get_device_capability() == (9, 0)
    mg.cuda.manual_seed_all(3)
    a = mg.rand(2, device="cuda").tolist()
    mg.cuda.manual_seed(3)
    assert mg.rand(2, device="cuda").tolist() == a


def test_questions_without_a_device() -> None:
    if mg.cuda.is_available():
        pytest.skip("there is a CUDA device here, and this is about machines without one")
    assert mg.cuda.device_count() == 0
    mg.cuda.manual_seed_all(3)
    for call in (mg.cuda.synchronize, mg.cuda.memory_allocated, mg.cuda.Stream, mg.cuda.current_device, mg.ones(2).pin_memory):
        with pytest.raises(RuntimeError, match="device 'cuda'.*(pip install|driver|no device)"):
            call()


def test_saving_and_pickling(cupy, tmp_path) -> None:
    import copy
    import pickle

    model = nn.Linear(3, 2).cuda()
    mg.save(model.state_dict(), tmp_path / "model")
    loaded = mg.load(tmp_path / "model", map_location="cuda")
    assert loaded["weight"].is_cuda and (loaded["weight"] == model.weight).all()
    assert not mg.load(tmp_path / "model", map_location="cpu")["weight"].is_cuda
    again = pickle.loads(pickle.dumps(model.weight.detach()))
    assert again.is_cuda and (again == model.weight).all()
    assert copy.deepcopy(model).weight.is_cuda


@use_fast_paths(False)
def test_gradients_own_their_memory(cupy) -> None:
    """They are given away uncopied only where nobody else sees them."""
    x, y, w = (mg.tensor(RNG.standard_normal((3, 3)), device="cuda", requires_grad=True) for _ in range(3))
    g = mg.tensor(RNG.standard_normal((3, 3)), device="cuda")
    (x + y + w.mT).backward(g)
    assert len({a.data_ptr() for a in (g, x.grad, y.grad, w.grad)}) == 4 and w.grad.is_contiguous()
    v = w.detach()
    allocated = mg.cuda.memory_allocated()
    mg.cuda.reset_peak_memory_stats()
    leaf = x.detach().requires_grad_()
    (leaf * v).backward(g)
    assert (mg.cuda.max_memory_allocated() - allocated) / 512 == 2, "the product, and its gradient once"


def slices_gradient(t, rng, **options) -> np.ndarray:
    """The gradient of a tensor that reaches it through slices of many kinds, each with random numbers coming in."""
    draw = lambda *shape: t.tensor(rng.standard_normal(shape), **options)
    x = draw(2, 6, 2).requires_grad_()
    a, b, _, c = x.split([1, 2, 1, 2], dim=1)  # with a gap, and one that is gone on with in parts
    ((a * draw(2, 1, 2)).sum() + (b * b * draw(2, 2, 2)).sum() + (c[:, 1] ** 3 * draw(2, 2)).sum()).backward()
    q, k, v = x.reshape(2, 3, 2, 2).permute(1, 0, 2, 3).unbind()
    (q * k + v).backward(draw(2, 2, 2))
    m, n = (x * 2).unbind(2)
    (m[:, :4] * n[:, 2:]).backward(draw(2, 4))
    t.cat((x * x).split(3, 1), 1).backward(draw(2, 6, 2))  # theirs lie side by side already
    return x.grad.cpu().numpy()


def test_gradients_of_slices_are_laid_side_by_side(cupy) -> None:
    found, expected = (slices_gradient(t, np.random.default_rng(7), **o) for t, o in ((mg, {"device": "cuda"}), (torch, {})))
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-14)
