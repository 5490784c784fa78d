"""Helpers under PyTorch's paths: `minigrad.utils.data` feeds training loops.

Real data sets live in minigrad/datasets, the utilities of layers and parameters in minigrad/nn/utils.
"""

from __future__ import annotations

import importlib
from typing import Any

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
