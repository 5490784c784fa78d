"""Numbers: dtypes that stay what they are, ties and kinks, the far ends of functions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad.autograd import gradcheck
from tests.ops.cases import CASES
from tests.ops.test_cases import ours

inf, nan = float("inf"), float("nan")


@pytest.mark.parametrize("scalar", [2, 2.5, True, np.float64(2.5), np.float32(2.5), np.int64(2)], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("sign", ["+", "-", "*", "/", "**", "//", "%"])
def test_a_number_beside_a_tensor_does_not_change_its_dtype(scalar, dtype, sign):
    x = mg.tensor([1.5, 2.0], dtype=dtype, requires_grad=sign not in "//%")
    for expression in (f"x {sign} s", f"s {sign} x"):
        y = eval(expression, {"x": x, "s": scalar})
        assert isinstance(y, mg.Tensor) and y.dtype == x.dtype, expression


@pytest.mark.parametrize("number", [3, 0.1, -0.0, 2**24 + 1, 2**31 + 1, 9e37, 1.3e38, 3.5e38, -1e300, 1e-46, inf, -inf, nan])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sign", ["+", "-", "*", "/", "==", "<", ">="])
def test_numbers_beside_a_tensor_are_torchs_also_far_out(number, dtype, sign):
    values, g = [1.5, -2.0, 0.0, 3e15, -inf], [0.3, -1.2, 0.7, 0.5, 2.0]
    for expression in (f"x {sign} n", f"n {sign} x"):
        found = []
        for library in (mg, torch):
            x = library.tensor(values, dtype=getattr(library, dtype), requires_grad=True)
            y = eval(expression, {"x": x, "n": number})
            if y.dtype == x.dtype:
                y.backward(library.tensor(g, dtype=x.dtype))
            found.append((y.detach().numpy(), x.grad.numpy() if x.grad is not None else None))
        (y, slope), (ty, tslope) = found
        assert y.dtype == ty.dtype
        np.testing.assert_allclose(y, ty, rtol=2e-7, err_msg=expression)
        if tslope is not None:
            np.testing.assert_allclose(slope, tslope, rtol=3e-7, err_msg=f"slope of {expression}")


def test_the_logistic_loss_of_sure_and_right_logits_is_small_but_not_zero():
    logits, targets = [18.0, 40.0, -25.0, 3.0, -3.0], [1.0, 1.0, 0.0, 1.0, 1.0]
    found = mg.nn.functional.binary_cross_entropy_with_logits(mg.tensor(logits), mg.tensor(targets), reduction="none")
    expected = [math.log1p(math.exp(-x if y else x)) for x, y in zip(logits, targets)]  # PyTorch's has lost 3e-5 at -25
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_float32_stays_float32_with_its_gradients(case):
    inputs = ours(case, case.arrays(), np.float32)
    y = case.call(mg, *inputs)
    if case.name in ("cast", "sum", "prod", "norm") and y.dtype == mg.float64:  # asked for by dtype=
        return
    assert y.dtype == mg.float32
    y.backward(mg.randn(y.shape))
    assert all(x.grad.dtype == mg.float32 for x in inputs if x.grad is not None)


@pytest.mark.parametrize("a", ["bool", "uint8", "int32", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("b", ["bool", "uint8", "int32", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("dims", [(1, 1), (1, 0), (0, 1), (0, 0)])
def test_promotion_is_torchs(a, b, dims):
    x, y = (mg.ones((2,) * n, dtype=d) for d, n in zip((a, b), dims))
    tx, ty = (torch.ones((2,) * n, dtype=getattr(torch, d)) for d, n in zip((a, b), dims))
    for f in (lambda x, y: x + y, lambda x, y: x * y, lambda x, y: x / y, lambda x, y: x == y):
        mine, theirs = f(x, y), f(tx, ty)
        assert str(mine.dtype) == str(theirs.dtype).removeprefix("torch.")
        assert mine.tolist() == theirs.tolist()


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64"])
@pytest.mark.parametrize("scalar", [2, 2.5, True])
def test_promotion_of_integers_with_numbers_is_torchs(dtype, scalar):
    x, t = mg.ones(2, dtype=dtype), torch.ones(2, dtype=getattr(torch, dtype))
    for f in (lambda x: x + scalar, lambda x: scalar * x, lambda x: x / scalar, lambda x: mg.where(x > 0, x, scalar) if isinstance(x, mg.Tensor) else torch.where(x > 0, x, scalar)):
        assert str(f(x).dtype) == str(f(t).dtype).removeprefix("torch.")


def test_functions_of_integers_are_float32():
    for f in ("exp", "log", "sqrt", "sigmoid", "tanh", "sin"):
        assert getattr(mg.tensor([1, 2]), f)().dtype == mg.float32
    assert (mg.tensor([1, 2]) / mg.tensor([2, 2])).tolist() == [0.5, 1.0]
    assert mg.tensor([True, True]).sum().dtype == mg.int64
    with pytest.raises(RuntimeError, match="mean.*floating point"):
        mg.tensor([1, 2]).mean()


def test_float16_sums_do_not_lose_small_terms():
    x = mg.ones(4096, dtype=mg.float16)
    assert x.sum().item() == 4096 and x.mean().item() == 1  # one by one, 2048 + 1 would stay 2048


@pytest.mark.parametrize("dtype", ["int64", "bool", "uint8"])
def test_integers_have_no_gradient(dtype):
    with pytest.raises(RuntimeError, match=f"only floating point tensors have gradients.*{dtype}"):
        mg.zeros(2, dtype=dtype).requires_grad_()


@pytest.mark.parametrize(
    "f",
    [
        lambda t, x: x.amax(), lambda t, x: x.max(), lambda t, x: x.amin(1), lambda t, x: x.max(1).values, lambda t, x: x.min(0)[0],
        lambda t, x: t.maximum(x, x.flip(0)), lambda t, x: t.minimum(x, x.flip(1)), lambda t, x: x.clamp(1.0, 2.0), lambda t, x: x.abs(),
        lambda t, x: x.relu(), lambda t, x: x.sign(), lambda t, x: (x - 1).abs(), lambda t, x: x.clamp(min=2.0), lambda t, x: x**0,
    ],
)  # fmt: skip
def test_ties_and_kinks_are_torchs(f):
    values = np.array([[1.0, 2.0, 2.0, 0.0], [2.0, 2.0, 0.0, -0.0], [1.0, 1.0, 1.0, 1.0]])
    x, y = mg.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    mine, theirs = f(mg, x), f(torch, y)
    g = np.asarray(np.random.default_rng(0).standard_normal(mine.shape))
    mine.backward(mg.tensor(g))
    theirs.backward(torch.tensor(g))
    np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-12)


def test_gradients_of_a_tied_maximum_add_up_to_what_came_in():
    x = mg.tensor([3.0, 3.0, 1.0], requires_grad=True)
    x.amax().backward()
    assert x.grad.tolist() == [0.5, 0.5, 0.0]


FAR = np.array([-1e4, -800.0, -100.0, -1.0, 0.0, 1.0, 100.0, 800.0, 1e4])


@pytest.mark.parametrize(
    "f",
    [
        lambda t, x: t.sigmoid(x), lambda t, x: t.nn.functional.logsigmoid(x), lambda t, x: t.softmax(x, 0),
        lambda t, x: t.log_softmax(x, 0), lambda t, x: t.logsumexp(x, 0), lambda t, x: t.tanh(x), lambda t, x: t.erf(x),
        lambda t, x: t.nn.functional.gelu(x), lambda t, x: t.nn.functional.gelu(x, approximate="tanh"), lambda t, x: x.relu(),
        lambda t, x: t.nn.functional.binary_cross_entropy_with_logits(x, t.ones_like(x) * 0.3, reduction="none"),
        lambda t, x: t.nn.functional.cross_entropy(x[None], t.tensor([2])), lambda t, x: x.expm1().clamp(max=1.0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_out_values_are_exact_and_finite(f, dtype):
    x, y = mg.tensor(FAR.astype(dtype), requires_grad=True), torch.tensor(FAR.astype(dtype), requires_grad=True)
    mine, theirs = f(mg, x), f(torch, y)
    rtol = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(mine.detach().numpy(), theirs.detach().numpy(), rtol=rtol, atol=1e-30)
    g = np.asarray(np.random.default_rng(0).uniform(0.5, 1, mine.shape)).astype(dtype)
    mine.backward(mg.tensor(g))
    theirs.backward(torch.tensor(g))
    np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=rtol, atol=1e-7)


@pytest.mark.parametrize("f", ["exp", "log", "sqrt", "tanh", "sigmoid", "erf", "abs", "relu", "log1p", "rsqrt", "sign", "square"])
def test_special_values_are_torchs(f):
    values = np.array([0.0, -0.0, inf, -inf, nan, 1e-320, -1.0])
    mine, theirs = getattr(mg.tensor(values), f)().numpy(), getattr(torch.tensor(values), f)().numpy()
    np.testing.assert_allclose(mine, theirs, rtol=1e-14, atol=0)


@pytest.mark.parametrize("f", [lambda x: x.logsumexp(1), lambda x: x.softmax(1), lambda x: x.log_softmax(1)])
def test_a_row_of_minus_infinity_harms_no_other_row(f):
    values = np.array([[-inf, -inf], [0.0, -inf], [1.0, 2.0]])
    x, y = mg.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    mine, theirs = f(x), f(y)
    g = np.asarray(np.random.default_rng(0).standard_normal(mine.shape))
    mine.backward(mg.tensor(g))
    theirs.backward(torch.tensor(g))
    np.testing.assert_allclose(mine.detach().numpy(), theirs.detach().numpy())
    np.testing.assert_allclose(x.grad.numpy()[1:], y.grad.numpy()[1:], atol=1e-12)


@pytest.mark.parametrize("kind", ["bool", "float"])
def test_attention_to_nothing_gives_zeros_never_nan(kind):
    q, k, v = (mg.randn(2, 3, 4, requires_grad=True) for _ in range(3))
    mask = mg.tensor([[True, False, True], [False, False, False], [True, True, True]])
    if kind == "float":
        mask = mg.where(mask, 0.0, -inf)
    y = mg.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    assert y[:, 1].detach().numpy().any() == False  # noqa: E712
    (y * mg.randn(y.shape)).sum().backward()
    for x in (q, k, v):
        assert np.isfinite(x.grad.numpy()).all()
    assert not q.grad.numpy()[:, 1].any() and q.grad.numpy()[:, 0].all()


def test_a_loss_without_targets_is_nan_with_gradient_zero():
    x = mg.randn(3, 4, requires_grad=True)
    loss = mg.nn.functional.cross_entropy(x, mg.tensor([-100, -100, -100]))
    loss.backward()
    assert np.isnan(loss.item()) and not x.grad.numpy().any()


def test_constants_have_no_variance_and_finite_gradients():
    x = mg.full((3, 4), 2.5, requires_grad=True)
    y = mg.nn.functional.layer_norm(x, (4,))
    assert not y.detach().numpy().any()
    (y * mg.randn(3, 4)).sum().backward()
    assert np.isfinite(x.grad.numpy()).all()
    x.grad = None
    assert x.var().item() == 0 and x.std().item() == 0
    x.std().backward()
    assert not x.grad.numpy().any()


def test_where_does_not_let_the_other_branch_in():
    x = mg.tensor([0.0, 4.0], requires_grad=True)
    mg.where(x > 0, mg.where(x > 0, x, 1.0).sqrt(), 0.0).sum().backward()
    assert x.grad.tolist() == [0.0, 0.25]


def test_powers_at_zero():
    x = mg.tensor([0.0, 2.0], requires_grad=True)
    (x**0 + x**1 + x**2).sum().backward()
    assert x.grad.tolist() == [1.0, 5.0]
    n = mg.tensor([0.0, 3.0], requires_grad=True)
    (0.0**n).sum().backward()
    t = torch.tensor([0.0, 3.0], requires_grad=True)
    (0.0**t).sum().backward()
    assert n.grad.tolist() == t.grad.tolist()
    y = mg.tensor([0.0, -2.0, 3.0], requires_grad=True)
    z = torch.tensor([0.0, -2.0, 3.0], requires_grad=True)
    (y ** mg.tensor([2.0, 3.0, 0.0])).sum().backward()
    (z ** torch.tensor([2.0, 3.0, 0.0])).sum().backward()
    assert y.grad.tolist() == z.grad.tolist()


# ------------------------------------------------------------------------------------------- the check that checks


def planted(rule):
    """tanh with another derivative."""
    from minigrad.op import REGISTRY, op

    @op(input=rule)
    def planted_tanh(xp, input):
        return xp.tanh(input)

    REGISTRY.pop("planted_tanh")
    return planted_tanh


@pytest.mark.parametrize(
    "rule, right",
    [
        (lambda g, out: g * (1 - out * out), True),
        (lambda g, out: g * (1 - out), False),
        (lambda g, out: -g * (1 - out * out), False),
        (lambda g, out: g * (1 - out * out) * 1.001, False),
        (lambda g, out: g * 0, False),
        (lambda g, out: 1 - out * out, False),  # forgets g: a check with ones could not tell
    ],
)
def test_gradcheck_finds_a_planted_mistake(rule, right):
    x = mg.tensor([[0.3, -1.2, 0.7]], dtype=mg.float64, requires_grad=True)
    assert gradcheck(planted(rule), x, raise_exception=False, rtol=1e-4) is right


def test_gradcheck_is_not_fooled_by_softmax():
    """The gradient of sum(softmax(x)) is zero, so a check that sums passes for a rule that returns zeros."""
    from minigrad.op import REGISTRY, op

    @op(input=lambda g, out: g * 0)
    def zero_softmax(xp, input):
        e = xp.exp(input)
        return e / e.sum()

    REGISTRY.pop("zero_softmax")
    x = mg.tensor([0.3, -1.2, 0.7], dtype=mg.float64, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"input 0, element \(0,\): the gradient is 0, finite differences give"):
        gradcheck(zero_softmax, x)


def test_gradcheck_wants_float64_and_something_to_check():
    with pytest.raises(ValueError, match="float64"):
        gradcheck(mg.tanh, mg.ones(2, requires_grad=True))
    with pytest.raises(ValueError, match="nothing to check"):
        gradcheck(mg.tanh, mg.ones(2))


def test_gradgradcheck_finds_a_mistake_that_only_the_second_derivative_shows():
    x = mg.tensor([0.3, -1.2], dtype=mg.float64, requires_grad=True)
    hidden = planted(lambda g, out: g * (1 - out.detach() * out.detach()) if isinstance(g, mg.Tensor) else g * (1 - out * out))
    assert gradcheck(hidden, x)
    assert not mg.autograd.gradgradcheck(hidden, x, raise_exception=False)
