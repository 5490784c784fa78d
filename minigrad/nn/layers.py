"""Layers that stand on their own: Linear, LazyLinear, Bilinear, Dropout, LayerNorm, RMSNorm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..creation import empty
from ..tensor import Tensor
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter


class Linear(Module):
    """`x @ weight.T + bias` (as `torch.nn.Linear`).

    Args:
        in_features, out_features: sizes of the last dimension before and after.
        bias: whether to add one.
        device, dtype: of the parameters.

    Attributes:
        weight: (out_features, in_features), uniform within 1 / sqrt(in_features) at first.
        bias: (out_features,), likewise, or None.

    >>> import minigrad as mg
    >>> mg.nn.Linear(3, 2)(mg.ones(5, 3)).shape
    Size([5, 2])
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        if in_features < 0 or out_features < 0:
            raise ValueError(f"Linear: sizes must not be negative, got {in_features} and {out_features}")
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(empty(out_features, in_features, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_features, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new parameters."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        """(..., in_features) to (..., out_features)."""
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class LazyLinear(Linear):
    """A `Linear` that finds out at its first call how many features come in, and is a plain Linear from then on.

    Args:
        out_features: size of the last dimension after it.
        bias, device, dtype: as for `Linear`.

    Source: `torch.nn.LazyLinear`. An optimizer may be made before the first call; a state can be loaded only after it.

    >>> import minigrad as mg
    >>> layer = mg.nn.LazyLinear(2)
    >>> layer(mg.ones(5, 3)).shape, layer
    (Size([5, 2]), Linear(in_features=3, out_features=2, bias=True))
    """

    def __init__(self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(0, out_features, bias, device, dtype)

    def reset_parameters(self) -> None:
        """Draw new parameters, once there are any."""
        if self.in_features:
            super().reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        """(..., any number of features) to (..., out_features)."""
        self.in_features = input.shape[-1]
        self.weight.data = empty(self.out_features, self.in_features, device=self.weight.device, dtype=self.weight.dtype)
        self.reset_parameters()
        self.__class__ = Linear  # type: ignore[assignment]
        return self.forward(input)


class Bilinear(Module):
    """`input1 @ weight[o] @ input2 + bias[o]` for each output o (as `torch.nn.Bilinear`).

    Args:
        in1_features, in2_features: sizes of the last dimensions of the two inputs.
        out_features: that of the result.
        bias: whether to add one.
        device, dtype: of the parameters.

    Attributes:
        weight: (out_features, in1_features, in2_features), uniform within 1 / sqrt(in1_features) at first.
        bias: (out_features,), likewise, or None.

    >>> import minigrad as mg
    >>> mg.nn.Bilinear(3, 4, 2)(mg.ones(5, 3), mg.ones(5, 4)).shape
    Size([5, 2])
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if in1_features <= 0:
            raise ValueError(f"Bilinear: in1_features must be above 0, got {in1_features}")
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        self.weight = Parameter(empty(out_features, in1_features, in2_features, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_features, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new parameters."""
        bound = 1 / math.sqrt(self.in1_features)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """(..., in1_features) and (..., in2_features) to (..., out_features)."""
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        sizes = f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}"
        return f"{sizes}, bias={self.bias is not None}"


class Dropout(Module):
    """In training, set elements to zero with probability p and scale the others by 1 / (1 - p) (as `torch.nn.Dropout`).

    Args:
        p: probability of dropping an element.
        inplace: write the result into the input.

    Source: Srivastava et al., Dropout, 2014.

    >>> import minigrad as mg
    >>> mg.nn.Dropout(0.9).eval()(mg.ones(3))
    tensor([1., 1., 1.])
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout: p must be from 0 to 1, got {p}")
        self.p = p
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Any shape."""
        return F.dropout(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout1d(Dropout):
    """`Dropout` of whole channels: (batch, channels, length) or without the batch (as `torch.nn.Dropout1d`)."""

    def forward(self, input: Tensor) -> Tensor:
        """The same shape out."""
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(Dropout):
    """`Dropout` of whole channels: (batch, channels, height, width), see `functional.dropout2d` (as `torch.nn.Dropout2d`)."""

    def forward(self, input: Tensor) -> Tensor:
        """The same shape out."""
        return F.dropout2d(input, self.p, self.training, self.inplace)


class LayerNorm(Module):
    """Shift and scale the last dimensions to mean 0 and variance 1, then by learned factors (as `torch.nn.LayerNorm`).

    Args:
        normalized_shape: size of the last dimension, or sizes of the last few.
        eps: added to the variance.
        elementwise_affine: whether weight and bias are there.
        bias: whether bias is there.
        device, dtype: of the parameters.

    Attributes:
        weight, bias: of shape normalized_shape, ones and zeros at first; or None.

    Source: Ba, Kiros and Hinton, Layer Normalization, 2016.

    >>> import minigrad as mg
    >>> mg.nn.LayerNorm(3)(mg.tensor([1.0, 2.0, 3.0])).detach()
    tensor([-1.2247,  0.0000,  1.2247])
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        for name, there in (("weight", elementwise_affine), ("bias", elementwise_affine and bias)):
            new = Parameter(empty(self.normalized_shape, device=device, dtype=dtype)) if there else None
            self.register_parameter(name, new)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """(..., *normalized_shape), the same shape out."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        return f"{self.normalized_shape}, eps={self.eps}, {affine}"


class RMSNorm(Module):
    """Scale the last dimensions to mean square 1, then by learned factors (as `torch.nn.RMSNorm`).

    Args:
        normalized_shape: size of the last dimension, or sizes of the last few.
        eps: added to the mean square; None as in `functional.rms_norm`.
        elementwise_affine: whether weight is there.
        device, dtype: of the weight.

    Attributes:
        weight: of shape normalized_shape, ones at first; or None.

    Source: Zhang and Sennrich, Root Mean Square Layer Normalization, 2019.

    >>> import minigrad as mg
    >>> mg.nn.RMSNorm(2)(mg.tensor([3.0, 4.0])).detach()
    tensor([0.8485, 1.1314])
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        new = Parameter(empty(self.normalized_shape, device=device, dtype=dtype)) if elementwise_affine else None
        self.register_parameter("weight", new)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        """(..., *normalized_shape), the same shape out."""
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
