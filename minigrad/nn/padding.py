"""Padding: `pad` in all modes, and its layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..creation import arange
from ..errors import explained
from ..ops.shape import movedim
from ..ops.shape import pad as pad_constant
from ..tensor import Tensor
from .module import Module


def pick(input: Any, dim: int, rows: Any) -> Any:
    """`index_select` whose gradient adds up whole rows, which is faster."""
    return movedim(movedim(input, dim, 0)[rows], 0, dim)


@explained
def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """Put elements before and after, dimension by dimension from the last.

    Args:
        input: any shape.
        pad: (before last, after last, before next to last, ...); negative numbers cut off.
        mode: "constant", "reflect" (d c b | a b c d | c b a), "replicate" (a a a | a b c d | d d d) or
            "circular" (b c d | a b c d | a b c).
        value: what "constant" puts there; 0 if None.

    Raises:
        RuntimeError: an odd number of widths, more of them than dimensions, or wider than the mode can be.
        NotImplementedError: another mode.

    Source: `torch.nn.functional.pad`; there the modes but "constant" need all dimensions after the channels.

    >>> import minigrad as mg
    >>> x = mg.tensor([[1, 2, 3]])
    >>> mg.nn.functional.pad(x, (1, 2))
    tensor([[0, 1, 2, 3, 0, 0]])
    >>> mg.nn.functional.pad(x, (1, 2), mode="reflect")
    tensor([[2, 1, 2, 3, 2, 1]])
    """
    if mode == "constant":
        return pad_constant(input, pad, value)
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"pad: mode must be 'constant', 'reflect', 'replicate' or 'circular', got {mode!r}")
    if value:
        raise RuntimeError(f"pad: mode {mode!r} takes its values from the input, so there can be no value, got {value}")
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise RuntimeError(f"pad: expected two widths for each of at most {input.ndim} dimensions, got {len(pad)} widths")
    out = input
    for dim, low, high in zip(range(input.ndim - 1, -1, -1), pad[::2], pad[1::2]):
        n = input.shape[dim]
        left = n + min(low, 0) + min(high, 0)  # after cutting
        most = {"reflect": n - 1, "circular": left, "replicate": max(low, high) if n else 0}[mode]
        if max(low, high) > most or left < 0:
            raise RuntimeError(
                f"pad: mode {mode!r} can put at most {most} elements beside a dimension of size {n} and cut off no more than "
                f"there are, got {(low, high)} for dimension {dim} of an input of shape {tuple(input.shape)}"
            )
        if low or high:
            place = arange(-low, n + high, device=input.device)
            if mode == "reflect":
                place = n - 1 - (n - 1 - place.abs()).abs()
            elif mode == "circular":
                place = (place + min(low, 0)) % max(left, 1) - min(low, 0)
            out = pick(out, dim, place.clamp(0, n - 1))
    return out.contiguous() if out is not input else input.clone()


class _Pad(Module):
    """Padding of the last n dimensions with a fixed mode."""

    n: int
    mode: str
    value: float | None = None

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__()
        self.padding = (padding,) * (2 * self.n) if isinstance(padding, int) else tuple(padding)
        if len(self.padding) != 2 * self.n:
            raise ValueError(f"{type(self).__name__}: padding must be an int or {2 * self.n} of them, got {padding}")

    def forward(self, input: Tensor) -> Tensor:
        """(..., sizes), each size larger by its two widths."""
        if input.ndim not in (self.n + 1, self.n + 2) and self.mode != "constant":
            raise ValueError(
                f"{type(self).__name__}: expected an input with {self.n + 1} or {self.n + 2} dimensions, got shape "
                f"{tuple(input.shape)}"
            )
        return pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad1d(_Pad):
    """Zeros before and after the last dimension. Args: padding: one width for all sides, or (left, right)."""

    n, mode, value = 1, "constant", 0.0


class ZeroPad2d(_Pad):
    """Zeros around images. Args: padding: one width for all sides, or (left, right, top, bottom).

    >>> import minigrad as mg
    >>> mg.nn.ZeroPad2d((1, 0, 0, 1))(mg.ones(1, 1, 2))
    tensor([[[0., 1., 1.],
             [0., 0., 0.]]])
    """

    n, mode, value = 2, "constant", 0.0


class ReflectionPad1d(_Pad):
    """Mirrored at the first and the last element. Args: padding: as in `ZeroPad1d`."""

    n, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """Images mirrored at their edges. Args: padding: as in `ZeroPad2d`."""

    n, mode = 2, "reflect"


class ReplicationPad1d(_Pad):
    """The first and the last element repeated. Args: padding: as in `ZeroPad1d`."""

    n, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """The edges of images repeated. Args: padding: as in `ZeroPad2d`."""

    n, mode = 2, "replicate"


class CircularPad1d(_Pad):
    """The end before the beginning, and the beginning after the end. Args: padding: as in `ZeroPad1d`."""

    n, mode = 1, "circular"


class CircularPad2d(_Pad):
    """Images side by side with themselves. Args: padding: as in `ZeroPad2d`."""

    n, mode = 2, "circular"


class ConstantPad1d(_Pad):
    """A number before and after the last dimension. Args: padding: as in `ZeroPad1d`; value: the number."""

    n, mode = 1, "constant"

    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad2d(ConstantPad1d):
    """A number around images. Args: padding: as in `ZeroPad2d`; value: the number."""

    n = 2
