"""Where did the NaN come from? `autograd.detect_anomaly` says which operation, and where in your code it was called.

    with detect_anomaly():
        loss = model(x).sqrt().sum()
        loss.backward()

A block like this is a `Watcher` of the engine (see autograd.py): it notes where each node was made, and looks at what
each rule gives.
"""

from __future__ import annotations

import linecache
import sys
from contextlib import ContextDecorator
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from .. import autograd, backend
from ..autograd import At, Node, Watcher, watchers

_LIBRARY = tuple({str(Path(__file__).parents[1]) + "/", str(Path(__file__).parents[2] / "kernels") + "/"})
_FRAMES = 6  # of the user's code are shown, the innermost

_origins: WeakKeyDictionary[Node, list[tuple[str, int, str]]] = WeakKeyDictionary()


class _Anomalies(Watcher):
    """Notes where nodes are made, and raises at the first NaN."""

    def __init__(self, check_nan: bool) -> None:
        self.check_nan = check_nan

    def made(self, node: Node) -> None:
        _origins[node] = _user_frames()

    def passed(self, what: Any, position: int, g: Any) -> None:
        if self.check_nan and g is not None and _has_nan(g):
            raise RuntimeError(_report(what, position))


def is_anomaly_enabled() -> bool:
    """Whether this thread looks for anomalies. Source: `torch.is_anomaly_enabled`."""
    return any(isinstance(watcher, _Anomalies) for watcher in watchers.get())


def _switch(mode: bool, check_nan: bool) -> tuple[Watcher, ...]:
    """Look for anomalies or not; returns the watchers before."""
    before = watchers.get()
    others = tuple(watcher for watcher in before if not isinstance(watcher, _Anomalies))
    watchers.set((*others, _Anomalies(check_nan)) if mode else others)
    return before


class detect_anomaly(ContextDecorator):
    """Raise as soon as a backward pass produces NaN, and say where in the user's code the operation was called.

    A context manager and a decorator, for this thread. It makes everything slower: it is for finding errors.

    Args:
        check_nan: False only notes where operations were called.

    Raises:
        RuntimeError: in backward, at the first gradient with a NaN; it names the operation and its argument.

    Source: `torch.autograd.detect_anomaly`.

    >>> import minigrad as mg
    >>> x = mg.tensor(0.0, requires_grad=True)
    >>> with detect_anomaly():
    ...     (x.sqrt() * 0).backward()
    Traceback (most recent call last):
        ...
    RuntimeError: backward of sqrt gave NaN as the gradient of its argument 'input' ...
    """

    def __init__(self, check_nan: bool = True) -> None:
        self._check_nan = bool(check_nan)
        self._before: list[tuple[Watcher, ...]] = []

    def __enter__(self) -> None:
        self._before.append(_switch(True, self._check_nan))

    def __exit__(self, *error: Any) -> None:
        watchers.set(self._before.pop())


class set_detect_anomaly:
    """Look for anomalies or not: a context manager, or a plain call that stays in force (as in PyTorch).

    Args:
        mode: True looks for them.
        check_nan: see `detect_anomaly`.

    Source: `torch.autograd.set_detect_anomaly`.

    >>> with set_detect_anomaly(True):
    ...     is_anomaly_enabled()
    True
    >>> is_anomaly_enabled()
    False
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = _switch(bool(mode), bool(check_nan))

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: Any) -> None:
        watchers.set(self._before)


def _user_frames() -> list[tuple[str, int, str]]:
    """File, line and function of the innermost calls that are not the library's."""
    found: list[tuple[str, int, str]] = []
    frame = sys._getframe(2)
    while frame is not None and len(found) < _FRAMES:
        code = frame.f_code
        if not code.co_filename.startswith(_LIBRARY):
            found.append((code.co_filename, frame.f_lineno, code.co_name))
        frame = frame.f_back  # type: ignore[assignment]
    return found[::-1]


def _has_nan(g: Any) -> bool:
    array = g.array if isinstance(g, autograd.Tensor) else g.value if isinstance(g, At) else g
    return bool(backend.namespace(array).isnan(array).any()) if hasattr(array, "ndim") else array != array


def _report(node: Node | None, position: int) -> str:
    if node is None:
        return "backward: the gradient to start from has NaN in it"
    plan: Any = node.plan
    text = f"backward of {node.name} gave NaN as the gradient of its argument {plan.op.argument(position)!r} "
    frames = _origins.get(node)
    if frames is None:
        return text + "(where it was called is not known: the forward pass ran outside of detect_anomaly)"
    lines = [
        f'  File "{file}", line {line}, in {function}\n    {linecache.getline(file, line).strip()}'
        for file, line, function in frames
    ]
    return text + f"of shape {tuple(node.parents[position].shape)}; it was called here:\n" + "\n".join(lines)
