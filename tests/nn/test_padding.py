"""Padding layers against PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn

from .twin import same

LAYERS = [
    (f"{kind}Pad{n}d", (padding, *value))
    for kind, value in (("Zero", ()), ("Reflection", ()), ("Replication", ()), ("Circular", ()), ("Constant", (2.5,)))
    for n, padding in ((1, 2), (1, (1, 3)), (2, 1), (2, (2, 0, 1, 3)))
]


@pytest.mark.parametrize(("name", "args"), LAYERS)
@pytest.mark.parametrize("batch", [(2,), ()])
def test_layers(name, args, batch):
    ours, theirs = getattr(nn, name)(*args), getattr(torch.nn, name)(*args)
    assert repr(ours) == repr(theirs)
    same(ours, theirs, np.random.default_rng(0).standard_normal((*batch, 3, 5, 4)[: len(batch) + 1 + int(name[-2])]))


def test_integers_can_be_padded_and_results_are_contiguous_copies():
    x = mg.arange(12).reshape(1, 3, 4)
    for mode in ("reflect", "replicate", "circular"):
        y = nn.functional.pad(x, (2, 1), mode=mode)
        assert y.dtype == mg.int64 and y.is_contiguous()
        assert y.tolist() == torch.nn.functional.pad(torch.arange(12).reshape(1, 3, 4), (2, 1), mode=mode).tolist()
        nn.functional.pad(x, (0, 0), mode=mode).zero_()
    assert x.sum().item() == 66
