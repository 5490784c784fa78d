"""The training steps that are measured, each written once, in PyTorch's words.

A workload is a function of the library, `torch` or `minigrad`, that returns a step: a function without arguments, which
trains on the next batch and returns the loss. Weights and data come from NumPy, so they are the same in both. Labels are
random, and there are 16 batches of them, so that no network learns them by heart while it is measured: gradients that
vanish would be denormal numbers in the end, which every processor is slow with.

This file imports nothing of minigrad, see worker.py.
"""

# mypy: disable-error-code="name-defined"
# (the base class of a model is whichever library's nn.Module is passed in)

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice, pairwise
from typing import Any

import numpy as np

BATCHES = 16  # different ones, in turn

Step = Callable[[], float]


@dataclass(frozen=True)
class Workload:
    """A training step to measure.

    Attributes:
        title: what it is, for tables.
        make: function of (library, best) that returns the step; best asks for the library's fastest settings.
        tolerance: by how much, relatively, the first losses of two libraries may differ.
    """

    title: str
    make: Callable[[Any, bool], Step]
    tolerance: float = 1e-4


# ---------------------------------------------------------------------------------------------------------- pieces


def set_weights(torch: Any, model: Any) -> None:
    """The same weights in either library: normal with variance 1/fan-in; those of norms are 1, biases small."""
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for name, p in model.named_parameters():
            shape = tuple(p.shape)
            if len(shape) > 1:
                values = rng.standard_normal(shape) / math.sqrt(math.prod(shape[1:]))
            else:
                values = np.ones(shape) if name.endswith("weight") else 0.01 * rng.standard_normal(shape)
            p.copy_(torch.from_numpy(values.astype(np.float32)))


def optimizer(torch: Any, kind: str, parameters: Any, best: bool, lr: float = 1e-3) -> Any:
    """An optimizer as one writes it at first, or with what its library offers for speed."""
    return getattr(torch.optim, kind)(list(parameters), lr=lr, **({"fused": True} if best else {}))


def batches(torch: Any, draw: Callable[[np.random.Generator], tuple], device: str = "cpu") -> Iterator[list]:
    """What is drawn, as tensors, again and again."""
    rng = np.random.default_rng(1)
    return cycle([[torch.from_numpy(array).to(device) for array in draw(rng)] for _ in range(BATCHES)])


def trainer(
    torch: Any, model: Any, loss: Callable, data: Iterator[list], kind: str, best: bool, device: str = "cpu"
) -> Step:
    """The step that everybody writes."""
    set_weights(torch, model)
    model.to(device)
    update = optimizer(torch, kind, model.parameters(), best)

    def step() -> float:
        x, y = next(data)
        update.zero_grad()
        value = loss(model(x), y)
        value.backward()
        update.step()
        return value.item()

    return step


def images(torch: Any, model: Any, data: Iterator[list], best: bool) -> tuple[Any, Iterator[list]]:
    """A convolutional network and its data as they are, or with the channels last in memory, which PyTorch likes best."""
    if not best:
        return model, data
    last = {"memory_format": torch.channels_last}
    return model.to(**last), cycle([[x.contiguous(**last), y] for x, y in islice(data, BATCHES)])


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape, dtype=np.float32)


# ----------------------------------------------------------------------------------------------------------- models


def xor(torch: Any, best: bool) -> Step:
    nn = torch.nn
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    y = np.array([[0], [1], [1], [0]], np.float32)
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    data = batches(torch, lambda rng: (x, y))
    return trainer(torch, model, nn.functional.binary_cross_entropy_with_logits, data, "Adam", best)


def mlp(sizes: tuple[int, ...], batch: int, kind: str) -> Callable[[Any, bool], Step]:
    def make(torch: Any, best: bool) -> Step:
        nn = torch.nn
        layers: list[Any] = []
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        data = batches(torch, lambda rng: (normal(rng, batch, sizes[0]), rng.integers(0, sizes[-1], batch)))
        return trainer(torch, nn.Sequential(*layers[:-1]), nn.functional.cross_entropy, data, kind, best)

    return make


