"""Probability distributions: draw from them, and differentiate the probability of what was drawn (`torch.distributions`).

    Categorical(logits=policy(state)).log_prob(action)     the score of a choice, for policy gradients
    Normal(mean, std).rsample()                            mean + std * noise, whose gradient reaches mean and std
    kl_divergence(posterior, prior)                        in closed form

Parameters broadcast against one another to the batch_shape: one distribution for each element (Categorical: for each row).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from .autograd import no_grad
from .creation import as_tensor, rand, randn
from .dtypes import get_default_dtype
from .functions.loss import binary_cross_entropy_with_logits
from .functions.random import bernoulli, multinomial
from .functions.scatter import gather
from .ops.choice import clamp, where
from .ops.elementwise import erf, exp, log, log1p, logsigmoid, sigmoid
from .ops.reduction import logsumexp, softmax
from .ops.shape import broadcast_to
from .tensor import Size, Tensor

__all__ = ["Bernoulli", "Categorical", "Distribution", "Normal", "Uniform", "kl_divergence"]


def _broadcast(*values: Any) -> list[Tensor]:
    """Numbers and tensors as floating point tensors of one shape."""
    tensors = [x for x in values if isinstance(x, Tensor)]
    dtype = tensors[0].dtype if tensors and tensors[0].is_floating_point() else get_default_dtype()
    device = tensors[0].device if tensors else None
    made = [x if isinstance(x, Tensor) else as_tensor(x, dtype=dtype, device=device) for x in values]
    made = [x if x.is_floating_point() else x.to(dtype) for x in made]
    try:
        shape = np.broadcast_shapes(*(tuple(x.shape) for x in made))
    except ValueError:
        raise ValueError(f"the shapes of the parameters do not broadcast: {[tuple(x.shape) for x in made]}") from None
    return [x if tuple(x.shape) == shape else broadcast_to(x, shape) for x in made]


class Distribution:
    """The base of all (as `torch.distributions.Distribution`).

    Args:
        batch_shape: of the parameters.
        event_shape: of one draw.
        validate_args: check parameters, and the values given to log_prob; True if None.

    Attributes:
        has_rsample: whether draws have a gradient.
    """

    has_rsample = False
    parameters: tuple[str, ...] = ()

    def __init__(
        self, batch_shape: Sequence[int] = (), event_shape: Sequence[int] = (), validate_args: bool | None = None
    ) -> None:
        self.batch_shape = Size(batch_shape)
        self.event_shape = Size(event_shape)
        self.validate = validate_args is not False

    def _need(self, name: str, condition: Any, what: str) -> None:
        if self.validate and not bool(condition.all()):
            raise ValueError(f"{type(self).__name__}: {name} must be {what}")

    def _extended(self, sample_shape: Sequence[int]) -> tuple[int, ...]:
        return (*sample_shape, *self.batch_shape, *self.event_shape)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draw, without gradient; the shape is sample_shape + batch_shape + event_shape."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draw, with a gradient to the parameters.

        Raises:
            NotImplementedError: the distribution is discrete.
        """
        raise NotImplementedError(f"{type(self).__name__}: draws are discrete and have no gradient; use sample()")

    def log_prob(self, value: Tensor) -> Tensor:
        """Logarithm of the probability, or of its density, of what was drawn; broadcasts against batch_shape."""
        raise NotImplementedError(f"{type(self).__name__}: define log_prob(self, value)")

    def entropy(self) -> Tensor:
        """Minus the mean of log_prob, of batch_shape."""
        raise NotImplementedError(f"{type(self).__name__}: define entropy(self)")

    @property
    def mean(self) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__}: it has no mean")

    @property
    def variance(self) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__}: it has no variance")

    @property
    def stddev(self) -> Tensor:
        return self.variance.sqrt()

    def perplexity(self) -> Tensor:
        """exp(entropy)."""
        return exp(self.entropy())

    def __repr__(self) -> str:
        values = [(name, self.__dict__[name]) for name in self.parameters if name in self.__dict__]
        shown = [f"{name}: {x.item() if x.numel() == 1 else x.shape}" for name, x in values]
        return f"{type(self).__name__}({', '.join(shown)})"


