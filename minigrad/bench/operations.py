"""Single operations, forward and with their backward pass, with the bytes and the FLOPs that they cannot do without.

Bytes are the arrays that must be read and written if nothing is read twice: arguments and result forward; the gradient,
what the derivative needs and the gradients of the arguments backward. FLOPs count additions and multiplications, of
exp, tanh and the like one each. So time has a lower bound, max(bytes / bandwidth, FLOPs / peak), and its share of the
time that was measured says how much of the machine an operation uses: the roofline model (Williams, Waterman and
Patterson, Roofline: an insightful visual performance model for multicore architectures, 2009).

This file imports nothing of minigrad, see worker.py.
"""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Thread
from typing import Any

import numpy as np

CHECKED = 1e-3  # relative difference of the results of two libraries


@dataclass(frozen=True)
class Operation:
    """An operation to measure.

    Attributes:
        title: what it is, with its shapes.
        shapes: of its arguments, which are random and of which the gradients are computed.
        call: function of (torch, F, arguments).
        flops: of the forward pass and of the backward pass.
        moved: numbers of 4 bytes that the backward pass cannot do without, as a function of the sizes of result and
            arguments; those of the forward pass are the sum of these sizes.
        extra: makes further arguments, from NumPy's random numbers.
    """

    title: str
    shapes: tuple[tuple[int, ...], ...]
    call: Callable[..., Any]
    flops: tuple[float, float]
    moved: Callable[..., float]
    extra: Callable[[np.random.Generator], list[np.ndarray]] = lambda rng: []


def product(title: str, a: tuple[int, ...], b: tuple[int, ...]) -> Operation:
    flops = 2.0 * math.prod(a) * b[-1]
    moved = lambda y, a, b: y + 2 * (a + b)  # the gradient; both arguments and the gradients of both
    return Operation(title, (a, b), lambda torch, F, a, b: a @ b, (flops, 2 * flops), moved)


def pointwise(name: str, shape: tuple[int, ...], call: Callable, forward: int = 1, backward: int = 2) -> Operation:
    """One argument; backward reads the gradient and the argument or the result, and writes a gradient."""
    n = math.prod(shape)
    title = f"{name} {'x'.join(map(str, shape))}"
    return Operation(title, (shape,), call, (float(forward * n), float(backward * n)), lambda y, x: y + 2 * x)


