"""Checked mode: tiny faulty kernels, one for each kind of fault, in three orders; and right ones, with no finding."""

from __future__ import annotations

import numpy as np
import pytest
from minigrad.kernels.simulator import KernelFault, LaunchError, Result, UnsupportedPTX, launch
from minigrad.kernels.simulator.findings import KINDS

from .harness import kernel_text, module

ORDERS = ("ascending", "descending", "random")

# %r0: the thread; %r1: the address of its word in the shared buffer of 64; %rd2, %rd3: of its words of x and y.
START = """.shared .align 16 .b8 buffer[256]; .local .align 4 .b8 own[16];
    mov.u32 %r0, %tid.x; mov.u32 %r2, buffer; mad.lo.u32 %r1, %r0, 4, %r2; ld.param.u64 %rd0, [x]; ld.param.u64 %rd1, [y];
    mul.wide.u32 %rd4, %r0, 4; add.s64 %rd2, %rd0, %rd4; add.s64 %rd3, %rd1, %rd4; mov.u32 %r9, %ctaid.x;
    setp.eq.u32 %p1, %r0, 0; setp.lt.u32 %p2, %r0, 16; setp.lt.u32 %p3, %r0, 32; setp.eq.u32 %p4, %r0, 40;"""
PUT, GET = "st.shared.u32 [%r1], %r0;", "st.global.u32 [%rd3], %r5;"
TURNED = "xor.b32 %r3, %r0, 32; mad.lo.u32 %r4, %r3, 4, %r2;"  # the word of a thread in the other warp
NEAR = "xor.b32 %r3, %r0, 1; mad.lo.u32 %r4, %r3, 4, %r2;"  # of the neighbour
BARRIER, SYNC = "bar.sync 0;", "bar.warp.sync -1;"

