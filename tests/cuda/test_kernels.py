"""The CUDA kernels in the engine: on the stand-in's arrays, executed by the simulator, against the formulas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from minigrad.kernels.cuda import launcher
from minigrad.kernels.cuda.dropout import philox

import minigrad as mg
from minigrad.fast import use_fast_paths
from minigrad.nn import functional as F

from . import standin

RNG = np.random.default_rng(9)


def draw(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape, dtype=np.float32)


def simulated(text: str) -> Any:
    """A source compiled by NVRTC, or the PTX of it that is kept with the tests; else the test is skipped."""
    from minigrad.kernels import simulator
    from minigrad.kernels.simulator import stored

    file = next(path.name for path in launcher.FOLDER.glob("*.cu") if path.read_text(encoding="utf-8") == text)
    try:
        return stored.module(file)
    except simulator.MissingTool as error:
        pytest.skip(str(error))


class Noting:
    """A module whose kernels note their names, and look at the guard zones of the stand-in's arrays after they ran."""

    def __init__(self, module: Any, names: list[str]) -> None:
        self.module, self.names = module, names

    def get_function(self, name: str) -> Any:
        return NotingFunction(self.module.get_function(name), name, self.names)


class NotingFunction:
    def __init__(self, function: Any, name: str, names: list[str]) -> None:
        self.function, self.name, self.names = function, name, names
        self.max_dynamic_shared_size_bytes = 48 * 1024

    def __call__(self, grid: tuple, block: tuple, args: tuple, *, shared_mem: int = 0) -> None:
        standin.runtime.STATE.begin()
        self.names.append(self.name)
        self.function.max_dynamic_shared_size_bytes = self.max_dynamic_shared_size_bytes
        table = [memory.raw for memory in standin.runtime.STATE.live] if self.name == "adam_v2" else []
        self.function(grid, block, args, shared_mem=shared_mem, memory=table)
        for a in args:
            if hasattr(a, "memory"):
                a.memory.check()


@pytest.fixture(scope="module")
def modules() -> dict:
    """Compiled sources, for all tests together."""
    return {}


@pytest.fixture
def kernels(modules: dict, monkeypatch: pytest.MonkeyPatch) -> Iterator[list]:
    """The stand-in with a simulator in it; the names of the kernels that were launched."""
    names: list[str] = []

    def compile(text: str, options: tuple) -> Any:
        if text not in modules:
            modules[text] = simulated(text)
        return Noting(modules[text], names)

    monkeypatch.setattr(standin.runtime.RawModule, "executor", staticmethod(compile))
    monkeypatch.setattr(launcher, "_functions", {})
    with standin.installed():
        yield names


