"""Sequences of different lengths in one tensor: padded, or packed without gaps (as `torch.nn.utils.rnn`).

Three sequences a, b and c of lengths 3, 1 and 2, padded (one column each) and packed (longest first, step by step):

    a0 b0 c0
    a1  .  c1        data: a0 c0 b0 a1 c1 a2        batch_sizes: 3 2 1
    a2  .  .
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...creation import as_tensor, full
from ...ops.shape import pad, stack
from ...tensor import Tensor


class _Packed(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Packed):
    """Packed sequences, what `pack_padded_sequence` makes and recurrent layers take (as in PyTorch).

    Attributes:
        data: all elements, step by step, (sum of lengths, ...).
        batch_sizes: how many sequences have each step.
        sorted_indices: how the batch was sorted, longest first; None if it came sorted.
        unsorted_indices: how to bring it back.
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Tensor,
        batch_sizes: Tensor,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """With the data in another dtype or on another device; the indices move along."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        indices = (i if i is None else i.to(device=data.device) for i in self[2:])
        return type(self)(data, self.batch_sizes, *indices)

    def double(self) -> PackedSequence:
        """With the data in float64."""
        return self.to(dtype="float64")

    def float(self) -> PackedSequence:
        """With the data in float32."""
        return self.to(dtype="float32")

    def half(self) -> PackedSequence:
        """With the data in float16."""
        return self.to(dtype="float16")

    def cpu(self) -> PackedSequence:
        """With the data on the CPU."""
        return self.to(device="cpu")

    def cuda(self) -> PackedSequence:
        """With the data on a CUDA device."""
        return self.to(device="cuda")

    @property
    def is_cuda(self) -> bool:
        """Whether the data is on a CUDA device."""
        return self.data.device.type == "cuda"


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes another; None for None. Source: `torch.nn.utils.rnn.invert_permutation`.

    >>> import minigrad as mg
    >>> invert_permutation(mg.tensor([2, 0, 1]))
    tensor([1, 2, 0])
    """
    return None if permutation is None else permutation.argsort()


def _lengths(name: str, lengths: Any, batch: int) -> np.ndarray:
    """Lengths of sequences as an array, after a look at them."""
    lengths = lengths.cpu().numpy() if isinstance(lengths, Tensor) else np.asarray(lengths)
    if lengths.ndim != 1 or len(lengths) != batch:
        raise RuntimeError(f"{name}: expected {batch} lengths, one for each sequence, got shape {lengths.shape}")
    return lengths.astype(np.int64, copy=False)


