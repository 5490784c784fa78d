"""Fused forward and backward passes on the CPU, for compositions whose formula would make many arrays.

What lives here: functions of NumPy arrays, a file per operation. A forward pass returns its result and what its backward
pass wants kept, or NotImplemented where it does not apply, and then the formula runs. What does not: the formulas, which
stand in minigrad/ops and which tests hold these to; anything that knows of tensors.
"""

from .attention import attention, attention_backward
from .batch_norm import batch_norm, batch_norm_backward
from .conv import conv, conv_transpose, convolution, convolution_backward, correlate
from .copies import in_order
from .cross_entropy import cross_entropy, cross_entropy_backward
from .gelu import gelu, gelu_backward, silu, silu_backward
from .layer_norm import layer_norm, layer_norm_backward, rms_norm, rms_norm_backward
from .linear import linear_slopes
from .matmul import matmul
from .memory import keep_freed_memory, small_pages
from .pointwise import add, div, exp, mul, mul_slopes, relu, relu_slope, sigmoid, sigmoid_slope, sub, tanh, tanh_slope
from .pool import max_pool, max_pool_backward
from .recurrence import recurrence, recurrence_backward
from .scatter import add_rows
from .softmax import log_softmax, log_softmax_slope, safe_softmax, softmax, softmax_slope
from .sums import mean, sum, sum_rows

__all__ = [
    "add", "add_rows", "attention", "attention_backward", "batch_norm", "batch_norm_backward", "conv",
    "conv_transpose", "convolution", "convolution_backward", "correlate", "cross_entropy", "cross_entropy_backward",
    "div", "exp", "gelu", "gelu_backward", "in_order", "layer_norm", "layer_norm_backward", "linear_slopes", "log_softmax",
    "log_softmax_slope", "matmul", "max_pool", "max_pool_backward", "mean", "mul", "mul_slopes", "recurrence",
    "recurrence_backward", "relu", "relu_slope", "rms_norm", "rms_norm_backward", "safe_softmax", "sigmoid",
    "sigmoid_slope", "silu", "silu_backward", "softmax", "softmax_slope", "sub", "sum", "sum_rows", "tanh",
    "tanh_slope",
]  # fmt: skip

keep_freed_memory()
small_pages()