def gpt(layers: int, width: int, heads: int, time: int, batch: int, vocabulary: int = 65) -> Callable[..., Step]:
    def make(torch: Any, best: bool, device: str = "cpu") -> Step:
        nn, F = torch.nn, torch.nn.functional

        class Attention(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

            def forward(self, x: Any) -> Any:
                B, T, C = x.shape
                q, k, v = (z.view(B, T, heads, C // heads).transpose(1, 2) for z in self.qkv(x).split(C, dim=2))
                y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
                return self.proj(y.transpose(1, 2).reshape(B, T, C))

        class Block(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
                self.attention = Attention()
                self.mlp = nn.Sequential(
                    nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
                )

            def forward(self, x: Any) -> Any:
                x = x + self.attention(self.ln_1(x))
                return x + self.mlp(self.ln_2(x))

        class GPT(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(time, width)
                self.blocks = nn.Sequential(*[Block() for _ in range(layers)])
                self.ln, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)

            def forward(self, x: Any) -> Any:
                x = self.tokens(x) + self.positions.weight
                return self.head(self.ln(self.blocks(x))).flatten(0, 1)

        def draw(rng: np.random.Generator) -> tuple:
            return rng.integers(0, vocabulary, (batch, time)), rng.integers(0, vocabulary, batch * time)

        return trainer(torch, GPT(), F.cross_entropy, batches(torch, draw, device), "Adam", best, device)

    return make


def lenet(torch: Any, best: bool) -> Step:
    nn = torch.nn
    model = nn.Sequential(
        nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip
    data = batches(torch, lambda rng: (normal(rng, 32, 1, 28, 28), rng.integers(0, 10, 32)))
    model, data = images(torch, model, data, best)
    return trainer(torch, model, nn.functional.cross_entropy, data, "Adam", best)


def resnet(torch: Any, best: bool) -> Step:
    nn, F = torch.nn, torch.nn.functional

    class Residual(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.conv_1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
            self.conv_2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
            self.norm_1, self.norm_2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)

        def forward(self, x: Any) -> Any:
            y = F.relu(self.norm_1(self.conv_1(x)))
            return F.relu(x + self.norm_2(self.conv_2(y)))

    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), Residual(16),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(), Residual(32),
        nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.ReLU(), Residual(64),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip
    data = batches(torch, lambda rng: (normal(rng, 32, 3, 32, 32), rng.integers(0, 10, 32)))
    model, data = images(torch, model, data, best)
    return trainer(torch, model, F.cross_entropy, data, "Adam", best)


def lstm(hidden: int, time: int = 100, batch: int = 32, words: int = 10_000) -> Callable[[Any, bool], Step]:
    def make(torch: Any, best: bool) -> Step:
        nn = torch.nn

        class Classifier(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.embedding = nn.Embedding(words, 16)
                self.lstm = nn.LSTM(16, hidden, batch_first=True)
                self.head = nn.Linear(hidden, 1)

            def forward(self, x: Any) -> Any:
                return self.head(self.lstm(self.embedding(x))[0][:, -1])

        def draw(rng: np.random.Generator) -> tuple:
            return rng.integers(0, words, (batch, time)), rng.integers(0, 2, (batch, 1)).astype(np.float32)

        loss = nn.functional.binary_cross_entropy_with_logits
        return trainer(torch, Classifier(), loss, batches(torch, draw), "Adam", best)

    return make


def adam(tensors: int, size: int) -> Callable[[Any, bool], Step]:
    """The update alone: so many tensors of so many numbers. In place of a loss, the mean of the first one."""

    def make(torch: Any, best: bool) -> Step:
        rng = np.random.default_rng(0)
        parameters = [torch.nn.Parameter(torch.from_numpy(normal(rng, size))) for _ in range(tensors)]
        for p in parameters:
            p.grad = torch.from_numpy(normal(rng, size))
        update, first = optimizer(torch, "Adam", parameters, best), parameters[0].detach()[:1000]

        def step() -> float:
            update.step()
            return first.abs().mean().item()

        return step

    return make


WORKLOADS: dict[str, Workload] = {
    "xor": Workload("XOR, 2-8-1 MLP", xor),
    "mlp_128": Workload("MLP 784-128-10, batch 64", mlp((784, 128, 10), 64, "Adam")),
    "mlp_512": Workload("MLP 784-512-512-10, batch 128", mlp((784, 512, 512, 10), 128, "Adam")),
    "mlp_512_sgd": Workload("MLP 784-512-512-10, batch 128, SGD", mlp((784, 512, 512, 10), 128, "SGD")),
    "gpt_small": Workload("GPT 4x128, T 64, batch 12", gpt(4, 128, 4, 64, 12)),
    "gpt_large": Workload("GPT 6x384, T 256, batch 4", gpt(6, 384, 6, 256, 4)),
    "lenet": Workload("LeNet 28x28, batch 32", lenet),
    "resnet": Workload("ResNet-like 32x32, batch 32", resnet, 1e-3),
    "lstm_16": Workload("LSTM, hidden 16, T 100, batch 32", lstm(16)),
    "lstm_128": Workload("LSTM, hidden 128, T 100, batch 32", lstm(128)),
    "adam_1m": Workload("Adam, 1M parameters in 20 tensors", adam(20, 50_000), 2e-6),
    "adam_10m": Workload("Adam, 10M parameters in 50 tensors", adam(50, 200_000), 2e-6),
}
