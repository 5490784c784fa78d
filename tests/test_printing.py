"""Tensors print as in PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg

rng = np.random.default_rng(0)
ARRAYS = [
    np.array(1.5), np.array(3), np.array(-2.0), np.array(True), np.array([1.0, 2.0]), np.array([1.5, -2.25, 100.0]),
    np.array([0.0, -np.inf]), np.array([np.nan, 1.0, np.inf]), np.array([1e-5, 1.0]), np.array([1e9, 1.0]), np.array([1e9]),
    np.array([12345.678, 1.0]), np.array([0.0, 0.0]), np.array([[1, -20], [300, 4]]), rng.standard_normal((2, 3)),
    rng.standard_normal((2, 2, 3)), rng.standard_normal((2, 1, 2, 2)), np.arange(40), np.arange(40) / 7, np.zeros((0,)), np.zeros((2, 0)),
    rng.standard_normal(2000), rng.standard_normal((50, 60)), np.arange(5000).reshape(50, 100), rng.standard_normal((9, 8, 20)),
    np.array([True, False]), np.array([1, 2], np.uint8), np.array([0.5], np.float16), np.full((3, 30), -0.125, np.float32), np.array([1e-8, 2e-8]),
]  # fmt: skip


@pytest.mark.parametrize("dtype", [None, np.float32])
@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}{a.shape}")
def test_repr_is_torchs(array, dtype):
    array = array.astype(dtype) if dtype is not None and array.dtype == np.float64 else array
    assert repr(mg.tensor(array)) == repr(torch.tensor(array)).replace("torch.", "")


def test_what_is_not_plain_is_told():
    x = mg.tensor([1.0], requires_grad=True)
    assert repr(x) == "tensor([1.], requires_grad=True)"
    assert repr(x * 2) == "tensor([2.], grad_fn=<mul>)"
    assert f"{mg.tensor(1.23456):.2f}" == "1.23"
    assert repr(mg.zeros(2, 3).shape) == "Size([2, 3])"
