"""Datasets, samplers and loaders behave as PyTorch's: the same structure goes into both."""

from __future__ import annotations

import multiprocessing
import os
import random
import threading
import time
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
        ({"num_workers": -1}, ValueError, "num_workers must be 0 or a positive integer, got -1"),
        ({"timeout": -1}, ValueError, "timeout must not be negative, got -1"),
        ({"prefetch_factor": 2}, ValueError, "prefetch_factor=2 must be a positive integer, and needs workers"),
        ({"prefetch_factor": 0, "num_workers": 1}, ValueError, "prefetch_factor=0 must be"),
        ({"dataset": data.IterableDataset(), "shuffle": True}, ValueError, "an IterableDataset has its own order"),
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


# ------------------------------------------------------------------------------------------- several datasets, streams


def test_concat_dataset():
    ours, theirs = (m.ConcatDataset([[1, 2], [3], [4, 5, 6]]) for m in (data, torch_data))
    assert len(ours) == len(theirs) == 6 and ours.cumulative_sizes == theirs.cumulative_sizes
    assert [ours[i] for i in range(-6, 6)] == [theirs[i] for i in range(-6, 6)]
    both = data.TensorDataset(mg.arange(2)) + data.TensorDataset(mg.arange(3))
    assert isinstance(both, data.ConcatDataset) and both[4][0].item() == 2
    for call, error, words in [
        (lambda: ours[6], IndexError, "index 6 is out of range for 6"),
        (lambda: data.ConcatDataset([]), AssertionError, "at least one dataset"),
        (lambda: data.ConcatDataset([data.IterableDataset()]), AssertionError, "use ChainDataset"),
    ]:
        with pytest.raises(error, match=f"ConcatDataset: .*{words}"):
            call()


def streams(module):
    class Numbers(module.IterableDataset):
        def __init__(self, n):
            self.n = n

        def __iter__(self):
            info = module.get_worker_info()
            first, step = (0, 1) if info is None else (info.id, info.num_workers)
            return iter(range(first, self.n, step))

        def __len__(self):
            return self.n

    return Numbers


@pytest.mark.parametrize("workers", [0, 2, 3])
@pytest.mark.parametrize(
    "options", [{"batch_size": 3}, {"batch_size": 2, "drop_last": True}, {"batch_size": None}, {}], ids=str
)
@pytest.mark.parametrize("n", [0, 11])
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_streams_as_torch(options, workers, n):
    found = []
    for m in (data, torch_data):
        loader = m.DataLoader(streams(m)(n), **options, num_workers=workers)
        found.append((plain(list(loader)), len(loader)))
    assert found[0] == found[1]


def test_streams():
    Numbers = streams(data)
    chained = Numbers(2) + Numbers(3)
    assert isinstance(chained, data.ChainDataset) and list(chained) == [0, 1, 0, 1, 2] and len(chained) == 5
    with pytest.raises(NotImplementedError, match="IterableDataset must define __iter__"):
        iter(data.IterableDataset())
    with pytest.raises(NotImplementedError, match="no samples by number"):
        data.IterableDataset()[0]
    with pytest.raises(AssertionError, match="ChainDataset: expected IterableDatasets, got list"):
        data.ChainDataset([[1]])


def test_other_samplers():
    mg.manual_seed(0)
    sampler = data.WeightedRandomSampler([1.0, 0.0, 3.0], 4000)
    drawn = np.bincount(list(sampler), minlength=3)
    assert len(sampler) == 4000 and drawn[1] == 0 and abs(drawn[2] / 4000 - 0.75) < 0.03
    assert sorted(data.WeightedRandomSampler(mg.tensor([1.0, 0.0, 3.0]), 2, replacement=False)) == [0, 2]
    sampler = data.SubsetRandomSampler([7, 3, 9, 1], generator=mg.Generator().manual_seed(0))
    orders = {tuple(sampler) for _ in range(50)}
    assert len(sampler) == 4 and len(orders) > 10 and all(sorted(order) == [1, 3, 7, 9] for order in orders)
    for arguments, words in [(([1.0], 0), "num_samples"), (([1.0], 1, 2), "replacement"), (([[1.0]], 1), "one weight")]:
        with pytest.raises(ValueError, match=f"WeightedRandomSampler: .*{words}"):
            data.WeightedRandomSampler(*arguments)


def test_getitems_gets_whole_batches():
    class Whole(data.Dataset):
        def __getitems__(self, batch):
            return [10 * i for i in batch]

        def __len__(self):
            return 5

    assert order(data.DataLoader(Whole(), batch_size=2)) == [0, 10, 20, 30, 40]


# ---------------------------------------------------------------------------------------------------------- workers


class Slow(data.Dataset):
    """The first samples take longest, so that batches are ready out of order."""

    def __len__(self):
        return 13

    def __getitem__(self, index):
        time.sleep(0.05 if index < 2 else 0)
        return index, os.getpid(), random.random(), np.random.rand(), mg.rand(2)