CASES = {
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (8,), w, b), [draw(3, 5, 8), draw(8), draw(8)], ["layer_norm"]),
    "layer_norm of odd rows": (lambda x, w, b: F.layer_norm(x, (3, 7), w, b), [draw(4, 3, 7), draw(3, 7), draw(3, 7)], ["layer_norm"]),
    "layer_norm alone": (lambda x: F.layer_norm(x, (33,)), [draw(5, 33)], ["layer_norm"]),
    "layer_norm of strides": (lambda x: F.layer_norm(x.mT, (6,)), [draw(6, 4)], ["layer_norm"]),
    "rms_norm": (lambda x, w: F.rms_norm(x, (12,), w, 1e-5), [draw(2, 5, 12), draw(12)], ["rms_norm"]),
    "gelu": (lambda x: F.gelu(x), [draw(5, 33)], ["gelu", "gelu_backward"]),
    "gelu tanh": (lambda x: F.gelu(x[:, ::2], approximate="tanh"), [draw(5, 33)], ["gelu_tanh", "gelu_tanh_backward"]),
    "linear": (lambda x, w, b: F.linear(x, w, b), [draw(2, 9, 20), draw(12, 20), draw(12)], ["add_to_rows_v2", "sum_rows_v3"]),
    "linear, to an odd number": (lambda x, w, b: F.linear(x, w, b), [draw(5, 8), draw(7, 8), draw(7)], ["add_to_rows_v1", "sum_rows_v2"]),
    "linear of a vector": (lambda x, w, b: F.linear(x, w, b[::2]), [draw(8), draw(3, 8), draw(6)], ["add_to_rows"]),
    "product and a number for each column": (lambda m, a, b: mg.addmm(m, a, b), [draw(4), draw(3, 2), draw(2, 4)], ["sum_rows"]),
    "sum over rows": (lambda x: x.sum((0, 1)) * x.sum((1, 0)), [draw(2, 150, 8)], ["sum_rows_v3"]),
    "sum over rows of odd length": (lambda x: x.sum(0), [draw(130, 3, 3)], ["sum_rows_v2"]),
    "sums over columns": (lambda x: x.sum(1), [draw(3, 4)], []),
    "sums of another kind": (lambda x: x.sum(1, keepdim=True) + x.sum((0, 1), keepdim=True) + x.sum(-2, keepdim=True), [draw(4, 4)], []),
    "what was added to rows": (lambda x, b: x + b, [draw(2, 70, 12), draw(12)], ["sum_rows_v3"]),
    "softmax": (lambda x: x.softmax(-1), [draw(3, 5, 9)], ["softmax_v4", "softmax_backward_v2"]),
    "softmax of long rows": (lambda x: x.softmax(-1), [draw(2, 1028)], ["softmax_v5", "softmax_backward_v3"]),
    "softmax of another dimension": (lambda x: x.softmax(0), [draw(5, 9)], []),
    "log_softmax": (lambda x: x.log_softmax(1), [draw(5, 1030)], ["log_softmax_v5", "log_softmax_backward_v3"]),
    "cross_entropy": (lambda x: F.cross_entropy(x, mg.tensor([1, 6, 0, 3], device=x.device)), [draw(4, 7)], ["cross_entropy"]),
    "cross_entropy with ignored rows": (
        lambda x: F.cross_entropy(x, mg.tensor([1, -100, 0, -100], device=x.device)), [draw(4, 1031)], ["cross_entropy"],
    ),
    "cross_entropy of nothing": (lambda x: F.cross_entropy(x, mg.tensor([5, 5], device=x.device), ignore_index=5), [draw(2, 7)], ["cross_entropy"]),
    "attention": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v), [draw(2, 3, 9, 8), draw(2, 3, 11, 8), draw(2, 3, 11, 8)], ["attention"]),
    "attention with wide heads": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v), [draw(1, 2, 9, 72), draw(1, 2, 11, 72), draw(1, 2, 11, 72)],
        ["attention_v2_d128", "attention_backward_kv_v2_d128"],
    ),
    "causal attention": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), [draw(2, 70, 16), draw(2, 70, 16), draw(2, 70, 16)], ["attention"],
    ),
    "attention of a view": (
        lambda x: F.scaled_dot_product_attention(*(x.reshape(2, 5, 3, 2, 4).permute(2, 0, 3, 1, 4)[i] for i in range(3)), is_causal=True),
        [draw(2, 5, 24)], ["attention"],
    ),
    "attention with a mask": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=mg.tensor([[True, False, True]] * 4, device=q.device)),
        [draw(2, 2, 4, 8), draw(2, 2, 3, 8), draw(2, 2, 3, 8)], ["attention"],
    ),
    "attention with numbers added": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=mg.arange(3.0, device=q.device).reshape(1, 1, 1, 3)),
        [draw(2, 2, 4, 8), draw(2, 2, 3, 8), draw(2, 2, 3, 8)], ["attention"],
    ),
    "embedding": (lambda w: F.embedding(mg.tensor([[1, 4, 1], [0, 1, 4]], device=w.device), w), [draw(5, 8)], ["embedding_backward_v3"]),
    "embedding of odd rows": (
        lambda w: F.embedding(mg.tensor([2, 0, 2, 2], device=w.device), w, padding_idx=0), [draw(3, 7)], ["embedding_backward_v2"],
    ),
    "rows picked twice": (
        lambda w: F.embedding(mg.tensor([0, 2, 1], device=w.device), w) * w[mg.tensor([-1, 0, -1], device=w.device)],
        [draw(3, 8)], ["embedding_backward_v3"],
    ),
    "conv2d": (
        lambda x, w, b: F.conv2d(x, w, b, padding=1), [draw(2, 3, 6, 8), draw(4, 3, 3, 3), draw(4)], ["im2col_v4", "col2im_v3"],
    ),
    "conv2d with strides and groups": (
        lambda x, w: F.conv2d(x, w, stride=(2, 1), dilation=(1, 2), groups=2), [draw(2, 4, 9, 7), draw(6, 2, 3, 2)],
        ["im2col_v3", "col2im_v2"],
    ),
    "conv2d with padding of its own in each dimension": (
        lambda x, w, b: F.conv2d(x, w, b, stride=(2, 1), padding=(0, 3), dilation=(1, 2), groups=3), [draw(2, 3, 7, 10), draw(6, 1, 2, 4), draw(6)],
        ["im2col", "col2im_v2"],
    ),
    "conv2d of one image that stays as large": (
        lambda x, w: F.conv2d(x[1], w, padding="same"), [draw(2, 2, 5, 12), draw(3, 2, 3, 5)], ["im2col_v4", "col2im_v3"],
    ),
    "conv2d with a zero more on one side": (
        lambda x, w, b: F.conv2d(x, w, b, padding="same"), [draw(2, 3, 6, 8), draw(4, 3, 3, 2), draw(4)], ["im2col_v4", "col2im_v2"],
    ),
    "conv2d of channels last": (
        lambda x, w: F.conv2d(x.permute(0, 3, 1, 2), w.mT, padding=1), [draw(2, 6, 8, 3), draw(4, 3, 3, 5)], ["im2col", "col2im"],
    ),
    "conv_transpose2d": (
        lambda x, w: F.conv_transpose2d(x, w, stride=2, padding=1), [draw(2, 3, 4, 5), draw(3, 2, 3, 3)], ["im2col", "col2im_v2"],
    ),
    "conv2d of more channels than a grid is high": (lambda x, w: F.conv2d(x, w), [draw(1, 65536, 1, 1), draw(1, 65536, 1, 1)], []),
    "conv1d": (lambda x, w: F.conv1d(x, w), [draw(2, 3, 9), draw(4, 3, 3)], []),
    "attention with wide values": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v), [draw(2, 3, 4), draw(2, 5, 4), draw(2, 5, 3)], ["softmax_backward"],
    ),
}  # fmt: skip


