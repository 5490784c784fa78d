"""Cases of the many functions of tensors; see cases.py for what a case is."""

from __future__ import annotations

import math
from typing import Any

from .cases import B, I, P, U, case, kink

INF = math.inf

# ------------------------------------------------------------------------------------------------------- elementwise

for name in ("exp2", "tan", "atan", "sinh", "cosh"):
    case(name, lambda t, x, f=name: getattr(t, f)(x), (3, 4))
    case(name, lambda t, x, f=name: getattr(x, f)(), ())
for name in ("log2", "log10"):
    case(name, lambda t, x, f=name: getattr(t, f)(x), P(3, 4))
for name in ("logit", "asin", "acos"):
    case(name, lambda t, x, f=name: getattr(t, f)(x), U(3, 4))
    case(name, lambda t, x, f=name: getattr(t, f)(x), U(2, 0))
case("asin", lambda t, x: t.asin(-x) + t.acos(-x) ** 2, U(3, 4))
case("logit", lambda t, x: x.logit(eps=0.3), U(4, 5))
case("frac", lambda t, x: t.frac(x * 3), (3, 4))
case("nan_to_num", lambda t, x: t.nan_to_num(x), (3, 4))
kink("nan_to_num", lambda t, x: t.nan_to_num(x / t.zeros_like(x) + x, nan=2.5, posinf=3.0, neginf=-4.0), (4, 5))
kink("nan_to_num", lambda t, x: t.where(x > 0, INF, x).nan_to_num(1.0) * 1e-300 + x.nan_to_num(), (4, 5))
for a, b in [((3, 4), (3, 4)), ((2, 1, 4), (3, 1)), ((), (2, 3)), ((0, 3), (3,))]:
    case("atan2", lambda t, x, y: t.atan2(x, y), a, b)
    case("hypot", lambda t, x, y: t.hypot(x, y), a, b)
    case("logaddexp", lambda t, x, y: t.logaddexp(x, y), a, b)
    case("fmod", lambda t, x, y: t.fmod(x * 3, y), a, P(*b), second=False)
    case("fmax", lambda t, x, y: t.fmax(x, y), a, b)
    case("fmin", lambda t, x, y: t.fmin(x, y), a, b)
    case("addcmul", lambda t, x, y, z: t.addcmul(x, y, z, value=-1.5), (1,), a, b)
case("addcmul", lambda t, x, y, z: x.addcmul(y, z), (3, 4), (4,), (3, 1))
case("addcdiv", lambda t, x, y, z: t.addcdiv(x, y, z), (3, 4), (4,), P(3, 1))
case("addcdiv", lambda t, x, y, z: x.addcdiv(y, z, value=0.3), (2, 3), (2, 3), P(2, 3))
case("fmod", lambda t, x: t.fmod(x * 3, 0.7), (3, 4), second=False)
kink("fmax", lambda t, x, y: t.fmax(x, t.where(y > 1, math.nan, y)), (4, 5), (5,))
kink("fmin", lambda t, x, y: t.fmin(t.where(x > 1, math.nan, x), y), (4, 5), (5,))
case("where", lambda t, x, c, y: x.where(c, y), (3, 4), B(3, 1), (4,))

# -------------------------------------------------------------------------------------------------------- reductions

for shape in [(5,), (6,), (1,), (), (2, 3), (0, 3)]:
    case("prod", lambda t, x: t.prod(x), shape)
for dim in (0, 1, -1):
    case("prod", lambda t, x, d=dim: x.prod(d), (3, 5, 4))
    case("prod", lambda t, x, d=dim: t.prod(x, dim=d, keepdim=True), (2, 7, 3))
    kink("prod", lambda t, x, d=dim: x.prod(d), (5, 4))
    case("cumprod", lambda t, x, d=dim: x.cumprod(d), (3, 5, 4))
    case("logcumsumexp", lambda t, x, d=dim: t.logcumsumexp(x, d), (3, 5, 4))
    case("cummax", lambda t, x, d=dim: t.cummax(x, d).values, (3, 5, 4))
    case("cummin", lambda t, x, d=dim: x.cummin(d)[0], (3, 5, 4))
    case("median", lambda t, x, d=dim: t.median(x, d).values, (3, 5, 4))
    case("median", lambda t, x, d=dim: x.median(dim=d, keepdim=True)[0], (2, 4, 3))
    case("aminmax", lambda t, x, d=dim: t.aminmax(x, dim=d, keepdim=True)[1] * x.aminmax(dim=d)[0].sum(), (3, 5, 4))
    case("norm", lambda t, x, d=dim: x.norm(dim=d), (3, 5, 4))
