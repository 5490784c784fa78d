"""Arrays as kernels like them: without gaps, whatever the order of their dimensions in memory."""

from __future__ import annotations

import math

import numpy as np

from .jit import dense

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def flat(x: np.ndarray) -> np.ndarray | None:
    """All numbers as they lie in memory, without copying; None if there are gaps between them.

    >>> x = np.arange(6.0).reshape(2, 3)
    >>> flat(x.T), flat(x[:, ::2])
    (array([0., 1., 2., 3., 4., 5.]), None)
    """
    y = x.reshape(-1) if x.flags.c_contiguous else x.ravel("K")
    return y if y.flags.carray and y.base is not None else None  # a copy has no base


def flat_like(x: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The numbers of x in the order in which those of `other`, which has no gaps, lie in memory."""
    if x.strides != other.strides or not x.flags.behaved:
        copy = np.empty_like(other)
        copy[...] = x
        x = copy
    return x.ravel("K")


def is_channels_last(x: np.ndarray) -> bool:
    """Whether (n, channels, *sizes) has the channels of each pixel side by side."""
    return x.ndim >= 2 and x.transpose(0, *range(2, x.ndim), 1).flags.carray


def pixels(x: np.ndarray) -> np.ndarray:
    """An image (n, channels, height, width) as (images, height, width, channels) without gaps.

    Where the channels do not lie side by side, each is an image of its own, and nothing is copied but what has gaps.
    """
    if is_channels_last(x):
        return x.transpose(0, 2, 3, 1)
    return dense(x).reshape(-1, *x.shape[2:], 1)


def image(x: np.ndarray, channels: int) -> np.ndarray:
    """What `pixels` made, or a result of that form, as (n, channels, height, width)."""
    if x.shape[3] == channels:
        return x.transpose(0, 3, 1, 2)
    return x.reshape(-1, channels, *x.shape[1:3])


def pixels_like(x: np.ndarray, other: np.ndarray) -> np.ndarray:
    """`pixels` of x in the form that another has."""
    if x.shape[1] == other.shape[3]:
        return dense(x.transpose(0, 2, 3, 1))
    return dense(x).reshape(-1, *x.shape[2:], 1)


def rows(x: np.ndarray) -> np.ndarray:
    """(n, channels, *sizes) as a row of channels for each pixel; copied if the channels do not lie side by side."""
    return dense(x.transpose(0, *range(2, x.ndim), 1)).reshape(-1, x.shape[1])


def from_rows(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Rows of channels as (n, channels, *sizes)."""
    out = x.reshape(shape[0], *shape[2:], shape[1])
    return out.transpose(0, len(shape) - 1, *range(1, len(shape) - 1))


def count(shape: tuple[int, ...]) -> int:
    """How many pixels (n, channels, *sizes) has."""
    return shape[0] * math.prod(shape[2:])


def repeated(x: np.ndarray, times: int) -> np.ndarray:
    """A vector, so many times: what `np.tile` gives, in a fifth of the time.

    >>> repeated(np.array([1.0, 2.0]), 3)
    array([1., 2., 1., 2., 1., 2.])
    """
    out = np.empty((times, len(x)), x.dtype)
    out[...] = x
    return out.reshape(-1)


def wide(rows: np.ndarray, width: int = 256) -> np.ndarray:
    """Rows of few numbers as fewer rows of more, several side by side: loops over 16 numbers end before they are fast."""
    n, size = rows.shape
    side = math.gcd(n, 1 << max(0, (width // max(size, 1)).bit_length() - 1))
    return rows.reshape(n // side, side * size)


def folded(sums: np.ndarray, size: int) -> np.ndarray:
    """The sums of what `wide` put side by side, one for each number of a row."""
    return sums.reshape(-1, size).sum(0)
