"""Activations, as functions and as layers for use in Sequential: the smooth ones, and the softmax family.

Those with a kink are in rectifiers.py. Where PyTorch has `inplace`, the result can be written into the input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..composite import composite
from ..creation import rand_like
from ..errors import explained
from ..kernels import cpu as kernels
from ..ops.choice import clamp, where
from ..ops.elementwise import gelu, log, log1p, logsigmoid, relu, sigmoid, tanh
from ..ops.indexing import one_hot
from ..ops.reduction import log_softmax as _log_softmax
from ..ops.reduction import softmax as _softmax
from ..tensor import Tensor
from .module import Module


def _place(function: Callable, input: Any, inplace: bool) -> Any:
    """The function's result; in place it works on a copy, since backward may need what stood there."""
    return input._assign("inplace", function(input.clone())) if inplace else function(input)


@composite
def _silu(input):
    return input * sigmoid(input)


_silu.fused("cpu", kernels.silu, kernels.silu_backward)


@explained
def silu(input: Any, inplace: bool = False) -> Any:
    """x * sigmoid(x), also called swish. Source: `torch.nn.functional.silu`.

    >>> import minigrad as mg
    >>> silu(mg.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7311])
    """
    return _place(_silu, input, inplace)


@explained
def mish(input: Any, inplace: bool = False) -> Any:
    """x * tanh(softplus(x)). Source: Misra, Mish, 2019; `torch.nn.functional.mish`.

    >>> import minigrad as mg
    >>> mish(mg.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8651])
    """
    return _place(lambda x: x * tanh(-logsigmoid(-x)), input, inplace)


