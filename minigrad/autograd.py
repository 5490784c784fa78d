"""The graph and the chain rule. Read this first.

Every operation whose input needs a gradient leaves a `Node`: which operation it was, the nodes of its inputs, and the
values that its derivative rules will want. `backward` starts with the gradient of the result, which is 1, visits the
nodes from the newest to the oldest, and lets each one turn the gradient of its output into gradients of its inputs:

    x ──► mul ──► sum ──► loss          forward, oldest to newest
    x ◄── mul ◄── sum ◄── 1             backward, newest to oldest

An operation is always newer than its inputs. So when a node's turn comes, everything that was computed from it has
had its turn, and its gradient is complete. That is the whole reason for the order.

A Node never points to a Tensor, so nothing here forms a cycle: memory goes the moment the last name does.
"""

from __future__ import annotations

import itertools
import sys
import weakref
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray  # a name of our own: NumPy's are looked up slowly, as its module has `__getattr__`

from . import backend
from .fast import with_kernel
from .grad_mode import enable_grad, grad_mode, inference_mode, is_grad_enabled, no_grad, set_grad_enabled  # noqa: F401 (torch.autograd has them)
from .kernels import cpu as kernels
from .slices import At, Slices, place

if TYPE_CHECKING:
    from .tensor import Tensor
else:
    Tensor = None  # tensor.py puts its class here: a Tensor knows its operations, and these know only the graph


class Watcher:
    """Sees what the engine does in this thread while it is among `watchers`: so do anomaly mode, graph.py, the profiler."""

    def made(self, node: Node) -> None:
        """A node was made."""

    def begins(self, what: Any, position: int, g: Any) -> None:
        """A node's rule for the argument at a position is about to get g; or an optimizer is about to step."""

    def passed(self, what: Any, position: int, g: Any) -> None:
        """A node's rule gave a gradient; or an optimizer has made its step; for None, backward starts with g."""


watchers: ContextVar[tuple[Watcher, ...]] = ContextVar("watchers", default=())
next_order = itertools.count(0, -1).__next__
FREED = ["freed"]  # in place of the saved values, a tuple, once backward has used them


class Node:
    """One operation that was carried out, or a leaf: a tensor that the user asked the gradient of.

    Attributes:
        plan: which rules to run and what they want (see op.py); None for a leaf.
        parents: the node of each input, None where an input needs no gradient.
        saved: a tuple of the values that the rules asked for, in the plan's order; or what unpacks to it, see graph.py.
        versions: (storage, version, name) of each saved array, to notice that it was overwritten.
        shape, dtype: of the output, thus also of its gradient.
        order: smaller is newer.
        hooks: functions of the gradient, called when it is complete.
        keeper: weak reference to the Tensor whose `.grad` the gradient goes to, if any.
    """

    __slots__ = ("__weakref__", "dtype", "hooks", "keeper", "order", "parents", "plan", "saved", "shape", "versions")

    plan: Any
    parents: Any
    saved: Any
    versions: Any
    shape: tuple[int, ...]
    dtype: np.dtype
    order: int
    hooks: dict[int, Callable] | None
    keeper: weakref.ref[Tensor] | None

    @property
    def name(self) -> str:
        return "leaf" if self.plan is None else self.plan.op.name

    def __repr__(self) -> str:
        return f"<{self.name}, shape {self.shape}>"

    def unpack(self) -> Any:
        """What was saved, if it is not there as it was saved."""
        if self.saved is FREED:
            raise RuntimeError(
                f"backward: {self.name} was already differentiated and what it kept is freed; pass retain_graph=True "
                "to the first backward if you need a second one"
            )
        return self.saved.unpack()

    def overwritten(self, name: str, times: int) -> RuntimeError:
        """What to raise if an array that was saved has been written to since."""
        what = "its result" if name == "out" else f"its argument {name!r}"
        return RuntimeError(
            f"backward: {self.name} needs {what} as it was in the forward pass, but it was overwritten in place since "
            f"({times} times); use the out-of-place form, or clone() it first"
        )


