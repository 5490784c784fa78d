"""minigrad: a deep learning engine small enough to read, in PyTorch's words.

>>> import minigrad as mg
>>> w = mg.tensor([2.0, -1.0], requires_grad=True)
>>> loss = ((w * mg.tensor([1.0, 3.0])).sum() - 5) ** 2
>>> loss.backward()
>>> w.grad
tensor([-12., -36.])
"""

from contextlib import suppress as _suppress
from math import inf, nan, pi
from os import path as _path
from sys import modules as _modules

# The folder kernels/ is minigrad.kernels: installed, it lies in this folder (see setup.py); in a clone, beside it.
if not _path.isdir(_path.join(__path__[0], "kernels")):
    __path__.append(_path.dirname(__path__[0]))

from . import amp, autograd, backend, cuda, linalg
from .amp import autocast, get_autocast_dtype, is_autocast_enabled
from .autograd import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from .backend import Generator, default_generator, device, manual_seed
from .creation import (
    arange,
    as_tensor,
    empty,
    empty_like,
    eye,
    from_dlpack,
    from_numpy,
    full,
    full_like,
    is_tensor,
    linspace,
    normal,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    tensor,
    zeros,
    zeros_like,
)
from .cuda.fused import get_float32_matmul_precision, set_float32_matmul_precision
from .dtypes import (
    bool,
    double,
    float,
    float16,
    float32,
    float64,
    get_default_dtype,
    half,
    int,
    int8,
    int16,
    int32,
    int64,
    long,
    set_default_dtype,
    short,
    uint8,
)
from .functions.arrange import hstack, meshgrid, repeat_interleave, roll, tile, vstack
from .functions.einsum import einsum, kron, tensordot
from .functions.elementwise import addcdiv, addcmul, exp2, frac, logit
from .functions.order import argsort, bincount, bucketize, cummax, cummin, median, searchsorted, sort, topk, unique
from .functions.random import bernoulli, multinomial
from .functions.reduction import aminmax, count_nonzero, cumprod, logcumsumexp, nanmean, nansum, norm, prod
from .functions.scatter import (
    gather,
    index_add,
    index_copy,
    index_fill,
    index_select,
    masked_scatter,
    scatter,
    scatter_add,
    scatter_reduce,
    take,
)
from .kernels.cpu.jit import get_num_threads, set_num_threads
from .linalg import cdist, cholesky, det, logdet, matrix_power, slogdet
from .ops.choice import clamp, fmax, fmin, masked_fill, maximum, minimum, nan_to_num, where
from .ops.diagonal import diag, diag_embed, diagonal, trace, tril, triu
from .ops.elementwise import (
    abs,
    add,
    ceil,
    div,
    erf,
    exp,
    expm1,
    floor,
    floor_divide,
    fmod,
    lerp,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    mul,
    neg,
    pow,
    reciprocal,
    relu,
    remainder,
    round,
    rsqrt,
    sigmoid,
    sign,
    sqrt,
    square,
    sub,
    tanh,
    trunc,
)
from .ops.indexing import masked_select, nonzero, take_along_dim
from .ops.linalg import addmm, baddbmm, bmm, dot, matmul, mm, mv, outer
from .ops.logic import (
    allclose,
    bitwise_and,
    bitwise_left_shift,
    bitwise_not,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    eq,
    equal,
    ge,
    gt,
    isclose,
    isfinite,
    isinf,
    isnan,
    le,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    lt,
    ne,
)
from .ops.reduction import (
    all,
    amax,
    amin,
    any,
    argmax,
    argmin,
    cumsum,
    log_softmax,
    logsumexp,
    max,
    mean,
    min,
    softmax,
    std,
    sum,
    var,
    var_mean,
)
from .ops.shape import (
    broadcast_to,
    cat,
    chunk,
    clone,
    flatten,
    flip,
    movedim,
    narrow,
    permute,
    reshape,
    split,
    squeeze,
    stack,
    t,
    transpose,
    unbind,
    unflatten,
    unsqueeze,
)
from .ops.trigonometry import acos, asin, atan, atan2, cos, cosh, hypot, sin, sinh, tan
from .tensor import Size, Tensor

from . import distributions, func, interop, nn, optim  # isort: skip  (last: they use all of the above)
from .saving import load, save  # isort: skip

if "einops" in _modules:  # imported after minigrad, it knows our tensors once this is called
    with _suppress(ImportError):
        interop.register_einops()

subtract, multiply, divide, true_divide, clip, concat, swapaxes = sub, mul, div, div, clamp, cat, transpose
negative, absolute, inverse, pinverse = neg, abs, linalg.inv, linalg.pinv
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name == "utils":  # brings in worker processes, which few programs need
        from importlib import import_module

        return import_module("minigrad.utils")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
