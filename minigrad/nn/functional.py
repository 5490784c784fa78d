"""The functions under the layers, stateless (as `torch.nn.functional`).

What has derivative rules of its own lives in `minigrad.ops`, most others beside their layers; both only get their second
name here.
"""

from __future__ import annotations

from typing import Any

from ..creation import ones
from ..errors import explained
from ..ops.attention import scaled_dot_product_attention
from ..ops.dropout import dropout
from ..ops.elementwise import gelu, logsigmoid, sigmoid, tanh
from ..ops.indexing import one_hot
from ..ops.linalg import linear
from ..ops.norm import layer_norm, rms_norm
from .activation import (
    glu,
    gumbel_softmax,
    log_softmax,
    mish,
    silu,
    softmax,
    softmin,
    softplus,
    softsign,
    tanhshrink,
)
from .conv import conv1d, conv2d, conv_transpose1d, conv_transpose2d
from .distance import cosine_similarity, normalize, pairwise_distance
from .embedding import embedding, embedding_bag
from .loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    gaussian_nll_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
    poisson_nll_loss,
    smooth_l1_loss,
)
from .margin import (
    cosine_embedding_loss,
    hinge_embedding_loss,
    margin_ranking_loss,
    multi_margin_loss,
    multilabel_soft_margin_loss,
    soft_margin_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from .normalization import batch_norm, group_norm, instance_norm
from .padding import pad
from .pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    max_pool1d,
    max_pool2d,
)
from .rectifiers import (
    celu,
    elu,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    prelu,
    relu,
    relu6,
    rrelu,
    selu,
    softshrink,
    threshold,
)
from .upsampling import interpolate, pixel_shuffle, pixel_unshuffle
from .windows import fold, unfold

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d", "avg_pool1d",
    "avg_pool2d", "batch_norm", "bilinear", "binary_cross_entropy", "binary_cross_entropy_with_logits", "celu",
    "conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d", "cosine_embedding_loss", "cosine_similarity",
    "cross_entropy", "dropout", "dropout1d", "dropout2d", "elu", "embedding", "embedding_bag", "fold",
    "gaussian_nll_loss", "gelu", "glu", "group_norm", "gumbel_softmax", "hardshrink", "hardsigmoid", "hardswish",
    "hardtanh", "hinge_embedding_loss", "huber_loss", "instance_norm", "interpolate", "kl_div", "l1_loss", "layer_norm",
    "leaky_relu", "linear", "log_softmax", "logsigmoid", "margin_ranking_loss", "max_pool1d", "max_pool2d", "mish",
    "mse_loss", "multi_margin_loss", "multilabel_soft_margin_loss", "nll_loss", "normalize", "one_hot", "pad",
    "pairwise_distance", "pixel_shuffle", "pixel_unshuffle", "poisson_nll_loss", "prelu", "relu", "relu6", "rms_norm",
    "rrelu", "scaled_dot_product_attention", "selu", "sigmoid", "silu", "smooth_l1_loss", "soft_margin_loss", "softmax",
    "softmin", "softplus", "softshrink", "softsign", "tanh", "tanhshrink", "threshold", "triplet_margin_loss",
    "triplet_margin_with_distance_loss", "unfold",
]  # fmt: skip

# --------------------------------------------------------------------------------------- products, whole channels


@explained
def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """`input1 @ weight[o] @ input2` for each output o, plus bias. Source: `torch.nn.functional.bilinear`.

    Args:
        input1: (..., features 1).
        input2: (..., features 2), the same leading dimensions.
        weight: (features out, features 1, features 2).
        bias: (features out,) or None.

    Raises:
        RuntimeError: shapes that do not fit.

    >>> import minigrad as mg
    >>> bilinear(mg.tensor([1.0, 2.0]), mg.tensor([3.0]), mg.tensor([[[1.0], [1.0]], [[0.0], [5.0]]]))
    tensor([ 9., 30.])
    """
    if weight.ndim != 3 or tuple(weight.shape[1:]) != (*input1.shape[-1:], *input2.shape[-1:]):
        raise RuntimeError(
            f"bilinear: weight must have shape (out, features 1, features 2), got {tuple(weight.shape)} for inputs of shape "
            f"{tuple(input1.shape)} and {tuple(input2.shape)}"
        )
    if tuple(input1.shape[:-1]) != tuple(input2.shape[:-1]):
        raise RuntimeError(
            f"bilinear: inputs must agree in all but the last dimension, got {tuple(input1.shape)} and {tuple(input2.shape)}"
        )
    out, first, second = weight.shape
    forms = input1 @ weight.permute(1, 0, 2).reshape(first, out * second)
    result = (forms.reshape(*input1.shape[:-1], out, second) @ input2.unsqueeze(-1)).squeeze(-1)
    return result if bias is None else result + bias


def _channel_dropout(n: int, input: Any, p: float, training: bool, inplace: bool) -> Any:
    if not 0 <= p <= 1:
        raise ValueError(f"dropout{n}d: p must be from 0 to 1, got {p}")
    if input.ndim not in (n + 1, n + 2):
        raise RuntimeError(f"dropout{n}d: expected an input (batch, channels, *sizes), got shape {tuple(input.shape)}")
    if not training or p == 0:
        return input
    shape = input.shape[:-1] if n == 1 else input.shape[:2]  # of the channels, with or without a batch
    kept = dropout(ones(*shape, *[1] * (input.ndim - len(shape)), dtype=input.dtype, device=input.device), p)
    return input._assign("dropout", input * kept) if inplace else input * kept


@explained
def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """`dropout` of whole channels: input (batch, channels, length) or without the batch.

    Source: `torch.nn.functional.dropout1d`.

    >>> import minigrad as mg
    >>> kept = dropout1d(mg.ones(9, 8, 7)).sum(2)
    >>> bool(((kept == 0) | (kept == 14)).all())
    True
    """
    return _channel_dropout(1, input, p, training, inplace)


@explained
def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """`dropout` of whole channels: input (batch, channels, height, width); three dimensions are (batch, channels, length).

    Neighbours in an image are so alike that to drop single pixels hides little.

    Source: Tompson and others, Efficient Object Localization, 2015; `torch.nn.functional.dropout2d`.

    >>> import minigrad as mg
    >>> dropout2d(mg.ones(2, 3, 4, 5), training=False).sum().item()
    120.0
    """
    return _channel_dropout(2, input, p, training, inplace)
