"""Convolutions and transposed convolutions: functions and layers. Why each is the other's gradient: ops/conv.py."""

from __future__ import annotations

import math
from typing import Any

from ..creation import empty
from ..ops.conv import Geometry, conv_transpose, convolution
from ..tensor import Tensor
from . import init
from .module import Module
from .padding import pad
from .parameter import Parameter
from .windows import each, flat_widths, widen, with_batch

# -------------------------------------------------------------------------------------------------------- functions


def _check(name: str, n: int, input: Any, weight: Any, bias: Any, groups: int, channels: int, inputs: int) -> None:
    """Raise if shapes or dtypes do not fit: `inputs` channels are wanted, `channels` come out."""
    if weight.ndim != n + 2:
        raise RuntimeError(f"{name}: weight must have {n + 2} dimensions, got shape {tuple(weight.shape)}")
    if groups < 1:
        raise RuntimeError(f"{name}: groups must be at least 1, got {groups}")
    if weight.shape[0] % groups:
        raise RuntimeError(
            f"{name}: the first dimension of weight {tuple(weight.shape)} must be a multiple of groups, which is {groups}"
        )
    if input.ndim in (n + 1, n + 2) and input.shape[-n - 1] != inputs:
        raise RuntimeError(
            f"{name}: weight of shape {tuple(weight.shape)} with groups={groups} expects {inputs} channels, input of shape "
            f"{tuple(input.shape)} has {input.shape[-n - 1]}"
        )
    if bias is not None and tuple(bias.shape) != (channels,):
        raise RuntimeError(
            f"{name}: weight of shape {tuple(weight.shape)} wants a bias of shape ({channels},), got {tuple(bias.shape)}"
        )
    for what, x in (("weight", weight), ("bias", bias)):
        if x is not None and x.dtype != input.dtype:
            raise RuntimeError(f"{name}: input is {input.dtype}, {what} is {x.dtype}; convert one with .to()")


