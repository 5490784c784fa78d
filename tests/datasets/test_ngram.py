"""The baselines, against a plain loop over the formula, and as probability distributions."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from minigrad.datasets import CharTokenizer, NGram, ngram_losses, pydoc_topics
from minigrad.datasets.ngram import _tune

VOCABULARY = 7
TEXT = np.random.default_rng(5).zipf(1.6, size=400) % VOCABULARY
TEXT[TEXT == 6] = 5  # 6 never occurs, and must get a probability all the same


def slow_probability(text, context, c, discounts):
    """p(c | context) as the formula is written."""
    if not discounts:
        return 1 / VOCABULARY
    n = len(discounts)
    context = list(context)[len(context) - (n - 1) :]
    followers = Counter(
        text[i + n - 1] for i in range(len(text) - n + 1) if list(text[i : i + n - 1]) == context
    )
    below = slow_probability(text, context[1:], c, discounts[:-1])
    total = sum(followers.values())
    if total == 0:
        return below
    d = discounts[-1]
    return max(followers[c] - d, 0) / total + d * len(followers) / total * below


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_every_order_is_a_distribution_after_every_context(order):
    model = NGram(TEXT, VOCABULARY, order, [0.3, 0.9, 0.5, 0.7][:order])
    grams = np.array(list(itertools.product(range(VOCABULARY), repeat=order)))
    for p in model.probabilities(grams):
        np.testing.assert_allclose(p.reshape(-1, VOCABULARY).sum(1), 1, rtol=1e-12)
        assert p.min() > 0


def test_the_formula():
    discounts = [0.3, 0.9, 0.55]
    model = NGram(TEXT, VOCABULARY, 3, discounts)
    grams = np.array([[0, 1, 1], [1, 2, 0], [6, 1, 3], [5, 6, 2], [1, 1, 6], [6, 6, 6], [4, 3, 2]])
    for n, p in enumerate(model.probabilities(grams), 1):
        expected = [slow_probability(TEXT.tolist(), gram[:-1], gram[-1], discounts[:n]) for gram in grams.tolist()]
        np.testing.assert_allclose(p, expected, rtol=1e-12)


def test_the_loss_is_the_mean_over_the_validation_text():
    test = np.random.default_rng(6).integers(0, VOCABULARY, 60)
    cut = len(TEXT) - len(TEXT) // 10
    discounts = _tune(NGram(TEXT[:cut], VOCABULARY, 3), np.lib.stride_tricks.sliding_window_view(TEXT[cut:], 3))
    expected = [
        -np.mean([
            math.log(slow_probability(TEXT.tolist(), test[i - 2 : i], test[i], discounts[:n]))
            for i in range(2, len(test))
        ])
        for n in (1, 2, 3)
    ]
    np.testing.assert_allclose(ngram_losses(TEXT, test, VOCABULARY), expected, rtol=1e-12)


def test_the_discounts_are_the_best_on_the_held_out_text_and_not_on_the_validation_text():
    model = NGram(TEXT[:360], VOCABULARY, 2)
    held_out = np.lib.stride_tricks.sliding_window_view(TEXT[360:], 2)

    def loss(discounts):
        return -np.log(NGram(TEXT[:360], VOCABULARY, 2, discounts).probabilities(held_out)[-1]).mean()

    first, second = _tune(model, held_out)
    assert loss([first, second]) == min(loss([first, d]) for d in np.arange(0.05, 1, 0.05))
    assert ngram_losses(TEXT, TEXT[:50], VOCABULARY)[0] != ngram_losses(TEXT, TEXT[50:99], VOCABULARY)[0]


def test_longer_contexts_predict_real_text_better():
    tokenizer = CharTokenizer.from_text(text := pydoc_topics())
    numbers = tokenizer.encode(text)
    losses = ngram_losses(numbers[:-30_000], numbers[-30_000:], len(tokenizer), order=4)
    assert math.log(len(tokenizer)) > losses[0] > losses[1] + 0.5 > losses[2] + 0.7 > losses[3] + 0.7


def test_bad_input():
    with pytest.raises(ValueError, match=r"order 3 needs 30 characters to count and 3 to predict, got 20 and 20"):
        ngram_losses(TEXT[:20], TEXT[:20], VOCABULARY)
    with pytest.raises(ValueError, match="too many for order 9"):
        ngram_losses(TEXT, TEXT, 1000, order=9)
