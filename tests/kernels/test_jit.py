"""Compiling, the cache on the disk and the pool of threads, also where something is missing or forbidden.

Most of it needs a process of its own, with a home folder of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from minigrad.kernels.cpu import blas, jit

import minigrad as mg

ROOT = Path(__file__).parents[2]
needs_numba = pytest.mark.skipif(not jit.available(), reason=str(jit.problem()))

KERNEL = """
import numpy as np
import minigrad
from minigrad.kernels.cpu import jit
from minigrad.kernels.cpu.jit import prange

@jit.jit("F", parallel=False)
def double(x):
    return x + x

@jit.jit("F[::1], F[::1]")
def doubled(x, out):
    for i in prange(len(x)):
        out[i] = double(x[i])

def use():
    x, out = np.arange(5000.0), np.empty(5000)
    doubled(x, out)
    assert (out == 2 * x).all()
"""


@pytest.fixture
def process(tmp_path):
    """Run a script that has KERNEL before it, at home in a folder of the test; what it wrote to stdout and stderr."""

    def run(code: str, home: Path = tmp_path, **variables: str) -> tuple[str, str]:
        script = tmp_path / "script.py"
        script.write_text(KERNEL + code)
        environment = os.environ | {"HOME": str(home), "PYTHONPATH": str(ROOT)} | variables
        done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip(), done.stderr.strip()

    return run


@needs_numba
def test_it_says_that_it_compiles_once_and_only_then(process, tmp_path):
    code = "use(); use(); print(doubled.on_disk(), jit.compile_seconds() > 0)"
    out, error = process(code)
    assert out == "True True"
    assert error.count("compiling kernels for this processor") == 1 and str(tmp_path) in error
    assert process(code) == ("True True", "")


@needs_numba
def test_machine_code_follows_the_source(process):
    """Another constant in a kernel that is called by another: what is on the disk is not taken."""
    assert process("use()")[1]
    changed = "\n@jit.jit('F', parallel=False)\ndef double(x):\n    return x + x + 0 * x\nuse()"
    assert "compiling" in process(changed)[1]


@needs_numba
@pytest.mark.parametrize("trouble", ["a file stands there", "damaged"])
def test_without_a_usable_cache_it_compiles_again(process, tmp_path, trouble):
    if trouble == "damaged":
        process("use()")
        for file in (tmp_path / ".cache").rglob("*.nb?"):
            file.write_bytes(b"nonsense")
    else:
        (tmp_path / ".cache").write_text("")  # as good as a folder that may not be written, also for root
    out, error = process("use(); print('fine')")
    assert out == "fine" and "compiling" in error


def test_without_numba_everything_is_computed_by_formulas(process):
    code = """
import importlib.util, sys
assert not jit.available() and "pip install 'minigrad[fast]'" in jit.problem()
x = minigrad.randn(2, 8, 30, 30, requires_grad=True)
layers = minigrad.nn.Sequential(minigrad.nn.Conv2d(8, 16, 3), minigrad.nn.BatchNorm2d(16), minigrad.nn.ReLU(),
    minigrad.nn.MaxPool2d(2), minigrad.nn.Flatten(), minigrad.nn.Linear(16 * 14 * 14, 100), minigrad.nn.LayerNorm(100))
layers(x).sum().backward()
try:
    use()
except ImportError as error:
    print(error)
"""
    hide = "import sys; sys.modules['numba'] = None\n"  # as if it were not installed, also for find_spec
    find = "import importlib.util as u; f = u.find_spec; u.find_spec = lambda n, *a: None if n == 'numba' else f(n, *a)\n"
    (out, _) = process("", MINIGRAD_FAST="1")
    out, error = process(hide + find + code)
    assert out.endswith("numba is not installed: pip install 'minigrad[fast]'") and not error


def test_small_models_and_switched_off_fast_paths_never_import_numba(process):
    code = "x = minigrad.randn({0}, {0}); (x @ x).relu(); import sys; print('numba' in sys.modules)"
    assert process(code.format(30))[0] == "False"
    assert process(code.format(300), MINIGRAD_FAST="0")[0] == "False"


@needs_numba
def test_a_forked_child_computes_too(process):
    code = """
