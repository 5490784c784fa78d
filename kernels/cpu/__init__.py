"""Fused forward and backward passes on the CPU, for compositions whose formula would make many arrays.

What lives here: functions of NumPy arrays, a file per operation. A forward pass returns its result and what its backward
pass wants kept, or NotImplemented where it does not apply, and then the formula runs. What does not: the formulas, which
stand in minigrad/ops and which tests hold these to; anything that knows of tensors.
"""

from .attention import attention, attention_backward
from .cross_entropy import cross_entropy, cross_entropy_backward
from .gelu import gelu, gelu_backward
from .layer_norm import layer_norm, layer_norm_backward

__all__ = [
    "attention", "attention_backward", "cross_entropy", "cross_entropy_backward", "gelu", "gelu_backward", "layer_norm",
    "layer_norm_backward",
]  # fmt: skip
