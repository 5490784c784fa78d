"""Runs what is declared in kernels/cuda: every step on every case, in three orders, against its reference."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numpy as np

from ..cuda import launcher
from ..ladder import Case, Ladder, Step
from .errors import KernelFault, LaunchError, UnsupportedPTX
from .findings import Finding
from .launch import ORDERS, Module, Result
from .stored import ARCH, module

GAP = 4096  # bytes between the arrays of a run, so that what leaves one array does not land in the next


@dataclass(frozen=True)
class Record:
    """One launch of a step: the kernel, its geometry, what came of it."""

    kernel: Any
    how: Any
    result: Result


@dataclass
class Runner:
    """Takes the place of `launcher.launch` in a step, and launches in the simulator.

    Args:
        mode, order: as `Kernel.launch` has them.
        arch: for which the kernels are compiled.
        memory: arrays that kernels may reach through tables of pointers.
        modules: gives the module of a source file and an architecture; `stored.module` if None.
    """

    mode: str = "checked"
    order: str = "ascending"
    arch: str = ARCH
    memory: list[Any] = field(default_factory=list)
    modules: Callable[[str, str], Module] | None = None
    records: list[Record] = field(default_factory=list)

    def __call__(self, kernel: Any, args: tuple, **sizes: int) -> None:
        """Launch a kernel on NumPy arrays."""
        given, how = launcher.arguments(kernel, args), kernel.geometry(**sizes)
        if 0 in how.grid:
            return
        launcher.check_geometry(kernel, how)
        function = (self.modules or module)(kernel.file, self.arch).get(kernel.name)
        result = function.launch(how.grid, how.block, given, how.shared, self.mode, self.order, self.memory)
        self.records.append(Record(kernel, how, result))

    @property
    def findings(self) -> list[Finding]:
        """Of all launches."""
        return [finding for record in self.records for finding in record.result.findings]


def run(ladder: Ladder, step: Step, case: Case, runner: Runner) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run a step on fresh inputs; its outputs and what they should be."""
    inputs = ladder.inputs(np.random.default_rng(len(str(dict(case)))), **case)
    want = ladder.reference(case, **{name: _each(np.copy, value) for name, value in inputs.items()})
    inputs = {name: _each(_alone, value) for name, value in inputs.items()}
    arrays = [value for value in inputs.values() if isinstance(value, np.ndarray)]
    arrays += [item for value in inputs.values() if isinstance(value, (list, tuple)) for item in value]
    runner.memory = [array for array in arrays if isinstance(array, np.ndarray)]
    with _nothing_left_over():
        got = step.run(runner, case, **inputs)
    return got, want


def _each(change: Callable[[np.ndarray], np.ndarray], value: Any) -> Any:
    """An input with its arrays changed: an array, a list of them, or something else, which stays."""
    if isinstance(value, (list, tuple)):
        return type(value)(_each(change, item) for item in value)
    return change(value) if isinstance(value, np.ndarray) else value


def _room(shape: Any, dtype: Any, shift: int = 0) -> np.ndarray:
    """An array of NaN with a GAP on either side, `shift` bytes behind a sector's beginning as counts.py sees it."""
    count = int(np.prod(shape, dtype=int)) * np.dtype(dtype).itemsize
    raw = np.full(count + 2 * GAP, 0xFF, np.uint8)
    return raw[GAP + shift : GAP + shift + count].view(dtype).reshape(shape)


def _alone(array: np.ndarray) -> np.ndarray:
    """The same numbers at such a place, no better aligned than they were."""
    moved = _room(array.shape, array.dtype, array.ctypes.data % 16)
    moved[...] = array
    return moved


@contextlib.contextmanager
def _nothing_left_over() -> Iterator[None]:
    """Fresh arrays lie apart and hold NaN, lest what an earlier run left there pass for what a kernel should have written."""

    def zeros(shape: Any, dtype: Any = float) -> np.ndarray:
        array = _room(shape, dtype)
        array[...] = 0
        return array

    empty = lambda shape, dtype=float: _room(shape, dtype)
    like = lambda array, dtype=None: _room(array.shape, dtype or array.dtype)
    with mock.patch.multiple(np, empty=empty, empty_like=like, zeros=zeros):
        yield


def difference(ladder: Ladder, got: dict[str, Any], want: dict[str, Any]) -> tuple[float, str]:
    """The largest error of an output in units of what is allowed, and what is wrong in words if that is above 1."""
    worst, text = 0.0, ""
    for name, expected in _flat(want).items():
        value = _flat(got).get(name)
        if value is None or np.shape(value) != np.shape(expected):
            return np.inf, f"{name} is {np.shape(value) if value is not None else 'missing'}, not {np.shape(expected)}"
        value, expected = np.asarray(value, np.float64), np.asarray(expected, np.float64)
        with np.errstate(invalid="ignore"):
            error = np.abs(value - expected) / (ladder.allowed(name.split(".")[0]) * (1 + np.abs(expected)))
        error[(value == expected) | (np.isnan(value) & np.isnan(expected))] = 0
        error[np.isnan(error)] = np.inf
        if error.size and error.max() > worst:
            at = np.unravel_index(error.argmax(), error.shape)
            worst = float(error.max())
            text = f"{name}{[int(k) for k in at]} is {value[at]:.9g}, not {expected[at]:.9g}" if worst > 1 else ""
    return worst, text


def _flat(outputs: dict[str, Any]) -> dict[str, np.ndarray]:
    """Outputs by name; lists of arrays as name.0, name.1, ..."""
    flat: dict[str, np.ndarray] = {}
    for name, value in outputs.items():
        several = isinstance(value, (list, tuple))
        flat |= {f"{name}.{k}": np.asarray(v) for k, v in enumerate(value)} if several else {name: np.asarray(value)}
    return flat


@dataclass
class Report:
    """What checking a step gave."""

    ladder: str
    step: str
    cases: int = 0
    runs: int = 0
    error: float = 0.0  # the largest, in units of what is allowed
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


def check(ladder: Ladder, step: Step, orders: tuple[str, ...] = ORDERS, arch: str = ARCH) -> Report:
    """Run a step on all its cases in all orders, and report the first things that are wrong."""
    report, start = Report(ladder.name, step.name), time.perf_counter()
    cases = [case for case in ladder.cases if step.supports(case)]
    report.cases = len(cases)
    for case in cases:
        for order in orders:
            told = " ".join(f"{key}={value}" for key, value in case.items()) + f", {order}"
            runner = Runner("checked", order, max(arch, step.arch, key=lambda name: int(name[3:])))
            try:
                error, text = difference(ladder, *run(ladder, step, case, runner))
            except (KernelFault, LaunchError, UnsupportedPTX) as problem:
                error, text = np.inf, str(problem)
            report.runs += 1
            report.error = max(report.error, error)
            report.problems += [f"{told}: {text}"] if text else []
            report.problems += [f"{told}: {finding}" for finding in runner.findings]
    report.seconds = time.perf_counter() - start
    return report
