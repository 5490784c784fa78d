"""Arithmetic, logic and conversions: every operation of the runtime on every edge, against NumPy and exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from .harness import DTYPES, Case, assert_same, operands, run

INTEGERS = ("u16", "s16", "u32", "s32", "u64", "s64")
WIDTHS = ("b16", "b32", "b64")


def integer(kind, function):
    """A reference on Python's own integers; what does not fit wraps around."""
    dtype = np.dtype(DTYPES[kind])
    unsigned = np.dtype(f"u{dtype.itemsize}")

    def want(*arrays):
        rows = zip(*(array.tolist() for array in arrays))
        return np.array([int(function(*row)) % 2 ** (8 * dtype.itemsize) for row in rows], unsigned).view(dtype)

    return want


def bits(kind):
    """The width of a type."""
    return 8 * np.dtype(DTYPES[kind]).itemsize


def quotient(a, b):
    """Division towards zero; by zero all ones, as the device gives."""
    return -1 if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def integer_cases():
    for t in INTEGERS:
        n = bits(t)
        two = {
            "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul.lo": lambda a, b: a * b, "mul.hi": lambda a, b, n=n: a * b >> n,
            "div": quotient, "rem": lambda a, b: a - quotient(a, b) * b if b else a, "min": min, "max": max,
        }  # fmt: skip
        yield from (Case(f"{name}.{t} d, a, b", (t, t), t, integer(t, f)) for name, f in two.items())
        yield Case(f"mad.lo.{t} d, a, b, c", (t,) * 3, t, integer(t, lambda a, b, c: a * b + c))
        yield Case(f"mad.hi.{t} d, a, b, c", (t,) * 3, t, integer(t, lambda a, b, c, n=n: (a * b >> n) + c))
        yield Case(f"neg.{t} d, a", (t,), t, integer(t, lambda a: -a))
        yield Case(f"abs.{t} d, a", (t,), t, integer(t, abs))
        compared = {"eq": "__eq__", "ne": "__ne__", "lt": "__lt__", "le": "__le__", "gt": "__gt__", "ge": "__ge__"}
        for name, method in compared.items():
            yield Case(f"setp.{name}.{t} d, a, b", (t, t), "pred", integer("u32", lambda a, b, m=method: getattr(a, m)(b)))
        shift = (t, "u32")
        yield Case(f"shr.{t} d, a, b", shift, t, integer(t, lambda a, b: a >> min(b, 64)))
        if n < 64:
            wide = f"{t[0]}{2 * n}"
            yield Case(f"mul.wide.{t} d, a, b", (t, t), wide, integer(wide, lambda a, b: a * b))
            yield Case(f"mad.wide.{t} d, a, b, c", (t, t, wide), wide, integer(wide, lambda a, b, c: a * b + c))
        if n > 16:
            yield Case(f"bfe.{t} d, a, b, c", (t, "u32", "u32"), t, integer(t, lambda a, b, c, t=t: field(a, b, c, t)))
            yield Case(f"bfind.{t} d, a", (t,), "u32", integer("u32", highest))
            yield Case(f"bfind.shiftamt.{t} d, a", (t,), "u32", integer("u32", lambda a, n=n: -1 if highest(a) < 0 else n - 1 - highest(a)))


def highest(a):
    """The highest bit that differs from the sign."""
    return (~a if a < 0 else a).bit_length() - 1


def field(a, position, length, kind):
    """bfe as the manual's program has it."""
    position, length, msb = position & 255, length & 255, bits(kind) - 1
    sign = 0 if kind[0] == "u" or length == 0 else a >> min(position + length - 1, msb) & 1
    return sum((a >> k + position & 1 if k < length and position + k <= msb else sign) << k for k in range(msb + 1))


def inserted(a, b, position, length, n):
    """bfi as the manual's program has it."""
    position, length = position & 255, length & 255
    for k in range(length):
        if position + k < n:
            b = b & ~(1 << position + k) | (a >> k & 1) << position + k
    return b


