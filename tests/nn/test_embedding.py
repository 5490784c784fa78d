"""Embedding and EmbeddingBag against PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn
from minigrad.nn import functional as F

from .twin import load, same, scramble

rng = np.random.default_rng(0)
ROWS, SIZE = 6, 3


def layers(kind, **options):
    """The same layer in both engines, with the same table."""
    theirs = scramble(getattr(torch.nn, kind)(ROWS, SIZE, **options))
    ours = load(getattr(nn, kind)(ROWS, SIZE, **options), theirs)
    assert repr(ours) == repr(theirs)
    return ours, theirs


@pytest.mark.parametrize("padding_idx", [None, 0, 2, -1])
@pytest.mark.parametrize("shape", [(), (7,), (3, 5)])
def test_embedding(shape, padding_idx):
    theirs = scramble(torch.nn.Embedding(6, 3, padding_idx=padding_idx))
    ours = load(nn.Embedding(6, 3, padding_idx=padding_idx), theirs)
    same(ours, theirs, np.random.default_rng(0).integers(0, 6, shape))


def test_embedding_padding_row_starts_as_zeros_and_others_do_not():
    table = nn.Embedding(4, 3, padding_idx=-2).weight.detach().numpy()
    assert (table[2] == 0).all() and (table[[0, 1, 3]] != 0).all()


@pytest.mark.parametrize("freeze", [True, False])
def test_embedding_from_pretrained(freeze):
    table = mg.randn(4, 3)
    layer = nn.Embedding.from_pretrained(table, freeze=freeze, padding_idx=1)
    assert layer.weight.requires_grad is not freeze
    assert (layer(mg.tensor([3, 1])) == table[[3, 1]]).all()


@pytest.mark.parametrize("options", [{"max_norm": 1.3}, {"max_norm": 0.7, "norm_type": 1.0, "padding_idx": 1}, {"max_norm": 9.0}])
@pytest.mark.parametrize("shape", [(), (7,), (3, 5), (0,)])
def test_max_norm_shortens_the_rows_that_are_used(options, shape):
    ours, theirs = layers("Embedding", **options)
    same(ours, theirs, rng.integers(0, ROWS - 1, shape))
    np.testing.assert_allclose(ours.weight.detach().numpy(), theirs.weight.detach().numpy(), rtol=1e-12)


def test_max_norm_in_the_functions():
    table = mg.tensor([[3.0, 4.0], [6.0, 8.0]])
    assert F.embedding(mg.tensor(0), table, max_norm=5.5).tolist() == [3.0, 4.0]
    F.embedding_bag(mg.tensor([[1]]), table, max_norm=5.0)
    np.testing.assert_allclose(table.numpy(), [[3, 4], [3, 4]], rtol=1e-6)


def test_embedding_dtype():
    for layer in (nn.Embedding(2, 3, dtype=mg.float64), nn.EmbeddingBag(2, 3, dtype=mg.float64)):
        assert layer.weight.dtype == mg.float64


# -------------------------------------------------------------------------------------------------------------- bags

MODES = ["sum", "mean", "max"]
OFFSETS = [[0, 2, 5], [0], [0, 0, 3, 3, 8, 8], [0, 8]]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding_idx", [None, 2, -1])
@pytest.mark.parametrize("shape", [(4, 3), (1, 5), (5, 1)])
def test_bags_of_one_size(mode, padding_idx, shape):
    ours, theirs = layers("EmbeddingBag", mode=mode, padding_idx=padding_idx)
    same(ours, theirs, rng.integers(0, ROWS, shape))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding_idx", [None, 2])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("offsets", OFFSETS)
def test_bags_by_offsets(mode, padding_idx, last, offsets):
    ours, theirs = layers("EmbeddingBag", mode=mode, padding_idx=padding_idx, include_last_offset=last)
    same(ours, theirs, np.array([1, 2, 2, 0, 5, 2, 1, 1]), np.array(offsets + [8] if last else offsets))


@pytest.mark.parametrize("mode", MODES)
def test_bags_that_are_all_empty(mode):
    ours, theirs = layers("EmbeddingBag", mode=mode)
    same(ours, theirs, np.zeros(0, int), np.zeros(3, int))


@pytest.mark.parametrize("mode", MODES)
def test_bags_of_rows_that_are_shortened(mode):
    ours, theirs = layers("EmbeddingBag", mode=mode, max_norm=1.1, norm_type=3.0)
    same(ours, theirs, rng.integers(0, ROWS, (4, 3)))
    np.testing.assert_allclose(ours.weight.detach().numpy(), theirs.weight.detach().numpy(), rtol=1e-12)


def test_a_padding_row_counted_from_the_end():
    table, index = rng.standard_normal((ROWS, SIZE)), np.array([[5, 1, 5], [5, 5, 5], [0, 2, 3]])
    ours = F.embedding_bag(mg.tensor(index), mg.tensor(table), padding_idx=-1)
    theirs = torch.nn.functional.embedding_bag(torch.tensor(index), torch.tensor(table), padding_idx=-1)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-12)


@pytest.mark.parametrize("padding_idx", [None, 2])
def test_weighted_bags(padding_idx):
    ours, theirs = layers("EmbeddingBag", mode="sum", padding_idx=padding_idx)
    flat = np.array([1, 2, 2, 0, 5, 2])
    same(ours, theirs, flat, np.array([0, 2, 2]), rng.standard_normal(6))
    same(ours, theirs, flat.reshape(3, 2), None, rng.standard_normal((3, 2)))


@pytest.mark.parametrize("mode", MODES)
def test_second_derivatives_of_bags(mode):
    index, offsets, table = np.array([1, 4, 2, 0, 5, 3]), np.array([0, 2, 2]), rng.standard_normal((ROWS, SIZE))
    arrays = [table, *([rng.standard_normal(6)] if mode == "sum" else [])]

    def call(library):
        def bag(table, weights=None):
            i, o = library.tensor(index), library.tensor(offsets)
            return library.nn.functional.embedding_bag(i, table ** 2, o, mode=mode, per_sample_weights=weights)

        return bag

    if mode == "sum":  # PyTorch has second derivatives for this one; the others are the same but for numbers
        same(call(mg), lambda t, w: sum_by_hand(t ** 2, w, index), *arrays, second=True)
    else:
        assert mg.autograd.gradgradcheck(call(mg), (mg.tensor(table, requires_grad=True),))


def sum_by_hand(table, weights, index):
    rows = table[torch.tensor(index)] * weights[:, None]
    return torch.stack([rows[:2].sum(0), rows[:0].sum(0), rows[2:].sum(0)])


@pytest.mark.parametrize("mode", MODES)
def test_bags_from_pretrained(mode):
    table = rng.standard_normal((ROWS, SIZE))
    ours = nn.EmbeddingBag.from_pretrained(mg.tensor(table), mode=mode)
    theirs = torch.nn.EmbeddingBag.from_pretrained(torch.tensor(table), mode=mode)
    assert not ours.weight.requires_grad
    index = np.array([[1, 2], [0, 1]])
    np.testing.assert_allclose(ours(mg.tensor(index)).numpy(), theirs(torch.tensor(index)).numpy(), rtol=1e-12)


TABLE, INDEX = mg.randn(ROWS, SIZE), mg.tensor([1, 2, 3])
ZERO = mg.tensor([0])


def bag(*args, index=INDEX, **options):
    return F.embedding_bag(index, TABLE, *args, **options)


WRONG = [
    (lambda: nn.Embedding(3, 2, padding_idx=3), ValueError, "^Embedding: padding_idx 3 is out of range for 3 rows"),
    (lambda: nn.Embedding.from_pretrained(mg.ones(3)), ValueError, r"expected a 2-d table, got shape \(3,\)"),
    (lambda: nn.Embedding(3, 2)(mg.tensor([3])), IndexError, "^embedding: index 3 is out of range for 3 rows"),
    (lambda: nn.Embedding(3, 2, max_norm=1.0)(mg.tensor([3])), IndexError, "^embedding: index 3 is out of range for 3 rows"),
    (lambda: nn.Embedding(3, 2, sparse=True), NotImplementedError, "^Embedding: sparse gradients are not supported"),
    (lambda: nn.Embedding(3, 2, scale_grad_by_freq=True), NotImplementedError, "^Embedding: scale_grad_by_freq is not supported"),
    (lambda: nn.EmbeddingBag(3, 2, mode="min"), ValueError, "^EmbeddingBag: mode must be 'sum', 'mean' or 'max', got 'min'"),
    (lambda: bag(ZERO, mode="min"), ValueError, "^embedding_bag: mode must be 'sum', 'mean' or 'max', got 'min'"),
    (lambda: bag(ZERO, sparse=True), NotImplementedError, "sparse gradients are not supported"),
    (lambda: bag(), ValueError, r"input \(total,\) with offsets.*got input \(3,\) and offsets None"),
    (lambda: bag(ZERO, index=mg.tensor([[1]])), ValueError, r"got input \(1, 1\) and offsets \(1,\)"),
    (lambda: bag(index=mg.tensor(1)), ValueError, r"got input \(\) and offsets None"),
    (lambda: bag(mg.tensor([1])), RuntimeError, r"offsets must begin with 0.*got \[1\]"),
    (lambda: bag(mg.tensor([0, 4])), RuntimeError, r"input's length 3 at most.*got \[0, 4\]"),
    (lambda: bag(mg.tensor([0, 2, 1])), RuntimeError, r"offsets must begin with 0 and rise.*got \[0, 2, 1\]"),
    (lambda: bag(mg.tensor([0, 2]), include_last_offset=True), RuntimeError, r"\(exactly, with include_last_offset\), got \[0, 2\]"),
    (lambda: bag(ZERO, per_sample_weights=mg.ones(3)), NotImplementedError, "only for mode 'sum', got mode 'mean'"),
    (lambda: bag(ZERO, mode="sum", per_sample_weights=mg.ones(2)), ValueError, r"the shape of the input, got \(2,\) and \(3,\)"),
    (lambda: bag(ZERO, index=mg.tensor([1, 6])), IndexError, "index 6 is out of range for 6 rows"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "words"), WRONG)
def test_what_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
