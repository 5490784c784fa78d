"""What lanes do together: shuffles with every mode, segment and mask; votes, matches, reductions; parting and meeting."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from .harness import kernel_text, module

LANE = "mov.u32 %r0, %laneid; ld.param.u64 %rd0, [x]; ld.param.u64 %rd1, [y]; mul.wide.u32 %rd2, %r0, 4;"
LOAD = LANE + "add.s64 %rd3, %rd0, %rd2; ld.global.b32 %r1, [%rd3]; add.s64 %rd4, %rd1, %rd2;"
LOAD64 = LANE + "add.s64 %rd3, %rd0, %rd2; add.s64 %rd3, %rd3, %rd2; ld.global.b64 %rd5, [%rd3]; add.s64 %rd4, %rd1, %rd2;"


def one(instruction: str, load: str = LOAD, store: str = "st.global.b32 [%rd4], %r2;") -> str:
    return kernel_text(f"{load}\n{instruction}\n{store}")


def launch(text: str, x: np.ndarray, threads: int = 32, mode: str = "checked", dtype=np.uint32) -> tuple[np.ndarray, list[str]]:
    y = np.zeros(threads, dtype)
    result = module(text).get("k").launch((1,), (threads,), (x, y), mode=mode)
    return y, [finding.kind for finding in result.findings]


RNG = np.random.default_rng(1)
X = RNG.integers(0, 2**32, 32, dtype=np.uint32)
SHUFFLES = list(itertools.product(("up", "down", "bfly", "idx"), (0, 1, 3, 5, 16, 31, 33), (32, 16, 8, 2)))
FLAG = "selp.u32 %r3, 1000, 0, %p1; and.b32 %r2, %r2, 31; add.u32 %r2, %r2, %r3;"


def shuffle_text(mode: str, by: int, width: int, mask: str = "-1") -> str:
    c = (32 - width) << 8 | (0 if mode == "up" else 31)
    return one(f"shfl.sync.{mode}.b32 %r2|%p1, %r1, {by}, {c}, {mask}; {FLAG}")


def shuffled(mode: str, by: int, width: int) -> list[int]:
    """CUDA C++ Programming Guide: a warp falls into groups of `width`; out of the group, a lane keeps its own value."""
    result = []
    for lane in range(32):
        start, by = lane // width * width, by & 31
        source = {"up": lane - by, "down": lane + by, "bfly": lane ^ by, "idx": start + by % width}[mode]
        good = source < start + width if mode == "bfly" else start <= source < start + width
        result.append((source if good else lane) + 1000 * good)
    return result


@pytest.mark.parametrize(("mode", "by", "width"), SHUFFLES)
def test_shuffle(mode: str, by: int, width: int):
    got, findings = launch(shuffle_text(mode, by, width), np.arange(32, dtype=np.uint32))
    assert got.tolist() == shuffled(mode, by, width)
    assert not findings


@pytest.mark.parametrize("mask", [0x0000FFFF, 0x55555555, 0x00000001, 0xF0F0F00F])
@pytest.mark.parametrize("mode", ["up", "down", "bfly", "idx"])
def test_shuffle_within_a_mask(mode: str, mask: int):
    """Lanes outside the mask are elsewhere; those inside read only from one another, or are told of."""
    inside = f"shr.u32 %r5, {mask}, %r0; and.b32 %r5, %r5, 1; setp.eq.u32 %p2, %r5, 0; mov.u32 %r2, 77; @%p2 bra out;"
    text = kernel_text(f"{LOAD} {inside} shfl.sync.{mode}.b32 %r2, %r1, 0, 31, {mask};\nout:\nst.global.b32 [%rd4], %r2;")
    got, findings = launch(text, X)
    lanes = [mask >> lane & 1 for lane in range(32)]
    source = [0 if mode == "idx" else lane for lane in range(32)]
    assert got.tolist() == [int(X[source[k]]) if inside else 77 for k, inside in enumerate(lanes)]
    assert not findings


def test_shuffle_reads_a_lane_that_is_not_there():
    inside = "setp.ge.u32 %p2, %r0, 16; @%p2 bra out;"
    text = kernel_text(f"{LOAD} {inside} shfl.sync.bfly.b32 %r2, %r1, 16, 31, 0xffff;\nout:\nst.global.b32 [%rd4], %r2;")
    assert launch(text, X)[1] == ["reads absent lane"]


def test_lane_outside_its_own_mask():
    assert launch(shuffle_text("idx", 0, 32, "0x7fffffff"), X)[1] == ["not in mask"]


def test_two_groups_with_masks_of_their_own():
    """Both halves of a warp come to one shuffle, each naming itself."""
    text = one("setp.lt.u32 %p2, %r0, 16; selp.b32 %r6, 0xffff, 0xffff0000, %p2; shfl.sync.bfly.b32 %r2, %r1, 15, 31, %r6;")
    got, findings = launch(text, X)
    assert (got == X[np.arange(32) ^ 15]).all()
    assert not findings


@pytest.mark.parametrize("threads", [32, 7])
@pytest.mark.parametrize(("name", "store", "want"), [
    ("vote.sync.ballot.b32 %r2, %p1, %r7;", "", lambda p, mask: sum(1 << k for k in mask if p[k])),
    ("vote.sync.any.pred %p3, %p1, %r7;", "selp.u32 %r2, 1, 0, %p3;", lambda p, mask: int(any(p[k] for k in mask))),
    ("vote.sync.all.pred %p3, %p1, %r7;", "selp.u32 %r2, 1, 0, %p3;", lambda p, mask: int(all(p[k] for k in mask))),
    ("vote.sync.uni.pred %p3, %p1, %r7;", "selp.u32 %r2, 1, 0, %p3;", lambda p, mask: int(len({bool(p[k]) for k in mask}) == 1)),
    ("vote.sync.any.pred %p3, !%p1, %r7;", "selp.u32 %r2, 1, 0, %p3;", lambda p, mask: int(any(not p[k] for k in mask))),
])  # fmt: skip
def test_vote(name: str, store: str, want, threads: int):
    mask = (1 << threads) - 1
    text = one(f"and.b32 %r5, %r1, 1; setp.ne.u32 %p1, %r5, 0; mov.u32 %r7, {mask}; {name} {store}")
    for x in (X, X | 1, X & ~np.uint32(1)):
        got, findings = launch(text, x, threads)
        assert got.tolist() == [want(x & 1, range(threads))] * threads
        assert not findings


REDUCTIONS = {
    ("add", "u32"): lambda x: int(x.sum(dtype=np.uint32)), ("add", "s32"): lambda x: int(x.sum(dtype=np.uint32)),
    ("min", "u32"): lambda x: int(x.min()), ("max", "u32"): lambda x: int(x.max()),
    ("min", "s32"): lambda x: int(x.view("i4").min()) % 2**32, ("max", "s32"): lambda x: int(x.view("i4").max()) % 2**32,
    ("and", "b32"): lambda x: int(np.bitwise_and.reduce(x)), ("or", "b32"): lambda x: int(np.bitwise_or.reduce(x)),
    ("xor", "b32"): lambda x: int(np.bitwise_xor.reduce(x)),
}  # fmt: skip


@pytest.mark.parametrize(("name", "kind"), list(REDUCTIONS))
def test_redux(name: str, kind: str):
    x = X | np.uint32(0x00010000) if name == "and" else X
    got, findings = launch(one(f"redux.sync.{name}.{kind} %r2, %r1, -1;"), x)
    assert got.tolist() == [REDUCTIONS[name, kind](x)] * 32
    assert not findings


MATCHES = {
    "any.b32": one("match.any.sync.b32 %r2, %r1, -1;"),
    "any.b64": one("match.any.sync.b64 %r2, %rd5, -1;", LOAD64),
    "all.b32": one("match.all.sync.b32 %r2|%p1, %r1, -1; selp.u32 %r3, 1, 0, %p1; add.u32 %r2, %r2, %r3;"),
    "all.b64": one("match.all.sync.b64 %r2|%p1, %rd5, -1; selp.u32 %r3, 1, 0, %p1; add.u32 %r2, %r2, %r3;", LOAD64),
}


@pytest.mark.parametrize("name", MATCHES)
def test_match(name: str):
    for values in (RNG.integers(0, 4, 32), np.full(32, 9)):
        x = (values << (40 if "64" in name else 0)).astype(np.uint64 if "64" in name else np.uint32)
        got = launch(MATCHES[name], x)[0]
        same = [sum(1 << k for k in range(32) if x[k] == x[lane]) for lane in range(32)]
        if "all" in name:  # all lanes are 2**32 - 1, to which the predicate adds 1; else both are 0
            same = [0] * 32
        assert got.tolist() == same


def test_match_all_predicate():
    text = one("match.all.sync.b32 %r2|%p1, %r1, -1; selp.u32 %r2, 1, 0, %p1;")
    assert launch(text, np.full(32, 5, np.uint32))[0].tolist() == [1] * 32
    assert launch(text, X)[0].tolist() == [0] * 32


def test_lanes_part_and_meet_again():
    """Odd lanes, multiples of four and the rest go three ways, loop as often as their number says, and shuffle together."""
    text = one("""
        mov.u32 %r2, 0; and.b32 %r5, %r0, 1; setp.ne.u32 %p1, %r5, 0; @%p1 bra odd;
        and.b32 %r5, %r0, 3; setp.ne.u32 %p1, %r5, 0; @%p1 bra meet;
        mov.u32 %r2, 4000; bra meet;
    odd:
        mov.u32 %r6, %r0;
    loop:
        add.u32 %r2, %r2, 3; sub.u32 %r6, %r6, 1; setp.ne.u32 %p1, %r6, 0; @%p1 bra loop;
    meet:
        activemask.b32 %r9; shfl.sync.bfly.b32 %r2, %r2, 1, 31, -1; setp.ne.u32 %p1, %r9, -1; @%p1 mov.u32 %r2, 123456;
    """)
    value = [3 * k if k % 2 else 4000 if k % 4 == 0 else 0 for k in range(32)]
    got, findings = launch(text, X)
    assert got.tolist() == [value[k ^ 1] for k in range(32)]
    assert not findings


def test_jump_through_a_table():
    text = kernel_text(f"""{LOAD}
        and.b32 %r5, %r0, 3;
    table: .branchtargets a, b, c, b;
        brx.idx %r5, table;
    a:  mov.u32 %r2, 10; bra end;
    b:  mov.u32 %r2, 20; bra end;
    c:  mov.u32 %r2, 30; bra end;
    end: st.global.b32 [%rd4], %r2;""")
    assert launch(text, X)[0].tolist() == [[10, 20, 30, 20][k % 4] for k in range(32)]


SPECIALS = {
    "%tid.x": lambda t, b: t % 5, "%tid.y": lambda t, b: t // 5 % 3, "%tid.z": lambda t, b: t // 15, "%ntid.x": lambda t, b: 5,
    "%ntid.y": lambda t, b: 3, "%ntid.z": lambda t, b: 4, "%ctaid.x": lambda t, b: b % 2, "%ctaid.y": lambda t, b: b // 2 % 3,
    "%ctaid.z": lambda t, b: b // 6, "%nctaid.x": lambda t, b: 2, "%nctaid.y": lambda t, b: 3, "%nctaid.z": lambda t, b: 2,
    "%laneid": lambda t, b: t % 32, "%warpid": lambda t, b: t // 32, "%lanemask_eq": lambda t, b: 1 << t % 32,
    "%lanemask_lt": lambda t, b: (1 << t % 32) - 1, "%lanemask_le": lambda t, b: (2 << t % 32) - 1,
    "%lanemask_ge": lambda t, b: 2**32 - (1 << t % 32), "%lanemask_gt": lambda t, b: 2**32 - (2 << t % 32),
}  # fmt: skip


@pytest.mark.parametrize("name", SPECIALS)
def test_special_registers(name: str):
    text = kernel_text(f"""
        mov.u32 %r0, %tid.x; mov.u32 %r1, %tid.y; mov.u32 %r2, %tid.z; mad.lo.u32 %r1, %r2, 3, %r1; mad.lo.u32 %r0, %r1, 5, %r0;
        mov.u32 %r3, %ctaid.x; mov.u32 %r4, %ctaid.y; mov.u32 %r5, %ctaid.z; mad.lo.u32 %r4, %r5, 3, %r4; mad.lo.u32 %r3, %r4, 2, %r3;
        mad.lo.u32 %r0, %r3, 60, %r0; ld.param.u64 %rd0, [y]; mul.wide.u32 %rd1, %r0, 4; add.s64 %rd0, %rd0, %rd1;
        mov.u32 %r6, {name}; st.global.b32 [%rd0], %r6;""", ".param .u64 y")
    y = np.zeros(60 * 12, np.uint32)
    module(text).get("k").launch((2, 3, 2), (5, 3, 4), (y,))
    assert y.tolist() == [SPECIALS[name](t, b) for b in range(12) for t in range(60)]


TEXTS = [
    *(shuffle_text(mode, 1, 32) for mode in ("up", "down", "bfly", "idx")), *MATCHES.values(),
    *(one(f"redux.sync.{name}.{kind} %r2, %r1, -1;") for name, kind in REDUCTIONS), one("activemask.b32 %r2;"),
    *(one(f"vote.sync.{name} %p3, %p1, -1;") for name in ("any.pred", "all.pred", "uni.pred")), one("vote.sync.ballot.b32 %r2, %p1, -1;"),
]  # fmt: skip
