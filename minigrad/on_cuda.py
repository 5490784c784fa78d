"""What CuPy has not, or has otherwise than NumPy: random numbers whose state can be saved, combining at an index, copies.

What lives here: functions of arrays of either library, which need no CUDA device to be tested. What does not: anything
that imports CuPy (backend.py does), and kernels (../kernels/cuda).
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any

import numpy as np

Array = Any

_STEP, _FIRST, _SECOND = (np.uint64(c) for c in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


class CounterRandom:
    """Random numbers as a function of a key and a counter, with the methods of `numpy.random.Generator` that are used.

    Every number is computed from its own place in the sequence, so that a device makes them all at once, and two
    integers are the whole state: what no generator of CuPy offers, and what going on from a checkpoint needs.

    Args:
        xp: the library that makes the arrays.
        seed: any integer from 0 to 2**64 - 1.

    Source: the function is SplitMix64 (Steele, Lea and Flood, Fast splittable pseudorandom number generators, 2014).

    >>> rng = CounterRandom(np, 0); state = rng.state; a = rng.random(3)
    >>> rng.state = state; bool((rng.random(3) == a).all())
    True
    """

    def __init__(self, xp: Any, seed: int) -> None:
        self._xp = xp
        self.state = {"key": int(_mix(np.array([seed], np.uint64) + _STEP)[0]), "counter": 0}
        self.bit_generator = self  # where NumPy's generators keep their state

    @property
    def state(self) -> dict[str, Any]:
        """Key and counter, plain integers."""
        return {"key": self._key, "counter": self._counter}

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        if set(state) != {"key", "counter"}:
            raise ValueError(
                f"Generator: a state of a CUDA device has 'key' and 'counter', got {sorted(state)}; a state fits only the "
                "type of device that it comes from"
            )
        self._key, self._counter = int(state["key"]), int(state["counter"])

    def reserve(self, n: int) -> tuple[int, int]:
        """The key, and the first of the next n places, for a kernel that makes the numbers itself; they count as drawn."""
        first = self._counter
        self._counter += n
        return self._key, first

    def bits(self, n: int) -> Array:
        """The next n words of 64 random bits."""
        words = self._xp.arange(n, dtype=np.uint64)
        words *= _STEP
        words += np.uint64((self._key + self._counter * int(_STEP)) % 2**64)
        self._counter += n
        return _mix(words)

    def random(self, size: Any = (), dtype: Any = np.float64) -> Array:
        """Uniform, from 0 to below 1."""
        return _uniform(self.bits(_count(size)), dtype).reshape(size)

    def standard_normal(self, size: Any = (), dtype: Any = np.float64) -> Array:
        """Normal, by Box and Muller's transformation: two uniform numbers are radius and angle of a point."""
        xp, n = self._xp, _count(size)
        if np.dtype(dtype) == np.float64:
            words = self.bits(2 * n)
            near, angle = 1 - _uniform(words[:n], dtype), _uniform(words[n:], dtype)
        else:  # half a word each: to 2**-32, so that the tails reach to 6.6
            words = self.bits(n)
            near = ((words >> np.uint64(32)) + np.uint64(1)).astype(dtype) * np.dtype(dtype).type(2**-32)
            angle = (words & np.uint64(2**32 - 1)).astype(dtype) * np.dtype(dtype).type(2**-32)
        return (xp.sqrt(-2 * xp.log(near)) * xp.cos(2 * math.pi * angle)).reshape(size)

    def standard_exponential(self, size: Any = (), dtype: Any = np.float64) -> Array:
        """Exponential with mean 1."""
        return -self._xp.log(1 - self.random(size, dtype))

    def integers(self, low: int, high: int | None = None, size: Any = (), dtype: Any = np.int64) -> Array:
        """From low to below high; from 0 to below low without high."""
        low, high = (0, low) if high is None else (low, high)
        return (self.bits(_count(size)) % np.uint64(high - low)).astype(dtype).reshape(size) + np.dtype(dtype).type(low)

    def permutation(self, n: int) -> Array:
        """The numbers from 0 to n - 1 in random order."""
        return self._xp.argsort(self.bits(n)) if n else self._xp.arange(0)


def _count(size: Any) -> int:
    return math.prod(size) if isinstance(size, (tuple, list)) else int(size)


def _mix(words: Array) -> Array:
    words ^= words >> np.uint64(30)
    words *= _FIRST
    words ^= words >> np.uint64(27)
    words *= _SECOND
    words ^= words >> np.uint64(31)
    return words


def _uniform(words: Array, dtype: Any) -> Array:
    bits = 53 if np.dtype(dtype) == np.float64 else 24
    return (words >> np.uint64(64 - bits)).astype(dtype) * np.dtype(dtype).type(2.0**-bits)


class Elsewhere:
    """A module or a source of random numbers whose functions work on a device that need not be the current one."""

    def __init__(self, cp: Any, index: int, target: Any) -> None:
        self._cp, self._index, self._target = cp, index, target

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if not callable(found):
            return found

        def there(*args: Any, **options: Any) -> Any:
            with on(self._cp, self._index):
                return found(*args, **options)

        return there


def elsewhere(cp: Any, index: int | None, target: Any) -> Any:
    """A target whose functions work on a device; the target itself for the current one."""
    return target if index is None else Elsewhere(cp, index, target)


def random_source(cp: Any, index: int | None, seed: int) -> Any:
    """A source of random numbers on a device, on the CPU without CuPy."""
    return np.random.default_rng(seed) if cp is None else elsewhere(cp, index, CounterRandom(cp, seed))


