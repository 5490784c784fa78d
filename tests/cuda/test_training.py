"""Whole training steps on device "cuda" against the CPU: the GPT with our kernels in the simulator, others by formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.fast import use_fast_paths
from minigrad.models.gpt import GPT, GPTConfig

from .standin.runtime import STATE
from .test_kernels import kernels, modules

__all__ = ["kernels", "modules"]  # fixtures

RNG = np.random.default_rng(3)


def step(model: Any, loss_of: Any, make: Any, arrays: list, device: str, amp: bool = False) -> tuple:
    """One step of training; the loss, the gradients and the new parameters, by name."""
    model = model.to(device)
    optimizer = make(model.parameters())
    inputs = [mg.tensor(a, device=device) for a in arrays]
    optimizer.zero_grad()
    STATE.waits.clear()
    with mg.autocast(device, enabled=amp):
        loss = loss_of(model, *inputs)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    assert not STATE.waits, f"a training step waited for the device: {dict(STATE.waits)}"
    named = dict(model.named_parameters())
    grads = {name: p.grad.cpu().numpy() for name, p in named.items() if p.grad is not None}
    return loss.item(), norm.item(), grads, {name: p.detach().cpu().numpy() for name, p in named.items()}


def compare(found: tuple, expected: tuple, tolerance: float) -> None:
    assert found[0] == pytest.approx(expected[0], abs=tolerance) and found[1] == pytest.approx(expected[1], rel=tolerance)
    for mine, right in zip(found[2:], expected[2:]):
        assert mine.keys() == right.keys()
        for name in mine:
            np.testing.assert_allclose(mine[name], right[name], rtol=tolerance, atol=tolerance, err_msg=name)


def gpt() -> GPT:
    mg.manual_seed(0)
    return GPT(GPTConfig(vocab_size=37, block_size=16, n_layer=2, n_head=2, n_embd=32, dropout=0.0))


def gpt_loss(model: Any, tokens: Any, targets: Any) -> Any:
    return model(tokens, targets)[1]


TOKENS = [RNG.integers(0, 37, (3, 16)), RNG.integers(0, 37, (3, 16))]


def adamw(parameters: Any) -> Any:
    return mg.optim.AdamW(parameters, lr=1e-2, weight_decay=0.1)


@pytest.mark.parametrize("products", ["cublas", "minigrad"])
def test_gpt_step_with_our_kernels(kernels: list, products: str) -> None:
    try:
        mg.cuda.preferred_blas_library(products)
        found = step(gpt(), gpt_loss, adamw, TOKENS, "cuda")
    finally:
        mg.cuda.preferred_blas_library("cublas")
    used = {name.split("_v")[0] for name in kernels}
    assert used >= {"layer_norm", "layer_norm_backward", "cross_entropy", "attention", "attention_backward_q"}, used
    assert any(name.startswith("matmul") for name in kernels) == (products == "minigrad")
    with use_fast_paths(False):
        expected = step(gpt(), gpt_loss, adamw, TOKENS, "cpu")
    compare(found, expected, 1e-4)


def test_gpt_step_in_mixed_precision(cupy) -> None:
    with use_fast_paths(False):
        found = step(gpt(), gpt_loss, adamw, TOKENS, "cuda", amp=True)
        expected = step(gpt(), gpt_loss, adamw, TOKENS, "cpu")
    assert found[0] == pytest.approx(expected[0], abs=5e-3) and found[0] != expected[0]
    for name, g in found[2].items():
        assert g.dtype == np.float32
        right = expected[2][name]
        assert np.linalg.norm(g - right) < 2e-2 * np.linalg.norm(right) + 1e-3, name


class Vision(nn.Module):
    """Convolutions, norms, pools."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.pool = nn.MaxPool2d(2)
        self.down = nn.Conv2d(4, 6, 3, stride=2, groups=2)
        self.group = nn.GroupNorm(3, 6)
        self.head = nn.Linear(6, 5)

    def forward(self, x: Any) -> Any:
        x = self.pool(self.norm(self.conv(x)).relu())
        x = nn.functional.adaptive_avg_pool2d(self.group(self.down(x)), 1)
        return self.head(x.flatten(1))


class Words(nn.Module):
    """Embeddings, recurrence, attention."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 8, padding_idx=0)
        self.rnn = nn.LSTM(8, 6, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(12, 8, batch_first=True)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.head = nn.Linear(8, 5)

    def forward(self, tokens: Any) -> Any:
        x, _ = self.rnn(self.table(tokens))
        x, _ = self.gru(x)
        return self.head(self.encoder(x, src_key_padding_mask=tokens == 0).mean(1))


IMAGES, WORDS, LABELS = RNG.standard_normal((4, 3, 9, 9)), RNG.integers(0, 11, (4, 7)), RNG.integers(0, 5, 4)
WORDS[:, :3] = 1 + WORDS[:, :3] % 10


def class_loss(model: Any, inputs: Any, labels: Any) -> Any:
    return nn.functional.cross_entropy(model(inputs), labels, label_smoothing=0.1)


OPTIMIZERS = {
    "SGD": lambda p: mg.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "Adam": lambda p: mg.optim.Adam(p, lr=0.01, amsgrad=True),
    "AdamW": adamw,
    "Adagrad": lambda p: mg.optim.Adagrad(p, lr=0.01),
    "Adadelta": lambda p: mg.optim.Adadelta(p, lr=0.5),
    "RMSprop": lambda p: mg.optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
    "Muon": lambda p: mg.optim.Muon([x for x in p if x.ndim == 2], lr=0.01),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("model, inputs", [(Vision, IMAGES), (Words, WORDS)], ids=["Vision", "Words"])
def test_step_by_formula(cupy, model: Any, inputs: np.ndarray, optimizer: str) -> None:
    results = []
    for device in ("cuda", "cpu"):
        mg.manual_seed(1)
        with use_fast_paths(False):
            results.append(step(model().double(), class_loss, OPTIMIZERS[optimizer], [inputs, LABELS], device))
    compare(*results, 1e-9)


@pytest.mark.parametrize("fast", [True, False])  # dropout has a kernel
def test_checkpoints_go_on_where_they_were(kernels, tmp_path, fast: bool) -> None:
    """A run that is saved and loaded draws the same random numbers on the device as one that is not."""
    mg.manual_seed(2)
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1)).cuda()
    x = mg.randn(6, 4, device="cuda")
    with use_fast_paths(fast):
        model(x)
        state = mg.default_generator(x.device).get_state()
        a = model(x).tolist()
        mg.save({"model": model.state_dict(), "rng": state}, tmp_path / "run")
        loaded = mg.load(tmp_path / "run", map_location="cuda")
        model.load_state_dict(loaded["model"])
        mg.default_generator(x.device).set_state(loaded["rng"])
        assert model(x).tolist() == a != model(x).tolist()
    assert [name for name in kernels if name.startswith("dropout")] == ["dropout_v2"] * 4 * fast
