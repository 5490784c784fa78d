"""Normalisation over batches, groups of channels, single images and vectors: functions and layers.

All shift and scale to mean 0 and variance 1 and differ in what they average over, in an input (n, channels, sizes):
batch norm over n and sizes, instance norm over sizes, group norm over sizes and some channels. Layer norm and RMS norm,
over the last dimensions, stand in layers.py.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

from ..composite import composite
from ..creation import empty, ones, tensor, zeros
from ..errors import explained
from ..kernels import cpu as kernels
from ..ops.elementwise import rsqrt
from ..ops.norm import _layer_norm
from ..ops.reduction import mean
from ..tensor import Tensor
from . import init
from .module import Module
from .parameter import Parameter
from .windows import with_batch

# -------------------------------------------------------------------------------------------------------- functions


def _check_channels(name: str, input: Any, **tensors: Any) -> None:
    """Each tensor must have a number for each channel of the input."""
    if input.ndim < 2:
        raise RuntimeError(f"{name}: expected an input (batch, channels, ...), got shape {tuple(input.shape)}")
    channels = input.shape[1]
    for what, x in tensors.items():
        if x is not None and tuple(x.shape) != (channels,):
            raise RuntimeError(
                f"{name}: {what} must have shape ({channels},), one number for each channel of input {tuple(input.shape)}, "
                f"got {tuple(x.shape)}"
            )


def _of_channels(input: Any, *tensors: Any) -> list[Any]:
    """Numbers for each channel in a shape that broadcasts with the input."""
    return [None if x is None else x.reshape(-1, *[1] * (input.ndim - 2)) for x in tensors]


def _affine(x: Any, weight: Any, bias: Any) -> Any:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


@composite
def standardize(input, weight=None, bias=None, *, over, eps, found):
    """To mean 0 and variance 1 over some dimensions, then by weight and bias; mean and variance are put into `found`."""
    weight, bias = _of_channels(input, weight, bias)
    average = mean(input, over, True)
    centred = input - average
    variance = mean(centred * centred, over, True)
    found.append((average, variance))
    return _affine(centred * rsqrt(variance + eps), weight, bias)


standardize.fused("cpu", kernels.batch_norm, kernels.batch_norm_backward)


def _normalize(
    name: str,
    input: Any,
    over: tuple[int, ...],
    running_mean: Any,
    running_var: Any,
    weight: Any,
    bias: Any,
    learn: bool,
    momentum: float,
    eps: float,
) -> Any:
    """Normalise by the statistics of the input over some dimensions and let the running ones follow, or by these."""
    _check_channels(name, input, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    if not learn:
        if running_mean is None or running_var is None:
            raise RuntimeError(f"{name}: outside of training running_mean and running_var are needed, got None")
        average, variance, scale, shift = _of_channels(input, running_mean, running_var, weight, bias)
        return _affine((input - average) * rsqrt(variance + eps), scale, shift)
    found: list = []
    out = standardize(input, weight, bias, over=over, eps=eps, found=found)
    count = math.prod(input.shape[dim] for dim in over)
    if count:
        for running, now, factor in zip((running_mean, running_var), found[0], (1, count / max(count - 1, 1))):
            if running is not None:
                _follow(running, now.array if isinstance(now, Tensor) else now, momentum, factor)
    return out


def _follow(running: Any, now: Any, share: float, factor: float) -> None:
    """Move a running statistic; on arrays, since a dozen operations on few numbers would take as long as the norm itself."""
    now = now.reshape(-1, *running.shape)
    running.array *= 1 - share
    running.array += (now[0] if len(now) == 1 else now.mean(0)) * (share * factor)
    running._bump()


@explained
def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Each channel to mean 0 and variance 1 over the batch, then by weight and bias.

    Args:
        input: (batch, channels) or (batch, channels, *sizes).
        running_mean, running_var: (channels,), updated in place in training, used otherwise; in training they may be None.
        weight, bias: (channels,) or None.
        training: whether to take the statistics from this batch.
        momentum: share of this batch in the new running statistics.
        eps: added to the variance.

    Raises:
        ValueError: training with one value for each channel, which has no variance.
        RuntimeError: shapes that do not fit, or no running statistics outside of training.

    Source: Ioffe and Szegedy, Batch Normalization, 2015; `torch.nn.functional.batch_norm`.

    >>> import minigrad as mg
    >>> batch_norm(mg.tensor([[1.0, 2.0], [3.0, 6.0]]), None, None, training=True)
    tensor([[-1.0000, -1.0000],
            [ 1.0000,  1.0000]])
    """
    over = (0, *range(2, input.ndim))
    if training and math.prod(input.shape[dim] for dim in over if dim < input.ndim) == 1:
        raise ValueError(
            f"batch_norm: training needs more than one value for each channel, got input of shape {tuple(input.shape)}"
        )
    return _normalize(
        "batch_norm", input, over, running_mean, running_var, weight, bias, training, momentum, eps
    )


