"""Module: a part of a model that keeps its own parameters.

A Module is a function with memory. What is assigned to it is sorted by kind: a Parameter is learned, a Module is a part
of this one, a buffer (`register_buffer`) is saved but not learned, and everything else is an ordinary attribute. From
these registers follow the names (`"encoder.0.weight"`), and from the names all the rest: saving, loading, moving.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from ..creation import as_tensor, zeros_like
from ..tensor import Tensor
from .hooks import Hooked
from .parameter import Parameter


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` found: keys that the module wanted, and keys that it does not know."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


_REGISTERS = ("_parameters", "_buffers", "_modules")


class Module(Hooked):
    """The base of all layers and models (as `torch.nn.Module`).

    A subclass calls `super().__init__()`, assigns its parts, and defines `forward`.

    Attributes:
        training: whether layers like Dropout behave as in training; set by `train()` and `eval()`.

    >>> import minigrad as mg
    >>> class Scale(Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = Parameter(mg.tensor(3.0))
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> scale = Scale()
    >>> scale(mg.tensor([1.0, 2.0])).tolist(), list(scale.state_dict())
    ([3.0, 6.0], ['factor'])
    """

    training: bool

    def __init__(self) -> None:
        self.__dict__.update(
            training=True,
            _parameters={},
            _buffers={},
            _modules={},
            _non_persistent_buffers_set=set(),
            _hooks={},
        )

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__}: define forward(self, ...), what calling it runs")

    # ---------------------------------------------------------------------------------------------- attributes

    def __setattr__(self, name: str, value: Any) -> None:
        kind = "_parameters" if isinstance(value, Parameter) else "_modules" if isinstance(value, Module) else None
        registers = self.__dict__
        if kind is None:
            if name in registers.get("_buffers", ()):
                self.register_buffer(name, value, persistent=name not in self._non_persistent_buffers_set)
            elif name in registers.get("_parameters", ()):
                self.register_parameter(name, value)
            elif name in registers.get("_modules", ()):
                self.add_module(name, value)
            else:
                object.__setattr__(self, name, value)
            return
        if kind not in registers:
            raise AttributeError(
                f"{type(self).__name__}: cannot assign {name!r}: call super().__init__() first, before parameters and "
                "modules are assigned"
            )
        for other in _REGISTERS:
            if other != kind:
                registers[other].pop(name, None)
        self._put(kind, name, value)

    def _put(self, kind: str, name: str, value: Any) -> None:
        """Into its register, and as an ordinary attribute too: Python finds that ten times as fast as `__getattr__`."""
        self.__dict__[kind][name] = value
        if name.isidentifier():
            self.__dict__[name] = value

    def __getattr__(self, name: str) -> Any:  # only called for what is not an ordinary attribute
        registers = self.__dict__
        if "_modules" in registers:
            for kind in _REGISTERS:
                if name in registers[kind]:
                    return registers[kind][name]
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        raise AttributeError(
            f"{type(self).__name__!r} object has no attribute {name!r}; __init__ has not called super().__init__() yet"
        )

    def __delattr__(self, name: str) -> None:
        for kind in _REGISTERS:
            if name in self.__dict__.get(kind, ()):
                del self.__dict__[kind][name]
                self.__dict__.pop(name, None)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = {*super().__dir__(), *self._parameters, *self._buffers, *self._modules}
        return sorted(name for name in names if not name[:1].isdigit())

    def _register(self, kind: str, what: str, wanted: type, name: str, value: Any) -> None:
        """Put a value or None under a new name, or under a name that this register has already."""
        if kind not in self.__dict__:
            raise AttributeError(f"{type(self).__name__}: cannot register {name!r}: call super().__init__() first")
        if not isinstance(name, str):
            raise TypeError(f"{type(self).__name__}: the name of a {what} must be a string, got {type(name).__name__}")
        if name == "" or "." in name:
            raise KeyError(f"{type(self).__name__}: a {what} needs a name without dots, not empty, got {name!r}")
        if name not in self.__dict__[kind] and hasattr(self, name):
            raise KeyError(f"{type(self).__name__}: attribute {name!r} exists already")
        if value is not None and not isinstance(value, wanted):
            raise TypeError(
                f"{type(self).__name__}: cannot assign {type(value).__name__} as {what} {name!r}, expected a "
                f"{wanted.__name__} or None"
            )
        self._put(kind, name, value)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter, or None in the place of one."""
        if isinstance(param, Tensor) and not param.is_leaf:
            raise ValueError(
                f"{type(self).__name__}: parameter {name!r} must be a leaf, but it was computed from other tensors; "
                "compute it in forward() instead, or detach() it"
            )
        self._register("_parameters", "parameter", Parameter, name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that belongs to the module and moves with it, but is not learned.

        Args:
            name: under which it becomes an attribute.
            tensor: the buffer, or None.
            persistent: whether it is part of `state_dict`.
        """
        self._register("_buffers", "buffer", Tensor, name, tensor)
        (self._non_persistent_buffers_set.discard if persistent else self._non_persistent_buffers_set.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a part under a name, which need not be a Python identifier."""
        self._register("_modules", "module", Module, name, module)

    register_module = add_module

    # --------------------------------------------------------------------------------------------------- naming

    def named_modules(
        self, memo: set | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all parts of it at any depth, with their paths; a shared one comes once."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all parts of it at any depth."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The direct parts with their names; a shared one comes once."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """The direct parts."""
        return (module for _, module in self.named_children())

    def _named_members(
        self, kind: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = self.named_modules(None, prefix, remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, member in module.__dict__[kind].items():
                if member is None or id(member) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(member))
                yield f"{path}.{name}" if path else name, member

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """All parameters with their paths.

        Args:
            prefix: to put before each path.
            recurse: whether those of parts come too.
            remove_duplicate: give a shared parameter once, under its first name.

        >>> import minigrad as mg
        >>> [(name, p.shape) for name, p in mg.nn.Sequential(mg.nn.Linear(3, 2)).named_parameters()]
        [('0.weight', Size([2, 3])), ('0.bias', Size([2]))]
        """
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, a shared one once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """All buffers with their paths, see `named_parameters`."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, a shared one once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The part at a path like "encoder.0"; "" is this module itself.

        Raises:
            AttributeError: there is no such part.
        """
        module = self
        for name in target.split(".") if target else []:
            found = module._modules.get(name)
            if found is None:
                raise AttributeError(
                    f"{type(self).__name__}: no part at {target!r}: {type(module).__name__} has no {name!r}, only "
                    f"{list(module._modules)}"
                )
            module = found
        return module

    def _get_member(self, kind: str, what: str, target: str) -> Any:
        path, _, name = target.rpartition(".")
        members = self.get_submodule(path).__dict__[kind]
        if name not in members:
            raise AttributeError(f"{type(self).__name__}: no {what} at {target!r}; there are {list(members)}")
        return members[name]

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path like "encoder.0.weight"."""
        return self._get_member("_parameters", "parameter", target)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a path."""
        return self._get_member("_buffers", "buffer", target)

    # ----------------------------------------------------------------------------------------- saving and loading

    def state_dict(
        self, *, destination: dict | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Tensor]:
        """All parameters and persistent buffers by path, sharing memory with the module.

        Args:
            destination: a dict to add to; a new one if None.
            prefix: to put before each path.
            keep_vars: give the parameters themselves instead of detached tensors.

        >>> import minigrad as mg
        >>> {name: value.shape for name, value in mg.nn.Linear(3, 2).state_dict().items()}
        {'weight': Size([2, 3]), 'bias': Size([2])}
        """
        destination = {} if destination is None else destination
        lasting = {k: v for k, v in self._buffers.items() if k not in self._non_persistent_buffers_set}
        for name, tensor in {**self._parameters, **lasting}.items():
            if tensor is not None:
                destination[prefix + name] = tensor if keep_vars else tensor.detach()
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        return destination

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copy saved values into the parameters and buffers.

        All is checked before anything is written: on an error the module is as it was.

        Args:
            state_dict: tensors or arrays by path, as from `state_dict()`.
            strict: whether missing and unexpected keys are errors; wrong shapes always are.

        Returns:
            (missing_keys, unexpected_keys).

        Raises:
            RuntimeError: lists every key that is missing, unexpected or misshapen.

        Source: `torch.nn.Module.load_state_dict`.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"load_state_dict: expected a dict of tensors, got {type(state_dict).__name__}")
        own = self.state_dict(keep_vars=True)
        keys = IncompatibleKeys([k for k in own if k not in state_dict], [k for k in state_dict if k not in own])
        problems, values = [], {}
        if strict:
            for title, names in (("Missing", keys.missing_keys), ("Unexpected", keys.unexpected_keys)):
                if names:
                    problems.append(f"{title} key(s) in state_dict: " + ", ".join(f'"{name}"' for name in names) + ".")
        for name, tensor in own.items():
            if name not in state_dict:
                continue
            value = state_dict[name]
            if not hasattr(value, "shape") or not hasattr(value, "dtype"):
                problems.append(f"{name}: expected a Tensor, got {type(value).__name__}.")
            elif tuple(value.shape) != tuple(tensor.shape):
                problems.append(
                    f"size mismatch for {name}: copying a param with shape {tuple(value.shape)} from checkpoint, the "
                    f"shape in current model is {tuple(tensor.shape)}."
                )
            else:
                values[name] = as_tensor(value, device=tensor.device)
        if problems:
            what = f"Error(s) in loading state_dict for {type(self).__name__}:"
            raise RuntimeError("\n\t".join([what, *problems]))
        for name, value in values.items():
            own[name].array[...] = value.array
            own[name]._bump()
        return keys

    # ------------------------------------------------------------------------------------------- changing all parts

    def _apply(self, convert: Callable[[Tensor], Tensor]) -> Module:
        """Replace the values of all parameters and buffers; parameters stay the same objects."""
        for module in self.children():
            module._apply(convert)
        for parameter in self._parameters.values():
            if parameter is not None:
                grad = parameter.grad
                parameter.data = convert(parameter.data)
                parameter.grad = None if grad is None else convert(grad.detach())
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._put("_buffers", name, convert(buffer))
        return self

    def to(self, *args: Any, **kwargs: Any) -> Module:
        """Move all parameters and buffers to a device, and convert those of floating point to a dtype.

        Args:
            args, kwargs: a dtype, a device, or both, as for `Tensor.to`.

        Raises:
            TypeError: the dtype is not floating point.

        >>> import minigrad as mg
        >>> mg.nn.Linear(3, 2).to(mg.float64).weight.dtype
        dtype('float64')
        """
        if not Tensor([0.5]).to(*args, **kwargs).is_floating_point():
            raise TypeError(f"{type(self).__name__}.to: expected a floating point dtype, got {args or kwargs}")

        def convert(tensor: Tensor) -> Tensor:
            if tensor.is_floating_point():
                return tensor.to(*args, **kwargs)
            probe = Tensor([0.5], device=tensor.device)  # integers keep their dtype: only the device is of interest
            return tensor.to(device=probe.to(*args, **kwargs).device)

        return self._apply(convert)

    def type(self, dst_type: Any) -> Module:
        """Convert all parameters and buffers to a dtype."""
        return self._apply(lambda tensor: tensor.to(dtype=dst_type))

    def half(self) -> Module:
        """Convert floating point parameters and buffers to float16."""
        return self.to("float16")

    def float(self) -> Module:
        """Convert floating point parameters and buffers to float32."""
        return self.to("float32")

    def double(self) -> Module:
        """Convert floating point parameters and buffers to float64."""
        return self.to("float64")

    def cpu(self) -> Module:
        """Move all parameters and buffers to the CPU."""
        return self.to("cpu")

    def cuda(self, device: Any = None) -> Module:
        """Move all parameters and buffers to a CUDA device."""
        return self.to("cuda" if device is None else device)

    def apply(self, fn: Callable[[Module], Any]) -> Module:
        """Call a function with every part and then with this module; returns self."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Module:
        """Make this module and all parts behave as in training."""
        if not isinstance(mode, bool):
            raise ValueError(f"train: mode must be True or False, got {mode!r}")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Module:
        """Make this module and all parts behave as in use: no dropout."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Collect gradients for all parameters from now on, or no longer (freezing)."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros."""
        for parameter in self.parameters():
            if parameter.grad is not None:
                parameter.grad = None if set_to_none else zeros_like(parameter.grad)

    # -------------------------------------------------------------------------------------------------------- text

    def extra_repr(self) -> str:
        """What stands in the brackets when the module is printed; subclasses define it."""
        return ""

    def __repr__(self) -> str:
        options = [line for line in self.extra_repr().split("\n") if line]
        parts = [f"({name}): {indent(repr(module))}" for name, module in self._modules.items()]
        return self._text(options, parts)

    def _text(self, options: list[str], parts: list[str]) -> str:
        inside = "\n  ".join(["", *options, *parts]) + "\n" if parts or len(options) > 1 else "".join(options)
        return f"{type(self).__name__}({inside})"


def indent(text: str) -> str:
    """All lines but the first moved two to the right."""
    return text.replace("\n", "\n  ")
