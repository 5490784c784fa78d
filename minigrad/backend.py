"""Where arrays live: NumPy on the CPU, CuPy on a CUDA device.

Everything above this module writes `xp.exp(x)` and never asks which library `xp` is. What the two libraries
spell differently lives here. This is the only module that imports CuPy, and only when a CUDA device is asked for.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from types import ModuleType
from typing import Any

import numpy as np

from .on_cuda import combine_at, elsewhere, fetch, on, random_source, send

Array = Any  # numpy.ndarray or cupy.ndarray


@dataclass(frozen=True)
class device:
    """A place where tensors live: the CPU or one CUDA device (as `torch.device`).

    Args:
        type: "cpu", "cuda" or "cuda:1".
        index: number of the CUDA device; the current one if left out.

    Raises:
        RuntimeError: the name is not one of these.

    >>> device("cuda:1").index
    1
    """

    type: str
    index: int | None = None

    def __post_init__(self) -> None:
        kind, _, number = str(self.type).partition(":")
        if kind not in ("cpu", "cuda") or (number and (not number.isdigit() or self.index is not None)):
            raise RuntimeError(f"device: expected 'cpu', 'cuda' or 'cuda:<number>', got {self.type!r}")
        if kind == "cpu" and (number or self.index) not in ("", "0", 0, None):
            raise RuntimeError(f"device: there is one 'cpu' only, got {self.type!r} with index {self.index}")
        object.__setattr__(self, "type", kind)
        if kind == "cpu":
            object.__setattr__(self, "index", None)
        elif number:
            object.__setattr__(self, "index", int(number))

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return f"device(type={self.type!r}" + (")" if self.index is None else f", index={self.index})")


CPU = device("cpu")


def as_device(where: str | device | int | None) -> device:
    """Read a device the way users name it: None is the CPU, a number a CUDA device."""
    if where is None:
        return CPU
    if isinstance(where, device):
        return where
    return device("cuda", where) if isinstance(where, int) else device(where)


# ------------------------------------------------------------------------------------------------ CuPy, if asked for


_offers: list[Callable[[ModuleType], None]] = []


def when_cupy_comes(offer: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
    """Call a function with CuPy before its first use here, as kernels for its arrays are offered: a decorator."""
    _offers.append(offer)
    return offer


@cache
def cupy() -> ModuleType:
    """The CuPy module, once a usable CUDA device was found; else a RuntimeError that says what is missing."""
    if importlib.util.find_spec("cupy") is None:
        raise RuntimeError(
            "device 'cuda' needs CuPy, which is not installed: pip install 'minigrad[cuda]', or use device='cpu'"
        )
    try:
        import cupy as cp
    except Exception as error:
        raise RuntimeError(
            f"device 'cuda': CuPy is installed but does not import ({error}): install the CuPy that fits your CUDA "
            "version (cupy-cuda12x or cupy-cuda13x), or use device='cpu'"
        ) from None
    try:
        count = cp.cuda.runtime.getDeviceCount()
    except Exception as error:
        raise RuntimeError(
            f"device 'cuda': CuPy found no working NVIDIA driver ({error}): install or update the driver "
            "(nvidia-smi should list your card), or use device='cpu'"
        ) from None
    if count == 0:
        raise RuntimeError("device 'cuda': the NVIDIA driver lists no device; use device='cpu'")
    for offer in _offers:
        offer(cp)
    return cp


def cuda_problem() -> str | None:
    """Why CUDA cannot be used here, in a sentence, or None if it can."""
    try:
        cupy()
    except RuntimeError as error:
        return str(error)
    return None


def is_array(value: Any) -> bool:
    """Whether a value is a NumPy or a CuPy array."""
    return isinstance(value, np.ndarray) or type(value).__module__.partition(".")[0] == "cupy"


def namespace(array: Array) -> ModuleType:
    """The library `xp` that an array belongs to: numpy or cupy."""
    if isinstance(array, (np.ndarray, np.generic)):
        return np
    if is_array(array):
        return cupy()
    raise TypeError(f"expected a NumPy or CuPy array, got {type(array).__name__}")


def device_of(array: Array) -> device:
    """The device that an array lives on."""
    return CPU if isinstance(array, (np.ndarray, np.generic)) else device("cuda", int(array.device.id))


def address(array: Array) -> int:
    """Where an array begins in the memory of its device."""
    return int(array.__array_interface__["data"][0] if isinstance(array, np.ndarray) else array.data.ptr)


def to_device(array: Array, where: device, non_blocking: bool = False) -> Array:
    """The array on another device; itself if it is there already. Without blocking, see on_cuda.py."""
    if where.type == "cpu":
        return array if isinstance(array, np.ndarray) else fetch(cupy(), array, non_blocking)
    with on(cupy(), where.index):
        return send(cupy(), array, non_blocking)


def xp_for(where: device) -> Any:
    """The library that makes new arrays on a device."""
    return np if where.type == "cpu" else elsewhere(cupy(), where.index, cupy())


# ------------------------------------------------------------------------------- NumPy's floating point warnings
# An infinity is a value here, as in PyTorch, not something to warn about. numpy.errstate costs 1 us, as much as a
# whole small operation, since it builds its settings anew each time; switching to settings built once costs 0.1 us.

try:
    from numpy._core.umath import _extobj_contextvar, _make_extobj  # type: ignore[attr-defined]

    _silent = _make_extobj(all="ignore")

    silence = partial(_extobj_contextvar.set, _silent)  # for this thread; returns what `restore` wants back
    restore = _extobj_contextvar.reset
except ImportError:  # another NumPy keeps its settings elsewhere

    def silence() -> Any:  # type: ignore[misc]
        return np.seterr(all="ignore")

    def restore(token: Any) -> None:
        np.seterr(**token)


# -------------------------------------------------------------------------------------------------- random numbers


class Generator:
    """A source of random numbers on one device, with a seed of its own (as `torch.Generator`).

    Args:
        device: where its numbers are made.

    >>> g = Generator().manual_seed(3)
    >>> a = g.rng.random(2); g.manual_seed(3).rng.random(2) == a
    array([ True,  True])
    """

    def __init__(self, device: str | device | None = None) -> None:
        self.device = as_device(device)
        self.manual_seed(int(np.random.SeedSequence().entropy) % 2**63)  # type: ignore[arg-type]

    def manual_seed(self, seed: int) -> Generator:
        """Start again from a seed; returns self."""
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
            raise TypeError(f"manual_seed: expected an int, got {type(seed).__name__}")
        self._seed = int(seed)
        cp = None if self.device.type == "cpu" else cupy()
        self.rng: Any = random_source(cp, self.device.index, self._seed % 2**64)
        return self

    def initial_seed(self) -> int:
        """The seed that it started from."""
        return self._seed

    def get_state(self) -> dict[str, Any]:
        """All that `set_state` needs to go on from here (plain numbers, fit for JSON)."""
        return dict(self.rng.bit_generator.state)

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from where `get_state` was called."""
        self.rng.bit_generator.state = state


