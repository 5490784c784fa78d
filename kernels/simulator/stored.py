"""The PTX of the kernels, kept as test data, so that they also run where NVRTC is not: a C++ compiler is enough.

`minigrad kernels ptx` writes it anew. A file holds the digest of the source it was made from, so that one which is out
of date is never mistaken for the kernel.
"""

from __future__ import annotations

import functools
import lzma
import os
import re
from pathlib import Path

from . import host, nvrtc
from .errors import MissingTool
from .launch import Module

ARCH = "sm_80"


def folder() -> Path:
    """Where it lies: $MINIGRAD_PTX, or tests/kernels/ptx of a clone."""
    return Path(os.environ.get("MINIGRAD_PTX") or Path(__file__).parents[2] / "tests" / "kernels" / "ptx")


def path(file: str, arch: str = ARCH) -> Path:
    """Where the PTX of a source file lies."""
    return folder() / f"{Path(file).stem}.{arch}.ptx.xz"


def write(file: str, arch: str = ARCH) -> Path:
    """Compile a source of kernels/cuda and keep its PTX."""
    text = nvrtc.ptx(_source(file), arch, (), file)
    text = re.sub(r"\n\s*\.section.*", "\n", text, flags=re.S)  # what debuggers read
    text = re.sub(r"(\.loc\s+\d+ \d+ \d+),[^\n]*", r"\1", text)
    content = f"// source {host.digest(_source(file))}\n{text}".encode()
    host.store(path(file, arch), lzma.compress(content, preset=9))
    return path(file, arch)


def stale(file: str, arch: str = ARCH) -> bool:
    """Whether the kept PTX is not there or was made from another text than the source is now."""
    try:
        first = lzma.decompress(path(file, arch).read_bytes()).split(b"\n", 1)[0].decode()
    except FileNotFoundError:
        return True
    return first != f"// source {host.digest(_source(file))}"


@functools.lru_cache(64)
def module(file: str, arch: str = ARCH) -> Module:
    """The kernels of a source of kernels/cuda: compiled if NVRTC is there, from the kept PTX if not.

    Raises:
        MissingTool: if NVRTC is not there, and neither is PTX of this source.
    """
    if nvrtc.available():
        return Module(nvrtc.ptx(_source(file), arch, (), file), _source(file), file)
    if stale(file, arch):
        raise MissingTool(f"compiling {file} for {arch} needs NVRTC: pip install 'minigrad[sim]'")
    return Module(read(file, arch), _source(file), file)


def read(file: str, arch: str = ARCH) -> str:
    """The PTX that is kept of a source file."""
    return lzma.decompress(path(file, arch).read_bytes()).decode()


def _source(file: str) -> str:
    return (Path(__file__).parents[1] / "cuda" / file).read_text(encoding="utf-8")