def on(cp: Any, index: int | None) -> Any:
    """A block in which a device is the current one; None changes nothing."""
    if index is None:
        return nullcontext()
    if index >= cp.cuda.runtime.getDeviceCount():
        raise RuntimeError(f"device 'cuda:{index}': only {cp.cuda.runtime.getDeviceCount()} CUDA devices are there")
    return cp.cuda.Device(index)


def combine_at(ufunc: Any, target: Array, index: Any, values: Any) -> None:
    """`ufunc.at(target, index, values)` for add, maximum and minimum, in every dtype.

    A device has atomic operations for some types only. Small integers and halves are combined as larger ones. Adding does
    not care for signs, so int64 is added as uint64. Floats CuPy compares as float32, float64 too, and passes NaN by: here
    they are compared as integers.
    """
    adds = ufunc.__name__.endswith("add")
    if isinstance(target, np.ndarray) or target.dtype.char in ("iIfdQLe" if adds else "iIQL"):
        ufunc.at(target, index, values)
    elif target.dtype.itemsize < 4:
        work = target.astype(np.float32 if target.dtype.kind == "f" else np.int32)
        combine_at(ufunc, work, index, values)
        target[...] = work.astype(target.dtype)
    elif adds:
        values = values.astype(np.int64) if hasattr(values, "astype") else np.int64(values)
        ufunc.at(target.view(np.uint64), index, values.view(np.uint64))
    else:
        largest = ufunc.__name__.endswith("maximum")
        work = _ordered(target, largest)
        ufunc.at(work, index, _ordered(values.astype(target.dtype, copy=False), largest))
        target[...] = _from_ordered(work, target.dtype)


def _ordered(x: Array, largest: bool) -> Array:
    """Unsigned integers in the order of signed ones or of floats; NaN is the largest of them, or the smallest.

    Bits without a sign are in order where the sign bit is turned over, and of negative floats all the others too.
    """
    signs = x.view(f"i{x.dtype.itemsize}")
    bits = (signs ^ _turned(signs, x.dtype)).view(f"u{x.dtype.itemsize}")
    if x.dtype.kind == "f":
        nan = (x != x).astype(bits.dtype)
        bits = bits | (0 - nan) if largest else bits & (nan - 1)
    return bits


def _from_ordered(bits: Array, dtype: np.dtype) -> Array:
    signs = bits.view(f"i{dtype.itemsize}")
    return (signs ^ _turned(~signs, dtype)).view(dtype)


def _turned(signs: Array, dtype: np.dtype) -> Any:
    lowest = signs.dtype.type(np.iinfo(signs.dtype).min)
    return lowest | (signs >> (8 * dtype.itemsize - 1)) if dtype.kind == "f" else lowest


def running(ufunc: Any, array: Array, axis: int) -> Array:
    """`ufunc.accumulate`: CuPy has it for sums and products only. In step k each element takes in the one 2**k before it."""
    if isinstance(array, np.ndarray):
        return ufunc.accumulate(array, axis=axis)
    out, step, lead = array.copy(), 1, (slice(None),) * axis
    while step < array.shape[axis]:
        out[(*lead, slice(step, None))] = ufunc(out[(*lead, slice(step, None))], out[(*lead, slice(None, -step))])
        step *= 2
    return out


# ------------------------------------------------------------------------------------------- between host and device
# A device copies from and to pinned memory by itself, while the host goes on. Other memory of the host may be moved by
# the system, so CuPy puts a copy of it into pinned memory first, and sends that: for such memory nobody has to wait.

_in_use: list[tuple[Any, Any]] = []  # (event, array): memory that the device may not be done with


def keep_until(event: Any, array: Any) -> None:
    """Keep an array alive until an event is reached: memory that is let go is given to the next who asks."""
    _in_use[:] = [pair for pair in _in_use if not pair[0].done]
    _in_use.append((event, array))


def pinned(cp: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """A new array of the host in pinned memory."""
    count = math.prod(shape)
    memory = cp.cuda.alloc_pinned_memory(max(count, 1) * np.dtype(dtype).itemsize)
    return np.frombuffer(memory, dtype, count).reshape(shape)


def is_pinned(cp: Any, array: Any) -> bool:
    """Whether an array lies in memory that `pinned` made."""
    while isinstance(array, (np.ndarray, memoryview)):
        if isinstance(array, cp.cuda.PinnedMemoryPointer):
            return True
        array = array.base if isinstance(array, np.ndarray) else array.obj
    return isinstance(array, cp.cuda.PinnedMemoryPointer)


def send(cp: Any, array: Any, non_blocking: bool) -> Any:
    """To the current device. Only what lies in pinned memory is waited for, or, without blocking, kept until it is there."""
    if not isinstance(array, np.ndarray) or not is_pinned(cp, array):
        return cp.asarray(array)
    sent = cp.asarray(array, blocking=not non_blocking)
    if non_blocking:
        event = cp.cuda.Event(disable_timing=True)
        event.record(cp.cuda.get_current_stream())
        keep_until(event, array)
    return sent


def fetch(cp: Any, array: Any, non_blocking: bool) -> np.ndarray:
    """To the host; without blocking into pinned memory, whose numbers stand there once the stream is synchronized."""
    if not non_blocking:
        return cp.asnumpy(array)
    out = pinned(cp, array.shape, array.dtype)
    cp.asnumpy(array, out=out, blocking=False)
    event = cp.cuda.Event(disable_timing=True)
    event.record(cp.cuda.get_current_stream())
    keep_until(event, (array, out))
    return out
