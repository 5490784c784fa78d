"""The Transformer's encoder, and the encoding of positions."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from ..creation import arange
from ..ops.elementwise import cos, exp, sin
from ..ops.shape import stack
from ..tensor import Tensor
from . import functional as F
from .activation import activation_named
from .attention import MultiheadAttention
from .containers import ModuleList
from .layers import Dropout, LayerNorm, Linear
from .module import Module


class TransformerEncoderLayer(Module):
    """Self-attention, then a network of two layers, each around a shortcut (as `torch.nn.TransformerEncoderLayer`).

    Args:
        d_model: features.
        nhead: heads of the attention.
        dim_feedforward: features between the two layers.
        dropout: probability, in training.
        activation: "relu", "gelu" or a function of one tensor.
        layer_norm_eps: added to variances.
        batch_first: (batch, length, features) instead of (length, batch, features).
        norm_first: normalise before attention and network instead of after the shortcuts.
        bias: whether linear layers and norms have one.
        device, dtype: of the parameters.

    Source: Vaswani et al., 2017; norm_first: Xiong et al., On Layer Normalization in the Transformer, 2020.

    >>> import minigrad as mg
    >>> mg.nn.TransformerEncoderLayer(6, 2, 12, batch_first=True)(mg.randn(3, 5, 6)).shape
    Size([3, 5, 6])
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        where = {"device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, **where)
        self.linear1 = Linear(d_model, dim_feedforward, bias, **where)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **where)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, **where)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, **where)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.activation = activation_named(activation)

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """The same shape out as in; masks are those of `MultiheadAttention`."""

        def attend(x: Tensor) -> Tensor:
            return self.dropout1(self.self_attn(x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal)[0])

        def feed(x: Tensor) -> Tensor:
            return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))

        if self.norm_first:
            x = src + attend(self.norm1(src))
            return x + feed(self.norm2(x))
        x = self.norm1(src + attend(src))
        return self.norm2(x + feed(x))


class TransformerEncoder(Module):
    """Encoder layers one after the other (as `torch.nn.TransformerEncoder`).

    Args:
        encoder_layer: copied num_layers times; all start with its values.
        num_layers: how many.
        norm: a layer at the end, or None.
        enable_nested_tensor, mask_check: PyTorch's, no effect here.

    >>> import minigrad as mg
    >>> encoder = mg.nn.TransformerEncoder(mg.nn.TransformerEncoderLayer(6, 2, 12), num_layers=2)
    >>> encoder(mg.randn(5, 3, 6)).shape
    Size([5, 3, 6])
    """

    def __init__(
        self,
        encoder_layer: TransformerEncoderLayer,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = ModuleList(deepcopy(encoder_layer) for _ in range(num_layers))
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """The same shape out as in; masks are those of `MultiheadAttention`."""
        for layer in self.layers:
            src = layer(
                src, src_mask=mask, src_key_padding_mask=src_key_padding_mask, is_causal=bool(is_causal)
            )
        return src if self.norm is None else self.norm(src)


class PositionalEncoding(Module):
    """Add to each feature a wave over the positions, from fast to slow, so that attention can tell positions apart.

        PE(pos, 2i)   = sin(pos / 10000^(2i / d_model))
        PE(pos, 2i+1) = cos(pos / 10000^(2i / d_model))

    Not in PyTorch. An odd d_model ends with a sine.

    Args:
        d_model: features.
        dropout: probability after the sum, in training.
        max_len: the longest sequence.
        batch_first: (batch, length, features) or, with False, (length, batch, features); 2-d is (length, features).

    Attributes:
        pe: (max_len, d_model), a buffer that is computed and not saved.

    Source: Vaswani et al., Attention Is All You Need, 2017, section 3.5.

    >>> import minigrad as mg
    >>> PositionalEncoding(4, dropout=0.0)(mg.zeros(1, 2, 4))
    tensor([[[0.0000, 1.0000, 0.0000, 1.0000],
             [0.8415, 0.5403, 0.0100, 0.9999]]])
    """

    def __init__(self, d_model: int, dropout: float = 0.1, max_len: int = 5000, batch_first: bool = True) -> None:
        super().__init__()
        self.d_model, self.max_len, self.batch_first = d_model, max_len, batch_first
        self.dropout = Dropout(dropout)
        self.register_buffer("pe", _waves(d_model, max_len), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape out as in.

        Raises:
            RuntimeError: another number of features, or a sequence longer than max_len.
        """
        lengths_last = self.batch_first or x.ndim == 2
        length = x.shape[-2 if lengths_last else 0] if x.ndim in (2, 3) else 0
        if x.ndim not in (2, 3) or x.shape[-1] != self.d_model or length > self.max_len:
            raise RuntimeError(
                f"PositionalEncoding: expected {self.d_model} features and at most {self.max_len} positions, in 2 or 3 "
                f"dimensions, got shape {tuple(x.shape)}"
            )
        pe = self.pe[:length]
        return self.dropout(x + (pe if lengths_last else pe.unsqueeze(1)).to(x.dtype))

    def extra_repr(self) -> str:
        return f"d_model={self.d_model}, max_len={self.max_len}, batch_first={self.batch_first}"


def _waves(d_model: int, max_len: int) -> Tensor:
    position = arange(max_len, dtype="float64").unsqueeze(1)
    angle = position * exp(arange(0, d_model, 2, dtype="float64") * (-math.log(10000.0) / d_model))
    return stack([sin(angle), cos(angle)], -1).flatten(1)[:, :d_model].float()
