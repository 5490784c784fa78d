"""Norms, determinants, inverses and factors of matrices (as `torch.linalg`).

All take stacks of matrices: whatever stands before the last two dimensions is done for each. The factors that come in
pairs or triples are computed as one array and cut apart after, since an operation has one result.
"""

from __future__ import annotations

import math
from collections import namedtuple
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .errors import explained
from .functions.reduction import norm as _norm
from .op import op
from .ops.choice import where
from .ops.conversion import cast
from .ops.diagonal import diag_embed, diagonal, tril, triu
from .ops.elementwise import abs
from .ops.linalg import matmul
from .ops.reduction import amax, amin, sum

Eigen = namedtuple("Eigen", "eigenvalues eigenvectors")
Factors = namedtuple("Factors", "Q R")
Singular = namedtuple("Singular", "U S Vh")
SignLog = namedtuple("SignLog", "sign logabsdet")


class LinAlgError(RuntimeError):
    """A matrix for which there is no result, such as the inverse of a singular one (as `torch.linalg.LinAlgError`)."""


def _need_matrices(A: Any, square: bool = True, who: str = "") -> None:
    if A.ndim < 2 or (square and A.shape[-1] != A.shape[-2]) or A.dtype.kind != "f":
        kind = "square matrices" if square else "matrices"
        raise RuntimeError(f"{who}expected floating point {kind} in the last two dimensions, got {A.dtype} {tuple(A.shape)}")


def _try(name: str, problem: str, function: Callable, *arrays: Any, **options: Any) -> Any:
    """Call the library, and say in our words why it could not."""
    try:
        return function(*arrays, **options)
    except np.linalg.LinAlgError:
        raise LinAlgError(f"{name}: {problem} (shape {tuple(arrays[0].shape)})") from None


# ------------------------------------------------------------------------------------------------------------ norms


