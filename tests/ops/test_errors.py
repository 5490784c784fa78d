"""What a wrong call is told: one sentence with the operation, what was expected, what came, and the fix."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn import functional as F

x, y, ints, mask = mg.randn(2, 3), mg.randn(4, 5), mg.tensor([0, 1]), mg.tensor([True, False])

WRONG = [
    (lambda: x + y, RuntimeError, r"^add: the shapes of input \(2, 3\) and other \(4, 5\) do not broadcast.*equal or 1"),
    (lambda: x * "a", TypeError, r"^mul: argument 'other' must be a Tensor or a number, got str"),
    (lambda: x + [1, 2, 3], TypeError, r"^add: argument 'other'.*got list; make it a Tensor with minigrad.tensor"),
    (lambda: mg.exp(2.0), TypeError, r"^exp: expected a Tensor, got float"),
    (lambda: x @ y, RuntimeError, r"^matmul: the last dimension of input \(2, 3\).*other \(4, 5\): 3 is not 4"),
    (lambda: x @ x.T.double(), RuntimeError, r"^matmul: both must have the same dtype, got float32 and float64; convert"),
    (lambda: x @ mg.tensor(2.0), RuntimeError, r"^matmul: both must have at least 1 dimension; use \*"),
    (lambda: x @ 2, TypeError, r"^matmul: both must be tensors; use \*"),
    (lambda: x.reshape(5, 2), RuntimeError, r"^reshape: shape \(5, 2\) does not fit a tensor of shape \(2, 3\) with 6 elements"),
    (lambda: x.reshape(-1, -1), RuntimeError, r"^reshape: only one size of \(-1, -1\) can be -1"),
    (lambda: x.reshape(-1, 4), RuntimeError, r"^reshape: shape \(-1, 4\) does not fit"),
    (lambda: x.reshape(2.0, 3), TypeError, r"sizes must be ints, got float"),
    (lambda: x.expand(2, 4), RuntimeError, r"^expand: shape \(2, 3\) cannot become \(2, 4\)"),
    (lambda: x.sum(2), IndexError, r"^sum: dim 2 is out of range: a tensor with 2 dimensions has -2 to 1"),
    (lambda: x.sum("a"), TypeError, r"^sum: dim must be an int, got str"),
    (lambda: x.sum(along=0), TypeError, r"^sum\(\) has no argument 'along'; it takes input, dim, keepdim, dtype"),
    (lambda: x.sum(0, out=y), TypeError, r"^sum\(\) has no argument 'out'"),
    (lambda: x.sum(0, dim=0), TypeError, r"^sum\(\) got the argument 'dim' twice"),
    (lambda: x.tanh(1), TypeError, r"^tanh\(\) takes at most 1 arguments, got 2"),
    (lambda: mg.maximum(x), TypeError, r"^maximum\(\) missing 1 required positional argument: 'other'"),
    (lambda: mg.transpose(x, 0), TypeError, r"^transpose\(\) is missing the argument 'dim1'"),
    (lambda: ints.mean(), RuntimeError, r"^mean: expected floating point numbers, got int64"),
    (lambda: x[5], IndexError, r"^slice: index 5 is out of bounds for dimension 0 of size 2"),
    (lambda: x[0, 0, 0], IndexError, r"too many indices: 3 for a tensor of shape \(2, 3\)"),
    (lambda: x[[0, 7]], IndexError, r"index 7 is out of bounds for dimension 0 of size 2"),
    (lambda: x[x], IndexError, r"indices must be integers or bool, got float32; convert with .long\(\)"),
    (lambda: x[mg.tensor([True, True, False])], IndexError, r"mask has shape \(3,\).*have \(2,\)"),
    (lambda: x["a"], TypeError, r"index must be int, slice.*got str"),
    (lambda: x[0.5], TypeError, r"index must be int, slice.*got float"),
    (lambda: mg.cat([]), RuntimeError, r"^cat: expected at least one tensor"),
    (lambda: mg.cat(x[0][0]), TypeError, r"^cat: expected a list of tensors, got Tensor"),
    (lambda: mg.cat([x, y]), RuntimeError, r"^cat: all tensors must have the same shape except in dimension 0.*\(2, 3\) and \(4, 5\)"),
    (lambda: mg.stack([x, y]), RuntimeError, r"^stack: all tensors must have the same shape, got \(2, 3\) and \(4, 5\)"),
    (lambda: x.split([1, 5]), RuntimeError, r"^split: sizes \[1, 5\] add up to 6, dimension 0 has 2"),
    (lambda: x.split(0), RuntimeError, r"^split: the size of a part must be positive"),
    (lambda: mg.where(ints, x, x), RuntimeError, r"^where: condition must be a bool tensor, got int64"),
    (lambda: x.masked_fill(ints, 0), RuntimeError, r"^masked_fill: mask must be a bool tensor, got int64"),
    (lambda: x.clamp(), RuntimeError, r"^clamp: at least one of min and max"),
    (lambda: x.gather(1, x), RuntimeError, r"^gather: index must be an integer tensor, got float32"),
    (lambda: x.gather(0, mg.tensor([[0, 9, 0]])), IndexError, r"index 9 is out of bounds for dimension 0 of size 2"),
    (lambda: F.embedding(mg.tensor([5]), x), IndexError, r"^embedding: index 5 is out of range for 2 rows"),
    (lambda: F.embedding(x, x), RuntimeError, r"^embedding: input must hold integer indices, got float32"),
    (lambda: F.linear(x, y), RuntimeError, r"^linear: expected an input with 5 features.*got input of shape \(2, 3\)"),
    (lambda: F.linear(x, mg.randn(4, 3), mg.randn(3)), RuntimeError, r"^linear: bias must have shape \(4,\), got \(3,\)"),
    (lambda: F.layer_norm(x, (2,)), RuntimeError, r"^layer_norm: expected an input whose shape ends in \(2,\), got \(2, 3\)"),
    (lambda: F.layer_norm(x, (3,), mg.ones(2)), RuntimeError, r"^layer_norm: weight must have shape \(3,\), got \(2,\)"),
    (lambda: F.gelu(x, approximate="fast"), RuntimeError, r"^gelu: approximate must be 'none' or 'tanh', got 'fast'"),
    (lambda: F.mse_loss(x, x[:1]), ValueError, r"^mse_loss: input and target must have the same shape, got \(2, 3\) and \(1, 3\)"),
    (lambda: F.mse_loss(x, x, reduction="avg"), ValueError, r"^mse_loss: reduction must be 'mean', 'sum' or 'none', got 'avg'"),
    (lambda: F.cross_entropy(x, ints[:1]), ValueError, r"^cross_entropy: .*expected targets of shape \(2,\), got \(1,\)"),
    (lambda: F.cross_entropy(x, mg.tensor([0, 3])), IndexError, r"^cross_entropy: target 3 is out of range for 3 classes"),
    (lambda: F.cross_entropy(x, mg.tensor([0.0, 1.0])), RuntimeError, r"^cross_entropy: targets must be class numbers"),
    (lambda: F.cross_entropy(x, ints, label_smoothing=2), RuntimeError, r"^cross_entropy: label_smoothing must be from 0 to 1"),
    (lambda: F.scaled_dot_product_attention(x, y, y), RuntimeError, r"query \(2, 3\) and key \(4, 5\) must agree"),
    (lambda: F.scaled_dot_product_attention(x, x, x, mask, is_causal=True), RuntimeError, r"either attn_mask or is_causal"),
    (lambda: F.dropout(x, 1.5), ValueError, r"^dropout: p must be from 0 to 1, got 1.5"),
    (lambda: F.pad(x, (1,)), RuntimeError, r"^pad: expected two widths for each of at most 2 dimensions, got 1"),
    (lambda: mg.multinomial(mg.tensor([0.0, -1.0]), 1), RuntimeError, r"^multinomial: weights must be finite, not negative"),
    (lambda: mg.multinomial(mg.tensor([0.0, 1.0]), 2), RuntimeError, r"^multinomial: cannot draw 2 different classes"),
    (lambda: mg.tensor([[1, 2], [3]]), ValueError, r"^tensor: expected nested lists of equal lengths"),
    (lambda: mg.tensor("text"), TypeError, r"^tensor: expected numbers.*got str"),
    (lambda: mg.tensor([1], dtype="complex64"), TypeError, r"^dtype: expected one of float16.*got 'complex64'"),
    (lambda: mg.tensor(np.zeros(2, np.complex64)), TypeError, r"^dtype: expected one of float16"),
    (lambda: mg.zeros(-1), RuntimeError, r"^zeros: .*negative"),
    (lambda: mg.arange(0, 1, -1), RuntimeError, r"^arange: cannot get from 0 to 1 in steps of -1"),
    (lambda: mg.from_numpy([1]), TypeError, r"^from_numpy: expected a numpy.ndarray, got list"),
    (lambda: mg.zeros(2, device="tpu"), RuntimeError, r"^device: expected 'cpu', 'cuda' or 'cuda:<number>', got 'tpu'"),
    (lambda: x.topk(4), RuntimeError, r"^topk: k must be from 0 to 3, the size of dimension 1, got 4"),
    (lambda: x.item(), RuntimeError, r"^item: a tensor with 6 elements is not one number"),
    (lambda: bool(x), RuntimeError, r"ambiguous; use .any\(\) or .all\(\)"),
    (lambda: mg.randn(2, requires_grad=True).numpy(), RuntimeError, r"requires grad; use tensor.detach\(\).numpy\(\)"),
    (lambda: mg.tensor([True]) - mg.tensor([True]), RuntimeError, r"^sub: not defined for these dtypes.*bool"),
    (lambda: ints.double() & ints, RuntimeError, r"^bitwise_and: not defined for these dtypes"),
    (lambda: x.to(colour="red"), TypeError, r"colour"),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_a_wrong_call_is_told_what_is_wrong(number):
    call, kind, message = WRONG[number]
    with pytest.raises(kind, match=message) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text and "ufunc" not in text and "operands" not in text and "axis" not in text.replace("'axis'", "")


def test_an_error_in_backward_names_the_rule():
    h = mg.randn(3, requires_grad=True)
    from minigrad.op import REGISTRY, op

    @op(input=lambda g: g[:2])
    def broken(xp, input):
        return input * 2

    REGISTRY.pop("broken")
    with pytest.raises(RuntimeError, match=r"backward of broken: the rule of 'input' gave shape \(2,\), expected \(3,\)"):
        broken(h).sum().backward()


def test_a_message_that_begins_like_the_name_of_its_operation_still_gets_the_name():
    from minigrad.errors import explain

    error = explain(mg.exp.op, RuntimeError("expected something else"), [np.zeros(2)])
    assert str(error).startswith("exp: expected something else")
    assert str(explain(mg.exp.op, error, [np.zeros(2)])) == str(error)  # but only once


@pytest.mark.parametrize(
    "rules, message",
    [
        ({"other": lambda g: g}, "rules for \\['other'\\], which are not among \\['input'\\]"),
        ({"input": lambda g, inpt: g}, "the rule of 'input' wants \\['inpt'\\]"),
    ],
)
def test_a_misspelt_name_in_a_rule_raises_at_import(rules, message):
    from minigrad.op import op

    with pytest.raises(TypeError, match=message):

        @op(**rules)
        def broken(xp, input):
            return input


@pytest.mark.parametrize("name", ["out", "out_shape", "at"])
def test_an_argument_may_not_be_called_what_rules_call_something_else(name):
    from minigrad.op import op

    with pytest.raises(TypeError, match=f"'{name}' is what rules call something else"):
        op()(eval(f"lambda xp, {name}: {name}"))
