from __future__ import annotations

import sys

import numpy as np
import pytest

from minigrad import utils


def test_require(monkeypatch):
    assert utils.require("json.decoder", "train").JSONDecoder
    for broken in ("no_such_package", "no_such_package.part"):
        with pytest.raises(ModuleNotFoundError, match=r"no_such_package, which is not installed: pip install 'minigrad\[x\]'"):
            utils.require(broken, "x")


def test_require_tells_a_broken_package_from_a_missing_one(tmp_path, monkeypatch):
    (tmp_path / "half_a_package.py").write_text("import another_one_that_is_missing")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match=r"half_a_package, which does not import \(No module named 'another"):
        utils.require("half_a_package", "x")
    assert "half_a_package" not in sys.modules


def test_blas_threads():
    if utils._openblas() is None:
        with utils.blas_threads(2) as done:
            assert done is False
        pytest.skip("this NumPy has no OpenBLAS inside")
    get, _ = utils._openblas()
    before, a = get(), np.random.default_rng(0).normal(size=(300, 300))
    expected = a @ a
    for count in (2, 1):
        with utils.blas_threads(count) as done:
            assert done and get() == count
            np.testing.assert_allclose(a @ a, expected)
    with pytest.raises(ZeroDivisionError), utils.blas_threads(2):
        1 / 0  # noqa: B018
    assert get() == before


def test_blas_threads_without_openblas(monkeypatch):
    monkeypatch.setattr(utils, "_openblas", lambda: None)
    with utils.blas_threads(3) as done:
        assert done is False
