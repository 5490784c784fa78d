"""Conversions between all types, and arithmetic in half precision, on every edge."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from .harness import DTYPES, Case, assert_same, operands, run
from .test_opcodes import exact_floats, flushed, integer, larger, nearest, smaller

INTEGERS = ("u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64")


def limits(kind):
    info = np.iinfo(DTYPES[kind])
    return int(info.min), int(info.max)


def to_integer(rounding, to, source):
    """Rounded, stopped at the limits; NaN is 0, or the highest bit alone where one of the types has 64 bits."""
    low, high = limits(to)
    wide = "64" in to + source
    lone = 1 << (8 * np.dtype(DTYPES[to]).itemsize - 1)

    def one(x):
        if math.isnan(x):
            return lone if wide else 0
        if math.isinf(x):
            return high if x > 0 else low
        return min(max({"rni": round, "rzi": math.trunc, "rmi": math.floor, "rpi": math.ceil}[rounding](Fraction(x)), low), high)

    return lambda a: integer(to, one)(a.astype("f8"))


def from_integer(mode, to):
    dtype = DTYPES[to]
    if mode == "rn":
        return lambda a: np.array([float(dtype(0)) if n == 0 else round_integer(int(n), dtype) for n in a.tolist()], dtype)
    return lambda a: np.array([nearest(Fraction(n), dtype, mode) if n else dtype(0) for n in a.tolist()], dtype)


def round_integer(n, dtype):
    """An integer to the nearest float, ties to even, in integers alone."""
    extra = max(0, abs(n).bit_length() - (np.finfo(dtype).nmant + 1))
    kept, rest, half = abs(n) >> extra, abs(n) & ((1 << extra) - 1), (1 << extra) >> 1
    kept += rest > half or (rest == half and extra and kept & 1)
    return math.copysign(float(kept << extra), n)


def conversion_cases():
    for s in INTEGERS:
        for t in INTEGERS:
            low, high = limits(t)
            yield Case(f"cvt.{t}.{s} d, a", (s,), t, integer(t, lambda a: a))
            yield Case(f"cvt.sat.{t}.{s} d, a", (s,), t, integer(t, lambda a, low=low, high=high: min(max(a, low), high)))
        for mode in ("rn", "rz", "rm", "rp"):
            yield Case(f"cvt.{mode}.f32.{s} d, a", (s,), "f32", from_integer(mode, "f32"))
        yield Case(f"cvt.rn.f64.{s} d, a", (s,), "f64", from_integer("rn", "f64"))
    for f in ("f32", "f64"):
        for mode, whole in (("rni", np.rint), ("rzi", np.trunc), ("rmi", np.floor), ("rpi", np.ceil)):
            yield from (Case(f"cvt.{mode}.{t}.{f} d, a", (f,), t, to_integer(mode, t, f)) for t in INTEGERS)
            yield Case(f"cvt.{mode}.{f}.{f} d, a", (f,), f, exact_floats(whole))
    yield Case("cvt.f64.f32 d, a", ("f32",), "f64", lambda a: a.astype("f8"))
    yield Case("cvt.rn.f32.f64 d, a", ("f64",), "f32", quiet(lambda a: a.astype("f4")))
    for mode in ("rz", "rm", "rp"):
        draws = np.random.default_rng(1).standard_normal(500) * 1e3
        want = lambda a, mode=mode: np.array([nearest(Fraction(x), np.float32, mode) for x in a.tolist()], "f4")
        yield Case(f"cvt.{mode}.f32.f64 d, a", ("f64",), "f32", want, values=(draws,))
    yield Case("cvt.f32.f32 d, a", ("f32",), "f32", lambda a: a)
    yield Case("cvt.f64.f64 d, a", ("f64",), "f64", lambda a: a)
    yield Case("cvt.ftz.f64.f32 d, a", ("f32",), "f64", lambda a: flushed(a).astype("f8"))
    yield Case("cvt.rmi.ftz.s32.f32 d, a", ("f32",), "s32", lambda a: to_integer("rmi", "s32", "f32")(flushed(a)))
    yield Case("cvt.rna.tf32.f32 d, a", ("f32",), "b32", lambda a: tf32(a, 0x1000))
    yield Case("cvt.rn.tf32.f32 d, a", ("f32",), "b32", lambda a: tf32(a, 0xFFF + (a.view("u4") >> 13 & 1)))


def quiet(f):
    def want(*arrays):
        with np.errstate(all="ignore"):
            return f(*arrays)

    return want


def tf32(a, half):
    codes = a.view("u4")
    return np.where(np.isfinite(a), (codes + half).astype("u4") & np.uint32(0xFFFFE000), codes)


# ------------------------------------------------------------------------------------------------ half precision


def decode(kind, codes):
    codes = np.ascontiguousarray(codes).view(np.uint16)
    return (codes.view(np.float16) if kind == "f16" else (codes.astype("u4") << 16).view("f4")).astype("f8")


@quiet
def encode(kind, x):
    """Numbers of double precision in 16 bits, rounded once; every NaN as 0x7fff."""
    x = np.asarray(x, "f8")
    if kind == "f16":
        codes = x.astype(np.float16).view(np.uint16)
    else:  # cut to odd at 24 bits, so that the second rounding sees what the first one lost
        cut = x.astype("f4")
        inexact = (cut.astype("f8") != x) & np.isfinite(cut)
        toward = np.where(np.abs(cut.astype("f8")) > np.abs(x), np.nextafter(cut, np.float32(0)), cut)
        bits = np.where(inexact, toward.view("u4") | 1, cut.view("u4"))
        codes = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(x), np.uint16(0x7FFF), codes)


def half(kind, f):
    def want(*arrays):
        with np.errstate(all="ignore"):
            codes = encode(kind, f(*(decode(kind, a) for a in arrays)))
        return codes.view(DTYPES[kind])

    return want


def pairs(kind, f):
    def want(*arrays):
        parts = [np.ascontiguousarray(a).view(np.uint16).reshape(-1, 2) for a in arrays]
        done = [half(kind, f)(*(np.ascontiguousarray(p[:, k]) for p in parts)).view(np.uint16) for k in (0, 1)]
        return done[1].astype("u4") << 16 | done[0]

    return want


def half_cases():
    functions = {
        "add": (2, np.add), "sub": (2, np.subtract), "mul": (2, np.multiply), "fma.rn": (3, lambda a, b, c: a * b + c), "min": (2, smaller),
        "max": (2, larger), "neg": (1, np.negative), "abs": (1, np.abs),
    }  # fmt: skip
    for t in ("f16", "bf16"):
        for name, (count, f) in functions.items():
            letters = ", ".join("abc"[:count])
            yield Case(f"{name}.{t} d, {letters}", (t,) * count, t, half(t, f))
            yield Case(f"{name}.{t}x2 d, {letters}", (f"{t}x2",) * count, f"{t}x2", pairs(t, f))
        compared = {"eq": np.equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "neu": np.not_equal}
        compared |= {"ne": lambda a, b: (a < b) | (a > b), "nan": lambda a, b: np.isnan(a) | np.isnan(b)}
        for name, f in compared.items():
            want = lambda a, b, f=f, t=t: f(decode(t, a), decode(t, b)).astype("u4")
            yield Case(f"setp.{name}.{t} d, a, b", (t, t), "pred", want)
        yield Case(f"cvt.f32.{t} d, a", (t,), "f32", lambda a, t=t: decode(t, a).astype("f4"))
        yield Case(f"cvt.rn.{t}.f32 d, a", ("f32",), t, lambda a, t=t: encode(t, a).view(DTYPES[t]))
        want = lambda a, b, t=t: encode(t, a).astype("u4") << 16 | encode(t, b)
        yield Case(f"cvt.rn.{t}x2.f32 d, a, b", ("f32", "f32"), f"{t}x2", want)
    yield Case("cvt.f64.f16 d, a", ("f16",), "f64", lambda a: a.astype("f8"))
    yield Case("cvt.rn.f16.f64 d, a", ("f64",), "f16", lambda a: encode("f16", a).view(np.float16))
    for t in ("s32", "u32", "s16", "u16"):
        yield Case(f"cvt.rn.f16.{t} d, a", (t,), "f16", quiet(lambda a: a.astype("f8").astype(np.float16)))
        if t != "u16":
            yield Case(f"cvt.rzi.{t}.f16 d, a", ("f16",), t, to_integer("rzi", t, "f16"))


CASES = [*conversion_cases(), *half_cases()]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_conversion(case: Case):
    arrays = operands(case.takes) if case.values is None else case.values
    assert_same(run(case, arrays), case.want(*arrays), case.close, arrays)
