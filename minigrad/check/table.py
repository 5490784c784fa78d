"""The table of all operations with their derivative rules and how exact these are: `minigrad check`.

Each operation is called with random numbers in float64. The first column of errors compares backward with central
differences of the values, the second one backward of backward with central differences of the gradients. Rules are
shown as they stand in the source.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import math
import re
import textwrap
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg

from ..composite import COMPOSITIONS
from ..debug.gradcheck import GradcheckError, differences, gradient_of
from ..fast import use_fast_paths
from ..op import REGISTRY
from ..tensor import Tensor

LIMIT = 1e-5  # larger errors fail; differences themselves are exact to 1e-9 or so


@dataclass
class Row:
    """An operation in the table.

    Attributes:
        name: of the operation.
        rules: (argument, source of its rule).
        first, second: largest error of the first and second derivative, |found - expected| / (1 + |expected|); None
            where the first is constant.
    """

    name: str
    rules: list[tuple[str, str]]
    first: float
    second: float | None

    @property
    def passed(self) -> bool:
        return self.first <= LIMIT and (self.second is None or self.second <= LIMIT)


def operations() -> list[str]:
    """The names of all operations that have derivatives: those with rules, and the compositions with fused passes."""
    from .samples import NOT_HERE

    return sorted({name for name, op in REGISTRY.items() if op.rules and name not in NOT_HERE} | set(COMPOSITIONS))


def check(name: str, seed: int = 0) -> Row:
    """Measure one operation.

    Args:
        name: as in `operations()`.
        seed: of the random numbers.

    Raises:
        ValueError: there is no such operation.

    >>> row = check("mul")
    >>> row.rules, row.passed
    ([('input', 'g * other'), ('other', 'g * input')], True)
    """
    _known(name)
    function, inputs = _sample(name, seed)
    first = _error(function, inputs)
    with use_fast_paths(False):
        first = max(first, _error(function, inputs))
    second: float | None
    try:
        second = _error(*gradient_of(function, inputs, seed))
    except GradcheckError:  # no derivative depends on the inputs
        second = None
    return Row(name, rules_of(name), first, second)


def _known(name: str) -> None:
    if name not in operations():
        near = difflib.get_close_matches(name, operations())
        raise ValueError(
            f"there is no operation {name!r} with derivatives" + (f"; did you mean {' or '.join(near)}?" if near else "")
        )


def _sample(name: str, seed: int) -> tuple[Callable, tuple[Tensor, ...]]:
    """What to call, and with what: numbers of both signs that keep away from 0, where many functions have a kink."""
    from .samples import POSITIVE, SAMPLES

    if name in SAMPLES:
        function, *shapes = SAMPLES[name]
    else:
        places = [module for module in (mg, mg.nn.functional, mg.linalg) if hasattr(module, name)]
        if not places:
            raise ValueError(f"{name} has no public function of that name: say in check/samples.py how to call it")
        function, shapes = getattr(places[0], name), [(2, 3)] * len(REGISTRY[name].arguments)
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    arrays = [np.asarray(rng.uniform(0.3, 1.7, shape)) for shape in shapes]
    if name not in POSITIVE:
        arrays = [a * rng.choice([-1, 1], a.shape) for a in arrays]
    return function, tuple(mg.tensor(a, requires_grad=True) for a in arrays)


def _error(function: Callable, inputs: tuple) -> float:
    errors = [abs(found - expected) / (1 + abs(expected)) for _, _, found, expected, _ in differences(function, inputs)]
    return max((error if error == error else math.inf for error in errors), default=0.0)


# ------------------------------------------------------------------------------------------------ the source of rules


def rules_of(name: str) -> list[tuple[str, str]]:
    """Each argument that has a gradient, and the source of its rule on one line."""
    if name in COMPOSITIONS:
        return [("all", "the rules of what its formula is made of, or a fused pass")]
    return [(argument, _text(argument, rule)) for argument, (rule, _) in REGISTRY[name].rules.items()]


def _text(argument: str, rule: Callable) -> str:
    if rule.__name__ != "<lambda>":
        return f"{rule.__name__}({', '.join(inspect.signature(rule).parameters)})"
    try:
        source = Path(inspect.getfile(rule)).read_text(encoding="utf-8")
    except OSError:
        return "(its source is not there)"
    body = _lambdas(source).get((argument, rule.__code__.co_firstlineno))
    return re.sub(r"(?<=[(\[]) | (?=[)\]])", "", " ".join((body or "(its source is not there)").split()))


@cache
def _lambdas(source: str) -> dict[tuple[str, int], str]:
    """The bodies of all lambdas that are passed by name, by that name and their line."""
    return {
        (keyword.arg, keyword.value.lineno): ast.get_source_segment(source, keyword.value.body) or ""
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg and isinstance(keyword.value, ast.Lambda)
    }


# --------------------------------------------------------------------------------------------------------- as text


def lines(rows: Iterable[Row], names: list[str], width: int = 120) -> Iterator[str]:
    """The table as lines of text, each as soon as it is there.

    Args:
        rows: one for each of the names.
        names: of the operations.
        width: of the text.
    """
    longest = max(map(len, ["operation", *names]))
    room = max(30, width - longest - 32)
    yield f"{'operation':{longest}}  {'gradient':{room}}  {'1st error':>9}  {'2nd error':>9}"
    for row in rows:
        text = [line for argument, rule in row.rules for line in textwrap.wrap(f"{argument}: {rule}", room)]
        errors = "  ".join(f"{_shown(error):>9}" for error in (row.first, row.second))
        yield f"{row.name:{longest}}  {text[0]:{room}}  {errors}{'' if row.passed else '  FAILED'}"
        for line in text[1:]:
            yield f"{'':{longest}}  {line}"


def _shown(error: float | None) -> str:
    return "constant" if error is None else f"{error:.0e}"


def sources(name: str) -> Iterator[str]:
    """The source of an operation, and of the functions among its rules."""
    _known(name)
    op = REGISTRY.get(name) or COMPOSITIONS[name]
    function: Any = getattr(op, "forward", None) or op.formula  # type: ignore[union-attr]
    yield inspect.getsource(function).rstrip()
    for rule in dict.fromkeys(rule for rule, _ in getattr(op, "rules", {}).values()):
        if rule.__name__ != "<lambda>":
            yield ""
            yield inspect.getsource(rule).rstrip()