def bit_cases():
    for t in WIDTHS:
        n = bits(t)
        logic = {"and": lambda a, b: a & b, "or": lambda a, b: a | b, "xor": lambda a, b: a ^ b}
        yield from (Case(f"{name}.{t} d, a, b", (t, t), t, integer(t, f)) for name, f in logic.items())
        yield Case(f"not.{t} d, a", (t,), t, integer(t, lambda a: ~a))
        yield Case(f"cnot.{t} d, a", (t,), t, integer(t, lambda a: a == 0))
        yield Case(f"mov.{t} d, a", (t,), t, integer(t, lambda a: a))
        yield Case(f"selp.{t} d, a, b, c", (t, t, "pred"), t, integer(t, lambda a, b, p: a if p else b))
        yield Case(f"shl.{t} d, a, b", (t, "u32"), t, integer(t, lambda a, b, n=n: a << min(b, n)))
        yield Case(f"shr.{t} d, a, b", (t, "u32"), t, integer(t, lambda a, b, n=n: a >> min(b, n)))
        if n > 16:
            yield Case(f"bfi.{t} d, a, b, c, e", (t, t, "u32", "u32"), t, integer(t, lambda a, b, c, e, n=n: inserted(a, b, c, e, n)))
            yield Case(f"brev.{t} d, a", (t,), t, integer(t, lambda a, n=n: int(f"{a:0{n}b}"[::-1], 2)))
            yield Case(f"popc.{t} d, a", (t,), "u32", integer("u32", int.bit_count))
            yield Case(f"clz.{t} d, a", (t,), "u32", integer("u32", lambda a, n=n: n - a.bit_length()))
    for side in "lr":
        for mode in ("wrap", "clamp"):
            yield Case(f"shf.{side}.{mode}.b32 d, a, b, c", ("b32",) * 3, "b32", integer("b32", lambda a, b, c, s=side, m=mode: funnel(a, b, c, s, m)))
    for name, f in {"and": lambda a, b: a & b, "or": lambda a, b: a | b, "xor": lambda a, b: a ^ b}.items():
        yield Case(f"{name}.pred d, a, b", ("pred", "pred"), "pred", integer("u32", f))
    yield Case("not.pred d, a", ("pred",), "pred", integer("u32", lambda a: not a))
    yield Case("mov.pred d, a", ("pred",), "pred", integer("u32", bool))
    for table in (0x00, 0x80, 0xE8, 0x96, 0x1B, 0xFF):
        yield Case(f"lop3.b32 d, a, b, c, {table}", ("b32",) * 3, "b32", integer("b32", lambda a, b, c, t=table: looked_up(a, b, c, t)))
    yield Case("prmt.b32 d, a, b, c", ("b32",) * 3, "b32", integer("b32", permuted))
    yield Case("setp.lt.and.s32 d, a, b, c", ("s32", "s32", "pred"), "pred", integer("u32", lambda a, b, c: a < b and c))
    yield Case("setp.gt.or.u32 d, a, b, !c", ("u32", "u32", "pred"), "pred", integer("u32", lambda a, b, c: a > b or not c))
    yield Case("setp.eq.xor.f32 q|d, a, b, c", ("f32", "f32", "pred"), "pred", integer("u32", lambda a, b, c: (a != b) ^ bool(c)))
    yield Case("set.lt.u32.s32 d, a, b", ("s32", "s32"), "u32", integer("u32", lambda a, b: -(a < b)))
    yield Case("mov.b64 d, {a, b}", ("b32", "b32"), "b64", integer("b64", lambda a, b: b << 32 | a))
    yield Case("mov.b32 d, {a, b}", ("b16", "b16"), "b32", integer("b32", lambda a, b: b << 16 | a))
    yield Case("mov.b32 {a, d}, b", ("b16", "b32"), "b16", integer("b16", lambda a, b: b >> 16))
    yield Case("mov.b64 {_, d}, a", ("b64",), "b32", integer("b32", lambda a: a >> 32))
    yield Case("mov.b64 d, {a, b, c, e}", ("b16",) * 4, "b64", integer("b64", lambda a, b, c, e: e << 48 | c << 32 | b << 16 | a))
    yield Case("mov.b64 {a, b, d, c}, e", ("b16", "b16", "b16", "b64"), "b16", integer("b16", lambda a, b, c, e: e >> 32))


def funnel(a, b, amount, side, mode):
    """Two words side by side, shifted; the upper or the lower one comes out."""
    amount = amount & 31 if mode == "wrap" else min(amount, 32)
    both = b << 32 | a
    return (both << amount) >> 32 if side == "l" else both >> amount


def looked_up(a, b, c, table):
    return sum((table >> ((a >> k & 1) << 2 | (b >> k & 1) << 1 | c >> k & 1) & 1) << k for k in range(32))


