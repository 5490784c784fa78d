"""Activations with a kink, as functions and as layers: relu, its relatives, and what cuts off or shrinks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..creation import full, rand_like
from ..errors import explained
from ..ops.choice import clamp, where
from ..ops.elementwise import expm1
from ..ops.elementwise import relu as _relu
from ..tensor import Tensor
from .activation import _Activation, _InPlace, _place
from .module import Module
from .parameter import Parameter


def relu(input: Any, inplace: bool = False) -> Any:
    """max(x, 0); its gradient at 0 is 0. Source: `torch.nn.functional.relu`.

    >>> import minigrad as mg
    >>> relu(mg.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return _place(_relu, input, inplace)


@explained
def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """x above 0, negative_slope * x below. Source: `torch.nn.functional.leaky_relu`.

    >>> import minigrad as mg
    >>> leaky_relu(mg.tensor([-1.0, 2.0]), 0.5)
    tensor([-0.5000,  2.0000])
    """
    return _place(lambda x: where(x > 0, x, x * negative_slope), input, inplace)


@explained
def prelu(input: Any, weight: Any) -> Any:
    """x above 0, weight * x below.

    Args:
        input: (batch, channels, *), any shape.
        weight: one number, or one for each channel.

    Raises:
        RuntimeError: another number of weights than of channels.

    Source: He et al., Delving deep into rectifiers, 2015; `torch.nn.functional.prelu`.

    >>> import minigrad as mg
    >>> prelu(mg.tensor([-1.0, 2.0]), mg.tensor([0.25]))
    tensor([-0.2500,  2.0000])
    """
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.ndim > 1 or weight.numel() not in (1, channels):
        raise RuntimeError(
            f"prelu: weight must have one element or one for each of {channels} channels, got shape {tuple(weight.shape)}"
        )
    weight = weight.reshape(()) if weight.numel() == 1 else weight.reshape(-1, *[1] * (input.ndim - 2))
    return where(input > 0, input, input * weight)


@explained
def rrelu(
    input: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, inplace: bool = False
) -> Any:
    """x above 0, below it x times a number that is drawn anew for each element, or its mean when not training.

    Source: Xu et al., Empirical evaluation of rectified activations, 2015; `torch.nn.functional.rrelu`.
    """
    if lower > upper:
        raise RuntimeError(f"rrelu: lower must not be above upper, got {lower} and {upper}")
    slope = (lower + upper) / 2
    if training:
        slope = rand_like(input.detach()) * (upper - lower) + lower
    return _place(lambda x: where(x > 0, x, x * slope), input, inplace)


@explained
def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x above 0, alpha * (exp(x) - 1) below. Source: `torch.nn.functional.elu`.

    >>> import minigrad as mg
    >>> elu(mg.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """
    # clamped, since exp of a large number is inf, and inf * 0 in the gradient is NaN
    return _place(lambda x: where(x > 0, x, expm1(clamp(x, max=0)) * alpha), input, inplace)


@explained
def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x above 0, alpha * (exp(x / alpha) - 1) below: no kink for any alpha.

    Source: Barron, 2017; `torch.nn.functional.celu`.
    """
    if alpha == 0:
        raise RuntimeError("celu: alpha must not be 0")
    return _place(lambda x: where(x > 0, x, expm1(clamp(x, max=0) / alpha) * alpha), input, inplace)


@explained
def selu(input: Any, inplace: bool = False) -> Any:
    """`elu` with two constants that keep the mean at 0 and the variance at 1 from layer to layer.

    Source: Klambauer et al., Self-normalizing neural networks, 2017; `torch.nn.functional.selu`.

    >>> import minigrad as mg
    >>> selu(mg.tensor([-1.0, 1.0]))
    tensor([-1.1113,  1.0507])
    """
    return _place(lambda x: elu(x, 1.6732632423543772) * 1.0507009873554805, input, inplace)


@explained
def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """x, but not below min_val and not above max_val. Source: `torch.nn.functional.hardtanh`.

    Unlike that of clamp, its gradient at both is 0.

    >>> import minigrad as mg
    >>> hardtanh(mg.tensor([-3.0, 0.5, 3.0]))
    tensor([-1.0000,  0.5000,  1.0000])
    """

    def cut(x: Any) -> Any:
        return where((x > min_val) & (x < max_val), x, clamp(x.detach(), min_val, max_val))

    return _place(cut, input, inplace)


@explained
def relu6(input: Any, inplace: bool = False) -> Any:
    """x, but not below 0 and not above 6. Source: `torch.nn.functional.relu6`."""
    return hardtanh(input, 0.0, 6.0, inplace)


@explained
def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """x / 6 + 1 / 2, but not below 0 and not above 1. Source: `torch.nn.functional.hardsigmoid`."""
    return _place(lambda x: hardtanh(x, -3.0, 3.0) / 6 + 0.5, input, inplace)


@explained
def hardswish(input: Any, inplace: bool = False) -> Any:
    """x * hardsigmoid(x). Source: Howard et al., Searching for MobileNetV3, 2019; `torch.nn.functional.hardswish`.

    >>> import minigrad as mg
    >>> hardswish(mg.tensor([-4.0, 0.0, 1.0, 4.0]))
    tensor([0.0000, 0.0000, 0.6667, 4.0000])
    """
    return _place(lambda x: where(x <= -3, 0.0, where(x < 3, x * (x + 3) / 6, x)), input, inplace)


@explained
def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """x above the threshold, else the value. Source: `torch.nn.functional.threshold`."""
    return _place(lambda x: where(x <= threshold, value, x), input, inplace)


@explained
def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """x, but 0 from -lambd to lambd. Source: `torch.nn.functional.hardshrink`."""
    return where((input >= -lambd) & (input <= lambd), 0.0, input)


@explained
def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """x, but nearer to 0 by lambd, and 0 from -lambd to lambd. Source: `torch.nn.functional.softshrink`.

    >>> import minigrad as mg
    >>> softshrink(mg.tensor([-2.0, 0.3, 2.0]))
    tensor([-1.5000,  0.0000,  1.5000])
    """
    if lambd < 0:
        raise RuntimeError(f"softshrink: lambd must not be negative, got {lambd}")
    return where(input > lambd, input - lambd, where(input < -lambd, input + lambd, input * 0))


# ------------------------------------------------------------------------------------------ layers


class ReLU(_InPlace):
    """max(x, 0). Source: `torch.nn.ReLU`.

    >>> import minigrad as mg
    >>> mg.nn.ReLU()(mg.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    function = staticmethod(relu)


class LeakyReLU(_Activation):
    """x above 0, negative_slope * x below. Source: `torch.nn.LeakyReLU`."""

    function = staticmethod(leaky_relu)
    options = ("negative_slope", "inplace")

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace


class PReLU(Module):
    """x above 0, weight * x below, with a weight that is learned. Source: `torch.nn.PReLU`.

    Args:
        num_parameters: 1, or the number of channels.
        init: its first value.
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(full((num_parameters,), init, device=device, dtype=dtype))

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, the same shape out."""
        return prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class RReLU(_Activation):
    """x above 0, below it x times a number drawn from lower to upper. Source: `torch.nn.RReLU`."""

    function = staticmethod(rrelu)
    options = ("lower", "upper", "inplace")

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False) -> None:
        super().__init__()
        self.lower = lower
        self.upper = upper
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, the same shape out."""
        return rrelu(input, self.lower, self.upper, self.training, self.inplace)


class ELU(_Activation):
    """x above 0, alpha * (exp(x) - 1) below. Source: `torch.nn.ELU`."""

    function = staticmethod(elu)
    options = ("alpha", "inplace")

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace


class CELU(ELU):
    """x above 0, alpha * (exp(x / alpha) - 1) below. Source: `torch.nn.CELU`."""

    function = staticmethod(celu)


class SELU(_InPlace):
    """elu that keeps mean and variance from layer to layer. Source: `torch.nn.SELU`."""

    function = staticmethod(selu)


class Hardtanh(_Activation):
    """x, but not below min_val and not above max_val. Source: `torch.nn.Hardtanh`."""

    function = staticmethod(hardtanh)
    options = ("min_val", "max_val", "inplace")

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        if not min_val < max_val:
            raise ValueError(f"Hardtanh: min_val must be below max_val, got {min_val} and {max_val}")
        self.min_val = min_val
        self.max_val = max_val
        self.inplace = inplace


class ReLU6(_InPlace):
    """x between 0 and 6. Source: `torch.nn.ReLU6`."""

    function = staticmethod(relu6)


class Hardsigmoid(_InPlace):
    """x / 6 + 1 / 2, from 0 to 1. Source: `torch.nn.Hardsigmoid`."""

    function = staticmethod(hardsigmoid)

    def extra_repr(self) -> str:
        return ""  # as PyTorch's


class Hardswish(_InPlace):
    """x * hardsigmoid(x). Source: `torch.nn.Hardswish`."""

    function = staticmethod(hardswish)

    def extra_repr(self) -> str:
        return ""  # as PyTorch's


class Threshold(_Activation):
    """x above the threshold, else the value. Source: `torch.nn.Threshold`."""

    function = staticmethod(threshold)
    options = ("threshold", "value", "inplace")

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold = threshold
        self.value = value
        self.inplace = inplace


class Hardshrink(_Activation):
    """x, but 0 from -lambd to lambd. Source: `torch.nn.Hardshrink`."""

    function: Callable = staticmethod(hardshrink)
    options = ("lambd",)

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def extra_repr(self) -> str:
        return str(self.lambd)


class Softshrink(Hardshrink):
    """x, but nearer to 0 by lambd. Source: `torch.nn.Softshrink`."""

    function = staticmethod(softshrink)
