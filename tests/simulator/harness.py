"""One PTX instruction, put into a kernel that runs it on arrays: no NVRTC is needed, a C++ compiler is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from minigrad.kernels.simulator import MissingTool, Module, Pointer, host
from minigrad.kernels.simulator.encode import Encoder
from minigrad.kernels.simulator.ptx import parse, size_of

DTYPES = {
    "u8": np.uint8, "s8": np.int8, "u16": np.uint16, "s16": np.int16, "u32": np.uint32, "s32": np.int32, "u64": np.uint64,
    "s64": np.int64, "b16": np.uint16, "b32": np.uint32, "b64": np.uint64, "f32": np.float32, "f64": np.float64,
    "f16": np.float16, "bf16": np.uint16, "f16x2": np.uint32, "bf16x2": np.uint32, "pred": np.uint32,
}  # fmt: skip
HEADER = ".version 8.5\n.target sm_90\n.address_size 64\n"


def tools() -> None:
    """Skip where there is no C++ compiler, with the sentence that a user would read."""
    try:
        host.compiler()
    except MissingTool as error:
        pytest.skip(str(error))


@dataclass(frozen=True)
class Case:
    """`instruction` computes d from a, b, c and e, which have the types `takes`; `gives` is the type of d.

    `want` is the reference, of arrays. If `close` is 0, every bit must be right (one NaN is as good as another).
    """

    instruction: str
    takes: tuple[str, ...]
    gives: str
    want: Callable[..., Any]
    close: float = 0.0
    values: tuple[Any, ...] | None = None

    def __str__(self) -> str:
        return self.instruction.partition(" ")[0] if self.instruction.count(";") == 0 else self.instruction

    @property
    def text(self) -> str:
        """A kernel that does it for every element of its arrays."""
        return element_kernel(self.instruction, self.takes, self.gives)


def _register(kind: str) -> str:
    return "pred" if kind == "pred" else f"b{max(16, 8 * size_of(kind))}"


def element_kernel(instruction: str, takes: Sequence[str], gives: str) -> str:
    """PTX that loads the operands of a thread, executes the instruction and stores d."""
    names = "abce"[: len(takes)]
    lines = [".reg .b32 i, n, t, u;", ".reg .b64 p, o;", ".reg .pred out;", f".reg .{_register(gives)} d;", ".reg .pred q;"]
    lines += [f".reg .{_register(kind)} {name};" for name, kind in zip(names, takes)]
    lines += ["mov.u32 t, %ctaid.x;", "mov.u32 u, %ntid.x;", "mov.u32 i, %tid.x;", "mad.lo.u32 i, t, u, i;"]
    lines += ["ld.param.u32 n, [count];", "setp.ge.u32 out, i, n;", "@out bra done;"]
    for name, kind in zip(names, takes):
        stored = "b32" if kind == "pred" else kind if kind in ("u8", "s8") else f"b{8 * size_of(kind)}"
        lines += [f"ld.param.u64 p, [p_{name}];", f"mul.wide.u32 o, i, {size_of(kind)};", "add.s64 p, p, o;"]
        if kind == "pred":
            lines += ["ld.global.b32 u, [p];", f"setp.ne.u32 {name}, u, 0;"]
        else:
            lines.append(f"ld.global.{stored} {name}, [p];")
    lines += [f"{instruction};", "ld.param.u64 p, [p_d];", f"mul.wide.u32 o, i, {size_of(gives)};", "add.s64 p, p, o;"]
    lines += ["selp.u32 u, 1, 0, d;", "st.global.b32 [p], u;"] if gives == "pred" else [f"st.global.b{8 * size_of(gives)} [p], d;"]
    parameters = ", ".join([f".param .u64 p_{name}" for name in [*names, "d"]] + [".param .u32 count"])
    body = "\n    ".join(lines)
    return f"{HEADER}.visible .entry k({parameters})\n{{\n    {body}\ndone:\n    ret;\n}}\n"


def kernel_text(body: str, parameters: str = ".param .u64 x, .param .u64 y", outside: str = "") -> str:
    """A kernel `k` with a body; %r, %f, %rd, %p, %rs are there for it."""
    registers = ".reg .pred %p<16>; .reg .b16 %rs<16>; .reg .b32 %r<64>; .reg .f32 %f<16>; .reg .b64 %rd<16>;"
    return f"{HEADER}{outside}\n.visible .entry k({parameters})\n{{\n{registers}\n{body}\nret;\n}}\n"


@cache
def module(text: str) -> Module:
    """The module of a text; made once."""
    tools()
    return Module(text)


def run(case: Case, arrays: Sequence[np.ndarray]) -> np.ndarray:
    """d for every element."""
    out = np.zeros(len(arrays[0]), DTYPES[case.gives])
    block = 96
    grid = -(-len(out) // block)
    module(case.text).get("k").launch((grid,), (block,), (*arrays, out, np.uint32(len(out))), threads=1)
    return out


def operations(text: str) -> set[str]:
    """The names of the runtime's operations that a text comes to."""
    file, everything = parse(text), host.opcodes()
    return {o.name for kernel in file.kernels.values() for o in Encoder(file, kernel, {}, everything).operations}