def permuted(a, b, selector):
    source, result = a.to_bytes(4, "little") + b.to_bytes(4, "little"), []
    for k in range(4):
        nibble = selector >> 4 * k & 15
        byte = source[nibble & 7]
        result.append((255 if byte & 128 else 0) if nibble & 8 else byte)
    return int.from_bytes(bytes(result), "little")


# ------------------------------------------------------------------------------------------------ floats


def flushed(x):
    """Subnormal numbers as zeros of their sign."""
    return np.where(np.abs(x) < np.finfo(np.float32).tiny, np.copysign(np.float32(0), x), x).astype(np.float32)


def nearest(exact, dtype, mode):
    """A fraction as a number of a type, rounded as asked; the sign of zero is that of the fraction's neighbourhood."""
    with np.errstate(all="ignore"):
        guess = dtype(np.float64(exact)) if abs(exact) < Fraction(2) ** 1024 else dtype(math.copysign(math.inf, exact))
    info = np.finfo(dtype)
    if np.isinf(guess):
        guess = dtype(math.copysign(info.max, guess))
    low = high = guess
    with np.errstate(all="ignore"):
        if Fraction(float(guess)) > exact:
            low = np.nextafter(guess, dtype(-np.inf))
        elif Fraction(float(guess)) < exact:
            high = np.nextafter(guess, dtype(np.inf))
    if mode == "rm":
        return low
    if mode == "rp":
        return high
    return low if exact > 0 else high


def rounded_cases():
    """Directed roundings against exact fractions, on finite numbers whose result is neither zero nor beyond the range."""
    exact = {
        "add": (2, lambda a, b: a + b), "sub": (2, lambda a, b: a - b), "mul": (2, lambda a, b: a * b), "div": (2, lambda a, b: a / b),
        "fma": (3, lambda a, b, c: a * b + c), "rcp": (1, lambda a: 1 / a),
    }  # fmt: skip
    for t in ("f32", "f64"):
        dtype = DTYPES[t]
        for name, (count, f) in exact.items():
            rng = np.random.default_rng(count)
            values = [(rng.standard_normal(300) * 10.0 ** rng.integers(-9, 9, 300)).astype(dtype) for _ in range(count)]
            letters = ", ".join("abc"[:count])
            for mode in ("rm", "rp", "rz"):

                def want(*arrays, f=f, mode=mode, dtype=dtype):
                    rows = zip(*(map(Fraction, a.astype(float).tolist()) for a in arrays))
                    return np.array([nearest(f(*row), dtype, mode) for row in rows], dtype)

                yield Case(f"{name}.{mode}.{t} d, {letters}", (t,) * count, t, want, values=tuple(values))
        squares = (np.abs(np.random.default_rng(3).standard_normal(300)) * 1e3).astype(dtype)
        for mode in ("rm", "rp", "rz"):
            yield Case(f"sqrt.{mode}.{t} d, a", (t,), t, lambda a, mode=mode, dtype=dtype: root(a, dtype, mode), values=(squares,))


def root(a, dtype, mode):
    result = []
    for x in a:
        guess, exact = dtype(math.sqrt(float(x))), Fraction(float(x))
        low = np.nextafter(guess, dtype(0)) if Fraction(float(guess)) ** 2 > exact else guess
        high = np.nextafter(guess, dtype(np.inf)) if Fraction(float(guess)) ** 2 < exact else guess
        result.append(high if mode == "rp" else low)
    return np.array(result, dtype)


def fused(a, b, c):
    """a b + c with one rounding: in fractions, where all are finite."""
    dtype, result = a.dtype.type, []
    for x, y, z in zip(a.tolist(), b.tolist(), c.tolist()):
        with np.errstate(all="ignore"):
            plain = np.float64(x) * np.float64(y) + np.float64(z)
        finite = all(map(math.isfinite, (x, y, z)))
        exact = Fraction(x) * Fraction(y) + Fraction(z) if finite else None
        result.append(once(exact, dtype) if exact else dtype(plain))
    return np.array(result, dtype)


def once(exact, dtype):
    """A fraction as the nearest number of a type, ties to even."""
    if dtype is np.float64:
        try:
            return float(exact)
        except OverflowError:
            return math.inf if exact > 0 else -math.inf
    most = float(np.finfo(dtype).max)
    if abs(exact) > Fraction(most):
        return dtype(math.copysign(math.inf if abs(exact) >= Fraction(most) + Fraction(2) ** 103 else most, exact))
    low, high = nearest(exact, dtype, "rm"), nearest(exact, dtype, "rp")
    below, above = exact - Fraction(float(low)), Fraction(float(high)) - exact
    if below == above:
        return low if np.array(low).view(np.uint32) % 2 == 0 else high
    closest = low if below < above else high
    return dtype(math.copysign(closest, exact))


