"""The two tables: every operation with its rules, every public name with its source."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import minigrad
from minigrad.check.table import rules_of
from minigrad.composite import COMPOSITIONS
from minigrad.op import REGISTRY, Op

from . import docstrings
from .surface import PLACES, Name, methods, names

# Modules whose operations exist once they are imported.
for _name in ("autograd", "nn", "linalg", "distributions"):
    getattr(minigrad, _name, None)


def pages() -> Iterator[tuple[str, str]]:
    """(name, text) of both pages."""
    yield "operations.rst", _operations()
    yield "names.rst", _names()


# -------------------------------------------------------------------------------------------------------- operations

NONE = "none"
HEAD = ["operation", "formula", "gradient of each argument", "kept for backward", "fast paths"]
ABOUT = """
Everything that minigrad computes and differentiates is made of these. The rule of an argument says how the gradient ``g`` of
the result becomes the gradient of that argument. What a rule names in its signature, and nothing else, is kept from the
forward to the backward pass; shapes and options cost nothing. After each rule the engine sums over broadcast axes: rules need
not care. The table is made from the registry in ``minigrad/op.py``, so it cannot be out of date; ``minigrad check`` prints how
exact each rule is.
"""


def _operations() -> str:
    ops = sorted((op for name, op in REGISTRY.items() if not name.startswith("test")), key=lambda op: op.name)
    with_rules, without = [op for op in ops if op.rules], [op for op in ops if not op.rules]
    return "\n".join(
        [
            *_title("Operations"),
            f"{len(with_rules)} operations have derivative rules of their own, {len(COMPOSITIONS)} are compositions of them "
            f"that have a fused pass, and {len(without)} have no gradient: comparisons, logic, indices and the like.",
            ABOUT,
            *_title("With rules of their own", "-"),
            *_table(HEAD, map(_op, with_rules)),
            *_title("Compositions", "-"),
            "The formula is an ordinary function of the operations above and needs no rule. A fused pass computes it in one go",
            "and keeps what it likes; under ``create_graph=True`` the formula is differentiated instead.",
            "",
            *_table(["composition", "formula", "fused passes"], (_composition(c) for c in COMPOSITIONS.values())),
            *_title("Without gradient", "-"),
            *_table(["operation", "formula"], ([_linked(op.name), _formula(op.forward)] for op in without)),
        ]
    )


def _op(op: Op) -> list[str]:
    rules = "\n".join(f"| {arg}: ``{text}``" for arg, text in rules_of(op.name))
    fast = [f"{device}: ``{f.__name__}``" for device, functions in op.fast.items() for f in functions]
    return [_linked(op.name), _formula(op.forward), rules, _kept(op), "\n".join(f"| {line}" for line in fast) or NONE]


def _composition(composition: Any) -> list[str]:
    pairs = [f"| {device}: ``{a.__name__}``, ``{b.__name__}``" for device, (a, b) in composition.pairs.items()]
    return [_linked(composition.name), _formula(composition.formula), "\n".join(pairs) or NONE]


def _named(name: str) -> Name | None:
    """What users call it."""
    places = ("minigrad", "minigrad.nn.functional", "minigrad.linalg")
    return next((public for place in places for public in names(place) if public.name == name), None)


def _linked(name: str) -> str:
    public = _named(name)
    return public.link if public else f"``{name}``"


def _kept(op: Op) -> str:
    """Arrays that stay alive, by the argument that needs them if not all do."""
    wanted = {name: [w for w in wants if w in op.arguments or w == "out"] for name, (_, wants) in op.rules.items()}
    kept = list(dict.fromkeys(w for wants in wanted.values() for w in wants))
    return ", ".join("the result" if name == "out" else f"``{name}``" for name in kept) or "nothing"


def _formula(function: Any) -> str:
    """What is returned, if that is short; else the first sentence of the docstring."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    except (OSError, SyntaxError):
        return docstrings.inline(docstrings.summary(function))
    texts = (ast.Expr, ast.Pass)  # a docstring, or nothing
    body = [statement for statement in getattr(tree, "body", []) if not isinstance(statement, texts)]
    if len(body) == 1 and isinstance(body[0], ast.Return) and body[0].value is not None:
        text = re.sub(r"\bxp\.", "", ast.unparse(body[0].value))
        if len(text) <= 90:
            return f"``{text}``"
    public = _named(function.__name__.strip("_"))
    said = docstrings.inline(docstrings.summary(function) or (docstrings.summary(public.thing) if public else ""))
    return said or f"see ``{getattr(tree, 'name', function.__name__)}`` in ``{_file(function)}``"


def _file(thing: Any) -> str:
    file = inspect.getfile(inspect.unwrap(thing)).replace("\\", "/")
    return "minigrad/" + file.rpartition("/minigrad/")[2]


# ------------------------------------------------------------------------------------------------------------- names


def _names() -> str:
    lines = [
        *_title("All names"),
        "Every public function and class: what it does, where it comes from, the file that defines it. *Source* is the paper "
        "or the function of PyTorch that it follows, as its docstring says.",
        "",
    ]
    for place in PLACES:
        rows = list(_methods() if place == "minigrad.Tensor" else _public(place))
        lines += [*_title(f"{place} ({len(rows)})", "-"), *_table(["name", "what it is", "source", "file"], rows)]
    return "\n".join(lines)


def _public(place: str) -> Iterator[list[str]]:
    for name in names(place):
        yield [name.link, *_described(name.thing)]


def _methods() -> Iterator[list[str]]:
    functions = {id(n.thing) for n in names("minigrad")}
    for name, thing in methods(minigrad.Tensor):
        plain = getattr(thing, "fget", None) or getattr(thing, "__func__", thing)
        if id(thing) not in functions and not (plain.__doc__ or "").endswith("in place."):
            yield [f"``{name}``", *_described(plain)]


def _described(thing: Any) -> list[str]:
    source = docstrings.source_of(thing)
    try:
        file = f"``{_file(thing)}``"
    except TypeError:
        file = NONE
    return [docstrings.inline(docstrings.summary(thing)) or NONE, docstrings.inline(source) or NONE, file]


# -------------------------------------------------------------------------------------------------------------- text


def _title(text: str, line: str = "=") -> list[str]:
    return [text, line * len(text), ""]


def _table(head: list[str], rows: Any) -> list[str]:
    """A table, without the columns in which nothing stands."""
    rows = list(rows)
    used = [i for i in range(len(head)) if any(row[i] != NONE for row in rows)]
    head, rows = [head[i] for i in used], [[row[i] for i in used] for row in rows]
    lines = [".. list-table::", "   :header-rows: 1", "   :class: wide", ""]
    for row in [head, *rows]:
        for i, cell in enumerate(row):
            first, *rest = cell.splitlines() or [""]
            lines += [f"   {'*' if i == 0 else ' '} - {first}", *("       " + line for line in rest)]
    return [*lines, ""]
