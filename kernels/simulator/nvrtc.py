"""Compiles CUDA C++ with NVRTC from pip: no driver, no card, no CUDA toolkit. What was compiled is kept on disk."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path

from . import host
from .errors import CompileError, MissingTool

ARCHITECTURES = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120")


def pip_file(package: str, pattern: str) -> Path:
    """A file that one of NVIDIA's packages brings.

    Raises:
        MissingTool: if it is not installed.
    """
    spec = importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations or [] if spec else []:
        if found := sorted(Path(folder).glob(f"*/{pattern}")):
            return found[-1]
    raise MissingTool(f"{package} is not installed: pip install 'minigrad[sim]'")


@functools.cache
def _library() -> ctypes.CDLL:
    try:
        loaded = ctypes.CDLL(str(pip_file("nvidia-cuda-nvrtc", "lib/libnvrtc.so.*[0-9]")))
    except OSError as error:
        raise MissingTool(f"NVRTC cannot be loaded ({error}): pip install --force-reinstall nvidia-cuda-nvrtc") from None
    loaded.nvrtcGetErrorString.restype = ctypes.c_char_p
    return loaded


@functools.cache
def version() -> tuple[int, int]:
    """The version of NVRTC. Raises MissingTool where there is none."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    _library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return major.value, minor.value


def available() -> bool:
    """Whether NVRTC is there."""
    try:
        version()
    except MissingTool:
        return False
    return True


def ptx(source: str, arch: str = "sm_80", options: Sequence[str] = (), name: str = "kernel.cu") -> str:
    """The PTX of a CUDA source, with the line of the source at every instruction.

    Raises:
        CompileError: with NVRTC's own words, if the source is wrong.
        MissingTool: if NVRTC is not there.
    """
    flags = [f"--gpu-architecture=compute_{_number(arch)}", "--std=c++17", "-lineinfo", *options]
    key = host.digest(str(version()), source, name, *flags)
    return host.cached(f"{key}.ptx", lambda: _compile(source, name, flags, "PTX")[0]).decode().rstrip("\0")


def cubin(source: str, arch: str = "sm_80", options: Sequence[str] = (), name: str = "kernel.cu") -> tuple[bytes, str]:
    """The machine code of a CUDA source, and what ptxas says of each kernel's registers, spills and memory."""
    flags = [f"--gpu-architecture=sm_{_number(arch)}", "--std=c++17", "-lineinfo"]
    flags += ["--ptxas-options=-v", "--ptxas-options=-warn-spills", *options]
    key = host.digest(str(version()), source, name, *flags)

    def make() -> bytes:
        code, log = _compile(source, name, flags, "CUBIN")
        return json.dumps(log).encode() + b"\n" + code

    log, _, code = host.cached(f"{key}.cubin", make).partition(b"\n")
    return code, json.loads(log)


def _number(arch: str) -> str:
    if arch not in ARCHITECTURES and arch.rstrip("af") not in ARCHITECTURES:
        raise CompileError(f"the architecture must be one of {', '.join(ARCHITECTURES)}, not {arch!r}")
    return arch.removeprefix("sm_")


def _compile(source: str, name: str, flags: Sequence[str], kind: str) -> tuple[bytes, str]:
    nvrtc, program = _library(), ctypes.c_void_p()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), name.encode(), 0, None, None)
    try:
        array = (ctypes.c_char_p * len(flags))(*(flag.encode() for flag in flags))
        failed = nvrtc.nvrtcCompileProgram(program, len(flags), array)
        log = _get(program, "ProgramLog").decode(errors="replace").rstrip("\0\n")
        if failed:
            raise CompileError(f"{name}: {nvrtc.nvrtcGetErrorString(failed).decode()}\n{log}")
        return _get(program, kind), log
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _get(program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    getattr(_library(), f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    getattr(_library(), f"nvrtcGet{what}")(program, buffer)
    return buffer.raw
