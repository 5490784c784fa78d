"""Padded and packed sequences against PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad.nn.utils import rnn as ours

from .twin import close, pair, same

theirs = torch.nn.utils.rnn
rng = np.random.default_rng(0)
LENGTHS = [[5, 3, 3, 1], [4, 4, 4, 4], [2, 5, 1, 4], [1, 1, 1, 1], [1, 2, 3, 5], [3, 3, 5, 5]]


def is_sorted(lengths):
    return lengths == sorted(lengths, reverse=True)


def equal(a, b):
    """The same packed sequences, indices included."""
    for name in ("data", "batch_sizes", "sorted_indices", "unsorted_indices"):
        x, y = getattr(a, name), getattr(b, name)
        assert (x is None) == (y is None), name
        if x is not None:
            assert str(x.dtype) == str(y.dtype).removeprefix("torch."), name
            close(x, y, name)


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("rest", [(), (2,), (2, 3)])
@pytest.mark.parametrize("total", [None, 7])
def test_pack_and_pad(lengths, batch_first, rest, total):
    x = rng.standard_normal((4, 5, *rest) if batch_first else (5, 4, *rest))
    options = {"batch_first": batch_first, "enforce_sorted": is_sorted(lengths)}
    equal(ours.pack_padded_sequence(mg.tensor(x), lengths, **options), theirs.pack_padded_sequence(torch.tensor(x), lengths, **options))

    def round_trip(rnn):
        def call(x):
            packed = rnn.pack_padded_sequence(x, lengths, **options)
            padded, found = rnn.pad_packed_sequence(packed, batch_first, -2.5, total)
            assert found.tolist() == lengths
            return packed.data, padded

        return call

    same(round_trip(ours), round_trip(theirs), x)


@pytest.mark.parametrize("kind", [mg.tensor, np.array, list])
def test_lengths_of_any_kind(kind):
    x = rng.standard_normal((5, 3, 2))
    packed = ours.pack_padded_sequence(mg.tensor(x), kind([5, 2, 1]))
    equal(packed, theirs.pack_padded_sequence(torch.tensor(x), [5, 2, 1]))


def test_sorted_lengths_may_be_sorted_again():
    x = rng.standard_normal((5, 3, 2))
    equal(*(rnn.pack_padded_sequence(t, [5, 2, 1], enforce_sorted=False) for rnn, t in zip((ours, theirs), pair(x))))


@pytest.mark.parametrize("dtype", [mg.int64, mg.float16, mg.float32, mg.bool])
def test_dtype_stays(dtype):
    packed = ours.pack_sequence([mg.tensor([1, 0, 1]).to(dtype), mg.tensor([1]).to(dtype)])
    padded, lengths = ours.pad_packed_sequence(packed)
    assert packed.data.dtype == padded.dtype == dtype and lengths.dtype == packed.batch_sizes.dtype == mg.int64


SEQUENCES = [
    [(3, 2), (5, 2), (1, 2)],
    [(3,), (0,), (4,)],
    [(2, 3, 1), (2, 3, 1)],
    [(4, 0)],
]


@pytest.mark.parametrize("shapes", SEQUENCES)
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("side", ["left", "right"])
def test_pad_sequence(shapes, batch_first, side):
    xs = [rng.standard_normal(shape) for shape in shapes]

    def call(rnn):
        return lambda *xs: rnn.pad_sequence(list(xs), batch_first, 1.5, side)

    same(call(ours), call(theirs), *xs)


def test_pad_sequence_of_a_tensor_and_of_integers():
    x = rng.standard_normal((3, 4, 2))
    close(ours.pad_sequence(mg.tensor(x)), theirs.pad_sequence(torch.tensor(x)))
    padded = ours.pad_sequence((mg.tensor([5, 6]), mg.tensor([7])), batch_first=True, padding_value=-100)
    assert padded.dtype == mg.int64 and padded.tolist() == [[5, 6], [7, -100]]


@pytest.mark.parametrize("batch_first", [True, False])
def test_unpad_sequence(batch_first):
    x = rng.standard_normal((3, 5, 2) if batch_first else (5, 3, 2))

    def call(rnn, tensor):
        return lambda x: tuple(rnn.unpad_sequence(x * 1, tensor([4, 1, 5]), batch_first))  # PyTorch transposes it in place

    same(call(ours, mg.tensor), call(theirs, torch.tensor), x)


@pytest.mark.parametrize("lengths", [[4, 2, 2], [1, 4, 2]])
def test_pack_sequence_and_unpack(lengths):
    xs = [rng.standard_normal((n, 3)) for n in lengths]
    packed = ours.pack_sequence([mg.tensor(x) for x in xs], is_sorted(lengths))
    equal(packed, theirs.pack_sequence([torch.tensor(x) for x in xs], is_sorted(lengths)))
    for x, y in zip(xs, ours.unpack_sequence(packed)):
        np.testing.assert_array_equal(x, y.numpy())


def test_packed_sequence_as_a_tuple():
    x = rng.standard_normal((5, 3))
    order = [2, 0, 1]
    packed = ours.PackedSequence(mg.tensor(x), mg.tensor([3, 2]), mg.tensor(order))
    equal(packed, theirs.PackedSequence(torch.tensor(x), torch.tensor([3, 2]), torch.tensor(order)))
    data, sizes, _, back = packed
    assert data is packed.data and sizes is packed.batch_sizes and back is packed.unsorted_indices
    small = ours.pack_sequence([mg.tensor([1.0, 2.0]), mg.tensor([3.0])])
    assert repr(small) == repr(theirs.pack_sequence([torch.tensor([1.0, 2.0]), torch.tensor([3.0])]))


def test_packed_sequence_converts():
    packed = ours.pack_sequence([mg.tensor([1.0]), mg.tensor([2.0, 3.0])], enforce_sorted=False)
    assert packed.to(mg.float32) is packed and packed.cpu() is packed and not packed.is_cuda
    for converted, dtype in ((packed.double(), mg.float64), (packed.half(), mg.float16), (packed.double().float(), mg.float32)):
        assert isinstance(converted, ours.PackedSequence) and converted.data.dtype == dtype
        assert converted.sorted_indices.tolist() == packed.sorted_indices.tolist() == [1, 0]


X = mg.ones(5, 2, 3)
PACKED = ours.pack_padded_sequence(X, [4, 2])
PACK = ours.pack_padded_sequence
WRONG = [
    (lambda: PACK(X, [5]), RuntimeError, r"^pack_padded_sequence: expected 2 lengths, one for each sequence, got shape \(1,\)"),
    (lambda: PACK(X, [[5, 2]]), RuntimeError, r"expected 2 lengths, one for each sequence, got shape \(1, 2\)"),
    (lambda: PACK(X, [2, 5]), RuntimeError, r"lengths must fall.*got \[2, 5\]; pass enforce_sorted=False"),
    (lambda: PACK(X, [5, 0]), RuntimeError, r"all lengths must be from 1 to 5, the steps of the input, got \[5, 0\]"),
    (lambda: PACK(X, [0, 5], enforce_sorted=False), RuntimeError, r"all lengths must be from 1 to 5.*got \[0, 5\]"),
    (lambda: PACK(X, [6, 1]), RuntimeError, r"all lengths must be from 1 to 5, the steps of the input, got \[6, 1\]"),
    (lambda: PACK(mg.ones(5, 0, 3), []), RuntimeError, r"expected at least 2 dimensions.*one element, got shape \(5, 0, 3\)"),
    (lambda: PACK(mg.ones(5), [2]), RuntimeError, r"expected at least 2 dimensions.*got shape \(5,\)"),
    (lambda: ours.pad_packed_sequence(PACKED, total_length=3), ValueError, r"total_length must be at least 4, the longest sequence, got 3"),
    (lambda: ours.pad_packed_sequence(X), TypeError, r"^pad_packed_sequence: expected a PackedSequence, got Tensor"),
    (lambda: ours.pad_sequence([]), RuntimeError, r"^pad_sequence: expected tensors \(length, ...\) alike in all but length, got shapes \[\]"),
    (lambda: ours.pad_sequence([X, X[:, :1]]), RuntimeError, r"alike in all but length, got shapes \[\(5, 2, 3\), \(5, 1, 3\)\]"),
    (lambda: ours.pad_sequence([mg.tensor(1.0)]), RuntimeError, r"alike in all but length, got shapes \[\(\)\]"),
    (lambda: ours.pad_sequence([X], padding_side="up"), RuntimeError, r"padding_side must be 'left' or 'right', got 'up'"),
    (lambda: ours.unpad_sequence(X, [5, 1, 1]), RuntimeError, r"^unpad_sequence: expected 2 lengths"),
    (lambda: ours.pack_sequence([X, X[:0]]), RuntimeError, r"all lengths must be from 1 to 5"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "words"), WRONG)
def test_what_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
