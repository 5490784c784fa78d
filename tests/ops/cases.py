"""One declaration per use of an operation, from which all its tests are made.

A case is a function of a library and of inputs. The library is minigrad or torch, since both have the same words: what
runs in one must run in the other and give the same. From each case test_cases.py makes: forward and gradients against
torch in float32 and float64, gradients and second derivatives against finite differences, strided inputs. The mutation
run (tests/mutants.py) breaks every derivative rule in turn and expects one of these tests to notice.

Inputs are random, of odd and unequal sizes, and away from kinks and ties.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np


@dataclass
class Input:
    """A random array.

    kind: "normal" (none near 0), "positive" (0.5 to 2), "unit" (0.05 to 0.95), "few" (only -1, 0, 1 and 2, so that there
    are ties), "int" (0 to below high), "bool".
    """

    shape: tuple[int, ...]
    kind: str = "normal"
    high: int = 5
    grad: bool = True

    def make(self, rng: np.random.Generator) -> np.ndarray:
        if self.kind == "int":
            return rng.integers(0, self.high, self.shape)
        if self.kind == "few":
            return np.asarray(rng.integers(-1, 3, self.shape) + 0.0)
        if self.kind == "bool":
            return np.asarray(rng.random(self.shape) < 0.6)
        if self.kind == "positive":
            return np.asarray(rng.uniform(0.5, 2, self.shape))
        if self.kind == "unit":
            return np.asarray(rng.uniform(0.05, 0.95, self.shape))
        values = np.asarray(rng.standard_normal(self.shape))
        return np.asarray(values + np.copysign(0.1, values))  # away from 0, where many functions have a kink


@dataclass
class Case:
    name: str
    call: Callable[..., Any]
    inputs: list[Input]
    second: bool = True  # whether it has second derivatives to check
    differences: bool = True  # whether its gradient is that of its values (padding_idx hides some, float32 rounds)
    tolerance: float = 1.0  # factor on the tolerances, for sums of many terms
    index: int = field(default=0)

    def arrays(self) -> list[np.ndarray]:
        rng = np.random.default_rng([self.index, 7])
        return [spec.make(rng) for spec in self.inputs]

    def __str__(self) -> str:
        return f"{self.name}-{self.index}"


CASES: list[Case] = []


def case(name: str, call: Callable[..., Any], *inputs: Any, **options: Any) -> None:
    """Declare a case; a tuple stands for a normal input of that shape."""
    specs = [x if isinstance(x, Input) else Input(x) for x in inputs]
    CASES.append(Case(name, call, specs, index=len(CASES), **options))


def P(*shape: int) -> Input:
    return Input(shape, "positive")


def U(*shape: int) -> Input:
    return Input(shape, "unit")


def I(*shape: int, high: int = 5) -> Input:  # noqa: E743
    return Input(shape, "int", high, grad=False)


def B(*shape: int) -> Input:
    return Input(shape, "bool", grad=False)


# ------------------------------------------------------------------------------------------------------ elementwise

BROADCASTS = [((3, 4), (3, 4)), ((3, 4), (4,)), ((2, 1, 4), (3, 1)), ((), (2, 3)), ((1,), ()), ((0, 3), (3,))]
for a, b in BROADCASTS:
    case("add", lambda t, x, y: x + y, a, b)
    case("add", lambda t, x, y: t.add(x, y, alpha=-1.5), b, a)
    case("add", lambda t, x, y: t.add(x, y, alpha=2), a, b)
    case("sub", lambda t, x, y: t.sub(x, y, alpha=2), a, b)
    case("sub", lambda t, x, y: x - y, a, b)
    case("sub", lambda t, x, y: t.sub(x, y, alpha=3), b, a)
    case("mul", lambda t, x, y: x * y, a, b)
    case("div", lambda t, x, y: x / y, a, P(*b))
    case("pow", lambda t, x, y: x**y, P(*a), b)
    case("maximum", lambda t, x, y: t.maximum(x, y), a, b)
    case("minimum", lambda t, x, y: t.minimum(x, y), a, b)
    case("remainder", lambda t, x, y: x % y, a, P(*b), second=False)
for shape in [(3, 4), (), (2, 0)]:
    case("scalars", lambda t, x: 2.5 * x + 1 - x / 4 - 3, shape)
    case("scalars", lambda t, x: 2 / x + (5 - x) + 2.0**x, P(*shape))
    case("neg", lambda t, x: -x, shape)
    case("abs", lambda t, x: x.abs(), shape)
    case("square", lambda t, x: x.square(), shape)
    case("tanh", lambda t, x: x.tanh(), shape)
    case("exp", lambda t, x: x.exp(), shape)
for power in (2, 3, 0, 1, -1, 0.5, 2.5, -2.0):
    case("pow", lambda t, x, n=power: x**n, P(3, 2))
case("pow", lambda t, x: x**3, (3, 2))
case("pow", lambda t, x: x**2, (2,))
case("pow", lambda t, x: 3.0**x, (3, 2))
for name in ("sign", "floor", "ceil", "round", "trunc"):
    case(name, lambda t, x, f=name: getattr(t, f)(x * 3), (3, 4), second=False)
case("round", lambda t, x: t.round(x, decimals=2), (3, 4), second=False)
for name in ("expm1", "sin", "cos", "sigmoid", "erf", "relu"):
    case(name, lambda t, x, f=name: getattr(t, f)(x), (3, 4))
for name in ("log", "log1p", "sqrt", "rsqrt", "reciprocal"):
    case(name, lambda t, x, f=name: getattr(t, f)(x), P(3, 4))
case("logsigmoid", lambda t, x: t.nn.functional.logsigmoid(x), (3, 4))
case("gelu", lambda t, x: t.nn.functional.gelu(x), (3, 4))
case("gelu", lambda t, x: t.nn.functional.gelu(x, approximate="tanh"), (3, 4))
case("clamp", lambda t, x: x.clamp(-0.5, 0.7), (4, 5))
case("clamp", lambda t, x: x.clamp(min=0.2), (4, 5))
case("clamp", lambda t, x: x.clamp(max=0.2), (4, 5))
case("clamp", lambda t, x, low, high: t.clamp(x, low, high), (4, 5), (5,), (4, 1))
case("clamp", lambda t, x, low: t.clamp(x, min=low), (4, 5), (5,))
case("clamp", lambda t, x, high: t.clamp(x, max=high), (4, 5), (5,))
case("where", lambda t, c, x, y: t.where(c, x, y), B(3, 1), (3, 4), (4,))
case("where", lambda t, c, x: t.where(c, x, 2.5), B(3, 4), (4,))
case("where", lambda t, c, x: t.where(c, 0.0, x), B(4), (3, 1))
case("masked_fill", lambda t, x, m: x.masked_fill(m, -2.5), (3, 4), B(4))
case("masked_fill", lambda t, x, m, v: x.masked_fill(m, v), (3, 4), B(3, 4), ())
case("lerp", lambda t, x, y, w: t.lerp(x, y, w), (3, 4), (4,), U(3, 1))
case("lerp", lambda t, x, y: t.lerp(x, y, 0.3), (3, 4), (3, 4))



def _in_place(y: Any, w: Any) -> Any:
    y[0].mul_(w)
    y[1:, ::2].sub_(w[:2] * 3)
    return y * y


# Kinks and ties, where only torch says what the subgradient is: no finite differences.
def kink(name: str, call: Callable[..., Any], *shapes: tuple[int, ...]) -> None:
    case(name, call, *[Input(shape, "few") for shape in shapes], differences=False)


kink("abs", lambda t, x: x.abs(), (4, 5))
kink("relu", lambda t, x: x.relu(), (4, 5))
kink("clamp", lambda t, x: x.clamp(0.0, 1.0), (4, 5))
kink("clamp", lambda t, x, low, high: t.clamp(x, low, high), (4, 5), (4, 5), (4, 5))
kink("maximum", lambda t, x, y: t.maximum(x, y), (4, 5), (5,))
kink("minimum", lambda t, x, y: t.minimum(x, y), (4, 5), (5,))
kink("amax", lambda t, x: x.amax(1), (4, 5))
kink("amin", lambda t, x: t.amin(x, (0, 2), keepdim=True), (4, 5, 3))
kink("max", lambda t, x: x.max(), (4, 5))
kink("max", lambda t, x: x.max(0).values, (4, 5))
kink("pow", lambda t, x, y: x**y, (6, 7), (6, 7))
kink("pow", lambda t, y: 0.0**y, (7,))
case("pow", lambda t, y: 0.5**y * 1.7 ** (y + 1), (7,))
kink("pow", lambda t, x: x**2 + x**0, (7,))
kink("remainder", lambda t, x, y: x % (y + 2.5), (4, 5), (5,))

# -------------------------------------------------------------------------------------------------------- reductions

for dim in (None, 0, -1, (0, 2), (1,), ()):
    for keep in (False, True):
        case("sum", lambda t, x, d=dim, k=keep: t.sum(x, d, k) if d is not None else t.sum(x), (2, 3, 4))
        case("mean", lambda t, x, d=dim, k=keep: t.mean(x, d, k) if d is not None else t.mean(x), (2, 3, 4))
        case("amax", lambda t, x, d=dim, k=keep: t.amax(x, () if d is None else d, k), (2, 3, 4))
        case("amin", lambda t, x, d=dim, k=keep: t.amin(x, () if d is None else d, k), (2, 3, 4))
        if dim not in (None, ()):
            kink("logsumexp", lambda t, x, d=dim, k=keep: t.logsumexp(t.where(x > 0, x, -float("inf")), d, k), (2, 1, 3))
            case("logsumexp", lambda t, x, d=dim, k=keep: t.logsumexp(x, d, k), (2, 3, 4))
case("sum", lambda t, x: x.sum(), ())
case("sum", lambda t, x: x.sum(0), (0, 3))
case("sum", lambda t, x: x.sum(dim=1, dtype=t.float64), (3, 4))
case("mean", lambda t, x: x.mean(), ())
kink("logsumexp", lambda t, x: t.logsumexp(x - float("inf"), 1), (2, 3))
case("in place", lambda t, x, w: _in_place(x * 2, w), (3, 4), (4,))
for correction in (0, 1, 2):
    case("var", lambda t, x, c=correction: t.var(x, 1, correction=c), (2, 4, 3))
    case("std", lambda t, x, c=correction: t.std(x, (0, 2), correction=c, keepdim=True), (2, 4, 3))
case("var", lambda t, x: x.var(), (3, 4))
case("var", lambda t, x: x.var(0, unbiased=False), (3, 4))
case("var_mean", lambda t, x: t.var_mean(x, 1)[0] * t.var_mean(x, 1)[1], (3, 4))
case("max", lambda t, x: x.max(), (3, 4))
case("min", lambda t, x: x.min(), (3, 4))
case("max", lambda t, x: x.max(1).values, (3, 4))
case("max", lambda t, x: x.max(0, keepdim=True)[0], (3, 4))
case("min", lambda t, x: t.min(x, -1)[0], (2, 3, 4))
case("max", lambda t, x, y: t.max(x, y), (3, 4), (4,))
for descending in (False, True):
    case("sort", lambda t, x, d=descending: x.sort(1, descending=d).values, (3, 5))
    kink("sort", lambda t, x, d=descending: t.sort(x, dim=0, descending=d, stable=True)[0], (7, 2))
    case("topk", lambda t, x, d=descending: t.topk(x, 2, dim=0, largest=d)[0], (5, 3))
case("cumsum", lambda t, x: x.cumsum(0), (3, 4))
case("cumsum", lambda t, x: t.cumsum(x, dim=-1), (2, 3, 2))
for dim in (0, 1, -1):
    case("softmax", lambda t, x, d=dim: t.softmax(x, d), (2, 3, 4))
    case("log_softmax", lambda t, x, d=dim: t.log_softmax(x, dim=d), (2, 3, 4))
case("softmax", lambda t, x: t.nn.functional.softmax(x, dim=0), ())
case("softmax", lambda t, x: x.softmax(1), (0, 3))
case("log_softmax", lambda t, x: x.log_softmax(-1), (3, 1))

# -------------------------------------------------------------------------------------------------------------- shape

case("reshape", lambda t, x: x.reshape(4, -1), (2, 3, 4))
case("reshape", lambda t, x: t.reshape(x, (-1,)), (0, 3))
case("reshape", lambda t, x: x.transpose(0, 1).reshape(-1), (2, 3))
case("view", lambda t, x: x.view(6, 4), (2, 3, 4))
case("view_as", lambda t, x: x.view_as(t.zeros(3, 8)), (2, 3, 4))
case("flatten", lambda t, x: x.flatten(1), (2, 3, 4))
case("flatten", lambda t, x: x.flatten(), ())
case("unflatten", lambda t, x: x.unflatten(1, (3, -1)), (2, 12))
case("squeeze", lambda t, x: x.squeeze(), (1, 3, 1))
case("squeeze", lambda t, x: x.squeeze(1), (1, 3, 1))
case("squeeze", lambda t, x: x.squeeze((0, -1)), (1, 3, 1))
case("unsqueeze", lambda t, x: x.unsqueeze(-1), (2, 3))
case("unsqueeze", lambda t, x: x.unsqueeze(0), ())
case("expand", lambda t, x: x.expand(2, 3, 4), (3, 1))
case("expand", lambda t, x: x.expand(3, -1), (1, 4))
case("expand", lambda t, x: t.broadcast_to(x, (2, 3)), ())
case("transpose", lambda t, x: x.transpose(0, -1), (2, 3, 4))
case("transpose", lambda t, x: x.mT, (2, 3, 4))
case("transpose", lambda t, x: x.t(), (2, 3))
case("permute", lambda t, x: x.permute(2, 0, 1), (2, 3, 4))
case("permute", lambda t, x: t.permute(x, (-1, 0, 1)), (2, 3, 4))
case("permute", lambda t, x: x.T, (3, 2))
case("movedim", lambda t, x: t.movedim(x, 0, -1), (2, 3, 4))
case("movedim", lambda t, x: t.movedim(x, (0, 1), (-1, 0)), (2, 3, 4))
case("flip", lambda t, x: x.flip(0), (3, 2))
case("flip", lambda t, x: t.flip(x, (0, -1)), (3, 2, 4))
case("cat", lambda t, x, y, z: t.cat([x, y, z], 1), (2, 3), (2, 1), (2, 2))
case("cat", lambda t, x, y: t.cat((x, y), dim=-2), (2, 3, 2), (2, 1, 2))
case("cat", lambda t, x, y: t.cat((x, y)), (0,), (2, 3))
case("stack", lambda t, x, y: t.stack([x, y], 1), (2, 3), (2, 3))
case("stack", lambda t, x, y: t.stack([x, y], -1), (2, 3), (2, 3))
case("split", lambda t, x: x.split(2)[0] * x.split(2)[1], (4, 3))
case("split", lambda t, x: t.split(x, [1, 3], dim=1)[1], (2, 4))
case("chunk", lambda t, x: x.chunk(2, dim=-1)[1], (2, 5))
case("unbind", lambda t, x: t.unbind(x, 1)[2] * t.unbind(x, 1)[0], (2, 3))
case("narrow", lambda t, x: t.narrow(x, 1, 1, 2), (2, 4))
case("pad", lambda t, x: t.nn.functional.pad(x, (1, 2)), (2, 3))
case("pad", lambda t, x: t.nn.functional.pad(x, (0, 1, 2, 0), value=1.5), (2, 3))
case("pad", lambda t, x: t.nn.functional.pad(x, (-1, 2, 0, -1)), (3, 4))
case("repeat", lambda t, x: x.repeat(2, 1, 3), (2, 3))
case("roll", lambda t, x: t.roll(x, 1), (2, 3))
case("roll", lambda t, x: t.roll(x, (1, -2), (0, 1)), (2, 3))
case("tril", lambda t, x: x.tril(-1), (4, 3))
case("triu", lambda t, x: t.triu(x, 1), (2, 3, 4))
case("clone", lambda t, x: x.clone(), (2, 3))
case("contiguous", lambda t, x: x.transpose(0, 1).contiguous() * 2, (2, 3))
case("cast", lambda t, x: x.to(t.float64) * 2, (2, 3))
case("cast", lambda t, x: x.to(t.float32) * 2, (2, 3), differences=False, tolerance=1e5)
case("cast", lambda t, x: (x * t.ones(3, dtype=t.int64)).half().float(), (2, 3), differences=False, tolerance=1e8)

# ----------------------------------------------------------------------------------------------------------- indexing

INDEXES: list[Any] = [
    0, -1, slice(1, None), slice(None, None, 2), (slice(None), 1), (0, 1, 2), (Ellipsis, 0), None, (None, 0, Ellipsis, None),
    (slice(0, 0),), [0, 1, 1], (slice(None), [2, 0, 2]), ([0, 1], [1, 2]), (0, slice(None), [1, 1]), ([1, 0], slice(None), 2),
    ([[0, 1], [1, 1]],), (slice(None), None, [0, 2]), (slice(None), [True, False, True]), (Ellipsis, [0, 3]), (-1, [0, -1]),
    ([0, 1], slice(1, 3), [1, 3]), (slice(None, -1), [0, 0], 1),
]  # fmt: skip
for index in INDEXES:
    case("getitem", lambda t, x, i=index: x[i], (2, 3, 4))
case("getitem", lambda t, x, m: x[m], (3, 4), B(3, 4))
case("getitem", lambda t, x, m: x[m], (3, 4), B(3))
case("getitem", lambda t, x, i: x[i], (5, 2), I(2, 3))
case("getitem", lambda t, x, i, j: x[i, j], (5, 5), I(4), I(3, 1))
case("getitem", lambda t, x, i: x[:, i] * x[0, 1], (3, 5), I(2))
case("gather", lambda t, x, i: x.gather(1, i), (3, 5), I(3, 2))
case("gather", lambda t, x, i: t.gather(x, 0, i), (5, 3, 2), I(4, 2, 2))
case("take_along_dim", lambda t, x, i: t.take_along_dim(x, i, 1), (3, 5), I(1, 4))
case("index_select", lambda t, x, i: x.index_select(-1, i), (3, 5), I(7))
case("scatter_add", lambda t, x, i, s: x.scatter_add(1, i, s), (3, 5), I(3, 4), (3, 4))
case("masked_select", lambda t, x, m: x.masked_select(m), (3, 4), B(4))
case("embedding", lambda t, i, w: t.nn.functional.embedding(i, w), I(2, 3), (5, 4))
case("embedding", lambda t, i, w: t.nn.functional.embedding(i, w, padding_idx=2), I(7), (5, 4), differences=False)


def _written(t: Any, x: Any, value: Any, index: Any) -> Any:
    y = x * 1
    y[index] = value
    return y * y


for index in (0, slice(1, None), (slice(None), 1), [0, 1], (Ellipsis, [0, 3]), (1, [0, 2])):
    case("setitem", lambda t, x, i=index: _written(t, x, 2.5, i), (2, 3, 4))
case("setitem", lambda t, x, v: _written(t, x, v, (slice(None), 1)), (2, 3), (2,))
case("setitem", lambda t, x, v: _written(t, x, v, 1), (2, 3), ())
case("setitem", lambda t, x, v, m: _written(t, x, v, m), (2, 3), (), B(2, 3))

# ------------------------------------------------------------------------------------------------- products, norm, loss

for a, b in [
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((5, 2, 3), (3,)), ((3,), (5, 3, 2)),
    ((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4)), ((5, 2, 3), (5, 3, 4)), ((2, 1, 2, 3), (4, 3, 2)), ((2, 5, 2, 3), (3, 4)),
    ((0, 3), (3, 2)), ((2, 0), (0, 3)), ((3, 0, 2), (2, 4)), ((2, 2, 3), (1, 3, 4)), ((6, 1, 3), (3, 1)),
]:  # fmt: skip
    case("matmul", lambda t, x, y: x @ y, a, b)
case("linear", lambda t, x, w: t.nn.functional.linear(x, w), (2, 3), (4, 3))
case("linear", lambda t, x, w, b: t.nn.functional.linear(x, w, b), (2, 5, 3), (4, 3), (4,))
case("linear", lambda t, x, w, b: t.nn.functional.linear(x, w, b), (3,), (4, 3), (4,))
case("mm", lambda t, x, y: t.mm(x, y), (2, 3), (3, 4))
case("bmm", lambda t, x, y: t.bmm(x, y), (2, 3, 4), (2, 4, 5))
case("mv", lambda t, x, y: t.mv(x, y), (2, 3), (3,))
case("dot", lambda t, x, y: t.dot(x, y), (3,), (3,))
case("outer", lambda t, x, y: t.outer(x, y), (3,), (4,))
case("layer_norm", lambda t, x, w, b: t.nn.functional.layer_norm(x, (5,), w, b), (2, 3, 5), (5,), (5,))
case("layer_norm", lambda t, x, w: t.nn.functional.layer_norm(x, (3, 5), w, eps=1e-3), (2, 3, 5), (3, 5))
case("layer_norm", lambda t, x: t.nn.functional.layer_norm(x, (4,)), (3, 4))
for reduction in ("mean", "sum", "none"):
    r = reduction
    case("mse_loss", lambda t, x, y, r=r: t.nn.functional.mse_loss(x, y, reduction=r), (3, 4), (3, 4))
    case("l1_loss", lambda t, x, y, r=r: t.nn.functional.l1_loss(x, y, reduction=r), (3, 4), (3, 4))
    if r != "mean":  # torch warns that it is not the mathematical one
        case("kl_div", lambda t, x, y, r=r: t.nn.functional.kl_div(x, y, reduction=r), (3, 4), U(3, 4))
    case(
        "binary_cross_entropy_with_logits",
        lambda t, x, y, w, p, r=r: t.nn.functional.binary_cross_entropy_with_logits(x, y, w, reduction=r, pos_weight=p),
        (3, 4), U(3, 4), Input((3, 4), "positive", grad=False), Input((4,), "positive", grad=False),
    )  # fmt: skip
    case(
        "binary_cross_entropy_with_logits",
        lambda t, x, y, r=r: t.nn.functional.binary_cross_entropy_with_logits(x, y, reduction=r), (3, 4), U(3, 4),
    )  # fmt: skip
    for smoothing in (0.0, 0.2):
        for shape, target in (((6, 5), (6,)), ((5,), ()), ((2, 5, 3), (2, 3))):
            case(
                "cross_entropy",
                lambda t, x, y, r=r, s=smoothing: t.nn.functional.cross_entropy(
                    x, y, ignore_index=1, reduction=r, label_smoothing=s
                ),
                shape, I(*target, high=5 if target else 1),
            )  # fmt: skip
            case(
                "cross_entropy",
                lambda t, x, y, w, r=r, s=smoothing: t.nn.functional.cross_entropy(
                    x, y, w, reduction=r, label_smoothing=s
                ),
                shape, I(*target), Input((5,), "positive", grad=False),
            )  # fmt: skip
        case(
            "cross_entropy",
            lambda t, x, y, w, r=r, s=smoothing: t.nn.functional.cross_entropy(x, y, w, reduction=r, label_smoothing=s),
            (4, 5), U(4, 5), Input((5,), "positive", grad=False),
        )  # fmt: skip
    case("nll_loss", lambda t, x, y, r=r: t.nn.functional.nll_loss(x, y, ignore_index=2, reduction=r), (6, 5), I(6))
case("kl_div", lambda t, x, y: t.nn.functional.kl_div(x, y, reduction="batchmean", log_target=True), (3, 4), (3, 4))
case("cross_entropy", lambda t, x, y: t.nn.functional.cross_entropy(x, y), (7, 5), I(7))
case("cross_entropy", lambda t, x, y: t.nn.functional.cross_entropy(x, y, ignore_index=3), (7, 5), I(7))


def _attention(t: Any, *args: Any, **options: Any) -> Any:
    return t.nn.functional.scaled_dot_product_attention(*args, **options)


QKV = ((2, 3, 4, 5), (2, 3, 6, 5), (2, 3, 6, 2))
case("attention", lambda t, q, k, v: _attention(t, q, k, v), *QKV)
case("attention", lambda t, q, k, v: _attention(t, q, k, v, is_causal=True, scale=0.3), *QKV)
case("attention", lambda t, q, k, v: _attention(t, q, k, v, is_causal=True), (4, 5), (4, 5), (4, 3))
case("attention", lambda t, q, k, v, m: _attention(t, q, k, v, m), *QKV, B(4, 6))
case("attention", lambda t, q, k, v, m: _attention(t, q, k, v, attn_mask=m), *QKV, (2, 1, 4, 6))
case("attention", lambda t, q, k, v: _attention(t, q, k, v, enable_gqa=True), (2, 4, 3, 5), (2, 2, 6, 5), (2, 2, 6, 2))

# The other sheets of cases, cases_*.py beside this file, add theirs.
for sheet in sorted(Path(__file__).parent.glob("cases_*.py")):
    import_module(f"{__package__}.{sheet.stem}")
