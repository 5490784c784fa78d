"""What is public, and where."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from functools import cache
from typing import Any

# Module -> title of its page, in the order of the reference. Of a package everything it imports from minigrad counts, of a
# plain module what it lists in __all__, or else what it defines.
PLACES = {
    "minigrad": "minigrad: functions of tensors",
    "minigrad.Tensor": "minigrad.Tensor",
    "minigrad.autograd": "minigrad.autograd",
    "minigrad.autograd.functional": "minigrad.autograd.functional",
    "minigrad.autograd.graph": "minigrad.autograd.graph",
    "minigrad.func": "minigrad.func",
    "minigrad.linalg": "minigrad.linalg",
    "minigrad.nn": "minigrad.nn",
    "minigrad.nn.functional": "minigrad.nn.functional",
    "minigrad.nn.init": "minigrad.nn.init",
    "minigrad.nn.utils": "minigrad.nn.utils",
    "minigrad.nn.utils.rnn": "minigrad.nn.utils.rnn",
    "minigrad.optim": "minigrad.optim",
    "minigrad.optim.lr_scheduler": "minigrad.optim.lr_scheduler",
    "minigrad.distributions": "minigrad.distributions",
    "minigrad.utils.data": "minigrad.utils.data",
    "minigrad.utils.checkpoint": "minigrad.utils.checkpoint",
    "minigrad.cuda": "minigrad.cuda",
    "minigrad.models": "minigrad.models",
    "minigrad.train": "minigrad.train",
    "minigrad.datasets": "minigrad.datasets",
    "minigrad.io": "minigrad.io: checkpoints",
    "minigrad.op": "minigrad.op: declaring operations",
}
AUTOGRAD = ("backward", "grad", "gradcheck", "gradgradcheck", "Function", "detect_anomaly", "no_grad", "enable_grad")

HIDDEN = ("extra_repr", "function")  # what layers say about themselves, and the function that they apply


@dataclass(frozen=True)
class Name:
    """A public name: where it is, and what it stands for."""

    place: str
    name: str
    thing: Any

    @property
    def path(self) -> str:
        return f"{self.place}.{self.name}"

    @property
    def link(self) -> str:
        return f":py:obj:`{self.name} <{self.path}>`"


def module(place: str) -> Any:
    """A module by the name that users write, which may stand for another file's."""
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError:
        parent, _, name = place.rpartition(".")
        return getattr(module(parent), name)


@cache
def names(place: str) -> tuple[Name, ...]:
    """The public functions and classes of a place."""
    home = module(place)
    if place == "minigrad.autograd":
        return tuple(Name(place, name, getattr(home, name)) for name in AUTOGRAD)
    listed = getattr(home, "__all__", None)
    package = hasattr(home, "__path__")
    found = []
    for name, thing in sorted(vars(home).items(), key=lambda item: item[0].lower()):
        origin = getattr(thing, "__module__", None) or ""
        ours = origin.startswith("minigrad") if package or listed else origin == home.__name__
        if name.startswith("_") or not callable(thing) or not ours or (listed and name not in listed):
            continue
        found.append(Name(place, name, thing))
    return tuple(found)


def methods(cls: type) -> list[tuple[str, Any]]:
    """Its documented public methods and properties, with those that it inherits from classes nobody is shown."""
    shown: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base is cls or (base.__module__.startswith("minigrad") and not inspect.getdoc(base)):
            shown |= vars(base)
    return sorted((n, t) for n, t in shown.items() if not n.startswith("_") and n not in HIDDEN and _documented(t))


def _documented(thing: Any) -> bool:
    thing = thing.fget if isinstance(thing, property) else getattr(thing, "__func__", thing)
    return inspect.isfunction(thing) and bool(thing.__doc__)
