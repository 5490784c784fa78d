"""Writing in place: seen by views, refused where a gradient would become wrong, differentiated where it can be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg


@pytest.mark.parametrize(
    "f, write",
    [
        (lambda x, w: x * w, "w"),
        (lambda x, w: x * w, "x"),
        (lambda x, w: (x * w).exp(), "result"),
        (lambda x, w: x.reshape(-1) @ w, "x view"),
        (lambda x, w: x.sigmoid(), "result view"),
    ],
)
def test_writing_to_a_saved_value_is_noticed(f, write):
    x = mg.tensor([1.0, 2.0], requires_grad=True) * 1
    w = mg.tensor([3.0, 4.0], requires_grad=True) * 1
    y = f(x, w)
    target = {"w": w, "x": x, "result": y, "x view": x, "result view": y}[write]
    with mg.no_grad():
        (target[:1] if "view" in write else target).mul_(2)
    with pytest.raises(RuntimeError, match="overwritten in place"):
        y.sum().backward()


def test_writing_to_what_was_not_saved_is_fine():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    w = mg.tensor([3.0, 4.0])
    h = x * w
    y = h + 1
    h.data.mul_(0)  # add keeps nothing
    y.sum().backward()
    assert x.grad.tolist() == [3, 4]


def test_an_optimizer_step_between_forward_and_backward_is_noticed():
    w = mg.tensor([1.0, 2.0], requires_grad=True)
    loss = (w * w).sum()
    with mg.no_grad():
        w.add_(1)
    with pytest.raises(RuntimeError, match="mul needs its argument .* overwritten"):
        loss.backward()


@pytest.mark.parametrize("f", [lambda x: x.add_(1), lambda x: x.__setitem__(0, 5.0), lambda x: x[:1].mul_(2), lambda x: x.zero_()])
def test_leaves_that_require_grad_are_written_to_under_no_grad_only(f):
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf that requires grad.*no_grad"):
        f(x)
    assert x.tolist() == [1, 2]
    with mg.no_grad():
        f(x)
    assert x.tolist() != [1, 2] and x.is_leaf and x.requires_grad


def test_expanded_tensors_are_not_written_to():
    x = mg.zeros(3, 1).expand(3, 4)
    with pytest.raises(RuntimeError, match="expanded.*clone"):
        x.add_(1)
    with pytest.raises(RuntimeError, match="expanded.*clone"):
        x[0] = 1


# Each program runs in both engines: x and w are leaves.
PROGRAMS = {
    "add_": lambda t, x, w: (x * 2).add_(w) * w,
    "mul_ of a saved result": lambda t, x, w: (x + w).mul_(w).tanh_() * x,
    "iadd": lambda t, x, w: _iadd(x * w, x),
    "a view of it before": lambda t, x, w: _through_view(x * 2, w, lambda v, w: v.mul_(w[0])),
    "a transposed view": lambda t, x, w: _through_view(x * 2, w, lambda v, w: v.T.mul_(w.T[:, :1])),
    "a view of a view": lambda t, x, w: _through_view(x * 2, w, lambda v, w: v[:1].reshape(-1)[1:].mul_(w[0, 1:])),
    "the base, seen through a view": lambda t, x, w: _base_then_view(x * 2, w),
    "two views": lambda t, x, w: _two_views(x * 2, w),
    "a row of zeros": lambda t, x, w: _rows_filled(t.zeros(2, 3, dtype=t.float64), x, w),
    "setitem of a view": lambda t, x, w: _set_in_view(x * 2, w),
    "setitem with a mask": lambda t, x, w: _masked(x * 2, w),
    "repeatedly": lambda t, x, w: _repeated(x * 1, w),
    "copy_": lambda t, x, w: (x * 2).copy_(w) * x,
    "fill_ and zero_": lambda t, x, w: (x * 2).fill_(3.0) * x + (w * 1).zero_(),
    "clamp_ and masked_fill_": lambda t, x, w: (x * 2).clamp_(-0.5, 0.5).masked_fill_(w.detach() > 0, 7.0) * w,
}


def _iadd(y, x):
    y += x * 3
    y -= 1
    y *= 2
    y /= 4
    return y


def _through_view(y, w, write):
    write(y[:], w)
    return y * y


def _base_then_view(y, w):
    view = y[1]
    y.mul_(w)
    return view * view + y[0]


def _two_views(y, w):
    a, b = y[0], y[:, 1]
    a.mul_(w[0])
    b.add_(w[1, 0])
    return a * 2 + b.sum() + y[1] * a


def _rows_filled(buffer, x, w):
    for k in range(2):
        buffer[k] = x[k] * w[k]
        buffer[k][1:].mul_(2)
    return buffer * x


def _set_in_view(y, w):
    row = y[1]
    row[1:] = w[0, 1:] * 3
    return y * w + row


def _masked(y, w):
    y[y.detach() > 0] = w.sum()
    return y * w


def _repeated(y, w):
    for k in range(3):
        y[k % 2, k] = y[0, 0].clone() * w[1, k]
    return y * y


@pytest.mark.parametrize("name", PROGRAMS)
def test_in_place_programs_agree_with_torch(name):
    rng = np.random.default_rng(0)
    a, b, g = (rng.standard_normal((2, 3)) for _ in range(3))
    results = []
    for t in (mg, torch):
        x, w = t.tensor(a, requires_grad=True), t.tensor(b, requires_grad=True)
        y = PROGRAMS[name](t, x, w)
        (y * t.tensor(g)[: y.shape[0]] if y.ndim == 2 else y * t.tensor(g[0])).sum().backward()
        results.append([z.detach().numpy() if z is not None else np.zeros((2, 3)) for z in (y, x.grad, w.grad)])
    for mine, theirs in zip(*results):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-15)


def test_in_place_second_derivatives():
    def f(x, w):
        y = x * x
        y[0].mul_(w)
        y[1] = y[0].clone() * w
        return y

    x = mg.randn(2, 3, dtype=mg.float64, requires_grad=True)
    w = mg.randn(3, dtype=mg.float64, requires_grad=True)
    assert mg.autograd.gradcheck(f, (x, w)) and mg.autograd.gradgradcheck(f, (x, w))


def test_views_share_memory_and_copies_do_not():
    x = mg.arange(12, dtype=mg.float32)
    m = x.view(3, 4)
    for view in (m[1], m.T, m[:, ::2], m.unsqueeze(0), m.flatten(), x.detach(), m.split(2)[0], m.diagonal() if hasattr(m, "diagonal") else m, m[0, 1]):
        assert np.shares_memory(view.array, x.array)
    for copy in (x.clone(), m[[0, 1]], m[m > 3], m.T.reshape(12), x.flip(0), x + 0, x.double(), m.T.contiguous()):
        assert not np.shares_memory(copy.array, x.array)
    m[0, 1] = 99
    assert x[1].item() == 99
    element = m[2, 3]
    element.fill_(7)
    assert x[11].item() == 7


def test_view_refuses_to_copy():
    with pytest.raises(RuntimeError, match="without copying.*reshape"):
        mg.zeros(2, 3).T.view(6)


def test_results_must_fit_the_tensor():
    with pytest.raises(RuntimeError, match="float32 cannot be stored.*int64"):
        mg.tensor([1, 2]).add_(0.5)
    with pytest.raises(RuntimeError, match=r"add_.*\(2, 3\).*\(3,\)"):
        mg.zeros(3).add_(mg.zeros(2, 3))
    with pytest.raises(RuntimeError, match=r"setitem: a value of shape \(3,\) does not fit .* \(2,\)"):
        mg.zeros(4)[:2] = mg.zeros(3)


def test_assignment_where_source_and_target_overlap():
    x, y = mg.arange(5), np.arange(5)
    x[1:] = x[:-1]
    y[1:] = y[:-1].copy()
    assert x.tolist() == y.tolist()


def test_data_bypasses_the_graph():
    w = mg.tensor([1.0, 2.0], requires_grad=True)
    w.data.mul_(3)
    assert w.tolist() == [3, 6] and w.is_leaf
    w.data = mg.tensor([5.0])
    assert w.shape == (1,) and w.requires_grad
    (w * 2).sum().backward()
    assert w.grad.tolist() == [2]
