"""Tests of the CUDA side on machines without a GPU: tier one, the stand-in; tier two, see test_real_arrays.py."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest

from . import standin


@pytest.fixture
def cupy() -> Iterator[ModuleType]:
    """The stand-in, installed as `cupy`."""
    with standin.installed() as module:
        yield module
