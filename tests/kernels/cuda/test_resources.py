"""What the compiler makes of the CUDA kernels on each architecture: no warnings, no spills, and hot loops that multiply."""

from __future__ import annotations

import math

import pytest
from minigrad.kernels.cuda import im2col, launcher, matmul, matmul_tf32
from minigrad.kernels.ladder import ladders
from minigrad.kernels.simulator import machine_code, nvrtc

ARCHITECTURES = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90")
FILES = sorted({(ladder.file, ladder.step().arch) for ladder in ladders().values()})
pytestmark = pytest.mark.skipif(not nvrtc.available(), reason="needs NVRTC: pip install 'minigrad[sim]'")

# Kernels that wait for memory, and what starts them: at least half of a multiprocessor's threads must be there.
WAITING = {
    "softmax": {"rows": 4096, "cols": 1024}, "softmax_backward": {"rows": 4096, "cols": 4096},
    "layer_norm": {"rows": 16384, "cols": 768}, "gelu": {"n": 10**6}, "gelu_backward": {"n": 10**6},
    "cross_entropy": {"rows": 4096, "cols": 1024}, "adam": {"blocks": 1000}, "dropout": {"n": 10**6},
    "layer_norm_backward": {"rows": 8192, "cols": 768}, "embedding_backward": {"tokens": 4096, "cols": 768},
    "im2col": {"pixels": 1024, "bands": 1, "rows": 64, "batch": 8, "numbers": im2col.STAGED}, "col2im": {"pixels": 1024, "rows": 64, "batch": 8, "fours": 28},
}  # fmt: skip


def resources(file: str, kernel: str, arch: str, threads: int = 256, shared: int = 0) -> machine_code.Resources:
    return machine_code.resources(launcher.source(file), kernel, arch, threads, shared, (), file)


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize(("file", "oldest"), FILES)
def test_nothing_spills(file: str, oldest: str, arch: str) -> None:
    if arch < oldest:
        pytest.skip(f"{file} is for {oldest} and newer")
    for kernel in launcher.signatures(file):
        used = resources(file, kernel, arch)
        assert not used.warnings, used.warnings
        assert (used.spill_stores, used.spill_loads, used.stack, used.loop.get("local", 0)) == (0, 0, 0, 0), kernel


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("name", WAITING)
def test_kernels_that_wait_for_memory_fill_half_a_multiprocessor(name: str, arch: str) -> None:
    for kernel in ladders()[name].step().kernels:
        sizes = kernel.geometry.__code__.co_varnames[: kernel.geometry.__code__.co_argcount]
        how = kernel.geometry(**{size: WAITING[name][size] for size in sizes if size in WAITING[name]})
        used = resources(kernel.file, kernel.name, arch, math.prod(how.block), how.shared)
        assert used.occupancy >= 0.5, f"{kernel.name}: {used.registers} registers, {used.occupancy:.0%}"


@pytest.mark.parametrize(("arch", "share"), [("sm_75", 0.87), ("sm_80", 0.87), ("sm_86", 0.87), ("sm_89", 0.87), ("sm_90", 0.86)])
@pytest.mark.parametrize("layout", ["nn", "nt", "tn"])
def test_matmul_multiplies(layout: str, arch: str, share: float) -> None:
    used = resources("matmul.cu", matmul.V6[layout].name, arch)
    assert used.ffma_share >= share and used.ffma_per_lds >= 16
    assert used.registers <= 128 and used.blocks >= 2


@pytest.mark.parametrize("arch", ["sm_80", "sm_86", "sm_89", "sm_90"])
@pytest.mark.parametrize("layout", ["nn", "nt", "tn"])
def test_tensor_cores_are_busy(layout: str, arch: str) -> None:
    used = resources("matmul_tf32.cu", matmul_tf32.KERNELS[layout].name, arch)
    assert used.mma_share >= 0.22