def convolution(title: str, batch: int, channels: int, size: int, filters: int, kernel: int, stride: int = 1) -> Operation:
    flops = 2.0 * batch * (size // stride) ** 2 * filters * channels * kernel * kernel
    shapes = ((batch, channels, size, size), (filters, channels, kernel, kernel), (filters,))
    call = lambda torch, F, x, w, b: F.conv2d(x, w, b, stride=stride, padding=kernel // 2)
    return Operation(title, shapes, call, (flops, 2 * flops), lambda y, x, w, b: y + 2 * x + 2 * w + b)


def attention(title: str, batch: int, heads: int, time: int, width: int) -> Operation:
    """Causal: half of the products, which are two forward and five backward, with the scores computed again."""
    flops = 2.0 * batch * heads * time * time * width  # 2 products of 2 FLOPs, of which half
    call = lambda torch, F, q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True)
    shape = (batch, heads, time, width)
    return Operation(title, (shape,) * 3, call, (flops, 2.5 * flops), lambda y, q, k, v: 2 * y + 2 * (q + k + v))


LARGE, MIDDLE = (4096, 1024), (768, 128)
labels = lambda rows, classes: lambda rng: [rng.integers(0, classes, rows)]
gelu = lambda torch, F, x: F.gelu(x, approximate="tanh")


def cross_entropy(rows: int, classes: int) -> Operation:
    n = float(rows * classes)
    call = lambda torch, F, x, y: F.cross_entropy(x, y)
    title = f"cross_entropy {rows}x{classes}"
    return Operation(title, ((rows, classes),), call, (4 * n, 3 * n), lambda y, x: 2 * x, labels(rows, classes))


def norm(name: str, shape: tuple[int, ...], width: int, call: Callable) -> Operation:
    n, title = float(math.prod(shape)), f"{name} {'x'.join(map(str, shape))}"
    return Operation(title, (shape, (width,), (width,)), call, (7 * n, 13 * n), lambda y, x, w, b: y + 2 * x + 2 * w + b)


def layer_norm(rows: int, width: int) -> Operation:
    return norm("layer_norm", (rows, width), width, lambda torch, F, x, w, b: F.layer_norm(x, (width,), w, b))


def batch_norm(*shape: int) -> Operation:
    call = lambda torch, F, x, w, b: F.batch_norm(x, None, None, w, b, training=True)
    return norm("batch_norm", shape, shape[1], call)


OPERATIONS: dict[str, Operation] = {
    operation.title: operation
    for operation in [
        product("matmul 64x64x64", (64, 64), (64, 64)),
        product("matmul 768x128x512", (768, 128), (128, 512)),
        product("matmul 1024x1024x1024", (1024, 1024), (1024, 1024)),
        product("matmul 48x(64x32x64)", (48, 64, 32), (48, 32, 64)),
        Operation(
            "linear 1024x384 -> 1536", ((1024, 384), (1536, 384), (1536,)), lambda torch, F, x, w, b: F.linear(x, w, b),
            (2.0 * 1024 * 384 * 1536, 4.0 * 1024 * 384 * 1536), lambda y, x, w, b: y + 2 * x + 2 * w + b,
        ),
        convolution("conv2d 32x3x32x32 -> 16, 3x3", 32, 3, 32, 16, 3),
        convolution("conv2d 32x16x32x32 -> 16, 3x3", 32, 16, 32, 16, 3),
        convolution("conv2d 32x32x16x16 -> 64, 3x3, stride 2", 32, 32, 16, 64, 3, 2),
        convolution("conv2d 32x1x28x28 -> 8, 5x5", 32, 1, 28, 8, 5),
        attention("attention 12x4x64x32, causal", 12, 4, 64, 32),
        attention("attention 4x6x256x64, causal", 4, 6, 256, 64),
        Operation(
            "add bias 4096x1024", (LARGE, (1024,)), lambda torch, F, x, b: x + b, (2.0**22, 2.0**22), lambda y, x, b: y + b
        ),
        Operation(
            "mul 4096x1024", (LARGE, LARGE), lambda torch, F, a, b: a * b, (2.0**22, 2.0**23), lambda y, a, b: y + 2 * (a + b)
        ),
        pointwise("relu", LARGE, lambda torch, F, x: F.relu(x)),
        pointwise("relu", MIDDLE, lambda torch, F, x: F.relu(x)),
        pointwise("exp", LARGE, lambda torch, F, x: x.exp(), 1, 1),
        pointwise("sigmoid", LARGE, lambda torch, F, x: torch.sigmoid(x), 3, 3),
        pointwise("tanh", LARGE, lambda torch, F, x: torch.tanh(x), 1, 3),
        pointwise("gelu (tanh)", LARGE, gelu, 9, 16),
        pointwise("gelu (tanh)", (768, 512), gelu, 9, 16),
        pointwise("softmax", LARGE, lambda torch, F, x: F.softmax(x, dim=-1), 4, 4),
        pointwise("log_softmax", (768, 65), lambda torch, F, x: F.log_softmax(x, dim=-1), 4, 4),
        layer_norm(768, 128),
        layer_norm(4096, 1024),
        batch_norm(32, 16, 32, 32),
        cross_entropy(768, 65),
        cross_entropy(512, 10_000),
        pointwise("sum", LARGE, lambda torch, F, x: x.sum(), 1, 0),
        pointwise("mean over rows of", LARGE, lambda torch, F, x: x.mean(-1), 1, 1),
        pointwise("max_pool2d 2x2 of", (32, 16, 32, 32), lambda torch, F, x: F.max_pool2d(x, 2), 1, 0),
        Operation(
            "transpose and copy 1024x4096", ((1024, 4096),), lambda torch, F, x: x.t().contiguous(), (0.0, 0.0),
            lambda y, x: y + x,
        ),
        Operation(
            "embedding 3200 of 10000x64", ((10_000, 64),), lambda torch, F, w, i: F.embedding(i, w), (0.0, 3200.0 * 64),
            lambda y, w: 2 * y + w, lambda rng: [rng.integers(0, 10_000, 3200)],
        ),
    ]
}  # fmt: skip


class Operations:
    """What a worker does when it is asked about operations, in the words of one library."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch

    def prepare(self, name: str) -> dict[str, Any]:
        """Make the arguments, and compute once: weighted sums of the result and of the gradients, for comparison."""
        torch, operation = self.torch, OPERATIONS[name]
        rng = np.random.default_rng(0)
        self.arguments = [torch.from_numpy(rng.standard_normal(shape, dtype=np.float32)) for shape in operation.shapes]
        for x in self.arguments:
            x.requires_grad_()
        self.extra = [torch.from_numpy(array) for array in operation.extra(rng)]
        self.call = lambda: operation.call(torch, torch.nn.functional, *self.arguments, *self.extra)
        y = self.call()
        self.g = torch.from_numpy(np.asarray(rng.standard_normal(tuple(y.shape)), np.float32))
        y.backward(self.g)
        results = [np.asarray(t.detach(), float) for t in (y, *(x.grad for x in self.arguments))]
        sizes = [float(result.size) for result in results]
        self.forget()
        return {
            "sums": [float(np.abs(r).sum()) + float((r.ravel() * np.cos(np.arange(r.size))).sum()) for r in results],
            "bytes": [4 * sum(sizes), 4 * (sum(sizes) + operation.moved(*sizes))],
            "flops": [operation.flops[0], sum(operation.flops)],
        }

    def forget(self) -> None:
        """As `optimizer.zero_grad()` does."""
        for x in self.arguments:
            x.grad = None

    def turn(self, seconds: float) -> dict[str, Any]:
        """Time of each forward pass, then of each forward and backward pass."""
        processor, start = time.process_time(), time.perf_counter()
        for _ in range(3):
            self.call().backward(self.g)
            self.forget()
        forward = repeat(self.call, seconds / 2)
        both = repeat(lambda: self.call().backward(self.g), seconds / 2, self.forget)
        spent = {"wall": time.perf_counter() - start, "processor": time.process_time() - processor}
        return {"forward": forward, "both": both, **spent}

    def gemm(self, seconds: float) -> dict[str, Any]:
        """The fastest matrix product that this library makes, in GFLOP/s."""
        best = 0.0
        for n in (512, 1024, 2048):
            a = self.torch.from_numpy(np.ones((n, n), np.float32))
            best = max(best, 2e-9 * n**3 / min(repeat(partial(operator.matmul, a, a), seconds)))
        return {"gflops": best}


    def bandwidth(self, size: int, seconds: float) -> dict[str, Any]:
        """GB/s of c = a + b by this library, over so many bytes in all."""
        a, b, c = (self.torch.from_numpy(np.ones(size // 12, np.float32)) for _ in range(3))
        passes = max(1, 2**20 // size)
        run = lambda: [self.torch.add(a, b, out=c) for _ in range(passes)]
        return {"gbs": passes * 12 * (size // 12) / quarter(repeat(run, seconds)) / 1e9}


def quarter(times: list[float]) -> float:
    return float(np.percentile(times, 25))


def repeat(function: Callable[[], object], seconds: float, after: Callable[[], object] | None = None) -> list[float]:
    """Time of each of many calls."""
    clock, times = time.perf_counter, list[float]()
    start = clock()
    while len(times) < 3 or clock() - start < seconds:
        before = clock()
        function()
        times.append(clock() - before)
        if after is not None:
            after()
    return times


# ------------------------------------------------------------------------------------------- what the machine can do

SIZES = [2**k for k in range(16, 29, 2)]  # bytes that one pass touches, of all threads together


def machine(threads: int) -> dict[str, Any]:
    """What NumPy gets of the machine's memory for c = a + b: GB/s by the bytes of all three, in its caches and beyond."""
    return {"bandwidth": {str(size): _bandwidth(size, threads) for size in SIZES}}


def _bandwidth(size: int, threads: int) -> float:
    """Each thread adds its own part; NumPy lets go of the interpreter meanwhile."""
    n, seconds = size // 12 // threads, 0.15
    parts = [np.ones((3, n), np.float32) for _ in range(threads)]
    passes = max(1, 2**20 // n)
    best = [0.0] * threads

    def work(i: int) -> None:
        a, b, c = parts[i]
        run = lambda: [np.add(a, b, out=c) for _ in range(passes)]
        best[i] = quarter(repeat(run, seconds))

    workers = [Thread(target=work, args=(i,)) for i in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(passes * 12 * n / t for t in best) / 1e9
