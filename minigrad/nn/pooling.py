"""Pools: one number for each window, the largest or the mean. Functions and layers.

A mean is a sum over `windows`. A maximum is found without gradient, as the place where it stands, and then picked from
the input at that place: so its gradient goes to that element alone, the first of several equal ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..creation import tensor
from ..errors import explained
from ..ops.conv import windows
from ..ops.shape import narrow, stack
from ..tensor import Tensor
from .module import Module
from .windows import each, largest, max_windows, positions, widen

# -------------------------------------------------------------------------------------------------------- functions


def _sizes(name: str, n: int, input: Any) -> tuple[int, ...]:
    """The last n sizes, which are to be pooled."""
    if input.ndim not in (n + 1, n + 2) or 0 in input.shape[-n:]:
        raise RuntimeError(
            f"{name}: expected an input with {n + 2} dimensions, or {n + 1} without a batch, and sizes above 0, got shape "
            f"{tuple(input.shape)}"
        )
    return tuple(input.shape[-n:])


def _read(
    name: str, n: int, input: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> tuple:
    """For each of the last n dimensions: kernel, stride, padding, dilation, size, and how many windows there are."""
    sizes = _sizes(name, n, input)
    kernel = each(name, "kernel_size", kernel_size, n)
    stride = kernel if stride is None else each(name, "stride", stride, n)
    padding = each(name, "padding", padding, n, least=0)
    dilation = each(name, "dilation", dilation, n)
    if any(2 * p > k for p, k in zip(padding, kernel)):
        raise RuntimeError(
            f"{name}: padding can be at most half of the kernel, got padding {padding} and kernel_size {kernel}"
        )
    counts = []
    for size, k, s, p, d in zip(sizes, kernel, stride, padding, dilation):
        room = size + 2 * p - d * (k - 1) - 1
        count = (-(-room // s) if ceil_mode else room // s) + 1
        if ceil_mode and (count - 1) * s >= size + p:  # a window must start inside of the input or the padding before it
            count -= 1
        if count < 1:
            raise RuntimeError(
                f"{name}: a kernel of {kernel} with dilation {dilation} and padding {padding} does not fit into input of "
                f"shape {tuple(input.shape)}"
            )
        counts.append(count)
    return kernel, stride, padding, dilation, sizes, counts


def _max_pool(
    n: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    name = f"max_pool{n}d"
    kernel, stride, padding, dilation, sizes, counts = _read(
        name, n, input, kernel_size, stride, padding, dilation, ceil_mode
    )
    tables = [positions(*numbers) for numbers in zip(kernel, stride, padding, dilation, sizes, counts)]
    if any(table is None for table in tables):
        raise RuntimeError(
            f"{name}: with kernel_size {kernel_size}, dilation {dilation} and padding {padding}, some window has no "
            f"element inside of input of shape {tuple(input.shape)}"
        )
    if not return_indices:
        return max_windows(input, tables=tables, geometry=(kernel, stride, padding, dilation))
    return largest(input, tables, return_indices)


@explained
def max_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window of a sequence, see `max_pool2d`. Source: `torch.nn.functional.max_pool1d`.

    >>> import minigrad as mg
    >>> max_pool1d(mg.tensor([[1.0, 5.0, 2.0, 3.0]]), 2)
    tensor([[5., 3.]])
    """
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@explained
def max_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window of images; the first of several gets the gradient.

    Args:
        input: (batch, channels, height, width), or without the batch.
        kernel_size: size of the windows, one int or (height, width), like all that follows.
        stride: distance of the windows; their size if None.
        padding: how far windows reach over the edges, at most half of their size; nothing is found there.
        dilation: distance of the elements of a window.
        ceil_mode: whether a last window may reach over the end.
        return_indices: also return where each was found.

    Returns:
        (batch, channels, height, width), and with return_indices positions in the image, counted row by row.

    Raises:
        RuntimeError: numbers or shapes that do not fit.

    Source: `torch.nn.functional.max_pool2d`.

    >>> import minigrad as mg
    >>> max_pool2d(mg.tensor([[[1.0, 5.0, 2.0, 3.0], [0.0, 1.0, 4.0, 2.0]]]), 2, return_indices=True)
    (tensor([[[5., 4.]]]), tensor([[[1, 6]]]))
    """
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _avg_pool(
    n: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    name = f"avg_pool{n}d"
    kernel, stride, padding, dilation, sizes, counts = _read(
        name, n, input, kernel_size, stride, padding, 1, ceil_mode
    )
    if not input.is_floating_point():
        raise RuntimeError(f"{name}: expected floating point numbers, got {input.dtype}; convert with .float()")
    if divisor_override == 0:
        raise RuntimeError(f"{name}: divisor_override must not be 0")
    divisor: Any = 1.0
    ends = []
    for size, k, s, p, count in zip(sizes, kernel, stride, padding, counts):
        starts = np.arange(count) * s - p
        low, high = (-p, size + p) if count_include_pad else (0, size)
        divisor = np.multiply.outer(divisor, np.minimum(starts + k, high) - np.maximum(starts, low))
        ends.append((p, (count - 1) * s + k - p - size))
    found = windows(widen(input, ends), kernel=kernel, stride=stride, dilation=dilation)
    total = found.sum(tuple(range(input.ndim - n, input.ndim)))
    if divisor_override is not None:
        return total / divisor_override
    return total / tensor(divisor, dtype=input.dtype, device=input.device)


@explained
def avg_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The mean of each window of a sequence, see `avg_pool2d`. Source: `torch.nn.functional.avg_pool1d`.

    >>> import minigrad as mg
    >>> avg_pool1d(mg.tensor([[1.0, 5.0, 2.0, 3.0]]), 2)
    tensor([[3.0000, 2.5000]])
    """
    return _avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


