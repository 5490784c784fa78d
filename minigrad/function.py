"""Operations that users define: `autograd.Function`, whose forward and backward are written in Tensor operations.

An operation of the library has one rule for each argument (op.py). Here one backward gives all gradients at once, and
there may be several results. A node has one gradient, so several results are recorded as pieces of one flat vector:

    x, y ──► node of forward ──► flat vector ──► piece, reshaped ──► first result
                                            └──► piece, reshaped ──► second result

The vector is never made; only the nodes of its pieces are, and their gradients flow together in the node of forward.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from . import backend
from .autograd import Node, grad_mode, make_node, no_grad
from .graph import Packed, pack, unpack
from .tensor import Tensor

# ----------------------------------------------------------------------------------------------------- in the graph


class JointPlan:
    """The rules of a node whose gradients all come from one call. Stands in for a Plan, and for its Op (see op.py).

    Args:
        name: of the operation, for messages.
        arguments: names of its arguments.
        parents: their nodes.
        results: the tensors that it gives.
    """

    def __init__(self, name: str, arguments: Sequence[str], parents: Sequence[Node | None], results: Sequence[Tensor]) -> None:
        self.op = self
        self.name = name
        self.arguments = arguments
        self.shapes = [y.shape for y in results]
        self.dtypes = [y.dtype for y in results]
        self.rules: list[tuple] = [(i, None) for i, parent in enumerate(parents) if parent is not None]

    def argument(self, position: int) -> str:
        """Name of the argument at a position, for messages."""
        return self.arguments[position]

    def as_tensors(self, node: Node, saved: tuple) -> list:
        """For a backward pass that is itself recorded."""
        return [*saved, node]

    def together(self, g: Any, saved: tuple) -> list:
        """The gradient of each argument, by one call of backward."""
        backward, *node = saved
        if node:
            return list(backward(self.pieces(g), *node))
        return [x if x is None else x.array for x in backward(self.pieces(Tensor._wrap(g)), None)]

    def pieces(self, flat: Tensor) -> list[Tensor]:
        """The results, or their gradients, that stand in one vector."""
        if len(self.shapes) == 1:
            return [flat]
        ends = np.cumsum([shape.numel() for shape in self.shapes])
        parts = zip(self.shapes, self.dtypes, ends)
        return [flat[int(end) - shape.numel() : int(end)].reshape(shape).to(dtype) for shape, dtype, end in parts]

    def vector(self, like: Tensor) -> Tensor:
        """What stands for all results together: their number and dtype, no memory."""
        if len(self.shapes) == 1:
            return Tensor._wrap(like.array)
        xp, dtype = backend.namespace(like.array), np.result_type(*self.dtypes)
        return Tensor._wrap(xp.broadcast_to(xp.zeros((), dtype), (sum(shape.numel() for shape in self.shapes),)))


def record(
    name: str,
    arguments: Sequence[str],
    parents: Sequence[Node | None],
    results: Sequence[Tensor],
    backward: Callable[[list[Tensor], Node | None], list],
    versions: list,
) -> None:
    """Give tensors their place in the graph.

    Args:
        name, arguments: for messages.
        parents: the node of each argument.
        results: floating point tensors that are in no graph yet.
        backward: from the gradients of all results (and the node, if backward is recorded) to one for each argument.
        versions: what must not be overwritten until then, see `Node`.
    """
    plan = JointPlan(name, arguments, parents, results)
    vector = plan.vector(results[0])
    vector.node = make_node(plan, parents, (backward,), versions, vector.array)
    for y, piece in zip(results, plan.pieces(vector)):
        y.node = piece.node


# ------------------------------------------------------------------------------------------------- what users define


class Context:
    """What `forward` leaves for `backward`: the `ctx` of a Function.

    Attributes:
        needs_input_grad: for each argument of forward, whether its gradient will be used.
        saved_tensors: what `save_for_backward` got, in backward.
    """

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        self._to_save: tuple = ()
        self._constant: tuple = ()
        self._saved: Callable[[], tuple] | None = None

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for backward, and notice there if one was overwritten."""
        for x in tensors:
            if x is not None and not isinstance(x, Tensor):
                raise TypeError(
                    f"save_for_backward: expected tensors or None, got {type(x).__name__}; keep it as an attribute of ctx"
                )
        self._to_save = tensors

    @property
    def saved_tensors(self) -> tuple:
        return self._to_save if self._saved is None else self._saved()

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """These results get no gradient."""
        self._constant = tensors

    def mark_dirty(self, *tensors: Tensor) -> None:
        raise NotImplementedError("mark_dirty: forward must not write to its arguments here; return a new tensor")

    def set_materialize_grads(self, value: bool) -> None:
        """Whether a result that nothing depends on has gradient zero instead of None; always so here."""
        if not value:
            raise NotImplementedError("set_materialize_grads: gradients are always tensors here; test them with .any()")