@explained
def vector_norm(x: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """sum(|x|^ord)^(1/ord) over all elements or some dimensions. Source: `torch.linalg.vector_norm`.

    >>> import minigrad as mg
    >>> mg.linalg.vector_norm(mg.tensor([[3.0, -4.0]]), 1)
    tensor(7.)
    """
    return _norm(x, ord, dim, keepdim, dtype)


@explained
def matrix_norm(A: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Size of a matrix. Source: `torch.linalg.matrix_norm`.

    Args:
        A: (..., m, n).
        ord: "fro" (root of the sum of squares), "nuc" (sum of the singular values), 2 or -2 (largest or smallest singular
            value), 1 or -1 (largest or smallest sum of a column), inf or -inf (of a row).
        dim: the two dimensions of the matrices.
        keepdim: keep them with size 1.
        dtype: convert to this first.

    >>> import minigrad as mg
    >>> mg.linalg.matrix_norm(mg.tensor([[1.0, 2.0], [3.0, 4.0]]), 1)
    tensor(6.)
    """
    A = A if dtype is None else cast(A, dtype=dtype)
    _need_matrices(A, False, "matrix_norm: ")
    A = A.movedim(dim, (-2, -1))
    if ord == "fro":
        out = _norm(A, 2, (-2, -1))
    elif ord == "nuc":
        out = svdvals(A).sum(-1)
    elif ord in (2, -2):
        out = svdvals(A)[..., 0 if ord == 2 else -1]
    elif ord in (1, -1, math.inf, -math.inf):
        out = (amax if ord > 0 else amin)(sum(abs(A), -1 if ord in (math.inf, -math.inf) else -2), -1)
    else:
        raise RuntimeError(f"matrix_norm: ord must be 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, got {ord!r}")
    return out.reshape((*out.shape, 1, 1)).movedim((-2, -1), dim) if keepdim else out


@explained
def norm(A: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Norm of a matrix if `ord` is given and there are two dimensions, else of a vector. Source: `torch.linalg.norm`.

    >>> import minigrad as mg
    >>> mg.linalg.norm(mg.tensor([[3.0, 4.0]]))
    tensor(5.)
    """
    dims = A.ndim if dim is None else len(dim) if isinstance(dim, (tuple, list)) else 1
    if ord is None or dims == 1:
        return _norm(A, ord, dim, keepdim, dtype)
    if dims != 2:
        raise RuntimeError(f"norm: with ord, expected 1 or 2 dimensions, got {dims}; pass dim")
    return matrix_norm(A, ord, (-2, -1) if dim is None else tuple(dim), keepdim, dtype=dtype)


@explained
def cdist(x1: Any, x2: Any, p: float = 2.0) -> Any:
    """Distances of all pairs of rows: (..., m, d) and (..., n, d) give (..., m, n). Source: `torch.cdist`.

    >>> import minigrad as mg
    >>> mg.cdist(mg.tensor([[0.0, 0.0]]), mg.tensor([[3.0, 4.0], [0.0, 2.0]]))
    tensor([[5., 2.]])
    """
    if x1.ndim < 2 or x2.ndim < 2 or x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(f"cdist: expected rows of one length, got shapes {tuple(x1.shape)} and {tuple(x2.shape)}")
    return _norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, -1)


# ---------------------------------------------------------------------------------- equations, inverses, determinants


@op(
    A=lambda g, A, out: -(_solve(A.swapaxes(-1, -2), g) @ out.swapaxes(-1, -2)),
    B=lambda g, A: _solve(A.swapaxes(-1, -2), g),
)
def _solve(xp, A, B):
    _need_matrices(A)
    if B.ndim < 2 or B.shape[-2] != A.shape[-1] or A.dtype != B.dtype:
        raise RuntimeError(f"A {A.dtype} {tuple(A.shape)} and B {B.dtype} {tuple(B.shape)} do not fit")
    batch = np.broadcast_shapes(A.shape[:-2], B.shape[:-2])  # CuPy's solve does not broadcast
    A, B = (xp.broadcast_to(x, batch + x.shape[-2:]) for x in (A, B))
    return _try("solve", "a matrix is singular", xp.linalg.solve, A, B)


@explained
def solve(A: Any, B: Any, *, left: bool = True) -> Any:
    """The X for which A X = B. Source: `torch.linalg.solve`.

    Args:
        A: (..., n, n).
        B: (..., n, k), or (..., n) for one right side each.
        left: False solves X A = B.

    Raises:
        LinAlgError: a matrix is singular.
        RuntimeError: shapes or dtypes do not fit.

    >>> import minigrad as mg
    >>> mg.linalg.solve(mg.tensor([[2.0, 0.0], [0.0, 4.0]]), mg.tensor([1.0, 1.0]))
    tensor([0.5000, 0.2500])
    """
    if not left:
        return solve(A.mT, B.mT).mT
    vector = B.ndim == 1 or (B.ndim == A.ndim - 1 and tuple(B.shape) == tuple(A.shape[:-1]))
    return _solve(A, B.unsqueeze(-1)).squeeze(-1) if vector else _solve(A, B)


@op(A=lambda g, out: -(out.swapaxes(-1, -2) @ g @ out.swapaxes(-1, -2)))
def inv(xp, A):
    """Inverse of each matrix; `solve` is faster and more exact where one would multiply by it. Source: `torch.linalg.inv`.

    Raises:
        LinAlgError: a matrix is singular.

    >>> import minigrad as mg
    >>> mg.linalg.inv(mg.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    _need_matrices(A)
    return _try("inv", "a matrix is singular", xp.linalg.inv, A)


@op(A=lambda g, A, out: (g * out)[..., None, None] * inv(A).swapaxes(-1, -2))
def det(xp, A):
    """Determinant of each matrix; a singular one has no gradient here. Source: `torch.linalg.det`.

    >>> import minigrad as mg
    >>> mg.linalg.det(mg.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(-2.)
    """
    _need_matrices(A)
    return xp.linalg.det(A)


@op(A=lambda g, A: g[..., None, None] * inv(A).swapaxes(-1, -2))
def _logabsdet(xp, A):
    return xp.linalg.slogdet(A)[1]


@op()
def _signdet(xp, A):
    _need_matrices(A)
    return xp.linalg.slogdet(A)[0]


@explained
def slogdet(A: Any) -> SignLog:
    """Sign of the determinant and logarithm of its absolute value, safe from overflow. Source: `torch.linalg.slogdet`.

    >>> import minigrad as mg
    >>> mg.linalg.slogdet(mg.tensor([[1.0, 2.0], [3.0, 4.0]]))
    SignLog(sign=tensor(-1.), logabsdet=tensor(0.6931))
    """
    return SignLog(_signdet(A), _logabsdet(A))


def logdet(A: Any) -> Any:
    """Logarithm of the determinant, NaN where it is negative. Source: `torch.logdet`."""
    sign, size = slogdet(A)
    return where(sign < 0, math.nan, size)


@explained
def matrix_power(A: Any, n: int) -> Any:
    """A times itself n times; the inverse for negative n. Source: `torch.linalg.matrix_power`.

    >>> import minigrad as mg
    >>> mg.linalg.matrix_power(mg.tensor([[1.0, 1.0], [0.0, 1.0]]), 5)
    tensor([[1., 5.],
            [0., 1.]])
    """
    _need_matrices(A, who="matrix_power: ")
    if n < 0:
        return matrix_power(inv(A), -n)
    result = diag_embed(A[..., 0] * 0 + 1) if n == 0 else None
    while n:  # A^13 = A^8 A^4 A
        if n % 2:
            result = A if result is None else matmul(result, A)
        A, n = matmul(A, A) if n > 1 else A, n // 2
    return result


@explained
def multi_dot(tensors: Sequence[Any]) -> Any:
    """Product of several matrices, from the left to the right. Source: `torch.linalg.multi_dot`."""
    first, *rest = tensors
    for matrix in rest:
        first = matmul(first, matrix)
    return first


# ---------------------------------------------------------------------------------------------------------- factors


def _cholesky_slope(g, out):
    """A = L Lᵀ:  dA = L⁻ᵀ P L⁻¹ made symmetric, P the lower triangle of Lᵀ dL with half its diagonal (Murray, 2016)."""
    right = out.swapaxes(-1, -2)
    product = tril(right @ g)
    half = product - diag_embed(diagonal(product, dim1=-2, dim2=-1)) / 2
    slope = _solve(right, _solve(right, half).swapaxes(-1, -2))
    return (slope + slope.swapaxes(-1, -2)) / 2


@op(A=_cholesky_slope)
def _cholesky(xp, A):
    _need_matrices(A)
    return _try("cholesky", "a matrix is not positive definite", xp.linalg.cholesky, A)


def cholesky(A: Any, *, upper: bool = False) -> Any:
    """The lower triangular L with L Lᵀ = A, for symmetric positive definite A. Source: `torch.linalg.cholesky`.

    Args:
        A: (..., n, n); only its lower triangle is read.
        upper: return Lᵀ.

    Raises:
        LinAlgError: a matrix is not positive definite.

    >>> import minigrad as mg
    >>> mg.linalg.cholesky(mg.tensor([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    return _cholesky(A).mT if upper else _cholesky(A)


def _eigh_slope(g, out):
    """A = V diag(w) Vᵀ:  dA = V (diag(dw) + Vᵀ dV / (w_j - w_i)) Vᵀ, where the diagonal of the quotient is 0."""
    values, vectors = out[..., 0, :], out[..., 1:, :]
    gaps = values[..., None, :] - values[..., :, None]
    inner = vectors.swapaxes(-1, -2) @ g[..., 1:, :] / where(gaps == 0, math.inf, gaps)
    return vectors @ (inner + diag_embed(g[..., 0, :])) @ vectors.swapaxes(-1, -2)


@op(A=_eigh_slope)
def _eigh(xp, A, *, UPLO):
    _need_matrices(A)
    values, vectors = _try("eigh", "no convergence", xp.linalg.eigh, A, UPLO=UPLO)
    return xp.concatenate([values[..., None, :], vectors], axis=-2)


def eigh(A: Any, UPLO: str = "L") -> Eigen:
    """Eigenvalues in ascending order and eigenvectors, as columns, of symmetric matrices. Source: `torch.linalg.eigh`.

    The gradient of the vectors is infinite where two values are equal; that part is taken as 0.

    Args:
        A: (..., n, n), symmetric.
        UPLO: which triangle is read, "L" or "U".

    >>> import minigrad as mg
    >>> mg.linalg.eigh(mg.tensor([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
    tensor([1., 2.])
    """
    both = _eigh(A, UPLO=UPLO)
    return Eigen(both[..., 0, :], both[..., 1:, :])


@explained
def eigvalsh(A: Any, UPLO: str = "L") -> Any:
    """Eigenvalues of symmetric matrices, in ascending order. Source: `torch.linalg.eigvalsh`."""
    return eigh(A, UPLO).eigenvalues


def _qr_slope(g, A, out):
    """A = Q R, m >= n:  dA = (dQ + Q sym(tril(M))) R⁻ᵀ with M = R dRᵀ - dQᵀ Q (Walter and Lehmann, 2018)."""
    m = A.shape[-2]
    q, r, g_q, g_r = out[..., :m, :], out[..., m:, :], g[..., :m, :], g[..., m:, :]
    inner = r @ g_r.swapaxes(-1, -2) - g_q.swapaxes(-1, -2) @ q
    symmetric = tril(inner) + tril(inner, -1).swapaxes(-1, -2)
    return _solve(r, (g_q + q @ symmetric).swapaxes(-1, -2)).swapaxes(-1, -2)


@op(A=_qr_slope)
def _qr(xp, A):
    return xp.concatenate(xp.linalg.qr(A), axis=-2)


@explained
def qr(A: Any, mode: str = "reduced") -> Factors:
    """A = Q R with orthonormal columns in Q and R upper triangular. Source: `torch.linalg.qr`.

    Args:
        A: (..., m, n) with m >= n.
        mode: "reduced".

    Raises:
        RuntimeError: a wide matrix, or another mode.

    >>> import minigrad as mg
    >>> mg.linalg.qr(mg.tensor([[3.0], [4.0]])).R.abs()
    tensor([[5.]])
    """
    _need_matrices(A, False, "qr: ")
    if mode != "reduced" or A.shape[-2] < A.shape[-1]:
        raise RuntimeError(f"qr: only mode='reduced' for matrices at least as high as wide, got {mode!r}, {tuple(A.shape)}")
    both = _qr(A)
    return Factors(both[..., : A.shape[-2], :], triu(both[..., A.shape[-2] :, :]))


def _svd_slope(g, A, out):
    """A = U diag(s) Vᵀ: the rule of Townsend (Differentiating the singular value decomposition, 2016)."""
    m, t = A.shape[-2], lambda x: x.swapaxes(-1, -2)
    u, s, v = out[..., :m, :], out[..., m : m + 1, :], out[..., m + 1 :, :]
    g_u, g_s, g_v = g[..., :m, :], g[..., m, :], g[..., m + 1 :, :]
    gaps, scale = s * s - t(s * s), where(s == 0, math.inf, s)
    gaps = where(gaps == 0, math.inf, gaps)
    in_u, in_v = t(u) @ g_u, t(v) @ g_v
    inner = (in_u - t(in_u)) / gaps * s + t(s) * ((in_v - t(in_v)) / gaps) + diag_embed(g_s)
    outside_u, outside_v = (g_u - u @ in_u) / scale, (g_v - v @ in_v) / scale
    return (u @ inner + outside_u) @ t(v) + u @ t(outside_v)


@op(A=_svd_slope)
def _svd(xp, A):
    u, s, vh = _try("svd", "no convergence", xp.linalg.svd, A, full_matrices=False)
    return xp.concatenate([u, s[..., None, :], vh.swapaxes(-1, -2)], axis=-2)


@explained
def svd(A: Any, full_matrices: bool = True) -> Singular:
    """A = U diag(S) Vh with orthonormal columns in U and orthonormal rows in Vh. Source: `torch.linalg.svd`.

    The gradient of U and Vh is infinite where two singular values are equal; that part is taken as 0.

    Args:
        A: (..., m, n).
        full_matrices: whether U and Vh are square; that is supported only where they are so anyway.

    >>> import minigrad as mg
    >>> mg.linalg.svd(mg.tensor([[3.0, 0.0], [0.0, 2.0]])).S
    tensor([3., 2.])
    """
    _need_matrices(A, False, "svd: ")
    if full_matrices and A.shape[-2] != A.shape[-1]:
        raise RuntimeError(f"svd: for matrices that are not square, pass full_matrices=False; got shape {tuple(A.shape)}")
    m, all_three = A.shape[-2], _svd(A)
    return Singular(all_three[..., :m, :], all_three[..., m, :], all_three[..., m + 1 :, :].mT)


@explained
def svdvals(A: Any) -> Any:
    """Singular values, in descending order. Source: `torch.linalg.svdvals`."""
    return svd(A, full_matrices=False).S


def _pinv_slope(g, A, out):
    """Golub and Pereyra, The differentiation of pseudo-inverses, 1973."""
    t = lambda x: x.swapaxes(-1, -2)
    along = t(g) @ out @ t(out)
    across = t(out) @ out @ t(g)
    return along - A @ (out @ along) + across - (across @ out) @ A - t(out) @ g @ t(out)


@op(A=_pinv_slope)
def pinv(xp, A, *, rtol=None):
    """The pseudo-inverse of Moore and Penrose. Source: `torch.linalg.pinv`.

    Args:
        A: (..., m, n).
        rtol: singular values below this times the largest count as 0; max(m, n) times the dtype's precision if None.

    >>> import minigrad as mg
    >>> mg.linalg.pinv(mg.tensor([[2.0], [0.0]]))
    tensor([[0.5000, 0.0000]])
    """
    _need_matrices(A, square=False)
    return xp.linalg.pinv(A, max(A.shape[-2:]) * float(np.finfo(A.dtype).eps) if rtol is None else rtol)
