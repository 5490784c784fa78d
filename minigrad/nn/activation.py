"""Activations as layers, for use in Sequential; each is the function of the same name in `nn.functional`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..tensor import Tensor
from . import functional as F
from .module import Module


class _Activation(Module):
    """A function of one tensor as a layer: its options are attributes, under the function's own names."""

    function: Callable
    options: tuple[str, ...] = ()

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, the same shape out."""
        return type(self).function(input, **{name: getattr(self, name) for name in self.options})

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


class ReLU(_InPlace):
    """max(x, 0). Source: `torch.nn.ReLU`.

    >>> import minigrad as mg
    >>> mg.nn.ReLU()(mg.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    function = staticmethod(F.relu)


class SiLU(_InPlace):
    """x * sigmoid(x). Source: `torch.nn.SiLU`."""

    function = staticmethod(F.silu)


class ReLU6(_InPlace):
    """x between 0 and 6. Source: `torch.nn.ReLU6`."""

    function = staticmethod(F.relu6)


class Tanh(_Activation):
    """Hyperbolic tangent. Source: `torch.nn.Tanh`."""

    function = staticmethod(F.tanh)


class Sigmoid(_Activation):
    """1 / (1 + exp(-x)). Source: `torch.nn.Sigmoid`."""

    function = staticmethod(F.sigmoid)


class LogSigmoid(_Activation):
    """log(sigmoid(x)) without overflow. Source: `torch.nn.LogSigmoid`."""

    function = staticmethod(F.logsigmoid)


class Softsign(_Activation):
    """x / (1 + |x|). Source: `torch.nn.Softsign`."""

    function = staticmethod(F.softsign)


class GELU(_Activation):
    """x times the normal distribution's probability of being below x. Source: `torch.nn.GELU`.

    Args:
        approximate: "none" for the exact function, "tanh" for GPT-2's.
    """

    function = staticmethod(F.gelu)
    options = ("approximate",)

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate


class LeakyReLU(_Activation):
    """x above 0, negative_slope * x below. Source: `torch.nn.LeakyReLU`."""

    function = staticmethod(F.leaky_relu)
    options = ("negative_slope", "inplace")

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace


class ELU(_Activation):
    """x above 0, alpha * (exp(x) - 1) below. Source: `torch.nn.ELU`."""

    function = staticmethod(F.elu)
    options = ("alpha", "inplace")

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace


class Hardtanh(_Activation):
    """x, but not below min_val and not above max_val. Source: `torch.nn.Hardtanh`."""

    function = staticmethod(F.hardtanh)
    options = ("min_val", "max_val", "inplace")

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        if not min_val < max_val:
            raise ValueError(f"Hardtanh: min_val must be below max_val, got {min_val} and {max_val}")
        self.min_val = min_val
        self.max_val = max_val
        self.inplace = inplace


class Softplus(_Activation):
    """log(1 + exp(beta * x)) / beta. Source: `torch.nn.Softplus`."""

    function = staticmethod(F.softplus)
    options = ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold


class Softmax(_AlongDim):
    """exp(x) / sum(exp(x)) along dim. Source: `torch.nn.Softmax`.

    >>> import minigrad as mg
    >>> mg.nn.Softmax(dim=0)(mg.tensor([0.0, 0.0]))
    tensor([0.5000, 0.5000])
    """

    function = staticmethod(F.softmax)


class LogSoftmax(_AlongDim):
    """log(softmax(x)) along dim. Source: `torch.nn.LogSoftmax`."""

    function = staticmethod(F.log_softmax)


class Softmin(_AlongDim):
    """softmax(-x) along dim. Source: `torch.nn.Softmin`."""

    function = staticmethod(F.softmin)


def activation_named(name: str | Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The function that a Transformer's `activation` argument means: "relu", "gelu", or a function as it is."""
    known: dict[str, Callable[[Any], Any]] = {"relu": F.relu, "gelu": F.gelu}
    if callable(name):
        return name
    if name not in known:
        raise RuntimeError(f"activation must be 'relu', 'gelu' or a function, got {name!r}")
    return known[name]
