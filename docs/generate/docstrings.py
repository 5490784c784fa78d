"""Docstrings as reStructuredText.

Docstrings are written for people at a terminal: `code` in single backticks, sections headed by a word and a colon,
examples under >>>, and every other character meant as it stands. Here they become what Sphinx reads.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises")


def inline(text: str) -> str:
    """A stretch of text: backticks hold code, all else stands for itself."""
    parts = re.split(r"(`+)(.+?)\1", " ".join(text.split()))
    out = ""
    for i in range(0, len(parts), 3):
        out += re.sub(r"([\\*|_`\[\]])", r"\\\1", parts[i])
        if i + 2 < len(parts):
            before = "" if not out or out[-1] in " ([{" else "\\ "
            after = "" if i + 3 >= len(parts) or not parts[i + 3] or re.match(r"[\s.,;:!?)\]}]", parts[i + 3]) else "\\ "
            out += f"{before}``{parts[i + 2]}``{after}"
    return out


def source_of(thing: Any) -> str:
    """What the docstring names as its source: a function of PyTorch, a paper. Empty if it names none."""
    doc = inspect.getdoc(thing) or ""
    for paragraph in doc.split("\n\n"):
        if found := re.search(r"\bSource: (.*)", paragraph, re.S):
            text = " ".join(found[1].split())
            return text if text.count("`") % 2 == 0 else ""
    found = re.search(r"\(as (`torch\.[\w.]+`)", doc)
    return found[1] if found else ""


def summary(thing: Any) -> str:
    """The first sentence of a docstring, without its source."""
    first = (inspect.getdoc(thing) or "").split("\n\n")[0]
    return " ".join(re.sub(r"\s*\bSource: .*", "", first, flags=re.S).split())


def restructured(doc: str) -> list[str]:
    """A docstring as lines of reStructuredText."""
    lines: list[str] = []
    for kind, block in _blocks(doc):
        lines += {"text": _text, "list": _list, "example": _example, "literal": _literal, "section": _section}[kind](block)
        lines.append("")
    return lines


def _blocks(doc: str) -> Iterator[tuple[str, list[str]]]:
    """(kind, lines) of each paragraph, section, example and indented block."""
    lines = inspect.cleandoc(doc).splitlines()
    at = 0
    while at < len(lines):
        start, line = at, lines[at]
        if not line.strip():
            at += 1
            continue
        header = line.strip().removesuffix(":") in SECTIONS and line.strip().endswith(":")
        indented = line.startswith(" ")
        at += 1
        while at < len(lines) and _belongs(lines[at], header or indented, lines, at):
            at += 1
        kind = "section" if header else "literal" if indented else "example" if line.startswith(">>>") else "text"
        if kind == "text" and line.startswith("- "):
            kind = "list"
        yield kind, lines[start:at]


def _belongs(line: str, deep: bool, lines: list[str], at: int) -> bool:
    if deep:  # up to the next line that is not indented
        rest = (later for later in lines[at:] if later.strip())
        return line.startswith(" ") or (not line.strip() and next(rest, "").startswith(" "))
    return bool(line.strip()) and (not line.startswith("    ") or lines[at - 1].startswith(">>>"))


def _text(block: list[str]) -> list[str]:
    text = " ".join(block)
    before, found, source = text.partition("Source: ")
    if found and not before.strip():
        return [f"*Source:* {inline(source)}"]
    if found:
        return [inline(before), "", f"*Source:* {inline(source)}"]
    return [inline(text)]


def _list(block: list[str]) -> list[str]:
    items: list[str] = []
    for line in block:
        if line.startswith("- "):
            items.append(line[2:])
        else:
            items[-1] += " " + line.strip()
    return [f"- {inline(item)}" for item in items]


def _example(block: list[str]) -> list[str]:
    return [".. code-block:: pycon", "", *("   " + re.sub(r"\s*# doctest:.*", "", line) for line in block)]


def _literal(block: list[str]) -> list[str]:
    return ["::", "", *("    " + line for line in block)]


def _section(block: list[str]) -> list[str]:
    """A heading, and a list of definitions where lines read `name: text`."""
    head, body = block[0].strip().removesuffix(":"), inspect.cleandoc("\n".join(["", *block[1:]])).splitlines()
    title = {"Args": "Arguments"}.get(head, head)
    lines = [f".. rubric:: {title}", "   :class: section", ""]
    if head in ("Returns", "Yields"):
        return [*lines, *restructured("\n".join(body))]
    for entry in _entries(body):
        name, _, text = entry[0].partition(":")
        terms = ", ".join(f"``{term.strip().strip('`')}``" for term in name.split(","))
        text = " ".join([text.strip(), *(line.strip() for line in entry[1:])]).strip()
        lines += [terms, f"   {inline(text) or '—'}", ""]
    return lines


def _entries(body: list[str]) -> Iterator[list[str]]:
    entry: list[str] = []
    for line in body:
        if entry and line.strip() and not line.startswith(" "):
            yield entry
            entry = []
        if line.strip():
            entry.append(line)
    if entry:
        yield entry
