"""Tables of learned vectors that are looked up by number: Embedding, and EmbeddingBag for sums and means of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend
from ..autograd import no_grad
from ..creation import as_tensor, empty, full
from ..errors import explained
from ..ops import indexing
from ..ops.elementwise import where
from ..tensor import Tensor
from . import init
from .module import Module
from .parameter import Parameter

MODES = ("sum", "mean", "max")


def _refuse(name: str, scale_grad_by_freq: bool, sparse: bool) -> None:
    if scale_grad_by_freq:
        raise NotImplementedError(f"{name}: scale_grad_by_freq is not supported")
    if sparse:
        raise NotImplementedError(f"{name}: sparse gradients are not supported; without sparse they are the same, but dense")


def _renorm(input: Any, weight: Any, max_norm: float, norm_type: float) -> None:
    """Shorten the rows that are looked up to at most max_norm, in place."""
    xp = backend.namespace(weight.array)
    rows = xp.unique(input.array)
    norms = xp.linalg.norm(weight.array[rows], norm_type, axis=1, keepdims=True)
    weight.array[rows] *= xp.where(norms > max_norm, max_norm / (norms + 1e-7), 1).astype(weight.dtype)
    weight._bump()


def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """Rows of a table by their numbers. Source: `torch.nn.functional.embedding`.

    Args:
        input: integers of any shape.
        weight: the table, shape (rows, features).
        padding_idx: a row that gets no gradient.
        max_norm: rows that are looked up and longer are first shortened to this, in the table itself.
        norm_type: which norm max_norm means.
        scale_grad_by_freq, sparse: not supported, must be False.

    Returns:
        Shape `(*input.shape, features)`.

    Raises:
        IndexError: there is no such row.
        RuntimeError: the input is not of integers, or the table not two-dimensional.

    >>> import minigrad as mg
    >>> embedding(mg.tensor([1, 1, 0]), mg.tensor([[0.0, 1.0], [2.0, 3.0]]))
    tensor([[2., 3.],
            [2., 3.],
            [0., 1.]])
    """
    _refuse("embedding", scale_grad_by_freq, sparse)
    if max_norm is not None:
        with no_grad():
            indexing.embedding(input, weight, padding_idx)  # raises for what is not there, before anything is changed
        _renorm(input, weight, max_norm, norm_type)
    return indexing.embedding(input, weight, padding_idx)


@explained
def embedding_bag(
    input: Any,
    weight: Any,
    offsets: Any = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """Sums, means or maxima over bags of rows of a table. Source: `torch.nn.functional.embedding_bag`.

    Args:
        input: integers: (bags, size), or (total size,) with offsets.
        weight: the table, (rows, features).
        offsets: where in the input each bag begins, (bags,): 0 first, and rising.
        max_norm, norm_type, scale_grad_by_freq, sparse: see `embedding`.
        mode: "sum", "mean" or "max"; of an empty bag each is 0.
        per_sample_weights: a factor for each element of the input, for "sum" only.
        include_last_offset: offsets has one more, the end of the last bag.
        padding_idx: a row that does not count.

    Returns:
        Shape (bags, features).

    Raises:
        ValueError: an unknown mode, or shapes that do not fit.
        RuntimeError: offsets that do not begin with 0, fall, or lead beyond the input.
        NotImplementedError: per_sample_weights with another mode.

    >>> import minigrad as mg
    >>> table = mg.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> embedding_bag(mg.tensor([0, 1, 2]), table, mg.tensor([0, 2]), mode="sum")
    tensor([[4., 6.],
            [5., 6.]])
    """
    if mode not in MODES:
        raise ValueError(f"embedding_bag: mode must be 'sum', 'mean' or 'max', got {mode!r}")
    if per_sample_weights is not None:
        if mode != "sum":
            raise NotImplementedError(f"embedding_bag: per_sample_weights are only for mode 'sum', got mode {mode!r}")
        if tuple(per_sample_weights.shape) != tuple(input.shape):
            shapes = f"{tuple(per_sample_weights.shape)} and {tuple(input.shape)}"
            raise ValueError(f"embedding_bag: per_sample_weights must have the shape of the input, got {shapes}")
    places = _bags(input, offsets, include_last_offset)
    flat, factors = input.reshape(-1), None if per_sample_weights is None else per_sample_weights.reshape(-1, 1)
    if padding_idx is not None:
        counts = flat != padding_idx % weight.shape[0]
        places[places.clone()] = counts
        flat, factors = flat[counts], None if factors is None else factors[counts]
    rows = embedding(flat, weight, None, max_norm, norm_type, scale_grad_by_freq, sparse)
    keep = places.unsqueeze(-1)
    bags = full((*places.shape, rows.shape[-1]), -float("inf") if mode == "max" else 0, dtype=rows.dtype, device=rows.device)
    bags[places] = rows if factors is None else rows * factors
    if mode == "max":
        return where(keep.any(1), bags.max(1)[0], 0.0)
    return bags.sum(1) if mode == "sum" else bags.sum(1) / keep.sum(1).clamp(min=1).to(rows.dtype)


def _bags(input: Any, offsets: Any, include_last_offset: bool) -> Any:
    """Which places of a table (bags, longest bag) the elements of the input fill, in their order."""
    if input.ndim == 2 and offsets is None:
        lengths = np.full(input.shape[0], input.shape[1])
    elif input.ndim == 1 and offsets is not None and offsets.ndim == 1:
        starts, n = offsets.cpu().numpy(), len(input)
        lengths = np.diff(starts) if include_last_offset else np.diff(starts, append=n)
        end = starts[-1] if include_last_offset and len(starts) else n
        if (len(starts) and starts[0] != 0) or (lengths < 0).any() or end != n:
            raise RuntimeError(
                f"embedding_bag: offsets must begin with 0 and rise, to the input's length {n} at most (exactly, with "
                f"include_last_offset), got {starts.tolist()}"
            )
    else:
        got = f"input {tuple(input.shape)} and offsets {None if offsets is None else tuple(offsets.shape)}"
        raise ValueError(f"embedding_bag: expected input (bags, size), or input (total,) with offsets (bags,), got {got}")
    longest = max(1, lengths.max(initial=0))
    return as_tensor(np.arange(longest) < lengths[:, None], device=input.device)


class Embedding(Module):
    """A table of learned vectors, looked up by number (as `torch.nn.Embedding`).

    Args:
        num_embeddings: rows of the table.
        embedding_dim: size of each vector.
        padding_idx: a row that starts as zeros and gets no gradient.
        max_norm, norm_type, scale_grad_by_freq, sparse: see `nn.functional.embedding`.
        device, dtype: of the table.

    Attributes:
        weight: (num_embeddings, embedding_dim), standard normal at first.

    >>> import minigrad as mg
    >>> mg.nn.Embedding(10, 4)(mg.tensor([[1, 2, 3]])).shape
    Size([1, 3, 4])
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        *,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        _refuse(name, scale_grad_by_freq, sparse)
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(f"{name}: padding_idx {padding_idx} is out of range for {num_embeddings} rows")
            padding_idx %= num_embeddings
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.weight = Parameter(empty(num_embeddings, embedding_dim, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw a new table."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0

    @classmethod
    def from_pretrained(
        cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None, **options: Any
    ) -> Embedding:
        """A layer over a given table; frozen unless told otherwise.

        >>> import minigrad as mg
        >>> Embedding.from_pretrained(mg.tensor([[1.0, 2.0]]))(mg.tensor(0))
        tensor([1., 2.])
        """
        if embeddings.ndim != 2:
            raise ValueError(f"{cls.__name__}.from_pretrained: expected a 2-d table, got shape {tuple(embeddings.shape)}")
        options.update(padding_idx=padding_idx, device=embeddings.device, dtype=embeddings.dtype)
        layer = cls(*embeddings.shape, **options)
        layer.weight = Parameter(embeddings, requires_grad=not freeze)
        return layer

    def forward(self, input: Tensor) -> Tensor:
        """Integers of any shape to (*shape, embedding_dim)."""
        return embedding(input, self.weight, self.padding_idx, self.max_norm, self.norm_type)

    def extra_repr(self) -> str:
        padding = [] if self.padding_idx is None else [f"padding_idx={self.padding_idx}"]
        return ", ".join([f"{self.num_embeddings}, {self.embedding_dim}", *padding, *self._norm_text()])

    def _norm_text(self) -> list[str]:
        norm_type = [] if self.norm_type == 2 else [f"norm_type={self.norm_type}"]
        return norm_type if self.max_norm is None else [f"max_norm={self.max_norm}", *norm_type]


class EmbeddingBag(Embedding):
    """Sums, means or maxima over bags of rows of a learned table (as `torch.nn.EmbeddingBag`).

    Args:
        num_embeddings, embedding_dim: size of the table.
        mode: "sum", "mean" or "max".
        padding_idx: a row that does not count, and starts as zeros.
        max_norm, norm_type, scale_grad_by_freq, sparse, include_last_offset: see `nn.functional.embedding_bag`.
        device, dtype: of the table.

    Attributes:
        weight: (num_embeddings, embedding_dim), standard normal at first.

    >>> import minigrad as mg
    >>> mg.nn.EmbeddingBag(10, 4)(mg.tensor([[1, 2, 3], [4, 4, 4]])).shape
    Size([2, 4])
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        norms = (padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
        super().__init__(num_embeddings, embedding_dim, *norms, device=device, dtype=dtype)
        if mode not in MODES:
            raise ValueError(f"EmbeddingBag: mode must be 'sum', 'mean' or 'max', got {mode!r}")
        self.mode = mode
        self.include_last_offset = include_last_offset

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        """Bags of integers to (bags, embedding_dim), see `nn.functional.embedding_bag`."""
        return embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            mode=self.mode,
            per_sample_weights=per_sample_weights,
            include_last_offset=self.include_last_offset,
            padding_idx=self.padding_idx,
        )

    def extra_repr(self) -> str:
        padding = [] if self.padding_idx is None else [f"padding_idx={self.padding_idx}"]
        size = f"{self.num_embeddings}, {self.embedding_dim}"
        return ", ".join([size, *self._norm_text(), f"mode={self.mode!r}", *padding])
