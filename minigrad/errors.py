"""What a wrong call is told: one sentence with the function, what it expected, what came, and the fix.

Operations check their arguments before they compute (op.py). The functions that are made of operations do not: they run
as fast as they can, and only when something has failed `explained` looks for an argument of a wrong kind.
"""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .op import Op


def explain(op: Op, error: Exception, arrays: list) -> Exception:
    """What to raise for an exception inside an operation: our own messages as they are, NumPy's in our words."""
    text = str(error)
    if text.startswith((f"{op.name}:", f"{op.name}(")):
        return error
    named = [f"{op.argument(i)} {tuple(a.shape)}" for i, a in enumerate(arrays) if hasattr(a, "shape")]
    if isinstance(error, ValueError) and ("broadcast" in text or "shape mismatch" in text):
        return RuntimeError(
            f"{op.name}: the shapes of {' and '.join(named)} do not broadcast: aligned at the right, sizes must be "
            "equal or 1"
        )
    dtypes_got = ", ".join(f"{op.argument(i)} {a.dtype}" for i, a in enumerate(arrays) if hasattr(a, "dtype"))
    if isinstance(error, TypeError) and ("ufunc" in text or text.startswith("numpy")):
        return RuntimeError(f"{op.name}: not defined for these dtypes ({dtypes_got})")
    if isinstance(error, MemoryError):
        return MemoryError(f"{op.name}: not enough memory for the result ({', '.join(named)})")
    return type(error)(f"{op.name}: {text} ({', '.join(named)})")


def explained(function: Callable) -> Any:
    """Let a function's errors name the argument that was of a wrong kind; costs nothing but a call while there are none.

    The signature says what is expected: a first argument annotated Any or Tensor, or not at all, is a tensor, others are as
    they are annotated.

    >>> @explained
    ... def double(input: Any, times: int = 1) -> Any:
    ...     return input.exp2() * 2 ** times
    >>> double([1.0, 2.0])
    Traceback (most recent call last):
    TypeError: double: argument 'input' must be a Tensor, got list; make it one with minigrad.tensor(...)
    """

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
            if str(error).startswith((f"{call.__name__}:", f"{call.__name__}(")):
                raise
            wrong = _wrong_kind(function, args, kwargs)
            if wrong is None:
                raise
            raise TypeError(f"{call.__name__}: {wrong}") from None

    return call


_KINDS: dict[str, tuple[Any, str]] = {  # annotation -> (what it takes, how that is called)
    "int": (numbers.Integral, "an int"),
    "float": (numbers.Real, "a number"),
    "str": (str, "a str"),
    "Sequence[int]": ((tuple, list), "a tuple of ints"),
    "Sequence[Any]": ((tuple, list), "a list of tensors"),
}


def _wrong_kind(function: Callable, args: tuple, kwargs: dict[str, Any]) -> str | None:
    """The first argument of a wrong kind, in words."""
    signature = inspect.signature(function)
    try:
        bound = signature.bind(*args, **kwargs).arguments
    except TypeError:
        return None  # Python's own message says which argument is missing or unknown
    for position, (name, value) in enumerate(bound.items()):
        parameter = signature.parameters[name]
        values = value if parameter.kind is parameter.VAR_POSITIONAL else (value,)
        annotation = "Any" if parameter.annotation is parameter.empty else str(parameter.annotation).removesuffix(" | None")
        for x in values:
            if x is None or hasattr(x, "array"):  # tensors may stand for numbers
                continue
            kinds, expected = _KINDS.get(annotation, (object, ""))
            if not isinstance(x, kinds):
                return f"argument {name!r} must be {expected}, got {type(x).__name__}"
            if annotation in ("Any", "Tensor") and (isinstance(x, str) or position == 0) and not isinstance(x, numbers.Number):
                fix = "" if isinstance(x, str) else "; make it one with minigrad.tensor(...)"
                return f"argument {name!r} must be a Tensor, got {type(x).__name__}{fix}"
    return None