RIGHT = {
    "barrier": f"{PUT} {BARRIER} {TURNED} ld.shared.u32 %r5, [%r4]; {GET}",
    "barrier before and after": f"{PUT} {BARRIER} {TURNED} ld.shared.u32 %r5, [%r4]; {BARRIER} {PUT} {GET}",
    "warp barrier": f"{PUT} {SYNC} {NEAR} ld.shared.u32 %r5, [%r4]; {SYNC} {PUT} {GET}",
    "warp barrier of a half": f"{PUT} @!%p2 bra end; bar.warp.sync 0xffff; {NEAR} ld.shared.u32 %r5, [%r4]; {GET} end:",
    "equal values": f"mov.u32 %r5, 7; st.shared.u32 [%r2], %r5; {GET}",
    "neighbouring bytes": "add.u32 %r4, %r2, %r0; st.shared.u8 [%r4], %r0; st.global.u32 [%rd3], %r0;",
    "atomics": f"@%p1 st.shared.u32 [%r2], %r0; {BARRIER} atom.shared.add.u32 %r5, [%r2], 1; {GET}",
    "global atomics of blocks": "red.global.add.u32 [%rd1+512], 1;",
    "a barrier that a warp comes to in two ways": f"@%p2 bra a; {PUT} bra b; a: {PUT} b: {BARRIER} {TURNED} ld.shared.u32 %r5, [%r4]; {GET}",
    "own local array": "mov.u64 %rd5, own; cvta.local.u64 %rd5, %rd5; st.u32 [%rd5+12], %r0; ld.local.u32 %r5, [own+12]; " + GET,
    "a reused buffer": f"{PUT} {BARRIER} ld.shared.u32 %r5, [%r2]; {BARRIER} @%p1 st.shared.u32 [%r2], %r5; {BARRIER} ld.shared.u32 %r5, [%r2]; {GET}",
}
WRONG = {
    "no barrier": (f"{PUT} {TURNED} ld.shared.u32 %r5, [%r4]; {GET}", {"race: read after write", "uninitialised shared read", "race: write after read"}),
    "no barrier before the next write": (
        f"{PUT} {BARRIER} {TURNED} ld.shared.u32 %r5, [%r4]; mov.u32 %r0, 5; {PUT} {GET}", {"race: write after read", "race: read after write"}),
    "no warp barrier": (f"{PUT} {NEAR} ld.shared.u32 %r5, [%r4]; {GET}", {"race: read after write", "uninitialised shared read", "race: write after read"}),
    "shuffles are no barriers": (
        f"{PUT} shfl.sync.bfly.b32 %r6, %r0, 1, 31, -1; {NEAR} ld.shared.u32 %r5, [%r4]; {GET}", {"race: read after write"}),
    "warp barrier of the others": (
        f"{PUT} @!%p2 bra rest; bar.warp.sync 0xffff; bra end; rest: {NEAR} ld.shared.u32 %r5, [%r4]; {GET} end:",
        {"race: read after write", "uninitialised shared read", "race: write after read"}),
    "different values in one word": ("st.shared.u32 [%r2], %r0;", {"race: write and write"}),
    "two warps write one word": ("@%p1 st.shared.u32 [%r2], 7; @%p4 st.shared.u32 [%r2], 8;", {"race: write and write"}),
    "atomic and plain write": (f"@%p1 st.shared.u32 [%r2], 7; {BARRIER} @%p4 atom.shared.add.u32 %r5, [%r2], 1; @%p1 st.shared.u32 [%r2], 3;",
        {"race: write and write"}),
    "two threads of a block write one number": ("@%p1 st.global.u32 [%rd1], 7; @%p4 st.global.u32 [%rd1], 8;", {"race: write and write"}),
    "two blocks write one number": ("@%p1 st.global.u32 [%rd1], %r9;", {"race: write and write"}),
    "a block reads what another writes": (
        "setp.eq.u32 %p5, %r9, 0; @%p5 st.global.u32 [%rd3], 5; @!%p5 ld.global.u32 %r5, [%rd3];", {"race: read after write", "race: write after read"}),
    "beyond an array": ("ld.global.u32 %r5, [%rd2+4]; st.global.u32 [%rd3], %r5;", {"out of bounds"}),
    "before an array": ("@%p1 st.global.u32 [%rd3+-4], %r0;", {"out of bounds"}),
    "null pointer": ("mov.u64 %rd5, 0; ld.global.u32 %r5, [%rd5];", {"out of bounds"}),
    "beyond shared memory": ("st.shared.u32 [%r1+192], %r0;", {"shared memory out of bounds"}),
    "misaligned in global memory": ("@%p1 ld.global.v2.u32 {%r5, %r6}, [%rd2+4];", {"misaligned"}),
    "misaligned in shared memory": ("@%p1 st.shared.u32 [%r1+2], %r0;", {"misaligned"}),
    "uninitialised": (f"@%p3 {PUT} {BARRIER} ld.shared.u32 %r5, [%r1]; {GET}", {"uninitialised shared read"}),
    "local array": ("@%p1 ld.local.u32 %r5, [own+16];", {"local memory out of bounds"}),
    "barrier for a part of a warp": (f"@!%p2 bra end; {BARRIER} end: {PUT}", {"divergent barrier", "barrier after exit"}),
    "barrier for one warp": (f"@%p3 bra end; {BARRIER} end: {PUT}", {"barrier after exit"}),
    "barriers at two places": (f"@%p3 bra a; {BARRIER} bra end; a: {BARRIER} end: {PUT}", {"different barriers"}),
    "a lane that never comes": ("@%p1 bra away; shfl.sync.idx.b32 %r5, %r0, 1, 31, -1; bra end; away: bar.sync 0; end: bar.sync 0;",
        {"deadlock", "divergent barrier", "different barriers", "barrier after exit"}),
    "a lane that has ended": ("@%p1 ret; shfl.sync.idx.b32 %r5, %r0, 1, 31, -1;", {"names ended lane"}),
    "not in its mask": ("vote.sync.any.pred %p5, %p1, 1;", {"not in mask"}),
    "trap": ("@%p1 trap;", {"trap"}),
}  # fmt: skip


def execute(body: str, order: str = "ascending", mode: str = "checked") -> Result:
    x, y = np.arange(64, dtype=np.uint32), np.zeros(256, np.uint32)
    grid = 2 if "%r9" in body or "red.global" in body else 1
    return module(kernel_text(f"{START}\n{body}")).get("k").launch((grid,), (64,), (x, y), mode=mode, order=order)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", RIGHT)
def test_right(name: str, order: str):
    assert [str(finding) for finding in execute(RIGHT[name], order).findings] == []


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", WRONG)
def test_wrong(name: str, order: str):
    """At least one of the faults is found, and no other kind."""
    body, kinds = WRONG[name]
    found = {finding.kind for finding in execute(body, order).findings}
    assert found
    assert found <= kinds


def test_every_kind_of_fault_is_provoked():
    assert set().union(*(kinds for _, kinds in WRONG.values())) >= set(KINDS) - {"never ends", "read before wait", "reads absent lane"}


