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
def recurrence(input, hx, weight, bias=None, *, mode, sizes, reverse=False):
    """The states of one recurrent layer after each step, in one direction.

    Args:
        input: packed rows after their own projection, (sum of sizes, gates * hidden).
        hx: the state before the first step, (sizes[0], hidden); for "LSTM" h and c beside each other.
        weight, bias: of the product with the state, (gates * hidden, hidden) and (gates * hidden,) or None.
        mode: a key of STEPS.
        sizes: how many sequences have each step, from the first to the last.
        reverse: from the last step of each sequence to its first.

    Returns:
        The state after each step, packed as the input is.
    """
    stops = list(accumulate(sizes))
    order = reversed(range(len(sizes))) if reverse else range(len(sizes))
    state, states = hx[: sizes[-1]] if reverse else hx, {}
    for t in order:
        running, before = sizes[t], state.shape[0]
        if running < before:  # some sequences have ended
            state = state[:running]
        elif running > before:  # in reverse, shorter ones begin
            state = cat([state, hx[before:running]])
        state = states[t] = STEPS[mode](input[stops[t] - running : stops[t]], state, weight, bias)
    return cat([states[t] for t in range(len(sizes))])


recurrence.fused("cpu", kernels.recurrence, kernels.recurrence_backward)


def final_states(states: Any, sizes: Sequence[int], reverse: bool = False) -> Any:
    """Of packed states the last one of each sequence, in the direction of the recurrence."""
    if reverse:
        return states[: sizes[0]]
    steps = zip(accumulate(sizes), sizes, [*sizes[1:], 0])
    ended = [states[stop - (running - left) : stop] for stop, running, left in steps if running > left or not left]
    return cat(ended[::-1])  # what ends last comes first
