"""Keeping something else than the saved values until backward needs them (as `torch.autograd.graph`).

A recorded operation keeps the arrays that its rules ask for. Inside `saved_tensors_hooks` what it keeps is what a
function of yours makes of each: a path, a half as precise copy, nothing at all. Another one makes it a tensor again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ContextDecorator
from typing import Any

from . import backend
from .autograd import Node, Watcher, no_grad, watchers
from .tensor import Tensor


class saved_tensors_hooks(ContextDecorator, Watcher):
    """Pack what is saved for backward, and unpack it there: a context manager and a decorator, for this thread.

    Of several, the innermost packs. What is packed is not watched for being overwritten.

    Args:
        pack_hook: gets each saved tensor and returns what to keep in its place.
        unpack_hook: gets that and returns a tensor of the same shape and dtype.

    Raises:
        TypeError: in backward, if unpack_hook returns something else than a tensor.
        RuntimeError: in backward, if it has another shape or dtype.

    Source: `torch.autograd.graph.saved_tensors_hooks`.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 2.0], requires_grad=True)
    >>> with saved_tensors_hooks(lambda saved: saved.tolist(), mg.tensor):
    ...     y = (x * x).sum()
    >>> y.backward(); x.grad
    tensor([2., 4.])
    """

    def __init__(self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]) -> None:
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook
        self._before: list[tuple[Watcher, ...]] = []

    def __enter__(self) -> None:
        self._before.append(watchers.get())
        watchers.set((*watchers.get(), self))

    def __exit__(self, *error: Any) -> None:
        watchers.set(self._before.pop())

    def made(self, node: Node) -> None:
        if node.saved and self is _innermost():
            node.saved, node.versions = Packed(node.saved, self), ()


def _innermost() -> saved_tensors_hooks | None:
    return next((w for w in reversed(watchers.get()) if isinstance(w, saved_tensors_hooks)), None)


def pack(values: list) -> list | Packed:
    """Values as the hooks in force want them kept: themselves if there are none."""
    hooks = _innermost()
    return values if hooks is None else Packed(values, hooks)


def unpack(values: list | Packed) -> Any:
    """What `pack` got."""
    return values.unpack() if isinstance(values, Packed) else values


class Packed:
    """Saved values, each array among them in the form that a pack hook gave it."""

    def __init__(self, values: Any, hooks: saved_tensors_hooks) -> None:
        self.unpack_hook = hooks.unpack_hook
        with no_grad():
            self.values = _each(values, backend.is_array, lambda array: _Parcel(array, hooks.pack_hook))

    def unpack(self) -> Any:
        """The values as they were."""
        with no_grad():
            return _each(self.values, lambda value: isinstance(value, _Parcel), lambda p: p.open(self.unpack_hook))


class _Parcel:
    """What a pack hook made of one array."""

    def __init__(self, array: Any, pack_hook: Callable) -> None:
        self.shape, self.dtype, self.content = array.shape, array.dtype, pack_hook(Tensor._wrap(array))

    def open(self, unpack_hook: Callable) -> Any:
        tensor = unpack_hook(self.content)
        if not isinstance(tensor, Tensor):
            raise TypeError(f"saved_tensors_hooks: unpack_hook must return a Tensor, got {type(tensor).__name__}")
        if tensor.array.shape != self.shape or tensor.dtype != self.dtype:
            raise RuntimeError(
                f"saved_tensors_hooks: what was packed had shape {self.shape} and dtype {self.dtype}, unpack_hook gave "
                f"{tuple(tensor.shape)} and {tensor.dtype}"
            )
        return tensor.array


def _each(value: Any, wanted: Callable[[Any], bool], change: Callable[[Any], Any]) -> Any:
    """Saved values with some of them changed, at any depth, the arrays of a fused pass among them."""
    if wanted(value):
        return change(value)
    if type(value) in (list, tuple):
        return type(value)([_each(item, wanted, change) for item in value])
    return value
