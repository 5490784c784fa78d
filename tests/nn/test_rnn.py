"""RNN, LSTM, GRU and their cells against PyTorch's: whole sequences, packed ones, and what is refused."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn

from .twin import close, load, pair, same, scramble

STEPS, BATCH, SIZE, HIDDEN = 5, 3, 4, 2
KINDS = ["RNN", "LSTM", "GRU"]
rng = np.random.default_rng(0)


def layers(kind, *args, size=SIZE, **options):
    """The same layer in both engines, with the same parameters."""
    theirs = scramble(getattr(torch.nn, kind)(size, HIDDEN, *args, **options))
    ours = load(getattr(nn, kind)(size, HIDDEN, *args, **options), theirs)
    assert repr(ours) == repr(theirs)
    return ours, theirs


def state(kind, *shape):
    """Arrays for the first state."""
    return tuple(rng.standard_normal(shape) for _ in range(2)) if kind == "LSTM" else rng.standard_normal(shape)


def flat(x):
    """All tensors in a result, packed sequences and pairs of states taken apart."""
    if isinstance(x, (mg.Tensor, torch.Tensor)):
        return [x]
    return [tensor for part in x if part is not None for tensor in flat(part)]


class Flat:
    """A layer as a function of tensors that returns tensors, for `same`, which compares its parameters too."""

    def __init__(self, layer):
        self.layer, self.named_parameters = layer, layer.named_parameters

    def __call__(self, x, *hx):
        return tuple(flat(self.layer(x, *([hx] if len(hx) > 1 else hx))))


class TorchFlat(torch.nn.Module):
    """The same for PyTorch's; a Module, so that `same` knows it has parameters."""

    def __init__(self, layer):
        super().__init__()
        self.__dict__["layer"] = layer

    def named_parameters(self, *_, **__):
        return self.layer.named_parameters()

    def forward(self, x, *hx):
        return tuple(flat(self.layer(x, *([hx] if len(hx) > 1 else hx))))


def agree(ours, theirs, x, hx=None, **options):
    hx = () if hx is None else hx if isinstance(hx, tuple) else (hx,)
    same(Flat(ours), TorchFlat(theirs), x, *hx, **options)


OPTIONS = [
    {},
    {"num_layers": 3},
    {"bidirectional": True},
    {"num_layers": 2, "bidirectional": True, "bias": False},
    {"batch_first": True, "bidirectional": True},
    {"bias": False},
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("with_state", [True, False])
def test_sequences(kind, options, with_state):
    ours, theirs = layers(kind, **options)
    shape = (BATCH, STEPS, SIZE) if options.get("batch_first") else (STEPS, BATCH, SIZE)
    rows = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    agree(ours, theirs, rng.standard_normal(shape), state(kind, rows, BATCH, HIDDEN) if with_state else None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("with_state", [True, False])
def test_one_sequence_without_a_batch(kind, batch_first, with_state):
    ours, theirs = layers(kind, 2, batch_first=batch_first, bidirectional=True)
    agree(ours, theirs, rng.standard_normal((STEPS, SIZE)), state(kind, 4, HIDDEN) if with_state else None)


@pytest.mark.parametrize("options", [{"nonlinearity": "relu"}, {"nonlinearity": "relu", "num_layers": 2, "bidirectional": True}])
def test_rnn_with_relu(options):
    ours, theirs = layers("RNN", **options)
    agree(ours, theirs, rng.standard_normal((STEPS, BATCH, SIZE)))


def test_positional_arguments():
    layers("RNN", 2, "relu", False, True, 0.25, True)
    layers("LSTM", 2, False, True, 0.25, True)
    layers("GRU", 2, False, True, 0.25, True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 1, SIZE), (STEPS, 0, SIZE), (1, BATCH, SIZE)])
def test_small_sizes(kind, shape):
    ours, theirs = layers(kind, bidirectional=True)
    agree(ours, theirs, rng.standard_normal(shape))


@pytest.mark.parametrize("kind", KINDS)
def test_second_derivatives(kind):
    ours, theirs = layers(kind, 2, bidirectional=True)
    agree(ours, theirs, rng.standard_normal((3, BATCH, SIZE)), state(kind, 4, BATCH, HIDDEN), second=True)