_generators: dict[device, Generator] = {}
_generators_lock = threading.Lock()


def default_generator(where: device = CPU) -> Generator:
    """The generator used where none is passed: one per device, shared by all threads."""
    if where.type == "cuda" and where.index is None:
        where = device("cuda", int(cupy().cuda.runtime.getDevice()))
    with _generators_lock:
        if where not in _generators:
            _generators[where] = Generator(where)
            if CPU in _generators:  # `manual_seed` seeds all devices, also those that come into use later
                _generators[where].manual_seed(_generators[CPU].initial_seed())
        return _generators[where]


def manual_seed(seed: int) -> Generator:
    """Seed the default generator of every device in use (as `torch.manual_seed`).

    Args:
        seed: any integer.

    Returns:
        The CPU's generator.

    >>> import minigrad as mg
    >>> _ = mg.manual_seed(0); a = mg.rand(2)
    >>> _ = mg.manual_seed(0); bool((a == mg.rand(2)).all())
    True
    """
    for generator in list(_generators.values()):
        generator.manual_seed(seed)
    return default_generator().manual_seed(seed)


# --------------------------------------------------------------------------------- what the libraries do differently


def scatter_add(xp: ModuleType, target: Array, index: Any, values: Array) -> None:
    """`target[index] += values` in place, where an index that comes twice is added twice."""
    rows = index[0] if isinstance(index, tuple) and len(index) == 1 else index
    if xp is np and isinstance(rows, np.ndarray) and rows.dtype.kind in "iu" and target.ndim > 1 and rows.size:
        # Whole rows, the gradient of an embedding: sort the rows by where they go and add up each run. On the
        # tables of a language model this is four times as fast as numpy.add.at.
        flat = rows.reshape(-1) % target.shape[0]
        order = np.argsort(flat, kind="stable")
        flat = flat[order]
        starts = np.flatnonzero(np.concatenate(([True], flat[1:] != flat[:-1])))
        values = np.broadcast_to(values, rows.shape + target.shape[1:]).reshape(flat.size, *target.shape[1:])
        target[flat[starts]] += np.add.reduceat(values[order], starts, axis=0)
    else:
        combine_at(xp.add, target, index, values)


