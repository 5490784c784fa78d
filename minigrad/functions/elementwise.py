"""More functions of each element by itself."""

from __future__ import annotations

from typing import Any

from ..errors import explained
from ..ops.choice import clamp
from ..ops.elementwise import log, pow, trunc


@explained
def frac(input: Any) -> Any:
    """What `trunc` takes away: the part behind the point, with the sign of the element. Source: `torch.frac`.

    >>> import minigrad as mg
    >>> mg.tensor([-1.5, 2.25]).frac()
    tensor([-0.5000,  0.2500])
    """
    return input - trunc(input)


@explained
def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """`input + value * tensor1 * tensor2`. Source: `torch.addcmul`.

    >>> import minigrad as mg
    >>> mg.addcmul(mg.tensor([1.0]), mg.tensor([2.0]), mg.tensor([3.0]), value=10)
    tensor([61.])
    """
    return input + value * tensor1 * tensor2


@explained
def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """`input + value * tensor1 / tensor2`. Source: `torch.addcdiv`.

    >>> import minigrad as mg
    >>> mg.addcdiv(mg.tensor([1.0]), mg.tensor([3.0]), mg.tensor([2.0]), value=10)
    tensor([16.])
    """
    return input + value * tensor1 / tensor2


@explained
def exp2(input: Any) -> Any:
    """2 to the power of each element. Source: `torch.exp2`.

    >>> import minigrad as mg
    >>> mg.tensor([0.0, 3.0]).exp2()
    tensor([1., 8.])
    """
    return pow(2.0, input)


@explained
def logit(input: Any, eps: float | None = None) -> Any:
    """log(x / (1 - x)), the inverse of sigmoid. Source: `torch.logit`.

    Args:
        input: probabilities.
        eps: first clamp them to eps and 1 - eps; if None, 0 and 1 give -inf and inf.

    >>> import minigrad as mg
    >>> mg.tensor([0.5, 0.75]).logit()
    tensor([0.0000, 1.0986])
    """
    input = input if eps is None else clamp(input, eps, 1 - eps)
    return log(input / (1 - input))
