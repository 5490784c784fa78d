"""What is said of a CUDA kernel besides its source: the steps of its ladder, how to call them, and what is right.

What lives here: the two words in which a kernel declares itself, `Ladder` and `Step`. `minigrad kernels` lists, checks,
inspects and compares whatever is declared; the tests run the same declarations. What does not: the declarations, which
stand beside the sources in cuda/, and how a kernel is executed (cuda/launcher.py on a card, simulator/ anywhere).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Case = Mapping[str, Any]  # sizes and options by name, as {"rows": 5, "columns": 33, "causal": True}
Arrays = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One rung: the same function, a little faster than the rung below.

    Args:
        name: "v1", "v2", ...
        says: what is new, and why it is faster, in a line.
        run: `run(launch, case, **inputs)` allocates the outputs, calls `launch(kernel, args, **sizes)` for each launch
            and returns the outputs by name.
        kernels: what it launches, the hot one first.
        arch: the oldest architecture it compiles for.
        used: whether it is the one meant for use, for which the limits on registers, traffic and conflicts hold.
        supports: whether it can do a case; the others are skipped.
    """

    name: str
    says: str
    run: Callable[..., Arrays]
    kernels: tuple[Any, ...]
    arch: str = "sm_75"
    used: bool = False
    supports: Callable[[Case], bool] = lambda case: True


@dataclass(frozen=True)
class Ladder:
    """An operation on CUDA, from the plain kernel to the fast one.

    Args:
        name: of the operation, as in `minigrad kernels check NAME`.
        file: the source, beside the declaration.
        steps: the rungs, the plain one first.
        inputs: `inputs(rng, **case)` gives the input arrays by name.
        reference: `reference(case, **inputs)` gives the outputs by name, from NumPy in float64.
        cases: every shape that is checked.
        example: the shape that is inspected if none is given.
        tolerance: an output may differ by tolerance * (1 + |expected|); a number, or one for each output.
        minimum_bytes: `minimum_bytes(**case)`, what must cross the memory bus if everything is read and written once.
        flops: `flops(**case)`, operations on floating point numbers that the formula needs.
    """

    name: str
    file: str
    steps: tuple[Step, ...]
    inputs: Callable[..., Arrays]
    reference: Callable[..., Arrays]
    cases: tuple[Case, ...]
    example: Case
    tolerance: float | Mapping[str, float] = 1e-5
    minimum_bytes: Callable[..., int] | None = None
    flops: Callable[..., int] | None = None

    def step(self, name: str | None = None) -> Step:
        """The step of that name; the one meant for use if there is no name."""
        for step in self.steps:
            if step.name == name or (name is None and step.used):
                return step
        if name is None:
            return self.steps[-1]
        known = ", ".join(step.name for step in self.steps)
        raise ValueError(f"{self.name} has no step {name!r}; its steps are {known}")

    def allowed(self, output: str) -> float:
        """How far that output may be from the reference."""
        return self.tolerance[output] if isinstance(self.tolerance, Mapping) else self.tolerance


def ladders() -> dict[str, Ladder]:
    """All that is declared in the modules of `kernels.cuda`, by name."""
    package = importlib.import_module(".cuda", __package__)
    found: dict[str, Ladder] = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        found |= {value.name: value for value in vars(module).values() if isinstance(value, Ladder)}
    return dict(sorted(found.items()))
