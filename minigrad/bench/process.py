"""The other end of worker.py: start a process that measures, ask it things, and end it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

_WORKER = Path(__file__).parent / "worker.py"
_ROOT = str(Path(__file__).parents[2])
_PATIENCE = 600.0  # seconds to wait for an answer: a first step may compile for a minute
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def compiler() -> str | None:
    """A clang, which tinygrad compiles with: the plain one, else the newest."""
    found = [name for name in ["clang", *(f"clang-{version}" for version in range(30, 12, -1))] if shutil.which(name)]
    return found[0] if found else None


class WorkerError(RuntimeError):
    """A process that measures could not do what it was asked."""


class Worker:
    """A process that runs one workload with one library.

    Args:
        contender: "minigrad", "torch", "torch best", or the name of another library.
        threads: how many it may use. All the variables that a library reads are set, whatever they are set to here.
        numba, mkl: False hides them from minigrad.

    Raises:
        WorkerError: from any method, with what the process said.
    """

    def __init__(self, contender: str, threads: int, numba: bool = True, mkl: bool = True) -> None:
        self.contender, self.threads = contender, threads
        self.hiding = {"numba": numba or contender != "minigrad", "mkl": mkl or contender != "minigrad"}
        environment = {**os.environ, **dict.fromkeys(_THREADS, str(threads)), "PYTHONHASHSEED": "0"}
        environment.pop("PYTHONPATH", None)
        if contender == "tinygrad" and (clang := compiler()):
            environment["CC"] = clang
        self.said = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed with the process)
        self.process = subprocess.Popen(
            [sys.executable, str(_WORKER)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.said, env=environment, text=True,
        )  # fmt: skip

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: Any) -> None:
        with contextlib.suppress(OSError):
            self.process.stdin.close()  # type: ignore[union-attr]
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()  # type: ignore[union-attr]
        self.said.close()

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """One request, and the answer to it."""
        late = threading.Timer(_PATIENCE, self.process.kill)
        late.start()
        try:
            assert self.process.stdin is not None and self.process.stdout is not None
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write(json.dumps({"do": do, **request}) + "\n")
                self.process.stdin.flush()
            line = self.process.stdout.readline()
        finally:
            late.cancel()
        if not line:
            raise WorkerError(f"{self.contender}: the process ended ({self.process.wait()}): {self.last_words()}")
        reply = json.loads(line)
        if "error" in reply:
            raise WorkerError(f"{self.contender}: {reply['error']}")
        return reply

    def train(self, workload: str) -> dict[str, Any]:
        """Make a workload and run its first steps."""
        request = {"workload": workload, "threads": self.threads, "root": _ROOT, **self.hiding}
        return self.ask("train", contender=self.contender, **request)

    def operations(self) -> None:
        """Make ready for operations."""
        self.ask("operations", contender=self.contender, threads=self.threads, root=_ROOT, **self.hiding)

    def last_words(self) -> str:
        """The last line that the process wrote to stderr."""
        self.said.seek(0)
        lines = [line for line in self.said.read().splitlines() if line.strip()]
        return lines[-1] if lines else "it said nothing"
