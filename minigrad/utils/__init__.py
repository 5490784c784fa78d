"""Helpers under PyTorch's paths: `minigrad.utils.data` feeds training loops.

Real data sets live in minigrad/datasets, the utilities of layers and parameters in minigrad/nn/utils.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from . import data as data


def require(module: str, extra: str) -> Any:
    """Import a module of an optional package.

    Args:
        module: its name.
        extra: which extra of minigrad brings the package.

    Raises:
        ModuleNotFoundError: it is not installed; the message has the line that installs it.

    >>> require("json", "train").dumps([1])
    '[1]'
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == package
        problem = "which is not installed" if missing else f"which does not import ({error})"
        raise ModuleNotFoundError(
            f"this needs the package {package}, {problem}: pip install 'minigrad[{extra}]'", name=package
        ) from None


@contextmanager
def blas_threads(count: int) -> Iterator[bool]:
    """Let NumPy compute matrix products with so many threads, for a block.

    On a machine that has other work to do, OpenBLAS's threads wait for each other at full speed: a step of a small GPT
    on two busy cores was four times as slow with two threads as with one. On two idle cores it was hardly faster.

    Args:
        count: number of threads.

    Returns:
        Whether it took effect: NumPy has OpenBLAS inside almost everywhere, but not on every Mac.

    >>> with blas_threads(1):
    ...     float(np.ones(3) @ np.ones(3))
    3.0
    """
    library = _openblas()
    before = library[0]() if library else 0
    if library:
        library[1](count)
    try:
        yield library is not None
    finally:
        if library:
            library[1](before)


def _openblas() -> tuple[Any, Any] | None:
    """Its functions that get and set the number of threads."""
    site = Path(np.__file__).parents[1]
    for path in [*site.glob("numpy.libs/*openblas*"), *site.glob("numpy/.dylibs/*openblas*")]:
        library = ctypes.CDLL(str(path))
        for name in ("scipy_openblas_{}_num_threads64_", "openblas_{}_num_threads64_", "openblas_{}_num_threads"):
            if hasattr(library, name.format("set")):
                return library[name.format("get")], library[name.format("set")]
    return None