@explained
def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + exp(beta * x)) / beta, and x where beta * x is above threshold. Source: `torch.nn.functional.softplus`.

    >>> import minigrad as mg
    >>> softplus(mg.tensor([-1.0, 0.0, 100.0]))
    tensor([  0.3133,   0.6931, 100.0000])
    """
    scaled = input * beta
    return where(scaled > threshold, input, logsigmoid(-scaled) / -beta)


@explained
def softsign(input: Any) -> Any:
    """x / (1 + |x|). Source: `torch.nn.functional.softsign`."""
    return input / (1 + input.abs())


@explained
def tanhshrink(input: Any) -> Any:
    """x - tanh(x). Source: `torch.nn.functional.tanhshrink`."""
    return input - tanh(input)


@explained
def glu(input: Any, dim: int = -1) -> Any:
    """The first half along a dimension times sigmoid of the second: a gate for each element.

    Raises:
        RuntimeError: the size is odd.

    Source: Dauphin et al., Language modeling with gated convolutional networks, 2016; `torch.nn.functional.glu`.

    >>> import minigrad as mg
    >>> glu(mg.tensor([4.0, 6.0, 0.0, 100.0]))
    tensor([2., 6.])
    """
    if input.ndim == 0 or input.shape[dim] % 2:
        raise RuntimeError(f"glu: the size of dimension {dim} must be even, got a tensor of shape {tuple(input.shape)}")
    values, gates = input.chunk(2, dim)
    return values * sigmoid(gates)


def _required(name: str, input: Any, dim: int | None) -> int:
    if dim is None:
        raise ValueError(
            f"{name}: say along which dimension to normalise an input of shape {tuple(input.shape)}, for example dim=-1"
        )
    return dim


@explained
def softmax(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """exp(x) / sum(exp(x)) along a dimension: positive, and 1 in sum. Source: `torch.nn.functional.softmax`.

    Args:
        input: any shape.
        dim: along which to normalise; required.
        dtype: convert to this first.

    Raises:
        ValueError: no dim.

    >>> import minigrad as mg
    >>> softmax(mg.tensor([1000.0, 1000.0, 0.0]), dim=0)
    tensor([0.5000, 0.5000, 0.0000])
    """
    return _softmax(input, _required("softmax", input, dim), dtype)


@explained
def log_softmax(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """log(softmax(x)) without overflow, see `softmax`. Source: `torch.nn.functional.log_softmax`."""
    return _log_softmax(input, _required("log_softmax", input, dim), dtype)


@explained
def softmin(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """softmax(-x). Source: `torch.nn.functional.softmin`."""
    return _softmax(-input, _required("softmin", input, dim), dtype)


@explained
def gumbel_softmax(logits: Any, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Any:
    """A random choice of class that has a gradient: softmax of the logits plus Gumbel noise.

    The largest of these is class c with the probability that softmax(logits) gives it.

    Args:
        logits: any shape.
        tau: temperature: the smaller, the nearer to a choice.
        hard: give the choice itself, as zeros and a one, with the gradient that it has without.
        eps: no effect, as in PyTorch.
        dim: of the classes.

    Returns:
        Shares of the same shape, 1 in sum along dim.

    Source: Jang et al., Categorical reparameterization with Gumbel-softmax, 2016; `torch.nn.functional.gumbel_softmax`.

    >>> import minigrad as mg
    >>> gumbel_softmax(mg.tensor([0.0, 100.0]), hard=True)
    tensor([0., 1.])
    """
    waits = -log1p(-clamp(rand_like(logits.detach()), min=1e-38))  # exponential; minus their logarithms are Gumbel's
    soft = _softmax((logits - log(waits)) / tau, dim)
    if not hard:
        return soft
    chosen = one_hot(soft.argmax(dim), num_classes=soft.shape[dim]).movedim(-1, dim).to(soft.dtype)
    return chosen - soft.detach() + soft


# ------------------------------------------------------------------------------------------ layers


class _Activation(Module):
    """A function of one tensor as a layer: its options are attributes, under the function's own names."""

    function: Callable
    options: tuple[str, ...] = ()

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, the same shape out."""
        function = type(self).function
        return function(input, **{name: getattr(self, name) for name in self.options}) if self.options else function(input)

    def extra_repr(self) -> str:
        shown = {name: getattr(self, name) for name in self.options}
        if not shown.get("inplace", True):  # PyTorch shows inplace only where it is on
            del shown["inplace"]
        return ", ".join(f"{name}={value!r}" for name, value in shown.items())


class _InPlace(_Activation):
    options = ("inplace",)

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace


class _AlongDim(_Activation):
    options = ("dim",)

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim


class SiLU(_InPlace):
    """x * sigmoid(x). Source: `torch.nn.SiLU`."""

    function = staticmethod(silu)


class Mish(_InPlace):
    """x * tanh(softplus(x)). Source: `torch.nn.Mish`."""

    function = staticmethod(mish)


class Tanh(_Activation):
    """Hyperbolic tangent. Source: `torch.nn.Tanh`."""

    function = staticmethod(tanh)


class Tanhshrink(_Activation):
    """x - tanh(x). Source: `torch.nn.Tanhshrink`."""

    function = staticmethod(tanhshrink)


class Sigmoid(_Activation):
    """1 / (1 + exp(-x)). Source: `torch.nn.Sigmoid`."""

    function = staticmethod(sigmoid)


class LogSigmoid(_Activation):
    """log(sigmoid(x)) without overflow. Source: `torch.nn.LogSigmoid`."""

    function = staticmethod(logsigmoid)


class Softsign(_Activation):
    """x / (1 + |x|). Source: `torch.nn.Softsign`."""

    function = staticmethod(softsign)


class GELU(_Activation):
    """x times the normal distribution's probability of being below x. Source: `torch.nn.GELU`.

    Args:
        approximate: "none" for the exact function, "tanh" for GPT-2's.
    """

    function = staticmethod(gelu)
    options = ("approximate",)

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate


class Softplus(_Activation):
    """log(1 + exp(beta * x)) / beta. Source: `torch.nn.Softplus`."""

    function = staticmethod(softplus)
    options = ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold


class GLU(_Activation):
    """The first half along dim times sigmoid of the second. Source: `torch.nn.GLU`."""

    function = staticmethod(glu)
    options = ("dim",)

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim


class Softmax(_AlongDim):
    """exp(x) / sum(exp(x)) along dim. Source: `torch.nn.Softmax`.

    >>> import minigrad as mg
    >>> mg.nn.Softmax(dim=0)(mg.tensor([0.0, 0.0]))
    tensor([0.5000, 0.5000])
    """

    function = staticmethod(softmax)


class Softmax2d(Module):
    """softmax over the channels of each place of an image, (batch, channels, height, width) or without the batch.

    Source: `torch.nn.Softmax2d`.
    """

    def forward(self, input: Tensor) -> Tensor:
        """The same shape, 1 in sum over the channels."""
        if input.ndim not in (3, 4):
            raise ValueError(f"Softmax2d: expected (batch, channels, height, width), got shape {tuple(input.shape)}")
        return _softmax(input, -3)


class LogSoftmax(_AlongDim):
    """log(softmax(x)) along dim. Source: `torch.nn.LogSoftmax`."""

    function = staticmethod(log_softmax)


class Softmin(_AlongDim):
    """softmax(-x) along dim. Source: `torch.nn.Softmin`."""

    function = staticmethod(softmin)


def activation_named(name: str | Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The function that a Transformer's `activation` argument means: "relu", "gelu", or a function as it is."""
    known: dict[str, Callable[[Any], Any]] = {"relu": relu, "gelu": gelu}
    if callable(name):
        return name
    if name not in known:
        raise RuntimeError(f"activation must be 'relu', 'gelu' or a function, got {name!r}")
    return known[name]
