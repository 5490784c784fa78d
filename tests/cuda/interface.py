"""What minigrad uses of CuPy, read out of an installed CuPy: names, signatures, and the dtypes of its ufuncs.

The stand-in (standin/) has what is listed here and nothing else, and takes the arguments that are listed here. The list
is kept in cupy_interface.json, so that the stand-in works where CuPy is not installed; test_contract.py holds it against
CuPy where it is. Whoever uses another name of CuPy adds it below and writes the list anew, with CuPy installed:

    python -m tests.cuda.interface
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("cupy_interface.json")

UFUNCS = """add subtract multiply true_divide floor_divide remainder fmod power negative absolute abs sign floor ceil
trunc exp expm1 log log1p log2 log10 logaddexp sqrt sin cos arctan2 sinh cosh tanh hypot maximum minimum equal not_equal
less less_equal greater greater_equal logical_and logical_or logical_not logical_xor bitwise_and bitwise_or bitwise_xor
bitwise_not invert left_shift right_shift isnan isinf isfinite divide reciprocal""".split()

FUNCTIONS = """empty zeros ones full eye arange linspace empty_like zeros_like ones_like full_like asarray array
ascontiguousarray asnumpy where clip concatenate stack broadcast_to reshape flip repeat pad tril triu diagonal sum max
min all any argmax argmin cumsum argsort searchsorted unique bincount round nan_to_num isclose atleast_2d matmul
shares_memory lib.stride_tricks.as_strided linalg.cholesky linalg.det linalg.eigh linalg.inv linalg.pinv linalg.qr
linalg.slogdet linalg.solve linalg.svd linalg.norm dot mean get_default_memory_pool get_default_pinned_memory_pool
cuda.Stream cuda.Event""".split()

METHODS = """sum max min all any argmax argmin astype copy cumsum fill get item nonzero reshape swapaxes tolist transpose
view ravel squeeze diagonal""".split()

# Classes and functions of Cython, which tell no signature, and the members of them that are used.
NAMES = """ndarray ogrid inf RawModule RawModule.get_function from_dlpack cuda.Device cuda.Device.id cuda.Device.synchronize
cuda.Device.compute_capability cuda.Device.mem_info cuda.Device.use cuda.get_current_stream cuda.get_elapsed_time
cuda.alloc_pinned_memory cuda.PinnedMemoryPointer cuda.Stream.null cuda.Stream.synchronize cuda.Stream.use
cuda.Stream.record cuda.Stream.wait_event cuda.Stream.done cuda.Event.record cuda.Event.synchronize cuda.Event.done
cuda.MemoryHook cuda.runtime.getDeviceCount cuda.runtime.getDevice cuda.runtime.getDeviceProperties
cuda.runtime.driverGetVersion cuda.runtime.runtimeGetVersion cuda.nvrtc.getVersion cuda.memory.OutOfMemoryError
cuda.MemoryPool.used_bytes cuda.MemoryPool.total_bytes cuda.MemoryPool.free_all_blocks cuda.MemoryPool.set_limit
ndarray.T ndarray.base ndarray.data ndarray.device ndarray.dtype ndarray.flags ndarray.itemsize ndarray.nbytes ndarray.ndim
ndarray.shape ndarray.size ndarray.strides add.at add.reduce maximum.at minimum.at""".split()


def find(cupy: Any, name: str) -> Any:
    """What a dotted name stands for."""
    found = cupy
    for part in name.split("."):
        found = getattr(found, part)
    return found


def signature(function: Any) -> str:
    """The parameters of a function and their defaults, without types and without self."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # of Cython: its first line of documentation says them
        text = re.match(r"[\w.]+\((.*?)\)", function.__doc__ or "")
        assert text, function
        return "(" + ", ".join(part.split()[-1] for part in text[1].split(", ") if part != "self") + ")"
    bare = [p.replace(annotation=p.empty) for p in parameters if p.name != "self"]
    return re.sub(r"<class '(\w+)'>", r"\1", str(inspect.Signature(bare)))


def loops(ufunc: Any) -> list[str]:
    """The dtypes of a ufunc, those that we have; there are more where ml_dtypes is installed."""
    return [types for types in ufunc.types if set(types) <= set("?bBhHiIlLqQefd->")]


def read(cupy: Any) -> dict[str, Any]:
    """What cupy_interface.json should hold for this CuPy."""
    from cupyx.scipy.special import erf

    return {
        "version": cupy.__version__,
        "ufuncs": {name: loops(find(cupy, name)) for name in UFUNCS} | {"erf": loops(erf)},
        "functions": {name: signature(find(cupy, name)) for name in FUNCTIONS},
        "methods": {name: signature(getattr(cupy.ndarray, name)) for name in METHODS},
        "names": [name for name in NAMES if find(cupy, name) is not NotImplemented],
    }


if __name__ == "__main__":
    import cupy

    FILE.write_text(json.dumps(read(cupy), indent=1) + "\n")
