"""What the pages of the site are made of: docstrings, the two tables, the lessons' overview. Sphinx is not needed here."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path

import pytest

import minigrad as mg
from minigrad.composite import COMPOSITIONS
from minigrad.op import REGISTRY
from tests.test_surface import SURFACE

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generate():
    """The folder docs/generate, imported as the site's configuration does."""
    sys.path.insert(0, str(DOCS))
    try:
        yield importlib.import_module("generate")
    finally:
        sys.path.remove(str(DOCS))


@pytest.fixture(scope="module")
def pages(generate) -> dict[str, str]:
    return {name: text for part in (generate.operations, generate.reference) for name, text in part.pages()}


@pytest.mark.parametrize(
    "plain, expected",
    [
        ("x * y", r"x \* y"),
        ("|x| and a_b_", r"\|x\| and a\_b\_"),
        ("the `weight * 2`, see `a`", "the ``weight * 2``, see ``a``"),
        ("so `x`s are", r"so ``x``\ s are"),
        ("f(`x`)", "f(``x``)"),
        ("two\n    lines", "two lines"),
    ],
)
def test_inline_text_means_what_it_says(generate, plain, expected):
    assert generate.docstrings.inline(plain) == expected


def test_a_docstring_becomes_paragraphs_sections_and_an_example(generate):
    doc = """One sentence. Source: `torch.f`.

    Args:
        a, b: two things
            of two lines.
        c: another.

    Returns:
        What it is.

    >>> f(1)
    2
    """
    lines = [line for line in generate.docstrings.restructured(doc) if line]
    assert lines == [
        "One sentence.", "*Source:* ``torch.f``.",
        ".. rubric:: Arguments", "   :class: section", "``a``, ``b``", "   two things of two lines.", "``c``", "   another.",
        ".. rubric:: Returns", "   :class: section", "What it is.",
        ".. code-block:: pycon", "   >>> f(1)", "   2",
    ]  # fmt: skip


def test_sources(generate):
    assert generate.docstrings.source_of(mg.add) == "`torch.add`."
    assert generate.docstrings.source_of(mg.Tensor) == "`torch.Tensor`"
    assert "Attention Is All You Need" in generate.docstrings.source_of(mg.nn.MultiheadAttention)
    assert generate.docstrings.summary(mg.add) == "Sum `input + alpha * other`, broadcasting."


def test_every_name_of_the_surface_is_in_the_table(pages):
    """The table of names holds every function and class that PyTorch's users may ask for; values stand in the reference."""
    table, reference = pages["names.rst"], pages["reference/minigrad.rst"]
    listed = set(re.findall(r"`([\w.]+) <(minigrad[\w.]*)>`", table))
    missing = []
    for places in SURFACE.values():
        for where, names in places.items():
            if where == "Tensor":
                continue  # mostly functions under a second name
            for name in names.split():
                home = f"minigrad.{where}".rstrip(".")
                path = f"{home}.{name}"
                found = getattr(importlib.import_module("minigrad"), name, None) if not where else None
                is_value = not where and not callable(found) and found is not None
                if (name, path) not in listed and not is_value and path not in reference and path not in pages_of(pages):
                    missing.append(path)
    assert missing == []


def pages_of(pages: dict[str, str]) -> set[str]:
    """Modules that have a page."""
    return {name.removeprefix("reference/").removesuffix(".rst") for name in pages}


def test_every_operation_is_in_the_table(pages):
    table = pages["operations.rst"]
    rows = set(re.findall(r"^   \* - (?::py:obj:`|``)([\w.]+)", table, re.M))
    assert {name for name in REGISTRY if not name.startswith("test")} - rows == set()
    assert set(COMPOSITIONS) - rows == set()


def test_a_row_says_what_the_rules_say(pages):
    row = pages["operations.rst"].partition("`mul <minigrad.mul>`")[2].partition("   * - ")[0]
    assert "``input * other``" in row and "``g * other``" in row and "``g * input``" in row


def test_lessons_have_their_heads(generate):
    found = dict(generate.lessons.pages(DOCS.parent))
    table = found["lessons/index.md"]
    assert isinstance(table, str)
    for name in found:
        if name.endswith(".py"):
            (row,) = [line for line in table.splitlines() if f"({Path(name).name})" in line]
            assert re.match(r"\| \[\d+ · \S.*\]\(.*\) \| \S.* \| \d+ \|$", row), row


def test_a_benchmark_page_without_results_says_so(generate, tmp_path):
    ((name, text),) = generate.benchmarks.pages(tmp_path)
    assert name == "benchmarks.md" and "no results" in text
    (tmp_path / "other.json").write_text(json.dumps({"of another": "script"}))
    assert "no results" in dict(generate.benchmarks.pages(tmp_path))["benchmarks.md"]


def test_unchanged_pages_keep_their_time(generate, tmp_path, monkeypatch):
    monkeypatch.setattr(generate, "_all", lambda root: iter([("a.md", "one"), ("b/c.md", "two")]))
    generate.pages(DOCS.parent, tmp_path)
    (tmp_path / "old.md").write_text("gone")
    before = (tmp_path / "a.md").stat().st_mtime_ns
    monkeypatch.setattr(generate, "_all", lambda root: iter([("a.md", "one"), ("b/c.md", "three")]))
    generate.pages(DOCS.parent, tmp_path)
    assert (tmp_path / "a.md").stat().st_mtime_ns == before
    assert (tmp_path / "b/c.md").read_text() == "three" and not (tmp_path / "old.md").exists()


GUIDES = [*DOCS.glob("*.md"), *DOCS.glob("guides/*.md")]


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_what_guides_tell_to_type_exists(page):
    """Commands of minigrad, targets of make, extras of pip, files of the tree."""
    from minigrad import cli

    text, root = page.read_text(), DOCS.parent
    commands = next(a for a in cli._parser()._actions if a.choices and "train" in a.choices).choices or {}
    extras = set(re.findall(r"^([a-z]+) = \[", (root / "pyproject.toml").read_text(), re.M))
    targets = set(re.findall(r"^([\w-]+):", (root / "Makefile").read_text(), re.M))
    typed = "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)) + "\n".join(re.findall(r"`([^`\n]+)`", text))
    missing = [f"minigrad {word}" for word in re.findall(r"\bminigrad ([a-z]+)\b", typed) if word not in {*commands, "as"}]
    missing += [f"make {word}" for word in re.findall(r"\bmake ([a-z-]+)", typed) if word not in targets]
    missing += [f"[{name}]" for names in re.findall(r"\.\[([a-z,]+)\]'", text) for name in names.split(",") if name not in extras]
    paths = [path for path in re.findall(r"`([a-z]+/[\w./]+)`", text) if not path.startswith(("docs/build", "docs/generated"))]
    missing += [path for path in paths if not (root / path.replace("NAME", "softmax")).exists()]
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text)]
    missing += [link for link in links if not link.startswith(("http", "generated", "../generated")) and not (page.parent / link).exists()]
    assert missing == []
