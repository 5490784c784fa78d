"""How an operation is declared, called and recorded.

    @op(input=lambda g, other: g * other,
        other=lambda g, input: g * input, dtypes="promote")
    def mul(xp, input, other):
        return input * other

The function computes: `xp` is numpy or cupy, tensors arrive as arrays. What stands before `*` in its signature are the
arguments, what stands after are options. Each rule is named after the argument that it differentiates. It gets `g`, the
gradient of the output, and asks by name for what else it wants:

    an argument or `out`                its value, kept alive until backward; `add` asks for nothing and keeps nothing
    `<argument>_shape`, `out_shape`     its shape only
    an option                           as it was passed
    `at`                                for `*tensors`: the position of the tensor being differentiated

So the signature of a rule is the list of what an operation keeps. A name that does not exist raises at import.

One text serves two purposes. An operation that is called on arrays returns an array and records nothing: that is how
backward runs its rules, on plain arrays. Under `create_graph=True` the same rules get Tensors instead, so that what
they do is recorded and can be differentiated again. After each rule autograd.py sums over broadcast axes, casts to the
argument's dtype and accumulates: a rule need not care.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from . import backend, calls, dtypes, precision
from .autograd import Node, grad_mode
from .errors import explain
from .fast import fast_paths
from .written import compiled

if TYPE_CHECKING:
    from .tensor import Tensor
else:
    Tensor = None  # set by tensor.py, see autograd.py

Array = Any

REGISTRY: dict[str, Op] = {}  # every operation by name; tests, documentation and `minigrad info` are made from it

_F32, _F64 = np.dtype(np.float32), np.dtype(np.float64)
_NUMPY_NAMES = {"axis": "dim", "keepdims": "keepdim"}


class Op:
    """An operation: its forward function, its derivative rules, and its fast paths.

    Attributes:
        name, forward, doc: the function that was decorated.
        arguments, options: names of its arguments, and of its options with their defaults.
        variadic: whether its only argument is `*tensors`.
        rules: argument name -> (rule, names of what it wants).
        kept: positions of the arguments of which some rule wants the value or the shape.
        dtypes: "promote" brings arguments to one dtype, "float" also makes integers floating point.
        view: the result shares memory with the argument.
        together: kernel for the gradients of all arguments at once, if there is one, and of how few numbers it need not be
            asked: a function of (g, needs, *what the rules want), which gives NotImplemented where it does not apply.
        fast: device type -> functions tried before the forward function.
        least: of how few numbers in the first argument these need not be asked.
    """

    def __init__(self, forward: Callable, rules: dict[str, Callable], dtypes: str | None, view: bool) -> None:
        parameters = list(inspect.signature(forward).parameters.values())[1:]
        kinds = inspect.Parameter
        self.name = forward.__name__.strip("_")
        self.forward = forward
        self.arguments = [p.name for p in parameters if p.kind is not kinds.KEYWORD_ONLY]
        self.variadic = any(p.kind is kinds.VAR_POSITIONAL for p in parameters)
        self.options = [p.name for p in parameters if p.kind is kinds.KEYWORD_ONLY]
        self.defaults = {p.name: p.default for p in parameters if p.default is not kinds.empty}
        self.dtypes = dtypes
        self.view = view
        self.together: tuple[Callable, int] | None = None
        self.fast: dict[str, list[Callable]] = {}
        self.least = 0
        self.rules = {name: (rule, list(inspect.signature(rule).parameters)[1:]) for name, rule in rules.items()}
        self.plans: dict[int, Plan] = {}
        if reserved := {"at", "out", "out_shape"} & {*self.arguments, *self.options}:
            raise TypeError(f"op {self.name}: {min(reserved)!r} is what rules call something else, see op.py; rename it")
        if unknown := set(rules) - set(self.arguments):
            raise TypeError(f"op {self.name}: rules for {sorted(unknown)}, which are not among {self.arguments}")
        offers = {"out", "out_shape", *self.arguments, *self.options} | {f"{a}_shape" for a in self.arguments}
        for name, (_, wants) in self.rules.items():
            if unknown := set(wants) - offers - ({"at"} if self.variadic else set()):
                raise TypeError(f"op {self.name}: the rule of {name!r} wants {sorted(unknown)}, there is only {offers}")
        wanted = {want.removesuffix("_shape") for _, wants in self.rules.values() for want in wants}
        self.kept = [position for position, name in enumerate(self.arguments) if name in wanted]
        REGISTRY[self.name] = self

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def argument(self, position: int) -> str:
        """Name of the argument at a position, for messages."""
        return f"{self.arguments[0]}[{position}]" if self.variadic else self.arguments[position]

    def plan(self, mask: int, count: int) -> Plan:
        """Which rules to run and what to keep for them, if these arguments need gradients; made once and reused.

        Args:
            mask: bit i says whether argument i needs a gradient.
            count: how many arguments there are.
        """
        plan = self.plans.get(mask)
        if plan is None:
            plan = self.plans[mask] = Plan(self, [position for position in range(count) if mask >> position & 1])
        return plan

    def bind(self, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        """Sort what was passed into arguments and options, as Python would; NumPy's axis and keepdims are understood."""
        kwargs = {_NUMPY_NAMES.get(name, name): value for name, value in kwargs.items()}
        arity = len(args) if self.variadic else len(self.arguments)
        if len(args) > arity + len(self.options):
            most = arity + len(self.options)
            raise TypeError(f"{self.name}() takes at most {most} arguments, got {len(args)}")
        options = {name: self.defaults[name] for name in self.options if name in self.defaults}
        options.update(zip(self.options, args[arity:]))
        values = list(args[:arity])
        names = self.arguments[len(values) :] if not self.variadic else []
        positional = set(self.arguments[: len(values)]) | set(self.options[: len(args) - arity])
        for name in names:
            if name in kwargs:
                values.append(kwargs[name])
            elif name in self.defaults:
                values.append(self.defaults[name])
            else:
                raise TypeError(f"{self.name}() is missing the argument {name!r}")
        for name, value in kwargs.items():
            if name == "out" and value is None:
                continue  # numpy.sum(tensor) passes it
            if name in positional and not self.variadic:
                raise TypeError(f"{self.name}() got the argument {name!r} twice")
            if name in self.options:
                options[name] = value
            elif name not in names:
                raise TypeError(
                    f"{self.name}() has no argument {name!r}; it takes {', '.join(self.arguments + self.options)}"
                )
        if missing := [name for name in self.options if name not in options]:
            raise TypeError(f"{self.name}() is missing the argument {missing[0]!r}")
        return tuple(values), options

    def convert(self, values: list[Any]) -> list[Any]:
        """Bring arrays to the dtype in which the operation computes, by PyTorch's promotion rules."""
        target = dtypes.result_type(values)
        if self.dtypes == "float" and target.kind != "f":
            target = dtypes.get_default_dtype()
        return [
            v.astype(target, copy=False) if hasattr(v, "dtype") and v is not None else v for v in values
        ]


