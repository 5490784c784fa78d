"""Learning rules in one kernel call for all parameters, each element read and written once.

In NumPy a step of Adam makes fourteen passes over each parameter, and every pass is a call of its own. Here one loop does
it all, and one call serves all tensors: it gets a table of where they are in memory. The elements of all tensors, counted
through, are dealt out evenly to the threads, so that one large tensor among many small ones does no harm.

The formulas stand in minigrad/optim, which runs them where a kernel does not apply.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .elementary import maximum
from .jit import Kernel, available, get_num_threads, jit, loaded, prange
from .pointers import data_of, size_of, view

SMALL = 1 << 13  # elements in all: below, NumPy is quick enough not to import numba


@jit("int64[::1], int64[::1], int64", parallel=False)
def _count(ids, bounds, dtype):
    """Where each tensor begins and ends if all are counted through; False if arrays of one tensor are not alike."""
    each = len(ids) // (len(bounds) - 1)
    bounds[0] = 0
    for i in range(len(ids)):
        size, t = size_of(ids[i], dtype), i // each
        if i % each == 0:
            bounds[t + 1] = bounds[t] + size
        if size < 0 or size != bounds[t + 1] - bounds[t]:
            return False
    return True


def _for_all(rule: Kernel) -> Kernel:
    """A kernel that applies a rule to a table of arrays, and returns False if it has done nothing.

    It takes the ids of each tensor's arrays, equally many: parameter, gradient and up to three of state; room for where
    each tensor begins and ends, (tensors + 1,); the rule's numbers; the id of their dtype; how many elements one thread does
    alone; and how many threads there are.
    """

    @jit("int64[::1], int64[::1], F[::1], int64, int64", parallel=False)
    def between(ids, bounds, numbers, low, high):
        each = len(ids) // (len(bounds) - 1)
        a, b, c = min(2, each - 1), min(3, each - 1), min(4, each - 1)  # a rule looks only at those that it has
        for t in range(len(bounds) - 1):
            first = max(low, bounds[t]) - bounds[t]
            size = min(high, bounds[t + 1]) - bounds[t] - first
            if size > 0:
                start = first * numbers.itemsize
                of_t = ids[each * t : each * (t + 1)]
                rule(
                    view(data_of(of_t[0]) + start, size, numbers),
                    view(data_of(of_t[1]) + start, size, numbers),
                    view(data_of(of_t[a]) + start, size, numbers),
                    view(data_of(of_t[b]) + start, size, numbers),
                    view(data_of(of_t[c]) + start, size, numbers),
                    numbers,
                )

    @jit("int64[::1], int64[::1], F[::1], int64, int64, int64")
    def run(ids, bounds, numbers, dtype, alone, threads):
        if not _count(ids, bounds, dtype):
            return False
        total = bounds[-1]
        if total < alone:  # nobody else has to wake up
            between(ids, bounds, numbers, 0, total)
        else:
            for part in prange(threads):
                between(ids, bounds, numbers, part * total // threads, (part + 1) * total // threads)
        return True

    run.name = f"optimizers.{rule.function.__name__}"
    between.name = f"{run.name}.between"
    return run


# A rule gets flat pieces of the parameter, its gradient and what is remembered of it, and all its numbers in one array of
# the same dtype, worked out beforehand: a literal such as 1 in a loop over float32 would make it one over float64.
# The first three numbers are the same for all but SGD: p shrinks by its decoupled decay, and the gradient turns its sign
# to maximise and has `decay * p` added. Without decay p is left out of it, so that an infinite p does not become NaN.

Rule = "F[::1], F[::1], F[::1], F[::1], F[::1], F[::1]"


@jit("F, F, F, F", parallel=False)
def slope(g, p, sign, decay):
    return sign * g if decay == 0 else sign * g + decay * p


@_for_all
@jit(Rule, parallel=False)
def sgd(p, g, v, _b, _c, numbers):
    lr, decay, momentum, fresh, nesterov = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    for i in range(p.size):
        step = g[i] if decay == 0 else g[i] + decay * p[i]
        if momentum != 0:
            v[i] = momentum * v[i] + fresh * step
            step = v[i] if nesterov == 0 else step + momentum * v[i]
        p[i] -= lr * step


@_for_all
@jit(Rule, parallel=False)
def adam(p, g, m, v, largest, numbers):
    shrink, sign, decay = numbers[0], numbers[1], numbers[2]
    beta1, fresh1, beta2, fresh2 = numbers[3], numbers[4], numbers[5], numbers[6]
    lr, unbias, eps, amsgrad = numbers[7], numbers[8], numbers[9], numbers[10]
    for i in range(p.size):
        x = shrink * p[i]
        d = slope(g[i], p[i], sign, decay)
        m[i] = beta1 * m[i] + fresh1 * d
        square = v[i] = beta2 * v[i] + fresh2 * d * d
        if amsgrad != 0:
            square = largest[i] = maximum(largest[i], square)
        p[i] = x - lr * m[i] / (np.sqrt(square) * unbias + eps)


@_for_all
@jit(Rule, parallel=False)
def adagrad(p, g, s, _b, _c, numbers):
    sign, decay, lr, eps = numbers[1], numbers[2], numbers[3], numbers[4]
    for i in range(p.size):
        d = slope(g[i], p[i], sign, decay)
        s[i] += d * d
        p[i] -= lr * d / (np.sqrt(s[i]) + eps)


@_for_all
@jit(Rule, parallel=False)
def adadelta(p, g, v, u, _c, numbers):
    sign, decay, lr, rho, fresh, eps = numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], numbers[6]
    for i in range(p.size):
        d = slope(g[i], p[i], sign, decay)
        v[i] = rho * v[i] + fresh * d * d
        step = np.sqrt(u[i] + eps) / np.sqrt(v[i] + eps) * d
        u[i] = rho * u[i] + fresh * step * step
        p[i] -= lr * step


@_for_all
@jit(Rule, parallel=False)
def rmsprop(p, g, v, first, second, numbers):
    sign, decay, lr, alpha, fresh, eps = numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], numbers[6]
    momentum, centered = numbers[7], numbers[8]
    last, mean = first, second if momentum != 0 else first  # those that there are stand in this order
    for i in range(p.size):
        d = slope(g[i], p[i], sign, decay)
        spread = v[i] = alpha * v[i] + fresh * d * d
        if centered != 0:
            mean[i] += fresh * (d - mean[i])
            spread -= mean[i] * mean[i]
        step = d / (np.sqrt(spread) + eps)
        if momentum != 0:
            step = last[i] = momentum * last[i] + step
        p[i] -= lr * step


@_for_all
@jit(Rule, parallel=False)
def adamax(p, g, m, u, _c, numbers):
    sign, decay, lr, fresh1, beta2, eps = numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], numbers[6]
    for i in range(p.size):
        d = slope(g[i], p[i], sign, decay)
        m[i] += fresh1 * (d - m[i])
        u[i] = maximum(beta2 * u[i], np.abs(d) + eps)
        p[i] -= lr * m[i] / u[i]


@_for_all
@jit(Rule, parallel=False)
def nadam(p, g, m, v, _c, numbers):
    shrink, sign, decay = numbers[0], numbers[1], numbers[2]
    fresh1, beta2, fresh2, unbias, eps = numbers[3], numbers[4], numbers[5], numbers[6], numbers[7]
    lr_now, lr_mean = numbers[8], numbers[9]
    for i in range(p.size):
        x = shrink * p[i]
        d = slope(g[i], p[i], sign, decay)
        m[i] += fresh1 * (d - m[i])
        v[i] = beta2 * v[i] + fresh2 * d * d
        p[i] = x - (lr_now * d + lr_mean * m[i]) / (np.sqrt(v[i]) * unbias + eps)


@_for_all
@jit(Rule, parallel=False)
def radam(p, g, m, v, _c, numbers):
    shrink, sign, decay = numbers[0], numbers[1], numbers[2]
    fresh1, beta2, fresh2, lr, divides, eps = numbers[3], numbers[4], numbers[5], numbers[6], numbers[7], numbers[8]
    for i in range(p.size):
        x = shrink * p[i]
        d = slope(g[i], p[i], sign, decay)
        m[i] += fresh1 * (d - m[i])
        v[i] = beta2 * v[i] + fresh2 * d * d
        p[i] = x - (lr * m[i] if divides == 0 else lr * m[i] / (np.sqrt(v[i]) + eps))


@_for_all
@jit(Rule, parallel=False)
def rprop(p, g, prev, size, _c, numbers):
    zero, sign, lower, upper, least, most = numbers[2], numbers[1], numbers[3], numbers[4], numbers[5], numbers[6]
    for i in range(p.size):
        d = sign * g[i]
        agreement = d * prev[i]
        step = size[i]
        if agreement > zero:
            step *= upper
        if agreement < zero:
            step *= lower
            d = zero
        size[i] = step = min(max(step, least), most)
        prev[i] = d
        if d > zero:
            p[i] -= step
        if d < zero:
            p[i] += step


RULES = {k.name.rpartition(".")[2]: k for k in (sgd, adam, adagrad, adadelta, rmsprop, adamax, nadam, radam, rprop)}


def step(rule: str, tensors: list[tuple[np.ndarray, ...]], numbers: tuple[float, ...]) -> Any:
    """Move parameters by a rule, in place.

    Args:
        rule: one of RULES.
        tensors: of each parameter its array, its gradient, and up to three arrays of state.
        numbers: what the rule unpacks.

    Returns:
        None, or NotImplemented if nothing was done.
    """
    if not loaded() and sum([arrays[0].size for arrays in tensors]) < SMALL:
        return NotImplemented
    dtype = tensors[0][0].dtype
    if dtype.char not in "fd" or not available():
        return NotImplemented
    ids = np.array([id(a) for arrays in tensors for a in arrays])
    bounds = np.empty(len(tensors) + 1, np.int64)
    done = RULES[rule](ids, bounds, np.array(numbers, dtype), id(dtype), SMALL, get_num_threads())
    return None if done else NotImplemented
