"""Whole models learn as they do in PyTorch: the same losses from the same weights, step by step."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg

from .twin import load

rng = np.random.default_rng(0)
IMAGES, LABELS = rng.standard_normal((16, 2, 5)), rng.integers(0, 3, 16)
TOKENS, NEXT = rng.integers(0, 11, (4, 6)), rng.integers(0, 11, (4, 6))
CAUSAL = np.triu(np.ones((6, 6), bool), 1)


def mlp(engine):
    nn = engine.nn
    return nn.Sequential(nn.Flatten(), nn.Linear(10, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 3))


def language_model(engine):
    nn = engine.nn

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(11, 8, padding_idx=0)
            layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, norm_first=True)
            self.encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(8), enable_nested_tensor=False)
            self.head = nn.Linear(8, 11)
            self.head.weight = self.embed.weight

        def forward(self, tokens):
            mask = engine.tensor(CAUSAL)
            padding = tokens == 0
            padding[:, 0] = False
            x = self.embed(tokens)
            return self.head(self.encoder(x, mask=mask, src_key_padding_mask=padding)).flatten(0, 1)

    return Model()


def losses(engine, model, optimizer, schedule, inputs, targets):
    model.train()
    x, y = engine.tensor(inputs), engine.tensor(targets.reshape(-1))
    criterion = engine.nn.CrossEntropyLoss(label_smoothing=0.1)
    history = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        engine.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        schedule.step()
        history.append(loss.item())
    return history


@pytest.mark.parametrize(
    ("make", "inputs", "targets"), [(mlp, IMAGES, LABELS), (language_model, TOKENS, NEXT)], ids=["mlp", "transformer"]
)
@pytest.mark.parametrize(
    ("name", "options"), [("SGD", {"lr": 0.3, "momentum": 0.9}), ("AdamW", {"lr": 0.03})], ids=["SGD", "AdamW"]
)
def test_losses_of_twenty_steps(make, inputs, targets, name, options):
    torch.manual_seed(0)
    theirs = make(torch)
    ours = load(make(mg), theirs)
    histories = []
    for engine, model in ((mg, ours), (torch, theirs)):
        optimizer = getattr(engine.optim, name)(model.parameters(), **options)
        schedule = engine.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20, eta_min=0.001)
        inputs_ = inputs if inputs.dtype.kind == "i" else inputs.astype(np.float64)
        histories.append(losses(engine, model, optimizer, schedule, inputs_, targets))
    np.testing.assert_allclose(histories[0], histories[1], rtol=1e-8)
    assert histories[0][-1] < 0.8 * histories[0][0]
    for (key, a), b in zip(ours.state_dict().items(), theirs.state_dict().values()):
        np.testing.assert_allclose(a.numpy(), b.numpy(), 1e-6, 1e-8, err_msg=key)
