"""Optimizer: what all learning rules share.

A rule is a subclass with a constructor, `check` for its options, and `update`, which moves the parameters of one group
by their gradients. It works on arrays, in place; `blocks` keeps what it works on in the cache.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from typing import Any

import numpy as np
from numpy import ndarray

from .. import backend
from ..autograd import enable_grad, grad_mode, watchers
from ..creation import as_tensor, zeros_like
from ..kernels.cpu import optimizers as kernels
from ..op import fast_paths
from ..tensor import Tensor

BLOCK = 1 << 15  # elements: a few arrays of this length fit into a core's own cache


def blocks(*arrays: Any) -> Iterable[tuple]:
    """Arrays of one shape cut into short pieces, so that several passes over each stay in the cache."""
    if arrays[0].size <= BLOCK or not all(type(a) is ndarray and a.flags.c_contiguous for a in arrays):
        return (arrays,)
    return _pieces([a.reshape(-1) for a in arrays])


def _pieces(flat: list[ndarray]) -> Iterator[tuple]:
    for start in range(0, flat[0].size, BLOCK):
        yield tuple([a[start : start + BLOCK] for a in flat])


def as_factor(array: Any, number: float) -> Any:
    """A number to multiply an array by: as an array itself, since NumPy takes three times as long over Python's numbers."""
    return np.array(number, array.dtype) if type(array) is ndarray else number


def few(params: list[Tensor]) -> bool:
    """Whether parameters have so few numbers that NumPy moves them faster than a call of a kernel, if the rule is simple."""
    return not params or (type(params[0].array) is ndarray and sum([p.array.size for p in params]) < kernels.SMALL)


STEPS: dict[str, Callable[..., Any]] = {"cpu": kernels.step}  # see also cuda/fused.py


def all_at_once(rule: str, tensors: list[tuple], numbers: tuple[float, ...]) -> Any:
    """Move parameters by one call of a compiled kernel (see kernels/cpu/optimizers.py); NotImplemented without one.

    Args:
        rule: name of the kernel.
        tensors: of each parameter its array, its gradient, and arrays of its state.
        numbers: what the kernel wants to know.
    """
    if not tensors or not fast_paths.get():
        return NotImplemented
    return STEPS["cpu" if type(tensors[0][0]) is ndarray else "cuda"](rule, tensors, numbers)


def by_step(params: list[Tensor], state: dict[Tensor, dict[str, Any]]) -> dict[int, list[Tensor]]:
    """Parameters by the number of their step: the same for all, unless some had no gradient at times."""
    groups: dict[int, list[Tensor]] = defaultdict(list)
    for p in params:
        groups[state[p]["step"]].append(p)
    return groups