@explained
def avg_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The mean of each window of images.

    Args:
        input: (batch, channels, height, width), or without the batch; floating point.
        kernel_size, stride, padding, ceil_mode: as in `max_pool2d`; the padding is zeros.
        count_include_pad: whether the zeros of the padding count as elements.
        divisor_override: divide sums by this instead of the number of elements.

    Raises:
        RuntimeError: numbers or shapes that do not fit.

    Source: `torch.nn.functional.avg_pool2d`.

    >>> import minigrad as mg
    >>> avg_pool2d(mg.tensor([[[1.0, 5.0, 2.0, 3.0], [0.0, 2.0, 4.0, 3.0]]]), 2)
    tensor([[[2., 3.]]])
    """
    return _avg_pool(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def _parts(name: str, n: int, input: Any, output_size: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """Starts and ends of as many windows as wanted, which cover each size as evenly as possible."""
    sizes = _sizes(name, n, input)
    wanted = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * n
    if len(wanted) == n:
        wanted = tuple(size if count is None else count for size, count in zip(sizes, wanted))
    counts = [np.arange(count) for count in each(name, "output_size", wanted, n, least=0)]
    return [(i * size // len(i), -(-(i + 1) * size // len(i))) if len(i) else (i, i) for i, size in zip(counts, sizes)]


def _adaptive_avg_pool(n: int, input: Any, output_size: Any) -> Any:
    out = input
    for dim, (starts, ends) in enumerate(_parts(f"adaptive_avg_pool{n}d", n, input, output_size), -n):
        if len(starts):  # a mean of means over equal parts is the mean
            pieces = [narrow(out, dim, start, end - start).mean(dim) for start, end in zip(starts.tolist(), ends.tolist())]
            out = stack(pieces, dim)
        else:
            out = narrow(out, dim, 0, 0)
    return out


@explained
def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """The means of so many parts of a sequence, see `adaptive_avg_pool2d`.

    Source: `torch.nn.functional.adaptive_avg_pool1d`.

    >>> import minigrad as mg
    >>> adaptive_avg_pool1d(mg.tensor([[1.0, 5.0, 3.0]]), 2)
    tensor([[3., 4.]])
    """
    return _adaptive_avg_pool(1, input, output_size)


@explained
def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """The means of so many parts of images, whatever their size; parts overlap where they must.

    Args:
        input: (batch, channels, height, width), or without the batch; floating point.
        output_size: one int or (height, width) of the result; None keeps a size.

    Raises:
        RuntimeError: shapes that do not fit.

    Source: `torch.nn.functional.adaptive_avg_pool2d`.

    >>> import minigrad as mg
    >>> adaptive_avg_pool2d(mg.tensor([[[1.0, 5.0, 3.0], [3.0, 1.0, 5.0]]]), (1, 2))
    tensor([[[2.5000, 3.5000]]])
    """
    return _adaptive_avg_pool(2, input, output_size)


def _adaptive_max_pool(n: int, input: Any, output_size: Any, return_indices: bool) -> Any:
    tables = []
    for starts, ends in _parts(f"adaptive_max_pool{n}d", n, input, output_size):
        longest = int((ends - starts).max(initial=1))
        tables.append(np.minimum(starts[:, None] + np.arange(longest), ends[:, None] - 1))
    return largest(input, tables, return_indices)


@explained
def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The largest elements of so many parts of a sequence, see `adaptive_max_pool2d`.

    Source: `torch.nn.functional.adaptive_max_pool1d`.

    >>> import minigrad as mg
    >>> adaptive_max_pool1d(mg.tensor([[1.0, 5.0, 3.0, 4.0]]), 2)
    tensor([[5., 4.]])
    """
    return _adaptive_max_pool(1, input, output_size, return_indices)


