"""Which operations mixed precision changes, and whether it is on. `minigrad.autocast` turns it on; see amp.py.

"half": products of matrices, where the time goes, and which a device does several times as fast on 16 bit numbers.
"full": whatever would overflow, or lose what it is after, in 16 bits: exponentials, powers, long sums, norms, losses.
All others take what they get, and bring mixed arguments to the wider dtype.
Source: the lists of `torch.amp`.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

POLICY = dict.fromkeys("matmul linear conv conv_transpose convolution attention recurrence".split(), "half") | dict.fromkeys(
    "exp expm1 log log1p log2 log10 pow reciprocal rsqrt sinh cosh sum cumsum softmax log_softmax logsumexp layer_norm "
    "rms_norm squared_error logistic_loss cross_entropy det inv solve svd eigh qr cholesky pinv".split(),
    "full",
)

active: ContextVar[Any] = ContextVar("autocast", default=None)  # the autocast that is in force in this thread
