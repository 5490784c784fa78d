"""The Transformer: encoder, decoder, both together, and the encoding of positions."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from ..creation import arange, full
from ..ops.diagonal import triu
from ..ops.elementwise import exp
from ..ops.shape import stack
from ..ops.trigonometry import cos, sin
from ..tensor import Tensor
from . import functional as F
from . import init
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


class TransformerDecoderLayer(Module):
    """Self-attention, attention to what the encoder made, then a network of two layers, each around a shortcut.

    Source: Vaswani et al., 2017; `torch.nn.TransformerDecoderLayer`. The arguments are those of
    `TransformerEncoderLayer`.

    >>> import minigrad as mg
    >>> decoder = mg.nn.TransformerDecoderLayer(6, 2, 12, batch_first=True)
    >>> decoder(mg.randn(3, 5, 6), memory=mg.randn(3, 4, 6)).shape
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
        self.multihead_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, **where)
        self.linear1 = Linear(d_model, dim_feedforward, bias, **where)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **where)
        self.norm_first = norm_first
        for i in (1, 2, 3):
            setattr(self, f"norm{i}", LayerNorm(d_model, layer_norm_eps, bias=bias, **where))
        for i in (1, 2, 3):
            setattr(self, f"dropout{i}", Dropout(dropout))
        self.activation = activation_named(activation)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The same shape out as in.

        Args:
            tgt: what the decoder has so far, (length, batch, features), or as batch_first says.
            memory: what the encoder made, of a length of its own.
            tgt_mask, tgt_key_padding_mask, tgt_is_causal: those of `MultiheadAttention`, from tgt to itself.
            memory_mask, memory_key_padding_mask, memory_is_causal: likewise, from tgt to memory.
        """

        def attend(x: Tensor) -> Tensor:
            out = self.self_attn(x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal)
            return self.dropout1(out[0])

        def look(x: Tensor) -> Tensor:
            masks = {"key_padding_mask": memory_key_padding_mask, "attn_mask": memory_mask, "is_causal": memory_is_causal}
            return self.dropout2(self.multihead_attn(x, memory, memory, need_weights=False, **masks)[0])

        def feed(x: Tensor) -> Tensor:
            return self.dropout3(self.linear2(self.dropout(self.activation(self.linear1(x)))))

        x = tgt
        for part, norm in ((attend, self.norm1), (look, self.norm2), (feed, self.norm3)):
            x = x + part(norm(x)) if self.norm_first else norm(x + part(x))
        return x


class TransformerDecoder(Module):
    """Decoder layers one after the other (as `torch.nn.TransformerDecoder`).

    Args:
        decoder_layer: copied num_layers times; all start with its values.
        num_layers: how many.
        norm: a layer at the end, or None.

    >>> import minigrad as mg
    >>> decoder = mg.nn.TransformerDecoder(mg.nn.TransformerDecoderLayer(6, 2, 12), num_layers=2)
    >>> decoder(mg.randn(5, 3, 6), mg.randn(4, 3, 6)).shape
    Size([5, 3, 6])
    """

    def __init__(self, decoder_layer: TransformerDecoderLayer, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = ModuleList(deepcopy(decoder_layer) for _ in range(num_layers))
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The same shape out as in; see `TransformerDecoderLayer`."""
        masks = (tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        for layer in self.layers:
            tgt = layer(tgt, memory, *masks, bool(tgt_is_causal), memory_is_causal)
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """Encoder and decoder (as `torch.nn.Transformer`).

    Args:
        d_model: features.
        nhead: heads of each attention.
        num_encoder_layers, num_decoder_layers: how many; both stacks end with a LayerNorm.
        dim_feedforward, dropout, activation: see `TransformerEncoderLayer`, as the others.
        custom_encoder, custom_decoder: modules to take instead, or None.

    Source: Vaswani et al., Attention Is All You Need, 2017.

    >>> import minigrad as mg
    >>> model = mg.nn.Transformer(6, 2, 1, 1, dim_feedforward=12)
    >>> model(src=mg.randn(4, 3, 6), tgt=mg.randn(5, 3, 6)).shape
    Size([5, 3, 6])
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = F.relu,
        custom_encoder: Any = None,
        custom_decoder: Any = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first
        shape = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias)
        where = {"device": device, "dtype": dtype}

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, **where)

        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*shape, **where), num_encoder_layers, norm()
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*shape, **where), num_decoder_layers, norm()
        )
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Encode src, and decode tgt with an eye on it.

        Args:
            src: (source length, batch, features), or as batch_first says; without batch if 2-d.
            tgt: (target length, batch, features), likewise.
            src_mask, src_key_padding_mask, src_is_causal: those of `MultiheadAttention`, from src to itself.
            tgt_mask, tgt_key_padding_mask, tgt_is_causal: likewise, from tgt to itself.
            memory_mask, memory_key_padding_mask, memory_is_causal: likewise, from tgt to what the encoder made.

        Returns:
            A tensor of tgt's shape.

        Raises:
            RuntimeError: src and tgt do not agree in dimensions or batch, or do not have d_model features.
        """
        shapes = f"src {tuple(src.shape)} and tgt {tuple(tgt.shape)}"
        batch = 0 if self.batch_first else 1
        if src.ndim != tgt.ndim or (src.ndim == 3 and src.shape[batch] != tgt.shape[batch]):
            raise RuntimeError(f"Transformer: src and tgt must have the same dimensions and batch size, got {shapes}")
        if src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise RuntimeError(f"Transformer: src and tgt must have d_model={self.d_model} features, got {shapes}")
        memory = self.encoder(
            src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal
        )
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """The causal mask: -inf above the diagonal, where a position would see a later one, and 0 elsewhere.

        >>> Transformer.generate_square_subsequent_mask(2)
        tensor([[0., -inf],
                [0., 0.]])
        """
        return triu(full((sz, sz), -float("inf"), device=device, dtype=dtype), 1)


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
