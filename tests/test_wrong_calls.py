"""Every public function, called wrongly: the error is of PyTorch's class, begins with the function's name and says what came.

Mistakes that only one function can be called with are in tests/ops/test_errors*.py and beside the tests of each layer.
"""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import explained
from minigrad.nn import functional as F

from .test_surface import public

NO_TENSOR = {  # functions whose first argument is no tensor, or which say what is wrong in other words
    "is_tensor": None,  # anything may be asked
    "load": "load: there is no file",
    "save": r"save\(\) missing 1 required positional argument",
    "einsum": "einsum: ",
    "manual_seed": "",
    "set_default_dtype": "dtype: expected one of float16.* got 'text'",
}
FUNCTIONS = {
    f"{place}.{name}".strip("."): f
    for place, name, f in public("", "nn.functional", "linalg")
    if inspect.isfunction(f) and inspect.signature(f).parameters
}


def wrong_call(f, first) -> Exception:
    """What is raised if the first argument is wrong and the others are tensors."""
    parameters = list(inspect.signature(f).parameters.values())
    needed = [p for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    several = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    others = [] if several else [mg.rand(3, 3)] * (len(needed) - 1)
    with pytest.raises((TypeError, ValueError, RuntimeError, IndexError)) as info:
        f(first, *others)
    return info.value


@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - NO_TENSOR.keys()))
def test_a_wrong_first_argument(name):
    f = FUNCTIONS[name]
    error = wrong_call(f, "text")
    assert re.match(rf"{f.__name__}[:(]", str(error)), error
    assert "got str" in str(error) or not isinstance(error, TypeError), error  # some look at another argument first


@pytest.mark.parametrize("name", [name for name, words in NO_TENSOR.items() if words])
def test_a_wrong_first_argument_of_another_kind(name):
    f = getattr(mg, name)
    with pytest.raises((TypeError, ValueError, RuntimeError, FileNotFoundError), match="^" + NO_TENSOR[name]):
        f("text")


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_an_argument_that_does_not_exist(name):
    f = FUNCTIONS[name]
    parameters = inspect.signature(f).parameters.values()
    needed = [p for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    with pytest.raises(TypeError, match=r"nonsense"):
        f(*[mg.rand(3, 3)] * max(1, len(needed)), nonsense=1)


@pytest.mark.parametrize("first", [[1.0, 2.0], (1.0, 2.0), {"x": 1.0}, np.ones(2)], ids=lambda first: type(first).__name__)
def test_what_is_no_tensor_is_told_how_to_become_one(first):
    kind = type(first).__name__
    with pytest.raises(TypeError, match=rf"^softsign: argument 'input' must be a Tensor, got {kind}; make it one with minigrad.tensor"):
        F.softsign(first)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: F.pixel_shuffle(x, "a"), "pixel_shuffle: argument 'upscale_factor' must be an int, got str"),
        (lambda x: F.softplus(x, beta="a"), "softplus: argument 'beta' must be a number, got str"),
        (lambda x: mg.full("a", 1), "full: sizes must be ints, got str"),
        (lambda x: mg.linalg.multi_dot("ab"), "multi_dot: argument 'tensors' must be a list of tensors, got str"),
        (lambda x: mg.kron(x, "a"), "kron: argument 'other' must be a Tensor, got str"),
        (lambda x: mg.meshgrid(x[0], "a"), "meshgrid: argument 'tensors' must be a Tensor, got str"),
    ],
)
def test_other_arguments(call, words):
    with pytest.raises(TypeError, match="^" + words):
        call(mg.rand(2, 3))


def test_errors_that_are_not_about_kinds_are_left_alone():
    @explained
    def broken(input):
        raise ValueError("something else")

    with pytest.raises(ValueError, match="^something else$"):
        broken(mg.rand(1))