def test_a_kernel_that_never_ends(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(launch, "LIMIT", 1)
    assert [f.kind for f in execute("again: bra again;").findings] == ["never ends"]


def test_findings_say_who_and_where():
    text = kernel_text(f"{START}\n.loc 1 12 3\n{PUT}\n.loc 1 34 3\n{TURNED} ld.shared.u32 %r5, [%r4];")
    x, y = np.zeros(64, np.uint32), np.zeros(256, np.uint32)
    finding = next(f for f in module(text).get("k").launch((1,), (64,), (x, y), mode="checked").findings if f.kind == "race: read after write")
    assert finding.line == 34
    assert finding.count == 32
    assert str(finding) == (
        "line 34: thread 32 of block 0 reads 4 bytes at byte 0 of shared memory, which another thread has written, with no barrier "
        "between; the other is thread 0 of block 0 at line 12 (32 times)"
    )


@pytest.mark.parametrize("mode", ["fast", "checked"])
@pytest.mark.parametrize("lanes", [1, 32])
def test_an_access_that_begins_inside_may_end_outside(lanes: int, mode: str):
    """16 bytes from an array of which 12 are left: in each lane, where all go through one check, and in one alone."""
    kernel = module(kernel_text("ld.param.u64 %rd0, [x]; ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%rd0];", ".param .u64 x")).get("k")
    kernel.launch((1,), (lanes,), (np.zeros(4, np.uint32),), mode=mode)
    try:
        kinds = [f.kind for f in kernel.launch((1,), (lanes,), (np.zeros(3, np.uint32),), mode=mode).findings]
    except KernelFault as fault:
        kinds = [f.kind for f in fault.findings]
    assert set(kinds) == {"out of bounds"}


def test_wide_accesses_to_shared_memory_go_by_quarters():
    """16 bytes for each lane: eight lanes at a time, here each two of them in the same banks; another eight in the others."""
    body = """.shared .align 16 .b8 buffer[1024]; mov.u32 %r0, %tid.x; mov.u32 %r2, buffer; and.b32 %r3, %r0, 3; shr.u32 %r4, %r0, 1;
        and.b32 %r4, %r4, 4; add.u32 %r3, %r3, %r4; shl.b32 %r3, %r3, 4; shr.u32 %r5, %r0, 2; shl.b32 %r5, %r5, 7;
        add.u32 %r3, %r3, %r5; add.u32 %r1, %r2, %r3; st.shared.v4.u32 [%r1], {%r0, %r0, %r0, %r0};"""
    result = module(kernel_text(body, "")).get("k").launch((1,), (32,), (), mode="checked")
    assert result.counts is not None and not result.findings
    total = result.counts.totals()
    assert (total.wavefronts, total.ideal_wavefronts) == (8, 4)


LANES = np.arange(32)
PATTERNS = {  # in units of what a lane reads or stores, -1 for one that does not; wavefronts as an H100's counters have them:
    # of loads of 4, 8 and 16 bytes, and of stores of 8 and 16
    "all the same": (0 * LANES, 1, 1, 2, 2, 4),
    "all different": (LANES, 1, 2, 4, 2, 4),
    "neighbours read the same": (LANES >> 1, 1, 1, 2, 2, 4),
    "neighbours but one read the same": (np.where(LANES == 5, 9, LANES >> 1), 1, 2, 5, 2, 5),
    "neighbours read the same, one does not read": (np.where(LANES == 5, -1, LANES >> 1), 1, 1, 2, 2, 4),
    "neighbours read the same in a half": (np.where(LANES < 16, LANES >> 1, LANES), 1, 2, 4, 2, 4),
    "lanes two apart read the same": (LANES >> 2 << 1 | LANES & 1, 1, 1, 2, 2, 4),
    "lanes four apart read the same": (LANES >> 3 << 2 | LANES & 3, 1, 2, 4, 2, 4),
    "lanes eight apart read the same": (LANES >> 4 << 3 | LANES & 7, 1, 2, 4, 2, 4),
    "every second lane": (np.where(LANES % 2, -1, LANES), 1, 2, 4, 2, 4),
    "four places in one bank": (8 * (LANES & 3), 1, 4, 16, 4, 16),
    "eight places in one bank, by fours": (8 * (LANES >> 2), 2, 4, 8, 4, 8),
}


@pytest.mark.parametrize("what", PATTERNS)
def test_wavefronts_are_those_of_a_card(what: str):
    places, *wanted = PATTERNS[what]
    found = []
    for access, values in (("ld", 1), ("ld", 2), ("ld", 4), ("st", 2), ("st", 4)):
        registers = ", ".join(f"%r{k}" for k in range(3, 3 + values))
        kind, operands = (f".v{values}" if values > 1 else ""), "{" + registers + "}" if values > 1 else registers
        body = f""".shared .align 16 .b8 buffer[4096]; ld.param.u64 %rd0, [x]; mov.u32 %r0, %tid.x; mul.wide.u32 %rd1, %r0, 4;
            add.u64 %rd0, %rd0, %rd1; ld.global.u32 %r1, [%rd0]; setp.ne.u32 %p0, %r1, 0xffffffff; mov.u32 %r2, buffer;
            add.u32 %r2, %r2, %r1; @%p0 {access}.shared{kind}.u32 """
        body += f"{operands}, [%r2];" if access == "ld" else f"[%r2], {operands};"
        at = np.where(places < 0, 2**32 - 1, places * 4 * values).astype(np.uint32)
        result = module(kernel_text(body, ".param .u64 x")).get("k").launch((1,), (32,), (at,), mode="checked")
        found.append(result.counts.totals().wavefronts)
    assert found == wanted


def test_fast_mode_is_safe():
    """No address of a kernel ever reaches memory that is not its own: fast mode raises, too."""
    for name in ("beyond an array", "before an array", "null pointer", "beyond shared memory"):
        with pytest.raises(KernelFault, match="bytes at byte|reads 4 bytes"):
            execute(WRONG[name][0], mode="fast")


def test_arguments_are_checked():
    kernel = module(kernel_text("ret;", ".param .u64 x, .param .f32 a, .param .u32 n")).get("k")
    x, a, n = np.zeros(4, np.float32), np.float32(1), np.int32(4)
    kernel.launch((1,), (1,), (x, a, n))
    kernel.launch((1,), (1,), (None, a, n))
    for place, wrong, text in [
        (1, 1.0, "NumPy scalar"), (1, np.float64(1), "argument 1 is float64"), (2, np.float32(4), "argument 2 is float32, but the parameter is .u32"),
        (2, 4, "NumPy scalar"), (2, np.int64(4), "argument 2 is int64"), (1, np.int32(1), "argument 1 is int32"), (1, x, "must be a number"),
        (0, np.int32(0), "argument 0 is int32"),
    ]:  # fmt: skip
        with pytest.raises(LaunchError, match=text):
            kernel.launch((1,), (1,), [wrong if k == place else given for k, given in enumerate((x, a, n))])
    with pytest.raises(LaunchError, match=r"takes 3 arguments \(u64, f32, u32\), not 2"):
        kernel.launch((1,), (1,), (x, a))


@pytest.mark.parametrize(("grid", "block"), [((1,), (1025,)), ((1, 65536), (1,)), ((0,), (1,)), ((1,), (1, 1, 65)), ((1,), (32, 33))])
def test_sizes_that_cuda_refuses(grid: tuple, block: tuple):
    with pytest.raises(LaunchError):
        module(kernel_text("ret;", "")).get("k").launch(grid, block, ())


def test_shared_memory_must_be_asked_for():
    function = module(kernel_text("ret;", "")).get_function("k")
    function((1,), (1,), (), shared_mem=49152)
    with pytest.raises(LaunchError, match="max_dynamic_shared_size_bytes"):
        function((1,), (1,), (), shared_mem=49153)
    function.max_dynamic_shared_size_bytes = 100_000
    function((1,), (1,), (), shared_mem=100_000)
    with pytest.raises(LaunchError, match="no card gives"):
        module(kernel_text("ret;", "")).get("k").launch((1,), (1,), (), shared=300_000)


@pytest.mark.parametrize("instruction", [
    "add.cc.u32 %r1, %r1, %r2", "tex.2d.v4.f32.f32 {%f1, %f2, %f3, %f4}, [t, {%f1, %f2}]", "wgmma.fence.sync.aligned",
    "bar.sync 1, 64", "mul24.lo.u32 %r1, %r2, %r3", "call.uni f", "cvt.rn.relu.f16.f32 %rs1, %f1", "nonsense %r1", "shfl.bfly.b32 %r1, %r2, 1, 31",
    "atom.global.add.v2.f32 %rd1, [%rd2], %rd3", "mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%rd1, %rd2}, {%rd3}, {%rd4}, {%rd5, %rd6}",
    "cvta.param.u64 %rd1, %rd2", "add.sat.s32 %r1, %r2, %r3", "min.xorsign.abs.f32 %f1, %f2, %f3", "ld.global.u32 %r1, [%rq1]",
])  # fmt: skip
def test_unknown_instructions_raise(instruction: str):
    with pytest.raises(UnsupportedPTX, match=r"k: the simulator does not know the PTX instruction .* \(line 7 of the source\)"):
        module(kernel_text(f".loc 1 7 1\n{instruction};", "")).get("k")
