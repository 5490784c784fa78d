"""Trading time for memory: compute a part of the network again in backward, instead of keeping what is inside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .. import autograd, backend
from ..autograd import Node, enable_grad, grad_mode
from ..function import record
from ..tensor import Tensor


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """The result of a function, which keeps only its arguments: backward computes the rest once more.

    Args:
        function: returns a Tensor or several. It must do the same the second time.
        args, kwargs: its arguments.
        use_reentrant: PyTorch's choice of implementation, no effect here: parameters inside the function get their
            gradients, and derivatives of any order work.
        preserve_rng_state: draw the same random numbers the second time, so that dropout drops the same.

    Returns:
        What the function returned.

    Raises:
        RuntimeError: in backward, if the function gave other shapes the second time.

    Source: Chen et al., Training deep nets with sublinear memory cost, 2016; `torch.utils.checkpoint.checkpoint`.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 2.0], requires_grad=True)
    >>> y = checkpoint(lambda x: (x.exp() + 1).log(), x)
    >>> y.sum().backward(); x.grad
    tensor([0.7311, 0.8808])
    """
    if not grad_mode.get():
        return function(*args, **kwargs)
    generator = _generator(args)
    state = generator.get_state() if preserve_rng_state else None
    before = autograd.next_order()  # nodes that are made from here on have smaller numbers
    outputs = function(*args, **kwargs)
    results, several = _tensors(outputs)
    roots = [y.node for y in results if y.node is not None]
    parents = _below(roots, before)
    if not parents:
        return outputs

    def backward(grads: list[Tensor], node: Node | None) -> list:
        with enable_grad(), _going_on_from(generator, state):
            again, _ = _tensors(function(*args, **kwargs))
        again = [y for y, tracked in zip(again, differentiable) if tracked]
        if [y.shape for y in again] != [g.shape for g in grads]:
            shapes = [tuple(y.shape) for y in again], [tuple(g.shape) for g in grads]
            raise RuntimeError(f"checkpoint: the function gave shapes {shapes[0]} when computed again, {shapes[1]} before")
        recorded = grad_mode.get()
        pairs = [(y.node, g if recorded else g.array) for y, g in zip(again, grads) if y.node is not None]
        with _ends(parents):
            found = autograd._run(pairs, set(parents), recorded, recorded)
        wanted = [found.get(parent) for parent in parents]
        return [g if g is None or isinstance(g, Tensor) else Tensor._wrap(g) for g in wanted]

    differentiable = [y.node is not None for y in results]
    fresh = [Tensor._wrap(y.array) for y in results]
    tracked = [y for y, needs in zip(fresh, differentiable) if needs]
    inputs = [*args, *kwargs.values(), *(parent.keeper() for parent in parents if parent.keeper is not None)]
    versions = [(x.storage, x._version, "input") for x in inputs if isinstance(x, Tensor)]
    record("checkpoint", [f"input {i}" for i in range(len(parents))], parents, tracked, backward, versions)
    rest = iter(fresh)
    items = [next(rest) if isinstance(y, Tensor) else y for y in (outputs if several else [outputs])]
    return items[0] if not several else items if isinstance(outputs, list) else tuple(items)


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, preserve_rng_state: bool = True
) -> Any:
    """A Sequential in segments, each under `checkpoint`, but for the last, which is differentiated right after.

    Args:
        functions: a Sequential, or functions in a list.
        segments: how many.
        input: of the first function.
        use_reentrant, preserve_rng_state: see `checkpoint`.

    Raises:
        ValueError: segments is not from 1 to the number of functions.

    Source: `torch.utils.checkpoint.checkpoint_sequential`.
    """
    functions = list(functions)
    if not 1 <= segments <= len(functions):
        raise ValueError(f"checkpoint_sequential: segments must be from 1 to {len(functions)}, got {segments}")
    size = len(functions) // segments

    def run(part: Sequence[Callable]) -> Callable:
        def through(x: Any) -> Any:
            for function in part:
                x = function(x)
            return x

        return through

    for start in range(0, size * (segments - 1), size):
        part = run(functions[start : start + size])
        input = checkpoint(part, input, use_reentrant=use_reentrant, preserve_rng_state=preserve_rng_state)
    return run(functions[size * (segments - 1) :])(input)


def _tensors(outputs: Any) -> tuple[list[Tensor], bool]:
    several = isinstance(outputs, (tuple, list))
    found = [y for y in (outputs if several else [outputs]) if isinstance(y, Tensor)]
    if not found:
        raise TypeError(f"checkpoint: the function must return a Tensor or several, got {type(outputs).__name__}")
    return found, several


def _below(roots: list[Node], before: int) -> list[Node]:
    """The nodes that the function's results were computed from, and that were there before it began."""
    seen, stack, found = set(roots), list(roots), []
    while stack:
        node = stack.pop()
        if node.order > before:
            found.append(node)
            continue
        for parent in node.parents:
            if parent is not None and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return found


@contextmanager
def _ends(nodes: list[Node]) -> Iterator[None]:
    """Let the chain rule end at these nodes, though one may have been computed from another: its turn comes later."""
    before = [(node.plan, node.parents, node.hooks) for node in nodes]
    try:
        for node in nodes:
            node.plan, node.parents, node.hooks = None, (), None
        yield
    finally:
        for node, its in zip(nodes, before):
            node.plan, node.parents, node.hooks = its


def _generator(args: tuple) -> backend.Generator:
    """The default generator of the device that the function computes on."""
    where = next((x.device for x in args if isinstance(x, Tensor)), backend.CPU)
    return backend.default_generator(where)


@contextmanager
def _going_on_from(generator: backend.Generator, state: Any) -> Iterator[None]:
    """Draw again what was drawn from a state on, and then go on where we are now."""
    now = generator.get_state()
    try:
        if state is not None:
            generator.set_state(state)
        yield
    finally:
        if state is not None:
            generator.set_state(now)