def results(call: Any, arrays: list, device: str) -> list[np.ndarray]:
    inputs = [mg.tensor(a, device=device, requires_grad=True) for a in arrays]
    y = call(*inputs)
    g = np.random.default_rng(1).standard_normal(y.shape).astype(np.float32)
    y.backward(mg.tensor(g, device=device))
    return [x.cpu().numpy() for x in (y.detach(), *(x.grad for x in inputs))]


@pytest.mark.parametrize("name", CASES)
def test_kernels_agree_with_the_formulas(kernels: list, name: str) -> None:
    call, arrays, used = CASES[name]
    found = results(call, arrays, "cuda")
    with use_fast_paths(False):
        expected = results(call, arrays, "cpu")
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)
    assert bool(kernels) == bool(used)
    for kernel in used:
        assert any(launched.startswith(kernel) for launched in kernels), kernels


@pytest.mark.parametrize(("shape", "padding", "limit", "seen"), [
    ((2, 3, 6, 8), 1, None, [(2, 3, 6, 8), (1, 1)]),
    ((2, 3, 6, 8), (2, 0), None, [(2, 3, 6, 8), (2, 0)]),
    ((2, 3, 6, 8), 0, None, [(2, 3, 6, 8), (0, 0)]),
    ((2, 3, 6, 8), 1, 2 * 27 * 48 - 1, None),  # a number more than indices reach
    ((2, 1, 6, 8), 1, 2 * 10 * 48 - 1, None),  # the same, of the result
])  # fmt: skip
def test_convolutions_pass_their_padding_on(
    kernels: list, monkeypatch: pytest.MonkeyPatch, shape: tuple, padding: Any, limit: int | None, seen: Any
) -> None:
    """What im2col reads and col2im writes is the image as it is."""
    from minigrad.kernels.cuda import engine, im2col

    noted: list = []
    read, write = im2col.im2col, im2col.col2im
    monkeypatch.setattr(im2col, "im2col", lambda x, *a: noted.append([x.shape, a[2]]) or read(x, *a))
    monkeypatch.setattr(im2col, "col2im", lambda c, size, *a: noted.append([(*shape[:2], *size), a[2]]) or write(c, size, *a))
    if limit is not None:
        monkeypatch.setattr(engine, "MOST", limit)
    arrays = [draw(*shape), draw(10, shape[1], 3, 3), draw(10)]
    call = lambda x, w, b: F.conv2d(x, w, b, padding=padding)
    found = results(call, arrays, "cuda")
    with use_fast_paths(False):
        expected = results(call, arrays, "cpu")
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)
    # How many numbers come out is known once they are there: then only the rest is left to the formula.
    assert noted == [seen] * 3 if seen else all(where != shape for where, _ in noted[1:])


