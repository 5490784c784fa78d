"""What convolutions and pools share: reading their arguments, the largest of each window; `unfold` and `fold`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..composite import composite
from ..creation import arange, tensor
from ..errors import explained
from ..kernels import cpu as kernels
from ..ops.conv import overlap_add, window_counts, windows
from ..ops.elementwise import where
from ..ops.shape import pad as pad_constant
from ..tensor import Tensor
from .module import Module


def each(name: str, what: str, value: Any, n: int, least: int = 1) -> tuple[int, ...]:
    """A number for each of n dimensions, from one int for all or n of them.

    >>> each("conv2d", "stride", 3, 2)
    (3, 3)
    """
    if type(value) is tuple and len(value) == n and all([type(number) is int and number >= least for number in value]):
        return value  # as layers have them
    numbers = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if not all(hasattr(number, "__index__") for number in numbers):
        raise TypeError(f"{name}: {what} must be an int or {n} of them, got {value!r}")
    numbers = tuple(int(number) for number in numbers) * (n if len(numbers) == 1 else 1)
    if len(numbers) != n:
        raise RuntimeError(f"{name}: {what} must be one int or {n}, one for each dimension, got {value}")
    if min(numbers) < least:
        raise RuntimeError(f"{name}: {what} must be at least {least}, got {value}")
    return numbers


def flat_widths(widths: Any) -> list[int]:
    """(before, after) of each dimension in the order of `pad`, which starts from the last."""
    return [width for pair in reversed(widths) for width in pair]


def widen(x: Any, widths: Any) -> Any:
    """Zeros before and after the last dimensions, or less where numbers are negative; the tensor itself if all are 0."""
    return pad_constant(x, flat_widths(widths)) if any(map(any, widths)) else x


def with_batch(name: str, n: int, function: Callable, input: Any) -> Any:
    """Apply a function of batches (batch, channels, n sizes) to these, or to one example without the first dimension."""
    if input.ndim not in (n + 1, n + 2):
        raise RuntimeError(
            f"{name}: expected an input with {n + 2} dimensions (batch, channels, {'length' if n == 1 else 'sizes'}) or "
            f"{n + 1} without a batch, got shape {tuple(input.shape)}"
        )
    if input.ndim == n + 2:
        return function(input)
    out = function(input.unsqueeze(0))
    return tuple(x.squeeze(0) for x in out) if isinstance(out, tuple) else out.squeeze(0)


def largest(input: Any, tables: Sequence[Any], return_indices: bool) -> Any:
    """The largest element of each window, the first of several, NaN before all others.

    Args:
        input: (..., *sizes).
        tables: for each of the sizes, the positions of the elements (windows, kernel) of each window.
        return_indices: also where it stands, counted over all sizes.
    """
    n = len(tables)
    sizes, counts = tuple(input.shape[-n:]), tuple(len(table) for table in tables)
    total, rows = math.prod(sizes), math.prod(input.shape[:-n])
    flat = input.reshape(rows, total)
    with no_grad():
        best: Any = None
        for offset in itertools.product(*(range(table.shape[1]) for table in tables)):  # an element of all windows at once
            grid = np.ix_(*(table[:, k] for table, k in zip(tables, offset)))
            places = tensor(np.ravel_multi_index(grid, sizes).reshape(-1), device=input.device)
            values = flat[:, places]
            if best is None:
                best, position = values, places.expand(values.shape)
            else:
                better = (values > best) | (values != values)  # the second is for NaN
                best, position = where(better, values, best), where(better, places, position)
        starts = (arange(rows, device=input.device) * total).reshape(rows, 1)
    shape = (*input.shape[:-n], *counts)
    out = input.reshape(-1)[(position + starts).reshape(-1)].reshape(shape)
    return (out, position.reshape(shape)) if return_indices else out


@composite
def max_windows(input, *, tables, geometry):
    """The largest element of each window; the tables say the same as the geometry, which is for kernels."""
    return largest(input, tables, False)


max_windows.fused("cpu", kernels.max_pool, kernels.max_pool_backward)


@lru_cache(256)
def positions(kernel: int, stride: int, padding: int, dilation: int, size: int, count: int) -> np.ndarray | None:
    """Of one dimension the positions (windows, kernel) of the elements of each window; None if a window has none inside."""
    starts = np.arange(count)[:, None] * stride - padding
    # What lies outside is replaced by the window's first or last element inside, which changes no maximum.
    first, last = starts % dilation, size - 1 - (size - 1 - starts) % dilation
    return None if (first > last).any() else np.clip(starts + np.arange(kernel) * dilation, first, last)


def _geometry(name: str, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> tuple:
    kernel, dilation = each(name, "kernel_size", kernel_size, 2), each(name, "dilation", dilation, 2)
    padding = each(name, "padding", padding, 2, least=0)
    return kernel, dilation, [(p, p) for p in padding], each(name, "stride", stride, 2)


@explained
def unfold(input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Every window of an image as a column.

    Args:
        input: (batch, channels, height, width), or without the batch.
        kernel_size: size of the windows, one int or (height, width), like all that follows.
        dilation: distance of the elements of a window.
        padding: zeros on each side.
        stride: distance of the windows.

    Returns:
        (batch, channels * height * width of a window, windows).

    Raises:
        RuntimeError: no window fits.

    Source: `torch.nn.functional.unfold`.

    >>> import minigrad as mg
    >>> unfold(mg.arange(6.0).reshape(1, 2, 3), 2)
    tensor([[0., 1.],
            [1., 2.],
            [3., 4.],
            [4., 5.]])
    """
    kernel, dilation, padding, stride = _geometry("unfold", kernel_size, dilation, padding, stride)

    def columns(x: Any) -> Any:
        x = widen(x, padding)
        counts = window_counts(x.shape[2:], kernel, stride, dilation)
        if 0 in counts:
            raise RuntimeError(
                f"unfold: windows of {kernel} with dilation {dilation} do not fit into {tuple(x.shape[2:])}, the size of "
                f"input {tuple(input.shape)} with padding"
            )
        found = windows(x, kernel=kernel, stride=stride, dilation=dilation).clone()
        return found.reshape(x.shape[0], x.shape[1] * math.prod(kernel), math.prod(counts))

    return with_batch("unfold", 2, columns, input)


