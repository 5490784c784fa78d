"""A stand-in for CuPy on machines without a GPU: the same words over NumPy's arithmetic, and CuPy's refusals.

CuPy looks like NumPy until it does not, and every difference is a bug that only shows on a card. So the stand-in refuses
what CuPy refuses: arrays of NumPy among its own, conversion behind one's back, names, arguments and dtypes that CuPy
does not have (../cupy_interface.json holds them). Beyond that it

- fills new memory with bytes that read as NaN, and keeps guard zones around it;
- gives 0-d arrays where NumPy gives numbers;
- counts every wait of the host for the device, and bytes copied between them;
- lets asynchronous copies happen as late as they may.

What lives here: array.py (the array), functions.py (functions of arrays), runtime.py (devices, streams, memory). What
does not: anything of minigrad; the tests, which stand beside this folder.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec

from . import functions, runtime
from .array import Ufunc, ndarray


def module() -> types.ModuleType:
    """The stand-in, to be used as the module `cupy`."""
    cp = types.ModuleType("cupy")
    cp.__spec__ = ModuleSpec("cupy", None)
    cp.__version__ = functions.INTERFACE["version"]
    cp.ndarray = ndarray
    cp.is_the_stand_in = True
    functions.fill(cp)
    runtime.fill(cp)
    return cp


@contextmanager
def installed(devices: int = 1) -> Iterator[types.ModuleType]:
    """`import cupy` gives the stand-in inside this block; nothing that is on the device lives on after it."""
    from minigrad import backend
    from minigrad.cuda import memory

    cp = module()
    special = types.ModuleType("cupyx.scipy.special")
    special.erf = Ufunc("erf", functions.erf)
    fakes = {"cupy": cp, "cupyx": types.ModuleType("cupyx"), "cupyx.scipy": types.ModuleType("cupyx.scipy")}
    fakes["cupyx.scipy.special"] = special
    before = {name: sys.modules.get(name) for name in fakes}
    generators = dict(backend._generators)
    sys.modules.update(fakes)
    runtime.STATE.reset(devices)
    backend.cupy.cache_clear()
    for where in [where for where in backend._generators if where.type == "cuda"]:
        del backend._generators[where]  # of a card, on a machine that has one
    try:
        yield cp
    finally:
        for name, old in before.items():
            sys.modules.pop(name) if old is None else sys.modules.update({name: old})
        backend.cupy.cache_clear()
        memory._peaks.clear()
        backend._generators.clear()
        backend._generators.update(generators)
