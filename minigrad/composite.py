"""Operations that are plain functions of others, and the fused passes that may stand in for them.

    @composite
    def layer_norm(input, weight, bias, *, eps):
        centred = input - input.mean(-1, keepdim=True)
        ...

    layer_norm.fused("cpu", forward, backward)

A composition needs no derivative rules: it is the readable definition, and what it is made of has them. It may get a
fused pair of functions of arrays for a type of device, which ordinary calls use and record as one node:

    forward(*arrays, **options)                     the result and whatever backward wants kept besides the inputs,
                                                    or NotImplemented where it does not apply
    backward(g, needs, kept, *arrays, **options)    a gradient for each argument, None where `needs` is False

The formula stays the reference: it is what the pair is tested against, what runs where the pair does not apply, and what
`create_graph=True` differentiates, so that nobody has to write the second derivative of a kernel.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np

from . import backend, precision
from .autograd import Node, grad, grad_mode, make_node
from .op import fast_paths, op

if TYPE_CHECKING:
    from .tensor import Tensor
else:
    Tensor = None  # set by tensor.py, see autograd.py

COMPOSITIONS: dict[str, Composition] = {}  # all of them by name


def composite(formula: Callable) -> Any:
    """Declare a composition; see the top of this module.

    Args:
        formula: tensors as positional arguments, options by keyword only.
    """
    composition = Composition(formula)
    policy = precision.POLICY.get(composition.name)

    @wraps(formula)
    def call(*args: Any, **options: Any) -> Any:
        if policy is not None and (autocast := precision.active.get()) is not None:
            args = autocast.cast(policy, args)
        result = composition.fuse(args, options) if composition.pairs and fast_paths.get() else NotImplemented
        return formula(*args, **options) if result is NotImplemented else result

    call.op = composition  # type: ignore[attr-defined]
    call.fused = composition.pairs_for  # type: ignore[attr-defined]
    return call


class Composition:
    """A composition of operations and its fused passes; stands in for an `Op` in the graph.

    Attributes:
        name, formula: the function that was decorated.
        arguments: names of its tensors.
        pairs: device type -> (forward, backward).
        plans: which arguments need gradients -> the rules for these; made once and reused.
    """

    def __init__(self, formula: Callable) -> None:
        self.name = formula.__name__.strip("_")
        self.formula = formula
        parameters = inspect.signature(formula).parameters.values()
        self.arguments = [p.name for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY]
        self.pairs: dict[str, tuple[Callable, Callable]] = {}
        self.plans: dict[tuple[bool, ...], FusedPlan] = {}
        COMPOSITIONS[self.name] = self

    def argument(self, position: int) -> str:
        """Name of the argument at a position, for messages."""
        return self.arguments[position]

    def pairs_for(self, device: str, forward: Callable, backward: Callable) -> None:
        """Use a fused pair on a type of device."""
        self.pairs[device] = (forward, backward)

    def fuse(self, args: tuple, options: dict[str, Any]) -> Any:
        """The result by the fused pair, recorded as one node; NotImplemented where there is none."""
        arrays: list[Any] = []
        parents: list[Node | None] = []
        on_cpu, any_tensor = True, False
        for x in args:
            array, node = x, None
            if isinstance(x, Tensor):
                array, node, any_tensor = x.array, x.node, True
            if type(array) is not np.ndarray and array is not None:
                on_cpu = False
            arrays.append(array)
            parents.append(node)
        pair = self.pairs.get("cpu" if on_cpu else "cuda")
        if pair is None or not any_tensor:
            return NotImplemented
        warnings = backend.silence()
        try:
            done = pair[0](*arrays, **options)
        finally:
            backend.restore(warnings)
        if done is NotImplemented:
            return NotImplemented
        out, kept = done
        result = Tensor._wrap(out)
        needs = tuple([node is not None for node in parents])
        if True in needs and grad_mode.get():
            plan = self.plans.get(needs) or self.plans.setdefault(needs, FusedPlan(self, needs))
            versions = []
            for x, name in zip(args, self.arguments):
                if isinstance(x, Tensor):
                    storage = x._storage or x.storage
                    versions.append((storage, storage.version, name))
            if type(kept) is tuple and any([part is out for part in kept]):
                versions.append((result.storage, 0, "out"))
            result.node = make_node(plan, parents, (pair[1], kept, arrays, options), versions, result.array)
        return result


class FusedPlan:
    """Stands in for the plan of an operation: a fused pair's backward pass gives the gradients of all arguments at once."""

    def __init__(self, op: Composition, needs: tuple[bool, ...]) -> None:
        self.op = op
        self.needs = list(needs)
        self.rules: list[tuple] = [(i, None) for i, need in enumerate(needs) if need]

    def together(self, g: Any, saved: tuple) -> list:
        """The gradient of each argument."""
        backward, kept, arrays, options = saved
        return list(backward(g, self.needs, kept, *arrays, **options))

    def as_tensors(self, node: Node, saved: tuple) -> list:
        """For a backward pass that is itself recorded: the formula, differentiated."""
        _, _, arrays, options = saved
        inputs: list[Any] = []
        for array, parent in zip(arrays, node.parents):
            tensor: Any = None if array is None else Tensor._wrap(array)
            if parent is not None:
                tensor.node = parent
                tensor = alias(tensor)  # a place of its own, since one input may have been computed from another
            inputs.append(tensor)
        wanted = [x for x, parent in zip(inputs, node.parents) if parent is not None]

        def replay(g: Tensor, *_: Any) -> list[Any]:
            found = iter(grad(self.op.formula(*inputs, **options), wanted, g, create_graph=True))
            return [None if parent is None else next(found) for parent in node.parents]

        return [replay, None, (), {}]


@op(input=lambda g: g)
def alias(xp, input):
    """The same tensor at a new place in the graph."""
    return input