def erf(xp: ModuleType, x: Array) -> Array:
    """The error function 2/sqrt(pi) * integral of exp(-t^2) from 0 to x, elementwise."""
    if xp is not np:
        from cupyx.scipy.special import erf as cupy_erf

        return cupy_erf(x).astype(x.dtype, copy=False)  # of float16 it makes float64
    return _erf(x)


@cache
def _erf_polynomials(dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Two polynomials, fitted to Python's own math.erf and math.erfc, as accurate as the dtype can hold.

    Near 0 erf(x) = x * P(x^2). Further out erf(x) = 1 - t * exp(Q(t) - x^2) with t = 2 / (2 + x), where Q is smooth
    (the form of Numerical Recipes, section 6.2). Chebyshev nodes make both fits nearly the best there are.
    """
    import math

    near, far = (7, 10) if dtype.itemsize <= 4 else (19, 30)

    def fit(f: Any, low: float, high: float, degree: int) -> np.ndarray:
        series = np.polynomial.Chebyshev.interpolate(np.vectorize(f), degree, domain=[low, high])
        return series.coef

    p = fit(lambda s: math.erf(math.sqrt(s)) / math.sqrt(s) if s > 0 else 2 / math.sqrt(math.pi), 0.0, 1.0, near)
    q = fit(lambda t: math.log(math.erfc(2 / t - 2) / t) + (2 / t - 2) ** 2, 0.25, 2 / 3, far)
    return p, q


def _erf(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x)
    work = np.ravel(x).astype(np.promote_types(x.dtype, np.float32), copy=False)
    p, q = _erf_polynomials(work.dtype)
    out = np.empty_like(work)
    for start in range(0, work.size, 8192):  # a block and its temporaries stay in the cache: five times as fast
        block = work[start : start + 8192]
        a = np.minimum(np.abs(block), 6)  # erf(6) is 1 to the last bit
        near = block * _chebyshev(2 * np.minimum(a * a, 1) - 1, p)
        t = 2 / (2 + np.maximum(a, 1))
        far = 1 - t * np.exp(_chebyshev((t - (0.25 + 2 / 3) / 2) * (2 / (2 / 3 - 0.25)), q) - a * a)
        out[start : start + 8192] = np.where(a < 1, near, np.copysign(far, block))
    return out.reshape(x.shape).astype(x.dtype, copy=False)


def _chebyshev(x: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Sum of c[k] * T_k(x) by Clenshaw's recurrence."""
    two_x, b1, b2 = x + x, 0.0, 0.0
    for c in coefficients[:0:-1]:
        b1, b2 = two_x * b1 + (float(c) - b2), b1
    return x * b1 + (float(coefficients[0]) - b2)
