"""What a language model must beat: guessing the next character from how often it followed the last few.

An n-gram model counts. Most long contexts are rare, so each order leans on the one below it (absolute discounting, Ney,
Essen and Kneser, 1994): from every count a discount d between 0 and 1 is taken, and what was taken is given out in
proportion to the shorter context's probabilities,

    p_n(c | h) = max(count(h c) - d, 0) / count(h)  +  d * kinds(h) / count(h) * p_{n-1}(c | h without its first)

where kinds(h) is how many different characters followed h. Below the unigram stands the uniform 1 / vocabulary, and
a context that was never seen leaves everything to the order below. Each p_n sums to 1 over c by construction.
"""

from __future__ import annotations

from typing import Any

import numpy as np

DISCOUNTS = np.arange(0.05, 1.0, 0.05)


class NGram:
    """Counts of a text, and the probabilities that follow from them; see the top of this module.

    Args:
        numbers: the encoded text to count, (characters,).
        vocab_size: how many different characters there can be.
        order: 1 for unigram, 2 for bigram, 3 for trigram.
        discounts: d for each order from 1 up; 0.5 each if None.

    >>> model = NGram(np.array([0, 1, 0, 2, 0, 1]), vocab_size=3, order=2, discounts=[0.5, 0.5])
    >>> p = model.probabilities(np.array([[0, 0], [0, 1], [0, 2]]))[-1]  # of 0, 1 and 2 after 0
    >>> p.round(3), round(float(p.sum()), 12)
    (array([0.167, 0.611, 0.222]), 1.0)
    """

    def __init__(self, numbers: Any, vocab_size: int, order: int, discounts: Any = None) -> None:
        self.vocab_size = vocab_size
        self.order = order
        self.discounts = [0.5] * order if discounts is None else list(discounts)
        numbers = np.asarray(numbers, np.int64)
        self.grams, self.contexts = [], []
        for n in range(1, order + 1):
            keys, counts = np.unique(self._keys(_windows(numbers, n)), return_counts=True)
            contexts, starts = np.unique(keys // vocab_size, return_index=True)
            totals = np.add.reduceat(counts, starts) if counts.size else counts
            kinds = np.diff(np.append(starts, keys.size))
            self.grams.append((keys, counts))
            self.contexts.append((contexts, totals, kinds))

    def _keys(self, grams: np.ndarray) -> np.ndarray:
        """One integer for each row of character numbers."""
        return grams @ (self.vocab_size ** np.arange(grams.shape[1])[::-1])

    def terms(self, grams: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """count(h c), count(h) and kinds(h) for the last n characters of each row."""
        keys = self._keys(grams[:, grams.shape[1] - n :])
        (count,) = _look_up(keys, *self.grams[n - 1])
        total, kinds = _look_up(keys // self.vocab_size, *self.contexts[n - 1])
        return count, total, kinds

    def probabilities(self, grams: np.ndarray) -> list[np.ndarray]:
        """Probability of the last character of each row after the others, by every order from 1 up to the model's.

        Args:
            grams: (rows, order or more).
        """
        p = np.full(len(grams), 1 / self.vocab_size)
        result = []
        for n, d in enumerate(self.discounts, 1):
            p = _interpolate(*self.terms(grams, n), d, p)
            result.append(p)
        return result


def ngram_losses(train: Any, validation: Any, vocab_size: int, order: int = 3) -> list[float]:
    """How well n-gram models of a text predict another: what a neural model of it must beat.

    The discounts are chosen, one order after the other, as those that predict the last tenth of the training text best
    when the rest is counted. Then all of the training text is counted. The validation text chooses nothing.

    Args:
        train, validation: encoded texts, (characters,).
        vocab_size: how many different characters there can be.
        order: of the largest model.

    Returns:
        Mean negative log likelihood in nats per character of unigram, bigram, ... on the validation text, without its
        first `order - 1` characters, which have no full context.

    Raises:
        ValueError: a text is too short.
    """
    train, validation = np.asarray(train, np.int64), np.asarray(validation, np.int64)
    if len(train) < 10 * order or len(validation) < order:
        raise ValueError(
            f"ngram_losses: order {order} needs {10 * order} characters to count and {order} to predict, got "
            f"{len(train)} and {len(validation)}"
        )
    if vocab_size**order > 2**63 - 1:
        raise ValueError(f"ngram_losses: {vocab_size} different characters are too many for order {order}")
    cut = len(train) - len(train) // 10
    discounts = _tune(NGram(train[:cut], vocab_size, order), _windows(train[cut:], order))
    model = NGram(train, vocab_size, order, discounts)
    return [float(-np.log(p).mean()) for p in model.probabilities(_windows(validation, order))]


def _tune(model: NGram, held_out: np.ndarray) -> list[float]:
    """The discount of each order under which a held-out text is most probable."""
    chosen: list[float] = []
    p = np.full(len(held_out), 1 / model.vocab_size)
    for n in range(1, model.order + 1):
        terms = model.terms(held_out, n)
        options = [_interpolate(*terms, d, p) for d in DISCOUNTS]
        best = int(np.argmax([np.log(option).mean() for option in options]))
        chosen.append(float(DISCOUNTS[best]))
        p = options[best]
    return chosen


def _interpolate(count: Any, total: Any, kinds: Any, d: float, below: np.ndarray) -> np.ndarray:
    """The formula at the top of this module."""
    seen = np.maximum(total, 1)
    return np.where(total > 0, (np.maximum(count - d, 0) + d * kinds * below) / seen, below)


def _windows(numbers: np.ndarray, n: int) -> np.ndarray:
    """Every n characters in a row, (rows, n)."""
    if len(numbers) < n:
        return np.empty((0, n), np.int64)
    return np.lib.stride_tricks.sliding_window_view(numbers, n)


def _look_up(wanted: np.ndarray, keys: np.ndarray, *values: np.ndarray) -> list[np.ndarray]:
    """What belongs to some of the sorted keys, 0 where a key is not there."""
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    found = keys[places] == wanted
    return [np.where(found, value[places], 0) for value in values]
