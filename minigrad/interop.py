"""Other libraries on our tensors. NumPy and DLPack need no help; einops must be told what a Tensor is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from .functions.einsum import einsum
from .ops.shape import cat, stack
from .tensor import Tensor


@cache
def register_einops() -> type:
    """Let einops work on our tensors; minigrad calls this itself if einops was imported first.

    Returns:
        What einops calls. It is kept, by `cache`: einops itself holds on to it only once it was used.

    Raises:
        ImportError: einops is not installed.

    Source: einops asks every subclass of its AbstractBackend whether a tensor is its own.

        import minigrad as mg
        from einops import rearrange

        mg.interop.register_einops()
        rearrange(mg.randn(2, 3, 4), "a b c -> b (a c)")
    """
    try:
        from einops._backends import AbstractBackend
    except ImportError:
        raise ImportError("register_einops: einops is not installed: pip install einops") from None

    class EinopsBackend(AbstractBackend):

        framework_name = "minigrad"

        def is_appropriate_type(self, tensor: Any) -> bool:
            return isinstance(tensor, Tensor)

        def to_numpy(self, x: Tensor) -> Any:
            return x.detach().cpu().numpy()

        def transpose(self, x: Tensor, axes: Sequence[int]) -> Tensor:
            return x.permute(*axes)

        def reduce(self, x: Tensor, operation: str, axes: Sequence[int]) -> Tensor:
            names = {"min": "amin", "max": "amax"}
            if operation != "prod":
                return getattr(x, names.get(operation, operation))(tuple(axes))
            for axis in sorted(axes, reverse=True):
                x = x.prod(axis)
            return x

        def stack_on_zeroth_dimension(self, tensors: list) -> Tensor:
            return stack(tensors)

        def add_axis(self, x: Tensor, new_position: int) -> Tensor:
            return x.unsqueeze(new_position)

        def tile(self, x: Tensor, repeats: Sequence[int]) -> Tensor:
            return x.expand(*[-1 if n == 1 else n for n in repeats])  # only ever asked to repeat dimensions of size 1

        def concat(self, tensors: list, axis: int) -> Tensor:
            return cat(tensors, axis)

        def is_float_type(self, x: Tensor) -> bool:
            return x.is_floating_point()

        def einsum(self, pattern: str, *x: Tensor) -> Tensor:
            return einsum(pattern, *x)

    return EinopsBackend
