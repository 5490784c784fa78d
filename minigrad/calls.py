"""What runs at every call of an operation: two texts without loops, made from its declaration and compiled (written.py).

    print(minigrad.mul.text)                            its usual call; what else may be passed goes to `call` in op.py
    print(minigrad.mul.op.plan(0b01, 2).record.text)    how a call is recorded of which the first argument needs a gradient
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from . import backend, precision
from .autograd import Node, grad_mode, next_order, watchers
from .errors import explain
from .storage import Storage, make_storage
from .written import compiled

if TYPE_CHECKING:
    from .op import Op, Plan
    from .tensor import Tensor
else:
    Tensor = None  # set by tensor.py, see autograd.py

_F32, _F64 = np.dtype(np.float32), np.dtype(np.float64)
_new = object.__new__
_NUMBER = make_storage()  # of numbers: nobody writes to them
CONSTANT = SimpleNamespace(_storage=_NUMBER)  # stands for what is no Tensor where a call is recorded
_NAMES = {
    "F32": _F32,
    "F64": _F64,
    "Node": Node,
    "NUMBERS": (float, int),
    "Storage": Storage,
    "autocast": precision.active.get,
    "explain": explain,
    "ndarray": ndarray,
    "new": _new,
    "next_order": next_order,
    "recording": grad_mode.get,
    "restore": backend.restore,
    "silence": backend.silence,
    "watchers": watchers.get,
}
_NEW_STORAGE = "{0}_storage = {1}._storage = Storage(); {0}_storage.version = 0; {0}_storage.views = None"
_OTHERS = """Exception Tensor alike array call defaults dtype error fast forward getattr isinstance len more node np number op
    options out out_storage parents plan plans record result tensor tracked tuple type warnings watcher watching"""
_TAKEN = {*_NAMES, *_OTHERS.split()}  # by the texts, so that an argument of such a name would be mixed up with it


def _number(value: float, beside: Any) -> Any:
    """A number as a Tensor that goes with another one; None if the usual call cannot use it.

    NumPy takes three times as long over Python's numbers as over arrays without dimensions. Where the dtype may not hold the
    number they differ, so it must be far from the largest ones.
    """
    array = beside.array if isinstance(beside, Tensor) else None
    if type(array) is not ndarray or not -1e38 < value < 1e38:
        return None
    dtype = array.dtype
    if not (dtype is _F32 or dtype is _F64):
        return None
    tensor = _new(Tensor)
    tensor.array = np.array(value, dtype)
    tensor._storage = _NUMBER
    return tensor


def usual_call(op: Op, call: Callable, defaults: dict[str, Any] | None) -> Any:
    """`call` of an operation, written out for Tensors of one floating dtype on the CPU, and all options by name or none.

    Args:
        op: the operation.
        call: what does the same for all arguments.
        defaults: its options, if each has a default.

    Returns:
        A function, with its text as `.text`; `call` itself if an argument has a name that the text uses for something else.
    """
    names, last = op.arguments, op.arguments[-1]
    if _TAKEN.intersection(names) or op.name in names:
        return call

    def each(pattern: str, between: str = ", ") -> str:
        return between.join(pattern.format(x=x, bit=1 << i) for i, x in enumerate(names))

    parameters = ", ".join(f"{x}=None" if x in op.defaults else x for x in names)
    all_named = " and ".join([f"len(options) == {len(op.options)}"] + [f"{name!r} in options" for name in op.options])
    usual = " or ".join(["not options"] * (defaults is not None) + [all_named] * bool(op.options))
    no_cast = " and autocast() is None" if op.name in precision.POLICY else ""
    alike = " and ".join([f"{x}_array.dtype is dtype" for x in names[:-1]] + [each("type({x}_array) is ndarray", " and ")])
    arrays, given = each("{x}_array"), "options or defaults" if op.options else "options"
    compute = f"forward(np, {arrays}, **options)" if op.options else f"forward(np, {arrays})"
    if op.options and defaults is not None:
        compute += f" if options else forward(np, {arrays})"
    after = others = ""
    if op.rules:
        kept = "".join(f"{names[i]}, {names[i]}_array, " for i in op.kept)
        after += f"""
            tracked = {each("({bit} if {x}.node is not None else 0)", " + ")}
            if tracked and recording():
                record = (plans.get(tracked) or op.plan(tracked, {len(names)})).record
                result.node = record(({each("{x}.node")},), {kept}{given}, result)"""
    if op.view:
        after += f"""
            result._view_of({names[0]}, call, {given})"""
    if op.dtypes and len(names) == 2 and defaults is not None and not no_cast and op.name != "pow":  # x**2 is faster with 2
        others = f"""
    if not options and not more:
        if type({last}) in NUMBERS and (tensor := number({last}, {names[0]})) is not None:
            return {op.name}({names[0]}, tensor)
        if type({names[0]}) in NUMBERS and (tensor := number({names[0]}, {last})) is not None:
            return {op.name}(tensor, {last})"""
    if len(names) == 1 and not op.options:
        others = f"""
    if type({last}) is ndarray and not more and not options:  # in a rule
        return forward(np, {last})"""
    text = f"""
