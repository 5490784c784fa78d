"""The pages of the site that nobody writes: the reference, the tables, the benchmarks, the lessons' place in the site.

What lives here: programs that turn docstrings, the registry of operations and measured results into pages below
docs/generated/. What does not: text, which stands in docs/*.md, docs/guides/ and tutorials/, or in docstrings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from . import benchmarks, lessons, mathjax, operations, reference

SOURCES = ("minigrad/**/*.py", "kernels/**/*.*", "tutorials/**/*.py", "docs/generate/*.py")


def pages(root: Path, out: Path) -> None:
    """Write all generated pages; files that stay as they are keep their time, so that Sphinx reads only what is new.

    Args:
        root: the tree.
        out: the folder of generated pages. Whatever else lies in it goes.
    """
    wanted = dict(_all(root))
    for file in out.rglob("*"):
        if file.is_file() and file.relative_to(out).as_posix() not in wanted:
            file.unlink()
    for name, content in wanted.items():
        file = out / name
        data = content.encode() if isinstance(content, str) else content if isinstance(content, bytes) else content.read_bytes()
        if not file.exists() or file.read_bytes() != data:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)


def _all(root: Path) -> Iterator[tuple[str, str | bytes | Path]]:
    yield from reference.pages()
    yield from operations.pages()
    yield from benchmarks.pages(root / "benchmarks" / "results")
    yield from lessons.pages(root)
    yield from mathjax.files()


def fingerprint(root: Path) -> str:
    """Of all sources that are documented or run: if it changes, so may every page."""
    digest = hashlib.sha256()
    for pattern in SOURCES:
        for file in sorted(root.glob(pattern)):
            if "__pycache__" not in file.parts and file.is_file():
                digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