# ----------------------------------------------------------------------------------------------------------- packed

LENGTHS = [[5, 3, 3, 1], [4, 4, 4, 4], [2, 5, 1, 4], [1, 1, 1, 1], [1, 2, 3, 5]]


def pack(library, x, lengths, batch_first):
    sort = lengths != sorted(lengths, reverse=True)
    pack_padded = library.nn.utils.rnn.pack_padded_sequence
    return pack_padded(x, lengths, batch_first=batch_first, enforce_sorted=not sort)


class Packed:
    """A layer over a padded batch, which it packs before and leaves packed or pads after."""

    def __init__(self, library, layer, lengths, padded=False):
        self.library, self.layer, self.lengths, self.padded = library, layer, lengths, padded

    def named_parameters(self):
        return self.layer.named_parameters()

    def __call__(self, x, *hx):
        packed = pack(self.library, x, self.lengths, self.layer.batch_first)
        out, last = self.layer(packed, *([hx] if len(hx) > 1 else hx))
        if self.padded:
            out = self.library.nn.utils.rnn.pad_packed_sequence(out, self.layer.batch_first, -1.5, 6)[0]
        else:
            assert isinstance(out, self.library.nn.utils.rnn.PackedSequence)
            assert out.batch_sizes is packed.batch_sizes and out.unsorted_indices is packed.unsorted_indices
            out = out.data
        return tuple(flat((out, last)))


class TorchPacked(TorchFlat):
    def __init__(self, *args):
        super().__init__(args[1])
        self.__dict__["call"] = Packed(*args)

    def forward(self, *args):
        return self.call(*args)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}, {"batch_first": True, "bidirectional": True}])
@pytest.mark.parametrize("with_state", [True, False])
def test_packed(kind, lengths, options, with_state):
    ours, theirs = layers(kind, **options)
    x = rng.standard_normal((4, 5, SIZE) if options.get("batch_first") else (5, 4, SIZE))
    rows = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    hx = state(kind, rows, 4, HIDDEN) if with_state else ()
    hx = hx if isinstance(hx, tuple) else (hx,)
    padded = bool(options)
    same(Packed(mg, ours, lengths, padded), TorchPacked(torch, theirs, lengths, padded), x, *hx)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_does_not_notice_the_others(kind):
    """Packed or alone, a sequence has the same states: PyTorch is not asked."""
    layer = getattr(nn, kind)(SIZE, HIDDEN, 2, bidirectional=True).double()
    sequences = [mg.randn(n, SIZE, dtype=mg.float64) for n in (2, 4, 1)]
    out, last = layer(nn.utils.rnn.pack_sequence(sequences, enforce_sorted=False))
    for i, (x, y) in enumerate(zip(sequences, nn.utils.rnn.unpack_sequence(out))):
        alone, alone_last = layer(x)
        np.testing.assert_allclose(y.detach().numpy(), alone.detach().numpy(), rtol=1e-12)
        for a, b in zip(flat(last), flat(alone_last)):
            np.testing.assert_allclose(a[:, i].detach().numpy(), b.detach().numpy(), rtol=1e-12)


# ------------------------------------------------------------------------------------------------------------ cells


@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch", [(), (3,), (0,)])
@pytest.mark.parametrize("with_state", [True, False])
def test_cells(kind, bias, batch, with_state):
    ours, theirs = layers(kind, bias=bias)
    hx = state(kind[:-4], *batch, HIDDEN) if with_state else None
    agree(ours, theirs, rng.standard_normal((*batch, SIZE)), hx, second=batch == (3,))


def test_rnn_cell_with_relu():
    ours, theirs = layers("RNNCell", True, "relu")
    agree(ours, theirs, rng.standard_normal((3, SIZE)), rng.standard_normal((3, HIDDEN)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_step_by_step_is_the_layer(kind):
    layer, cell = getattr(nn, kind)(SIZE, HIDDEN), getattr(nn, kind + "Cell")(SIZE, HIDDEN)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in layer.state_dict().items()})
    x, hx = mg.randn(STEPS, BATCH, SIZE), None
    out, _ = layer(x)
    for t in range(STEPS):
        hx = cell(x[t], hx)
        np.testing.assert_allclose(out[t].detach().numpy(), flat(hx)[0].detach().numpy(), rtol=1e-5, atol=1e-7)


