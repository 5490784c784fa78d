"""The small networks in the words of other libraries: autograd, MyGrad, JAX, tinygrad. Weights and data as in workloads.py.

Each is written as its own documentation would write it, and JAX and tinygrad compile their step. None of them has all
that a GPT or a convolutional network needs without much code of ours, which we would then be measuring.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, pairwise
from typing import Any

import numpy as np

Step = Callable[[], float]

LR, BETA1, BETA2, EPS = 1e-3, 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Net:
    """An MLP and how it is trained.

    Attributes:
        sizes: of its layers, from the inputs to the outputs.
        batch: examples in one step.
        adam: else SGD.
        xor: tanh and binary cross entropy, in place of ReLU and cross entropy.
    """

    sizes: tuple[int, ...]
    batch: int
    adam: bool = True
    xor: bool = False

    def weights(self) -> list[np.ndarray]:
        """(out, in) and (out,) of each layer: what `set_weights` of workloads.py gives."""
        rng, found = np.random.default_rng(0), []
        for inputs, outputs in pairwise(self.sizes):
            found += [rng.standard_normal((outputs, inputs)) / math.sqrt(inputs), 0.01 * rng.standard_normal(outputs)]
        return [array.astype(np.float32) for array in found]

    def batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """As in workloads.py."""
        if self.xor:
            x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
            return cycle([(x, np.array([[0], [1], [1], [0]], np.float32))])
        rng = np.random.default_rng(1)
        draw = lambda: (
            rng.standard_normal((self.batch, self.sizes[0]), dtype=np.float32),
            rng.integers(0, self.sizes[-1], self.batch),
        )
        return cycle([draw() for _ in range(16)])


NETS = {
    "xor": Net((2, 8, 1), 4, xor=True),
    "mlp_128": Net((784, 128, 10), 64),
    "mlp_512": Net((784, 512, 512, 10), 128),
    "mlp_512_sgd": Net((784, 512, 512, 10), 128, adam=False),
}


def make(name: str, workload: str) -> Step:
    """The step of a workload in the words of a library."""
    return {"autograd": autograd, "mygrad": mygrad, "jax": jax, "tinygrad": tinygrad}[name](NETS[workload])


def forward(net: Net, xp: Any, weights: Any, x: Any) -> Any:
    """The scores, for libraries in NumPy's words."""
    layers = list(zip(weights[::2], weights[1::2]))
    for w, b in layers[:-1]:
        x = x @ w.T + b
        x = xp.tanh(x) if net.xor else xp.maximum(x, 0)
    w, b = layers[-1]
    return x @ w.T + b


def loss(net: Net, xp: Any, weights: Any, x: Any, y: Any) -> Any:
    """Its loss, for libraries in NumPy's words."""
    z = forward(net, xp, weights, x)
    if net.xor:
        return xp.mean(xp.maximum(z, 0) - z * y + xp.log1p(xp.exp(-xp.abs(z))))
    z = z - xp.max(z, axis=1, keepdims=True)
    return xp.mean(xp.log(xp.sum(xp.exp(z), axis=1)) - z[np.arange(net.batch), y])


class Update:
    """SGD or Adam on NumPy arrays, in place, as it is written where a library brings no optimizer for arrays."""

    def __init__(self, net: Net, weights: list[np.ndarray]) -> None:
        self.net, self.weights, self.t = net, weights, 0
        self.m, self.v = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]

    def __call__(self, grads: Any) -> None:
        self.t += 1
        for w, g, m, v in zip(self.weights, grads, self.m, self.v):
            if not self.net.adam:
                w -= LR * g
                continue
            m += (1 - BETA1) * (g - m)
            v += (1 - BETA2) * (g * g - v)
            w -= LR / (1 - BETA1**self.t) * m / (np.sqrt(v / (1 - BETA2**self.t)) + EPS)


def autograd(net: Net) -> Step:
    import autograd.numpy as anp
    from autograd import value_and_grad

    weights, data = net.weights(), net.batches()
    differentiate = value_and_grad(lambda weights, x, y: loss(net, anp, weights, x, y))
    update = Update(net, weights)

    def step() -> float:
        value, grads = differentiate(weights, *next(data))
        update(grads)
        return float(value)

    return step


def mygrad(net: Net) -> Step:
    import mygrad as mg
    from mygrad.nnet.activations import relu
    from mygrad.nnet.losses import softmax_crossentropy

    weights, data = [mg.tensor(w, copy=False) for w in net.weights()], net.batches()
    update = Update(net, [w.data for w in weights])

    def step() -> float:
        x: Any
        x, y = next(data)
        if net.xor:
            z = forward(net, mg, weights, x)
            value = mg.mean(mg.maximum(z, 0) - z * y + mg.log1p(mg.exp(-mg.abs(z))))
        else:
            for w, b in zip(weights[:-2:2], weights[1:-2:2]):
                x = relu(x @ w.T + b)
            value = softmax_crossentropy(x @ weights[-2].T + weights[-1], y)
        value.backward()
        with mg.mem_guard_off:
            update([w.grad for w in weights])
        for w in weights:
            w.null_grad()
        return float(value)

    return step


def jax(net: Net) -> Step:
    import jax
    import jax.numpy as jnp

    def adam(w: Any, g: Any, m: Any, v: Any, t: Any) -> tuple:
        m, v = m + (1 - BETA1) * (g - m), v + (1 - BETA2) * (g * g - v)
        return w - LR / (1 - BETA1**t) * m / (jnp.sqrt(v / (1 - BETA2**t)) + EPS), m, v

    def train(weights: Any, m: Any, v: Any, t: Any, x: Any, y: Any) -> tuple:
        value, grads = jax.value_and_grad(lambda weights: loss(net, jnp, weights, x, y))(weights)
        if not net.adam:
            return value, [w - LR * g for w, g in zip(weights, grads)], m, v
        weights, m, v = map(list, zip(*[adam(*them, t) for them in zip(weights, grads, m, v)]))
        return value, weights, m, v

    compiled = jax.jit(train, donate_argnums=(0, 1, 2))
    weights, data = [jnp.array(w) for w in net.weights()], net.batches()
    state = [weights, *([jnp.zeros_like(w) for w in weights] for _ in range(2))]
    count = 0.0

    def step() -> float:
        nonlocal count
        count += 1
        value, *state[:] = compiled(*state, count, *next(data))
        return float(value)

    return step


def tinygrad(net: Net) -> Step:
    from tinygrad import Tensor, TinyJit, nn
    from tinygrad.helpers import Context

    weights = [Tensor(w).realize() for w in net.weights()]
    update = (nn.optim.Adam if net.adam else nn.optim.SGD)(weights, lr=LR)
    data = cycle([(Tensor(x).realize(), Tensor(y).realize()) for x, y in _once(net)])

    @TinyJit
    def train(x: Any, y: Any) -> Any:
        update.zero_grad()
        for w, b in zip(weights[:-2:2], weights[1:-2:2]):
            x = x @ w.T + b
            x = x.tanh() if net.xor else x.relu()
        z = x @ weights[-2].T + weights[-1]
        value = z.binary_crossentropy_logits(y) if net.xor else z.sparse_categorical_crossentropy(y)
        value.backward()
        return value.realize(*update.schedule_step())

    def step() -> float:
        with Context(TRAINING=1):
            return float(train(*next(data)).item())

    return step


def _once(net: Net) -> list[tuple[np.ndarray, np.ndarray]]:
    data = net.batches()
    return [next(data) for _ in range(16)]
