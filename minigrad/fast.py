"""Who computes: the formulas in ops/, or kernels that are asked first and may decline.

Operations name theirs by `@op.fast(device)` (see op.py), compositions by `.fused` (composite.py), and rules, or pieces of
them, by `@with_kernel` here. Each can be switched off, and computes the same without.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from contextlib import ContextDecorator
from contextvars import ContextVar
from functools import wraps
from typing import Any

from numpy import ndarray

from .written import compiled

fast_paths: ContextVar[bool] = ContextVar("fast_paths", default=os.environ.get("MINIGRAD_FAST") != "0")


def with_kernel(kernel: Callable, least: int = 0) -> Callable:
    """A rule, or a piece of rules, whose work a kernel does where it can: a decorator.

    Args:
        kernel: is asked first if the first argument is an array of NumPy; it may return NotImplemented.
        least: of how few numbers in the first argument it need not be asked.

    Returns:
        A decorator. What it makes has `.kernels`, by type of array, for kernels of other devices; and `.few`, the formula and
        `least`, for callers who know how many numbers there are.
    """

    def decorate(formula: Callable) -> Any:
        parameters = [p.replace(annotation=p.empty) for p in inspect.signature(formula).parameters.values()]
        first, names = parameters[0].name, ", ".join(str(p).partition("=")[0] for p in parameters)
        kernels = {ndarray: kernel}
        few = f"""
    if type({first}) is ndarray and {first}.size < {least}:
        return formula({names})"""
        text = f"""
def call({", ".join(map(str, parameters))}):{few if least else ""}
    kernel = find(type({first}))
    if kernel is not None and enabled():
        done = kernel({names})
        if done is not NotImplemented:
            return done
    return formula({names})"""
        here = {"find": kernels.get, "enabled": fast_paths.get, "formula": formula}
        call = compiled("call", text, f"{formula.__name__} with a kernel", globals(), here)
        call.kernels, call.few = kernels, (formula, least)
        return wraps(formula)(call)

    return decorate


class use_fast_paths(ContextDecorator):
    """Use fused and fast paths, or only the formulas: a context manager and a decorator, for teaching and debugging.

    Args:
        enabled: False computes everything by its formula.

    >>> import minigrad as mg
    >>> with use_fast_paths(False):
    ...     mg.nn.functional.layer_norm(mg.tensor([1.0, 3.0]), (2,))
    tensor([-1.0000,  1.0000])
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = bool(enabled)
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(fast_paths.get())
        fast_paths.set(self.enabled)

    def __exit__(self, *error: Any) -> None:
        fast_paths.set(self._before.pop())
