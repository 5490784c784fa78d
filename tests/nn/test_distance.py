"""Distances and angles beside PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from minigrad import nn

from .twin import same

rng = np.random.default_rng(0)
X, Y = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))


@pytest.mark.parametrize("p", [1.0, 2.0, 3.5, float("inf")])
@pytest.mark.parametrize("keepdim", [False, True])
def test_pairwise_distance(p, keepdim):
    ours, theirs = nn.PairwiseDistance(p, 0.1, keepdim), torch.nn.PairwiseDistance(p, 0.1, keepdim)
    assert repr(ours) == repr(theirs)
    for a, b in ((X, Y), (X, Y[:1]), (X[0], Y)):
        same(ours, theirs, a, b, second=p not in (1.0, float("inf")))
    same(nn.functional.pairwise_distance, torch.nn.functional.pairwise_distance, X, X.copy())


def test_cosine_similarity():
    same(nn.CosineSimilarity(0), torch.nn.CosineSimilarity(0), X, Y, second=True)
    same(nn.CosineSimilarity(), torch.nn.CosineSimilarity(), X, Y[:1])
    assert repr(nn.CosineSimilarity()) == repr(torch.nn.CosineSimilarity())