@explained
def fold(
    input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Any:
    """Columns that `unfold` makes back to an image; where windows overlap, they add up.

    Args:
        input: (batch, channels * height * width of a window, windows), or without the batch.
        output_size: (height, width) of the image.
        kernel_size, dilation, padding, stride: as in `unfold`.

    Raises:
        RuntimeError: the input has other sizes than unfolding such an image gives.

    Source: `torch.nn.functional.fold`.

    >>> import minigrad as mg
    >>> fold(mg.ones(1, 4, 2), (2, 3), 2)
    tensor([[[[1., 2., 1.],
              [1., 2., 1.]]]])
    """
    kernel, dilation, padding, stride = _geometry("fold", kernel_size, dilation, padding, stride)
    size = [n + 2 * p for n, (p, _) in zip(each("fold", "output_size", output_size, 2), padding)]
    counts = window_counts(size, kernel, stride, dilation)

    def image(x: Any) -> Any:
        if x.shape[1] % math.prod(kernel) or x.shape[2] != math.prod(counts):
            raise RuntimeError(
                f"fold: an image of {output_size} has {counts[0]} by {counts[1]} windows of {kernel}; expected an input of "
                f"shape (batch, a multiple of {math.prod(kernel)}, {math.prod(counts)}), got {tuple(input.shape)}"
            )
        columns = x.reshape(x.shape[0], x.shape[1] // math.prod(kernel), *kernel, *counts)
        padded = overlap_add(columns, size=tuple(size), stride=stride, dilation=dilation)
        return widen(padded, [(-p, -p) for p, _ in padding])

    return with_batch("fold", 1, image, input)


class Unfold(Module):
    """Every window of an image as a column, see `functional.unfold` (as `torch.nn.Unfold`).

    >>> import minigrad as mg
    >>> mg.nn.Unfold((2, 3))(mg.ones(5, 4, 6, 6)).shape
    Size([5, 24, 20])
    """

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        """(batch, channels, height, width) to (batch, channels * kernel size, windows)."""
        return unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        options = (self.kernel_size, self.dilation, self.padding, self.stride)
        return "kernel_size={}, dilation={}, padding={}, stride={}".format(*options)


class Fold(Unfold):
    """Columns back to an image, see `functional.fold` (as `torch.nn.Fold`).

    >>> import minigrad as mg
    >>> mg.nn.Fold((6, 6), (2, 3))(mg.ones(5, 24, 20)).shape
    Size([5, 4, 6, 6])
    """

    def __init__(
        self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        super().__init__(kernel_size, dilation, padding, stride)
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        """(batch, channels * kernel size, windows) to (batch, channels, height, width)."""
        return fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}, {super().extra_repr()}"