@pytest.mark.parametrize("options", [{}, {"shuffle": True}, {"prefetch_factor": 5}, {"timeout": 20, "pin_memory": True}])
def test_workers_keep_the_order(options):
    def numbers(workers):
        extra = {"generator": mg.Generator().manual_seed(3), **({} if workers else {"prefetch_factor": None})}
        loader = data.DataLoader(Slow(), batch_size=2, num_workers=workers, **{**options, **extra})
        return [batch[0].tolist() for _ in range(2) for batch in loader], {p for b in loader for p in b[1].tolist()}

    (plain_order, here), (order_of_three, pids) = numbers(0), numbers(3)
    assert plain_order == order_of_three and here == {os.getpid()}
    assert len(pids) == 3 and os.getpid() not in pids


def test_random_numbers_of_workers():
    def draw():
        loader = data.DataLoader(Slow(), batch_size=1, num_workers=2, generator=mg.Generator().manual_seed(5))
        return [[x.tolist() for x in batch[2:]] for _ in range(2) for batch in loader]

    first = draw()
    assert first == draw(), "they repeat under a seed"
    for k, source in enumerate(("random", "numpy.random", "minigrad")):
        assert len({str(x[k]) for x in first}) == len(first), f"and those of {source} differ between workers and epochs"


def test_worker_info_and_init():
    def init(worker):
        global STARTED
        STARTED = worker * 10

    class Asking(data.Dataset):
        def __len__(self):
            return 6

        def __getitem__(self, index):
            info = data.get_worker_info()
            return info.id, info.num_workers, STARTED, len(info.dataset), index

    batches = [b.tolist() for b in data.DataLoader(Asking(), 2, num_workers=2, worker_init_fn=init, collate_fn=mg.tensor)]
    assert [b[0][:4] for b in batches] == [[0, 2, 0, 6], [1, 2, 10, 6], [0, 2, 0, 6]]
    assert data.get_worker_info() is None


class Strange(Exception):
    def __init__(self, a, b):
        super().__init__(a, b)


class Failing(data.Dataset):
    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 4

    def __getitem__(self, index):
        if index == 3:
            raise self.error  # here it happens
        return index


@pytest.mark.parametrize(
    ("error", "kind"),
    [(ValueError("no such file"), ValueError), (KeyError("no such file"), KeyError), (Strange("no such file", 1), RuntimeError)],
    ids=["ValueError", "KeyError", "Strange"],
)
def test_errors_of_workers(error, kind):
    found = []
    with pytest.raises(kind) as caught:
        for batch in data.DataLoader(Failing(error), batch_size=1, num_workers=2):
            found += batch.tolist()
    assert found == [0, 1, 2], "what came before is given"
    text = str(caught.value)
    assert f"caught {type(error).__name__} in DataLoader worker 1.\nOriginal Traceback" in text
    assert "raise self.error  # here it happens" in text and "no such file" in text
    with pytest.raises(type(error), match="no such file"):
        list(data.DataLoader(Failing(error)))


@pytest.mark.parametrize(
    ("what", "options", "words"),
    [
        (lambda: os._exit(7), {}, r"worker 0 \(pid \d+\) ended unexpectedly with exit code 7; try num_workers=0"),
        (lambda: time.sleep(5), {"timeout": 0.1}, "worker 0 gave no batch within the timeout of 0.1 seconds"),
        (lambda: threading.Lock(), {"collate_fn": lambda batch: batch}, "pickle"),
    ],
    ids=["dies", "hangs", "cannot be sent"],
)
def test_workers_that_fail(what, options, words):
    class Doing(data.Dataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return what()

    with pytest.raises((RuntimeError, TypeError), match=words):
        list(data.DataLoader(Doing(), num_workers=1, **options))
    assert multiprocessing.active_children() == []


def test_no_process_stays_behind():
    batches = iter(data.DataLoader(Slow(), num_workers=2))
    next(batches)
    assert len(multiprocessing.active_children()) == 2
    del batches
    assert multiprocessing.active_children() == []
    big = data.DataLoader([np.ones(10**6)] * 8, num_workers=1, batch_size=2, prefetch_factor=4)
    for batch in big:
        assert batch.shape == (2, 10**6)
        break
    assert multiprocessing.active_children() == []


def test_spawned_workers():
    """Started from nothing, as on systems without fork: what they get is pickled."""
    loader = data.DataLoader(range(5), batch_size=2, num_workers=1, multiprocessing_context="spawn")
    assert order(loader) == [0, 1, 2, 3, 4]


def test_the_end_of_an_iterator_in_getitem_is_an_error():
    class Ending(data.Dataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return next(iter([]))

    for workers in (0, 1):
        with pytest.raises(RuntimeError, match="StopIteration"):
            list(data.DataLoader(Ending(), num_workers=workers))