class Optimizer:
    """The base of all learning rules (as `torch.optim.Optimizer`).

    Args:
        params: parameters, or dicts with "params" and options of their own, the groups.
        defaults: options of groups that do not have their own.

    Attributes:
        param_groups: dicts with "params" and the options, which may be changed at any time.
        state: what the rule remembers about each parameter.

    Raises:
        TypeError: params is one tensor, a set, or has something else than tensors in it.
        ValueError: no parameters, one that comes twice or is not a leaf, or an option out of range.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        name = type(self).__name__
        if isinstance(params, Tensor):
            raise TypeError(f"{name}: params must be an iterable of tensors or dicts, got one tensor; pass [tensor]")
        self.defaults = defaults
        self.state: dict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._step_count = 0
        groups = _ordered(name, params)
        if not groups:
            raise ValueError(f"{name}: got an empty parameter list; was model.parameters() used up before?")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Learn more parameters from now on.

        Args:
            param_group: "params", and options that differ from the defaults.
        """
        name = type(self).__name__
        if not isinstance(param_group, dict):
            raise TypeError(f"{name}: expected a dict with 'params', got {type(param_group).__name__}")
        if "params" not in param_group:
            raise KeyError(f"{name}: a parameter group has no 'params', only {list(param_group)}")
        params = param_group["params"]
        params = [params] if isinstance(params, Tensor) else _ordered(name, params)
        known = {id(p) for group in self.param_groups for p in group["params"]}
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(f"{name}: can only learn tensors, got {type(p).__name__}; pass model.parameters()")
            if not p.is_leaf:
                raise ValueError(f"{name}: can only learn leaves, but one tensor was computed from others")
            if id(p) in known:
                raise ValueError(f"{name}: a parameter of shape {tuple(p.shape)} comes twice, in one group or in two")
            known.add(id(p))
        group = {**self.defaults, **param_group, "params": params}
        self.check(group)
        self.param_groups.append(group)

    def check(self, group: dict[str, Any]) -> None:
        """Raise ValueError if an option of a group is out of range; subclasses say which are."""

    def _need(self, group: dict[str, Any], *names: str) -> None:
        """Numbers that must not be negative."""
        for name in names:
            if not group[name] >= 0:
                raise ValueError(f"{type(self).__name__}: {name} must not be negative, got {group[name]}")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.grad = None if set_to_none else zeros_like(p.grad)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient.

        Args:
            closure: computes the loss and its gradients anew, and returns the loss.

        Returns:
            What closure returned, or None.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        mode, warnings, watching = grad_mode.set(False), backend.silence(), watchers.get()
        try:
            for watcher in watching:
                watcher.begins(self, 0, None)
            for group in self.param_groups:
                params = [p for p in group["params"] if p.grad is not None]
                self.update(params, group)
                for p in params:
                    if p._storage is not None:  # as p._bump()
                        p._storage.version += 1
            for watcher in watching:
                watcher.passed(self, 0, None)
        finally:
            backend.restore(warnings)
            grad_mode.reset(mode)
        self._step_count += 1
        return loss

    def update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        """Move some parameters by their gradients, with the options of a group; subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__}: define update(self, params, group)")

    # ----------------------------------------------------------------------------------------- saving and loading

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs, in PyTorch's shape: parameters are numbered in their order.

        >>> import minigrad as mg
        >>> optimizer = mg.optim.SGD([mg.zeros(2, requires_grad=True)], lr=0.5)
        >>> optimizer.state_dict()["param_groups"][0]["lr"], optimizer.state_dict()["param_groups"][0]["params"]
        (0.5, [0])
        """
        number = {id(p): i for i, p in enumerate(p for group in self.param_groups for p in group["params"])}
        groups = [{**group, "params": [number[id(p)] for p in group["params"]]} for group in self.param_groups]
        for group in groups:
            group["params"] = group.pop("params")  # last, as in PyTorch
        return {"state": {number[id(p)]: dict(state) for p, state in self.state.items()}, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from where `state_dict` was called, also PyTorch's own, with other parameters of the same shapes.

        What is loaded is copied, to the dtype and device of each parameter. On an error nothing is changed.

        Raises:
            ValueError: another number of groups or parameters, or a state of another shape.
        """
        name = type(self).__name__
        groups = [dict(group) for group in state_dict["param_groups"]]
        sizes, expected = ([len(group["params"]) for group in g] for g in (groups, self.param_groups))
        if sizes != expected:
            raise ValueError(
                f"{name}.load_state_dict: expected groups of {expected} parameters, the saved ones have {sizes}"
            )
        params = {
            i: p
            for group, mine in zip(groups, self.param_groups)
            for i, p in zip(group["params"], mine["params"])
        }
        state: dict[Tensor, dict[str, Any]] = defaultdict(dict)
        for i, saved in state_dict["state"].items():
            if i in params:
                state[params[i]] = {key: self._loaded(key, value, params[i]) for key, value in saved.items()}
        merged = [
            {**mine, **deepcopy({k: v for k, v in group.items() if k != "params"})}
            for group, mine in zip(groups, self.param_groups)
        ]
        for group in merged:
            self.check(group)
        self.state, self.param_groups = state, merged

    def _loaded(self, key: str, value: Any, param: Tensor) -> Any:
        """A saved value as this optimizer keeps it: its own copy, beside its parameter. Steps are plain numbers."""
        if key == "step":
            return int(value)
        if not hasattr(value, "shape"):
            return deepcopy(value)
        if tuple(value.shape) != tuple(param.shape):
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: {key} has shape {tuple(value.shape)}, its parameter "
                f"{tuple(param.shape)}"
            )
        return as_tensor(value).detach().to(param.dtype, copy=True).to(device=param.device)

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            options = [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
            lines.append("\n".join([f"Parameter Group {i}", *options]))
        return f"{type(self).__name__} (\n" + "\n\n".join(lines) + "\n)"


def _ordered(name: str, params: Any) -> list:
    if isinstance(params, (set, frozenset)):
        raise TypeError(f"{name}: params must have an order that stays the same, got a set; pass a list")
    try:
        return list(params)
    except TypeError:
        raise TypeError(f"{name}: params must be tensors or dicts in a list, got {type(params).__name__}") from None