@explained
def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Each channel of each example to mean 0 and variance 1, then by weight and bias.

    Args:
        input: (batch, channels, *sizes).
        running_mean, running_var: (channels,) or None, as in `batch_norm`; what follows is the mean over the batch.
        weight, bias: (channels,) or None.
        use_input_stats: whether to take the statistics from the input, else the running ones.
        momentum: share of this batch in the new running statistics.
        eps: added to the variance.

    Raises:
        ValueError: one value in each channel, which has no variance.
        RuntimeError: shapes that do not fit, or no running statistics where they are needed.

    Source: Ulyanov, Vedaldi and Lempitsky, Instance Normalization, 2016; `torch.nn.functional.instance_norm`.

    >>> import minigrad as mg
    >>> instance_norm(mg.tensor([[[1.0, 2.0, 3.0]]]))
    tensor([[[-1.2247,  0.0000,  1.2247]]])
    """
    if use_input_stats and math.prod(input.shape[2:]) == 1:
        raise ValueError(
            f"instance_norm: needs more than one value in each channel, got input of shape {tuple(input.shape)}"
        )
    over = tuple(range(2, input.ndim))
    return _normalize(
        "instance_norm", input, over, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    )


@explained
def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Groups of channels of each example to mean 0 and variance 1, then each channel by weight and bias.

    Args:
        input: (batch, channels, *sizes).
        num_groups: how many groups; must divide the channels.
        weight, bias: (channels,) or None.
        eps: added to the variance.

    Raises:
        RuntimeError: shapes that do not fit.
        ValueError: one value in each group of the whole input, which has no variance.

    Source: Wu and He, Group Normalization, 2018; `torch.nn.functional.group_norm`.

    >>> import minigrad as mg
    >>> group_norm(mg.tensor([[1.0, 2.0, 3.0, 5.0]]), 2)
    tensor([[-1.0000,  1.0000, -1.0000,  1.0000]])
    """
    _check_channels("group_norm", input, weight=weight, bias=bias)
    weight, bias = _of_channels(input, weight, bias)
    batch, channels = input.shape[:2]
    if num_groups < 1 or channels % num_groups:
        raise RuntimeError(
            f"group_norm: num_groups must divide the channels, got {num_groups} for input of shape {tuple(input.shape)}"
        )
    size = channels // num_groups * math.prod(input.shape[2:])
    if batch * size == 1:
        raise ValueError(f"group_norm: needs more than one value in a group, got input of shape {tuple(input.shape)}")
    normal = _layer_norm(input.reshape(batch, num_groups, size), None, None, dims=(-1,), eps=eps)
    return _affine(normal.reshape(*input.shape), weight, bias)


# ----------------------------------------------------------------------------------------------------------- layers


class _Norm(Module):
    """A layer with a factor and a shift for each channel, or without."""

    def _add_affine(self, shape: tuple[int, ...], weight: bool, bias: bool, device: Any, dtype: Any) -> None:
        for name, there in (("weight", weight), ("bias", bias)):
            new = Parameter(empty(shape, device=device, dtype=dtype)) if there else None
            self.register_parameter(name, new)

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


class _Running(_Norm):
    """A norm that keeps running statistics of what it saw in training."""

    dims: tuple[int, ...]

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        device: Any,
        dtype: Any,
        bias: bool,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self._add_affine((num_features,), affine, affine and bias, device, dtype)
        kept = track_running_stats
        self.register_buffer("running_mean", zeros(num_features, device=device, dtype=dtype) if kept else None)
        self.register_buffer("running_var", ones(num_features, device=device, dtype=dtype) if kept else None)
        self.register_buffer("num_batches_tracked", tensor(0, device=device) if kept else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Mean 0, variance 1, nothing seen."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, statistics as if nothing had been seen."""
        self.reset_running_stats()
        super().reset_parameters()

    def _check_dims(self, input: Tensor) -> None:
        if input.ndim not in self.dims:
            raise ValueError(
                f"{type(self).__name__}: expected an input with {' or '.join(map(str, self.dims))} dimensions, got shape "
                f"{tuple(input.shape)}"
            )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_Running):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input: Tensor) -> Tensor:
        """(batch, num_features, *sizes), the same shape out."""
        self._check_dims(input)
        share = self.momentum
        if self.training and self.track_running_stats:
            self.num_batches_tracked.add_(1)
            share = 1 / self.num_batches_tracked.item() if share is None else share
        learn = self.training or self.running_mean is None
        update = not self.training or self.track_running_stats
        average, variance = (self.running_mean, self.running_var) if update else (None, None)
        return batch_norm(input, average, variance, self.weight, self.bias, learn, share or 0.0, self.eps)