case("prod", lambda t, x: x.prod(0, dtype=t.float64), (3, 4))
case("prod", lambda t, x: x.prod(1), (3, 0, 2))
kink("prod", lambda t, x: x.prod(), (4,))
kink("cumprod", lambda t, x: t.cumprod(x, 0), (6, 3))
case("cumprod", lambda t, x: t.cumprod(x, 0), ())
case("cumprod", lambda t, x: t.cumprod(x, 1), (2, 1))
kink("cummax", lambda t, x: t.cummax(x, 1)[0], (3, 7))
case("median", lambda t, x: x.median(), (3, 4))
case("median", lambda t, x: t.median(x), ())
kink("median", lambda t, x: t.median(x), (3, 5))
case("aminmax", lambda t, x: t.aminmax(x).max - t.aminmax(x).min * 2, (3, 4))
for p in (2, 1, 3, 2.5, 0.5, INF, -INF, -2, "fro"):
    case("norm", lambda t, x, p=p: t.norm(x, p), (3, 4))
    case("norm", lambda t, x, p=p: x.norm(p, dim=(0, 2), keepdim=True), (2, 3, 4))
    case("linalg.vector_norm", lambda t, x, p=p: t.linalg.vector_norm(x, 2 if p == "fro" else p, dim=1), (2, 3))
for p in (2, 1, 3, 2.5, INF, -INF):
    kink("norm", lambda t, x, p=p: t.norm(x, p, dim=1), (6, 3))
case("norm", lambda t, x: t.linalg.vector_norm(x, 0), (3, 4), differences=False)
case("norm", lambda t, x: t.norm(x * 0.0, dim=1), (2, 3), differences=False)
case("norm", lambda t, x: t.norm(x, dtype=t.float64), (2, 3))
kink("nansum", lambda t, x: t.where(x > 1, math.nan, x).nansum(0), (4, 5))
kink("nanmean", lambda t, x: t.nanmean(t.where(x > 1, math.nan, x), 1, keepdim=True), (4, 5))
case("nanmean", lambda t, x: x.nanmean(), (4, 5))

# -------------------------------------------------------------------------------------------------------------- shape

case("tile", lambda t, x: x.tile(2), (2, 3))
case("tile", lambda t, x: t.tile(x, (2, 1, 3)), (2, 3))
case("repeat_interleave", lambda t, x: x.repeat_interleave(3, dim=1), (2, 3, 4))
case("repeat_interleave", lambda t, x: t.repeat_interleave(x, 2), (2, 3))
case("repeat_interleave", lambda t, x, r: t.repeat_interleave(x, r, dim=-1), (2, 4), I(4))
case("repeat_interleave", lambda t, x, r: x.repeat_interleave(r), (5,), I(5))
case("hstack", lambda t, x, y: t.hstack([x, y]), (2, 3), (2, 4))
case("hstack", lambda t, x, y: t.hstack((x, y)), (3,), ())
case("vstack", lambda t, x, y: t.vstack([x, y]), (2, 3), (4, 3))
case("vstack", lambda t, x, y: t.vstack((x, y)), (3,), (1, 3))
for offset in (0, 1, -2):
    case("diagonal", lambda t, x, o=offset: x.diagonal(o), (4, 3))
    case("diagonal", lambda t, x, o=offset: t.diagonal(x, o, -1, 0), (4, 2, 3))
    case("diagonal", lambda t, x, o=offset: t.diagonal(x, offset=o, dim1=1, dim2=2), (2, 4, 3))
    case("diag", lambda t, x, o=offset: t.diag(x, o), (4,))
    case("diag", lambda t, x, o=offset: x.diag(o), (4, 3))
    case("diag_embed", lambda t, x, o=offset: t.diag_embed(x, o), (2, 3))
    case("diag_embed", lambda t, x, o=offset: x.diag_embed(o, dim1=0, dim2=-2), (2, 3))
    case("diag_embed", lambda t, x, o=offset: x.diag_embed(o, dim1=2, dim2=0), (2, 4, 3))
