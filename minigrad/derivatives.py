"""Products with Jacobian matrices, and whole ones: `autograd.functional`, in PyTorch's words.

Backward multiplies a row vector by the Jacobian matrix from the left: v J (vjp). The rest is made of that:

    J u (jvp)      v J is linear in v, and its derivative by v along u is J u: two backward passes
    J, row by row  with the unit vectors as v
    H u (hvp)      the Hessian matrix H is the Jacobian matrix of the gradient
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .autograd import enable_grad, grad
from .creation import zeros_like
from .ops.shape import stack
from .tensor import Tensor


def tensors_of(name: str, what: str, x: Any) -> tuple[Tensor, ...]:
    """One tensor or several, as a tuple."""
    several = tuple(x) if isinstance(x, (tuple, list)) else (x,)
    for i, each in enumerate(several):
        if not isinstance(each, Tensor):
            raise TypeError(f"{name}: {what} must be a Tensor or a tuple of them, got {type(each).__name__} as number {i}")
    return several


def leaves_of(name: str, inputs: Any, create_graph: bool) -> tuple[Tensor, ...]:
    """The inputs at a place of their own in the graph, so that derivatives by them are by nothing else."""
    fresh = []
    for i, x in enumerate(tensors_of(name, "inputs", inputs)):
        if not x.is_floating_point():
            raise RuntimeError(f"{name}: input {i} is {x.dtype}; only floating point tensors have gradients")
        fresh.append(x.view_as(x) if create_graph and x.requires_grad else x.detach().requires_grad_())
    return tuple(fresh)


def pull(outputs: tuple, inputs: tuple, v: Any, create_graph: bool, strict: bool = False, name: str = "vjp") -> tuple:
    """v J: the gradients of sum(v * outputs), with zeros where there is no dependence."""
    pairs = [(y, w) for y, w in zip(outputs, v) if y.requires_grad]
    grads: tuple = (None,) * len(inputs)
    if pairs:
        ys, ws = zip(*pairs)
        grads = grad(ys, inputs, ws, create_graph=create_graph, retain_graph=True, allow_unused=True)
    for i, g in enumerate(grads):
        if strict and g is None:
            raise RuntimeError(f"{name}: the outputs do not depend on input {i}, which strict=True does not allow")
    return tuple(zeros_like(x) if g is None else g for x, g in zip(inputs, grads))


def push(outputs: tuple, inputs: tuple, u: Any, create_graph: bool, strict: bool = False, name: str = "jvp") -> tuple:
    """J u: the derivative of v J by v, along u."""
    v = tuple(zeros_like(y).requires_grad_() for y in outputs)
    rows = pull(outputs, inputs, v, True, strict, name)
    return pull(rows, v, u, create_graph)


def _given(name: str, v: Any, like: tuple[Tensor, ...], of: str) -> tuple[Tensor, ...]:
    """The vector to multiply by: one tensor for each of the inputs or outputs, of its shape; 1 for a number."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(f"{name}: v can only be left out for a single {of} with one element")
        return tuple(x.detach() * 0 + 1 for x in like)
    v = tensors_of(name, "v", v)
    if [x.shape for x in v] != [x.shape for x in like]:
        shapes = [tuple(x.shape) for x in like], [tuple(x.shape) for x in v]
        raise RuntimeError(f"{name}: v must have the shapes of the {of}s, expected {shapes[0]}, got {shapes[1]}")
    return v


def _like(x: Any, result: tuple, create_graph: bool = True) -> Any:
    """A tuple if x is one, else its only element; constants unless create_graph."""
    result = result if create_graph else tuple(y.detach() for y in result)
    return result if isinstance(x, (tuple, list)) else result[0]