# ------------------------------------------------------------------------------------------------- as modules, errors


@pytest.mark.parametrize("kind", [*KINDS, "RNNCell", "LSTMCell", "GRUCell"])
def test_parameters_begin_uniform_within_their_bound(kind):
    mg.manual_seed(0)
    values = np.concatenate([p.detach().numpy().ravel() for p in getattr(nn, kind)(30, 25).parameters()])
    assert np.abs(values).max() <= 0.2 and abs(values.mean()) < 0.01
    np.testing.assert_allclose(values.std(), 0.2 / np.sqrt(3), rtol=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_all_weights_and_flatten(kind):
    ours, theirs = layers(kind, 2, bidirectional=True)
    assert ours.flatten_parameters() is None
    for mine, other in zip(ours.all_weights, theirs.all_weights):
        assert len(mine) == len(other) == 4
        for a, b in zip(mine, other):
            close(a, b)


@pytest.mark.parametrize("dtype", [mg.float16, mg.float32, mg.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_dtype(kind, dtype):
    out, last = getattr(nn, kind)(SIZE, HIDDEN, dtype=dtype)(mg.ones(STEPS, BATCH, SIZE, dtype=dtype))
    assert {x.dtype for x in flat((out, last))} == {dtype}


def test_dropout_acts_between_layers_in_training_only():
    layer = nn.GRU(SIZE, 50, num_layers=2, dropout=0.5)
    x = mg.randn(STEPS, BATCH, SIZE)
    first, second = layer(x), layer(x)
    assert mg.equal(first[1][0], second[1][0]) and not mg.equal(first[1][1], second[1][1])
    layer.eval()
    assert mg.equal(layer(x)[0], layer(x)[0])
    layer.train().dropout = 1.0  # the second layer sees zeros, but the output is not dropped
    assert (layer(x)[0] != 0).all()
    assert mg.equal(layer(x)[0][:, 0], layer(x)[0][:, 1])


def test_dropout_without_layers_to_act_between_warns():
    with pytest.warns(UserWarning, match="LSTM: dropout acts between layers, and there is only one"):
        nn.LSTM(3, 4, dropout=0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_copies(kind):
    layer = getattr(nn, kind)(SIZE, HIDDEN, 2, bidirectional=True)
    x = mg.randn(STEPS, BATCH, SIZE)
    expected = layer(x)[0]
    for copied in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert mg.equal(copied(x)[0], expected) and copied.weight_ih_l0 is not layer.weight_ih_l0


def test_padding_gets_no_gradient():
    ours, _ = layers("LSTM", bidirectional=True)
    x, _ = pair(rng.standard_normal((5, 3, SIZE)))
    out, _ = ours(nn.utils.rnn.pack_padded_sequence(x, [4, 2, 2]))
    out.data.backward(mg.randn(*out.data.shape, dtype=mg.float64))
    gone = x.grad.numpy().any(-1)
    np.testing.assert_array_equal(gone, np.arange(5)[:, None] < np.array([4, 2, 2]))


X = mg.ones(STEPS, BATCH, SIZE)


def lstm(*hx):
    return nn.LSTM(SIZE, HIDDEN)(X, *hx)


WRONG = [
    (lambda: nn.RNN(SIZE, HIDDEN)(mg.ones(3)), ValueError, r"^RNN: expected an input with 2 or 3 dimensions, got \(3,\)"),
    (lambda: nn.LSTM(SIZE, HIDDEN)(mg.ones(1, 1, 1, SIZE)), ValueError, r"^LSTM: expected an input with 2 or 3 dim.*\(1, 1, 1, 4\)"),
    (lambda: nn.GRU(SIZE, HIDDEN)(mg.ones(5, 2, 3)), RuntimeError, r"^GRU: expected input_size=4 features.*\(5, 2, 3\)"),
    (lambda: nn.GRU(SIZE, HIDDEN)(mg.ones(0, 2, SIZE)), RuntimeError, r"^GRU: expected at least one step, got an input \(0, 2, 4\)"),
    (lambda: nn.GRU(SIZE, HIDDEN)(X.double()), ValueError, "^GRU: the input is float64, the parameters are float32; convert"),
    (lambda: nn.GRU(SIZE, HIDDEN)([1.0]), TypeError, "^GRU: expected a Tensor or a PackedSequence, got list"),
    (lambda: nn.GRU(SIZE, HIDDEN)(X, mg.ones(1, 3, 5)), RuntimeError, r"^GRU: expected a state of shape \(1, 3, 2\), got \(1, 3, 5\)"),
    (lambda: nn.GRU(SIZE, HIDDEN)(X, mg.ones(3, HIDDEN)), RuntimeError, r"state of shape \(1, 3, 2\), got \(3, 2\)"),
    (lambda: nn.GRU(SIZE, HIDDEN)(X[0], mg.ones(1, 3, 2)), RuntimeError, r"state of shape \(1, 2\), got \(1, 3, 2\)"),
    (lambda: nn.GRU(SIZE, HIDDEN, 2)(X, mg.ones(1, 3, 2)), RuntimeError, r"state of shape \(2, 3, 2\), got \(1, 3, 2\)"),
    (lambda: nn.GRU(SIZE, HIDDEN)(X, 0), RuntimeError, r"state of shape \(1, 3, 2\), got int"),
    (lambda: lstm(mg.ones(1, 3, 2)), RuntimeError, r"^LSTM: the state must be a pair \(h, c\), got Tensor"),
    (lambda: lstm((mg.ones(1, 3, 2), mg.ones(1, 2, 2))), RuntimeError, r"state of shape \(1, 3, 2\), got \(1, 2, 2\)"),
    (lambda: nn.GRU(SIZE, HIDDEN)(pack(mg, X, [5, 2, 1], False), mg.ones(1, 2, 2)), RuntimeError, r"\(1, 3, 2\), got \(1, 2, 2\)"),
    (lambda: nn.GRU(3, HIDDEN)(pack(mg, X, [5, 2, 1], False)), RuntimeError, r"input_size=3 features in the last dimension, got \(8, 4\)"),
    (lambda: nn.GRU(1, HIDDEN)(nn.utils.rnn.pack_sequence([X[:, 0, 0]])), ValueError, r"^GRU: expected an input with 2 dimensions, got \(5,\)"),
    (lambda: nn.RNN(3, 4, nonlinearity="sin"), ValueError, "^RNN: nonlinearity must be 'tanh' or 'relu', got 'sin'"),
    (lambda: nn.RNNCell(3, 4, nonlinearity="sin"), ValueError, "^RNNCell: nonlinearity must be 'tanh' or 'relu', got 'sin'"),
    (lambda: nn.LSTM(3, 4, dropout=2), ValueError, "^LSTM: dropout must be a number from 0 to 1, got 2"),
    (lambda: nn.LSTM(3, 4, dropout=True), ValueError, "^LSTM: dropout must be a number from 0 to 1, got True"),
    (lambda: nn.LSTM(3, 0), ValueError, "^LSTM: hidden_size must be above 0, got 0"),
    (lambda: nn.LSTM(3, 4, 0), ValueError, "^LSTM: num_layers must be above 0, got 0"),
    (lambda: nn.LSTM(3, 4.0), TypeError, "^LSTM: hidden_size must be an int, got float"),
    (lambda: nn.LSTM(3, 4, proj_size=2), NotImplementedError, "^LSTM: proj_size is not supported; put a Linear after"),
    (lambda: nn.GRUCell(3, 4)(X), ValueError, r"^GRUCell: expected an input with 1 or 2 dimensions, got \(5, 3, 4\)"),
    (lambda: nn.GRUCell(3, 4)(X[0]), RuntimeError, r"^GRUCell: expected input_size=3 features in the last dimension, got \(3, 4\)"),
    (lambda: nn.GRUCell(SIZE, 2)(X[0], mg.ones(2, 2)), RuntimeError, r"^GRUCell: expected a state of shape \(3, 2\), got \(2, 2\)"),
    (lambda: nn.LSTMCell(SIZE, 2)(X[0], mg.ones(3, 2)), RuntimeError, r"^LSTMCell: the state must be a pair"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "words"), WRONG)
def test_what_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