case("trace", lambda t, x: t.trace(x), (3, 4))
case("unfold", lambda t, x: x.unfold(1, 3, 2), (2, 8, 3))
case("unfold", lambda t, x: x.unfold(-1, 2, 1).unfold(0, 3, 1), (4, 5))
for indexing in ("ij", "xy"):
    case("meshgrid", lambda t, x, y, i=indexing: _dot(t.meshgrid(x, y, indexing=i)), (3,), (4,))
    case("meshgrid", lambda t, x, y, z, i=indexing: _dot(t.meshgrid([x, y, z], indexing=i)), (3,), (2,), ())


def _dot(grids: Any) -> Any:
    result = 0
    for i, grid in enumerate(grids):
        result = result + (i + 1) * grid**2
    return result


def _on_view(t: Any, x: Any, v: Any) -> Any:
    y = x * 2
    y.diagonal(1).mul_(v)
    y.fill_diagonal_(3.0)
    return y * y


case("diagonal in place", _on_view, (3, 4), (3,))

# ----------------------------------------------------------------------------------------------------------- indexing


def _set(y: Any, index: Any, value: Any) -> Any:
    y[index] = value
    return y * y



case("take", lambda t, x, i: t.take(x, i - 3), (2, 3), I(2, 2))
case("index_add", lambda t, x, i, s: x.index_add(0, i, s), (5, 2), I(3), (3, 2))
case("index_add", lambda t, x, i, s: t.index_add(x, -1, i, s, alpha=-1.5), (2, 5), I(7), (2, 7))
case("index_copy", lambda t, x, s: x.index_copy(1, t.tensor([3, 0]), s), (2, 5, 3), (2, 2, 3))
case("index_fill", lambda t, x: x.index_fill(1, t.tensor([3, 0]), 2.5), (2, 5))
case("index_fill", lambda t, x, v: t.index_fill(x, 0, t.tensor([1]), v), (2, 5), ())
case("setitem", lambda t, x, v: _set(x * 1, [0, 2, 0], v), (4, 2), (2,), differences=False)
case("masked_scatter", lambda t, x, m, s: x.masked_scatter(m, s), (3, 4), B(3, 4), (4, 4))
case("masked_scatter", lambda t, x, m, s: t.masked_scatter(x, m, s), (3, 4), B(4), (15,))
case("scatter", lambda t, x, s: x.scatter(1, t.tensor([[3, 0], [1, 4]]), s), (2, 5), (2, 2))
case("scatter", lambda t, x, s: t.scatter(x, 0, t.tensor([[1, 0, 2]]), s), (3, 5), (1, 3))
case("scatter", lambda t, x, i: x.scatter(1, i, 2.5), (3, 5), I(3, 2))
case("scatter", lambda t, x, i: t.scatter(x, 1, i, value=-1), (3, 5), I(2, 6))
case("scatter", lambda t, x, s: x.scatter(0, t.tensor(0), s), (), ())
case("gather", lambda t, x: x.gather(0, t.tensor(0)), ())
case("scatter_add", lambda t, x, i, s: x.scatter_add(0, i, s), (5, 4), I(7, 3), (7, 3))
for reduce in ("sum", "mean", "amax", "amin"):
    for own in (True, False):
        case("scatter_reduce", lambda t, x, i, s, r=reduce, o=own: x.scatter_reduce(1, i, s, r, include_self=o),
             (3, 5), I(3, 4), (3, 4))  # fmt: skip
    # without include_self, PyTorch gives a part of the gradient to inputs that take no part, where they happen to be equal
    kink("scatter_reduce", lambda t, x, s, r=reduce: t.scatter_reduce(
        x, 0, t.tensor([[0, 1, 1], [1, 1, 2], [0, 1, 0]]), s, r), (4, 3), (3, 3))  # fmt: skip

# ------------------------------------------------------------------------------------------------------------ products

