"""Recurrence: a state that is carried from step to step.

Sequences of different lengths are packed: sorted from long to short, and all their first steps stand before all their
second steps, so that the rows of one step are neighbours and a sequence that has ended takes no place. `sizes` says how
many sequences are still running at each step. Sequences of one length are the case where all sizes are equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from ..composite import composite
from ..kernels import cpu as kernels
from .elementwise import relu, sigmoid, tanh
from .linalg import linear
from .shape import cat, chunk, split


def _tanh_step(x: Any, h: Any, weight: Any, bias: Any) -> Any:
    return tanh(x + linear(h, weight, bias))


def _relu_step(x: Any, h: Any, weight: Any, bias: Any) -> Any:
    return relu(x + linear(h, weight, bias))


def _gru_step(x: Any, h: Any, weight: Any, bias: Any) -> Any:
    """Cho et al., 2014, in the form of PyTorch: the reset gate acts after the product with the weight."""
    size = weight.shape[1]
    gates, new = split(linear(h, weight, bias), [2 * size, size], -1)
    x_gates, x_new = split(x, [2 * size, size], -1)
    reset, keep = chunk(sigmoid(x_gates + gates), 2, -1)
    new = tanh(x_new + reset * new)
    return new + keep * (h - new)


def _lstm_step(x: Any, state: Any, weight: Any, bias: Any) -> Any:
    """Hochreiter and Schmidhuber, 1997, with the forget gate of Gers et al., 2000; the state is h beside c."""
    h, c = chunk(state, 2, -1)
    write, keep, new, show = chunk(x + linear(h, weight, bias), 4, -1)
    c = sigmoid(keep) * c + sigmoid(write) * tanh(new)
    return cat([sigmoid(show) * tanh(c), c], -1)


STEPS = {"RNN_TANH": _tanh_step, "RNN_RELU": _relu_step, "GRU": _gru_step, "LSTM": _lstm_step}


@composite
def recurrence(input, hx, weight_ih, weight_hh, bias_ih=None, bias_hh=None, *, mode, sizes, reverse=False, batch_first=False):
    """One recurrent layer in one direction, over all steps.

    Args:
        input: packed rows, (sum of sizes, features); with batch_first the rows of each sequence stand together instead,
            and all sizes are equal.
        hx: the state before the first step, (sizes[0], hidden); for "LSTM" h and c beside each other.
        weight_ih, bias_ih: of the product with the input, (gates * hidden, features) and (gates * hidden,) or None.
        weight_hh, bias_hh: of the product with h, (gates * hidden, hidden) and (gates * hidden,) or None.
        mode: a key of STEPS.
        sizes: how many sequences have each step, from the first to the last.
        reverse: from the last step of each sequence to its first.

    Returns:
        h after each step, in rows like those of the input; for "LSTM" the last c of each sequence after them.
    """
    x, steps, size = linear(input, weight_ih, bias_ih), len(sizes), weight_hh.shape[1]
    if batch_first:
        x = x.reshape(sizes[0], steps, x.shape[1]).transpose(0, 1).reshape(x.shape)
    stops = list(accumulate(sizes))
    state, ended, out = hx[: sizes[-1]] if reverse else hx, [], {}
    for t in reversed(range(steps)) if reverse else range(steps):
        running, before = sizes[t], state.shape[0]
        if running < before:
            state, done = state[:running], state[running:]
            ended.append(done)
        elif running > before:  # in reverse, shorter ones begin
            state = cat([state, hx[before:running]])
        state = STEPS[mode](x[stops[t] - running : stops[t]], state, weight_hh, bias_hh)
        out[t] = state[:, :size]
    rows = cat([out[t] for t in range(steps)])
    if batch_first:
        rows = rows.reshape(steps, sizes[0], size).transpose(0, 1).reshape(rows.shape)
    return cat([rows, *(last[:, size:] for last in (state, *reversed(ended)))]) if mode == "LSTM" else rows


recurrence.fused("cpu", kernels.recurrence, kernels.recurrence_backward)


def final_states(out: Any, sizes: Sequence[int], reverse: bool = False, batch_first: bool = False) -> Any:
    """Of what `recurrence` returned the last h of each sequence, in the direction of the recurrence."""
    if batch_first:
        return out[: sum(sizes)].reshape(sizes[0], len(sizes), out.shape[1])[:, 0 if reverse else -1]
    if reverse:
        return out[: sizes[0]]
    steps = zip(accumulate(sizes), sizes, [*sizes[1:], 0])
    ended = [out[stop - (running - left) : stop] for stop, running, left in steps if running > left or not left]
    return cat(ended[::-1]) if len(ended) > 1 else ended[0]  # what ends last comes first
