"""Shapes: broadcasting, 0-d and empty tensors, strides, indices, axes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minigrad as mg

SHAPES = [s for n in range(4) for s in itertools.product((0, 1, 2), repeat=n)]


def same(a, b, rtol=1e-12):
    assert tuple(a.shape) == tuple(b.shape)
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=rtol, atol=1e-12)


def both(array, grad=True):
    grad = grad and array.dtype.kind == "f"
    return mg.tensor(array, requires_grad=grad), torch.tensor(array, requires_grad=grad)


def broadcasts(a, b):
    return all(n == m or 1 in (n, m) for n, m in zip(a[::-1], b[::-1]))


def test_every_pair_of_shapes_broadcasts_and_unbroadcasts():
    rng = np.random.default_rng(0)
    for a, b in itertools.product(SHAPES, SHAPES):
        (x, tx), (y, ty) = both(np.asarray(rng.standard_normal(a))), both(np.asarray(rng.standard_normal(b)))
        if not broadcasts(a, b):
            with pytest.raises(RuntimeError, match="do not broadcast"):
                x * y
            continue
        z, tz = x * y, tx * ty
        g = np.asarray(rng.standard_normal(z.shape))
        z.backward(mg.tensor(g))
        tz.backward(torch.tensor(g))
        same(z, tz)
        same(x.grad, tx.grad)
        same(y.grad, ty.grad)


@given(
    hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=4, max_side=4),
    st.integers(0, 2**32 - 1),
)
def test_broadcasting_of_three(shapes, seed):
    rng = np.random.default_rng(seed)
    pairs = [both(np.asarray(rng.standard_normal(shape))) for shape in shapes.input_shapes]
    f = lambda x, y, z: (x + y.abs()).maximum(z) * y - z / 3
    mine, theirs = f(*[p[0] for p in pairs]), f(*[p[1] for p in pairs])
    g = np.asarray(rng.standard_normal(mine.shape))
    mine.backward(mg.tensor(g))
    theirs.backward(torch.tensor(g))
    same(mine, theirs)
    for a, b in pairs:
        same(a.grad, b.grad)


@given(st.data())
def test_indexing_with_anything(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, max_side=4))
    basic = data.draw(hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))
    basic = basic if isinstance(basic, tuple) else (basic,)
    if any(isinstance(i, slice) and (i.step or 1) < 0 for i in basic):
        basic = tuple(slice(None) if isinstance(i, slice) else i for i in basic)  # torch has no negative steps
    items = list(basic)
    for k, item in enumerate(items):  # some integers become index tensors
        if isinstance(item, int) and data.draw(st.booleans()):
            items[k] = data.draw(st.lists(st.just(item), min_size=1, max_size=3))
    rows = {len(i) for i in items if isinstance(i, list)}
    if len(rows) > 1:
        items = [[i[0]] if isinstance(i, list) else i for i in items]
    x, y = both(np.random.default_rng(0).standard_normal(shape))
    index = tuple(items)
    mine, theirs = x[index], y[index]
    same(mine, theirs)
    g = np.asarray(np.random.default_rng(1).standard_normal(mine.shape))
    mine.backward(mg.tensor(g))
    theirs.backward(torch.tensor(g))
    same(x.grad, y.grad)


@given(
    hnp.arrays(np.float64, hnp.array_shapes(min_dims=1, max_dims=4, max_side=4), elements=st.floats(-3, 3)),
    st.data(),
)
def test_reductions_over_any_dimensions(array, data):
    dims = data.draw(st.lists(st.integers(-array.ndim, array.ndim - 1), max_size=array.ndim, unique_by=lambda d: d % array.ndim))
    keep = data.draw(st.booleans())
    dims = tuple(dims)
    for name in ("sum", "mean", "amax", "logsumexp", "var"):
        if name in ("logsumexp", "var") and not dims:
            continue  # torch reduces nothing, and its gradient of var is NaN then
        if name == "var" and np.prod([array.shape[d] for d in dims or range(array.ndim)]) < 2:
            continue
        x, y = both(array)
        mine, theirs = getattr(mg, name)(x, dims, keepdim=keep), getattr(torch, name)(y, dims, keepdim=keep)
        same(mine, theirs)
        g = np.asarray(np.random.default_rng(1).standard_normal(mine.shape))
        mine.backward(mg.tensor(g))
        theirs.backward(torch.tensor(g))
        same(x.grad, y.grad, rtol=1e-9)


@given(st.data())
def test_matmul_of_any_ranks(data):
    batch = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=2, max_side=3))
    m, k, n = (data.draw(st.integers(1, 4)) for _ in range(3))
    left = data.draw(st.sampled_from([(k,), (m, k), (*batch.input_shapes[0], m, k)]))
    right = data.draw(st.sampled_from([(k,), (k, n), (*batch.input_shapes[1], k, n)]))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    (x, tx), (y, ty) = both(np.asarray(rng.standard_normal(left))), both(np.asarray(rng.standard_normal(right)))
    mine, theirs = x @ y, tx @ ty
    same(mine, theirs)
    g = np.asarray(rng.standard_normal(mine.shape))
    mine.backward(mg.tensor(g))
    theirs.backward(torch.tensor(g))
    same(x.grad, tx.grad)
    same(y.grad, ty.grad)


def test_zero_dimensional_tensors_stay_tensors():
    x = mg.tensor(2.0, requires_grad=True)
    y = (x * 3 + 1).exp().log()
    assert isinstance(y.array, np.ndarray) and y.shape == () and y.ndim == 0
    y.backward()
    assert isinstance(x.grad.array, np.ndarray) and x.grad.shape == () and x.grad.dtype == mg.float32
    assert x[...].shape == () and x[None].shape == (1,)
    assert isinstance(mg.tensor([1.0, 2.0])[0].array, np.ndarray)
    with pytest.raises(TypeError, match="0-d"):
        len(x)
    with pytest.raises(IndexError):
        x[0]


@pytest.mark.parametrize("name", ["sum", "mean", "softmax", "exp", "cumsum", "logsumexp", "argmax", "max", "amax"])
def test_empty_tensors(name):
    x, y = both(np.zeros((0, 3)))
    args = (1,) if name in ("softmax", "cumsum", "logsumexp") else ()
    if name in ("argmax", "max", "amax"):
        with pytest.raises(IndexError, match=f"^{'amax' if name == 'max' else name}.*empty"):
            getattr(x, name)(*args)
        assert mg.argmax(x, 1).shape == (0,)
        return
    mine, theirs = getattr(x, name)(*args), getattr(y, name)(*args)
    same(mine, theirs)
    mine.backward(mg.randn(mine.shape, dtype=mg.float64))
    assert x.grad.shape == (0, 3)


def test_empty_matrix_products_are_zeros():
    assert (mg.ones(2, 0) @ mg.ones(0, 3)).tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize(
    "index, values",
    [
        ([0, 1, 1, 0, 1], (5, 3)),
        (([0, 1, 1], [2, 2, 2]), (3,)),
        ((slice(None), [1, 1, 1]), (2, 3)),
        (([-1, 1, 0],), (3, 3)),
        (([[0, 1], [1, 1]],), (2, 2, 3)),
    ],
)
def test_an_index_that_comes_twice_gets_both_gradients(index, values):
    x, y = both(np.random.default_rng(0).standard_normal((2, 3)))
    g = np.random.default_rng(1).standard_normal(values)
    x[index].backward(mg.tensor(g))
    y[index].backward(torch.tensor(g))
    same(x.grad, y.grad)


def test_the_gradient_of_a_large_embedding_is_exact():
    rng = np.random.default_rng(0)
    rows, g = rng.integers(-50, 50, (40, 30)), rng.standard_normal((40, 30, 6))
    w = mg.zeros(50, 6, dtype=mg.float64, requires_grad=True)
    w[mg.tensor(rows)].backward(mg.tensor(g))
    expected = np.zeros((50, 6))
    np.add.at(expected, rows, g)
    np.testing.assert_allclose(w.grad.numpy(), expected, rtol=1e-12)


def test_many_slices_of_one_tensor_share_one_gradient_array():
    x, y = both(np.random.default_rng(0).standard_normal((4, 6)))
    f = lambda x: (x[0] * x[1]).sum() + (x[:, 2:4] * 3).sum() + x.sum() + (x[[0, 0, 2]] ** 2).sum()
    f(x).backward()
    f(y).backward()
    same(x.grad, y.grad)


@pytest.mark.parametrize("dim", [2, -3, 7])
def test_a_dimension_out_of_range_is_named(dim):
    x = mg.zeros(2, 3)
    for f in (lambda: x.sum(dim), lambda: x.softmax(dim), lambda: x.transpose(0, dim), lambda: mg.cat([x, x], dim), lambda: x.argmax(dim)):
        with pytest.raises(IndexError, match=rf"dim {dim} is out of range.*-2 to 1"):
            f()


def test_the_same_dimension_twice_is_refused():
    with pytest.raises(RuntimeError, match="twice"):
        mg.zeros(2, 3).sum((0, -2))