EINSUMS: list[tuple[str, tuple]] = [
    ("ij,jk->ik", ((2, 3), (3, 4))), ("ij,jk", ((2, 3), (3, 4))), ("ba,ac", ((2, 3), (3, 4))), ("ii->i", ((3, 3),)), ("ii", ((3, 3),)),
    ("iji->j", ((3, 4, 3),)), ("bhqd,bhkd->bhqk", ((2, 1, 4, 3), (2, 1, 5, 3))), ("...ij,...jk->...ik", ((4, 2, 3), (1, 3, 2))),
    ("...ij->...", ((2, 3, 4),)), ("i,j->ij", ((3,), (4,))), ("i,i->", ((3,), (3,))), ("ij,k,kl->jl", ((2, 3), (4,), (4, 2))),
    ("abc->ca", ((2, 3, 4),)), ("ij,ij->ij", ((2, 1), (2, 3))), ("ij,kj->", ((2, 1), (4, 3))), ("i...,j...->ij...", ((2, 3), (4, 3))),
    (",i->i", ((), (3,))), ("...,...", ((2, 3), (3,))), ("bn,anm,bm->ba", ((2, 5), (3, 5, 4), (2, 4))), ("i j , j -> i", ((2, 3), (3,))),
    ("aab,bcc->ac", ((2, 2, 3), (3, 4, 4))), ("ij,jk->ik", ((0, 3), (3, 4))), ("ij,jk->ik", ((2, 0), (0, 4))),
]  # fmt: skip
for equation, shapes in EINSUMS:
    case("einsum", lambda t, *x, e=equation: t.einsum(e, *x), *shapes)
case("einsum", lambda t, x, y: t.einsum("ij,jk->ki", [x, y]), (2, 3), (3, 4))
for dims, a, b in [(1, (2, 3), (3, 4)), (2, (5, 2, 3), (2, 3, 4)), (0, (2, 3), (4,)), (([0, 2], [2, 1]), (2, 3, 4), (5, 4, 2)),
                   (((-1,), (-1,)), (2, 3), (4, 5, 3))]:  # fmt: skip
    case("tensordot", lambda t, x, y, d=dims: t.tensordot(x, y, dims=d), a, b)
case("kron", lambda t, x, y: t.kron(x, y), (2, 3), (4, 2))
case("kron", lambda t, x, y: t.kron(x, y), (2, 3), (4, 1, 2))
case("addmm", lambda t, x, y, z: t.addmm(x, y, z, beta=0.5, alpha=-2), (4,), (2, 3), (3, 4))
case("addmm", lambda t, x, y, z: x.addmm(y, z), (2, 4), (2, 3), (3, 4))
case("baddbmm", lambda t, x, y, z: t.baddbmm(x, y, z, beta=2, alpha=3), (2, 4), (5, 2, 3), (5, 3, 4))

# -------------------------------------------------------------------------------------------------------------- linalg


def _well(t: Any, x: Any) -> Any:
    """A matrix far from singular, made of any."""
    return x + 4 * t.eye(x.shape[-1], dtype=x.dtype)


def _positive(t: Any, x: Any) -> Any:
    return x @ x.mT + t.eye(x.shape[-2], dtype=x.dtype)


def _symmetric(t: Any, x: Any) -> Any:
    """With eigenvalues that keep their distance."""
    return x + x.mT + t.diag(t.arange(x.shape[-1], dtype=x.dtype) * 9)


case("linalg.solve", lambda t, a, b: t.linalg.solve(_well(t, a), b), (3, 3), (3, 2))
case("linalg.solve", lambda t, a, b: t.linalg.solve(_well(t, a), b), (3, 3), (3,))
case("linalg.solve", lambda t, a, b: t.linalg.solve(_well(t, a), b), (2, 3, 3), (2, 3))
case("linalg.solve", lambda t, a, b: t.linalg.solve(_well(t, a), b, left=False), (2, 1, 3, 3), (4, 2, 3))
case("linalg.inv", lambda t, a: t.linalg.inv(_well(t, a)), (2, 3, 3))
case("linalg.inv", lambda t, a: _well(t, a).inverse(), (3, 3))
case("linalg.det", lambda t, a: t.linalg.det(_well(t, a)), (2, 3, 3), tolerance=10)
case("linalg.det", lambda t, a: t.det(a * t.tensor([1.0, 2.0], dtype=a.dtype)), (2, 2), tolerance=10)
case("linalg.slogdet", lambda t, a: t.linalg.slogdet(_well(t, a)).logabsdet, (2, 3, 3))
case("linalg.slogdet", lambda t, a: t.slogdet(-_well(t, a))[0] * a[0, 0], (3, 3), second=False)
case("logdet", lambda t, a: _positive(t, a).logdet(), (2, 3, 3))
case("linalg.cholesky", lambda t, a: t.linalg.cholesky(_positive(t, a)), (2, 3, 3), tolerance=10)
case("linalg.cholesky", lambda t, a: t.linalg.cholesky(_positive(t, a), upper=True), (3, 4), tolerance=10)
kink("linalg.cholesky", lambda t, a: t.linalg.cholesky(a + 9 * t.eye(3, dtype=a.dtype)), (2, 3, 3))  # reads one triangle
for n in (0, 1, 2, 5, -2):
    case("linalg.matrix_power", lambda t, a, n=n: t.linalg.matrix_power(_well(t, a) / 4, n), (2, 3, 3), tolerance=10)
