"""Tables of measurements, as they were published."""

from __future__ import annotations

import importlib.metadata
import sys

import numpy as np
import pytest

from minigrad.datasets import load_table


def test_iris():
    table = load_table("iris")
    assert table.x.shape == (150, 4) and np.bincount(table.y).tolist() == [50, 50, 50]
    assert table.x[0].tolist() == [5.1, 3.5, 1.4, 0.2]  # Fisher's first flower
    assert table.columns[3] == "petal width" and table.classes[1] == "versicolor"


def test_breast_cancer():
    table = load_table("breast_cancer")
    assert table.x.shape == (569, 30) == (len(table.y), len(table.columns))
    counts = dict(zip(table.classes, np.bincount(table.y).tolist()))
    assert counts == {"malignant": 212, "benign": 357}  # as its authors say
    means = dict(zip(table.columns, table.x.mean(0)))
    assert means["mean radius"] < means["worst radius"] < 30 and means["error of radius"] < 1


def test_the_package_is_not_imported():
    load_table("iris")
    assert "sklearn" not in sys.modules


def test_wrong_name():
    with pytest.raises(ValueError, match="expected one of iris, breast_cancer, got 'irises'"):
        load_table("irises")


def test_missing_package(monkeypatch: pytest.MonkeyPatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'minigrad\[learn\]'"):
        load_table("iris")