def _slope(rule: Callable, indices: list[int]) -> Callable[[Any, Any], Any]:
    """A rule as a function of the gradient and the saved values, of which it wants some."""
    values = ", ".join(["g", *[f"saved[{i}]" for i in indices]])  # starred arguments would take as long as a small product
    formula, least = getattr(rule, "few", (rule, 0))
    few = f"formula({values}) if type(g) is ndarray and g.size < {least} else " if least else ""
    text, title = f"def slope(g, saved): return {few}rule({values})", f"{getattr(rule, '__name__', 'rule')} {indices}"
    return compiled("slope", text, title, globals(), {"rule": rule, "formula": formula})


class Plan:
    """What to keep and which rules to run for one pattern of arguments that need gradients.

    Attributes:
        inputs: positions and names of the arguments whose values are kept, the first of the saved values.
        out: whether the result is kept, the next one.
        rest: (kind, key) of everything else that the rules want: options and shapes.
        record: makes the node of a call, see calls.py.
        rules: (position of an argument, its gradient as a function of the output's gradient and the saved values).
        together: function of the gradient and the saved values that is asked first, see `Op`.
    """

    __slots__ = ("inputs", "op", "out", "record", "rest", "rules", "together")

    def __init__(self, op: Op, needs: list[int]) -> None:
        self.op = op
        self.together = None if op.together is None else self._asking(*op.together, needs)
        names = [(position, op.arguments[0 if op.variadic else position]) for position in needs]
        wanted = [(position, *op.rules[name]) for position, name in names if name in op.rules]
        sources = [[self._source(want, position) for want in wants] for position, _, wants in wanted]
        everything = {source for group in sources for source in group}
        self.inputs = sorted((key, op.arguments[key]) for kind, key in everything if kind == "input")
        self.out = ("out", None) in everything
        self.rest = sorted((source for source in everything if source[0] not in ("input", "out")), key=str)
        order = [("input", key) for key, _ in self.inputs] + [("out", None)] * self.out + self.rest
        self.rules: list[tuple[int, Callable[[Any, Any], Any]]] = [
            (position, _slope(rule, [order.index(source) for source in group]))
            for (position, rule, _), group in zip(wanted, sources)
        ]
        self.record = calls.record(op, self)

    def _asking(self, kernel: Callable, least: int, needs: list[int]) -> Callable[[Any, Any], list | None]:
        """What asks a kernel for all gradients; it gives None where the rules have to."""
        needed = [position in needs for position in range(len(self.op.arguments))]

        def together(g: Any, saved: tuple) -> list | None:
            if type(g) is ndarray and g.size >= least and fast_paths.get():
                found = kernel(g, needed, *saved)
                return None if found is NotImplemented else found
            return None

        return together

    def _source(self, want: str, position: int) -> tuple[str, Any]:
        """Where a wanted value comes from."""
        arguments = self.op.arguments
        if want == "at":
            return "constant", position
        if want in ("out", "out_shape"):
            return want, None
        if want in self.op.options:
            return "option", want
        if want in arguments:
            return ("inputs", None) if self.op.variadic else ("input", arguments.index(want))
        return ("shapes", None) if self.op.variadic else ("shape", arguments.index(want.removesuffix("_shape")))

    def as_tensors(self, node: Node, saved: tuple) -> list:
        """The saved arrays as Tensors, each in its place in the graph, for a backward pass that is itself recorded."""

        def wrap(array: Array, parent: Node | None) -> Any:
            if not hasattr(array, "dtype"):
                return array
            tensor = Tensor._wrap(array)
            tensor.node = parent
            return tensor

        tensors = list(saved)
        for i, (key, _) in enumerate(self.inputs):
            tensors[i] = wrap(saved[i], node.parents[key])
        if self.out:
            tensors[len(self.inputs)] = wrap(saved[len(self.inputs)], node)
        for i, (kind, _) in enumerate(self.rest, len(self.inputs) + self.out):
            if kind == "inputs":
                tensors[i] = tuple(wrap(v, parent) for v, parent in zip(saved[i], node.parents))
        return tensors


