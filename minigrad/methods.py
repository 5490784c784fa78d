"""The operations as methods: `x.exp()` is `minigrad.exp(x)`, one function under two names. Here is the list of all.

Each is documented where it is defined: help(minigrad.exp), or ops/elementwise.py and its neighbours.
"""

from __future__ import annotations

from typing import Any

from . import dtypes, linalg
from .functions import arrange as a
from .functions import elementwise as more
from .functions import order as o
from .functions import pinned as pin
from .functions import random as rnd
from .functions import reduction as f
from .functions import scatter as w
from .functions.einsum import kron as _kron
from .ops import choice as c
from .ops import diagonal as d
from .ops import elementwise as e
from .ops import indexing as i
from .ops import linalg as l
from .ops import logic as b
from .ops import reduction as r
from .ops import shape as s
from .ops import trigonometry as trig


def in_place(function: Any) -> Any:
    """The form of an operation that writes its result into its first argument, as `add_`."""
    name = function.__name__ + "_"

    def method(self, *args, **kwargs):
        return self._assign(name, function(self._to_overwrite(name, *args), *args, **kwargs))

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"`{function.__name__}`, in place."
    return method


def reflected(function: Any) -> Any:
    """The form of an operator for a left operand that does not know it, as `__rsub__`."""
    return lambda self, other: function(other, self)


def converter(dtype: Any) -> Any:
    """A method that converts to a dtype, as `half`."""

    def method(self):
        return self.to(dtype=dtype)

    method.__doc__ = f"Convert to {dtype}; the tensor itself if it is."
    return method


