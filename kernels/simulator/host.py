"""Builds the C++ runtime once for this machine, and keeps what was built or compiled in the user's cache folder."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from .errors import CompileError, MissingTool

RUNTIME = Path(__file__).parent / "runtime"
FLAGS = ("-std=c++20", "-O3", "-fPIC", "-ffp-contract=off", "-fno-math-errno", "-pthread", "-U_FORTIFY_SOURCE")


def cache_folder() -> Path:
    """Where results are kept: $MINIGRAD_CACHE, or `minigrad` in the system's folder for caches."""
    if chosen := os.environ.get("MINIGRAD_CACHE"):
        return Path(chosen) / "kernels"
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "minigrad" / "kernels"


def cached(name: str, make: Callable[[], bytes]) -> bytes:
    """The bytes of a file in the cache, made if it is not there. A cache that cannot be written is done without."""
    path = cache_folder() / name
    with contextlib.suppress(OSError):
        return path.read_bytes()
    content = make()
    with contextlib.suppress(OSError):
        store(path, content)
    return content


def store(path: Path, content: bytes) -> None:
    """Write a file so that others see all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o755 if path.suffix == ".so" else 0o644)
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise


def digest(*parts: str | bytes) -> str:
    """A name for content: equal for equal parts only."""
    hashed = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        hashed.update(len(data).to_bytes(8, "little") + data)
    return hashed.hexdigest()[:24]


def compiler() -> str:
    """The C++ compiler: $CXX, g++ or clang++."""
    for name in (os.environ.get("CXX"), "g++", "clang++", "c++"):
        if name and shutil.which(name):
            return name
    hint = "xcode-select --install" if sys.platform == "darwin" else "apt install g++"
    raise MissingTool(f"running CUDA kernels without a GPU needs a C++ compiler, and neither g++ nor clang++ is there: {hint}")


def _processor() -> str:
    """What the machine code may depend on: a cache folder may be shared by machines that differ."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return platform.processor()


@functools.cache
def library() -> ctypes.CDLL:
    """The runtime, built on first use (some 20 seconds) and read from the cache after that.

    Raises:
        MissingTool: if there is no C++ compiler.
        CompileError: if it refuses the runtime.
    """
    sources = sorted(RUNTIME.glob("*.[ch]*"))
    content = [source.read_bytes() for source in sources]
    name = f"runtime-{digest(platform.machine(), _processor(), *FLAGS, *content)}.so"
    path = cache_folder() / name
    with contextlib.suppress(OSError):
        return _load(path)
    with tempfile.TemporaryDirectory() as folder:
        built = _build([source for source in sources if source.suffix == ".cpp"], Path(folder))
        with contextlib.suppress(OSError):
            store(path, built.read_bytes())
        return _load(path if path.exists() else built)


def _load(path: Path) -> ctypes.CDLL:
    loaded = ctypes.CDLL(str(path))
    loaded.sim_opcode.restype = ctypes.c_char_p
    loaded.sim_program.restype = ctypes.c_void_p
    loaded.sim_forget.argtypes = [ctypes.c_void_p]
    return loaded


def _build(sources: list[Path], folder: Path) -> Path:
    """Compile the sources side by side, and link them."""
    tool, objects = compiler(), [folder / f"{source.stem}.o" for source in sources]
    waiting = list(zip(sources, objects))
    for native in (["-march=native"], []):  # not every compiler knows it on every machine
        running: list[subprocess.Popen] = []
        errors = []
        for source, target in waiting:
            if len(running) >= (os.cpu_count() or 1):
                errors.append(running.pop(0).communicate()[1])
            command = [tool, *FLAGS, *native, "-c", str(source), "-o", str(target)]
            running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
        errors += [process.communicate()[1] for process in running]
        if all(target.exists() for target in objects):
            break
    else:
        raise CompileError(f"{tool} could not compile the simulator: {''.join(errors)[:2000]}")
    built = folder / "runtime.so"
    link = [tool, "-shared", "-pthread", *map(str, objects), "-o", str(built)]
    run = subprocess.run(link, capture_output=True, text=True)
    if run.returncode:
        raise CompileError(f"{tool} could not link the simulator: {run.stderr[:2000]}")
    return built


@functools.cache
def opcodes() -> dict[str, int]:
    """The names of all operations that the runtime can do, and their numbers."""
    names: dict[str, int] = {}
    while name := library().sim_opcode(len(names)):
        if name.decode() in names:
            raise CompileError(f"the runtime has two operations called {name.decode()}")
        names[name.decode()] = len(names)
    return names
