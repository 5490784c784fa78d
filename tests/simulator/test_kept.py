"""The PTX that is kept for machines without NVRTC is that of the sources as they are now."""

from __future__ import annotations

import pytest
from minigrad.kernels.ladder import ladders
from minigrad.kernels.simulator import from_ptx, nvrtc, stored

FILES = sorted({kernel.file for ladder in ladders().values() for step in ladder.steps for kernel in step.kernels})


@pytest.mark.parametrize("file", FILES)
def test_kept_ptx_is_of_today(file: str):
    if not nvrtc.available():
        pytest.skip("NVRTC is not installed: pip install 'minigrad[sim]'")
    assert not stored.stale(file), f"{file} has changed since its PTX was kept: run `minigrad kernels ptx`"


@pytest.mark.parametrize("file", FILES)
def test_kept_ptx_has_every_kernel(file: str):
    if stored.stale(file):
        pytest.skip(f"{file} has changed since its PTX was kept")
    names = {k.name for ladder in ladders().values() for step in ladder.steps for k in step.kernels if k.file == file}
    assert names <= set(from_ptx(stored.read(file)).names)