def test_no_window_fits(kernels: list) -> None:
    from minigrad.ops.conv import Geometry, conv

    x, w = mg.ones(2, 1, 2, 3, device="cuda"), mg.ones(5, 1, 4, 5, device="cuda")
    assert conv(x, w, geometry=Geometry((1, 1), (1, 1), 1)).shape == (2, 5, 0, 0) and not kernels


def test_a_weight_that_is_elsewhere(kernels: list) -> None:
    x, w = mg.tensor(draw(1, 3, 6, 8), device="cuda"), mg.tensor(draw(4, 3, 3, 3))
    for call in (lambda: F.conv2d(x, w, padding=1), lambda: F.conv2d(x, w), lambda: F.conv2d(x, w.cuda(), mg.ones(4)), lambda: F.layer_norm(x, (8,), mg.ones(8))):
        with pytest.raises(RuntimeError, match="cuda:0 and cpu"):
            call()


@pytest.mark.parametrize(("bytes_of_shared_memory", "columns", "used"), [
    (64 * 1024, 64, True), (64 * 1024, 65, False), (99 * 1024, 128, True),  # sm_75, and sm_86 and sm_89
])  # fmt: skip
def test_attention_needs_room_in_shared_memory(
    kernels: list, cupy: Any, monkeypatch: pytest.MonkeyPatch, bytes_of_shared_memory: int, columns: int, used: bool
) -> None:
    properties = cupy.cuda.runtime.getDeviceProperties(0) | {"sharedMemPerBlockOptin": bytes_of_shared_memory}
    monkeypatch.setattr(cupy.cuda.runtime, "getDeviceProperties", lambda number: properties)
    monkeypatch.setattr(launcher, "_shared", {})
    arrays = [draw(1, 5, columns), draw(1, 7, columns), draw(1, 7, columns)]
    found = results(F.scaled_dot_product_attention, arrays, "cuda")
    with use_fast_paths(False):
        expected = results(F.scaled_dot_product_attention, arrays, "cpu")
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)
    assert any(name.startswith("attention") for name in kernels) == used


PRODUCTS = [((5, 7), (7, 3)), ((2, 5, 7), (7, 4)), ((2, 3, 5, 8), (2, 3, 8, 4)), ((33, 64), (64, 36))]


@pytest.mark.parametrize("layout", ["nn", "nt", "tn"])
@pytest.mark.parametrize("left, right", PRODUCTS, ids=str)
def test_our_own_product(kernels: list, left: tuple, right: tuple, layout: str) -> None:
    a, b = draw(*left), draw(*right)
    x = np.ascontiguousarray(a.swapaxes(-1, -2)) if layout == "tn" else a
    y = np.ascontiguousarray(b.swapaxes(-1, -2)) if layout == "nt" else b
    x, y = mg.tensor(x, device="cuda"), mg.tensor(y, device="cuda")
    before = mg.cuda.preferred_blas_library()
    assert before == "cublas" and mg.cuda.preferred_blas_library("minigrad") == "minigrad"
    try:
        found = (x.mT if layout == "tn" else x) @ (y.mT if layout == "nt" else y)
    finally:
        mg.cuda.preferred_blas_library(before)
    np.testing.assert_allclose(found.cpu().numpy(), a.astype(float) @ b, rtol=1e-5, atol=1e-5)
    assert any(name.startswith("matmul") for name in kernels)


@pytest.mark.parametrize("capability, precision, tf32", [(8, "high", True), (7, "high", False), (8, "highest", False)])
def test_products_on_tensor_cores_are_asked_for(kernels: list, monkeypatch, capability: int, precision: str, tf32: bool) -> None:
    monkeypatch.setattr("minigrad.cuda.fused.get_device_capability", lambda: (capability, 5))
    a, b = draw(36, 64), draw(64, 20)
    x, y = mg.tensor(a, device="cuda"), mg.tensor(b, device="cuda")
    try:
        mg.set_float32_matmul_precision(precision)
        assert mg.get_float32_matmul_precision() == precision
        mg.cuda.preferred_blas_library("minigrad")
        found, odd = x @ y, x[:, :-1] @ y[:-1]
    finally:
        mg.cuda.preferred_blas_library("cublas")
        mg.set_float32_matmul_precision("highest")
    exact, rounded = a.astype(float) @ b, np.abs(a).astype(float) @ np.abs(b) * 2.0**-10
    error = np.abs(found.cpu().numpy() - exact)
    assert (error < rounded).all() and (error.max() > 1e-4) == tf32
    np.testing.assert_allclose(odd.cpu().numpy(), a[:, :-1].astype(float) @ b[:-1], rtol=1e-4, atol=1e-5)
    assert any("tf32" in name for name in kernels) == tf32 and any("tf32" not in name for name in kernels)


