"""The gradient of an embedding, by kernel and by formula."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from minigrad.kernels.cpu import jit, rows

import minigrad as mg
from minigrad.nn import functional as F

from .rows import LAYOUTS, compare, normal

scatter = import_module("minigrad.kernels.cpu.scatter")

pytestmark = pytest.mark.skipif(not jit.available(), reason=f"no compiled kernels here: {jit.problem()}")

rng = np.random.default_rng(1)


@pytest.fixture(autouse=True)
def no_size_is_too_small(monkeypatch):
    monkeypatch.setattr(rows, "SMALL", 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("table, places", [((7, 5), (11,)), ((1, 3), (4, 6)), ((300, 16), (50, 3)), ((9, 1), (2, 2, 2))])
def test_embeddings(table, places, dtype, monkeypatch):
    index = mg.from_numpy(rng.integers(0, table[0], places))
    for layout in LAYOUTS.values():
        weight = layout(normal(*table).astype(dtype))
        compare(lambda w: F.embedding(index, w), [weight], [scatter._add_rows], monkeypatch)


def test_padding_gets_no_gradient(monkeypatch):
    index = mg.tensor([[3, 0, 3], [1, 0, 0]])
    compare(lambda w: F.embedding(index, w, padding_idx=0), [normal(5, 4)], [scatter._add_rows], monkeypatch)


def test_rows_of_any_shape_and_numbers_from_the_end(monkeypatch):
    index = mg.tensor([-1, 2, -1, 0], dtype=mg.int32)
    compare(lambda w: w[index] * 2, [normal(4, 2, 3)], [scatter._add_rows], monkeypatch)


def test_what_it_cannot_do_is_left_alone():
    table = np.zeros((4, 3))
    for index in (np.array([True, False, True, True]), (np.array([0]), np.array([1])), slice(0, 2), np.array([], int)):
        assert scatter.add_rows(table, index, table[index]) is NotImplemented
    assert scatter.add_rows(table[:, ::2], np.array([0]), np.ones((1, 2))) is NotImplemented
    assert scatter.add_rows(table, np.array([0, 1]), np.ones(3)) is NotImplemented