def smaller(a, b):
    """The smaller one, -0 below 0, a number rather than NaN."""
    less = (a < b) | ((a == b) & np.signbit(a)) | np.isnan(b)
    return np.where(less, a, b)


def larger(a, b):
    return -smaller(-a, -b)


def exact_floats(f):
    def want(*arrays):
        with np.errstate(all="ignore"):
            return np.asarray(f(*arrays)).astype(arrays[0].dtype)

    return want


def float_cases():
    for t in ("f32", "f64"):
        two = {
            "add": np.add, "sub": np.subtract, "mul": np.multiply, "div.rn": np.divide, "min": smaller, "max": larger,
            "copysign": lambda a, b: np.copysign(b, a),
        }  # fmt: skip
        yield from (Case(f"{name}.{t} d, a, b", (t, t), t, exact_floats(f)) for name, f in two.items())
        yield Case(f"fma.rn.{t} d, a, b, c", (t,) * 3, t, fused)
        one = {"sqrt.rn": np.sqrt, "rcp.rn": np.reciprocal, "neg": np.negative, "abs": np.abs}
        yield from (Case(f"{name}.{t} d, a", (t,), t, exact_floats(f)) for name, f in one.items())
        yield Case(f"rsqrt.approx.{t} d, a", (t,), t, exact_floats(lambda a: 1 / np.sqrt(a.astype("f8"))), close=2e-7)
        yield Case(f"cvt.sat.{t}.{t} d, a", (t,), t, exact_floats(lambda a: np.where(a > 0, np.minimum(a, 1), 0)))
        ordered = {"eq": np.equal, "ne": lambda a, b: (a < b) | (a > b), "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal}
        ordered["num"] = lambda a, b: ~np.isnan(a) & ~np.isnan(b)
        opposite = {"neu": "eq", "equ": "ne", "geu": "lt", "gtu": "le", "leu": "gt", "ltu": "ge", "nan": "num"}
        for name, f in ordered.items():
            yield Case(f"setp.{name}.{t} d, a, b", (t, t), "pred", lambda a, b, f=f: f(a, b).astype("u4"))
        for name, of in opposite.items():
            yield Case(f"setp.{name}.{t} d, a, b", (t, t), "pred", lambda a, b, f=ordered[of]: (~f(a, b)).astype("u4"))
    propagate = lambda f: lambda a, b: np.where(np.isnan(a) | np.isnan(b), np.float32(np.nan), f(a, b))
    yield Case("min.NaN.f32 d, a, b", ("f32", "f32"), "f32", exact_floats(propagate(smaller)))
    yield Case("max.NaN.f32 d, a, b", ("f32", "f32"), "f32", exact_floats(propagate(larger)))
    approximate = {"ex2": np.exp2, "lg2": np.log2, "sin": np.sin, "cos": np.cos, "tanh": np.tanh}
    for name, f in approximate.items():
        yield Case(f"{name}.approx.f32 d, a", ("f32",), "f32", exact_floats(lambda a, f=f: f(a.astype("f8"))), close=3e-7)
    ftz = lambda f: lambda *arrays: flushed(exact_floats(f)(*map(flushed, arrays)))
    for name, f in {"add": np.add, "mul": np.multiply, "div.approx": np.divide, "max": larger}.items():
        yield Case(f"{name}.ftz.f32 d, a, b", ("f32", "f32"), "f32", ftz(f))
    yield Case("fma.rn.ftz.f32 d, a, b, c", ("f32",) * 3, "f32", lambda *arrays: flushed(fused(*map(flushed, arrays))))
    yield Case("add.sat.f32 d, a, b", ("f32", "f32"), "f32", exact_floats(lambda a, b: np.where(a + b > 0, np.minimum(a + b, 1), 0)))
    yield Case("setp.gt.ftz.f32 d, a, b", ("f32", "f32"), "pred", lambda a, b: (flushed(a) > flushed(b)).astype("u4"))


CASES = [*integer_cases(), *bit_cases(), *float_cases(), *rounded_cases()]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_opcode(case: Case):
    arrays = operands(case.takes) if case.values is None else case.values
    assert_same(run(case, arrays), case.want(*arrays), case.close, arrays)