def op(dtypes: str | None = None, view: bool = False, **rules: Callable) -> Callable[[Callable], Any]:
    """Declare an operation and its derivative rules; see the top of this module.

    Args:
        dtypes: "promote" brings all arguments to one dtype, "float" also makes integers floating point.
        view: the result shares memory with the argument.
        rules: for each differentiable argument, its rule.

    Returns:
        A decorator. The decorated name becomes the function that users call, with its Op as `.op`.

    Raises:
        TypeError: a rule names an argument or wants a value that does not exist.
    """
    return lambda forward: _public(Op(forward, rules, dtypes, view))


def _public(op: Op) -> Any:
    """The function that users call: unwrap tensors, compute, wrap, record."""
    forward, arity, defaults = op.forward, len(op.arguments), None
    if not op.variadic and all(name in op.defaults for name in op.options):
        defaults = {name: op.defaults[name] for name in op.options}  # shared by all calls, never written to
    promotes, is_view, fast_paths, new = op.dtypes is not None, op.view, op.fast, object.__new__
    option_names, full = set(op.options), arity + len(op.options)
    policy = precision.POLICY.get(op.name)
    plans = op.plans
    silence, restore, recording = backend.silence, backend.restore, grad_mode.get

    def call(*args: Any, **kwargs: Any) -> Any:
        options: Any = defaults
        if kwargs or defaults is None or len(args) != arity:
            if kwargs.keys() == option_names and (len(args) == arity or op.variadic):
                options = kwargs
            elif not kwargs and len(args) == full and not op.variadic:
                args, options = args[:arity], dict(zip(op.options, args[arity:]))
            else:
                args, options = op.bind(args, kwargs)
        if policy is not None and (autocast := precision.active.get()) is not None:
            args = autocast.cast(policy, args)
        arrays: list[Any] = []
        parents: list[Node | None] = []
        xp, dtype, mixed, constants, tracked, bit = np, None, False, False, 0, 1
        for x in args:
            if isinstance(x, Tensor):
                array, node = x.array, x.node
                if node is not None:
                    tracked |= bit
                if type(array) is not ndarray:
                    xp = None  # type: ignore[assignment]
                if array.dtype is not dtype:
                    mixed = dtype is not None
                    dtype = array.dtype
                arrays.append(array)
                parents.append(node)
            else:
                if type(x) not in _SCALARS:
                    constants = True
                arrays.append(x)
                parents.append(None)
            bit += bit
        if dtype is None:
            return _on_arrays(op, arrays, options)
        if xp is None or constants:
            xp, arrays = _check_constants(op, arrays, args)
        if promotes and (mixed or constants or not (dtype is _F32 or dtype is _F64)):
            arrays = op.convert(arrays)
        warnings = silence()
        try:
            ask = fast_paths and getattr(arrays[0], "size", op.least) >= op.least
            out = _try_fast(op, xp, arrays, options) if ask else NotImplemented
            if out is NotImplemented:
                out = forward(xp, *arrays, **options) if options else forward(xp, *arrays)
        except Exception as error:
            raise explain(op, error, arrays) from None
        finally:
            restore(warnings)
        result = new(Tensor)
        result.array = out if type(out) is ndarray or not isinstance(out, np.generic) else np.asarray(out)
        if tracked and recording():
            plan = plans.get(tracked) or op.plan(tracked, len(args))
            kept: Any = (args, arrays)
            if not op.variadic:
                tensors = [x if isinstance(x, Tensor) else calls.CONSTANT for x in args]
                kept = [value for i in op.kept for value in (tensors[i], arrays[i])]
            result.node = plan.record(tuple(parents), *kept, options, result)
        if is_view:
            result._view_of(args[0], call, options)
        return result

    if not op.variadic:
        call = calls.usual_call(op, call, defaults)
    public: Any = wraps(forward)(call)
    public.op, public.fast, public.together = op, partial(_add_fast_path, op), partial(_set_together, op)
    public.__name__ = public.__qualname__ = op.name
    kinds = inspect.Parameter
    signature = inspect.signature(forward)
    public.__signature__ = signature.replace(
        parameters=[
            p if op.variadic or p.kind is not kinds.KEYWORD_ONLY else p.replace(kind=kinds.POSITIONAL_OR_KEYWORD)
            for p in list(signature.parameters.values())[1:]
        ]
    )
    return public


