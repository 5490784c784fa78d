"""Where did the NaN come from? `autograd.detect_anomaly` says which operation, and where in your code it was called.

    with detect_anomaly():
        loss = model(x).sqrt().sum()
        loss.backward()

While a block like this is open in some thread, two names of autograd.py are replaced by those below: the constructor of
Node also notes where it was called from, and the sums of gradients also look at what they add. Otherwise the engine
has no part of this, so that it costs nothing.
"""

from __future__ import annotations

import linecache
import sys
import threading
from contextlib import ContextDecorator
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from .. import autograd, backend
from ..autograd import At, Node, _Sums

_LIBRARY = tuple({str(Path(__file__).parents[1]) + "/", str(Path(__file__).parents[2] / "kernels") + "/"})
_FRAMES = 6  # of the user's code are shown, the innermost

_mode: ContextVar[tuple[bool, bool]] = ContextVar("anomaly", default=(False, False))  # on, and whether NaN raises
_origins: WeakKeyDictionary[Node, list[tuple[str, int, str]]] = WeakKeyDictionary()
_lock, _open = threading.Lock(), 0
_plain_node, _plain_sums = Node.__init__, _Sums


def is_anomaly_enabled() -> bool:
    """Whether this thread looks for anomalies. Source: `torch.is_anomaly_enabled`."""
    return _mode.get()[0]


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
        self._wanted = (True, bool(check_nan))
        self._before: list[tuple[bool, bool]] = []

    def __enter__(self) -> None:
        self._before.append(_mode.get())
        _switch(self._wanted)

    def __exit__(self, *error: Any) -> None:
        _switch(self._before.pop())


class set_detect_anomaly(ContextDecorator):
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
        self._before = _mode.get()
        _switch((bool(mode), bool(check_nan)))

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: Any) -> None:
        _switch(self._before)


def _switch(mode: tuple[bool, bool]) -> None:
    """Set this thread's mode; the first to switch on puts the watching code into the engine, the last takes it out."""
    global _open
    with _lock:
        _open += mode[0] - _mode.get()[0]
        _mode.set(mode)
        Node.__init__ = _noting if _open else _plain_node  # type: ignore[method-assign, assignment]
        autograd._Sums = _Watching if _open else _plain_sums  # type: ignore[misc]


def _noting(self: Node, *args: Any) -> None:
    _plain_node(self, *args)
    if _mode.get()[0]:
        _origins[self] = _user_frames()


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


class _Watching(_Sums):
    """The sums of gradients, which knows whose rule gave what is added: that of the node that was visited last."""

    def __init__(self) -> None:
        super().__init__()
        self.node: Node | None = None

    def pop(self) -> tuple[Node, Any]:
        self.node, g = super().pop()
        return self.node, g

    def add(self, node: Node, g: Any) -> None:
        if _mode.get() == (True, True) and _has_nan(g):
            raise RuntimeError(_report(self.node, node))
        super().add(node, g)


def _has_nan(g: Any) -> bool:
    array = g.array if isinstance(g, autograd.Tensor) else g.value if isinstance(g, At) else g
    return bool(backend.namespace(array).isnan(array).any()) if hasattr(array, "ndim") else array != array


def _report(node: Node | None, parent: Node) -> str:
    if node is None:
        return "backward: the gradient to start from has NaN in it"
    plan: Any = node.plan
    names = [plan.op.argument(i) for i, p in enumerate(node.parents) if p is parent]
    text = f"backward of {node.name} gave NaN as the gradient of its argument {' or '.join(map(repr, names))} "
    frames = _origins.get(node)
    if frames is None:
        return text + "(where it was called is not known: the forward pass ran outside of detect_anomaly)"
    lines = [
        f'  File "{file}", line {line}, in {function}\n    {linecache.getline(file, line).strip()}'
        for file, line, function in frames
    ]
    return text + f"of shape {tuple(parent.shape)}; it was called here:\n" + "\n".join(lines)
