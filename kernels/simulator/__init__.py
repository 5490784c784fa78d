"""Runs and inspects the CUDA kernels on a machine that has no GPU.

What lives here: compiling with NVRTC, running the result on the CPU with every load and store checked, counting what
each line costs. What does not: the kernels (../cuda), and milliseconds: what comes from here is called "counted", and
times come from a real card only.

    module = compile(source, arch="sm_80")
    result = module.get("softmax_v2").launch((4,), (128,), (x, y, np.int32(16)), mode="checked")
    result.findings                        # [] if nothing is wrong, else sentences
    result.counts.totals().efficiency      # the share of the fetched bytes that was needed
"""

from __future__ import annotations

from collections.abc import Sequence

from . import nvrtc
from .errors import CompileError, KernelFault, LaunchError, MissingTool, UnsupportedPTX
from .findings import Finding
from .launch import Module, Pointer, Result

__all__ = [
    "CompileError", "Finding", "KernelFault", "LaunchError", "MissingTool", "Module", "Pointer", "Result", "UnsupportedPTX",
    "compile", "from_ptx",
]  # fmt: skip


def compile(source: str, arch: str = "sm_80", options: Sequence[str] = (), name: str = "kernel.cu") -> Module:
    """Compile CUDA C++ that includes no header, with NVRTC.

    Args:
        source: the text; its kernels are `extern "C" __global__`.
        arch: one of nvrtc.ARCHITECTURES.
        options: for NVRTC, as "-DTILE=64".
        name: of the source in messages.

    Raises:
        CompileError: with NVRTC's own words, if the source is wrong.
        MissingTool: if NVRTC is not there.
    """
    return Module(nvrtc.ptx(source, arch, options, name), source, name, options)


def from_ptx(text: str, source: str | None = None, name: str = "kernel.cu") -> Module:
    """A module from PTX that is already there, as a file made elsewhere or a text that was changed."""
    return Module(text, source, name)