def _add_fast_path(op: Op, device: str, least: int = 0) -> Callable[[Callable], None]:
    """A decorator for a function that is tried before the forward function, unless the first argument has fewer elements."""
    op.least = least
    return lambda function: op.fast.setdefault(device, []).append(function)


def _set_together(op: Op, kernel: Callable, least: int = 0) -> None:
    """Ask a kernel for all gradients at once, unless there are fewer elements: `linear.together(kernels.linear_slopes)`."""
    op.together = kernel, least


def _on_arrays(op: Op, arrays: list, options: Any) -> Any:
    """Arrays in, array out: how rules use operations."""
    for array in arrays:
        if hasattr(array, "dtype"):
            xp = backend.namespace(array)
            break
    else:
        what = ", ".join(type(a).__name__ for a in arrays) or "nothing"
        raise TypeError(f"{op.name}: expected a Tensor, got {what}; make one with minigrad.tensor(...)")
    out = _try_fast(op, xp, arrays, options) if op.fast else NotImplemented
    return op.forward(xp, *arrays, **options) if out is NotImplemented else out


def _try_fast(op: Op, xp: Any, arrays: list, options: Any) -> Any:
    if "watch" in op.fast:  # while somebody measures, see debug/profiler.py
        return op.fast["watch"][0](op, xp, arrays, options)
    if not fast_paths.get():
        return NotImplemented
    for function in op.fast.get("cpu" if xp is np else "cuda", ()):
        out = function(*arrays, **options)
        if out is not NotImplemented:
            return out
    return NotImplemented


_SCALARS = (float, int, bool, type(None))


def _check_constants(op: Op, values: list, args: tuple) -> tuple[Any, list]:
    """Which library computes, and every value that is not a Tensor as it should be.

    NumPy numbers become Python numbers: these are weak, so that float32 * np.float64(2) stays float32 as in PyTorch.
    """
    xp: Any = None
    out = []
    for position, (value, arg) in enumerate(zip(values, args)):
        if type(value) in _SCALARS:
            out.append(value)
            continue
        if isinstance(value, np.generic):
            out.append(value.item())
            continue
        try:
            library = backend.namespace(value)
        except TypeError:
            raise TypeError(
                f"{op.name}: argument {op.argument(position)!r} must be a Tensor or a number, got {type(value).__name__}"
                + ("; make it a Tensor with minigrad.tensor(...)" if isinstance(value, (list, tuple)) else "")
            ) from None
        if isinstance(arg, Tensor) or value.ndim > 0:
            if xp is not None and library is not xp:
                devices = [str(backend.device_of(v)) for v in values if hasattr(v, "dtype")]
                raise RuntimeError(
                    f"{op.name}: expected all tensors on one device, got {' and '.join(dict.fromkeys(devices))}; move "
                    "them with .to(device)"
                )
            xp = library
        out.append(value)
    return xp, out
