"""Anomaly mode names the operation, its argument, and the line of this file where it was called."""

from __future__ import annotations

import inspect
import threading

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.autograd import detect_anomaly, set_detect_anomaly, watchers
from minigrad.debug.anomaly import is_anomaly_enabled


@pytest.fixture(autouse=True)
def engine_is_left_as_it_was():
    yield
    assert watchers.get() == () and not is_anomaly_enabled()


def broken(x):
    y = x * 1
    z = y.sqrt()  # its slope at 0 is inf
    return (z * 0.0).sum()


LINE = next(i for i, line in enumerate(inspect.getsource(broken).splitlines()) if "sqrt" in line) + (
    broken.__code__.co_firstlineno
)


def test_the_operation_its_argument_and_its_place():
    x = mg.tensor([[0.0, 4.0]], requires_grad=True)
    broken(x).backward()
    assert np.isnan(x.grad.numpy()).any(), "without the mode there is NaN and no error"
    with pytest.raises(RuntimeError) as caught, detect_anomaly():
        broken(x).backward()
    text = str(caught.value)
    assert text.startswith("backward of sqrt gave NaN as the gradient of its argument 'input' of shape (1, 2); it was called")
    assert f'File "{__file__}", line {LINE}, in broken\n    z = y.sqrt()  # its slope at 0 is inf' in text
    assert text.rstrip().endswith("z = y.sqrt()  # its slope at 0 is inf"), "the innermost call comes last"
    assert "test_the_operation_its_argument_and_its_place" in text, "and who called that before"
    assert "/minigrad/tensor.py" not in text and "/minigrad/op.py" not in text


def test_inside_layers_the_users_line_is_shown():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(2, 2)

        def forward(self, x):
            return self.linear(x).log()  # of a negative number

    model = Model()
    with mg.no_grad():
        model.linear.weight.fill_(-1.0)
        model.linear.bias.fill_(0.0)
    with pytest.raises(RuntimeError, match="of log gave NaN") as caught, set_detect_anomaly(True):
        (model(mg.tensor([[0.0, 0.0]])) * 0).sum().backward()
    assert "in forward\n    return self.linear(x).log()" in str(caught.value)
    assert "module.py" not in str(caught.value)


def test_two_arguments_and_the_second_derivative():
    with detect_anomaly():
        x, y = (mg.tensor(v, requires_grad=True) for v in (0.0, 0.0))
        with pytest.raises(RuntimeError, match="of true_div gave NaN as the gradient of its argument 'other'"):
            (x / y).backward()
        x = mg.tensor(0.0, requires_grad=True)
        (g,) = mg.autograd.grad(x**1.5, x, create_graph=True)
        assert g.item() == 0
        with pytest.raises(RuntimeError, match="gave NaN.*of shape"):
            (g.sqrt() * 0).backward()


def test_gradients_of_indexing_are_seen():
    with detect_anomaly(), pytest.raises(RuntimeError, match="of slice gave NaN as the gradient of its argument 'input'"):
        x = mg.ones(3, requires_grad=True)
        y = x[1:]
        y.register_hook(lambda g: g * float("nan"))
        y.backward(mg.ones(2))


def test_the_gradient_to_start_from():
    x = mg.ones(1, requires_grad=True)
    y = x * 2
    with detect_anomaly(), pytest.raises(RuntimeError, match="start from has NaN"):
        y.backward(mg.tensor([float("nan")]))


def test_forward_outside():
    y = broken(mg.tensor([0.0], requires_grad=True))
    with detect_anomaly(), pytest.raises(RuntimeError, match="of sqrt gave NaN.*forward pass ran outside"):
        y.backward()


def test_infinities_pass_and_so_does_everything_without_check():
    x = mg.tensor([0.0], requires_grad=True)
    with detect_anomaly():
        x.sqrt().sum().backward()
    assert np.isinf(x.grad.numpy()).all()
    with detect_anomaly(check_nan=False):
        broken(x).backward()


def test_only_in_the_thread_that_asked():
    found = {}

    def other():
        x = mg.tensor([0.0], requires_grad=True)
        broken(x).backward()
        found["x"] = x.grad.item()

    with detect_anomaly():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        with pytest.raises(RuntimeError, match="NaN"):
            broken(mg.tensor([0.0], requires_grad=True)).backward()
    assert np.isnan(found["x"])


def test_the_mode():
    set_detect_anomaly(True)
    assert is_anomaly_enabled()
    with set_detect_anomaly(False):
        assert not is_anomaly_enabled()
        with detect_anomaly():
            assert is_anomaly_enabled()
    assert is_anomaly_enabled()
    set_detect_anomaly(False)

    @detect_anomaly()
    def decorated():
        return is_anomaly_enabled()

    assert decorated() and not is_anomaly_enabled()
