"""Loads, stores, atomics and cp.async: every size and space, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from minigrad.kernels.simulator import KernelFault, Pointer

from .harness import kernel_text, module

LANE = "mov.u32 %r0, %tid.x; ld.param.u64 %rd0, [x]; ld.param.u64 %rd1, [y];"
PLACES = [(vector, bits) for vector in (1, 2, 4) for bits in (8, 16, 32, 64)] + [(8, 32)]


def copy_text(vector: int, bits: int, space: str) -> str:
    """x to y, by way of shared or local memory, or straight."""
    size = vector * bits // 8
    register = {8: "%rs", 16: "%rs", 32: "%r", 64: "%rd"}[bits]
    names = [f"{register}{k + 8}" for k in range(vector)]
    what = f"{'.v' + str(vector) if vector > 1 else ''}.b{bits}"
    held = "{" + ", ".join(names) + "}" if vector > 1 else names[0]
    through = ""
    if space != "global":
        address = {"shared": "mul.lo.u32 %r1, %r0, {0}; mov.u32 %r2, buffer; add.u32 %r1, %r1, %r2;", "local": "mov.u32 %r1, own;",
                   "generic": "mul.wide.u32 %rd5, %r0, {0}; mov.u64 %rd6, buffer; cvta.shared.u64 %rd6, %rd6; add.s64 %rd5, %rd5, %rd6;"}[space]  # fmt: skip
        register = "%rd5" if space == "generic" else "%r1"
        dot = "" if space == "generic" else f".{space}"
        clear = " ".join(f"mov.b{max(16, bits)} {n}, 0;" for n in names)
        through = f"{address.format(size)} st{dot}{what} [{register}], {held}; {clear} ld{dot}{what} {held}, [{register}];"
    declared = f".shared .align 32 .b8 buffer[{64 * size}]; .local .align 32 .b8 own[{size}];"
    return kernel_text(f"""{declared} {LANE} mul.wide.u32 %rd2, %r0, {size}; add.s64 %rd3, %rd0, %rd2; add.s64 %rd4, %rd1, %rd2;
        ld.global.nc{what} {held}, [%rd3]; {through} st.global{what} [%rd4], {held};""")


@pytest.mark.parametrize("space", ["global", "shared", "local", "generic"])
@pytest.mark.parametrize(("vector", "bits"), PLACES)
def test_copy(vector: int, bits: int, space: str):
    size = vector * bits // 8
    x = np.random.default_rng(bits).integers(0, 256, 50 * size).astype(np.uint8)
    for mode, order in (("fast", "ascending"), ("checked", "random")):
        y = np.zeros_like(x)
        result = module(copy_text(vector, bits, space)).get("k").launch((1,), (50,), (x, y), mode=mode, order=order)
        assert (x == y).all()
        assert not result.findings


@pytest.mark.parametrize(("kind", "want"), [("u8", np.uint8), ("s8", np.int8), ("u16", np.uint16), ("s16", np.int16)])
def test_narrow_loads_extend(kind: str, want: type):
    """A value narrower than its register is extended by its sign or by zeros."""
    size = np.dtype(want).itemsize
    text = kernel_text(f"""{LANE} mul.wide.u32 %rd2, %r0, {size}; add.s64 %rd3, %rd0, %rd2; mul.wide.u32 %rd2, %r0, 4;
        add.s64 %rd4, %rd1, %rd2; ld.global.{kind} %r1, [%rd3]; st.global.b32 [%rd4], %r1;""")
    x, y = np.arange(-20, 20).astype(want), np.zeros(40, np.int32)
    module(text).get("k").launch((1,), (40,), (x, y))
    assert (y == x.astype(np.int32)).all()


# ------------------------------------------------------------------------------------------------ atomics

ATOMICS = {
    "add": (lambda o, a: o + a, ("u32", "s32", "u64", "s64", "f32", "f64")),
    "min": (min, ("u32", "s32", "u64", "s64")),
    "max": (max, ("u32", "s32", "u64", "s64")),
    "and": (lambda o, a: o & a, ("b32", "b64")),
    "or": (lambda o, a: o | a, ("b32", "b64")),
    "xor": (lambda o, a: o ^ a, ("b32", "b64")),
    "exch": (lambda o, a: a, ("b32", "b64")),
    "inc": (lambda o, a: 0 if o >= a else o + 1, ("u32",)),
    "dec": (lambda o, a: a if o == 0 or o > a else o - 1, ("u32",)),
}
TYPES = {"u": "u", "s": "i", "b": "u", "f": "f"}


def atomic_text(name: str, kind: str, space: str = "global") -> str:
    """Threads add x[t] to cell t % 3 of y; what was there before goes to y[3 + t]."""
    size = int(kind[1:]) // 8
    r = "%r" if size == 4 else "%rd"
    value, old = f"{r}9", f"{r}10"
    return kernel_text(f"""{LANE} mul.wide.u32 %rd2, %r0, {size}; add.s64 %rd3, %rd0, %rd2; ld.global.b{8 * size} {value}, [%rd3];
        rem.u32 %r1, %r0, 3; mul.wide.u32 %rd4, %r1, {size}; add.s64 %rd4, %rd1, %rd4;
        atom.global.{name}.{kind} {old}, [%rd4], {value}; add.s64 %rd5, %rd1, %rd2; st.global.b{8 * size} [%rd5+{3 * size}], {old};""")


@pytest.mark.parametrize("order", ["ascending", "descending"])
@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name, (_, kinds) in ATOMICS.items() for kind in kinds])
def test_atomic(name: str, kind: str, order: str):
    dtype = np.dtype(f"{TYPES[kind[0]]}{int(kind[1:]) // 8}")
    draws = np.random.default_rng(3).integers(0, 2**31, 40) * (1 if kind[0] == "u" else -1 if kind == "s32" else 1)
    x = (draws % 9 if name in ("inc", "dec") else draws).astype(dtype)
    y = np.zeros(43, dtype)
    y[:3] = 5
    want = y.copy()
    for t in range(40) if order == "ascending" else reversed(range(40)):
        with np.errstate(over="ignore"):
            want[3 + t], want[t % 3] = want[t % 3], ATOMICS[name][0](want[t % 3], x[t])
    findings = module(atomic_text(name, kind)).get("k").launch((1,), (40,), (x, y), mode="checked", order=order).findings
    assert (y == want).all()
    assert not findings


CAS = {
    bits: kernel_text(f"""{LANE} mul.wide.u32 %rd2, %r0, {bits // 8}; mov.b{bits} {r}9, 7; cvt.u{bits}.u32 {r}10, %r0;
        atom.global.cas.b{bits} {r}11, [%rd1], {r}9, {r}10; add.s64 %rd3, %rd0, %rd2; st.global.b{bits} [%rd3], {r}11;""")
    for bits, r in ((32, "%r"), (64, "%rd"))
}


@pytest.mark.parametrize("bits", CAS)
def test_compare_and_swap(bits: int):
    """The first thread finds 7 and puts its number there; the others find that number."""
    x, y = np.zeros(40, f"u{bits // 8}"), np.array([7], f"u{bits // 8}")
    module(CAS[bits]).get("k").launch((1,), (40,), (x, y), mode="checked", order="descending")
    assert y[0] == 39  # the last warp goes first, and in it the last lane
    assert sorted(x.tolist()) == [7, *[39] * 39]


def test_red_and_atomics_of_many_blocks():
    """A histogram over blocks that several threads of this computer share."""
    text = kernel_text("""mov.u32 %r0, %ctaid.x; mov.u32 %r1, %ntid.x; mov.u32 %r2, %tid.x; mad.lo.u32 %r0, %r0, %r1, %r2;
        ld.param.u64 %rd0, [x]; ld.param.u64 %rd1, [y]; mul.wide.u32 %rd2, %r0, 4; add.s64 %rd0, %rd0, %rd2; ld.global.u32 %r3, [%rd0];
        mul.wide.u32 %rd3, %r3, 4; add.s64 %rd1, %rd1, %rd3; red.global.add.u32 [%rd1], 1;""")
    x, y = np.random.default_rng(0).integers(0, 7, 64 * 200).astype(np.uint32), np.zeros(7, np.uint32)
    module(text).get("k").launch((200,), (64,), (x, y), threads=4)
    assert (y == np.bincount(x, minlength=7)).all()


# ------------------------------------------------------------------------------------------------ cp.async


def async_text(size: int, wait: str, given: str = "", middle: str = "") -> str:
    """x to shared memory asynchronously, to y after `wait`."""
    words = size // 4
    vector = f".v{words}" if words > 1 else ""
    names = [f"%r{k + 10}" for k in range(words)]
    held = "{" + ", ".join(names) + "}" if words > 1 else names[0]
    kind = "cg" if size == 16 else "ca"
    return kernel_text(f""".shared .align 16 .b8 buffer[{64 * size}]; {LANE} mul.wide.u32 %rd2, %r0, {size};
        add.s64 %rd3, %rd0, %rd2; add.s64 %rd4, %rd1, %rd2; mul.lo.u32 %r1, %r0, {size}; mov.u32 %r2, buffer; add.u32 %r1, %r1, %r2;
        mov.u32 %r3, %r0; and.b32 %r3, %r3, 15;
        cp.async.{kind}.shared.global [%r1], [%rd3], {size}{given}; cp.async.commit_group; {middle} {wait}
        ld.shared{vector}.b32 {held}, [%r1]; st.global{vector}.b32 [%rd4], {held};""")


@pytest.mark.parametrize("size", [4, 8, 16])
@pytest.mark.parametrize("wait", ["cp.async.wait_group 0;", "cp.async.wait_all;"])
def test_asynchronous_copy(size: int, wait: str):
    x = np.random.default_rng(size).integers(0, 256, 64 * size).astype(np.uint8)
    y = np.zeros_like(x)
    assert not module(async_text(size, wait)).get("k").launch((1,), (64,), (x, y), mode="checked").findings
    assert (x == y).all()


def test_asynchronous_copy_fills_with_zeros():
    """A source of fewer bytes than the copy: the rest is zero, and no byte of it is read."""
    x = np.random.default_rng(1).integers(1, 256, 64 * 16).astype(np.uint8)
    y = np.zeros_like(x)
    module(async_text(16, "cp.async.wait_group 0;", ", %r3")).get("k").launch((1,), (64,), (x, y))
    want = x.reshape(64, 16).copy()
    for t in range(64):
        want[t, t % 16 :] = 0
    assert (y.reshape(64, 16) == want).all()


@pytest.mark.parametrize(("wait", "middle"), [
    ("", ""), ("cp.async.wait_group 1;", ""), ("", "cp.async.wait_group 0; cp.async.ca.shared.global [%r1], [%rd3], 8;"),
])  # fmt: skip
def test_asynchronous_copy_lands_at_its_wait_and_no_earlier(wait: str, middle: str):
    x, y = np.full(64 * 2, 9, np.uint32), np.zeros(64 * 2, np.uint32)
    kernel = module(async_text(8, wait, middle=middle)).get("k")
    result = kernel.launch((1,), (64,), (x, y), mode="checked")
    assert {finding.kind for finding in result.findings} == {"read before wait"}
    if not middle:
        kernel.launch((1,), (64,), (x, y), mode="fast")
        assert (y == 0xFFFFFFFF).all(), "fresh shared memory holds ones, and the copy must not have come yet"


def test_groups_of_copies_land_in_order():
    """wait_group 1 leaves the youngest group under way."""
    second = "cp.async.ca.shared.global [%r1+8192], [%rd3], 8; cp.async.commit_group;"
    text = async_text(8, "cp.async.wait_group 1;", middle=second).replace("buffer[512]", "buffer[16384]")
    x, y = np.arange(128, dtype=np.uint32), np.zeros(128, np.uint32)
    assert not module(text).get("k").launch((1,), (64,), (x, y), mode="checked").findings
    assert (x == y).all()


# ------------------------------------------------------------------------------------------------ what a kernel may touch

FETCH = kernel_text("""ld.param.u64 %rd0, [x]; ld.param.u64 %rd1, [y]; ld.global.u64 %rd2, [%rd0];
    ld.global.u32 %r1, [%rd2]; st.global.u32 [%rd1], %r1;""")


def test_memory_behind_pointers_must_be_named():
    data, y = np.array([42], np.uint32), np.zeros(1, np.uint32)
    table = np.array([data.ctypes.data], np.uint64)
    kernel = module(FETCH).get("k")
    kernel.launch((1,), (1,), (table, y), memory=[data])
    assert y[0] == 42
    with pytest.raises(KernelFault, match="reads 4 bytes"):
        kernel.launch((1,), (1,), (table, y))
    kernel.launch((1,), (1,), (Pointer(table.ctypes.data, 8), y), memory=[data])


def test_module_variables_hold_what_they_were_given():
    outside = ".const .align 4 .b8 numbers[8] = {1, 0, 0, 0, 0xFE, 255, 255, 255};\n.global .align 4 .u32 counter = 7;"
    text = kernel_text("""ld.param.u64 %rd1, [y]; ld.const.u32 %r1, [numbers+4]; ld.global.u32 %r2, [counter]; st.global.u32 [%rd1], %r1;
        st.global.u32 [%rd1+4], %r2; mov.u64 %rd2, numbers; cvta.const.u64 %rd2, %rd2; ld.u32 %r3, [%rd2]; st.global.u32 [%rd1+8], %r3;""",
        ".param .u64 y", outside)  # fmt: skip
    y = np.zeros(3, np.uint32)
    module(text).get("k").launch((1,), (1,), (y,))
    assert y.tolist() == [0xFFFFFFFE, 7, 1]


def test_struct_parameters():
    text = kernel_text("""ld.param.u64 %rd1, [y]; ld.param.v2.u32 {%r1, %r2}, [s+8]; ld.param.u8 %rs1, [s+3]; cvt.u32.u16 %r3, %rs1;
        st.global.v2.u32 [%rd1], {%r1, %r2}; st.global.u32 [%rd1+8], %r3;""", ".param .u64 y, .param .align 8 .b8 s[16]")  # fmt: skip
    out = np.zeros(4, np.uint32)
    module(text).get("k").launch((1,), (1,), (out, bytes(range(16))))
    assert out.tolist() == [0x0B0A0908, 0x0F0E0D0C, 3, 0]


TEXTS = [
    *(copy_text(vector, bits, "global") for vector, bits in PLACES), *CAS.values(),
    *(atomic_text(name, kind) for name, (_, kinds) in ATOMICS.items() for kind in kinds),
    *(async_text(size, "cp.async.wait_group 0;") for size in (4, 8, 16)),
]  # fmt: skip
