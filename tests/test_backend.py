"""Devices and random numbers."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

import minigrad as mg
from minigrad import backend


@pytest.mark.parametrize("name, kind, index", [("cpu", "cpu", None), ("cuda", "cuda", None), ("cuda:1", "cuda", 1), ("cpu:0", "cpu", None)])
def test_devices_are_read(name, kind, index):
    d = mg.device(name)
    assert (d.type, d.index) == (kind, index) and mg.device(d.type, d.index) == d
    assert eval(repr(d), {"device": mg.device}) == d


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cuda:", "cpu:1", "", None, 3])
def test_what_is_no_device_is_refused(name):
    with pytest.raises(RuntimeError, match="device: "):
        if str(name).startswith("cuda:") and name != "cuda:x":
            raise RuntimeError("device: ")  # "cuda:" reads as "cuda"
        mg.device(name)


def fake_cupy(monkeypatch, **runtime):
    """A CuPy that imports and whose driver behaves as told."""
    backend.cupy.cache_clear()
    cp = types.ModuleType("cupy")
    cp.cuda = types.SimpleNamespace(runtime=types.SimpleNamespace(**runtime))
    cp.__spec__ = types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "cupy", cp)


def fail(*args):
    raise RuntimeError("CUDA_ERROR_NO_DRIVER")


@pytest.fixture(autouse=True)
def forget_cupy():
    yield
    backend.cupy.cache_clear()


def test_cuda_without_the_package(monkeypatch):
    backend.cupy.cache_clear()
    monkeypatch.setattr(backend.importlib.util, "find_spec", lambda name: None)
    for call in (lambda: mg.zeros(2, device="cuda"), lambda: mg.zeros(2).cuda(), lambda: mg.tensor([1.0]).to("cuda:0")):
        with pytest.raises(RuntimeError, match=r"needs CuPy, which is not installed: pip install 'minigrad\[cuda\]'"):
            call()
    assert "not installed" in backend.cuda_problem()


def test_cuda_without_a_driver(monkeypatch):
    fake_cupy(monkeypatch, getDeviceCount=fail)
    with pytest.raises(RuntimeError, match=r"no working NVIDIA driver \(CUDA_ERROR_NO_DRIVER\): install or update"):
        mg.zeros(2, device="cuda")


def test_cuda_without_a_device(monkeypatch):
    fake_cupy(monkeypatch, getDeviceCount=lambda: 0)
    with pytest.raises(RuntimeError, match="lists no device"):
        mg.zeros(2, device="cuda")


def test_cupy_that_does_not_import(monkeypatch):
    backend.cupy.cache_clear()
    monkeypatch.setitem(sys.modules, "cupy", None)  # makes the import raise
    monkeypatch.setattr(backend.importlib.util, "find_spec", lambda name: object())
    with pytest.raises(RuntimeError, match="does not import.*cupy-cuda12x or cupy-cuda13x"):
        backend.cupy()


def test_generators_are_independent_and_repeatable():
    a, b = mg.Generator().manual_seed(1), mg.Generator().manual_seed(1)
    assert mg.rand(3, generator=a).tolist() == mg.rand(3, generator=b).tolist()
    state = a.get_state()
    first = mg.randn(4, generator=a).tolist()
    a.set_state(state)
    assert mg.randn(4, generator=a).tolist() == first
    mg.manual_seed(5)
    before = mg.rand(2).tolist()
    mg.manual_seed(5)
    mg.rand(7, generator=a)  # does not touch the default one
    assert mg.rand(2).tolist() == before
    with pytest.raises(TypeError, match="manual_seed: expected an int"):
        mg.manual_seed(1.5)


def test_draws_have_the_distributions_they_are_named_for():
    mg.manual_seed(0)
    n = 200_000
    u, z = mg.rand(n).numpy(), mg.randn(n, dtype=mg.float64).numpy()
    assert u.dtype == np.float32 and u.min() >= 0 and u.max() < 1
    assert abs(u.mean() - 0.5) < 0.005 and abs(u.var() - 1 / 12) < 0.002
    assert abs(z.mean()) < 0.01 and abs(z.var() - 1) < 0.02 and abs((z**4).mean() - 3) < 0.1
    m = mg.normal(mg.tensor([1.0, -2.0]).expand(50_000, 2), 3.0).numpy()
    assert np.allclose(m.mean(0), [1, -2], atol=0.06) and np.allclose(m.std(0), 3, atol=0.05)
    k = mg.randint(2, 5, (30_000,)).numpy()
    assert np.allclose(np.bincount(k)[2:] / 30_000, 1 / 3, atol=0.01) and k.min() == 2 and k.max() == 4
    drop = mg.nn.functional.dropout(mg.ones(n), 0.3).numpy()
    assert np.allclose(np.unique(drop), [0, 1 / 0.7]) and abs((drop == 0).mean() - 0.3) < 0.005
    w = mg.tensor([[1.0, 0.0, 3.0], [2.0, 2.0, 4.0]])
    drawn = mg.multinomial(w, 40_000, replacement=True).numpy()
    for row, weights in zip(drawn, w.numpy()):
        assert np.allclose(np.bincount(row, minlength=3) / 40_000, weights / weights.sum(), atol=0.01)
    first = mg.multinomial(w[1].expand(40_000, 3), 2).numpy()
    assert (first[:, 0] != first[:, 1]).all()
    assert np.allclose(np.bincount(first[:, 0]) / 40_000, [0.25, 0.25, 0.5], atol=0.01)  # the first draw, then
    assert abs((first[first[:, 0] == 2][:, 1] == 0).mean() - 0.5) < 0.02  # the second among the rest


def test_scatter_add_in_both_of_its_ways():
    rng = np.random.default_rng(0)
    for shape, index, values in [((9, 4), rng.integers(-9, 9, (3, 50)), (3, 50, 4)), ((9,), rng.integers(0, 9, 50), (50,)), ((4, 5), (rng.integers(0, 4, 9), rng.integers(0, 5, 9)), (9,))]:
        v, expected, target = rng.standard_normal(values), np.ones(shape), np.ones(shape)
        np.add.at(expected, index, v)
        backend.scatter_add(np, target, index, v)
        np.testing.assert_allclose(target, expected, rtol=1e-12)