def vjp(
    func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Value of a function, and a vector times its Jacobian matrix: one backward pass.

    Args:
        func: of one or several tensors; returns a tensor or several.
        inputs: a tensor, or a tuple of them.
        v: of the shapes of the outputs; 1 for a number if left out.
        create_graph: make the result differentiable.
        strict: raise if the outputs do not depend on an input, instead of giving zeros.

    Returns:
        The outputs, and v J of the shapes of the inputs.

    Raises:
        RuntimeError: v has other shapes.

    Source: `torch.autograd.functional.vjp`.

    >>> import minigrad as mg
    >>> vjp(lambda x: x * x, mg.tensor([1.0, 2.0]), mg.tensor([1.0, 10.0]))
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    with enable_grad():
        x = leaves_of("vjp", inputs, create_graph)
        y = func(*x)
        ys = tensors_of("vjp", "outputs", y)
        found = pull(ys, x, _given("vjp", v, ys, "output"), create_graph, strict)
    return _like(y, ys, create_graph), _like(inputs, found, create_graph)


def jvp(
    func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Value of a function, and its Jacobian matrix times a vector: how the outputs change along v.

    Args:
        func, inputs, create_graph, strict: see `vjp`.
        v: of the shapes of the inputs; 1 for a number if left out.

    Returns:
        The outputs, and J v of their shapes.

    Source: `torch.autograd.functional.jvp`.

    >>> import minigrad as mg
    >>> jvp(lambda x: x * x, mg.tensor([1.0, 2.0]), mg.tensor([1.0, 10.0]))
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    with enable_grad():
        x = leaves_of("jvp", inputs, create_graph)
        u = _given("jvp", v, x, "input")
        y = func(*x)
        ys = tensors_of("jvp", "outputs", y)
        found = push(ys, x, u, create_graph, strict)
    return _like(y, ys, create_graph), _like(y, found, create_graph)


def rows_of(y: Tensor, x: tuple[Tensor, ...], create_graph: bool, strict: bool = False, name: str = "jacobian") -> tuple:
    """The Jacobian of one output by each input, of shape (*output, *input): one backward pass for each element."""
    rows = []
    for i in range(y.numel()):
        unit = zeros_like(y).reshape(-1)
        unit[i] = 1.0
        rows.append(pull((y,), x, (unit.reshape(y.shape),), create_graph, strict, name))
    if not rows:
        return tuple(zeros_like(z).expand(0, *z.shape).reshape(*y.shape, *z.shape) for z in x)
    return tuple(stack(column).reshape(*y.shape, *z.shape) for column, z in zip(zip(*rows), x))


def jacobian(
    func: Callable,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """All derivatives of all outputs by all inputs.

    Args:
        func, inputs, create_graph, strict: see `vjp`.
        vectorize, strategy: PyTorch's choice of implementation, no effect here: the rows are computed one by one.

    Returns:
        A tensor of shape (*output, *input); a tuple of them for several inputs, nested for several outputs.

    Source: `torch.autograd.functional.jacobian`.

    >>> import minigrad as mg
    >>> jacobian(lambda x: x * x.sum(), mg.tensor([1.0, 2.0]))
    tensor([[4., 1.],
            [2., 5.]])
    """
    with enable_grad():
        x = leaves_of("jacobian", inputs, create_graph)
        y = func(*x)
        ys = tensors_of("jacobian", "outputs", y)
        found = tuple(_like(inputs, rows_of(each, x, create_graph, strict), create_graph) for each in ys)
    return found if isinstance(y, (tuple, list)) else found[0]


def hessian(
    func: Callable,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """All second derivatives of a function that gives one number.

    Args:
        func, inputs, create_graph, strict, vectorize, outer_jacobian_strategy: see `jacobian`.

    Returns:
        A tensor of shape (*input, *input); for several inputs a tuple of tuples.

    Raises:
        RuntimeError: the output is not one number.

    Source: `torch.autograd.functional.hessian`.

    >>> import minigrad as mg
    >>> hessian(lambda x: x[0] ** 2 * x[1], mg.tensor([2.0, 5.0]))
    tensor([[10.,  4.],
            [ 4.,  0.]])
    """

    def slope(*x: Tensor) -> Any:
        return _like(inputs, _gradient("hessian", func, x, strict))

    return jacobian(slope, inputs, create_graph, strict)


def _gradient(name: str, func: Callable, x: tuple[Tensor, ...], strict: bool) -> tuple:
    y = func(*x)
    if not isinstance(y, Tensor) or y.numel() != 1:
        got = f"a Tensor of shape {tuple(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
        raise RuntimeError(f"{name}: the function must return a Tensor with one element, got {got}")
    return pull((y,), x, (y.detach() * 0 + 1,), True, strict, name)


def _second(name: str, product: Callable, func: Callable, inputs: Any, v: Any, create_graph: bool, strict: bool) -> Any:
    with enable_grad():
        x = leaves_of(name, inputs, create_graph)
        given = _given(name, v, x, "input")
        y = func(*x)
        found = product(_gradient(name, lambda *_: y, x, strict), x, given, create_graph)
    return _like(y, (y,), create_graph), _like(inputs, found, create_graph)


def vhp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """Value of a function that gives one number, and a vector times its Hessian matrix: two backward passes.

    Source: `torch.autograd.functional.vhp`.

    >>> import minigrad as mg
    >>> vhp(lambda x: (x**3).sum(), mg.tensor([1.0, 2.0]), mg.tensor([1.0, 10.0]))
    (tensor(9.), tensor([  6., 120.]))
    """
    return _second("vhp", pull, func, inputs, v, create_graph, strict)


def hvp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """The same as `vhp`, since Hessian matrices are symmetric, computed as H v. Source: `torch.autograd.functional.hvp`."""
    return _second("hvp", push, func, inputs, v, create_graph, strict)
