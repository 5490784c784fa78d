"""That the stand-in and CuPy agree about what there is: names, parameters, dtypes, refusals."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from . import interface, standin
from .standin.runtime import STATE

ROOT = Path(__file__).parents[2]
KNOWN = json.loads(interface.FILE.read_text())


def test_cupy_has_what_we_use() -> None:
    """With another version of CuPy: look at what changed, mend it, then write the list anew."""
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed: pip install cupy-cuda13x (it needs no GPU for this)")
    found = interface.read(cupy)
    for part in ("ufuncs", "functions", "methods", "names"):
        assert found[part] == KNOWN[part], part


def test_everything_the_library_calls_is_listed() -> None:
    """Every `xp.name` in the sources is among the names that were held against CuPy."""
    known = {*KNOWN["ufuncs"], *KNOWN["functions"], *KNOWN["names"], *(f"int{n}" for n in (8, 16, 32, 64)), "float64"}
    used: dict[str, str] = {}
    for path in [*ROOT.glob("minigrad/**/*.py"), *ROOT.glob("kernels/cuda/*.py")]:
        for name in re.findall(r"\b(?:xp|cp)\.((?:[a-z_0-9]+\.)*[A-Za-z_0-9]+)", path.read_text()):
            used[name] = path.name
    host_only = {"float", "int"}  # in sentences, not in calls
    unknown = {name: where for name, where in used.items() if name not in known and name not in host_only}
    assert not unknown, "not in cupy_interface.json: see interface.py"
    assert len(used) > 60


def test_the_stand_in_has_the_names(cupy) -> None:
    for name in [*KNOWN["functions"], *KNOWN["names"]]:
        if not name.startswith(("RawModule.", "ndarray.", "cuda.Device.", "cuda.MemoryPool.", "cuda.Stream.", "cuda.Event.")):
            assert interface.find(cupy, name) is not None


HOST, VECTOR = np.ones((2, 3)), np.arange(3)
REFUSED = {
    "NumPy on the right": (lambda cp, a: a + HOST, TypeError, "Unsupported type <class 'numpy.ndarray'>"),
    "NumPy on the left": (lambda cp, a: HOST + a, TypeError, "NotImplemented"),
    "in a function": (lambda cp, a: cp.maximum(a, HOST), TypeError, "Unsupported type"),
    "in a list": (lambda cp, a: cp.concatenate([a, HOST]), TypeError, "Unsupported type"),
    "made a NumPy array": (lambda cp, a: np.asarray(a), TypeError, "Implicit conversion to a NumPy array is not allowed"),
    "a function of NumPy": (lambda cp, a: np.sqrt(HOST, out=a), TypeError, "NotImplemented"),
    "an array of NumPy written": (lambda cp, a: a.__setitem__(Ellipsis, HOST), ValueError, "cannot be used for fill"),
    "a list written": (lambda cp, a: a.__setitem__(0, [1.0, 2.0, 3.0]), ValueError, "cannot be used for fill"),
    "a name it has not": (lambda cp, a: cp.errstate, AttributeError, "errstate"),
    "an argument it has not": (lambda cp, a: cp.max(a, initial=0), TypeError, "initial"),
    "an argument of a method": (lambda cp, a: a.sum(where=True), TypeError, "where"),
    "a method it has not": (lambda cp, a: a.ctypes, AttributeError, "ctypes"),
    "flags it has not": (lambda cp, a: a.flags.writeable, AttributeError, "writeable"),
    "running maxima": (lambda cp, a: cp.maximum.accumulate(a), NotImplementedError, "accumulate"),
    "products at an index": (lambda cp, a: cp.multiply.at(a, (0,), a[0]), NotImplementedError, "at"),
    "adding int64 at an index": (lambda cp, a: cp.add.at(cp.zeros(3, "int64"), cp.arange(3), 1), TypeError, "int64"),
    "largest half at an index": (lambda cp, a: cp.maximum.at(cp.zeros(3, "float16"), cp.arange(3), a[0]), TypeError, "float16"),
    "a dtype that it has no loop for": (lambda cp, a: cp.bitwise_and(a, a), TypeError, "Wrong type"),
    "words": (lambda cp, a: cp.asarray(["a"]), ValueError, "Unsupported dtype"),
    "half in linalg": (lambda cp, a: cp.linalg.inv(cp.eye(2, dtype="float16")), TypeError, "unsupported in linalg"),
    "largest of nothing": (lambda cp, a: cp.max(a[:0]), ValueError, "zero-size array"),
    "another order of sorting": (lambda cp, a: cp.argsort(a, kind="quicksort"), ValueError, "stable"),
    "an index out of bounds": (lambda cp, a: a[cp.asarray([5])], AssertionError, "CuPy would count on"),
    "casting down in place": (lambda cp, a: cp.add(a, a, cp.empty((2, 3), "int32")), TypeError, "coerced"),
    "len of a number": (lambda cp, a: len(a.sum()), TypeError, "unsized"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_cupy_refuses_is_refused(cupy, what: str) -> None:
    call, error, text = REFUSED[what]
    with pytest.raises(error, match=re.escape(text)):
        call(cupy, cupy.asarray(HOST))


def test_results_are_arrays_of_the_device(cupy) -> None:
    a = cupy.asarray(np.arange(6.0).reshape(2, 3))
    for found in (a.sum(), a[0, 0], a.max(), cupy.sqrt(a), a.T @ a, a[:, None], cupy.where(a > 1, a, 0), cupy.add.reduce(a)):
        assert type(found) is cupy.ndarray
    assert a[0].base is a and a.T.base is a and a.reshape(3, 2)[1:].base is a and (a + 1).base is None
    a.T[1, 0] = 9  # a view is a view
    assert a.get()[0, 1] == 9
    assert np.isnan(cupy.empty(3).get()).all() and cupy.empty(3).data.ptr % 512 == 0


def test_the_stand_in_counts_what_waits(cupy) -> None:
    a = cupy.asarray(HOST)
    for call in (a.sum().item, a.get, a.tolist, a.nonzero, lambda: bool(a.all()), lambda: float(a[0, 0]), lambda: a[a > 0], lambda: cupy.unique(a)):
        STATE.waits.clear()
        call()
        assert sum(STATE.waits.values()) == 1
    STATE.waits.clear()
    cupy.linalg.inv(a @ a.T + cupy.eye(2)), a + 1, a[0, 1:], cupy.argsort(a), a.sum(axis=0)
    assert not STATE.waits


def test_guard_zones(cupy) -> None:
    a = cupy.zeros(5)
    a.memory.check()
    a.memory.raw[a.memory.start + a.nbytes] = 0
    with pytest.raises(AssertionError, match="out of bounds"):
        a.memory.check()


def test_everything_is_as_before_afterwards() -> None:
    import sys

    from minigrad import backend

    before = backend.cuda_problem(), sys.modules.get("cupy")
    with standin.installed() as cupy:
        assert backend.cuda_problem() is None and sys.modules["cupy"] is cupy
    assert (backend.cuda_problem(), sys.modules.get("cupy")) == before