class BatchNorm1d(_BatchNorm):
    """Each feature to mean 0 and variance 1 over the batch (as `torch.nn.BatchNorm1d`).

    In training by the statistics of the batch, in use (`eval()`) by those that were seen in training.

    Args:
        num_features: channels.
        eps: added to the variance.
        momentum: share of a batch in the running statistics; None for the mean over all batches.
        affine: whether there are weight and bias.
        track_running_stats: whether there are running statistics; if not, each batch is always normalised by its own.
        device, dtype: of the parameters.
        bias: whether there is a bias.

    Attributes:
        weight, bias: (num_features,), ones and zeros at first; or None.
        running_mean, running_var: (num_features,), buffers.
        num_batches_tracked: how many batches were seen in training.

    Source: Ioffe and Szegedy, Batch Normalization, 2015.

    >>> import minigrad as mg
    >>> mg.nn.BatchNorm1d(2)(mg.tensor([[1.0, 2.0], [3.0, 6.0]])).detach()
    tensor([[-1.0000, -1.0000],
            [ 1.0000,  1.0000]])
    """

    dims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Each channel of images to mean 0 and variance 1 over the batch (as `torch.nn.BatchNorm2d`).

    Args, attributes: those of `BatchNorm1d`.

    >>> import minigrad as mg
    >>> mg.nn.BatchNorm2d(3)(mg.randn(4, 3, 5, 5)).shape
    Size([4, 3, 5, 5])
    """

    dims = (4,)


class _InstanceNorm(_Running):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input: Tensor) -> Tensor:
        """(batch, num_features, *sizes), or without the batch; the same shape out."""
        self._check_dims(input)
        channels = input.shape[-max(self.dims) + 1]
        if channels != self.num_features:
            text = (
                f"{type(self).__name__}: made for {self.num_features} channels, got {channels} in input of shape "
                f"{tuple(input.shape)}"
            )
            if self.affine or self.track_running_stats:
                raise ValueError(text)
            warnings.warn(f"{text}; it works, since there are no parameters", stacklevel=2)
        learn = self.training or not self.track_running_stats

        def run(x: Tensor) -> Tensor:
            return instance_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, learn, self.momentum or 0.0, self.eps
            )

        return with_batch(type(self).__name__, max(self.dims) - 2, run, input)


class InstanceNorm1d(_InstanceNorm):
    """Each channel of each sequence to mean 0 and variance 1 (as `torch.nn.InstanceNorm1d`).

    Args, attributes: those of `BatchNorm1d`; weight, bias and running statistics are off unless asked for.

    Source: Ulyanov, Vedaldi and Lempitsky, Instance Normalization, 2016.

    >>> import minigrad as mg
    >>> mg.nn.InstanceNorm1d(1)(mg.tensor([[[1.0, 2.0, 3.0]]]))
    tensor([[[-1.2247,  0.0000,  1.2247]]])
    """

    dims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Each channel of each image to mean 0 and variance 1 (as `torch.nn.InstanceNorm2d`).

    Args, attributes: those of `InstanceNorm1d`.

    >>> import minigrad as mg
    >>> mg.nn.InstanceNorm2d(3)(mg.randn(4, 3, 5, 5)).shape
    Size([4, 3, 5, 5])
    """

    dims = (3, 4)


class GroupNorm(_Norm):
    """Groups of channels of each example to mean 0 and variance 1 (as `torch.nn.GroupNorm`).

    Args:
        num_groups: how many groups; must divide the channels.
        num_channels: channels.
        eps: added to the variance.
        affine: whether there are weight and bias.
        device, dtype: of the parameters.
        bias: whether there is a bias.

    Attributes:
        weight, bias: (num_channels,), ones and zeros at first; or None.

    Source: Wu and He, Group Normalization, 2018.

    >>> import minigrad as mg
    >>> mg.nn.GroupNorm(2, 4)(mg.tensor([[1.0, 2.0, 3.0, 5.0]])).detach()
    tensor([[-1.0000,  1.0000, -1.0000,  1.0000]])
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_groups must divide num_channels, got {num_groups} and {num_channels}")
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self._add_affine((num_channels,), affine, affine and bias, device, dtype)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        """(batch, num_channels, *sizes), the same shape out."""
        return group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = f"affine={self.affine}, bias={self.bias is not None}"
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, {affine}"
