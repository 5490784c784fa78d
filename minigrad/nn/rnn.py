"""Recurrent layers: RNN, LSTM and GRU over whole sequences, and their cells for one step.

The layers bring every input into packed form (see nn/utils/rnn.py), take the product of all its rows with the input
weight at once, and leave the loop over the steps to ops/rnn.py.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

from ..creation import empty, zeros
from ..ops.rnn import STEPS, final_states, recurrence
from ..ops.shape import cat, stack
from ..tensor import Tensor
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter
from .utils.rnn import PackedSequence

_GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "GRU": 3, "LSTM": 4}


def _rnn_mode(name: str, nonlinearity: str) -> str:
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"{name}: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
    return f"RNN_{nonlinearity.upper()}"


def _check_sizes(name: str, **sizes: Any) -> None:
    for what, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool):
            raise TypeError(f"{name}: {what} must be an int, got {type(size).__name__}")
        if size <= 0:
            raise ValueError(f"{name}: {what} must be above 0, got {size}")


class _Recurrent(Module):
    """What layers and cells share: how parameters are made and begin, and what they say of themselves."""

    input_size: int
    hidden_size: int

    def _add_weights(self, mode: str, size: int, suffix: str, bias: bool, where: dict[str, Any]) -> list[str]:
        rows = _GATES[mode] * self.hidden_size
        names = [f"{kind}_{of}{suffix}" for kind in ("weight", "bias") for of in ("ih", "hh")]
        shapes: list[tuple[int, ...]] = [(rows, size), (rows, self.hidden_size), (rows,), (rows,)]
        for name, shape in zip(names, shapes):
            there = bias or len(shape) == 2
            self.register_parameter(name, Parameter(empty(shape, **where)) if there else None)
        return names

    def reset_parameters(self) -> None:
        """Draw new parameters, uniform within 1 / sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _check_input(self, input: Any, dims: tuple[int, ...], like: Tensor) -> None:
        name, size = type(self).__name__, self.input_size
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}: expected a Tensor or a PackedSequence, got {type(input).__name__}")
        if input.ndim not in dims:
            wanted = " or ".join(map(str, dims))
            raise ValueError(f"{name}: expected an input with {wanted} dimensions, got {tuple(input.shape)}")
        if input.shape[-1] != size:
            raise RuntimeError(f"{name}: expected input_size={size} features in the last dimension, got {tuple(input.shape)}")
        if input.dtype != like.dtype:
            raise ValueError(f"{name}: the input is {input.dtype}, the parameters are {like.dtype}; convert one with .to()")

    def _join(self, hx: Any, shape: tuple[int, ...], like: Tensor, lstm: bool) -> Tensor:
        """The state to begin with, of a given shape; for an LSTM h and c in one tensor."""
        name = type(self).__name__
        if hx is None:
            return zeros(*shape[:-1], shape[-1] * (2 if lstm else 1), dtype=like.dtype, device=like.device)
        if lstm and (not isinstance(hx, (tuple, list)) or len(hx) != 2):
            raise RuntimeError(f"{name}: the state must be a pair (h, c), got {type(hx).__name__}")
        parts = list(hx) if lstm else [hx]
        for part in parts:
            if not isinstance(part, Tensor) or tuple(part.shape) != shape:
                got = tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__
                raise RuntimeError(f"{name}: expected a state of shape {shape}, got {got}")
        return cat(parts, -1) if lstm else hx


