"""MathJax out of the package sphinx-mathjax-offline: the one script and its fonts, 1.6 MB of the 24 in the package."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "sphinx-mathjax-offline"


def files() -> Iterator[tuple[str, Path]]:
    """(where in the site's static files, which file).

    Raises:
        ImportError: the package is not installed.
    """
    try:
        everything = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        raise ImportError(
            f"the site brings its own MathJax, out of the package {PACKAGE}, which is missing: pip install 'minigrad[docs]'"
        ) from None
    for file in everything:
        _, found, name = file.as_posix().partition("/static/mathjax/")
        if found and (name == "tex-mml-chtml.js" or name.startswith("output/chtml/fonts/woff-v2/")):
            yield f"static/mathjax/{name}", Path(str(file.locate()))
