"""A weight as a length times a direction."""

from __future__ import annotations

from typing import Any

from ...ops.elementwise import sqrt
from ...tensor import Tensor
from ..module import Module
from ..parameter import Parameter


def _length(v: Tensor, dim: int | None) -> Tensor:
    """The Euclidean norm over all dimensions but one, which are kept; over all of them if dim is None or -1."""
    if dim in (None, -1):
        return sqrt((v * v).sum())
    return sqrt((v * v).sum([i for i in range(v.ndim) if i != dim % v.ndim], keepdim=True))


class WeightNorm:
    """The hook that computes the weight before every forward."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name, self.dim = name, dim

    def compute_weight(self, module: Module) -> Tensor:
        """g * v / |v|."""
        g, v = getattr(module, self.name + "_g"), getattr(module, self.name + "_v")
        return v * (g / _length(v, self.dim))

    def __call__(self, module: Module, args: tuple) -> None:
        setattr(module, self.name, self.compute_weight(module))


def _hooks(module: Module, name: str) -> list[Any]:
    """Keys of the module's hooks that compute this weight."""
    hooks = module._forward_pre_hooks
    return [key for key, hook in hooks.items() if isinstance(hook, WeightNorm) and hook.name == name]


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Learn the length g and the direction v of a weight apart: weight = g * v / |v|.

    Args:
        module: whose parameter `name` becomes two, `<name>_g` and `<name>_v`; the weight is computed before each forward.
        name: of the parameter.
        dim: there is a length for each index along this dimension; None and -1 have one for all.

    Returns:
        The same module.

    Raises:
        ValueError: there is no such parameter.
        RuntimeError: it is done already.

    Source: Salimans and Kingma, Weight Normalization, 2016; `torch.nn.utils.weight_norm`.

    >>> import minigrad as mg
    >>> layer = weight_norm(mg.nn.Linear(3, 2))
    >>> {name: tuple(p.shape) for name, p in layer.named_parameters()}
    {'bias': (2,), 'weight_g': (2, 1), 'weight_v': (2, 3)}
    """
    if _hooks(module, name):
        raise RuntimeError(f"weight_norm: {type(module).__name__} has it on {name!r} already")
    weight = module._parameters.get(name)
    if weight is None:
        raise ValueError(f"weight_norm: {type(module).__name__} has no parameter {name!r}, only {list(module._parameters)}")
    del module._parameters[name]
    module.register_parameter(name + "_g", Parameter(_length(weight, dim).detach()))
    module.register_parameter(name + "_v", Parameter(weight.detach()))
    hook = WeightNorm(name, dim)
    setattr(module, name, hook.compute_weight(module))
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Make one parameter of length and direction again. Source: `torch.nn.utils.remove_weight_norm`.

    Raises:
        ValueError: there is no weight norm on it.

    >>> import minigrad as mg
    >>> [name for name, _ in remove_weight_norm(weight_norm(mg.nn.Linear(3, 2))).named_parameters()]
    ['bias', 'weight']
    """
    keys = _hooks(module, name)
    if not keys:
        raise ValueError(f"remove_weight_norm: there is none on {name!r} of {type(module).__name__}")
    weight = module._forward_pre_hooks.pop(keys[0]).compute_weight(module)  # type: ignore[attr-defined]
    for gone in (name, name + "_g", name + "_v"):
        delattr(module, gone)
    module.register_parameter(name, Parameter(weight.detach()))
    return module
