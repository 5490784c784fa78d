"""Dropout by a kernel: who is dropped is a function of a key and a place, so nothing is drawn beforehand, and nothing kept.

Backward asks the same function about the same places. `minigrad.manual_seed` says the key, and each call takes the next
places of the generator, as everything that draws.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .. import backend
from ..function import Function
from ..op import fast_paths
from ..ops.dropout import DROPPED, _dropped
from ..tensor import Tensor


class Dropout(Function):
    """Zeros with probability p, and the others scaled; its derivative is the same of the gradient."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, p: float, key: int, place: int) -> Tensor:
        ctx.numbers = p, key, place
        return Tensor._wrap(import_module("minigrad.kernels.cuda.engine").dropout(input.array, p, key, place))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple:
        return Dropout.apply(*grads, *ctx.numbers), None, None, None


def dropped(input: Tensor, p: float) -> Tensor:
    """Dropout on a CUDA device: by the kernel for what it takes, by the formula for the rest."""
    if p == 1 or not fast_paths.get() or not import_module("minigrad.kernels.cuda.engine").takes(input.array):
        return _dropped(input, p)
    words = -(-input.array.size // 4)  # each place gives four
    return Dropout.apply(input, p, *backend.default_generator(input.device).rng.reserve(words))


DROPPED["cuda"] = dropped