def {op.name}({parameters}, *more, **options):
    if {each("isinstance({x}, Tensor)", " and ")} and not more and ({usual}){no_cast}:
        {each("{x}_array = {x}.array", "; ")}
        dtype = {last}_array.dtype
        alike = {alike} and (dtype is F32 or dtype is F64)
        if alike and (not fast or {names[0]}_array.size < op.least):
            warnings = silence()
            try:
                out = {compute}
            except Exception as error:
                raise explain(op, error, [{arrays}]) from None
            finally:
                restore(warnings)
            result = new(Tensor)
            result.array = out if type(out) is ndarray or not isinstance(out, np.generic) else np.asarray(out){after}
            return result{others}
    return call({each("{x}")}, *more, **options)"""
    here = {"op": op, "call": call, "defaults": defaults, "forward": op.forward}
    here |= {"fast": op.fast, "number": _number, "plans": op.plans}
    return compiled(op.name, text, op.name, globals(), {**_NAMES, **here})


def _tuple(items: list[str]) -> str:
    """The text of a tuple."""
    return f"({', '.join(items)}{',' * (len(items) == 1)})"


def record(op: Op, plan: Plan) -> Any:
    """What makes the node of a call, with all that the rules of a plan asked for.

    Args:
        op: the operation.
        plan: its plan.

    Returns:
        A function, with its text as `.text`, of the nodes of the arguments, then each argument of which some rule of the
        operation wants the value or shape (or CONSTANT) and its array, the options, and the result.
    """
    names = [f"{x}_" if x in _TAKEN else x for x in op.arguments]
    inputs = [(names[i], x) for i, x in plan.inputs]
    saved = [f"{x}_array" for x, _ in inputs] + ["array"] * plan.out
    versions = [f"({x}_storage, {x}_storage.version, {name!r})" for x, name in inputs]
    versions += ["(out_storage, 0, 'out')"] * plan.out
    lines = []
    for x, _ in inputs:
        lines += [f"{x}_storage = {x}._storage", f"if {x}_storage is None: " + _NEW_STORAGE.format(x, x)]
    lines += [_NEW_STORAGE.format("out", "result")] * plan.out
    for kind, key in plan.rest:
        if kind == "option":
            saved.append(f"options[{key!r}]")
        elif kind == "shape":
            saved.append(f"getattr({names[key]}_array, 'shape', ())")
        elif kind == "out_shape":
            saved.append("array.shape")
        elif kind == "inputs":
            saved.append(f"tuple({names[0]}_array)")
            versions.append(f"*[(x.storage, x._version, {op.arguments[0]!r}) for x in {names[0]} if isinstance(x, Tensor)]")
        elif kind == "shapes":
            saved.append(f"[x.shape for x in {names[0]}_array]")
        else:
            saved.append(repr(key))
    kept = "".join(f"{names[i]}, {names[i]}_array, " for i in op.kept)
    text = f"""
def record(parents, {kept}options, result):
    array = result.array{"".join(f"{chr(10)}    {line}" for line in lines)}
    node = Node()
    node.plan = plan
    node.parents = parents
    node.saved = {_tuple(saved)}
    node.versions = {_tuple(versions)}
    node.shape = array.shape
    node.dtype = array.dtype
    node.order = next_order()
    node.hooks = node.keeper = None
    if watching := watchers():
        for watcher in watching:
            watcher.made(node)
    return node"""
    if not plan.rules:  # nothing flows back
        text = f"def record(parents, {kept}options, result): pass"
    return compiled("record", text, f"{op.name} recorded, {[x for x, _ in plan.rules]}", globals(), {**_NAMES, "plan": plan})