def _places(lengths: np.ndarray, steps: int) -> np.ndarray:
    """Which step of which sequence exists, (steps, batch)."""
    return np.arange(steps)[:, None] < lengths


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack a padded batch of sequences. Source: `torch.nn.utils.rnn.pack_padded_sequence`.

    Args:
        input: (steps, batch, ...), or (batch, steps, ...) with batch_first.
        lengths: of each sequence, a list or an integer tensor; all at least 1.
        batch_first: see input.
        enforce_sorted: require that the lengths fall; with False the batch is sorted here, and `pad_packed_sequence`
            and the recurrent layers' last states bring it back to the order it had.

    Raises:
        RuntimeError: a length is below 1 or beyond the padded ones, their number is wrong, or they are not sorted.

    >>> import minigrad as mg
    >>> padded = mg.tensor([[1, 2, 3], [4, 0, 0], [5, 6, 0]])
    >>> packed = pack_padded_sequence(padded, [3, 1, 2], batch_first=True, enforce_sorted=False)
    >>> packed.data, packed.batch_sizes
    (tensor([1, 5, 4, 2, 6, 3]), tensor([3, 2, 1]))
    """
    if input.ndim < 2 or input.numel() == 0:
        raise RuntimeError(
            f"pack_padded_sequence: expected at least 2 dimensions (steps, batch, ...) and one element, got shape "
            f"{tuple(input.shape)}"
        )
    if batch_first:
        input = input.transpose(0, 1)
    steps, batch = input.shape[:2]
    lengths = _lengths("pack_padded_sequence", lengths, batch)
    if lengths.min() < 1 or lengths.max() > steps:
        raise RuntimeError(
            f"pack_padded_sequence: all lengths must be from 1 to {steps}, the steps of the input, got {lengths.tolist()}"
        )
    order = None
    if not enforce_sorted:
        order = as_tensor(np.argsort(-lengths, kind="stable"), device=input.device)
        lengths, input = -np.sort(-lengths), input.index_select(1, order)
    elif (lengths[:-1] < lengths[1:]).any():
        raise RuntimeError(
            f"pack_padded_sequence: lengths must fall from sequence to sequence, got {lengths.tolist()}; pass "
            "enforce_sorted=False to have them sorted"
        )
    places = _places(lengths, int(lengths[0]))
    rows = as_tensor(np.flatnonzero(places), device=input.device)
    return PackedSequence(input.flatten(0, 1)[rows], as_tensor(places.sum(1)), order)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """The inverse of `pack_padded_sequence`. Source: `torch.nn.utils.rnn.pad_packed_sequence`.

    Args:
        sequence: a packed batch.
        batch_first: batch before steps in the result.
        padding_value: after the end of each sequence.
        total_length: steps of the result; those of the longest sequence if None.

    Returns:
        The padded batch, (steps, batch, ...), and the length of each sequence.

    Raises:
        ValueError: total_length is less than the longest sequence.

    >>> import minigrad as mg
    >>> packed = pack_sequence([mg.tensor([1, 2]), mg.tensor([3])])
    >>> padded, lengths = pad_packed_sequence(packed, batch_first=True, padding_value=-1)
    >>> padded, lengths.tolist()
    (tensor([[ 1,  2],
            [ 3, -1]]), [2, 1])
    """
    if not isinstance(sequence, PackedSequence):
        raise TypeError(f"pad_packed_sequence: expected a PackedSequence, got {type(sequence).__name__}")
    data, order, sizes = sequence.data, sequence.unsorted_indices, sequence.batch_sizes.numpy()
    steps, batch = len(sizes) if total_length is None else total_length, int(sizes[0])
    if steps < len(sizes):
        raise ValueError(
            f"pad_packed_sequence: total_length must be at least {len(sizes)}, the longest sequence, got {total_length}"
        )
    lengths = as_tensor((sizes[:, None] > np.arange(batch)).sum(0))
    rest = tuple(data.shape[1:])
    padded = full((steps * batch, *rest), padding_value, dtype=data.dtype, device=data.device)
    padded[as_tensor(np.flatnonzero(_places(lengths.numpy(), steps)), device=data.device)] = data
    padded = padded.reshape(steps, batch, *rest)
    if order is not None:
        padded, lengths = padded.index_select(1, order), lengths[order.cpu()]
    return padded.transpose(0, 1) if batch_first else padded, lengths


def pad_sequence(
    sequences: Sequence[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Stack sequences of different lengths, filled up to the longest. Source: `torch.nn.utils.rnn.pad_sequence`.

    Args:
        sequences: tensors (length, ...), alike in all but length.
        batch_first: batch before steps in the result.
        padding_value: what to fill with.
        padding_side: "right", after the end, or "left", before the beginning.

    Returns:
        (steps, batch, ...), or (batch, steps, ...) with batch_first.

    Raises:
        RuntimeError: no sequences, shapes that do not fit, or another side.

    >>> import minigrad as mg
    >>> pad_sequence([mg.tensor([1, 2]), mg.tensor([3])], batch_first=True)
    tensor([[1, 2],
            [3, 0]])
    """
    sequences = list(sequences)
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"pad_sequence: padding_side must be 'left' or 'right', got {padding_side!r}")
    shapes = [tuple(x.shape) for x in sequences]
    if not shapes or () in shapes or len({shape[1:] for shape in shapes}) > 1:
        raise RuntimeError(f"pad_sequence: expected tensors (length, ...) alike in all but length, got shapes {shapes}")
    longest = max(shape[0] for shape in shapes)

    def filled(x: Tensor) -> Tensor:
        more = longest - x.shape[0]
        widths = (0, 0) * (x.ndim - 1) + ((0, more) if padding_side == "right" else (more, 0))
        return pad(x, widths, value=padding_value) if more else x

    return stack([filled(x) for x in sequences], 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """The sequences of a padded batch one by one, views of it. Source: `torch.nn.utils.rnn.unpad_sequence`.

    >>> import minigrad as mg
    >>> unpad_sequence(mg.tensor([[1, 2], [3, 0]]), [2, 1], batch_first=True)
    [tensor([1, 2]), tensor([3])]
    """
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    lengths = _lengths("unpad_sequence", lengths, padded_sequences.shape[0])
    return [sequence[:length] for sequence, length in zip(padded_sequences, lengths.tolist())]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences (length, ...) of different lengths, see `pack_padded_sequence`.

    Source: `torch.nn.utils.rnn.pack_sequence`.

    >>> import minigrad as mg
    >>> pack_sequence([mg.tensor([1, 2, 3]), mg.tensor([4]), mg.tensor([5])]).data
    tensor([1, 4, 5, 2, 3])
    """
    sequences = list(sequences)
    lengths = [x.shape[0] if x.ndim else 0 for x in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences of a packed batch one by one. Source: `torch.nn.utils.rnn.unpack_sequence`.

    >>> import minigrad as mg
    >>> unpack_sequence(pack_sequence([mg.tensor([1, 2]), mg.tensor([3])]))
    [tensor([1, 2]), tensor([3])]
    """
    return unpad_sequence(*pad_packed_sequence(packed_sequences, batch_first=True), batch_first=True)