@explained
def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The largest elements of so many parts of images, as `adaptive_avg_pool2d` parts them.

    Args:
        input, output_size: as there.
        return_indices: also return where each was found, as in `max_pool2d`.

    Source: `torch.nn.functional.adaptive_max_pool2d`.

    >>> import minigrad as mg
    >>> adaptive_max_pool2d(mg.tensor([[[1.0, 5.0, 3.0], [3.0, 1.0, 5.0]]]), 1)
    tensor([[[5.]]])
    """
    return _adaptive_max_pool(2, input, output_size, return_indices)


# ----------------------------------------------------------------------------------------------------------- layers


class _Pool(Module):
    """A pool as a layer: its options are attributes, under the function's own names."""

    function: Callable
    options: tuple[str, ...]
    shown: tuple[str, ...]

    def forward(self, input: Tensor) -> Any:
        """(batch, channels, *sizes) or without the batch; only the sizes change."""
        return type(self).function(input, **{name: getattr(self, name) for name in self.options})

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)}" for name in self.shown)


class _MaxPool(_Pool):
    shown = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
    options = (*shown, "return_indices")

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode


class MaxPool1d(_MaxPool):
    """The largest element of each window, see `functional.max_pool2d` for the arguments (as `torch.nn.MaxPool1d`)."""

    function = staticmethod(max_pool1d)


class MaxPool2d(_MaxPool):
    """The largest element of each window, see `functional.max_pool2d` for the arguments (as `torch.nn.MaxPool2d`).

    >>> import minigrad as mg
    >>> mg.nn.MaxPool2d(3, stride=2)(mg.randn(5, 4, 9, 8)).shape
    Size([5, 4, 4, 3])
    """

    function = staticmethod(max_pool2d)


class AvgPool1d(_Pool):
    """The mean of each window, see `functional.avg_pool2d` for the arguments (as `torch.nn.AvgPool1d`)."""

    function = staticmethod(avg_pool1d)
    shown = ("kernel_size", "stride", "padding")
    options = (*shown, "ceil_mode", "count_include_pad")

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = each("AvgPool1d", "kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else each("AvgPool1d", "stride", stride, 1)
        self.padding = each("AvgPool1d", "padding", padding, 1, least=0)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad


class AvgPool2d(_Pool):
    """The mean of each window, see `functional.avg_pool2d` for the arguments (as `torch.nn.AvgPool2d`).

    >>> import minigrad as mg
    >>> mg.nn.AvgPool2d(2)(mg.randn(5, 4, 9, 8)).shape
    Size([5, 4, 4, 4])
    """

    function = staticmethod(avg_pool2d)
    shown = ("kernel_size", "stride", "padding")
    options = (*shown, "ceil_mode", "count_include_pad", "divisor_override")

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override


class _AdaptivePool(_Pool):
    options: tuple[str, ...] = ("output_size",)
    shown = ("output_size",)

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size


class AdaptiveAvgPool1d(_AdaptivePool):
    """The means of so many parts, see `functional.adaptive_avg_pool2d` (as `torch.nn.AdaptiveAvgPool1d`)."""

    function = staticmethod(adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptivePool):
    """The means of so many parts, see `functional.adaptive_avg_pool2d` (as `torch.nn.AdaptiveAvgPool2d`).

    >>> import minigrad as mg
    >>> mg.nn.AdaptiveAvgPool2d((1, None))(mg.randn(5, 4, 9, 8)).shape
    Size([5, 4, 1, 8])
    """

    function = staticmethod(adaptive_avg_pool2d)


class _AdaptiveMaxPool(_AdaptivePool):
    options = ("output_size", "return_indices")

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest elements of so many parts, see `functional.adaptive_max_pool2d` (as `torch.nn.AdaptiveMaxPool1d`)."""

    function = staticmethod(adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest elements of so many parts, see `functional.adaptive_max_pool2d` (as `torch.nn.AdaptiveMaxPool2d`).

    >>> import minigrad as mg
    >>> mg.nn.AdaptiveMaxPool2d(2)(mg.randn(5, 4, 9, 8)).shape
    Size([5, 4, 2, 2])
    """

    function = staticmethod(adaptive_max_pool2d)
