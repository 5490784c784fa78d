"""The reference: a page for each public module, made from signatures and docstrings."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import minigrad

from . import docstrings
from .surface import PLACES, Name, methods, module, names

# Families of the functions at top level, by the file that they come from.
FAMILIES = {
    "Making tensors": ("creation", "functions.random"),
    "Elementwise": ("ops.elementwise", "ops.trigonometry", "functions.elementwise", "ops.choice"),
    "Comparison and logic": ("ops.logic",),
    "Reductions": ("ops.reduction", "functions.reduction"),
    "Shape": ("ops.shape", "functions.arrange", "ops.diagonal"),
    "Indexing, sorting, searching": ("ops.indexing", "functions.scatter", "functions.order"),
    "Matrices": ("ops.linalg", "functions.einsum", "linalg"),
}
OTHER = "Gradients, devices, files"


def pages() -> Iterator[tuple[str, str]]:
    """(name, text) of the reference's pages, and of its overview."""
    yield "reference/index.rst", _overview()
    for place, title in PLACES.items():
        body = _tensor() if place == "minigrad.Tensor" else _module(place)
        yield f"reference/{place}.rst", "\n".join([f".. _{_anchor(place)}:", "", *_heading(title, "="), *body]) + "\n"


def _anchor(place: str) -> str:
    return "place-" + place.replace(".", "-").lower()


def _heading(text: str, line: str) -> list[str]:
    return [text, line * len(text), ""]


def _overview() -> str:
    rows = [f"   * - :doc:`{place}`\n     - {docstrings.inline(_about(place))}" for place in PLACES]
    entries = [f"   {place}" for place in PLACES]
    return "\n".join(
        [
            *_heading("Reference", "="),
            "Names, arguments, defaults and results are PyTorch's; what differs on purpose says so. All of it is made from",
            "the docstrings: ``help(minigrad.exp)`` prints the same words. The tables",
            ":doc:`operations </generated/operations>` and :doc:`names </generated/names>` show everything at a glance.",
            "",
            ".. list-table::",
            "   :widths: 30 70",
            "",
            *rows,
            "",
            ".. toctree::",
            "   :hidden:",
            "",
            *entries,
            "",
        ]
    )


def _about(place: str) -> str:
    if place == "minigrad":
        return "Functions that make tensors and compute with them."
    text = docstrings.summary(minigrad.Tensor if place == "minigrad.Tensor" else module(place))
    return re.sub(r"\s*\(as `[^`]*`\)", "", text)


# ------------------------------------------------------------------------------------------------------- a module


def _module(place: str) -> list[str]:
    home = module(place)
    public = [n for n in names(place) if n.thing is not minigrad.Tensor]
    lines = [f".. py:module:: {place}", ""]
    if place != "minigrad":
        lines += docstrings.restructured(home.__doc__ or "")
    if place != "minigrad":
        return lines + _entries(public)
    sections = defaultdict(list)
    for name in public:
        sections[_family(name.thing)].append(name)
    for title in [*FAMILIES, OTHER]:
        lines += [*_heading(title, "-"), *_entries(sections[title])]
    return lines + _values()


def _family(thing: Any) -> str:
    origin = thing.__module__.removeprefix("minigrad.")
    return next((title for title, files in FAMILIES.items() if origin in files and not inspect.isclass(thing)), OTHER)


def _values() -> list[str]:
    kinds = [name for name, thing in vars(minigrad).items() if _is_dtype(thing) and not name.startswith("_")]
    return [
        *_heading("Dtypes and numbers", "-"),
        ", ".join(f"``minigrad.{name}``" for name in sorted(kinds)) + ": the dtypes, which are NumPy's under PyTorch's names.",
        "``minigrad.inf``, ``minigrad.nan`` and ``minigrad.pi`` are numbers.",
        "",
    ]


def _is_dtype(thing: Any) -> bool:
    return type(thing).__module__.startswith("numpy.dtypes") or type(thing).__name__ == "dtype"


def _entries(public: Iterable[Name]) -> list[str]:
    """One entry for each thing, under all the names that it has here."""
    groups: dict[int, list[Name]] = defaultdict(list)
    for name in public:
        groups[id(name.thing)].append(name)
    lines: list[str] = []
    for group in groups.values():
        own = getattr(group[0].thing, "__name__", "")
        group.sort(key=lambda n: (n.name != own, n.name))
        lines += _class(group) if inspect.isclass(group[0].thing) else _function([n.path for n in group], group[0].thing)
    return lines


def _function(paths: list[str], thing: Any, kind: str = "function", options: tuple[str, ...] = ()) -> list[str]:
    signature = "" if kind == "property" else _signature(thing, skip_self=kind != "function" and "staticmethod" not in options)
    heads = [f"{path}{signature}" for path in paths]
    lines = [f".. py:{kind}:: {heads[0]}", *(" " * (len(kind) + 9) + head for head in heads[1:])]
    lines += [f"   :{option}:" for option in options]
    place, _, name = paths[0].rpartition(".")
    if place == "minigrad.nn.functional" and getattr(minigrad, name, None) is thing:
        body = [f"The same function as :py:func:`minigrad.{name}`.", ""]
    else:
        body = [*docstrings.restructured(thing.__doc__ or ""), *(_code(thing) if kind == "function" else [])]
    return [*lines, "", *_indented(body), ""]