class RNNBase(_Recurrent):
    """The base of RNN, LSTM and GRU (as `torch.nn.RNNBase`).

    Args:
        mode: "RNN_TANH", "RNN_RELU", "GRU" or "LSTM".
        input_size: features of the input.
        hidden_size: features of the state.
        num_layers: each but the first takes the states of the one before.
        bias: whether there are biases.
        batch_first: (batch, steps, features) instead of (steps, batch, features), for input and output.
        dropout: probability of dropping a state between two layers, in training.
        bidirectional: a second recurrence goes from the end to the beginning; the output has both beside each other.
        proj_size: not supported, must be 0.
        device, dtype: of the parameters.
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        _check_sizes(name, hidden_size=hidden_size, num_layers=num_layers)
        if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
            raise ValueError(f"{name}: dropout must be a number from 0 to 1, got {dropout!r}")
        if proj_size:
            raise NotImplementedError(f"{name}: proj_size is not supported; put a Linear after the layer")
        if dropout > 0 and num_layers == 1:
            warnings.warn(f"{name}: dropout acts between layers, and there is only one", stacklevel=3)
        self.mode, self.input_size, self.hidden_size, self.num_layers = mode, input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, float(dropout), bidirectional
        self.proj_size = proj_size
        self._names: list[list[str]] = []  # of the parameters of each layer and direction
        for layer in range(num_layers):
            for suffix in self._directions:
                size = hidden_size * len(self._directions) if layer else input_size
                where = {"device": device, "dtype": dtype}
                self._names.append(self._add_weights(mode, size, f"_l{layer}{suffix}", bias, where))
        self.reset_parameters()

    @property
    def _directions(self) -> tuple[str, ...]:
        return ("", "_reverse") if self.bidirectional else ("",)

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters, a list for each layer and direction."""
        return [[getattr(self, name) for name in names if getattr(self, name) is not None] for names in self._names]

    def flatten_parameters(self) -> None:
        """Nothing: PyTorch arranges memory for cuDNN here."""

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """Run over whole sequences.

        Args:
            input: (steps, batch, input_size); batch first with batch_first; (steps, input_size) is one sequence; or a
                PackedSequence.
            hx: the first states, (num_layers * directions, batch, hidden_size), without batch for one sequence; of an
                LSTM a pair (h, c) of them. Zeros if None.

        Returns:
            The last layer's states after each step, (steps, batch, directions * hidden_size) or as the input came, and
            the states after the last step of each sequence, like hx.

        Raises:
            ValueError: an input of other dimensions or another dtype.
            RuntimeError: other sizes of input or states, or no steps.
        """
        like = getattr(self, self._names[0][0])
        if isinstance(input, PackedSequence):
            self._check_input(input.data, (2,), like)
            sizes = tuple(input.batch_sizes.tolist())
            data, last = self._layers(input.data, sizes, self._first(hx, sizes[0], True, like, input.sorted_indices))
            if input.unsorted_indices is not None:
                last = [state.index_select(1, input.unsorted_indices) for state in last]
            return PackedSequence(data, *input[1:]), self._split(last)
        self._check_input(input, (2, 3), like)
        batched = input.ndim == 3
        x = input if batched else input.unsqueeze(1)
        batch_first = self.batch_first and batched
        batch, steps = x.shape[:2] if batch_first else (x.shape[1], x.shape[0])
        if steps == 0:
            raise RuntimeError(f"{type(self).__name__}: expected at least one step, got an input {tuple(input.shape)}")
        first = self._first(hx, batch, batched, like)
        data, last = self._layers(x.reshape(steps * batch, x.shape[2]), (batch,) * steps, first, batch_first)
        if not batched:
            return data, self._split([state.squeeze(1) for state in last])
        return data.reshape(*x.shape[:2], data.shape[1]), self._split(last)

    def _first(self, hx: Any, batch: int, batched: bool, like: Tensor, order: Tensor | None = None) -> Tensor:
        """The states to begin with, (layers * directions, batch, ...)."""
        shape = (len(self._names), batch, self.hidden_size) if batched else (len(self._names), self.hidden_size)
        state = self._join(hx, shape, like, self.mode == "LSTM")
        state = state if batched else state.unsqueeze(1)
        return state if order is None else state.index_select(1, order)

    def _split(self, last: list[Tensor]) -> Any:
        return tuple(last) if self.mode == "LSTM" else last[0]

    def _layers(
        self, rows: Tensor, sizes: tuple[int, ...], first: Tensor, batch_first: bool = False
    ) -> tuple[Tensor, list[Tensor]]:
        """All layers in all directions over packed rows: the rows of the output, and all last states: h, or h and c."""
        lasts: list[tuple[Tensor, ...]] = []
        count = sum(sizes)
        for layer in range(self.num_layers):
            rows = F.dropout(rows, self.dropout, self.training) if layer else rows
            outputs = []
            for reverse in (False, True)[: len(self._directions)]:
                weights = (getattr(self, name) for name in self._names[len(lasts)])
                how: dict[str, Any] = {"sizes": sizes, "reverse": reverse, "batch_first": batch_first}
                out = recurrence(rows, first[len(lasts)], *weights, mode=self.mode, **how)
                h = final_states(out, **how)
                if self.mode == "LSTM":
                    out, c = out[:count], out[count:]
                lasts.append((h, c) if self.mode == "LSTM" else (h,))
                outputs.append(out)
            rows = cat(outputs, -1) if self.bidirectional else outputs[0]
        return rows, [stack(states) if len(states) > 1 else states[0].unsqueeze(0) for states in zip(*lasts)]

    def extra_repr(self) -> str:
        usual = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        other = [f"{name}={getattr(self, name)}" for name, value in usual.items() if getattr(self, name) != value]
        return ", ".join([str(self.input_size), str(self.hidden_size), *other])


