"""Modules that hold others, and those that only change shapes."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from ..tensor import Tensor
from .module import Module, indent
from .parameter import Parameter


class Identity(Module):
    """Returns its input; takes and ignores any arguments (as `torch.nn.Identity`)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        """Any shape."""
        return input


class Flatten(Module):
    """Dimensions from start_dim to end_dim as one (as `torch.nn.Flatten`).

    >>> import minigrad as mg
    >>> mg.nn.Flatten()(mg.ones(2, 3, 4)).shape
    Size([2, 12])
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        """Any shape."""
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """One dimension as several (as `torch.nn.Unflatten`).

    >>> import minigrad as mg
    >>> mg.nn.Unflatten(1, (3, 4))(mg.ones(2, 12)).shape
    Size([2, 3, 4])
    """

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        super().__init__()
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        """Any shape."""
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class _List(Module):
    """Modules in an order, under the names "0", "1", ... unless others were given."""

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __bool__(self) -> bool:
        return True  # as every module, also when empty

    def _name(self, index: Any) -> str:
        """The name of the module at an index."""
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"{type(self).__name__}: index {index} is out of range for {len(self)} modules")
        return list(self._modules)[index]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._part(list(self._modules.items())[index])
        return self._modules[self._name(index)]

    def _part(self, items: list[tuple[str, Module]]) -> Any:
        return type(self)([module for _, module in items])  # type: ignore[call-arg]

    def __setitem__(self, index: Any, module: Module) -> None:
        setattr(self, self._name(index), module)

    def __delitem__(self, index: Any) -> None:
        names = list(self._modules)[index] if isinstance(index, slice) else [self._name(index)]
        self._renumber([module for name, module in self._modules.items() if name not in names])

    def _renumber(self, modules: list[Module]) -> Any:
        self._modules.clear()
        return self.extend(modules)

    def append(self, module: Module) -> Any:
        """Add a module at the end; returns self."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        """Add modules at the end; returns self."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Put a module before the one at an index; returns self."""
        modules = list(self)
        modules.insert(index, module)
        return self._renumber(modules)

    def pop(self, index: int = -1) -> Module:
        """Take the module at an index out and return it."""
        module = self[index]
        del self[index]
        return module

    def __iadd__(self, modules: Iterable[Module]) -> Any:
        return self.extend(modules)

    def __add__(self, modules: Iterable[Module]) -> Any:
        return self[:].extend(modules)


class Sequential(_List):
    """Modules one after the other: each gets what the one before gave (as `torch.nn.Sequential`).

    Args:
        modules: in order; or one dict, whose keys become their names.

    >>> import minigrad as mg
    >>> mg.nn.Sequential(mg.nn.Linear(3, 4), mg.nn.ReLU())
    Sequential(
      (0): Linear(in_features=3, out_features=4, bias=True)
      (1): ReLU()
    )
    """

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        named = modules[0].items() if len(modules) == 1 and isinstance(modules[0], Mapping) else enumerate(modules)
        for name, module in named:
            self.add_module(str(name), module)

    def _part(self, items: list[tuple[str, Module]]) -> Any:
        return type(self)(dict(items))

    def forward(self, input: Any) -> Any:
        """What the first module takes; gives what the last one gives."""
        for module in self._modules.values():
            input = module(input)
        return input


class ModuleList(_List):
    """A list of modules that belong to the module it is assigned to (as `torch.nn.ModuleList`).

    >>> import minigrad as mg
    >>> mg.nn.ModuleList(mg.nn.Linear(2, 2) for _ in range(3))
    ModuleList(
      (0-2): 3 x Linear(in_features=2, out_features=2, bias=True)
    )
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(modules or ())

    def __repr__(self) -> str:
        parts, first = [], 0
        for text, group in groupby(map(repr, self)):  # equal neighbours share a line
            count = len(list(group))
            name = f"{first}" if count == 1 else f"{first}-{first + count - 1}"
            parts.append(f"({name}): {'' if count == 1 else f'{count} x '}{indent(text)}")
            first += count
        return self._text([], parts)


class ModuleDict(Module):
    """Modules by name (as `torch.nn.ModuleDict`).

    >>> import minigrad as mg
    >>> heads = mg.nn.ModuleDict({"a": mg.nn.Linear(2, 1)}); heads["b"] = mg.nn.Identity()
    >>> list(heads)
    ['a', 'b']
    """

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        self.update(modules or {})

    def __getitem__(self, key: str) -> Module:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._modules)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def keys(self) -> Any:
        """The names."""
        return self._modules.keys()

    def values(self) -> Any:
        """The modules."""
        return self._modules.values()

    def items(self) -> Any:
        """Names and modules."""
        return self._modules.items()

    def clear(self) -> None:
        """Take all out."""
        for key in list(self._modules):
            del self[key]

    def pop(self, key: str) -> Module:
        """Take one out and return it."""
        module = self[key]
        del self[key]
        return module

    def update(self, modules: Any) -> None:
        """Add those of a dict, or of (name, module) pairs."""
        for key, module in dict(modules).items():
            self[key] = module


class ParameterList(Module):
    """A list of parameters (as `torch.nn.ParameterList`); tensors become parameters.

    >>> import minigrad as mg
    >>> weights = mg.nn.ParameterList([mg.ones(2), mg.zeros(3)])
    >>> len(weights), weights[1].requires_grad
    (2, True)
    """

    def __init__(self, values: Iterable[Tensor] | None = None) -> None:
        super().__init__()
        self.extend(values or ())

    def append(self, value: Tensor) -> ParameterList:
        """Add one at the end; returns self."""
        self.register_parameter(str(len(self)), _parameter(value))
        return self

    def extend(self, values: Iterable[Tensor]) -> ParameterList:
        """Add several at the end; returns self."""
        for value in list(values):
            self.append(value)
        return self

    def __getitem__(self, index: Any) -> Any:
        found = list(self._parameters.values())[index]
        return ParameterList(found) if isinstance(index, slice) else found

    def __setitem__(self, index: int, value: Tensor) -> None:
        self.register_parameter(list(self._parameters)[index], _parameter(value))

    def __len__(self) -> int:
        return len(self._parameters)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        return iter(self._parameters.values())

    def extra_repr(self) -> str:
        return "\n".join(f"({name}): {_summary(p)}" for name, p in self._parameters.items())


class ParameterDict(Module):
    """Parameters by name (as `torch.nn.ParameterDict`); tensors become parameters."""

    def __init__(self, parameters: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        for key, value in (parameters or {}).items():
            self[key] = value

    def __getitem__(self, key: str) -> Any:
        return self._parameters[key]

    def __setitem__(self, key: str, value: Tensor) -> None:
        self.register_parameter(key, _parameter(value))

    def __delitem__(self, key: str) -> None:
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._parameters)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __contains__(self, key: str) -> bool:
        return key in self._parameters

    def keys(self) -> Any:
        """The names."""
        return self._parameters.keys()

    def values(self) -> Any:
        """The parameters."""
        return self._parameters.values()

    def items(self) -> Any:
        """Names and parameters."""
        return self._parameters.items()

    extra_repr = ParameterList.extra_repr


def _parameter(value: Any) -> Any:
    return Parameter(value) if type(value) is Tensor else value


def _summary(parameter: Parameter) -> str:
    return f"Parameter containing: [{parameter.dtype} of size {'x'.join(map(str, parameter.shape))}]"
