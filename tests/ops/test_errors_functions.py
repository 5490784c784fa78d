"""What a wrong call of the functions of tensors is told; see test_errors.py."""

from __future__ import annotations

import pytest

import minigrad as mg

x, y, ints, mask = mg.randn(2, 3), mg.randn(4, 5), mg.tensor([0, 1]), mg.tensor([True, False])
square, singular = mg.randn(3, 3), mg.zeros(3, 3)
L = mg.linalg
LINALG = (mg.linalg.LinAlgError, RuntimeError)

WRONG = [
    (lambda: mg.atan2(x, y), RuntimeError, r"^atan2: the shapes of input \(2, 3\) and other \(4, 5\) do not broadcast"),
    (lambda: mg.hypot(x, y), RuntimeError, r"^hypot: the shapes of input \(2, 3\) and other \(4, 5\)"),
    (lambda: mg.logaddexp(x, y), RuntimeError, r"^logaddexp: the shapes of"),
    (lambda: mg.fmod(x, y), RuntimeError, r"^fmod: the shapes of"),
    (lambda: mg.nan_to_num(x, 1, 2, 3, 4), TypeError, r"^nan_to_num\(\) takes at most 4 arguments, got 5"),
    (lambda: mg.log2("a"), TypeError, r"^log2: expected a Tensor, got str"),
    (lambda: x << 1, RuntimeError, r"^bitwise_left_shift: not defined for these dtypes"),
    (lambda: x.norm("nuc"), RuntimeError, r"^norm: expected floating point numbers and p a number or 'fro', got float32 and 'nuc'; see linalg.matrix_norm"),
    (lambda: ints.norm(), RuntimeError, r"^norm: expected floating point numbers.*got int64"),
    (lambda: x.prod(2), IndexError, r"dim 2 is out of range: a tensor with 2 dimensions has -2 to 1"),
    (lambda: x.median(5), IndexError, r"dim 5 is out of range"),
    (lambda: mg.zeros(0).median(), IndexError, r"an empty tensor has no extremum"),
    (lambda: x.cumprod(2), IndexError, r"dim 2 is out of range"),
    (lambda: x.cummax(2), IndexError, r"dim 2 is out of range"),
    (lambda: x.repeat_interleave(mg.tensor([1, 2, 3]), dim=0), RuntimeError, r"^repeat_interleave: expected 1 or 2 repeats for dimension 0, got 3"),
    (lambda: x.tile(2.0), TypeError, r"sizes must be ints, got float"),
    (lambda: mg.hstack([]), RuntimeError, r"^hstack: expected at least one tensor"),
    (lambda: mg.vstack([x, y]), RuntimeError, r"^cat: all tensors must have the same shape except in dimension 0"),
    (lambda: mg.meshgrid(x, ints), RuntimeError, r"^meshgrid: expected vectors, got a tensor of shape \(2, 3\)"),
    (lambda: mg.meshgrid(ints, indexing="yx"), RuntimeError, r"^meshgrid: indexing must be 'ij' or 'xy', got 'yx'"),
    (lambda: x.unfold(1, 4, 1), RuntimeError, r"^unfold: windows of size 4 and step 1 do not fit dimension 1 of shape \(2, 3\)"),
    (lambda: x.unfold(1, 2, 0), RuntimeError, r"^unfold: windows of size 2 and step 0"),
    (lambda: x[0].tril(), RuntimeError, r"^tril: expected at least 2 dimensions, got shape \(3,\)"),
    (lambda: x[0].diagonal(), RuntimeError, r"^diagonal: expected at least 2 dimensions"),
    (lambda: x.diagonal(0, 1, -1), RuntimeError, r"^diagonal: dim \(1, -1\) names a dimension twice"),
    (lambda: mg.diag(mg.zeros(2, 2, 2)), RuntimeError, r"^diag: expected 1 or 2 dimensions, got shape \(2, 2, 2\); use diagonal or diag_embed"),
    (lambda: mg.diag_embed(x[0, 0]), RuntimeError, r"^diag_embed: expected at least 1 dimension"),
    (lambda: mg.trace(x[0]), RuntimeError, r"^trace: expected a matrix, got shape \(3,\)"),
    (lambda: x.take(mg.tensor([6])), IndexError, r"index 6 is out of bounds for dimension 0 of size 6"),
    (lambda: x.take(x), RuntimeError, r"^take: index must be an integer tensor, got float32"),
    (lambda: x.gather(1, ints), RuntimeError, r"^gather: the index \(2,\) must have the dimensions of the input \(2, 3\)"),
    (lambda: x.gather(1, mg.tensor([[-1]])), IndexError, r"^gather: index must not be negative"),
    (lambda: x.scatter(1, mg.tensor([[3]]), 1.0), IndexError, r"index 3 is out of bounds for dimension 1 of size 3"),
    (lambda: x.scatter(1, mg.tensor([[0]]), y.double()), RuntimeError, r"^scatter: input and source must have one dtype, got float32 and float64"),
    (lambda: x.scatter(1, mg.tensor([[0, 1]]), x[:, :1]), RuntimeError, r"^scatter: the index \(1, 2\) must be no larger than src \(2, 1\)"),
    (lambda: x.scatter(1, mg.tensor([[0]]), x, reduce="add"), RuntimeError, r"^scatter: expected src or value, and no reduce; use scatter_reduce"),
    (lambda: x.scatter(1, mg.tensor([[0]])), RuntimeError, r"^scatter: expected src or value"),
    (lambda: x.scatter_add(1, mg.tensor([[0, 1, 2, 0]]), x), RuntimeError, r"^scatter_add: the index \(1, 4\) must be no larger than src \(2, 3\)"),
    (lambda: x.scatter_reduce(1, mg.tensor([[0]]), x, "prod"), RuntimeError, r"^scatter_reduce: reduce must be 'sum', 'mean', 'amax' or 'amin', got 'prod'"),
    (lambda: x.index_add(0, ints, x[:1]), RuntimeError, r"^index_add: expected a source of shape \(2, 3\), got \(1, 3\)"),
    (lambda: x.index_add(0, mg.tensor([0, 2]), x), IndexError, r"index 2 is out of bounds for dimension 0 of size 2"),
    (lambda: x.index_copy(0, ints, x.double()), RuntimeError, r"^index_copy: input and source must have one dtype"),
    (lambda: x.index_fill(0, mg.tensor([[0]]), 1), RuntimeError, r"^index_fill: the index must have 1 dimension, got shape \(1, 1\)"),
    (lambda: x.index_fill(0, ints, x[0]), RuntimeError, r"^index_fill: value must be a number or a 0-d tensor, got shape \(3,\)"),
    (lambda: x.masked_scatter(ints, x), RuntimeError, r"^masked_scatter: mask must be a bool tensor, got int64"),
    (lambda: x.masked_scatter(x < 9, x[0]), RuntimeError, r"^masked_scatter: the mask has 6 true elements, the source only 3"),
    (lambda: x.bincount(), RuntimeError, r"^bincount: expected a vector of integers from 0 on, got float32 of shape \(2, 3\)"),
    (lambda: ints.bincount(x[0]), RuntimeError, r"^bincount: weights must have the shape \(2,\) of the input, got \(3,\)"),
    (lambda: mg.searchsorted(x, y), RuntimeError, r"^searchsorted: expected rows of values for sequences of shape \(2, 3\), got \(4, 5\)"),
    (lambda: mg.einsum("ij,jk->ik", x), RuntimeError, r"^einsum: 'ij,jk->ik' has 2 operands, got 1"),
    (lambda: mg.einsum("ijk->ik", x), RuntimeError, r"^einsum: 'ijk' does not name the dimensions of a tensor of shape \(2, 3\)"),
    (lambda: mg.einsum("i->i", x), RuntimeError, r"^einsum: 'i' does not name the dimensions"),
    (lambda: mg.einsum("i1->i", x), RuntimeError, r"^einsum: 'i1' does not name the dimensions"),
    (lambda: mg.einsum("ij->ik", x), RuntimeError, r"^einsum: the result of 'ij->ik' must name dimensions of the operands"),
    (lambda: mg.einsum("ij->ii", x), RuntimeError, r"^einsum: the result of 'ij->ii' must name.*each once"),
    (lambda: mg.einsum("ii", x), RuntimeError, r"^einsum: 'i' stands for sizes 2 and 3 of one operand"),
    (lambda: mg.einsum("ij,jk->ik", x, y), RuntimeError, r"^einsum: dimension 'j' has size 3 here and 4 there"),
    (lambda: mg.einsum(x, x), TypeError, r"^einsum: expected an equation such as 'ij,jk->ik', got Tensor"),
    (lambda: mg.tensordot(x, y, 1), RuntimeError, r"^tensordot: dimension 1 has size 3 here and 4 there"),
    (lambda: mg.tensordot(x, y, ([0, 1], [0])), RuntimeError, r"^tensordot: 2 dimensions of a cannot meet 1 of b"),
    (lambda: mg.addmm(x, x, x), RuntimeError, r"^matmul: the last dimension of input \(2, 3\)"),
    (lambda: mg.baddbmm(x, x, x), RuntimeError, r"^bmm: shapes \(2, 3\) and \(2, 3\) do not fit"),
    (lambda: L.inv(singular), LINALG, r"^inv: a matrix is singular \(shape \(3, 3\)\)"),
    (lambda: L.inv(x), RuntimeError, r"^inv: expected floating point square matrices in the last two dimensions, got float32 \(2, 3\)"),
    (lambda: L.det(mg.tensor([[1]])), RuntimeError, r"^det: expected floating point square matrices.*int64"),
    (lambda: L.slogdet(x), RuntimeError, r"^signdet: expected floating point square matrices"),
    (lambda: L.solve(singular, square), LINALG, r"^solve: a matrix is singular"),
    (lambda: L.solve(square, x), RuntimeError, r"^solve: A float32 \(3, 3\) and B float32 \(2, 3\) do not fit"),
    (lambda: L.cholesky(-mg.eye(2)), LINALG, r"^cholesky: a matrix is not positive definite"),
    (lambda: L.matrix_power(x, 2), RuntimeError, r"^matrix_power: expected floating point square matrices"),
    (lambda: L.matrix_norm(x[0]), RuntimeError, r"^matrix_norm: expected floating point matrices in the last two dimensions, got float32 \(3,\)"),
    (lambda: L.matrix_norm(x, 3), RuntimeError, r"^matrix_norm: ord must be 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, got 3"),
    (lambda: L.norm(mg.zeros(2, 2, 2), 1), RuntimeError, r"^norm: with ord, expected 1 or 2 dimensions, got 3; pass dim"),
    (lambda: L.vector_norm(ints), RuntimeError, r"^norm: expected floating point numbers"),
    (lambda: L.eigh(x), RuntimeError, r"^eigh: expected floating point square matrices"),
    (lambda: L.qr(x), RuntimeError, r"^qr: only mode='reduced' for matrices at least as high as wide"),
    (lambda: L.svd(x), RuntimeError, r"^svd: for matrices that are not square, pass full_matrices=False; got shape \(2, 3\)"),
    (lambda: L.pinv(x[0]), RuntimeError, r"^pinv: expected floating point matrices in the last two dimensions, got float32 \(3,\)"),
    (lambda: L.svd(x[0]), RuntimeError, r"^svd: expected floating point matrices"),
    (lambda: L.qr(ints), RuntimeError, r"^qr: expected floating point matrices"),
    (lambda: L.multi_dot([x, y]), RuntimeError, r"^matmul: the last dimension of input"),
    (lambda: mg.cdist(x, y), RuntimeError, r"^cdist: expected rows of one length, got shapes \(2, 3\) and \(4, 5\)"),
    (lambda: mg.zeros(2, dtype=mg.int64).exponential_(), RuntimeError, r"^exponential_: expected a floating point tensor"),
    (lambda: ints.clone().sqrt_(), RuntimeError, r"^sqrt_: a result of dtype float32 cannot be stored in a tensor of int64"),
    (lambda: mg.randn(3, requires_grad=True).sin_(), RuntimeError, r"^sin_: cannot write to a leaf that requires grad"),
    (lambda: mg.randn(3).expand(2, 3).floor_(), RuntimeError, r"^floor_: cannot write to an expanded tensor.*clone\(\) it"),
    (lambda: mg.randn(3, requires_grad=True)[1:].detach_(), RuntimeError, r"^detach_: a view cannot be cut from the graph"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_a_wrong_call_is_told_what_is_wrong(number):
    call, kind, message = WRONG[number]
    with pytest.raises(kind, match=message) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text and "ufunc" not in text and "operands could" not in text and "axis" not in text.replace("'axis'", "")