class RNN(RNNBase):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), over whole sequences (as `torch.nn.RNN`).

    Args:
        input_size, hidden_size, num_layers: see `RNNBase`.
        nonlinearity: "tanh" or "relu".
        others: see `RNNBase`, as for calls and results.

    Attributes:
        weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, weight_ih_l0_reverse, ...: of each layer and direction.

    Source: Elman, Finding structure in time, 1990.

    >>> import minigrad as mg
    >>> output, last = mg.nn.RNN(3, 4)(mg.randn(5, 2, 3))
    >>> output.shape, last.shape
    (Size([5, 2, 4]), Size([1, 2, 4]))
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh", *others: Any, **options: Any
    ) -> None:
        super().__init__(_rnn_mode("RNN", nonlinearity), input_size, hidden_size, num_layers, *others, **options)
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory over whole sequences (as `torch.nn.LSTM`).

        i, f, o = sigmoid of  W_ih x + b_ih + W_hh h + b_hh, each with its rows of the weights
        g = tanh of the same; the rows stand in the order i, f, g, o
        c' = f * c + i * g
        h' = o * tanh(c')

    Args:
        others: see `RNNBase`, as for calls and results; the state is a pair (h, c).

    Attributes:
        weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, weight_ih_l0_reverse, ...: of each layer and direction.

    Source: Hochreiter and Schmidhuber, Long short-term memory, 1997; the forget gate: Gers et al., 2000.

    >>> import minigrad as mg
    >>> output, (h, c) = mg.nn.LSTM(3, 4, num_layers=2, bidirectional=True)(mg.randn(5, 2, 3))
    >>> output.shape, h.shape, c.shape
    (Size([5, 2, 8]), Size([4, 2, 4]), Size([4, 2, 4]))
    """

    def __init__(self, *others: Any, **options: Any) -> None:
        super().__init__("LSTM", *others, **options)


class GRU(RNNBase):
    """Gated recurrent units over whole sequences (as `torch.nn.GRU`).

        r, z = sigmoid of  W_ih x + b_ih + W_hh h + b_hh, each with its rows of the weights
        n = tanh(W_in x + b_in + r * (W_hn h + b_hn)); the rows stand in the order r, z, n
        h' = (1 - z) * n + z * h

    Args:
        others: see `RNNBase`, as for calls and results.

    Attributes:
        weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, weight_ih_l0_reverse, ...: of each layer and direction.

    Source: Cho et al., Learning phrase representations using RNN encoder-decoder, 2014.

    >>> import minigrad as mg
    >>> output, last = mg.nn.GRU(3, 4, batch_first=True)(mg.randn(2, 5, 3))
    >>> output.shape, last.shape
    (Size([2, 5, 4]), Size([1, 2, 4]))
    """

    def __init__(self, *others: Any, **options: Any) -> None:
        super().__init__("GRU", *others, **options)


class RNNCellBase(_Recurrent):
    """The base of the cells, which take one step (as `torch.nn.RNNCellBase`)."""

    mode: str

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        _check_sizes(type(self).__name__, hidden_size=hidden_size)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        self._add_weights(self.mode, input_size, "", bias, {"device": device, "dtype": dtype})
        self.reset_parameters()

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        """One step.

        Args:
            input: (batch, input_size) or (input_size,).
            hx: the state, (batch, hidden_size) or (hidden_size,); of an LSTMCell a pair (h, c). Zeros if None.

        Returns:
            The state after the step, like hx.

        Raises:
            ValueError: an input of other dimensions or another dtype.
            RuntimeError: other sizes.
        """
        self._check_input(input, (1, 2), self.weight_ih)
        lstm = self.mode == "LSTM"
        state = self._join(hx, (*input.shape[:-1], self.hidden_size), self.weight_ih, lstm)
        x = F.linear(input, self.weight_ih, self.bias_ih)
        state = STEPS[self.mode](x, state, self.weight_hh, self.bias_hh)
        return tuple(state.chunk(2, -1)) if lstm else state

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else f", bias={self.bias}")


class RNNCell(RNNCellBase):
    """One step of `RNN` (as `torch.nn.RNNCell`).

    Args:
        input_size, hidden_size, bias, device, dtype: see `RNNBase`.
        nonlinearity: "tanh" or "relu".

    >>> import minigrad as mg
    >>> mg.nn.RNNCell(3, 4)(mg.randn(2, 3)).shape
    Size([2, 4])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self.mode = _rnn_mode("RNNCell", nonlinearity)
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")


class LSTMCell(RNNCellBase):
    """One step of `LSTM` (as `torch.nn.LSTMCell`).

    Args:
        input_size, hidden_size, bias, device, dtype: see `RNNBase`.

    >>> import minigrad as mg
    >>> h, c = mg.nn.LSTMCell(3, 4)(mg.randn(2, 3))
    >>> h.shape, c.shape
    (Size([2, 4]), Size([2, 4]))
    """

    mode = "LSTM"


class GRUCell(RNNCellBase):
    """One step of `GRU` (as `torch.nn.GRUCell`).

    Args:
        input_size, hidden_size, bias, device, dtype: see `RNNBase`.

    >>> import minigrad as mg
    >>> mg.nn.GRUCell(3, 4)(mg.randn(3), mg.randn(4)).shape
    Size([4])
    """

    mode = "GRU"
