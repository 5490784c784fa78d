"""Checking derivatives against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .. import autograd, backend
from ..tensor import Tensor


class GradcheckError(RuntimeError):
    """A derivative that disagrees with finite differences."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    seed: int = 0,
) -> bool:
    """Whether the gradients of a function agree with central differences.

    The outputs are weighted with random numbers and summed: L = sum(c * func(x)). Then dL/dx is compared, for every
    element of every input that requires grad, with (L(x + eps) - L(x - eps)) / (2 eps). The weights are random since
    with ones a wrong rule can pass: the elements of a softmax sum to 1, so their plain sum has gradient zero whatever
    the rule says.

    Args:
        func: returns a Tensor or several.
        inputs: what to call it with. Tensors that require grad are checked and must be float64, since in float32 the
            differences drown in rounding errors. Keep them away from kinks, by more than eps.
        eps: step of the differences.
        atol, rtol: |analytic - numeric| may be at most atol + rtol * |numeric|.
        raise_exception: raise if they disagree, else return False.
        seed: of the weights.

    Returns:
        True if all agree.

    Raises:
        GradcheckError: they disagree; the message names the input, the element and both values.
        ValueError: no input requires grad, or one is not float64.

    Source: `torch.autograd.gradcheck`.

    >>> import minigrad as mg
    >>> gradcheck(mg.tanh, mg.tensor([0.3, -1.2], dtype=mg.float64, requires_grad=True))
    True
    """
    for i, index, found, numeric, value in differences(func, inputs, eps, seed):
        if not abs(found - numeric) <= atol + rtol * abs(numeric):
            if not raise_exception:
                return False
            raise GradcheckError(
                f"gradcheck: input {i}, element {index}: the gradient is {found:.8g}, finite differences give "
                f"{numeric:.8g} (at the value {value:.8g})"
            )
    return True


def differences(
    func: Callable[..., Any], inputs: Tensor | Sequence[Any], eps: float = 1e-6, seed: int = 0
) -> Iterator[tuple[int, tuple[int, ...], float, float, float]]:
    """What `gradcheck` compares, element by element: see there.

    Yields:
        Number of the input, index of the element, the gradient, what finite differences give, and the element's value.
    """
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    checked = [(i, x) for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    if not checked:
        raise ValueError("gradcheck: no input requires grad, there is nothing to check")
    for i, x in checked:
        if x.dtype != np.float64:
            raise ValueError(f"gradcheck: input {i} is {x.dtype}; use float64, float32 is too coarse for differences")
    rng = np.random.default_rng(seed)
    everything = _outputs(func, inputs)
    differentiable = [k for k, y in enumerate(everything) if y.requires_grad]
    outputs = [everything[k] for k in differentiable]
    if not outputs:
        raise GradcheckError("gradcheck: no output depends on the inputs that require grad")
    weights = [Tensor(rng.standard_normal(y.shape), device=y.device) for y in outputs]
    analytic = autograd.grad(outputs, [x for _, x in checked], weights, allow_unused=True, materialize_grads=True)
    arrays = [backend.to_device(w.array, backend.CPU) for w in weights]

    def loss() -> float:
        with autograd.no_grad():
            values = _outputs(func, inputs)
        found = [backend.to_device(values[k].array, backend.CPU) for k in differentiable]
        return sum(float((y * w).sum()) for y, w in zip(found, arrays))

    for (i, x), g in zip(checked, analytic):
        assert g is not None
        for index in np.ndindex(*x.shape):
            before = x.array[index].item()
            x.array[index] = before + eps
            above = loss()
            x.array[index] = before - eps
            below = loss()
            x.array[index] = before
            yield i, index, g.array[index].item(), (above - below) / (2 * eps), before


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    seed: int = 0,
) -> bool:
    """Whether the second derivatives of a function agree with central differences of the first.

    It is `gradcheck` of the function (x, c) -> d sum(c * func(x)) / dx, whose weights c are inputs too. First it sees to
    it that this function, computed with create_graph=True, gives the gradients that backward gives without: the two run
    the same rules in two ways.

    Args:
        func, inputs, eps, atol, rtol, raise_exception, seed: as in `gradcheck`.

    Returns:
        True if all agree, or if the first derivative is constant in everything.

    Raises:
        GradcheckError, ValueError: as in `gradcheck`.

    Source: `torch.autograd.gradgradcheck`.

    >>> import minigrad as mg
    >>> gradgradcheck(mg.tanh, mg.tensor([0.3, -1.2], dtype=mg.float64, requires_grad=True))
    True
    """
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    first, everything = gradient_of(func, inputs, seed)
    found = [y for y in _outputs(func, inputs) if y.requires_grad]
    wanted = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]
    plain = [g for g in autograd.grad(found, wanted, everything[len(inputs) :], allow_unused=True) if g is not None]
    for g, recorded in zip(plain, first(*everything), strict=True):
        if not np.allclose(g.array, recorded.array, rtol=1e-9, atol=1e-12):
            if not raise_exception:
                return False
            raise GradcheckError(
                f"gradgradcheck: the gradient is\n{g}\nbut with create_graph=True it is\n{recorded.detach()}"
            )
    return gradcheck(first, everything, eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception, seed=seed)


def gradient_of(func: Callable[..., Any], inputs: Sequence[Any], seed: int = 0) -> tuple[Callable[..., Any], tuple]:
    """The function (x, c) -> d sum(c * func(x)) / dx, and the inputs with random weights c to call it with."""
    rng, count = np.random.default_rng(seed + 1), len(inputs)
    outputs = [y for y in _outputs(func, inputs) if y.requires_grad]
    weights = [Tensor(rng.standard_normal(y.shape), device=y.device, requires_grad=True) for y in outputs]

    def first(*everything: Any) -> Any:
        with autograd.enable_grad():
            found = [y for y in _outputs(func, everything[:count]) if y.requires_grad]
            wanted = [x for x in everything[:count] if isinstance(x, Tensor) and x.requires_grad]
            grads = autograd.grad(found, wanted, everything[count:], create_graph=True, allow_unused=True)
        return tuple(g for g in grads if g is not None)

    return first, (*inputs, *weights)


def _outputs(func: Callable[..., Any], inputs: Sequence[Any]) -> list[Tensor]:
    outputs = func(*inputs)
    outputs = [outputs] if isinstance(outputs, Tensor) else [y for y in outputs if isinstance(y, Tensor)]
    if not outputs:
        raise TypeError("gradcheck: the function must return a Tensor or several")
    return outputs