case("linalg.multi_dot", lambda t, a, b, c: t.linalg.multi_dot([a, b, c]), (2, 3), (3, 4), (4, 2))
case("linalg.eigh", lambda t, a: t.linalg.eigh(_symmetric(t, a)).eigenvalues, (2, 3, 3), tolerance=10)
case("linalg.eigh", lambda t, a: t.linalg.eigh(_symmetric(t, a))[1] ** 2, (3, 3), tolerance=100)
case("linalg.eigh", lambda t, a: t.linalg.eigvalsh(_symmetric(t, a), UPLO="U"), (3, 3), tolerance=10)
case("linalg.qr", lambda t, a: t.linalg.qr(_tall(t, a)).Q, (4, 3), tolerance=10)
case("linalg.qr", lambda t, a: t.linalg.qr(_tall(t, a))[1], (2, 3, 3), tolerance=10)


def _tall(t: Any, x: Any) -> Any:
    return x + 3 * t.eye(*x.shape[-2:], dtype=x.dtype)


def _spread(t: Any, x: Any) -> Any:
    """With singular values that keep their distance."""
    return x + t.eye(*x.shape[-2:], dtype=x.dtype) * t.arange(1, x.shape[-1] + 1, dtype=x.dtype) * 5


for shape in [(3, 3), (4, 3), (3, 4), (2, 3, 2)]:
    for part in (0, 2):
        case("linalg.svd", lambda t, a, p=part: t.linalg.svd(_spread(t, a), full_matrices=False)[p] ** 2, shape, tolerance=100)
    case("linalg.svd", lambda t, a: t.linalg.svdvals(_spread(t, a)), shape, tolerance=10)
    case("linalg.svd", lambda t, a: _again(t.linalg.svd(_spread(t, a), full_matrices=False)), shape, tolerance=100)
    case("linalg.pinv", lambda t, a: t.linalg.pinv(_spread(t, a)), shape, tolerance=10)


def _again(parts: Any) -> Any:
    return (parts[0] * parts[1].sin().unsqueeze(-2)) @ parts[2]


for ord in ("fro", "nuc", 1, -1, 2, -2, INF, -INF):
    case("linalg.matrix_norm", lambda t, a, o=ord: t.linalg.matrix_norm(_spread(t, a), o), (2, 4, 3), tolerance=10)
    case("linalg.norm", lambda t, a, o=ord: t.linalg.norm(a, o, dim=(0, 2), keepdim=True), (3, 2, 4), tolerance=10)
case("linalg.matrix_norm", lambda t, a: t.linalg.matrix_norm(a * t.tensor([1.0, 0.0], dtype=a.dtype), 2), (4, 2))  # singular
case("linalg.norm", lambda t, a: t.linalg.norm(a), (2, 3, 4))
case("linalg.norm", lambda t, a: t.linalg.norm(a, 3, dim=1), (2, 3, 4))
case("linalg.norm", lambda t, a: t.linalg.norm(a, INF), (3, 4))
for p in (1.0, 2.0, 3.0, INF):
    case("cdist", lambda t, x, y, p=p: t.cdist(x, y, p=p), (2, 3, 4), (2, 5, 4), second=p != INF, tolerance=10)
kink("cdist", lambda t, x, y: t.cdist(x, y), (3, 2), (4, 2))