class Normal(Distribution):
    """The normal distribution.

    Args:
        loc: mean.
        scale: standard deviation, above 0.
        validate_args: see `Distribution`.

    Raises:
        ValueError: scale is not positive, a parameter is NaN, or shapes do not broadcast.

    Source: `torch.distributions.Normal`.

    >>> import minigrad as mg
    >>> Normal(0.0, mg.tensor([1.0, 2.0])).log_prob(mg.tensor(1.0))
    tensor([-1.4189, -1.7371])
    """

    has_rsample = True
    parameters = ("loc", "scale")

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = _broadcast(loc, scale)
        super().__init__(self.loc.shape, (), validate_args)
        self._need("loc", self.loc == self.loc, "numbers, not NaN")
        self._need("scale", self.scale > 0, "above 0")

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        noise = randn(self._extended(sample_shape), dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + self.scale * noise

    def log_prob(self, value: Tensor) -> Tensor:
        self._need("value", value == value, "numbers, not NaN")
        return -(((value - self.loc) / self.scale) ** 2) / 2 - log(self.scale) - math.log(2 * math.pi) / 2

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of drawing less."""
        return (1 + erf((value - self.loc) / (self.scale * math.sqrt(2)))) / 2

    def entropy(self) -> Tensor:
        return log(self.scale) + (1 + math.log(2 * math.pi)) / 2

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale * self.scale


class Uniform(Distribution):
    """Anything from low to high, all alike.

    Raises:
        ValueError: low is not below high, or shapes do not broadcast.

    Source: `torch.distributions.Uniform`.

    >>> import minigrad as mg
    >>> Uniform(0.0, 4.0).log_prob(mg.tensor([1.0, 3.0])).exp()
    tensor([0.2500, 0.2500])
    """

    has_rsample = True
    parameters = ("low", "high")

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = _broadcast(low, high)
        super().__init__(self.low.shape, (), validate_args)
        self._need("low", self.low < self.high, "below high")

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        share = rand(self._extended(sample_shape), dtype=self.low.dtype, device=self.low.device)
        return self.low + (self.high - self.low) * share

    def log_prob(self, value: Tensor) -> Tensor:
        self._need("value", (value >= self.low) & (value <= self.high), "from low to high")
        return where((value >= self.low) & (value < self.high), -log(self.high - self.low), -math.inf)

    def entropy(self) -> Tensor:
        return log(self.high - self.low)

    @property
    def mean(self) -> Tensor:
        return (self.low + self.high) / 2

    @property
    def variance(self) -> Tensor:
        return (self.high - self.low) ** 2 / 12


def _one_of(name: str, probs: Any, logits: Any) -> str:
    if (probs is None) == (logits is None):
        raise ValueError(f"{name}: pass either probs or logits, not {'both' if probs is not None else 'none'}")
    return "logits" if probs is None else "probs"


def _inside(probs: Tensor) -> Tensor:
    """Probabilities whose logarithms are finite."""
    eps = float(np.finfo(probs.dtype).eps)
    return clamp(probs, eps, 1 - eps)


class Bernoulli(Distribution):
    """1 with probability probs, else 0.

    Args:
        probs: from 0 to 1; or
        logits: log(probs / (1 - probs)).
        validate_args: see `Distribution`.

    Raises:
        ValueError: both or none are given, or a probability is out of range.

    Source: `torch.distributions.Bernoulli`.

    >>> import minigrad as mg
    >>> Bernoulli(probs=mg.tensor([0.25])).log_prob(mg.tensor([1.0])).exp()
    tensor([0.2500])
    """

    parameters = ("probs", "logits")

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        name = _one_of("Bernoulli", probs, logits)
        (given,) = _broadcast(probs if logits is None else logits)
        self.__dict__[name] = given
        super().__init__(given.shape, (), validate_args)
        if name == "probs":
            self._need("probs", (given >= 0) & (given <= 1), "from 0 to 1")
        else:
            self._need("logits", given == given, "numbers, not NaN")

    @cached_property
    def probs(self) -> Tensor:
        return sigmoid(self.logits)

    @cached_property
    def logits(self) -> Tensor:
        inside = _inside(self.probs)
        return log(inside) - log1p(-inside)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return bernoulli(self.probs.detach().expand(*self._extended(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        self._need("value", (value == 0) | (value == 1), "0 or 1")
        logits, value = _broadcast(self.logits, value)
        return -binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self) -> Tensor:
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)


class Categorical(Distribution):
    """The number of a class.

    Args:
        probs: weights of the classes along the last dimension, not negative; divided by their sum. Or
        logits: their logarithms, up to a constant.
        validate_args: see `Distribution`.

    Raises:
        ValueError: both or none are given, there is no dimension for the classes, or weights are negative or all 0.

    Source: `torch.distributions.Categorical`.

    >>> import minigrad as mg
    >>> Categorical(probs=mg.tensor([1.0, 3.0])).log_prob(mg.tensor(1)).exp()
    tensor(0.7500)
    """

    parameters = ("probs", "logits")

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        name = _one_of("Categorical", probs, logits)
        (given,) = _broadcast(probs if logits is None else logits)
        if given.ndim < 1:
            raise ValueError(f"Categorical: {name} must have a dimension for the classes, got a number")
        super().__init__(given.shape[:-1], (), validate_args)
        if name == "probs":
            total = given.sum(-1, keepdim=True)
            self._need("probs", (given >= 0) & (total > 0), "weights that are not negative, and not all 0")
            self.__dict__["probs"] = given / total
        else:
            self._need("logits", given == given, "numbers, not NaN")
            self.__dict__["logits"] = given - logsumexp(given, -1, True)

    @cached_property
    def probs(self) -> Tensor:
        return softmax(self.logits, -1)

    @cached_property
    def logits(self) -> Tensor:
        return log(_inside(self.probs))

    @property
    def _classes(self) -> int:
        return (self.probs if "probs" in self.__dict__ else self.logits).shape[-1]

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended(sample_shape)
        rows = self.probs.detach().reshape(-1, self._classes)
        count = int(np.prod(tuple(sample_shape), dtype=int))
        return multinomial(rows, count, True).transpose(0, 1).reshape(*shape)

    def log_prob(self, value: Tensor) -> Tensor:
        whole = value == value.long() if isinstance(value, Tensor) and value.is_floating_point() else value == value
        self._need("value", (value >= 0) & (value < self._classes) & whole, f"class numbers from 0 to {self._classes - 1}")
        shape = np.broadcast_shapes(tuple(value.shape), tuple(self.batch_shape))
        places = broadcast_to(value.long(), shape).unsqueeze(-1)
        return gather(broadcast_to(self.logits, (*shape, self._classes)), -1, places).squeeze(-1)

    def entropy(self) -> Tensor:
        least = float(np.finfo(self.logits.dtype).min)
        return -(self.probs * clamp(self.logits, min=least)).sum(-1)

    @property
    def mean(self) -> Tensor:
        return self.probs.detach().sum(-1) * math.nan

    variance = mean


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """How far a distribution p is from q: the mean, over draws from p, of p.log_prob - q.log_prob.

    Args:
        p, q: two of the same type, whose batch_shapes broadcast.

    Raises:
        NotImplementedError: two types.

    Source: `torch.distributions.kl_divergence`.

    >>> kl_divergence(Normal(1.0, 1.0), Normal(0.0, 1.0))
    tensor(0.5000)
    """
    for kind, divergence in _DIVERGENCES.items():
        if isinstance(p, kind) and isinstance(q, kind):
            return divergence(p, q)
    raise NotImplementedError(
        f"kl_divergence: not known for {type(p).__name__} and {type(q).__name__}, only for two of the same type: estimate "
        "it as the mean of p.log_prob(x) - q.log_prob(x) over draws x from p"
    )


def _normals(p: Any, q: Any) -> Tensor:
    ratio = (p.scale / q.scale) ** 2
    return (ratio + ((p.loc - q.loc) / q.scale) ** 2 - 1 - log(ratio)) / 2


def _bernoullis(p: Any, q: Any) -> Tensor:
    def part(weight: Tensor, x: Tensor, y: Tensor, impossible: Tensor) -> Tensor:
        term = weight * (logsigmoid(x) - logsigmoid(y))
        return where(weight == 0, 0.0, where(impossible, math.inf, term))

    yes = part(p.probs, p.logits, q.logits, q.probs == 0)
    return yes + part(1 - p.probs, -p.logits, -q.logits, q.probs == 1)


def _categoricals(p: Any, q: Any) -> Tensor:
    term = p.probs * (p.logits - q.logits)
    return where(p.probs == 0, 0.0, where(q.probs == 0, math.inf, term)).sum(-1)


def _uniforms(p: Any, q: Any) -> Tensor:
    outside = (q.low > p.low) | (q.high < p.high)
    return where(outside, math.inf, log((q.high - q.low) / (p.high - p.low)))


_DIVERGENCES = {Normal: _normals, Bernoulli: _bernoullis, Categorical: _categoricals, Uniform: _uniforms}