def test_linear_by_our_own_product(kernels: list) -> None:
    x, w, b = draw(2, 9, 20), draw(12, 20), draw(12)
    try:
        mg.cuda.preferred_blas_library("minigrad")
        found = results(F.linear, [x, w, b], "cuda")
    finally:
        mg.cuda.preferred_blas_library("cublas")
    for mine, right in zip(found, results(F.linear, [x, w, b], "cpu")):
        np.testing.assert_allclose(mine, right, rtol=1e-5, atol=1e-5)
    assert any(name.startswith("matmul") for name in kernels)


OPTIMIZERS = {
    "AdamW": lambda p: mg.optim.AdamW(p, lr=0.1, weight_decay=0.3, betas=(0.8, 0.95)),
    "Adam": lambda p: mg.optim.Adam(p, lr=0.1, weight_decay=0.3),
    "Adam without decay": lambda p: mg.optim.Adam(p, lr=0.1),
    "amsgrad": lambda p: mg.optim.Adam(p, lr=0.1, amsgrad=True),
    "maximize": lambda p: mg.optim.AdamW(p, lr=0.1, maximize=True),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_one_launch_moves_all_parameters(kernels: list, name: str) -> None:
    arrays, slopes = [draw(5, 7), draw(3), draw(70, 64)], [draw(5, 7), draw(3), draw(70, 64)]
    moved = []
    for device, fast in (("cuda", True), ("cpu", False)):
        params = [mg.tensor(a, device=device, requires_grad=True) for a in arrays]
        optimizer = OPTIMIZERS[name](params)
        with use_fast_paths(fast):
            for factor in (1.0, -0.5, 2.0):
                for p, g in zip(params, slopes):
                    p.grad = mg.tensor(g * np.float32(factor), device=device)
                optimizer.step()
        moved.append([p.detach().cpu().numpy() for p in params])
    for mine, right in zip(*moved):
        np.testing.assert_allclose(mine, right, rtol=1e-5, atol=5e-6)
    assert kernels == ([] if name in ("amsgrad", "maximize") else ["adam_v2"] * 3)


@pytest.mark.parametrize("strides", [False, True])
@pytest.mark.parametrize("n", [3, 4, 41, 64])
def test_dropout_draws_where_the_generator_is(kernels: list, n: int, strides: bool) -> None:
    mg.manual_seed(12)
    rng, p = mg.default_generator(mg.device("cuda")).rng, 0.3
    mg.rand(5, device="cuda")  # the generator goes on from wherever it is
    key, place = rng.state["key"], rng.state["counter"]
    words = philox(place + np.arange(-(-2 * n // 4) + 3, dtype=np.uint64), key).ravel()
    kept = words >= np.uint32(p * 2**32)
    a, g = draw(2, n), draw(2, n)
    make = (lambda a: mg.tensor(np.ascontiguousarray(a.T), device="cuda").mT) if strides else (lambda a: mg.tensor(a, device="cuda"))
    x = make(a).requires_grad_()
    standin.runtime.STATE.waits.clear()
    y = F.dropout(x, p)
    assert not standin.runtime.STATE.waits, "the host waits for the device"
    mask = kept[: 2 * n].reshape(2, n) / (1 - p)
    np.testing.assert_allclose(y.detach().cpu().numpy(), a * mask, rtol=1e-6)
    slope, = mg.autograd.grad((y**3 * make(g)).sum(), x, create_graph=True)  # who was dropped is asked again, in any order
    np.testing.assert_allclose(slope.detach().cpu().numpy(), 3 * a**2 * mask**3 * g, rtol=1e-5)
    again, = mg.autograd.grad((slope * make(g)).sum(), x)
    np.testing.assert_allclose(again.cpu().numpy(), 6 * a * mask**3 * g**2, rtol=1e-5)
    later = F.dropout(mg.ones(12, device="cuda"), p).cpu().numpy()  # behind what was drawn
    fours = -(-2 * n // 4) * 4
    np.testing.assert_allclose(later, kept[fours : fours + 12] / (1 - p), rtol=1e-6)
    assert set(kernels) <= {"dropout_v1", "dropout_v2"} and len(kernels) == 5


def test_dropout_repeats_after_manual_seed(kernels: list) -> None:
    layer, x, drawn = mg.nn.Dropout(0.5), mg.ones(40, device="cuda"), []
    for _ in range(2):
        mg.manual_seed(5)
        drawn += [layer(x).tolist(), layer(x).tolist()]
    assert drawn[0] == drawn[2] != drawn[1] == drawn[3]
    assert layer.eval()(x) is x and len(kernels) == 4
    x.copy_(F.dropout(x, 0.5, inplace=True))
    assert set(x.tolist()) == {0.0, 2.0} and len(kernels) == 5


@pytest.mark.parametrize(("options", "p"), [({"dtype": mg.float16}, 0.25), ({}, 1.0), ({"size": (0, 3)}, 0.25), ({"size": ()}, 0.25)])
def test_dropout_of_what_the_kernel_does_not_take(kernels: list, options: dict, p: float) -> None:
    size, dtype = options.get("size", (90,)), options.get("dtype", mg.float32)
    x = mg.ones(*size, dtype=dtype, device="cuda", requires_grad=True)
    y, g = F.dropout(x, p), mg.tensor(draw(*size), dtype=dtype)
    y.backward(g.cuda())
    assert y.shape == size and y.dtype == dtype
    np.testing.assert_allclose(x.grad.cpu().numpy(), (y.detach().cpu() * g).numpy(), rtol=1e-3)  # x is 1
    if size == (90,):
        assert set(y.tolist()) == ({0.0} if p == 1 else {0.0, float(np.asarray(1 / (1 - p), y.detach().cpu().numpy().dtype))})
    assert bool(kernels) == (size == ())


HALVES = {  # float16 is what autocast makes of them
    name: (call, [x.astype(np.float16) for x in arrays], used)
    for name, (call, arrays, used) in CASES.items()
    if name in ("gelu", "gelu tanh", "causal attention", "attention of a view", "attention with a mask")
} | {"sums over rows": (lambda x: x.sum((0, 1)), [draw(3, 50, 7).astype(np.float16)], ["sum_rows"])}


@pytest.mark.parametrize("name", HALVES)
def test_halves_are_computed_as_floats(kernels: list, name: str) -> None:
    call, arrays, used = HALVES[name]
    found = results(call, arrays, "cuda")
    with use_fast_paths(False):
        expected = results(call, [x.astype(np.float64) for x in arrays], "cpu")
    for mine, right in zip(found, expected):
        assert mine.dtype == np.float16
        np.testing.assert_allclose(mine, right, rtol=2e-3, atol=2e-3)
    assert any(launched.startswith(used[0]) for launched in kernels)


def test_halves_among_floats_are_refused_as_by_the_formula(kernels: list) -> None:
    q, k = mg.tensor(draw(2, 3, 4), device="cuda").half(), mg.tensor(draw(2, 3, 4), device="cuda")
    with pytest.raises(RuntimeError, match="dtype"):
        F.scaled_dot_product_attention(q, k, k)
    assert not kernels


@pytest.mark.parametrize("dtype", [mg.float64, mg.float16])
def test_what_kernels_do_not_take_is_left_to_the_formulas(kernels: list, dtype: Any) -> None:
    x = mg.tensor(draw(4, 8), dtype=dtype, device="cuda")
    for call in (lambda: F.layer_norm(x, (8,)), lambda: x.softmax(1), lambda: F.cross_entropy(x, mg.tensor([1, 2, 3, 0], device="cuda"))):
        assert call().dtype == dtype
    assert F.layer_norm(mg.zeros(0, 8, device="cuda"), (8,)).shape == (0, 8) and not kernels


def test_the_second_derivative_is_that_of_the_formula(kernels: list) -> None:
    x = mg.tensor(draw(3, 8), device="cuda", requires_grad=True)
    g, = mg.autograd.grad(F.gelu(x).sum(), x, create_graph=True)
    mg.autograd.grad(g.sum(), x)
    assert kernels == ["gelu_v2"]
    with pytest.raises(ValueError, match="preferred_blas_library: expected 'cublas' or 'minigrad', got 'mkl'"):
        mg.cuda.preferred_blas_library("mkl")
    with pytest.raises(ValueError, match="set_float32_matmul_precision: expected 'highest', 'high' or 'medium', got 'tf32'"):
        mg.set_float32_matmul_precision("tf32")