import os, signal
from minigrad.kernels.cpu import matmul
a = np.random.rand(200, 200)
b = matmul(a, a)
use()
child = os.fork()
if child == 0:
    signal.alarm(60)
    if jit.available():  # not with GNU OpenMP's pool, which kills such a child
        use()
    assert np.allclose(minigrad.tensor(a) @ minigrad.tensor(a), b)
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
use()
"""
    assert process(code)[0] == "7"


@needs_numba
def test_several_python_threads_at_once(process):
    code = """
import threading
from minigrad.kernels.cpu import matmul
a = np.random.rand(300, 300)
wanted, wrong = a @ a, []
def work():
    for _ in range(30):
        use()
        if not np.allclose(matmul(a, a), wanted):
            wrong.append(1)
threads = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
print(len(wrong))
"""
    assert process(code)[0] == "0"


@needs_numba
def test_the_users_blas_threads_are_as_before():
    """Also after several products at once, each of which sets OpenBLAS to one thread."""
    library = blas._openblas()
    if library is None:
        pytest.skip("this NumPy has another BLAS")
    import ctypes

    get, set_to = ctypes.CFUNCTYPE(ctypes.c_int)(library.get_threads), ctypes.CFUNCTYPE(None, ctypes.c_int)(library.set_threads)
    before = get()
    set_to(2)
    try:
        numbers, inside = np.zeros(2, np.int64), []
        blas.sequential(library.get_threads, library.set_threads, numbers)
        blas.sequential(library.get_threads, library.set_threads, numbers)
        inside.append(get())
        blas.restored(library.set_threads, numbers)
        inside.append(get())
        blas.restored(library.set_threads, numbers)
        assert inside == [1, 1] and get() == 2
    finally:
        set_to(before)


@needs_numba
def test_openblas_and_mkl_give_the_same_product(process):
    code = """
from minigrad.kernels.cpu import blas, matmul
a, b = np.random.rand(150, 90), np.random.rand(150, 80)
if FORGET: blas._mkl = lambda: None
assert np.allclose(matmul(a.T, b), a.T @ b)
print(blas.blas().name)
"""
    assert process(code.replace("FORGET", "True"))[0] in ("OpenBLAS", "")
    assert process(code.replace("FORGET", "False"))[0] in ("OpenBLAS", "MKL")


@needs_numba
def test_a_pool_that_the_user_started_is_shared(process):
    code = """
import numba
from numba.np.ufunc import parallel
numba.config.THREADING_LAYER = "workqueue"
parallel._launch_threads()
use()
print(jit.layer())
"""
    assert process(code.replace("import numba", "import numba", 1))[0] == "workqueue"


def test_dense():
    x = np.arange(12.0).reshape(3, 4)
    locked = x.copy()
    locked.flags.writeable = False
    assert jit.dense(x) is x
    for y in (x.T, x[:, ::2], np.broadcast_to(x[0], (3, 4)), locked):
        assert jit.dense(y).flags.carray and (jit.dense(y) == y).all()


@needs_numba
def test_the_number_of_threads_can_be_chosen():
    before = mg.get_num_threads()
    try:
        mg.set_num_threads(1)
        assert mg.get_num_threads() == 1
        mg.set_num_threads(10_000)  # as many as there are
        assert mg.get_num_threads() == before
    finally:
        mg.set_num_threads(before)
    for wrong in (0, -1, "2", 1.5):
        with pytest.raises(RuntimeError, match="^set_num_threads: expected a positive int"):
            mg.set_num_threads(wrong)


class _Writer:
    """As tile.py and pool.py have them: an intrinsic's instructions are written by a class."""

    def width(self):
        return 4


def _emit():
    return _Writer().width()


def test_a_class_that_writes_instructions_is_part_of_the_fingerprint(monkeypatch):
    before = jit.Intrinsic(_emit).stamp()
    assert jit.Intrinsic(_emit).stamp() == before
    monkeypatch.setattr(_Writer, "width", lambda self: 8)
    assert jit.Intrinsic(_emit).stamp() != before