def make_node(plan: Any, parents: Any, saved: Any, versions: Any, array: Any) -> Node:
    """A new node; calls.py has this as text, since a class without `__init__` takes Python half the time."""
    node = Node()
    node.plan, node.parents, node.saved, node.versions = plan, parents, saved, versions
    node.shape, node.dtype, node.order = array.shape, array.dtype, next_order()
    node.hooks = node.keeper = None
    for watcher in watchers.get():
        watcher.made(node)
    return node


def leaf(tensor: Tensor) -> Node:
    """A node for a tensor that gradients are to be collected for."""
    node = make_node(None, (), (), (), tensor.array)
    node.keeper = weakref.ref(tensor)
    return node


# ------------------------------------------------------------------------------------------------ the chain rule


_reduce, _LARGE = np.add.reduce, kernels.sums.LARGE
sum_first = with_kernel(lambda g, axes: kernels.sum(g, dim=axes))(
    lambda g, axes: _reduce(g, axes) if type(g) is ndarray else g.sum(axes)
)
_plus = with_kernel(kernels.add, least=kernels.pointwise.SMALL)(lambda before, g: before + g)

_copied = with_kernel(kernels.in_order, least=kernels.copies.SMALL)(lambda g: g.copy())


def sum_to(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum a gradient over the axes that broadcasting had added or stretched: its adjoint."""
    lead = g.ndim - len(shape)
    if lead and g.shape[lead:] == shape:
        axes: Any = 0 if lead == 1 else tuple(range(lead))
        return _reduce(g, axes) if type(g) is ndarray and g.size < _LARGE else sum_first(g, axes)
    axes = tuple(range(lead)) + tuple(i + lead for i, n in enumerate(shape) if n == 1 and g.shape[i + lead] != 1)
    if axes:
        g = g.sum(axes, keepdim=True) if isinstance(g, Tensor) else g.sum(axis=axes, keepdims=True)
    return g.reshape(shape)


class _Sums:
    """The gradient of every node that backward has reached and not yet visited.

    The first gradient of a node is taken as it comes, and may be an array that others see. The second makes a new
    array, which is ours: all further ones are added to it in place.
    """

    def __init__(self) -> None:
        self.grads: dict[Node, Any] = {}
        self.ours: set[Node] = set()
        self.queue: list[tuple[int, Node]] = []
        self.leaves: list[Node] = []

    def add(self, node: Node, g: Any) -> None:
        before = self.grads.get(node)
        if type(before) is Slices:
            if type(g) is At and not g.repeats and g.dtype == node.dtype and before.take(place(g.index), g.value):
                return
            before = before.whole()
        if before is None:
            if node.plan is None:
                self.leaves.append(node)  # nothing comes after a leaf: it can wait to the end
            else:
                heappush(self.queue, (node.order, node))
            if type(g) is not At:
                self.grads[node] = g
                return
            if not g.repeats and (where := place(g.index)) and g.dtype == node.dtype:
                slices = Slices(where[0], g.shape)
                if slices.take(where, g.value):
                    self.grads[node] = slices
                    return
            before = backend.namespace(g.value).zeros(g.shape, node.dtype)
            g.add_to(before)
        elif type(g) is At:
            before = before if node in self.ours else backend.namespace(before).array(before)
            g.add_to(before)
        elif node in self.ours:
            before += g
        else:
            before = _plus(before, g)
        self.grads[node] = before
        if not isinstance(before, (Tensor, np.generic)):
            self.ours.add(node)


def _fit(g: Any, node: Node, parent: Node, position: int) -> Any:
    """Give a gradient the shape and dtype of what it is the gradient of."""
    if g.shape != parent.shape:
        try:
            g = sum_to(g, parent.shape)
        except (ValueError, IndexError, RuntimeError):
            if len(parent.shape) <= g.ndim and all(n in (1, m) for n, m in zip(parent.shape[::-1], g.shape[::-1])):
                raise  # it is not about the shapes
            name = node.plan.op.argument(position)  # type: ignore[union-attr]
            raise RuntimeError(
                f"backward of {node.name}: the rule of {name!r} gave shape {tuple(g.shape)}, expected {parent.shape}"
            ) from None
    if g.dtype != parent.dtype and type(g) is not At:
        g = g.to(parent.dtype) if isinstance(g, Tensor) else g.astype(parent.dtype)
    return g


def _needed(roots: Sequence[Node], targets: set[Node]) -> set[Node]:
    """The nodes below the roots from which a target can be reached."""
    seen, stack = set(roots), list(roots)
    while stack:
        for parent in stack.pop().parents:
            if parent is not None and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    needed = set(targets)
    for node in sorted(seen, key=lambda node: -node.order):  # parents before what was computed from them
        if any(parent in needed for parent in node.parents):
            needed.add(node)
    return needed


def _differentiate(
    roots: Sequence[tuple[Node, Any]], targets: set[Node] | None, create_graph: bool, retain_graph: bool
) -> dict[Node, Any]:
    """Run the chain rule from the roots down.

    With targets, returns their gradients and computes nothing else; without, leaves collect theirs in `.grad`.
    Gradients are raw arrays, or Tensors if create_graph: the same rules work on both.
    """
    needed = None if targets is None else _needed([node for node, _ in roots], targets)
    sums, results, watching = _Sums(), {}, watchers.get()
    for node, g in roots:
        for watcher in watching:
            watcher.passed(None, 0, g)
        if needed is None or node in needed:
            sums.add(node, g)
    grads, ours, queue = sums.grads, sums.ours, sums.queue
    while queue:
        node = heappop(queue)[1]
        g = grads.pop(node)
        if type(g) is Slices:
            g = g.whole()
        if ours:
            ours.discard(node)
        if node.hooks:
            g = _call_hooks(g, node)
        plan, parents, saved = node.plan, node.parents, node.saved
        if targets is not None and node in targets:
            results[node] = g
        elif node.keeper is not None and targets is None and (tensor := node.keeper()) is not None:  # retain_grad
            tensor.grad = g if create_graph else Tensor._wrap(g.copy())
        if needed is not None and needed.isdisjoint(parents):
            continue
        for storage, version, name in node.versions:
            if storage.version != version:
                raise node.overwritten(name, storage.version - version)
        if saved and type(saved) is not tuple:
            saved = node.unpack()
        if create_graph:
            saved = plan.as_tensors(node, saved)
        together, found = plan.together, None
        for position, slope in plan.rules:
            parent = parents[position]
            if needed is not None and parent not in needed:
                continue
            if watching:  # asking first costs less than a loop over nothing
                for watcher in watching:
                    watcher.begins(node, position, g)
            try:
                if together is not None:
                    found, together = together(g, saved), None
                gx = slope(g, saved) if found is None else found[position]
            except Exception as error:
                error.add_note(f"(in the gradient of {node.name} for its argument {plan.op.argument(position)!r})")
                raise
            if watching:
                for watcher in watching:
                    watcher.passed(node, position, gx)
            if gx is not None:
                if gx.shape != parent.shape or gx.dtype is not parent.dtype:
                    gx = _fit(gx, node, parent, position)
                if type(gx) is At or parent in grads:
                    sums.add(parent, gx)
                else:  # what `add` does with a first gradient, without the call
                    grads[parent] = gx
                    if parent.plan is None:
                        sums.leaves.append(parent)
                    else:
                        heappush(queue, (parent.order, parent))
        if not retain_graph and saved:
            node.saved, node.versions = FREED, ()
    gx = found = None  # the sum must be the only one that holds a gradient, see _collect
    for node in reversed(sums.leaves):
        g = grads.pop(node)
        if type(g) is Slices:
            g = g.whole()
        if node.hooks:
            g = _call_hooks(g, node)
        if targets is not None:
            results[node] = g
        elif node.keeper is not None and (tensor := node.keeper()) is not None:
            _collect(tensor, g)
    return results


def _collect(tensor: Tensor, g: Any) -> None:
    """Add a complete gradient to a leaf's `.grad`, which always owns its memory."""
    if tensor.grad is None and (type(g) is ndarray or backend.is_array(g)):
        tensor.grad = grad = object.__new__(Tensor)
        # Given away uncopied if nobody else can see it. PyTorch, too, asks the reference count.
        alone = sys.getrefcount(g) <= _ALONE and g.flags.c_contiguous and (g.base is None or _all_of_its_own(g))
        grad.array = g if alone else _copied(g) if type(g) is ndarray else backend.namespace(g).array(g, order="C")
    elif isinstance(g, Tensor):
        tensor.grad = g if tensor.grad is None else tensor.grad + g
    elif tensor.grad is None:
        tensor.grad = Tensor._wrap(backend.namespace(g).array(g, order="C"))
    elif tensor.grad.node is not None:  # an earlier backward had create_graph=True
        tensor.grad = tensor.grad.detach() + Tensor._wrap(g)
    else:
        tensor.grad.array += g
        tensor.grad._bump()


def _all_of_its_own(g: Any) -> bool:
    """Whether an array is a view of all of another one that nobody else has, as `reshape` makes it."""
    base = g.base if type(g) is ndarray and g.flags.writeable else None  # what is broadcast is read-only
    return type(base) is ndarray and base.base is None and base.size == g.size and sys.getrefcount(base) <= _ALONE


# The reference count that `_collect` sees for an array which only its caller has, and `_all_of_its_own` for its base.
_ALONE = (lambda g: (lambda g: sys.getrefcount(g))(g))(np.empty(1))


def _call_hooks(g: Any, node: Node) -> Any:
    """Each hook gets a Tensor and may return another one in its place."""
    for hook in list((node.hooks or {}).values()):
        new = hook(g if isinstance(g, Tensor) else Tensor._wrap(g if isinstance(g, ndarray) else np.asarray(g)))
        if new is None:
            continue
        if not isinstance(new, Tensor) or new.shape != node.shape:
            got = f"a Tensor of shape {tuple(new.shape)}" if isinstance(new, Tensor) else type(new).__name__
            raise RuntimeError(f"hook on {node.name}: expected None or a Tensor of shape {node.shape}, got {got}")
        g = new if isinstance(g, Tensor) else new.array
    return g


# ------------------------------------------------------------------------------------------------ what users call


def _roots(name: str, outputs: Any, seeds: Any, create_graph: bool) -> list[tuple[Node, Any]]:
    if isinstance(outputs, Tensor):
        if seeds is None and outputs.node is not None and outputs.array.size == 1 and not create_graph:
            array = outputs.array  # the usual case, a loss
            on_cpu = type(array) is ndarray and array.ndim == 0
            one = array.dtype.type(1) if on_cpu else backend.namespace(array).ones(array.shape, array.dtype)
            return [(outputs.node, one)]
        outputs = [outputs]
    outputs = list(outputs)
    seeds = [seeds] if isinstance(seeds, Tensor) or seeds is None else list(seeds)
    if len(seeds) == 1 and seeds[0] is None:
        seeds *= len(outputs)
    if len(seeds) != len(outputs):
        raise RuntimeError(f"{name}: expected one gradient per output, got {len(seeds)} for {len(outputs)} outputs")
    roots = []
    for y, seed in zip(outputs, seeds):
        if not isinstance(y, Tensor):
            raise TypeError(f"{name}: expected a Tensor to differentiate, got {type(y).__name__}")
        if y.node is None:
            raise RuntimeError(
                f"{name}: this tensor does not require grad: no input of its computation has requires_grad=True, or "
                "it was computed under no_grad() or detached"
            )
        if seed is None:
            if y.array.size != 1:
                raise RuntimeError(
                    f"{name}: the gradient of a tensor of shape {tuple(y.shape)} needs a starting value; grad can be "
                    "implicitly created only for scalar outputs: reduce it (.sum(), .mean()) or pass `gradient`"
                )
            g = backend.namespace(y.array).ones(y.array.shape, y.array.dtype)
            roots.append((y.node, Tensor._wrap(g) if create_graph else g))
            continue
        if not isinstance(seed, Tensor):
            raise TypeError(f"{name}: expected the gradient as a Tensor, got {type(seed).__name__}")
        if seed.array.shape != y.array.shape:
            raise RuntimeError(
                f"{name}: expected a gradient of the output's shape {tuple(y.shape)}, got {tuple(seed.shape)}"
            )
        if seed.array.dtype is not y.array.dtype:
            seed = seed.to(y.dtype)
        roots.append((y.node, seed if create_graph else seed.array))
    return roots


def _run(roots: list, targets: set[Node] | None, create_graph: bool, retain_graph: bool | None) -> dict[Node, Any]:
    mode, warnings = grad_mode.set(create_graph), backend.silence()
    try:
        return _differentiate(roots, targets, create_graph, create_graph if retain_graph is None else retain_graph)
    finally:
        backend.restore(warnings)
        grad_mode.reset(mode)


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> None:
    """Add the gradients of the tensors to the `.grad` of every leaf they were computed from.

    Args:
        tensors: what to differentiate.
        grad_tensors: gradient of the final value with respect to each, of its shape; 1 for scalars if left out.
        retain_graph: keep the saved values, for a second backward; the default is create_graph.
        create_graph: record the backward pass too, so that gradients can be differentiated again.

    Raises:
        RuntimeError: nothing to differentiate, a shape that does not fit, or a graph that was freed.

    Source: `torch.autograd.backward`.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 2.0], requires_grad=True)
    >>> backward((x * x).sum())
    >>> x.grad
    tensor([2., 4.])
    """
    _run(_roots("backward", tensors, grad_tensors, create_graph), None, create_graph, retain_graph)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of the outputs with respect to the inputs; no `.grad` is touched.

    Args:
        outputs: what to differentiate.
        inputs: with respect to what.
        grad_outputs: gradient of the final value with respect to each output; 1 for scalars if left out.
        retain_graph: keep the saved values, for a second backward; the default is create_graph.
        create_graph: make the gradients differentiable in turn.
        allow_unused: give None for an input that the outputs do not depend on, instead of raising.
        materialize_grads: give zeros for such an input.

    Returns:
        One Tensor per input, of its shape and dtype.

    Raises:
        RuntimeError: an input does not require grad, or the outputs do not depend on it.

    Source: `torch.autograd.grad`.

    >>> import minigrad as mg
    >>> x = mg.tensor(3.0, requires_grad=True)
    >>> slope, = grad(x ** 3, x, create_graph=True)
    >>> slope, grad(slope, x)[0]
    (tensor(27., grad_fn=<mul>), tensor(18.))
    """
    inputs, nodes = [inputs] if isinstance(inputs, Tensor) else list(inputs), []
    for i, x in enumerate(inputs):
        if not isinstance(x, Tensor) or x.node is None:
            what = "a Tensor that does not require grad" if isinstance(x, Tensor) else type(x).__name__
            raise RuntimeError(f"grad: input {i} is {what}; call requires_grad_() on it before the forward pass")
        nodes.append(x.node)
    roots = _roots("grad", outputs, grad_outputs, create_graph)
    found = _run(roots, set(nodes), create_graph, retain_graph)
    if not create_graph:  # what is returned shares memory with nothing
        found = {node: backend.namespace(g).array(g, order="C") for node, g in found.items()}
    results: list[Tensor | None] = []
    for i, (x, node) in enumerate(zip(inputs, nodes)):
        g = found.get(node)
        if g is None and materialize_grads:
            g = backend.namespace(x.array).zeros_like(x.array)
        elif g is None and not allow_unused:
            raise RuntimeError(
                f"grad: the outputs do not depend on input {i} (shape {tuple(x.shape)}); pass allow_unused=True to get "
                "None for it"
            )
        results.append(g if g is None or isinstance(g, Tensor) else Tensor._wrap(g))
    return tuple(results)


def __getattr__(name: str) -> Any:
    from .autograd_names import find  # what PyTorch has here and we have above this module

    return find(name)
