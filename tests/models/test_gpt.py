"""GPT against one written for PyTorch in other words, and against itself."""

from __future__ import annotations

import math
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad.models import GPT, GPTConfig, gpt
from minigrad.nn.utils import clip_grad_norm_

CONFIG = GPTConfig(vocab_size=11, block_size=7, n_layer=2, n_head=3, n_embd=12)


class TorchGPT(torch.nn.Module):
    """The same network out of PyTorch's own larger parts, with the names of ours."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.weights = torch.nn.ParameterDict()
        self.config = config

    def load(self, model: GPT) -> TorchGPT:
        for name, p in model.named_parameters():
            self.weights[name.replace(".", "|")] = torch.nn.Parameter(torch.tensor(p.detach().numpy()))
        return self

    def __getitem__(self, name: str) -> torch.Tensor | None:
        return self.weights.get(name.replace(".", "|"))

    def norm(self, x, name):
        return torch.nn.functional.layer_norm(x, x.shape[-1:], self[f"{name}.weight"], self[f"{name}.bias"], 1e-5)

    def linear(self, x, name):
        y = x @ self[f"{name}.weight"].T
        return y if self[f"{name}.bias"] is None else y + self[f"{name}.bias"]

    def forward(self, idx, targets):
        config = self.config
        T, D = idx.shape[1], config.n_embd // config.n_head
        x = self["token_embedding.weight"][idx] + self["position_embedding.weight"][torch.arange(T)]
        hidden = torch.full((T, T), -math.inf, dtype=x.dtype).triu(1)
        for i in range(config.n_layer):
            q, k, v = self.linear(self.norm(x, f"blocks.{i}.ln_1"), f"blocks.{i}.attn.qkv").split(config.n_embd, -1)
            heads = []
            for h in range(config.n_head):
                part = slice(h * D, (h + 1) * D)
                scores = q[..., part] @ k[..., part].mT / math.sqrt(D) + hidden
                heads.append(scores.softmax(-1) @ v[..., part])
            x = x + self.linear(torch.cat(heads, -1), f"blocks.{i}.attn.proj")
            h = self.linear(self.norm(x, f"blocks.{i}.ln_2"), f"blocks.{i}.mlp.fc")
            h = 0.5 * h * (1 + torch.tanh(math.sqrt(2 / math.pi) * (h + 0.044715 * h**3)))
            x = x + self.linear(h, f"blocks.{i}.mlp.proj")
        logits = self.norm(x, "ln_f") @ self["token_embedding.weight"].T
        logp = logits.log_softmax(-1).gather(-1, targets.clamp(min=0)[..., None])[..., 0]
        return logits, -logp[targets != -100].mean()


def make(config: GPTConfig = CONFIG, seed: int = 0, scale: float = 3.0) -> GPT:
    """A GPT in float64 whose weights are large enough for every part to matter."""
    mg.manual_seed(seed)
    model = GPT(config).double()
    rng = np.random.default_rng(seed)
    with mg.no_grad():
        for p in model.parameters():
            p.mul_(scale).add_(mg.tensor(rng.normal(0, 0.1, p.shape)))
    return model


def batch(rng, shape=(3, 5)):
    idx, targets = rng.integers(0, 11, (2, *shape))
    targets[0, 1] = -100  # nothing is asked for here
    return idx, targets


@pytest.mark.parametrize(
    "config",
    [CONFIG, GPTConfig(11, 5, 1, 1, 4), GPTConfig(11, 9, 3, 2, 6, bias=False)],
    ids=["two layers", "one head", "no bias"],
)
def test_logits_loss_and_gradients_as_torch(config):
    model = make(config)
    twin = TorchGPT(config).load(model)
    idx, targets = batch(np.random.default_rng(1))
    logits, loss = model(mg.tensor(idx), mg.tensor(targets))
    expected, expected_loss = twin(torch.tensor(idx), torch.tensor(targets))
    np.testing.assert_allclose(logits.detach().numpy(), expected.detach().numpy(), rtol=0, atol=1e-10)
    assert abs(loss.item() - expected_loss.item()) < 1e-10
    cotangent = np.random.default_rng(2).normal(size=logits.shape)
    (loss * 3 + (logits * mg.tensor(cotangent)).sum()).backward()
    (expected_loss * 3 + (expected * torch.tensor(cotangent)).sum()).backward()
    for name, p in model.named_parameters():
        np.testing.assert_allclose(p.grad.numpy(), twin[name].grad.numpy(), rtol=1e-10, atol=1e-10, err_msg=name)


def test_it_is_pytorch_code_but_for_its_imports():
    source = Path(gpt.__file__).read_text()
    source = source.replace("import minigrad as torch", "import torch").replace("from minigrad", "from torch")
    module = types.ModuleType("gpt_for_torch")
    sys.modules[module.__name__] = module
    try:
        exec(compile(source, "gpt_for_torch.py", "exec"), module.__dict__)
    finally:
        del sys.modules[module.__name__]
    model = make()
    twin = module.GPT(module.GPTConfig(**vars(CONFIG))).double()
    assert list(twin.state_dict()) == list(model.state_dict())
    twin.load_state_dict({name: torch.tensor(p.numpy()) for name, p in model.state_dict().items()})
    idx, targets = batch(np.random.default_rng(3))
    logits, loss = model(mg.tensor(idx), mg.tensor(targets))
    expected, expected_loss = twin(torch.tensor(idx), torch.tensor(targets))
    np.testing.assert_allclose(logits.detach().numpy(), expected.detach().numpy(), rtol=0, atol=1e-10)
    assert abs(loss.item() - expected_loss.item()) < 1e-10
    assert [len(g["params"]) for g in twin.configure_optimizer().param_groups] == [10, 18]
    start = torch.tensor([[1, 2, 3]])
    ours = model.generate(mg.tensor([[1, 2, 3]]), 9, temperature=0).tolist()
    assert twin.generate(start, 9, temperature=0).tolist() == ours


def test_no_place_sees_a_later_one():
    model = make()
    idx = np.random.default_rng(4).integers(0, 11, (2, 7))
    before = model(mg.tensor(idx))[0].detach().numpy()
    for t in range(7):
        changed = idx.copy()
        changed[:, t] = (changed[:, t] + 3) % 11
        after = model(mg.tensor(changed))[0].detach().numpy()
        np.testing.assert_allclose(after[:, :t], before[:, :t], rtol=0, atol=1e-12)
        assert (np.abs(after[:, t:] - before[:, t:]).max(-1) > 1e-6).all(), "and every later one sees it"


def test_initialisation_is_that_of_gpt2():
    mg.manual_seed(1)
    model = GPT(GPTConfig(vocab_size=300, block_size=200, n_layer=3, n_head=2, n_embd=128))
    for name, p in model.named_parameters():
        if p.ndim == 2:
            expected = 0.02 / math.sqrt(6) if name.endswith("proj.weight") else 0.02
            assert abs(p.std().item() / expected - 1) < 0.03, name
        else:
            assert set(p.tolist()) == ({1.0} if "ln" in name and name.endswith("weight") else {0.0}), name
    loss = model(mg.randint(300, (4, 50)), mg.randint(300, (4, 50)))[1]
    assert abs(loss.item() - math.log(300)) < 0.15, "an untrained model knows nothing"


def test_size_and_groups():
    model = GPT(GPTConfig(vocab_size=50257, block_size=1024, n_layer=1, n_head=2, n_embd=8))
    per_block = 12 * 8 * 8 + 13 * 8  # weights, biases and layer norms
    assert model.num_parameters() == 50257 * 8 + 1024 * 8 + per_block + 2 * 8
    decayed, free = model.configure_optimizer(2e-3, 0.2, (0.8, 0.9)).param_groups
    assert all(p.ndim == 2 for p in decayed["params"]) and all(p.ndim == 1 for p in free["params"])
    assert len(decayed["params"]) + len(free["params"]) == len(list(model.parameters()))
    assert decayed["weight_decay"] == 0.2 and free["weight_decay"] == 0.0
    assert all(g["lr"] == 2e-3 and tuple(g["betas"]) == (0.8, 0.9) for g in (decayed, free))


def test_dropout_only_in_training():
    config = GPTConfig(11, 7, 2, 3, 12, dropout=0.5)
    model = make(config)
    idx = mg.tensor([[1, 2, 3, 4]])
    assert not mg.allclose(model(idx)[0], model(idx)[0])
    model.eval()
    np.testing.assert_array_equal(model(idx)[0].detach().numpy(), model(idx)[0].detach().numpy())


# ------------------------------------------------------------------------------------------------------- generate


def probabilities(model, idx):
    """Of the next token after a text, from the whole forward pass."""
    logits = model(mg.tensor(idx[:, -model.config.block_size :]))[0][:, -1].detach().numpy()
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_greedy_takes_the_likeliest_beyond_the_context_too():
    model = make()
    idx = np.array([[3, 1], [0, 7]])
    made = model.generate(mg.tensor(idx), 12, temperature=0).numpy()
    assert made.shape == (2, 14) and (made[:, :2] == idx).all()
    for t in range(2, 14):
        assert (made[:, t] == probabilities(model, made[:, :t]).argmax(-1)).all()


@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, None), (0.5, None), (2.0, 3), (1.0, 1), (1.0, 99)])
def test_tokens_come_as_often_as_they_should(temperature, top_k):
    model, n = make(), 4000
    generator = mg.Generator().manual_seed(5)
    drawn = model.generate(mg.tensor([[2, 9]]).expand(n, 2), 1, temperature, top_k, generator).numpy()[:, 2]
    p = probabilities(model, np.array([[2, 9]]))[0] ** (1 / temperature)
    if top_k is not None:
        p[np.argsort(-p)[top_k:]] = 0
    p /= p.sum()
    found = np.bincount(drawn, minlength=11) / n
    assert (found[p == 0] == 0).all()
    assert (np.abs(found - p) <= 4.5 * np.sqrt(p * (1 - p) / n)).all(), (found, p)


def test_equal_seeds_write_equal_texts_and_streaming_is_the_same():
    model, start = make(), mg.tensor([[4]])
    one = model.generate(start, 20, generator=mg.Generator().manual_seed(1)).tolist()
    assert model.generate(start, 20, generator=mg.Generator().manual_seed(1)).tolist() == one
    assert model.generate(start, 20, generator=mg.Generator().manual_seed(2)).tolist() != one
    stream = model.stream(start, 20, generator=mg.Generator().manual_seed(1))
    recorded = []
    model.register_forward_hook(lambda *_: recorded.append(mg.is_grad_enabled()))
    first = next(stream)
    assert first.shape == (1, 1) and recorded == [False] and mg.is_grad_enabled(), "off only while a token is computed"
    assert [4, first.item(), *[token.item() for token in stream]] == one[0]


# ------------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_head": 5}, "5 heads cannot share a width of 12 evenly"),
        ({"n_layer": 0}, "n_layer must be a positive integer, got 0"),
        ({"vocab_size": 2.5}, "vocab_size must be a positive integer, got 2.5"),
        ({"dropout": 1.0}, "dropout must be from 0 to below 1, got 1.0"),
    ],
)
def test_bad_sizes(options, words):
    with pytest.raises(ValueError, match=f"GPTConfig: {words}"):
        GPTConfig(**{**vars(CONFIG), **options})


def test_bad_texts():
    model = make()
    with pytest.raises(ValueError, match=r"at most 7 tokens \(block_size\), got 8"):
        model(mg.zeros(1, 8, dtype=int))
    with pytest.raises(ValueError, match=r"at least one token, got \(1, 0\)"):
        model.generate(mg.zeros(1, 0, dtype=int), 1)
    for options in ({"temperature": -1}, {"top_k": 0}):
        with pytest.raises(ValueError, match="temperature >= 0 and top_k >= 1 expected"):
            model.generate(mg.zeros(1, 1, dtype=int), 1, **options)


def test_it_learns_a_text_by_heart():
    mg.manual_seed(2)
    model = GPT(GPTConfig(vocab_size=6, block_size=8, n_layer=1, n_head=2, n_embd=16))
    optimizer = model.configure_optimizer(1e-2)
    text = mg.tensor([[0, 1, 2, 0, 3, 4, 0, 5, 1]])  # what follows 0 hangs on what came before it
    for _ in range(120):
        loss = model(text[:, :-1], text[:, 1:])[1]
        optimizer.zero_grad()
        loss.backward()
        clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    assert loss.item() < 0.05
    assert model.generate(text[:, :1], 8, temperature=0).tolist() == text.tolist()
