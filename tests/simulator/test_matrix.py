"""Tensor cores: mma.sync and ldmatrix, against NumPy and the figures of the PTX manual."""

from __future__ import annotations

import numpy as np
import pytest

from .harness import kernel_text, module
from .test_conversions import decode, encode

# The manual's formulas for the fragments of m16n8kK, with g = lane / 4 and t = lane % 4: where element i of a lane's
# fragment lies. Written out for each shape, as they stand there, and not as the simulator computes them.
LAYOUTS = {
    ("tf32", 4): (
        lambda g, t: [(g, t), (g + 8, t)],
        lambda g, t: [(t, g)],
    ),
    ("tf32", 8): (
        lambda g, t: [(g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4)],
        lambda g, t: [(t, g), (t + 4, g)],
    ),
    ("half", 8): (
        lambda g, t: [(g, 2 * t), (g, 2 * t + 1), (g + 8, 2 * t), (g + 8, 2 * t + 1)],
        lambda g, t: [(2 * t, g), (2 * t + 1, g)],
    ),
    ("half", 16): (
        lambda g, t: [(g + 8 * (i // 2 % 2), 2 * t + i % 2 + 8 * (i // 4)) for i in range(8)],
        lambda g, t: [(2 * t + i % 2 + 8 * (i // 2), g) for i in range(4)],
    ),
}
SHAPES = [("tf32", 4, "f32"), ("tf32", 8, "f32"), *((t, k, "f32") for t in ("f16", "bf16") for k in (8, 16)), ("f16", 8, "f16"), ("f16", 16, "f16")]


def c_layout(g, t):
    return [(g, 2 * t), (g, 2 * t + 1), (g + 8, 2 * t), (g + 8, 2 * t + 1)]


def mma_text(kind: str, k: int, accumulator: str) -> str:
    """Each lane's registers lie one after the other in x: those of A, of B, of C; those of D go to y."""
    per = 1 if kind == "tf32" else 2
    counts = [16 * k // 32 // per, 8 * k // 32 // per, 4 if accumulator == "f32" else 2]
    names, start = [], 8
    for count in counts:
        names.append([f"%r{start + n}" for n in range(count)])
        start += count
    loads = " ".join(f"ld.global.b32 {r}, [%rd3+{4 * n}];" for n, r in enumerate([r for part in names for r in part]))
    stores = " ".join(f"st.global.b32 [%rd4+{4 * n}], {r};" for n, r in enumerate(names[2]))
    a, b, c = ("{" + ", ".join(part) + "}" for part in names)
    return kernel_text(f"""mov.u32 %r0, %tid.x; ld.param.u64 %rd0, [x]; ld.param.u64 %rd1, [y]; mul.wide.u32 %rd2, %r0, {4 * sum(counts)};
        add.s64 %rd3, %rd0, %rd2; mul.wide.u32 %rd2, %r0, {4 * counts[2]}; add.s64 %rd4, %rd1, %rd2; {loads}
        mma.sync.aligned.m16n8k{k}.row.col.{accumulator}.{kind}.{kind}.{accumulator} {c}, {a}, {b}, {c}; {stores}""")


def registers(values: np.ndarray, layout, kind: str) -> np.ndarray:
    """What each lane holds of a matrix."""
    rows = []
    for lane in range(32):
        elements = np.array([values[at] for at in layout(lane // 4, lane % 4)])
        rows.append(elements.astype("f4").view("u4") if kind in ("tf32", "f32") else encode(kind, elements).view("u4"))
    return np.array(rows)


@pytest.mark.parametrize(("kind", "k", "accumulator"), SHAPES)
def test_mma(kind: str, k: int, accumulator: str):
    rng = np.random.default_rng(k)
    a, b, c = (rng.standard_normal(shape) for shape in ((16, k), (k, 8), (16, 8)))
    layout_a, layout_b = LAYOUTS["tf32" if kind == "tf32" else "half", k]
    packed = [registers(m, layout, t) for m, layout, t in ((a, layout_a, kind), (b, layout_b, kind), (c, c_layout, accumulator))]
    x = np.ascontiguousarray(np.concatenate(packed, 1), np.uint32)
    y = np.zeros((32, packed[2].shape[1]), np.uint32)
    assert not module(mma_text(kind, k, accumulator)).get("k").launch((1,), (32,), (x, y), mode="checked").findings

    seen = lambda m: (m.astype("f4").view("u4") & 0xFFFFE000).view("f4") if kind == "tf32" else decode(kind, encode(kind, m)).reshape(m.shape)
    start = c.astype("f4") if accumulator == "f32" else c.astype("f2")
    want = seen(a).astype("f8") @ seen(b).astype("f8") + start.astype("f8")
    got = y.view("f4" if accumulator == "f32" else "f2").astype("f8")
    placed = np.array([[want[at] for at in c_layout(lane // 4, lane % 4)] for lane in range(32)])
    assert np.abs(got - placed).max() < (1e-6 if accumulator == "f32" else 4e-3) * np.abs(want).max()


def ldmatrix_text(count: int, transposed: bool) -> str:
    """x, rows of 16 bytes, goes to shared memory; lane l names row (7 l) % (8 count); registers go to y."""
    names = [f"%r{8 + n}" for n in range(count)]
    held, stores = ", ".join(names), " ".join(f"st.global.b32 [%rd4+{4 * n}], {r};" for n, r in enumerate(names))
    return kernel_text(f""".shared .align 16 .b8 buffer[512];
        mov.u32 %r0, %tid.x; ld.param.u64 %rd0, [x]; ld.param.u64 %rd1, [y]; mul.wide.u32 %rd2, %r0, 16; add.s64 %rd3, %rd0, %rd2;
        ld.global.v4.b32 {{%r20, %r21, %r22, %r23}}, [%rd3]; mov.u32 %r2, buffer; mad.lo.u32 %r1, %r0, 16, %r2;
        st.shared.v4.b32 [%r1], {{%r20, %r21, %r22, %r23}}; bar.warp.sync -1;
        mul.lo.u32 %r3, %r0, 7; rem.u32 %r3, %r3, {8 * count}; mad.lo.u32 %r4, %r3, 16, %r2;
        ldmatrix.sync.aligned.m8n8.x{count}{'.trans' * transposed}.shared.b16 {{{held}}}, [%r4];
        mul.wide.u32 %rd2, %r0, {4 * count}; add.s64 %rd4, %rd1, %rd2; {stores}""")


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_ldmatrix(count: int, transposed: bool):
    x = np.arange(32 * 8, dtype=np.uint16).reshape(32, 8)
    y = np.zeros((32, count, 2), np.uint16)
    result = module(ldmatrix_text(count, transposed)).get("k").launch((1,), (32,), (x, y), mode="checked")
    assert not result.findings
    for m in range(count):
        matrix = x[[7 * lane % (8 * count) for lane in range(8 * m, 8 * m + 8)]]
        matrix = matrix.T if transposed else matrix
        for lane in range(32):
            assert y[lane, m].tolist() == matrix[lane // 4, 2 * (lane % 4) : 2 * (lane % 4) + 2].tolist()


def test_mma_needs_the_whole_warp():
    text = mma_text("tf32", 4, "f32").replace("mma.sync", "setp.ge.u32 %p1, %r0, 20; @%p1 ret; mma.sync")
    findings = module(text).get("k").launch((1,), (32,), (np.ones(32 * 7, "f4"), np.ones(32 * 4, "f4")), mode="checked").findings
    assert [finding.kind for finding in findings] == ["names ended lane"]


TEXTS = [*(mma_text(*shape) for shape in SHAPES), *(ldmatrix_text(count, t) for count in (1, 2, 4) for t in (False, True))]
