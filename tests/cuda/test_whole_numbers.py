"""What has no gradient, on device "cuda": integers, truth values, orders, counts; and draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg

from .test_registry import LIBRARY

RNG = np.random.default_rng(5)
INTS, MORE = RNG.integers(-4, 5, (3, 5)), RNG.integers(1, 6, (3, 5))
TRUTHS, FLOATS = RNG.random((3, 5)) < 0.5, RNG.standard_normal((3, 5))
INDEX = np.array([[2, 0, 1, 1, 0]])


def _extremes(t, m, x, y):
    """Largest and smallest at an index that comes several times: NaN and infinities too, and all digits count."""
    return t.stack([x.scatter_reduce(0, m % 3, y.to(x.dtype), reduce) for reduce in ("amax", "amin")])


CALLS = {
    "arithmetic": lambda t, i, m, b, f: i * 3 - m + i // m + i % m,
    "division": lambda t, i, m, b, f: i / m,
    "power": lambda t, i, m, b, f: i**2 + m**3,
    "bits": lambda t, i, m, b, f: (i & m) | (i ^ 3) | ~m,
    "shifts": lambda t, i, m, b, f: (m << 2) + (m >> 1),
    "truths": lambda t, i, m, b, f: (b & (i > 0)) | ~b,
    "logic": lambda t, i, m, b, f: t.logical_xor(i, m) | t.logical_not(b) | t.logical_and(b, i),
    "comparisons": lambda t, i, m, b, f: (i <= m) & (i != 2) & (f < i),
    "abs and sign": lambda t, i, m, b, f: i.abs() + i.sign() + (-i),
    "rounding of integers": lambda t, i, m, b, f: i.floor() + i.ceil() + i.trunc() + i.round(),
    "clamp": lambda t, i, m, b, f: i.clamp(-1, 2),
    "where": lambda t, i, m, b, f: t.where(b, i, m),
    "sum": lambda t, i, m, b, f: i.sum(0) + b.sum(),
    "cumsum": lambda t, i, m, b, f: b.cumsum(1) + i.int().cumsum(0),
    "prod": lambda t, i, m, b, f: m.prod(1),
    "any and all": lambda t, i, m, b, f: b.any(0) & b.all(0),
    "amax": lambda t, i, m, b, f: i.amax(1) + i.amin(1),
    "argmax": lambda t, i, m, b, f: f.argmax(1) + f.argmin(1),
    "sort": lambda t, i, m, b, f: t.sort(i, dim=1, stable=True).indices,
    "argsort": lambda t, i, m, b, f: f.argsort(0, descending=True),
    "topk": lambda t, i, m, b, f: f.topk(2, 1).indices,
    "median": lambda t, i, m, b, f: i.median(),
    "cummax": lambda t, i, m, b, f: f.cummax(1).indices,
    "unique": lambda t, i, m, b, f: i.unique(),
    "bincount": lambda t, i, m, b, f: m.reshape(-1).bincount(minlength=9),
    "searchsorted": lambda t, i, m, b, f: t.searchsorted(t.arange(5), m.reshape(-1)),
    "count_nonzero": lambda t, i, m, b, f: i.count_nonzero(0),
    "nonzero": lambda t, i, m, b, f: i.nonzero(),
    "masked_select": lambda t, i, m, b, f: i[b],
    "masks": lambda t, i, m, b, f: i.masked_fill(b, 9),
    "one_hot": lambda t, i, m, b, f: t.nn.functional.one_hot(m, 7),
    "gather": lambda t, i, m, b, f: i.gather(0, m % 3),
    "take": lambda t, i, m, b, f: i.take(m),
    "scatter": lambda t, i, m, b, f: i.scatter(0, m[:1] % 3, m),
    "scatter_add": lambda t, i, m, b, f: i.scatter_add(0, m % 3, i),
    "scatter_add of small integers": lambda t, i, m, b, f: i.to(t.int16).scatter_add(0, m % 3, i.to(t.int16)),
    "scatter_reduce amax": lambda t, i, m, b, f: i.scatter_reduce(0, m % 3, i * 2, "amax"),
    "scatter_reduce amin": lambda t, i, m, b, f: i.scatter_reduce(0, m % 3, i * 2, "amin"),
    "scatter_reduce of extremes": lambda t, i, m, b, f: _extremes(t, m, i * 2**61 + m, i),
    "scatter_reduce of floats": lambda t, i, m, b, f: _extremes(t, m, f / i**3 * b, f * 1e300),
    "scatter_reduce of single floats": lambda t, i, m, b, f: _extremes(t, m, (f / i * b).float(), f),
    "index_add": lambda t, i, m, b, f: i.index_add(1, m[0] % 5, i),
    "repeat_interleave": lambda t, i, m, b, f: i.repeat_interleave(m[0], 1),
    "indexing": lambda t, i, m, b, f: i[m[0] % 3, m[1] % 5],
    "lists": lambda t, i, m, b, f: i[[2, 0]][:, [1, 4]],
    "isnan": lambda t, i, m, b, f: t.isnan(f) | t.isinf(f / 0) | t.isfinite(f),
    "isclose": lambda t, i, m, b, f: t.isclose(f, f + 1e-9),
    "nan_to_num": lambda t, i, m, b, f: (f / 0).nan_to_num(posinf=3.0, neginf=-2.0),
    "tril": lambda t, i, m, b, f: i.tril() + m.triu(1),
    "cat": lambda t, i, m, b, f: t.cat([i, m, i], 1),
    "matmul": lambda t, i, m, b, f: i @ m.mT,
    "half": lambda t, i, m, b, f: (f.half() @ f.half().mT).float().round(decimals=1),
    "half scatter": lambda t, i, m, b, f: f.half().scatter_reduce(0, m % 3, f.half() * 2, "amax"),
    "bucketize": lambda t, i, m, b, f: t.bucketize(f, t.arange(3)),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_agrees_with_torch(cupy, name: str) -> None:
    arrays = INTS, MORE, TRUTHS, FLOATS
    found = CALLS[name](LIBRARY, *(mg.tensor(a, device="cuda") for a in arrays))
    expected = CALLS[name](torch, *map(torch.tensor, arrays))
    assert type(found.array) is cupy.ndarray
    assert str(found.dtype) == str(expected.dtype).removeprefix("torch.")
    np.testing.assert_allclose(found.cpu().numpy(), expected.numpy(), rtol=1e-12)


def test_in_place(cupy) -> None:
    results = []
    for t, options in ((mg, {"device": "cuda"}), (torch, {})):
        x = t.tensor(FLOATS, **options)
        x[1] = t.tensor(FLOATS[0], **options)
        x[:, 2] = 5
        x[t.tensor([0, 2], **options)] += 1
        x[x > 2] = 0.5
        x[0].mul_(3).add_(x[2])
        x.clamp_(-2, 2).masked_fill_(t.tensor(TRUTHS, **options), 7.0)
        results.append(x.cpu().numpy())
    np.testing.assert_allclose(*results, rtol=1e-12)


def test_draws(cupy) -> None:
    mg.manual_seed(0)
    n, on = 200_000, {"device": "cuda"}
    u, z = mg.rand(n, **on), mg.randn(n, dtype=mg.float64, **on)
    assert u.is_cuda and u.dtype == mg.float32 and z.dtype == mg.float64
    u, z = u.cpu().numpy(), z.cpu().numpy()
    assert u.min() >= 0 and u.max() < 1 and abs(u.mean() - 0.5) < 0.005 and abs(u.var() - 1 / 12) < 0.002
    assert abs(z.mean()) < 0.01 and abs(z.var() - 1) < 0.02 and abs((z**4).mean() - 3) < 0.1
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 0.01 and len(np.unique(mg.rand(n, dtype=mg.float64, **on).cpu())) == n
    z = mg.randn(n, **on).cpu().numpy()
    assert z.dtype == np.float32 and abs(z.mean()) < 0.01 and abs(z.std() - 1) < 0.01 and 4 < np.abs(z).max() < 7
    k = mg.randint(-2, 5, (n,), **on).cpu().numpy()
    assert np.allclose(np.bincount(k + 2) / n, 1 / 7, atol=0.005)
    assert sorted(mg.randperm(999, **on).tolist()) == list(range(999)) != mg.randperm(999, **on).tolist()
    e = mg.empty(n, **on).exponential_(2.0).cpu().numpy()
    assert abs(e.mean() - 0.5) < 0.01 and e.min() >= 0
    with mg.fast.use_fast_paths(False):  # test_kernels.py has the kernel
        drop = mg.nn.functional.dropout(mg.ones(n, **on), 0.3).cpu().numpy()
    assert np.allclose(np.unique(drop), [0, 1 / 0.7]) and abs((drop == 0).mean() - 0.3) < 0.005
    drawn = mg.multinomial(mg.tensor([1.0, 0.0, 3.0], **on), 40_000, replacement=True).cpu().numpy()
    assert np.allclose(np.bincount(drawn, minlength=3) / 40_000, [0.25, 0, 0.75], atol=0.01)
    assert mg.bernoulli(mg.tensor([0.0, 1.0], **on)).tolist() == [0, 1]


def test_the_state_of_a_generator_is_all_of_it(cupy) -> None:
    g = mg.Generator("cuda").manual_seed(3)
    mg.rand(5, generator=g)
    state = g.get_state()
    first = [mg.randn(4, generator=g).tolist(), mg.randint(9, (3,), generator=g).tolist()]
    g.set_state(state)
    assert [mg.randn(4, generator=g).tolist(), mg.randint(9, (3,), generator=g).tolist()] == first
    assert mg.rand(2, generator=g.manual_seed(4)).tolist() != mg.rand(2, generator=g.manual_seed(5)).tolist()
    with pytest.raises(ValueError, match="a state fits only the type of device"):
        g.set_state(mg.Generator().get_state())
    mg.manual_seed(8)
    a = mg.rand(3, device="cuda").tolist()
    mg.manual_seed(8)
    assert mg.rand(3, device="cuda").tolist() == a
    a, b = mg.rand(4, device="cuda").tolist(), mg.rand(4, device="cuda").tolist()
    assert not set(a) & set(b), "no number is drawn twice"
    assert mg.default_generator(mg.device("cuda")) is mg.default_generator(mg.device("cuda", 0))
