"""Distributions beside PyTorch's; draws against their mean, variance and frequencies."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import minigrad as mg
import minigrad.distributions as ours_module

from .nn.twin import same

rng = np.random.default_rng(0)
LOC, SCALE = rng.standard_normal((3, 4)), rng.uniform(0.3, 2, 4)
PROBS, LOGITS = rng.uniform(0.05, 0.95, (3, 4)), rng.standard_normal((3, 4)) * 3
BITS, CLASSES = (rng.random((2, 3, 4)) < 0.5) * 1.0, rng.integers(0, 4, (2, 3))

MAKERS = {  # name: (class, names and values of its parameters, a value)
    "normal": ("Normal", {"loc": LOC, "scale": SCALE}, LOC[::-1] * 2),
    "uniform": ("Uniform", {"low": -SCALE, "high": abs(LOC)}, LOC * 0),
    "bernoulli": ("Bernoulli", {"probs": PROBS}, BITS),
    "bernoulli of logits": ("Bernoulli", {"logits": LOGITS}, BITS),
    "categorical": ("Categorical", {"probs": PROBS}, CLASSES),
    "categorical of logits": ("Categorical", {"logits": LOGITS}, CLASSES),
    "one categorical": ("Categorical", {"logits": LOGITS[0]}, CLASSES),
}


def make(t, name, values):
    kind, parameters, _ = MAKERS[name]
    return getattr(ours_module if t is mg else torch.distributions, kind)(**dict(zip(parameters, values)))


@pytest.mark.parametrize("what", ["log_prob", "entropy", "mean", "variance", "stddev", "perplexity", "cdf"])
@pytest.mark.parametrize("name", MAKERS)
def test_as_torch(name, what):
    _, parameters, value = MAKERS[name]
    if what in ("mean", "variance", "stddev") and "categorical" in name:
        assert np.isnan(getattr(make(mg, name, [mg.tensor(x) for x in parameters.values()]), what).numpy()).all()
        return
    if what == "cdf" and name != "normal":
        return

    def run(t):
        def function(*values):
            found = getattr(make(t, name, values), what)
            if what in ("log_prob", "cdf"):
                return found(t.tensor(value))
            found = found() if callable(found) else found
            return found + sum((v * 0).sum() for v in values)  # it may not depend on one of them

        return function

    same(run(mg), run(torch), *parameters.values(), second=what in ("log_prob", "entropy"))


def test_broadcasting_of_values_and_parameters():
    d = ours_module.Normal(mg.tensor(LOC), 2.0)
    t = torch.distributions.Normal(torch.tensor(LOC), 2.0)
    assert tuple(d.batch_shape) == tuple(t.batch_shape) and d.scale.dtype == mg.float64
    same(d.log_prob, t.log_prob, rng.standard_normal((2, 1, 1)))
    same(ours_module.Normal(0, 1).log_prob, torch.distributions.Normal(0, 1).log_prob, np.array([0.3]))
    value = rng.integers(0, 4, (5, 1))
    c, u = ours_module.Categorical(mg.tensor(PROBS)), torch.distributions.Categorical(torch.tensor(PROBS))
    np.testing.assert_allclose(c.log_prob(mg.tensor(value)).numpy(), u.log_prob(torch.tensor(value)).numpy(), rtol=1e-12)
    b = rng.integers(0, 2, (5, 1, 1)) * 1.0
    c, u = ours_module.Bernoulli(mg.tensor(PROBS)), torch.distributions.Bernoulli(torch.tensor(PROBS))
    same(c.log_prob, u.log_prob, b)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("shape", [(), (20000,), (100, 200)], ids=str)
def test_draws(name, shape):
    d = make(mg, name, [mg.tensor(x) for x in MAKERS[name][1].values()])
    t = make(torch, name, [torch.tensor(x) for x in MAKERS[name][1].values()])
    mg.manual_seed(1)
    x = d.sample(shape)
    assert tuple(x.shape) == tuple(t.sample(shape).shape) and str(x.dtype) == str(t.sample().dtype).removeprefix("torch.")
    if not shape:
        return
    x = x.numpy().reshape(-1, *d.batch_shape)
    if "categorical" in name:
        for c in range(4):
            np.testing.assert_allclose((x == c).mean(0), t.probs[..., c].numpy(), atol=0.02)
    else:
        np.testing.assert_allclose(x.mean(0), t.mean.numpy(), atol=0.06)
        np.testing.assert_allclose(x.var(0), t.variance.numpy(), atol=0.15)


@pytest.mark.parametrize("name", ["normal", "uniform"])
def test_the_gradient_of_draws(name):
    values = [mg.tensor(x, requires_grad=True) for x in MAKERS[name][1].values()]
    d = make(mg, name, values)
    assert d.has_rsample and not d.sample((2,)).requires_grad
    x = d.rsample((5,))
    seed = rng.standard_normal((5, 3, 4))
    x.backward(mg.tensor(seed))
    a, b = (v.detach().numpy() for v in values)
    noise = (x.detach().numpy() - a) / (b if name == "normal" else b - a)
    first = seed if name == "normal" else seed * (1 - noise)
    np.testing.assert_allclose(values[0].grad.numpy(), first.sum(0) if name == "normal" else first.sum((0, 1)), rtol=1e-9)
    np.testing.assert_allclose(values[1].grad.numpy(), (seed * noise).sum((0, 1) if name == "normal" else 0), rtol=1e-9)


KL = {
    "Normal": [(LOC, SCALE), (LOC[1], SCALE * 2), (0.3, 1.5)],
    "Uniform": [(-SCALE, SCALE), (-SCALE * 2, SCALE * 3)],
    "Bernoulli": [(PROBS,), (PROBS[::-1].copy(),), (np.array([0.0, 1.0, 0.5, 0.0]),), (np.array([1.0, 0.0, 1.0, 0.0]),)],
    "Categorical": [(PROBS,), (PROBS[::-1].copy(),), (np.array([0.0, 1.0, 0.5, 0.0]),), (np.array([0.2, 0.0, 0.5, 0.5]),)],
}


@pytest.mark.parametrize("kind", KL)
def test_kl_divergence(kind):
    for p, q in itertools.product(KL[kind], repeat=2):
        if kind == "Bernoulli" and p[0].shape != q[0].shape:
            continue  # torch does not broadcast here
        found = []
        for t, module in ((mg, ours_module), (torch, torch.distributions)):
            a, b = ([t.tensor(np.array(x)) for x in each] for each in (p, q))
            found.append(module.kl_divergence(getattr(module, kind)(*a), getattr(module, kind)(*b)).numpy())
        np.testing.assert_allclose(*found, rtol=1e-10, atol=1e-14)
    p, q = KL[kind][:2]
    run = lambda t, m: lambda *x: m.kl_divergence(getattr(m, kind)(*x[: len(p)]), getattr(m, kind)(*x[len(p) :]))
    same(run(mg, ours_module), run(torch, torch.distributions), *p, *q, second=True)


def test_probabilities_of_zero_and_one():
    for kind, p, value in [
        ("Bernoulli", [0.0, 1.0, 0.0, 1.0], np.array([0.0, 1.0, 1.0, 0.0])),
        ("Categorical", [0.0, 1.0, 3.0], np.array([0, 1, 2])),
    ]:
        a = getattr(ours_module, kind)(mg.tensor(p, dtype=mg.float64))
        b = getattr(torch.distributions, kind)(torch.tensor(p, dtype=torch.float64))
        np.testing.assert_allclose(a.log_prob(mg.tensor(value)).numpy(), b.log_prob(torch.tensor(value)).numpy(), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(a.entropy().numpy(), b.entropy().numpy(), rtol=1e-9, atol=1e-12)
    a = ours_module.Categorical(logits=mg.tensor([0.0, -np.inf]))
    assert a.entropy().item() == 0 and a.log_prob(mg.tensor(1)).item() == -np.inf
    u = ours_module.Uniform(0.0, 1.0, validate_args=False).log_prob(mg.tensor([1.5, 0.5]))
    assert u.tolist() == [-np.inf, 0.0]


def test_repr():
    assert repr(ours_module.Normal(0.5, 1.0)) == "Normal(loc: 0.5, scale: 1.0)" == repr(torch.distributions.Normal(0.5, 1.0))
    assert repr(ours_module.Categorical(mg.tensor(PROBS))) == "Categorical(probs: Size([3, 4]))"


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m: m.Normal(0.0, -1.0), ValueError, "Normal: scale must be above 0"),
        (lambda m: m.Normal(float("nan"), 1.0), ValueError, "Normal: loc must be numbers, not NaN"),
        (lambda m: m.Normal(mg.ones(2), mg.ones(3)), ValueError, r"do not broadcast: \[\(2,\), \(3,\)\]"),
        (lambda m: m.Normal(0.0, 1.0).log_prob(mg.tensor(float("nan"))), ValueError, "value must be numbers"),
        (lambda m: m.Uniform(1.0, 1.0), ValueError, "Uniform: low must be below high"),
        (lambda m: m.Uniform(0.0, 1.0).log_prob(mg.tensor(2.0)), ValueError, "value must be from low to high"),
        (lambda m: m.Bernoulli(1.5), ValueError, "Bernoulli: probs must be from 0 to 1"),
        (lambda m: m.Bernoulli(), ValueError, "either probs or logits, not none"),
        (lambda m: m.Bernoulli(0.5, 0.5), ValueError, "either probs or logits, not both"),
        (lambda m: m.Bernoulli(0.5).log_prob(mg.tensor(0.5)), ValueError, "value must be 0 or 1"),
        (lambda m: m.Bernoulli(0.5).rsample(), NotImplementedError, "have no gradient; use sample"),
        (lambda m: m.Categorical(mg.tensor(1.0)), ValueError, "a dimension for the classes, got a number"),
        (lambda m: m.Categorical(mg.tensor([1.0, -1.0])), ValueError, "weights that are not negative, and not all 0"),
        (lambda m: m.Categorical(mg.zeros(2, 3)), ValueError, "not all 0"),
        (lambda m: m.Categorical(mg.ones(3)).log_prob(mg.tensor(3)), ValueError, "class numbers from 0 to 2"),
        (lambda m: m.Categorical(mg.ones(3)).log_prob(mg.tensor(0.5)), ValueError, "class numbers from 0 to 2"),
        (lambda m: m.kl_divergence(m.Normal(0.0, 1.0), m.Uniform(0.0, 1.0)), NotImplementedError, "for Normal and Uniform"),
    ],
)
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call(ours_module)


def test_checks_can_be_left_out():
    assert np.isnan(ours_module.Normal(0.0, -1.0, validate_args=False).entropy().item())
