"""Functions that make derivatives of functions: `torch.func`'s words, on top of derivatives.py.

    grad(f)(x)        the gradient of f at x; grad(grad(f)) is the second derivative
    jacrev(f)(x)      the Jacobian matrix
    vjp(f, x)         the value, and a function that multiplies by the Jacobian matrix

Inside one another they are differentiable. Outermost, the result is a constant unless an argument requires grad.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

from . import derivatives, graph
from .autograd import enable_grad
from .derivatives import leaves_of, pull, push, rows_of, tensors_of
from .tensor import Tensor

_inside: ContextVar[bool] = ContextVar("inside", default=False)


@contextmanager
def _transform(*tensors: Any) -> Any:
    """Whether to record derivatives: if an argument needs that, or another transform is under way."""
    record = _inside.get() or any(isinstance(x, Tensor) and x.requires_grad for x in tensors)
    token = _inside.set(True)
    try:
        with enable_grad():
            yield record
    finally:
        _inside.reset(token)


def _settle(x: Any, record: bool) -> Any:
    """A result, or a structure of them, as the caller gets it."""
    if isinstance(x, (tuple, list)):
        return tuple(_settle(each, record) for each in x)
    return x if record or not isinstance(x, Tensor) else x.detach()


def _split(name: str, func: Callable, argnums: int | tuple[int, ...], args: tuple, kwargs: dict, record: bool) -> Any:
    """The arguments to differentiate by, as leaves, and what the function gives of them."""
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for number in numbers:
        if not -len(args) <= number < len(args):
            raise RuntimeError(f"{name}: argnums has {number}, but there are only {len(args)} positional arguments")
    leaves = leaves_of(name, tuple(args[number] for number in numbers), record)
    filled = list(args)
    for number, leaf in zip(numbers, leaves):
        filled[number] = leaf
    return leaves, func(*filled, **kwargs)


def _parted(name: str, has_aux: bool, output: Any) -> tuple[Any, Any]:
    if not has_aux:
        return output, None
    if not isinstance(output, tuple) or len(output) != 2:
        raise RuntimeError(f"{name}: with has_aux=True the function must return (output, aux)")
    return output


def grad_and_value(func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """A function that gives the gradient of a function of one number, and its value. Source: `torch.func.grad_and_value`."""

    @wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with _transform(*args, *kwargs.values()) as record:
            x, output = _split("grad", func, argnums, args, kwargs, record)
            y, aux = _parted("grad", has_aux, output)
            if not isinstance(y, Tensor) or y.ndim != 0:
                got = f"shape {tuple(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
                raise RuntimeError(f"grad: the function must return a Tensor of shape (), got {got}; use jacrev")
            found = pull((y,), x, (y.detach() * 0 + 1,), record)
        found, y = _settle(found if isinstance(argnums, tuple) else found[0], record), _settle(y, record)
        return (found, (y, _settle(aux, record))) if has_aux else (found, y)

    return wrapped


def grad(func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """A function that gives the gradient of a function.

    Args:
        func: returns a Tensor of shape ().
        argnums: by which of its positional arguments.
        has_aux: func returns (output, aux), and the new function (gradient, aux).

    Source: `torch.func.grad`.

    >>> import minigrad as mg
    >>> grad(grad(lambda x: x**3))(mg.tensor(2.0))
    tensor(12.)
    """
    both = grad_and_value(func, argnums, has_aux)

    @wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        found, rest = both(*args, **kwargs)
        return (found, rest[1]) if has_aux else found

    return wrapped


def jacrev(func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """A function that gives the Jacobian of a function: all derivatives of its outputs, of shape (*output, *input).

    Source: `torch.func.jacrev`.

    >>> import minigrad as mg
    >>> jacrev(lambda x: x * x.sum())(mg.tensor([1.0, 2.0]))
    tensor([[4., 1.],
            [2., 5.]])
    """

    @wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with _transform(*args, *kwargs.values()) as record:
            x, output = _split("jacrev", func, argnums, args, kwargs, record)
            y, aux = _parted("jacrev", has_aux, output)
            found = [rows_of(each, x, record) for each in tensors_of("jacrev", "outputs", y)]
        found = [rows if isinstance(argnums, tuple) else rows[0] for rows in found]
        settled = _settle(found if isinstance(y, (tuple, list)) else found[0], record)
        return (settled, _settle(aux, record)) if has_aux else settled

    return wrapped


jacfwd = jacrev  # the same matrix; there is no forward mode here that could be faster for few inputs


def hessian(func: Callable, argnums: int | tuple[int, ...] = 0) -> Callable:
    """A function that gives all second derivatives of a function. Source: `torch.func.hessian`.

    >>> import minigrad as mg
    >>> hessian(lambda x: x[0] ** 2 * x[1])(mg.tensor([2.0, 5.0]))
    tensor([[10.,  4.],
            [ 4.,  0.]])
    """
    return jacrev(jacrev(func, argnums), argnums)


def vjp(func: Callable, *primals: Any, has_aux: bool = False) -> tuple:
    """Value of a function, and a function that multiplies a vector by its Jacobian matrix.

    Returns:
        (output, vjp_fn), with has_aux (output, vjp_fn, aux). vjp_fn takes one tensor for each output and returns a tuple
        with one for each of the primals, or that one itself if there is a single one as in PyTorch's tuple of one.

    Source: `torch.func.vjp`.

    >>> import minigrad as mg
    >>> y, back = vjp(lambda x: x * x, mg.tensor([1.0, 2.0]))
    >>> back(mg.tensor([1.0, 10.0]))
    (tensor([ 2., 40.]),)
    """
    with _transform(*primals) as record:
        x, output = _split("vjp", func, tuple(range(len(primals))), primals, {}, record)
        y, aux = _parted("vjp", has_aux, output)
        ys = tensors_of("vjp", "outputs", y)

    def back(*v: Any) -> tuple:
        given = tensors_of("vjp", "v", v[0] if len(v) == 1 else v)
        if [w.shape for w in given] != [each.shape for each in ys]:
            shapes = [tuple(each.shape) for each in ys], [tuple(w.shape) for w in given]
            raise RuntimeError(f"vjp: expected one tensor for each output, of shapes {shapes[0]}, got {shapes[1]}")
        with _transform(*primals, *given) as record:
            found = pull(ys, x, given, record)
        return _settle(found, record)

    return (_settle(y, record), back, _settle(aux, record)) if has_aux else (_settle(y, record), back)


def jvp(func: Callable, primals: tuple, tangents: tuple, *, has_aux: bool = False) -> tuple:
    """Value of a function, and how it changes as its arguments change along tangents. Source: `torch.func.jvp`.

    >>> import minigrad as mg
    >>> jvp(lambda x, y: x * y, (mg.tensor(2.0), mg.tensor(3.0)), (mg.tensor(1.0), mg.tensor(10.0)))
    (tensor(6.), tensor(23.))
    """
    for name, each in (("primals", primals), ("tangents", tangents)):
        if not isinstance(each, (tuple, list)):
            raise TypeError(f"jvp: {name} must be a tuple of tensors, got {type(each).__name__}")
    shapes = [[tuple(x.shape) for x in tensors_of("jvp", "tensors", each)] for each in (primals, tangents)]
    if shapes[0] != shapes[1]:
        raise RuntimeError(f"jvp: tangents must have the shapes of the primals, {shapes[0]}, got {shapes[1]}")
    with _transform(*primals, *tangents) as record:
        x, output = _split("jvp", func, tuple(range(len(primals))), tuple(primals), {}, record)
        y, aux = _parted("jvp", has_aux, output)
        found = push(tensors_of("jvp", "outputs", y), x, tangents, record)
    result = _settle(y, record), _settle(found if isinstance(y, (tuple, list)) else found[0], record)
    return (*result, _settle(aux, record)) if has_aux else result


def vmap(*args: Any, **kwargs: Any) -> Any:
    """Not here: write the batch dimension out, as broadcasting does."""
    raise NotImplementedError("vmap: functions are not batched automatically here; give the operations a batch dimension")


# autograd is a module, not a package; so that `import minigrad.autograd.functional` finds what PyTorch has there:
sys.modules.update({"minigrad.autograd.functional": derivatives, "minigrad.autograd.graph": graph})
