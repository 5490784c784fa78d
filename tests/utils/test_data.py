"""Datasets, samplers and loaders behave as PyTorch's: the same structure goes into both."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import pytest
import torch
import torch.utils.data as torch_data

import minigrad as mg
from minigrad.utils import data

Point = namedtuple("Point", ["x", "label"])
RNG = np.random.default_rng(3)
ARRAYS = [RNG.normal(size=(2, 3)) for _ in range(4)]


def plain(value):
    """Any collated structure as nested Python objects that can be compared, dtypes included."""
    if isinstance(value, (mg.Tensor, torch.Tensor)):
        return str(value.dtype).removeprefix("torch."), tuple(value.shape), value.tolist()
    if isinstance(value, dict):
        return {key: plain(v) for key, v in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value).__name__, [plain(v) for v in value]
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


SAMPLES = {
    "int": [3, 5, 2],
    "bool": [True, False],
    "float": [0.5, 2.25],
    "array": ARRAYS,
    "int32 array": [a.astype(np.int32) for a in ARRAYS],
    "0-d array": [np.array(2.5, np.float32), np.array(1.5, np.float32)],
    "numpy number": [np.float32(1.5), np.float32(2.5)],
    "string": ["a", "bc"],
    "tuple": [(1, "a", ARRAYS[0]), (2, "b", ARRAYS[1])],
    "list": [[1, 2.5], [3, 4.5]],
    "dict": [{"x": ARRAYS[0], "y": 1}, {"x": ARRAYS[2], "y": 7}],
    "namedtuple": [Point(1.5, "a"), Point(2.5, "b")],
    "nested": [{"a": [(1, 2.0)]}, {"a": [(3, 4.0)]}],
}


@pytest.mark.parametrize("name", SAMPLES)
def test_collate_as_torch(name):
    assert plain(data.default_collate(SAMPLES[name])) == plain(torch_data.default_collate(SAMPLES[name]))


def test_collate_tensors():
    ours = data.default_collate([mg.tensor(a) for a in ARRAYS])
    np.testing.assert_array_equal(ours.numpy(), np.stack(ARRAYS))


@pytest.mark.parametrize(
    ("batch", "error", "words"),
    [
        ([np.zeros(2), np.zeros(3)], RuntimeError, r"\(2,\).*\(3,\).*number 1.*collate_fn"),
        ([(1, 2), (1,)], RuntimeError, "one length, got 2 and 1"),
        ([object(), object()], TypeError, "got object; pass a collate_fn"),
    ],
)
def test_collate_errors(batch, error, words):
    with pytest.raises(error, match=words):
        data.default_collate(batch)


LOADERS = [
    {"batch_size": 3},
    {"batch_size": 3, "drop_last": True},
    {"batch_size": 4, "sampler": [6, 0, 2, 2, 5]},
    {"batch_sampler": [[0, 1], [5], [2, 3, 4]]},
    {"batch_size": None},
    {"batch_size": None, "sampler": [4, 1]},
    {"batch_size": 2, "collate_fn": list},
    {"batch_size": 7},
    {},
]


@pytest.mark.parametrize("options", LOADERS, ids=str)
def test_loader_as_torch(options):
    x = RNG.normal(size=(7, 2))
    ours = data.DataLoader([(x[i], i) for i in range(7)], **options)
    theirs = torch_data.DataLoader([(x[i], i) for i in range(7)], **options)
    assert len(ours) == len(theirs)
    strip = (lambda batches: [[i for _, i in b] for b in batches]) if "collate_fn" in options else plain
    assert strip(list(ours)) == strip(list(theirs))
    assert strip(list(ours)) == strip(list(theirs)), "a loader can be run through again"


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"batch_size": 0}, ValueError, "batch_size must be a positive integer or None, got 0"),
        ({"batch_size": 2.5}, ValueError, "got 2.5"),
        ({"shuffle": True, "sampler": [1]}, ValueError, "sampler or shuffle"),
        ({"batch_sampler": [[1]], "batch_size": 2}, ValueError, "batch_sampler or batch_size"),
        ({"batch_sampler": [[1]], "shuffle": True}, ValueError, "batch_sampler or shuffle"),
        ({"batch_sampler": [[1]], "sampler": [1]}, ValueError, "batch_sampler or sampler"),
        ({"batch_sampler": [[1]], "drop_last": True}, ValueError, "batch_sampler or drop_last"),
        ({"batch_size": None, "drop_last": True}, ValueError, "drop_last=True needs a batch_size"),
        ({"num_workers": 2}, NotImplementedError, "num_workers must be 0 for now, got 2"),
        ({"dataset": 5}, TypeError, "dataset must have __getitem__.*int"),
        ({"dataset": type("D", (data.Dataset,), {})()}, TypeError, "dataset must have a length, got D"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_loader_errors(options, error, words):
    with pytest.raises(error, match=f"DataLoader: .*{words}"):
        data.DataLoader(**{"dataset": range(5), **options})


def order(loader) -> list[int]:
    return [i for batch in loader for i in batch.tolist()]


def test_shuffle_is_a_new_permutation_each_epoch_and_repeats_under_a_seed():
    def epochs(seed):
        loader = data.DataLoader(range(50), batch_size=7, shuffle=True, generator=mg.Generator().manual_seed(seed))
        return order(loader), order(loader)

    first, second = epochs(1)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second and first != list(range(50))
    assert epochs(1) == (first, second) and epochs(2) != (first, second)
    mg.manual_seed(4)
    a = order(data.DataLoader(range(50), shuffle=True))
    mg.manual_seed(4)
    assert order(data.DataLoader(range(50), shuffle=True)) == a


def test_an_empty_dataset_has_no_batches():
    assert list(data.DataLoader([], batch_size=2, shuffle=True)) == []


def test_random_sampler():
    assert len(list(data.RandomSampler(range(3), num_samples=8))) == 8
    drawn = list(data.RandomSampler(range(3), num_samples=8))
    assert sorted(drawn[:3]) == sorted(drawn[3:6]) == [0, 1, 2], "without replacement each comes before one comes again"
    drawn = list(data.RandomSampler(range(5), replacement=True, num_samples=2000))
    assert min(np.bincount(drawn, minlength=5)) > 300
    with pytest.raises(ValueError, match="num_samples must be a positive integer, got 0"):
        data.RandomSampler([])


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("n", [0, 5, 6])
def test_batch_sampler_as_torch(n, drop_last):
    ours, theirs = (m.BatchSampler(range(n), 3, drop_last) for m in (data, torch_data))
    assert list(ours) == list(theirs) and len(ours) == len(theirs)


@pytest.mark.parametrize(("size", "drop"), [(0, False), (True, False), (2, 1)])
def test_batch_sampler_errors(size, drop):
    for module in (data, torch_data):
        with pytest.raises(ValueError, match=r"batch_size|drop_last"):
            module.BatchSampler(range(3), size, drop)


@pytest.mark.parametrize("lengths", [[3, 4], [0.5, 0.5], [0.2, 0.3, 0.5], [0, 7], [1 / 3, 1 / 3, 1 / 3]], ids=str)
def test_random_split_sizes_as_torch(lengths):
    ours = data.random_split(range(7), lengths, mg.Generator().manual_seed(0))
    assert [len(s) for s in ours] == [len(s) for s in torch_data.random_split(range(7), lengths)]
    dealt = [s[i] for s in ours for i in range(len(s))]
    assert sorted(dealt) == list(range(7)) and dealt != list(range(7))
    again = data.random_split(range(7), lengths, mg.Generator().manual_seed(0))
    assert [list(s.indices) for s in again] == [list(s.indices) for s in ours]


@pytest.mark.parametrize("lengths", [[3, 3], [0.5, 0.4], [-1, 8], [2.5, 4.5]], ids=str)
def test_random_split_errors(lengths):
    with pytest.raises(ValueError, match="random_split: lengths must"):
        data.random_split(range(7), lengths)


def test_tensor_dataset_and_subset():
    x, y = mg.arange(6).reshape(3, 2), mg.tensor([1.5, 2.5, 3.5])
    dataset = data.TensorDataset(x, y)
    assert len(dataset) == 3 and dataset[1][0].tolist() == [2, 3] and dataset[-1][1].item() == 3.5
    assert dataset[0:2][0].tolist() == [[0, 1], [2, 3]]
    subset = data.Subset(dataset, [2, 0])
    assert len(subset) == 2 and subset[0][0].tolist() == [4, 5]
    batches = list(data.DataLoader(subset, batch_size=2))
    assert batches[0][0].tolist() == [[4, 5], [0, 1]] and batches[0][1].tolist() == [3.5, 1.5]
    for arguments in ([x, mg.zeros(2)], []):
        with pytest.raises(AssertionError, match="TensorDataset: expected tensors of one first size"):
            data.TensorDataset(*arguments)


def test_a_dataset_says_what_it_lacks():
    with pytest.raises(NotImplementedError, match="Nothing: a Dataset must define __getitem__"):
        type("Nothing", (data.Dataset,), {})()[0]
    with pytest.raises(NotImplementedError, match="Sampler must define __iter__"):
        iter(data.Sampler())
    assert data.Dataset[int] is data.Dataset
