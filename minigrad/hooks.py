"""The handle of a hook: of a tensor's gradient, or of a module's forward and backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Handle:
    """What registering a hook returns: `remove()` takes the hook away; also a context manager.

    Args:
        hooks: where the hooks are kept, in the order in which they are called.
        hook: the new one.
        prepend: call it before the others.

    >>> hooks = {}
    >>> with Handle(hooks, print):
    ...     len(hooks)
    1
    >>> hooks
    {}
    """

    _count = 0

    def __init__(self, hooks: dict[int, Callable], hook: Callable, prepend: bool = False) -> None:
        Handle._count += 1
        self.id = Handle._count
        self._hooks = hooks
        others = dict(hooks) if prepend else {}
        for key in others:
            del hooks[key]
        hooks[self.id] = hook
        hooks.update(others)

    def remove(self) -> None:
        """Take the hook away."""
        self._hooks.pop(self.id, None)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *error: Any) -> None:
        self.remove()
