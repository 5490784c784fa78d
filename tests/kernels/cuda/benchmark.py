"""The script benchmarks/kernels.py as a module: it says what must hold, and of which shapes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any


def _load() -> Any:
    spec = importlib.util.spec_from_file_location("counted_kernels", Path(__file__).parents[3] / "benchmarks" / "kernels.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


script = _load()
