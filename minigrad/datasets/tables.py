"""Small tables of real measurements, out of the files of the package scikit-learn."""

from __future__ import annotations

import csv
import importlib.metadata
from pathlib import Path
from typing import NamedTuple

import numpy as np

_MEASURES = ("radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave points",
             "symmetry", "fractal dimension")
TABLES = {  # name -> its file, and what its columns measure
    "iris": ("iris.csv", ("sepal length", "sepal width", "petal length", "petal width")),
    "breast_cancer": (
        "breast_cancer.csv",
        tuple(f"{kind} {measure}" for kind in ("mean", "error of", "worst") for measure in _MEASURES),
    ),
}


class Table(NamedTuple):
    """Rows of measurements: `x` (rows, columns), `y` the class number of each row, and the names of both."""

    x: np.ndarray
    y: np.ndarray
    columns: tuple[str, ...]
    classes: tuple[str, ...]


def load_table(name: str) -> Table:
    """A table of measurements with a class for each row.

    Args:
        name: "iris" (150 flowers of three kinds, 4 lengths in cm) or "breast_cancer" (569 tumours, malignant or benign,
            30 measures of their cells).

    Raises:
        ValueError: no such table.
        ModuleNotFoundError: scikit-learn is not installed. It is not imported: only its files are read.

    Source: Fisher, The use of multiple measurements in taxonomic problems, 1936; Street, Wolberg and Mangasarian,
    Nuclear feature extraction for breast tumor diagnosis, 1993; both from the package scikit-learn.

    >>> table = load_table("iris")
    >>> table.x.shape, table.columns[0], table.classes
    ((150, 4), 'sepal length', ('setosa', 'versicolor', 'virginica'))
    """
    if name not in TABLES:
        raise ValueError(f"load_table: expected one of {', '.join(TABLES)}, got {name!r}")
    file, columns = TABLES[name]
    with _path(file).open(encoding="utf-8", newline="") as lines:
        header, *rows = csv.reader(lines)
    numbers = np.array(rows, dtype=np.float64)
    return Table(numbers[:, :-1], numbers[:, -1].astype(np.int64), columns, tuple(header[2:]))


def _path(file: str) -> Path:
    try:
        files = importlib.metadata.files("scikit-learn") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    found = [Path(str(path.locate())) for path in files if path.parts[-2:] == ("data", file)]
    if not found:
        raise ModuleNotFoundError(
            "load_table: the tables are files of the package scikit-learn, which is not installed: "
            "pip install 'minigrad[learn]'"
        )
    return found[0]
