"""How parameters begin: in-place filling, as in `torch.nn.init`. Nothing here is recorded for gradients."""

from __future__ import annotations

import math
from typing import Any

from .. import backend
from ..autograd import no_grad
from ..tensor import Tensor

_GAINS = {"relu": math.sqrt(2), "tanh": 5 / 3, "selu": 0.75}
_LINEAR = ("linear", *(f"conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3)), "sigmoid")


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """How much to scale weights before a nonlinearity so that variances stay. Source: `torch.nn.init.calculate_gain`.

    Args:
        nonlinearity: "linear", "conv1d" ..., "sigmoid", "tanh", "relu", "leaky_relu" or "selu".
        param: negative slope of leaky_relu, 0.01 if None.

    Raises:
        ValueError: another name, or a slope that is not a number.

    >>> calculate_gain("leaky_relu", 1.0)
    1.0
    """
    if nonlinearity in _LINEAR:
        return 1.0
    if nonlinearity in _GAINS:
        return _GAINS[nonlinearity]
    if nonlinearity != "leaky_relu":
        names = ", ".join([*_LINEAR, *_GAINS, "leaky_relu"])
        raise ValueError(f"calculate_gain: nonlinearity must be one of {names}, got {nonlinearity!r}")
    if param is not None and (isinstance(param, bool) or not isinstance(param, (int, float))):
        raise ValueError(f"calculate_gain: the slope of leaky_relu must be a number, got {param!r}")
    return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """How many inputs one output of a layer sees, and how many outputs one input reaches."""
    if tensor.ndim < 2:
        raise ValueError(
            f"init: fan in and fan out need a weight with at least 2 dimensions, got shape {tuple(tensor.shape)}; use "
            "uniform_ or normal_ with bounds of your own"
        )
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def _fan(tensor: Tensor, mode: str) -> int:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"init: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    return _calculate_fan_in_and_fan_out(tensor)[mode == "fan_out"]


@no_grad()
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Fill with uniform random numbers from a to b. Source: `torch.nn.init.uniform_`.

    >>> import minigrad as mg
    >>> w = uniform_(mg.empty(3, 5), 2.0, 3.0); bool(((w >= 2) & (w <= 3)).all())
    True
    """
    return tensor.uniform_(a, b, generator=generator)


@no_grad()
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Fill with normal random numbers. Source: `torch.nn.init.normal_`."""
    return tensor.normal_(mean, std, generator=generator)


@no_grad()
def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one number. Source: `torch.nn.init.constant_`."""
    return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with ones. Source: `torch.nn.init.ones_`."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with zeros. Source: `torch.nn.init.zeros_`."""
    return constant_(tensor, 0.0)


@no_grad()
def eye_(tensor: Tensor) -> Tensor:
    """Fill a matrix with ones on the diagonal and zeros elsewhere. Source: `torch.nn.init.eye_`."""
    if tensor.ndim != 2:
        raise ValueError(f"eye_: expected a tensor with 2 dimensions, got shape {tuple(tensor.shape)}")
    xp = backend.namespace(tensor.array)
    return tensor.copy_(Tensor(xp.eye(*tensor.shape, dtype=tensor.dtype)))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform from -b to b with b = gain * sqrt(6 / (fan_in + fan_out)).

    Source: Glorot and Bengio, 2010; `torch.nn.init.xavier_uniform_`.
    """
    bound = gain * math.sqrt(6 / max(1, sum(_calculate_fan_in_and_fan_out(tensor))))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Normal with standard deviation gain * sqrt(2 / (fan_in + fan_out)).

    Source: Glorot and Bengio, 2010; `torch.nn.init.xavier_normal_`.
    """
    std = gain * math.sqrt(2 / max(1, sum(_calculate_fan_in_and_fan_out(tensor))))
    return normal_(tensor, 0.0, std, generator)


def kaiming_uniform_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Tensor:
    """Uniform from -b to b with b = gain * sqrt(3 / fan).

    Args:
        tensor: a weight, (out, in, ...).
        a: negative slope of leaky_relu.
        mode: "fan_in" keeps the variance of the forward pass, "fan_out" that of the backward pass.
        nonlinearity: what comes after the layer, see `calculate_gain`.
        generator: source of random numbers.

    Source: He et al., Delving Deep into Rectifiers, 2015; `torch.nn.init.kaiming_uniform_`.

    >>> import minigrad as mg
    >>> w = kaiming_uniform_(mg.empty(4, 6), nonlinearity="relu"); bool((w.abs() <= 1.0).all())
    True
    """
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3 / max(1, _fan(tensor, mode)))
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Tensor:
    """Normal with standard deviation gain / sqrt(fan), see `kaiming_uniform_`.

    Source: He et al., 2015; `torch.nn.init.kaiming_normal_`.
    """
    std = calculate_gain(nonlinearity, a) / math.sqrt(max(1, _fan(tensor, mode)))
    return normal_(tensor, 0.0, std, generator)


@no_grad()
def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Any = None
) -> Tensor:
    """Fill with normal random numbers, drawn again while they fall outside of a to b.

    Args:
        tensor: floating point.
        mean, std: of the normal distribution before it is cut.
        a, b: bounds, in the tensor's own units (not in standard deviations).
        generator: source of random numbers.

    Raises:
        ValueError: a is not below b, or std is not positive.

    Source: `torch.nn.init.trunc_normal_`.

    >>> import minigrad as mg
    >>> bool((trunc_normal_(mg.empty(100), std=0.02, a=-0.01, b=0.01).abs() <= 0.01).all())
    True
    """
    if not (a < b and std > 0):
        raise ValueError(f"trunc_normal_: expected a < b and std > 0, got a {a}, b {b} and std {std}")
    low, high = (a - mean) / std, (b - mean) / std
    rng, xp = (generator or backend.default_generator(tensor.device)).rng, backend.namespace(tensor.array)
    values = xp.empty(tensor.numel(), "float64")
    todo = xp.arange(values.size)
    while todo.size:
        drawn, kept = _propose(xp, rng, todo.size, low, high)
        values[todo[kept]] = drawn[kept]
        todo = todo[~kept]
    tensor.array[...] = (values * std + mean).reshape(tensor.shape).clip(a, b)
    tensor._bump()
    return tensor