class Methods:
    """What a Tensor inherits."""

    __slots__ = ()

    add = __add__ = __radd__ = e.add
    sub = subtract = __sub__ = e.sub
    mul = multiply = __mul__ = __rmul__ = e.mul
    div = divide = true_divide = __truediv__ = e.div
    floor_divide = __floordiv__ = e.floor_divide
    remainder = __mod__ = e.remainder
    pow = __pow__ = e.pow
    neg = negative = __neg__ = e.neg
    abs = absolute = __abs__ = e.abs
    matmul = __matmul__ = l.matmul
    eq = __eq__ = b.eq  # type: ignore[assignment]
    ne = __ne__ = b.ne  # type: ignore[assignment]
    lt = __lt__ = b.lt
    le = __le__ = b.le
    gt = __gt__ = b.gt
    ge = __ge__ = b.ge
    bitwise_and = __and__ = __rand__ = b.bitwise_and
    bitwise_or = __or__ = __ror__ = b.bitwise_or
    bitwise_xor = __xor__ = __rxor__ = b.bitwise_xor
    bitwise_not = __invert__ = b.bitwise_not
    bitwise_left_shift = __lshift__ = b.bitwise_left_shift
    bitwise_right_shift = __rshift__ = b.bitwise_right_shift
    __rsub__, __rtruediv__, __rfloordiv__ = map(reflected, (e.sub, e.div, e.floor_divide))
    __rmod__, __rpow__, __rmatmul__ = map(reflected, (e.remainder, e.pow, l.matmul))
    __hash__ = object.__hash__
    __getitem__ = i.getitem
    __setitem__ = i.setitem

    sign, floor, ceil, round, trunc, frac, fmod = e.sign, e.floor, e.ceil, e.round, e.trunc, more.frac, e.fmod
    exp, exp2, expm1, log, log2, log10, log1p = e.exp, more.exp2, e.expm1, e.log, e.log2, e.log10, e.log1p
    sqrt, rsqrt, square, reciprocal, lerp = e.sqrt, e.rsqrt, e.square, e.reciprocal, e.lerp
    tanh, sigmoid, logit, erf, relu, logaddexp = e.tanh, e.sigmoid, more.logit, e.erf, e.relu, e.logaddexp
    addcmul, addcdiv = more.addcmul, more.addcdiv
    sin, cos, tan, sinh, cosh, hypot = trig.sin, trig.cos, trig.tan, trig.sinh, trig.cosh, trig.hypot
    asin, acos, atan, atan2 = trig.asin, trig.acos, trig.atan, trig.atan2
    maximum, minimum, fmax, fmin, clamp, clip = c.maximum, c.minimum, c.fmax, c.fmin, c.clamp, c.clamp
    masked_fill, nan_to_num = c.masked_fill, c.nan_to_num
    logical_not, logical_and, logical_or, logical_xor = b.logical_not, b.logical_and, b.logical_or, b.logical_xor
    isnan, isinf, isfinite, isclose = b.isnan, b.isinf, b.isfinite, b.isclose
    allclose, equal = b.allclose, b.equal

    sum, mean, var, std, all, any = r.sum, r.mean, r.var, r.std, r.all, r.any
    amax, amin, max, min, argmax, argmin = r.amax, r.amin, r.max, r.min, r.argmax, r.argmin
    cumsum, logsumexp, softmax, log_softmax = r.cumsum, r.logsumexp, r.softmax, r.log_softmax
    prod, norm, nansum, nanmean, count_nonzero = f.prod, f.norm, f.nansum, f.nanmean, f.count_nonzero
    aminmax, cumprod, logcumsumexp = f.aminmax, f.cumprod, f.logcumsumexp
    argsort, sort, topk, median, cummax, cummin = o.argsort, o.sort, o.topk, o.median, o.cummax, o.cummin
    unique, bincount = o.unique, o.bincount

    reshape, view, view_as, reshape_as = s.reshape, s.view, s.view_as, s.reshape_as
    flatten, unflatten, squeeze, unsqueeze = s.flatten, s.unflatten, s.squeeze, s.unsqueeze
    expand, expand_as, broadcast_to, flip = s.expand, s.expand_as, s.broadcast_to, s.flip
    transpose = swapaxes = s.transpose
    permute, movedim, t = s.permute, s.movedim, s.t
    split, chunk, unbind, narrow, clone, contiguous = s.split, s.chunk, s.unbind, s.narrow, s.clone, s.contiguous
    repeat, tile, repeat_interleave, roll, unfold = a.repeat, a.tile, a.repeat_interleave, a.roll, a.unfold
    tril, triu, diagonal, diag, diag_embed, trace = d.tril, d.triu, d.diagonal, d.diag, d.diag_embed, d.trace

    gather, take_along_dim, index_select, take = w.gather, i.take_along_dim, w.index_select, w.take
    index_add, index_copy, index_fill = w.index_add, w.index_copy, w.index_fill
    scatter, scatter_add, scatter_reduce, masked_scatter = w.scatter, w.scatter_add, w.scatter_reduce, w.masked_scatter
    masked_select, nonzero, argwhere = i.masked_select, i.nonzero, i.nonzero

    mm, bmm, mv, dot, outer, addmm, baddbmm, kron = l.mm, l.bmm, l.mv, l.dot, l.outer, l.addmm, l.baddbmm, _kron
    det, logdet, slogdet, inverse, pinverse = linalg.det, linalg.logdet, linalg.slogdet, linalg.inv, linalg.pinv
    cholesky, matrix_power = linalg.cholesky, linalg.matrix_power
    bernoulli, multinomial = rnd.bernoulli, rnd.multinomial
    pin_memory, is_pinned, record_stream = pin.pin_memory, pin.is_pinned, pin.record_stream

    add_ = __iadd__ = in_place(e.add)
    sub_ = __isub__ = in_place(e.sub)
    mul_ = __imul__ = in_place(e.mul)
    div_ = true_divide_ = __itruediv__ = in_place(e.div)
    floor_divide_ = __ifloordiv__ = in_place(e.floor_divide)
    remainder_ = __imod__ = in_place(e.remainder)
    pow_ = __ipow__ = in_place(e.pow)
    bitwise_and_ = __iand__ = in_place(b.bitwise_and)
    bitwise_or_ = __ior__ = in_place(b.bitwise_or)
    bitwise_xor_ = __ixor__ = in_place(b.bitwise_xor)
    bitwise_not_, bitwise_left_shift_, bitwise_right_shift_ = map(
        in_place, (b.bitwise_not, b.bitwise_left_shift, b.bitwise_right_shift)
    )
    neg_, abs_, sign_, floor_, ceil_, round_ = map(in_place, (e.neg, e.abs, e.sign, e.floor, e.ceil, e.round))
    trunc_, frac_, fmod_, exp_, exp2_, expm1_ = map(in_place, (e.trunc, more.frac, e.fmod, e.exp, more.exp2, e.expm1))
    log_, log2_, log10_, log1p_, sqrt_, rsqrt_ = map(in_place, (e.log, e.log2, e.log10, e.log1p, e.sqrt, e.rsqrt))
    square_, reciprocal_, lerp_, tanh_, sigmoid_ = map(in_place, (e.square, e.reciprocal, e.lerp, e.tanh, e.sigmoid))
    logit_, erf_, relu_, addcmul_, addcdiv_ = map(in_place, (more.logit, e.erf, e.relu, more.addcmul, more.addcdiv))
    sin_, cos_, tan_, sinh_, cosh_, hypot_ = map(in_place, (trig.sin, trig.cos, trig.tan, trig.sinh, trig.cosh, trig.hypot))
    asin_, acos_, atan_, atan2_ = map(in_place, (trig.asin, trig.acos, trig.atan, trig.atan2))
    clamp_, clip_, masked_fill_, nan_to_num_ = map(in_place, (c.clamp, c.clamp, c.masked_fill, c.nan_to_num))
    eq_, ne_, lt_, le_, gt_, ge_ = map(in_place, (b.eq, b.ne, b.lt, b.le, b.gt, b.ge))
    logical_not_, logical_and_, logical_or_, logical_xor_ = map(
        in_place, (b.logical_not, b.logical_and, b.logical_or, b.logical_xor)
    )
    cumsum_, cumprod_, tril_, triu_ = map(in_place, (r.cumsum, f.cumprod, d.tril, d.triu))
    index_add_, index_copy_, index_fill_ = map(in_place, (w.index_add, w.index_copy, w.index_fill))
    scatter_, scatter_add_, scatter_reduce_ = map(in_place, (w.scatter, w.scatter_add, w.scatter_reduce))
    masked_scatter_, addmm_, baddbmm_ = map(in_place, (w.masked_scatter, l.addmm, l.baddbmm))

    half, float, double = map(converter, (dtypes.float16, dtypes.float32, dtypes.float64))
    short, int, long, bool = map(converter, (dtypes.int16, dtypes.int32, dtypes.int64, dtypes.bool))

    def where(self, condition: Any, other: Any) -> Any:
        """This tensor where the condition holds, another elsewhere."""
        return c.where(condition, self, other)

    @property
    def T(self) -> Any:
        """All dimensions in reverse order."""
        return s.permute(self, *range(self.ndim)[::-1])  # type: ignore[attr-defined]

    @property
    def mT(self) -> Any:
        """Each matrix of a stack transposed."""
        return s.transpose(self, -2, -1)