def _widths(name: str, padding: Any, kernel: Any, geometry: Geometry) -> list[tuple[int, int]]:
    """Zeros (before, after) for each dimension, also where padding is a word."""
    n = len(kernel)
    if padding == "valid":
        return [(0, 0)] * n
    if padding == "same":
        if max(geometry.stride) > 1:
            raise RuntimeError(f"{name}: padding='same' keeps sizes as they are, which needs stride 1, got {geometry.stride}")
        totals = [d * (k - 1) for d, k in zip(geometry.dilation, kernel)]
        return [(total // 2, total - total // 2) for total in totals]
    if isinstance(padding, str):
        raise RuntimeError(f"{name}: padding must be numbers, 'same' or 'valid', got {padding!r}")
    return [(p, p) for p in each(name, "padding", padding, n, least=0)]


def _conv(
    n: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    name = f"conv{n}d"
    geometry = Geometry(each(name, "stride", stride, n), each(name, "dilation", dilation, n), groups)
    inputs = (weight.shape[1] if weight.ndim > 1 else 0) * groups
    _check(name, n, input, weight, bias, groups, channels=weight.shape[0], inputs=inputs)
    kernel = tuple(weight.shape[2:])
    widths = _widths(name, padding, kernel, geometry)

    def run(x: Any) -> Any:
        padded = [size + low + high for size, (low, high) in zip(x.shape[2:], widths)]
        if any(size < d * (k - 1) + 1 for size, d, k in zip(padded, geometry.dilation, kernel)):
            raise RuntimeError(
                f"{name}: a kernel of {kernel} with dilation {geometry.dilation} does not fit into {tuple(padded)}, the size "
                f"of input {tuple(input.shape)} with padding"
            )
        return convolution(x, weight, bias, padding=tuple(widths), geometry=geometry)

    return with_batch(name, n, run, input)


def conv1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Slide kernels along sequences and sum products, see `conv2d`. Source: `torch.nn.functional.conv1d`.

    >>> import minigrad as mg
    >>> conv1d(mg.tensor([[1.0, 2.0, 4.0, 8.0]]), mg.tensor([[[-1.0, 1.0]]]))
    tensor([[1., 2., 4.]])
    """
    return _conv(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Slide kernels over images and sum products: at each place, how much of each kernel is there.

    Args:
        input: (batch, channels in, height, width), or without the batch.
        weight: (channels out, channels in / groups, kernel height, kernel width).
        bias: (channels out,) or None.
        stride: how far the kernel moves, one int or (down, right).
        padding: zeros on each side, one int or (above and below, left and right); "same" for as many as keep the
            size, "valid" for none.
        dilation: distance of the kernel's elements.
        groups: into how many groups the channels are parted, each with kernels of its own.

    Returns:
        (batch, channels out, height, width), where a size is
        (size in + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1.

    Raises:
        RuntimeError: shapes, dtypes or numbers that do not fit.

    Source: `torch.nn.functional.conv2d`.

    >>> import minigrad as mg
    >>> image = mg.tensor([[[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]])
    >>> conv2d(image, mg.tensor([[[[-1.0, 1.0]]]]))
    tensor([[[0., 1.],
             [0., 1.]]])
    """
    return _conv(2, input, weight, bias, stride, padding, dilation, groups)


def _conv_transpose(
    n: int,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Any:
    name = f"conv_transpose{n}d"
    stride, dilation = each(name, "stride", stride, n), each(name, "dilation", dilation, n)
    channels = (weight.shape[1] if weight.ndim > 1 else 0) * groups
    _check(name, n, input, weight, bias, groups, channels=channels, inputs=weight.shape[0])
    kernel = tuple(weight.shape[2:])
    padding = each(name, "padding", padding, n, least=0)
    more = each(name, "output_padding", output_padding, n, least=0)
    if any(m >= max(s, d) for m, s, d in zip(more, stride, dilation)):
        raise RuntimeError(
            f"{name}: output_padding must be smaller than stride or dilation, got output_padding {more}, stride {stride} "
            f"and dilation {dilation}"
        )

    def run(x: Any) -> Any:
        size = tuple((m - 1) * s + d * (k - 1) + 1 for m, s, d, k in zip(x.shape[2:], stride, dilation, kernel))
        if any(m < 1 or whole + extra < 2 * p + 1 for m, whole, extra, p in zip(x.shape[2:], size, more, padding)):
            raise RuntimeError(f"{name}: nothing is left of {size} after padding {padding} is cut off on each side")
        out = conv_transpose(x, weight, size=size, geometry=Geometry(stride, dilation, groups))
        # What is padding for a convolution is cut off here, but for the rows that output_padding asks for.
        out = widen(out, [(-p, extra - p) for p, extra in zip(padding, more)])
        return out if bias is None else out + bias.reshape(-1, *[1] * n)

    return with_batch(name, n, run, input)


def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """The adjoint of `conv1d`, see `conv_transpose2d`. Source: `torch.nn.functional.conv_transpose1d`.

    >>> import minigrad as mg
    >>> conv_transpose1d(mg.tensor([[1.0, 10.0]]), mg.tensor([[[1.0, 2.0, 3.0]]]))
    tensor([[ 1., 12., 23., 30.]])
    """
    return _conv_transpose(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Put a kernel, scaled by each element of the input, at its place in the result: what `conv2d` does, backwards.

    Args:
        input: (batch, channels in, height, width), or without the batch.
        weight: (channels in, channels out / groups, kernel height, kernel width), as a `conv2d` from out to in has it.
        bias: (channels out,) or None.
        stride: distance of the places, one int or (down, right).
        padding: what to cut off on each side.
        output_padding: how much to add at the end: with a stride, `conv2d` makes one size of several, and this says
            which it was.
        groups: into how many groups the channels are parted.
        dilation: distance of the kernel's elements.

    Returns:
        (batch, channels out, height, width), where a size is
        (size in - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1.

    Raises:
        RuntimeError: shapes, dtypes or numbers that do not fit.

    Source: `torch.nn.functional.conv_transpose2d`.

    >>> import minigrad as mg
    >>> conv_transpose2d(mg.tensor([[[1.0, 2.0]]]), mg.tensor([[[[1.0, 1.0]]]]), stride=2)
    tensor([[[1., 1., 2., 2.]]])
    """
    return _conv_transpose(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


# ----------------------------------------------------------------------------------------------------------- layers

_MODES = ("zeros", "reflect", "replicate", "circular")


class _Conv(Module):
    """What the four layers share: their parameters and their text."""

    n: int
    transposed = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        output_padding: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{name}: in_channels {in_channels} and out_channels {out_channels} must be multiples of groups, which is "
                f"{groups} and must be positive"
            )
        if padding_mode not in _MODES:
            raise ValueError(f"{name}: padding_mode must be one of {', '.join(_MODES)}, got {padding_mode!r}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = each(name, "kernel_size", kernel_size, self.n)
        self.stride = each(name, "stride", stride, self.n)
        self.padding = padding if isinstance(padding, str) else each(name, "padding", padding, self.n, least=0)
        self.dilation = each(name, "dilation", dilation, self.n)
        self.output_padding = each(name, "output_padding", output_padding, self.n, least=0)
        self.groups = groups
        self.padding_mode = padding_mode
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(f"{name}: padding must be numbers, 'same' or 'valid', got {padding!r}")
        if padding == "same" and max(self.stride) > 1:
            raise ValueError(f"{name}: padding='same' keeps sizes as they are, which needs stride 1, got {stride}")
        outer, inner = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        self.weight = Parameter(empty(outer, inner // groups, *self.kernel_size, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_channels, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new parameters."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        fan_in = math.prod(self.weight.shape[1:])
        if self.bias is not None and fan_in:
            init.uniform_(self.bias, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))

    def extra_repr(self) -> str:
        shown = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        zeros, ones = (0,) * self.n, (1,) * self.n
        usual: dict[str, Any] = {"padding": zeros, "dilation": ones, "output_padding": zeros, "groups": 1}
        shown += [f"{name}={getattr(self, name)}" for name, value in usual.items() if getattr(self, name) != value]
        if self.bias is None:
            shown.append("bias=False")
        if self.padding_mode != "zeros":
            shown.append(f"padding_mode={self.padding_mode}")
        return ", ".join(shown)


class _Direct(_Conv):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, 0, groups, bias, padding_mode, device, dtype
        )

    def forward(self, input: Tensor) -> Tensor:
        """(batch, in_channels, *sizes) to (batch, out_channels, *sizes), or both without the batch."""
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            geometry = Geometry(self.stride, self.dilation, self.groups)
            widths = _widths(type(self).__name__, padding, self.kernel_size, geometry)
            input, padding = pad(input, flat_widths(widths), self.padding_mode), 0
        return _conv(self.n, input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv1d(_Direct):
    """Learned kernels that slide along sequences, see `functional.conv1d` (as `torch.nn.Conv1d`).

    Args, attributes: those of `Conv2d`.

    >>> import minigrad as mg
    >>> mg.nn.Conv1d(3, 8, kernel_size=5, padding="same")(mg.ones(2, 3, 10)).shape
    Size([2, 8, 10])
    """

    n = 1


class Conv2d(_Direct):
    """Learned kernels that slide over images, see `functional.conv2d` (as `torch.nn.Conv2d`).

    Args:
        in_channels, out_channels: channels before and after.
        kernel_size: one int or (height, width).
        stride, padding, dilation, groups: as in `functional.conv2d`.
        bias: whether to add a number to each channel.
        padding_mode: "zeros", or one of the modes of `functional.pad`.
        device, dtype: of the parameters.

    Attributes:
        weight: (out_channels, in_channels / groups, *kernel_size), uniform within 1 / sqrt(products in a sum) at first.
        bias: (out_channels,), likewise, or None.

    >>> import minigrad as mg
    >>> mg.nn.Conv2d(3, 8, kernel_size=3, stride=2, padding=1)(mg.ones(2, 3, 9, 7)).shape
    Size([2, 8, 5, 4])
    """

    n = 2


class _Transposed(_Conv):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(f"{type(self).__name__}: padding_mode can only be 'zeros', got {padding_mode!r}")
        if isinstance(padding, str):
            raise TypeError(f"{type(self).__name__}: padding must be numbers, got {padding!r}")
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding, groups, bias, padding_mode,
            device, dtype,
        )  # fmt: skip

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        """(batch, in_channels, *sizes) to (batch, out_channels, *sizes); output_size says which of several sizes."""
        more = self.output_padding if output_size is None else self._output_padding(input, output_size)
        return _conv_transpose(
            self.n, input, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation
        )

    def _output_padding(self, input: Tensor, output_size: Any) -> tuple[int, ...]:
        """What to add for the size that is wanted."""
        wanted = tuple(output_size)[-self.n :]
        steps: Any = zip(input.shape[-self.n :], self.stride, self.padding, self.dilation, self.kernel_size)
        least = tuple((m - 1) * s - 2 * p + d * (k - 1) + 1 for m, s, p, d, k in steps)
        most = tuple(low + s - 1 for low, s in zip(least, self.stride))
        if len(wanted) != self.n or any(not low <= size <= high for low, size, high in zip(least, wanted, most)):
            raise ValueError(
                f"{type(self).__name__}: an input of shape {tuple(input.shape)} can give sizes from {least} to {most}, got "
                f"output_size {tuple(output_size)}"
            )
        return tuple(size - low for size, low in zip(wanted, least))


class ConvTranspose1d(_Transposed):
    """A learned `functional.conv_transpose1d` (as `torch.nn.ConvTranspose1d`).

    Args, attributes: those of `ConvTranspose2d`.

    >>> import minigrad as mg
    >>> mg.nn.ConvTranspose1d(3, 8, kernel_size=4, stride=2)(mg.ones(2, 3, 5)).shape
    Size([2, 8, 12])
    """

    n = 1


class ConvTranspose2d(_Transposed):
    """A learned `functional.conv_transpose2d`, mostly to make images larger (as `torch.nn.ConvTranspose2d`).

    Args:
        in_channels, out_channels: channels before and after.
        kernel_size: one int or (height, width).
        stride, padding, output_padding, groups, dilation: as in `functional.conv_transpose2d`.
        bias: whether to add a number to each channel.
        padding_mode: "zeros", there is no other.
        device, dtype: of the parameters.

    Attributes:
        weight: (in_channels, out_channels / groups, *kernel_size), drawn as in `Conv2d`.
        bias: (out_channels,), likewise, or None.

    >>> import minigrad as mg
    >>> up = mg.nn.ConvTranspose2d(3, 8, kernel_size=3, stride=2, padding=1)
    >>> up(mg.ones(2, 3, 5, 4)).shape, up(mg.ones(2, 3, 5, 4), output_size=(10, 8)).shape
    (Size([2, 8, 9, 7]), Size([2, 8, 10, 8]))
    """

    n = 2
