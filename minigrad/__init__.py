"""minigrad: a deep learning engine small enough to read, in PyTorch's words.

>>> import minigrad as mg
>>> w = mg.tensor([2.0, -1.0], requires_grad=True)
>>> loss = ((w * mg.tensor([1.0, 3.0])).sum() - 5) ** 2
>>> loss.backward()
>>> w.grad
tensor([-12., -36.])
"""

from math import inf, nan, pi
from os import path as _path

# The folder kernels/ is minigrad.kernels: installed, it lies in this folder (see setup.py); in a clone, beside it.
if not _path.isdir(_path.join(__path__[0], "kernels")):
    __path__.append(_path.dirname(__path__[0]))

from . import autograd, backend
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
from .ops.elementwise import (
    abs,
    add,
    allclose,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    ceil,
    clamp,
    cos,
    div,
    eq,
    equal,
    erf,
    exp,
    expm1,
    floor,
    floor_divide,
    ge,
    gt,
    isclose,
    isfinite,
    isinf,
    isnan,
    le,
    lerp,
    log,
    log1p,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    lt,
    masked_fill,
    maximum,
    minimum,
    mul,
    ne,
    neg,
    pow,
    reciprocal,
    relu,
    remainder,
    round,
    rsqrt,
    sigmoid,
    sign,
    sin,
    sqrt,
    square,
    sub,
    tanh,
    trunc,
    where,
)
from .ops.indexing import gather, index_select, masked_select, nonzero, scatter_add, take_along_dim
from .ops.linalg import bmm, dot, matmul, mm, mv, outer
from .ops.random import bernoulli, multinomial
from .ops.reduction import (
    all,
    amax,
    amin,
    any,
    argmax,
    argmin,
    argsort,
    cumsum,
    log_softmax,
    logsumexp,
    max,
    mean,
    min,
    softmax,
    sort,
    std,
    sum,
    topk,
    var,
    var_mean,
)
from .ops.shape import (
    broadcast_to,
    cat,
    chunk,
    flatten,
    flip,
    movedim,
    narrow,
    permute,
    reshape,
    roll,
    split,
    squeeze,
    stack,
    t,
    transpose,
    tril,
    triu,
    unbind,
    unflatten,
    unsqueeze,
)
from .tensor import Size, Tensor

from . import nn, optim  # isort: skip  (last: they use all of the above)

subtract, multiply, divide, true_divide, clip, concat, swapaxes = sub, mul, div, div, clamp, cat, transpose
negative, absolute = neg, abs
__version__ = "0.1.0"