# ------------------------------------------------------------------------------------------------ values

FLOATS = [
    0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -2.5, 3.7, -3.7, 0.1, 1 / 3, 100.25, -127.5, 128.5, 255.5, 32767.5, 65504.0, 65520.0, 1e-5,
    2.0**31, -(2.0**31), 2.0**31 - 128, 2.0**32, 2.0**63, -(2.0**63), 2.0**64, 1e30, -3.4e38, np.inf, -np.inf, np.nan, 1e-40, -1e-45,
    1.1754944e-38, 2.0**-24, 6e-8, 9.999e-8, 1 + 2.0**-11, -1 - 3 * 2.0**-11,  # the last two lie between two of TF32
]  # fmt: skip


def edges(kind: str) -> np.ndarray:
    """Numbers of a type at which things go wrong, and a few others."""
    rng = np.random.default_rng(5)
    if kind == "pred":
        return np.array([0, 1], np.uint32)
    if kind in ("f16x2", "bf16x2"):
        low, high = edges(kind[:-2]).view(np.uint16).astype(np.uint32), edges(kind[:-2])[::-1].view(np.uint16).astype(np.uint32)
        return high << 16 | low
    if kind == "bf16":
        return (np.array(FLOATS, np.float32).view(np.uint32) >> 16).astype(np.uint16)
    if kind[0] == "f":
        more = [1.7976931348623157e308, 5e-324, -2.3e-308, 1e16 + 1] if kind == "f64" else []
        with np.errstate(all="ignore"):
            drawn = rng.standard_normal(6) * 10.0 ** rng.integers(-4, 4, 6)
            return np.array([*FLOATS, *more, *drawn], np.float64).astype(DTYPES[kind])
    dtype = np.dtype(DTYPES[kind])
    bits = 8 * dtype.itemsize
    numbers = [0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 33, 63, 64, 100, 127, 128, 255, 256, -1, -2, -31, -32, -33, -128, -129]
    numbers += [2 ** (bits - 1), 2 ** (bits - 1) - 1, 2 ** (bits - 1) + 1, 2**bits - 2, int("55" * 8, 16), int("AA" * 8, 16)]
    numbers += [int(n) for n in rng.integers(0, 2**63, 4)]
    return np.array([n % 2**bits for n in numbers], f"u{dtype.itemsize}").view(dtype)


def operands(kinds: Sequence[str]) -> list[np.ndarray]:
    """Every pair of edges; of three and more operands, some thousand draws."""
    all_edges = [edges(kind) for kind in kinds]
    if len(kinds) <= 2:
        return [grid.ravel().copy() for grid in np.meshgrid(*all_edges, indexing="ij")]
    rng = np.random.default_rng(len(kinds))
    return [rng.choice(values, 1999) for values in all_edges]


def assert_same(got: np.ndarray, want: np.ndarray, close: float, arrays: Sequence[np.ndarray]) -> None:
    """Bits equal, or close for approximations."""
    assert got.dtype == want.dtype, (got.dtype, want.dtype)
    floating = got.dtype.kind == "f"
    nans = (np.isnan(got) & np.isnan(want)) if floating else np.zeros(got.shape, bool)
    if close:
        with np.errstate(all="ignore"):
            good = (got == want) | (np.abs(got.astype("f8") - want) <= close * np.maximum(np.abs(want), 1e-3))
    else:
        unsigned = f"u{got.dtype.itemsize}"
        good = got.view(unsigned) == want.view(unsigned)
    bad = np.flatnonzero(~(good | nans))
    told = [f"{[a[k] for a in arrays]} gives {got[k]!r}, not {want[k]!r}" for k in bad[:5]]
    assert not told, "; ".join(told)


__all__ = ["DTYPES", "Case", "Pointer", "assert_same", "edges", "kernel_text", "module", "operands", "operations", "run"]