def _class(group: list[Name]) -> list[str]:
    cls = group[0].thing
    lines = [f".. py:class:: {group[0].path}{_signature(cls)}", *(" " * 14 + n.path for n in group[1:]), ""]
    body = docstrings.restructured(cls.__doc__ or "")
    for name, thing in methods(cls):
        body += _member(name, thing)
    return lines + _indented(body + _code(cls))


def _member(name: str, thing: Any) -> list[str]:
    if isinstance(thing, property):
        return _function([name], thing.fget, "property")
    if isinstance(thing, (staticmethod, classmethod)):
        return _function([name], thing.__func__, "method", (type(thing).__name__,))
    return _function([name], thing, "method", ("no-contents-entry",) if name in ("forward", "reset_parameters") else ())


def _indented(lines: list[str]) -> list[str]:
    return [("   " + line) if line else "" for line in lines]


def _signature(thing: Any, skip_self: bool = False) -> str:
    """Arguments and their defaults; what they are stands in the text."""
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return "(...)"
    shown = []
    for p in list(signature.parameters.values())[1 if skip_self else 0 :]:
        default = p.default
        if default is not p.empty and (re.search(r"[<>]", repr(default)) or _is_dtype(default)):
            default = _Text(getattr(default, "__name__", None) or "...")
        shown.append(p.replace(annotation=p.empty, default=default))
    return str(signature.replace(parameters=shown, return_annotation=signature.empty))


class _Text(str):
    __repr__ = str.__str__


def _code(thing: Any) -> list[str]:
    """The source without its docstring, folded away, with the functions that its rules name; nothing for what is long."""
    op = getattr(thing, "op", None)
    parts = [getattr(op, "forward", None) or getattr(op, "formula", thing)]
    rules = [rule for rule, _ in getattr(op, "rules", {}).values()]
    parts += [r for r in dict.fromkeys([*rules, *(h for rule in rules for h in _helpers(rule))]) if r.__name__ != "<lambda>"]
    try:
        text = "\n\n".join(_source(part) for part in dict.fromkeys(parts))
    except (OSError, TypeError):
        return []
    if text.count("\n") > 60:
        return []
    file = "minigrad/" + inspect.getfile(parts[0]).replace("\\", "/").rpartition("/minigrad/")[2]
    return [
        *_raw(f'<details class="code"><summary>source: {file}</summary>'),
        ".. code-block:: python",
        "",
        *("   " + line if line else "" for line in text.splitlines()),
        "",
        *_raw("</details>"),
    ]


def _helpers(rule: Any) -> list[Any]:
    """The private functions that a rule calls."""
    called = [rule.__globals__.get(name) for name in rule.__code__.co_names if name.startswith("_")]
    return [function for function in called if inspect.isfunction(function)]


def _source(thing: Any) -> str:
    text = textwrap.dedent(inspect.getsource(thing))
    return re.sub(r'\n[ \t]*r?""".*?"""[ \t]*(?=\n|$)', "", text, count=1, flags=re.S).rstrip()


def _raw(html: str) -> list[str]:
    return [".. raw:: html", "", f"   {html}", ""]


# -------------------------------------------------------------------------------------------------------- the Tensor


def _tensor() -> list[str]:
    """The class, what is its own, and the table of methods that are functions."""
    cls = minigrad.Tensor
    functions = {id(n.thing): n for n in reversed(names("minigrad"))}
    own, shared, written = [], [], []
    for name, thing in _all_methods(cls):
        if id(thing) in functions:
            shared.append((name, functions[id(thing)]))
        elif name.endswith("_") and (thing.__doc__ or "").endswith("in place."):
            written.append(name)
        else:
            own += _member(name, thing)
    head = [f".. py:class:: minigrad.Tensor{_signature(cls)}", ""]
    rows = [f"   * - ``x.{name}``\n     - :py:func:`{f.path}`" for name, f in shared]
    return [
        *head,
        *_indented(docstrings.restructured(cls.__doc__ or "")),
        *_indented(own),
        *_heading("Functions as methods", "-"),
        "``x.exp()`` is ``minigrad.exp(x)``: one function under two names.",
        "",
        ".. list-table::",
        "   :widths: 40 60",
        "",
        *"\n".join(rows).split("\n"),
        "",
        *_heading("In place", "-"),
        "Each writes its result into the tensor it is called on: " + ", ".join(f"``{name}``" for name in written) + ".",
        "",
    ]


def _all_methods(cls: type) -> list[tuple[str, Any]]:
    shown: dict[str, Any] = {}
    for base in reversed(cls.__mro__[:-1]):
        shown |= {name: thing for name, thing in vars(base).items() if not name.startswith("_")}
    return sorted((n, t) for n, t in shown.items() if callable(t) or isinstance(t, (property, staticmethod, classmethod)))
