"""Attention with several heads."""

from __future__ import annotations

from typing import Any

from ..creation import empty
from ..ops.elementwise import where
from ..ops.reduction import safe_softmax
from ..tensor import Tensor
from . import functional as F
from . import init
from .layers import Linear
from .module import Module
from .parameter import Parameter


class MultiheadAttention(Module):
    """Several attentions side by side, each on its own projections of queries, keys and values.

    Args:
        embed_dim: features of queries and of the output.
        num_heads: how many attentions; each works on embed_dim / num_heads features.
        dropout: probability of dropping an attention weight in training.
        bias: whether the projections have one.
        add_bias_kv, add_zero_attn: not supported, must be False.
        kdim, vdim: features of keys and of values; embed_dim if None.
        batch_first: (batch, length, features) instead of (length, batch, features).
        device, dtype: of the parameters.

    Attributes:
        in_proj_weight: (3 * embed_dim, embed_dim), the projections of query, key and value on top of each other; where
            kdim or vdim differ None, and q_proj_weight, k_proj_weight, v_proj_weight are there instead.
        in_proj_bias: (3 * embed_dim,) or None.
        out_proj: the Linear layer after the heads.

    Raises:
        ValueError: embed_dim is not a multiple of num_heads.

    Source: Vaswani et al., Attention Is All You Need, 2017; `torch.nn.MultiheadAttention`. A query that may see no key
    gets zeros here, in PyTorch sometimes NaN.

    >>> import minigrad as mg
    >>> attention = mg.nn.MultiheadAttention(6, 2, batch_first=True)
    >>> x = mg.randn(3, 5, 6)
    >>> out, weights = attention(x, x, x)
    >>> out.shape, weights.shape
    (Size([3, 5, 6]), Size([3, 5, 5]))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0 or embed_dim % num_heads:
            raise ValueError(
                f"MultiheadAttention: embed_dim must be a positive multiple of num_heads, got {embed_dim}, {num_heads}"
            )
        if add_bias_kv or add_zero_attn:
            raise NotImplementedError("MultiheadAttention: add_bias_kv and add_zero_attn are not supported")
        self.embed_dim, self.num_heads, self.dropout, self.batch_first = embed_dim, num_heads, dropout, batch_first
        self.head_dim = embed_dim // num_heads
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        packed = self.kdim == self.vdim == embed_dim

        def parameter(*shape: int) -> Parameter:
            return Parameter(empty(shape, device=device, dtype=dtype))

        for name, columns in (("q", embed_dim), ("k", self.kdim), ("v", self.vdim)):
            self.register_parameter(f"{name}_proj_weight", None if packed else parameter(embed_dim, columns))
        self.register_parameter("in_proj_weight", parameter(3 * embed_dim, embed_dim) if packed else None)
        self.register_parameter("in_proj_bias", parameter(3 * embed_dim) if bias else None)
        self.out_proj = Linear(embed_dim, embed_dim, bias, device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new input projections and set the biases to zero; out_proj's weight stays."""
        for name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
            if (weight := getattr(self, name)) is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend from each query to all keys that the masks let it see.

        Args:
            query: (queries, batch, embed_dim); batch first with batch_first, without batch if 2-d.
            key, value: (keys, batch, kdim) and (keys, batch, vdim), likewise.
            key_padding_mask: (batch, keys): bool, where True hides a key, or numbers that are added to the scores.
            need_weights: return the attention weights too, which takes longer.
            attn_mask: (queries, keys) or (batch * num_heads, queries, keys), bool or numbers in the same way.
            average_attn_weights: return the mean of the weights over the heads.
            is_causal: a promise that attn_mask is the causal mask, which allows to compute faster.

        Returns:
            The output, of the query's shape; and the weights, (batch, queries, keys), or with
            average_attn_weights=False (batch, num_heads, queries, keys), or None.

        Raises:
            RuntimeError: shapes do not fit, or is_causal without attn_mask.
        """
        self._check(query, key, value, attn_mask, is_causal)
        batched = query.ndim == 3
        if not batched and key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
        q, k, v = (self._split(x) for x in self._project(query, key, value))
        causal = is_causal and key_padding_mask is None and not need_weights
        mask = None if causal else self._merge(attn_mask, key_padding_mask, q, k)
        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            weights = _weights(q, k, mask)
            out = F.dropout(weights, dropout) @ v
        else:
            allowed = None if mask is None else mask.logical_not() if mask.dtype.kind == "b" else mask
            out = F.scaled_dot_product_attention(q, k, v, allowed, dropout, causal)
        out = self.out_proj(out.transpose(1, 2).flatten(2))
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if not batched:
            return out.squeeze(0), None if weights is None else weights.squeeze(0)
        return out if self.batch_first else out.transpose(0, 1), weights

    def _check(self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None, is_causal: bool) -> None:
        shapes = [tuple(x.shape) for x in (query, key, value)]
        if query.ndim not in (2, 3) or not query.ndim == key.ndim == value.ndim:
            raise RuntimeError(f"MultiheadAttention: query, key and value must all be 3-d, or all 2-d, got {shapes}")
        if [s[-1] for s in shapes] != [self.embed_dim, self.kdim, self.vdim]:
            expected = f"{self.embed_dim}, {self.kdim} and {self.vdim}"
            raise RuntimeError(f"MultiheadAttention: query, key and value must have {expected} features, got {shapes}")
        batch = 0 if self.batch_first else 1
        if shapes[1][:-1] != shapes[2][:-1] or (query.ndim == 3 and shapes[0][batch] != shapes[1][batch]):
            raise RuntimeError(
                f"MultiheadAttention: key and value must agree but in features, query in batch size, got {shapes}"
            )
        if is_causal and attn_mask is None:
            raise RuntimeError(
                "MultiheadAttention: is_causal says that attn_mask is causal, so attn_mask must be given too"
            )

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> Any:
        """Queries, keys and values, batch first, through their projections: in one product if they are one tensor."""
        if self.in_proj_weight is not None and query is key and key is value:
            return F.linear(self._batch_first(query), self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
        weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        weights = weights if self.in_proj_weight is None else self.in_proj_weight.chunk(3)
        biases = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        return map(F.linear, map(self._batch_first, (query, key, value)), weights, biases)

    def _batch_first(self, x: Tensor) -> Tensor:
        return x.unsqueeze(0) if x.ndim == 2 else x if self.batch_first else x.transpose(0, 1)

    def _split(self, x: Tensor) -> Tensor:
        """(batch, length, embed_dim) as (batch, heads, length, head_dim)."""
        return x.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)

    def _merge(self, attn_mask: Tensor | None, padding: Tensor | None, q: Tensor, k: Tensor) -> Tensor | None:
        """Both masks as one that broadcasts to (batch, heads, queries, keys): bool, or numbers if either is."""
        batch, heads, queries, keys = q.shape[0], self.num_heads, q.shape[2], k.shape[2]
        masks = []
        if attn_mask is not None:
            if tuple(attn_mask.shape) not in ((queries, keys), (batch * heads, queries, keys)):
                raise RuntimeError(
                    f"MultiheadAttention: attn_mask must have shape {(queries, keys)}, or with batch * num_heads first "
                    f"{(batch * heads, queries, keys)}, got {tuple(attn_mask.shape)}"
                )
            masks.append(attn_mask if attn_mask.ndim == 2 else attn_mask.reshape(batch, heads, queries, keys))
        if padding is not None:
            if tuple(padding.shape) != (batch, keys):
                raise RuntimeError(
                    f"MultiheadAttention: key_padding_mask must have shape {(batch, keys)}, got {tuple(padding.shape)}"
                )
            masks.append(padding.reshape(batch, 1, 1, keys))
        for mask in masks:
            if mask.dtype.kind not in "bf":
                raise RuntimeError(f"MultiheadAttention: masks must be bool or floating point, got {mask.dtype}")
        if len(masks) < 2:
            return masks[0] if masks else None
        if all(mask.dtype.kind == "b" for mask in masks):
            return masks[0].logical_or(masks[1])
        return _added(masks[0], q) + _added(masks[1], q)


def _added(mask: Tensor, like: Tensor) -> Tensor:
    """A mask as numbers to add to scores: -inf where a bool mask hides."""
    return (where(mask, -float("inf"), 0.0) if mask.dtype.kind == "b" else mask).to(like.dtype)


def _weights(q: Tensor, k: Tensor, mask: Tensor | None) -> Tensor:
    scores = (q * q.shape[-1] ** -0.5) @ k.mT
    if mask is not None:
        scores = scores.masked_fill(mask, -float("inf")) if mask.dtype.kind == "b" else scores + mask
    return safe_softmax(scores, -1)