class Function:
    """An operation with a backward of your own (as `torch.autograd.Function`).

    Define two static methods, and call `apply`:

        forward(ctx, *args)       the result, or a tuple of several. Nothing in it is recorded. It keeps what backward
                                  will want with ctx.save_for_backward(*tensors), and anything else as attributes of ctx
        backward(ctx, *grads)     from the gradient of each result, one for each argument of forward, or None

    Instead, forward may leave out ctx, and setup_context(ctx, inputs, output) keep things. If backward is written in
    operations on tensors, it can be differentiated again.

    >>> import minigrad as mg
    >>> class Cube(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x * x
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         x, = ctx.saved_tensors
    ...         return g * 3 * x * x
    >>> x = mg.tensor(2.0, requires_grad=True)
    >>> Cube.apply(x).backward(); x.grad
    tensor(12.)
    """

    @staticmethod
    def forward(*args: Any) -> Any:
        raise NotImplementedError("Function: define forward(ctx, *args) as a static method")

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise NotImplementedError("Function: define backward(ctx, *grads) as a static method, to differentiate it")

    setup_context: Callable | None = None

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Compute, and record if an argument needs a gradient.

        Args:
            args: those of forward: tensors and anything else.

        Returns:
            What forward returned.

        Raises:
            TypeError: forward gives no tensor.
        """
        parents = [x.node if isinstance(x, Tensor) else None for x in args]
        ctx = Context(tuple(parent is not None for parent in parents))
        with no_grad():
            outputs = cls.forward(*args) if cls.setup_context else cls.forward(ctx, *args)
            if cls.setup_context:
                cls.setup_context(ctx, args, outputs)
        several = isinstance(outputs, (tuple, list))
        results = list(outputs) if several else [outputs]
        if not any(isinstance(y, Tensor) for y in results):
            raise TypeError(f"{cls.__name__}: forward must return a Tensor or several, got {type(outputs).__name__}")
        constant = [not isinstance(y, Tensor) or y.dtype.kind != "f" or _index(ctx._constant, y) is not None for y in results]
        results = [Tensor._wrap(y.array) if _index(args, y) is not None and isinstance(y, Tensor) else y for y in results]
        tracked = [y for y, fixed in zip(results, constant) if not fixed]
        if tracked and grad_mode.get() and any(parents):
            cls._record(ctx, args, parents, results, tracked)
        return tuple(results) if several else results[0]

    @classmethod
    def _record(cls, ctx: Context, args: tuple, parents: list, results: list, tracked: list) -> None:
        """Nothing that stays in the graph may hold on to the results, see autograd.py: hence arrays and numbers here."""
        count, several = len(parents), [f"argument {i}" for i in range(len(parents))]
        names = list(inspect.signature(cls.forward).parameters)[0 if cls.setup_context else 1 :] + several
        called = {**{id(x): name for x, name in zip(args, names)}, **{id(y): "out" for y in tracked}}
        kept = [x for x in ctx._to_save if x is not None]
        versions = [(x.storage, x._version, called.get(id(x), "save_for_backward")) for x in kept]
        saved = pack([None if x is None else x.array for x in ctx._to_save])
        versions = [] if isinstance(saved, Packed) else versions
        origins = [None if x is None else x.node or _index(tracked, x) for x in ctx._to_save]
        places = [_index(tracked, y) for y in results]
        blanks = [(y.shape, y.dtype) if isinstance(y, Tensor) else None for y in results]
        ctx._to_save = ctx._constant = ()

        def backward(grads: list[Tensor], node: Node | None) -> list:
            ctx._saved = lambda: _restored(unpack(saved), origins, node)
            try:
                found = cls.backward(
                    ctx, *(_gradient(grads, place, blank) for place, blank in zip(places, blanks))
                )
            finally:
                ctx._saved = None
            found = list(found) if isinstance(found, (tuple, list)) else [found]
            if len(found) < count or any(g is not None for g in found[count:]):
                raise RuntimeError(
                    f"{cls.__name__}: backward must return one gradient (or None) for each of the {count} arguments of "
                    f"forward, got {len(found)}"
                )
            for g, name in zip(found, names):
                if g is not None and not isinstance(g, Tensor):
                    raise TypeError(
                        f"{cls.__name__}: backward must return tensors or None, got {type(g).__name__} for {name!r}"
                    )
            return found

        record(cls.__name__, names, parents, tracked, backward, versions)


def _index(items: Sequence, x: Any) -> int | None:
    """Where in a sequence an object itself stands."""
    return next((i for i, item in enumerate(items) if item is x), None)


def _gradient(grads: list[Tensor], place: int | None, blank: tuple | None) -> Tensor | None:
    """The gradient of a result: zero if it is a constant tensor, None if it is no tensor."""
    if place is not None:
        return grads[place]
    return None if blank is None else Tensor._wrap(backend.namespace(grads[0].array).zeros(*blank))


def _restored(saved: list, origins: list, node: Node | None) -> tuple:
    """The saved tensors, each in its place in the graph; results have none unless backward itself is recorded."""
    pieces: list[Tensor] = []
    if node is not None:
        vector = Tensor._wrap(np.broadcast_to(np.zeros((), node.dtype), node.shape))
        vector.node = node
        pieces = node.plan.pieces(vector)  # type: ignore[union-attr]
    tensors: list[Tensor | None] = []
    for array, origin in zip(saved, origins):
        tensor = None if array is None else Tensor._wrap(array)
        if tensor is not None and isinstance(origin, Node):
            tensor.node = origin
        elif tensor is not None and origin is not None and pieces:
            tensor.node = pieces[origin].node
        tensors.append(tensor)
    return tuple(tensors)


class _Refuse(Function):
    """What a backward gives that can run only once: differentiating it raises."""

    @staticmethod
    def forward(ctx: Any, name: str, g: Tensor, *sources: Tensor) -> Tensor:
        ctx.name = name
        return g.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        raise RuntimeError(f"{ctx.name}: its backward is marked with @once_differentiable and has no derivative")


def once_differentiable(backward: Callable) -> Callable:
    """Mark a backward that does more than tensor operations: it gets constants, and cannot be differentiated again.

    Source: `torch.autograd.function.once_differentiable`.
    """

    @wraps(backward)
    def wrapped(ctx: Any, *grads: Any) -> Any:
        with no_grad():
            found = backward(ctx, *(g.detach() if isinstance(g, Tensor) else g for g in grads))
        if not grad_mode.get():
            return found
        name = backward.__qualname__.partition(".")[0]
        sources = [g for g in (*grads, *ctx.saved_tensors) if isinstance(g, Tensor) and g.requires_grad]
        several = isinstance(found, (tuple, list))
        marked = [
            _Refuse.apply(name, g, *sources) if isinstance(g, Tensor) and sources else g
            for g in (found if several else [found])
        ]
        return tuple(marked) if several else marked[0]

    return wrapped
