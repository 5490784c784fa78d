"""Whether operations are recorded: on, unless a block, a function or a thread turned it off.

autograd.py, which does the recording, has these names too, as PyTorch has them in `torch.autograd`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ContextDecorator
from contextvars import ContextVar
from typing import Any

grad_mode: ContextVar[bool] = ContextVar("grad_mode", default=True)  # every new thread starts with the default


def is_grad_enabled() -> bool:
    """Whether operations are being recorded in this thread."""
    return grad_mode.get()


class _GradMode(ContextDecorator):
    """Sets the grad mode for a block or a function and restores it after, also after an exception."""

    mode = True
    _before: list[bool]

    def __new__(cls, function: Callable | None = None) -> Any:
        self = object.__new__(cls)
        self._before = []
        return self if function is None else self(function)  # `@no_grad` as well as `@no_grad()`

    def __enter__(self) -> None:
        self._before.append(grad_mode.get())
        grad_mode.set(self.mode)

    def __exit__(self, *error: Any) -> None:
        grad_mode.set(self._before.pop())


class no_grad(_GradMode):
    """Record nothing: a context manager and a decorator (as `torch.no_grad`).

    >>> import minigrad as mg
    >>> x = mg.tensor(3.0, requires_grad=True)
    >>> with no_grad():
    ...     (x * x).requires_grad
    False
    """

    mode = False


class enable_grad(_GradMode):
    """Record again, inside `no_grad`: a context manager and a decorator (as `torch.enable_grad`)."""


class inference_mode(no_grad):
    """The same as `no_grad`. PyTorch refuses later to differentiate through what was made here; we need not."""


class set_grad_enabled(_GradMode):
    """Record operations or not: a context manager, a decorator, or a plain call that stays in force (as in PyTorch).

    Args:
        mode: True records.

    >>> with set_grad_enabled(False):
    ...     is_grad_enabled()
    False
    """

    def __new__(cls, mode: bool) -> Any:
        self = super().__new__(cls)
        self.mode = bool(mode)
        self._before = [grad_mode.get()]
        grad_mode.set(self.mode)
        return self

    def __enter__(self) -> None:
        grad_mode.set(self.mode)

    def __exit__(self, *error: Any) -> None:
        grad_mode.set(self._before[0])

    def __call__(self, function: Any) -> Any:
        grad_mode.set(self._before[0])  # a decorator changes nothing until the function is called
        return (enable_grad if self.mode else no_grad)(function)
