"""The process in which one workload runs with one library. It is run as a file, and told what to do by process.py.

Each line that it reads is a request in JSON, each line that it writes an answer. What a library prints goes to stderr.
This file and those that it loads import nothing of minigrad, but where minigrad is what they measure: it changes how
memory is handed out, and that would be measured with the other library.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

FIRST = 5  # losses that two libraries must agree on
AFTER = 3  # steps after those, before anything is measured
FEWEST = 4  # steps in a turn

here = Path(__file__).parent


def load(name: str) -> ModuleType:
    """A module of this folder, without the package around it."""
    spec = importlib.util.spec_from_file_location(f"bench_{name}", here / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def forbid(numba: bool, mkl: bool) -> None:
    """Do without numba or MKL, as if they were not installed."""
    if not numba:
        sys.modules["numba"] = None  # type: ignore[assignment]  # whoever imports it gets an ImportError
    if not mkl:
        load_library = ctypes.CDLL.__init__

        def refuse(self: Any, name: Any, *args: Any, **kwargs: Any) -> None:
            if name is not None and "mkl" in os.path.basename(os.fspath(name)):
                raise OSError(f"{name}: switched off for this benchmark")
            load_library(self, name, *args, **kwargs)

        ctypes.CDLL.__init__ = refuse  # type: ignore[method-assign]


def memory() -> tuple[float, float]:
    """What this process holds, and what it held at most, in MB.

    Not from `getrusage`: that starts with what the process held that started this one.
    """
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return tuple(int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))  # type: ignore[return-value]
    except (OSError, KeyError):
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return 0.0, most / 2**20 if sys.platform == "darwin" else most / 1024


def library(name: str, threads: int, root: str) -> Any:
    """torch or minigrad, on so many threads; root is where minigrad is imported from."""
    if name == "minigrad":
        sys.path.insert(0, root)
    module = importlib.import_module(name)
    if hasattr(module, "set_num_threads"):
        module.set_num_threads(threads)
    return module


def restrict(threads: int) -> None:
    """Stay on so many cores: for libraries that take what they find."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def uses() -> str:
    """Which pool of threads and which BLAS minigrad's kernels took; nothing if none of them ran."""
    if sys.modules.get("numba") is None or "minigrad" not in sys.modules:
        return ""
    with contextlib.suppress(ImportError, AttributeError):
        pool, blas = (importlib.import_module(f"minigrad.kernels.cpu.{name}") for name in ("jit", "blas"))
        return f"{pool.layer()}, {blas.blas().name}"
    return ""


class Training:
    """One training step, again and again."""

    def __init__(self, contender: str, workload: str, threads: int, root: str) -> None:
        name, _, best = contender.partition(" ")
        if name in ("minigrad", "torch"):
            module = library(name, threads, root)
            self.imported = memory()[0]
            make = lambda: load("workloads").WORKLOADS[workload].make(module, best == "best")
        else:
            restrict(threads)
            module = importlib.import_module(name)
            self.imported = memory()[0]
            make = lambda: load("peers").make(name, workload)
        self.version = getattr(module, "__version__", "")
        start = time.perf_counter()
        self.step: Callable[[], float] = make()
        self.losses = [self.step()]
        self.first = time.perf_counter() - start  # compiling included
        self.losses += [self.step() for _ in range(FIRST - 1)]
        for _ in range(AFTER):
            self.step()

    def opening(self) -> dict[str, Any]:
        """What is known before anything is measured."""
        return {"losses": self.losses, "first": self.first, "imported_mb": self.imported, "version": self.version}

    def turn(self, seconds: float) -> dict[str, Any]:
        """Train for so many seconds; the time of each step, and the processor time of all of them."""
        step, clock = self.step, time.perf_counter
        times: list[float] = []
        processor, start = time.process_time(), clock()
        while len(times) < FEWEST or clock() - start < seconds:
            before = clock()
            step()
            times.append(clock() - before)
        return {"times": times, "wall": clock() - start, "processor": time.process_time() - processor}


def answer(request: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked for."""
    kind = request.pop("do")
    if kind == "train":
        forbid(request.pop("numba"), request.pop("mkl"))
        state["job"] = Training(**request)
        return state["job"].opening()
    if kind == "operations":
        forbid(request.pop("numba"), request.pop("mkl"))
        name, threads = request["contender"], request["threads"]
        state["job"] = load("operations").Operations(library(name, threads, request["root"]))
        return {}
    if kind == "machine":
        return load("operations").machine(request["threads"])
    if kind == "end":
        peak = memory()[1]
        modules = sorted({name.partition(".")[0] for name, module in sys.modules.items() if module is not None})
        return {"peak_mb": peak, "uses": uses(), "modules": modules}
    return getattr(state["job"], kind)(**request)


def main() -> None:
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    state: dict[str, Any] = {}
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line), state)
        except Exception as error:
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}
        print(json.dumps(reply), file=channel, flush=True)


if __name__ == "__main__":
    sys.path.remove(str(here))  # put there by Python for the file that it runs; our names must not hide others
    main()