def _propose(xp: Any, rng: Any, n: int, low: float, high: float) -> tuple[Any, Any]:
    """Random numbers, and which of them to keep so that those kept are standard normal between the bounds."""
    inside = (math.erf(high * math.sqrt(0.5)) - math.erf(low * math.sqrt(0.5))) / 2
    if inside > 0.25:
        drawn = rng.standard_normal(n)
        return drawn, (drawn >= low) & (drawn <= high)
    # Few normal numbers would fall inside: draw evenly, and keep each in proportion to its density. Beyond 9 from the
    # likeliest point nothing worth drawing is left (e^-40).
    likeliest = min(max(low, 0.0), high)
    drawn = rng.random(n)
    low, high = max(low, likeliest - 9), min(high, likeliest + 9)
    drawn = low + (high - low) * drawn
    return drawn, rng.random(n) < xp.exp((likeliest**2 - drawn * drawn) / 2)


@no_grad()
def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Fill with a random matrix whose rows (or columns, the fewer) are orthogonal and of length gain.

    Dimensions after the first count as one. Every such matrix is as likely as any other.

    Raises:
        ValueError: fewer than 2 dimensions.

    Source: Saxe et al., 2013; `torch.nn.init.orthogonal_`.

    >>> import minigrad as mg
    >>> w = orthogonal_(mg.empty(2, 5)); mg.allclose(w @ w.T, mg.eye(2), atol=1e-6)
    True
    """
    if tensor.ndim < 2:
        raise ValueError(f"orthogonal_: expected a tensor with at least 2 dimensions, got shape {tuple(tensor.shape)}")
    if tensor.numel() == 0:
        return tensor
    rng, xp = (generator or backend.default_generator(tensor.device)).rng, backend.namespace(tensor.array)
    rows, columns = tensor.shape[0], tensor.numel() // tensor.shape[0]
    q, r = xp.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q = q * xp.where(xp.diagonal(r) < 0, -1.0, 1.0)  # without this the result would not be uniform (Mezzadri, 2007)
    tensor.array[...] = gain * (q.T if rows < columns else q).reshape(tensor.shape)
    tensor._bump()
    return tensor
