"""What the CUDA kernels are compared with is right: the NumPy references of the ladders against PyTorch, in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from minigrad.kernels.cuda import dropout
from minigrad.kernels.ladder import ladders
from torch.nn import functional as F

LADDERS = ladders()


def both(name: str, **case: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The inputs as tensors of float64 that want gradients (integers stay), and the reference's outputs."""
    ladder = LADDERS[name]
    inputs = ladder.inputs(np.random.default_rng(3), **case)
    tensors = {key: leaf(value) for key, value in inputs.items()}
    return tensors, ladder.reference(case, **inputs)


def leaf(value: Any) -> Any:
    if isinstance(value, list):
        return [leaf(item) for item in value]
    if not isinstance(value, np.ndarray):
        return value
    tensor = torch.from_numpy(value.copy())
    return tensor.double().requires_grad_() if tensor.is_floating_point() else tensor


def same(got: torch.Tensor, want: Any, tolerance: float = 1e-9) -> None:
    np.testing.assert_allclose(np.asarray(want), got.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("log", [False, True])
def test_softmax(log: bool) -> None:
    function = F.log_softmax if log else F.softmax
    t, want = both("softmax", rows=5, cols=33, log=log)
    same(function(t["x"], -1), want["y"])
    t, want = both("softmax_backward", rows=5, cols=33, log=log)
    x = (t["y"] if log else t["y"].log()).detach().requires_grad_()
    same(torch.autograd.grad(function(x, -1), x, t["dy"])[0], want["dx"], 1e-5)  # y has the digits of float32 only


@pytest.mark.parametrize("rms", [False, True])
def test_norms(rms: bool) -> None:
    t, want = both("layer_norm", rows=5, cols=33, rms=rms)
    y = F.rms_norm(t["x"], (33,), t["weight"], 1e-5) if rms else F.layer_norm(t["x"], (33,), t["weight"], t["bias"], 1e-5)
    same(y, want["y"])
    t, want = both("layer_norm_backward", rows=5, cols=33, rms=rms)
    bias = torch.zeros(33, dtype=torch.float64, requires_grad=True)
    y = F.rms_norm(t["x"], (33,), t["weight"], 1e-5) + bias if rms else F.layer_norm(t["x"], (33,), t["weight"], bias, 1e-5)
    for got, name in zip(torch.autograd.grad(y, (t["x"], t["weight"], bias), t["dy"]), ("dx", "dweight", "dbias")):
        same(got, want[name])


@pytest.mark.parametrize("options", [{}, {"smoothing": 0.1}, {"ignore_index": 3}])
def test_cross_entropy(options: dict[str, Any]) -> None:
    t, want = both("cross_entropy", rows=9, cols=33, **options)
    loss = F.cross_entropy(
        t["logits"], t["target"], ignore_index=options.get("ignore_index", -100), reduction="none",
        label_smoothing=options.get("smoothing", 0.0),
    )  # fmt: skip
    same(loss, want["loss"])
    same(torch.autograd.grad(loss.sum() * t["scale"], t["logits"])[0], want["dlogits"])


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu(approximate: str) -> None:
    t, want = both("gelu_backward", n=99, approximate=approximate)
    same(torch.autograd.grad(F.gelu(t["x"], approximate=approximate), t["x"], t["dy"])[0], want["dx"])
    t, want = both("gelu", n=99, approximate=approximate)
    same(F.gelu(t["x"], approximate=approximate), want["y"])


@pytest.mark.parametrize("options", [{}, {"causal": True}, {"mask": "full"}])
def test_attention(options: dict[str, Any]) -> None:
    t, want = both("attention_backward", batch=2, heads=3, queries=5, keys=9, d=7, **options)
    mask = t["mask"]
    if options.get("causal"):
        mask = torch.full((5, 9), -math.inf, dtype=torch.float64).triu(1)
    scores = t["query"] @ t["key"].mT / math.sqrt(7) + (0 if mask is None else mask)
    out = scores.softmax(-1) @ t["value"]
    for got, name in zip(torch.autograd.grad(out, (t["query"], t["key"], t["value"]), t["g"]), ("dq", "dk", "dv")):
        same(got, want[name])
    _, want = both("attention", batch=2, heads=3, queries=5, keys=9, d=7, **options)
    assert want["out"].shape == out.shape


@pytest.mark.parametrize("options", [{}, {"decay": 0.1}, {"decay": 0.1, "decoupled": True}])
def test_adam(options: dict[str, Any]) -> None:
    t, want = both("adam", sizes=(3, 7), step=5, **options)
    kind = torch.optim.AdamW if options.get("decoupled") else torch.optim.Adam
    optimizer = kind(t["params"], lr=0.01, betas=(0.9, 0.99), eps=1e-8, weight_decay=options.get("decay", 0.0))
    for p, g, m, v in zip(t["params"], t["grads"], t["firsts"], t["seconds"]):
        p.grad = g.detach()
        optimizer.state[p] = {"step": torch.tensor(4.0), "exp_avg": m.detach().clone(), "exp_avg_sq": v.detach().clone()}
    optimizer.step()
    for k, p in enumerate(t["params"]):
        same(p, want["params"][k])
        same(optimizer.state[p]["exp_avg"], want["firsts"][k])
        same(optimizer.state[p]["exp_avg_sq"], want["seconds"][k])


def test_embedding() -> None:
    t, want = both("embedding_backward", tokens=70, cols=36, rows=9, padding=4)
    table = torch.zeros(9, 36, dtype=torch.float64, requires_grad=True)
    same(torch.autograd.grad(F.embedding(t["index"], table, padding_idx=4), table, t["dy"])[0], want["dw"])


def test_im2col() -> None:
    options = {"kernel": (3, 2), "stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)}
    words = {"kernel_size" if name == "kernel" else name: pair for name, pair in options.items()}
    t, want = both("im2col", batch=2, channels=3, size=(9, 6), **options)
    same(F.unfold(t["x"], **words), want["columns"])
    t, want = both("col2im", batch=2, channels=3, size=(9, 6), **options)
    same(F.fold(t["columns"], (9, 6), **words), want["x"])


@pytest.mark.parametrize(("counter", "key", "words"), [
    (0, 0, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
])  # fmt: skip
def test_philox_gives_the_published_numbers(counter: int, key: int, words: str) -> None:
    """From the known answers of Random123, the authors' library."""
    assert " ".join(f"{word:08x}" for word in dropout.philox(np.array([counter], np.uint64), key)[0]) == words
