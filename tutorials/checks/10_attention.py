"""Lesson 10: what its exercises should give, and the mistakes that are known."""

from __future__ import annotations

import numpy as np

import minigrad as mg
from minigrad.learn import Exercise
from minigrad.nn.functional import scaled_dot_product_attention

rng = np.random.default_rng(10)


# ---------------------------------------------------------------------------------------------------------- 10.1 embed

embed = Exercise(
    "10.1", "embed", cases=[(rng.normal(size=(5, 6)),), (rng.normal(size=(3, 16)) * 0.25,)],
    nudges=[
        "Which of the two, vectors or waves, is too small as it comes, and by which factor? Only that one is multiplied.",
        "Make the angles first, one row per place and one column per PAIR of columns: d / 2 of them, not d.",
        "`result[:, 0::2]` are the columns 0, 2, 4 and so on. They get the sines.",
    ],
)  # fmt: skip


@embed.right
def _(vectors):
    n, d = vectors.shape
    return vectors * d**0.5 + mg.nn.PositionalEncoding(d, dropout=0.0, max_len=n).pe.double().numpy()


embed.rtol = 1e-5  # the library's waves are float32


def embedded(vectors, factor=None, first=0, columns="pairs", swapped=False, both=False, base=10000.0):
    """The answer, with one thing at a time done otherwise."""
    n, d = vectors.shape
    factor = d**0.5 if factor is None else factor
    exponents = (np.arange(0, d, 2) // 2 if columns == "single" else np.arange(0, d, 2)) / d
    angles = (np.arange(n) + first)[:, None] / base**exponents
    sin, cos = (np.cos, np.sin) if swapped else (np.sin, np.cos)
    waves = np.zeros((n, d))
    if columns == "halves":
        waves[:, : d // 2], waves[:, d // 2 :] = sin(angles), cos(angles)
    else:
        waves[:, 0::2], waves[:, 1::2] = sin(angles), cos(angles)
    return (vectors + waves) * factor if both else vectors * factor + waves


@embed.wrong("You multiplied by the square root of 0.02. That factor is in print, and it makes the words too quiet to be heard.")
def wild_root_of_two_hundredths(vectors):
    return embedded(vectors, factor=0.02**0.5)


@embed.wrong("The waves are right. The vectors came through as they were: what factor brings them to the size of the waves?")
def no_factor(vectors):
    return embedded(vectors, factor=1.0)


@embed.wrong("The factor is too large: you took d itself. The vectors have numbers of size one over the ROOT of d.")
def factor_d(vectors):
    return embedded(vectors, factor=vectors.shape[1])


@embed.wrong("You added first and multiplied then, so the waves grew with the vectors. Only the vectors get the factor.")
def waves_multiplied_too(vectors):
    return embedded(vectors, both=True)


@embed.wrong("Your places begin with 1. The first place of a text is place 0.")
def places_from_one(vectors):
    return embedded(vectors, first=1)


@embed.wrong("All the sines stand left and all the cosines right. In the paper's formula they take turns, column by column.")
def halves(vectors):
    return embedded(vectors, columns="halves")


@embed.wrong("Sines and cosines have changed places: which of the two has the even columns?")
def sine_and_cosine_swapped(vectors):
    return embedded(vectors, swapped=True)


@embed.wrong("Your waves slow down half as fast as they should: in the exponent stands the number of the column, 2i, not that of the pair.")
def exponent_of_the_pair(vectors):
    return embedded(vectors, columns="single")


# -------------------------------------------------------------------------------------------------------- 10.2 may_see

may_see = Exercise(
    "10.2", "may_see", cases=[(np.array([3, 5, 1]), 5), (np.array([2, 4]), 4)],
    nudges=[
        "There are two conditions, one about i and j, one about b and j. Write each as an array, then join them.",
        "`np.arange(n)[None, :] <= np.arange(n)[:, None]` compares every j with every i. Make the second one in the same way.",
        "Broadcasting joins (1, n, n) and (texts, 1, n): give each condition the axis that it lacks.",
    ],
)  # fmt: skip


@may_see.right
def _(lengths, n):
    return np.array([[[j <= i and j < length for j in range(n)] for i in range(n)] for length in lengths])


def _table(lengths, n, rule):
    return np.array([[[rule(i, j, length) for j in range(n)] for i in range(n)] for length in lengths.tolist()])


@may_see.wrong("Nobody looks ahead, good. But the filled-in tokens at the ends are still listened to.")
def only_causal(lengths, n):
    return _table(lengths, n, lambda i, j, length: j <= i)


@may_see.wrong("The filled-in tokens are hidden, good. But places still see what comes after them.")
def only_padding(lengths, n):
    return _table(lengths, n, lambda i, j, length: j < length)


@may_see.wrong("A place may see itself: it knows which token it is. Your table hides the diagonal, and the first place sees nobody.")
def hides_itself(lengths, n):
    return _table(lengths, n, lambda i, j, length: j < i and j < length)


@may_see.wrong("Rows and columns have changed roles: i asks and j is seen, but in yours everybody looks ahead and nobody back.")
def looks_ahead(lengths, n):
    return _table(lengths, n, lambda i, j, length: j >= i and j < length)


@may_see.wrong("You silenced the filled-in places as those who ASK. That does not matter; it is as those who are SEEN that they do harm.")
def hides_who_asks(lengths, n):
    return _table(lengths, n, lambda i, j, length: j <= i and i < length)


@may_see.wrong("One filled-in token is still seen: with `length` real tokens, the last one has the number length - 1.")
def one_too_many(lengths, n):
    return _table(lengths, n, lambda i, j, length: j <= i and j <= length)


@may_see.wrong("It is exactly the other way round: you say True where a place is hidden. (Some functions want that; this one asks who MAY see.)")
def true_is_hidden(lengths, n):
    return ~_table(lengths, n, lambda i, j, length: j <= i and j < length)


# ---------------------------------------------------------------------------------------------------- 10.3 split_heads

split_heads = Exercise(
    "10.3", "split_heads", cases=[(rng.normal(size=(2, 5, 12)), 3), (rng.normal(size=(3, 4, 6)), 2)],
    nudges=[
        "Two steps: one cuts the columns, the other moves an axis. Neither alone will do.",
        "Cut the last axis in two, (heads, width / heads). Which of the four axes is then in the wrong place?",
        "`transpose(0, 2, 1, 3)` swaps the two in the middle.",
    ],
)  # fmt: skip


@split_heads.right
def _(x, heads):
    share = x.shape[-1] // heads
    return np.stack([x[..., h * share : (h + 1) * share] for h in range(heads)], axis=1)


@split_heads.wrong(
    "The shape is right, the numbers are not: reshape alone went on counting across places, so a head holds pieces of several "
    "places. Cut the columns first, then move the axis."
)
def reshape_alone(x, heads):
    texts, places, width = x.shape
    return x.reshape(texts, heads, places, width // heads)


@split_heads.wrong("Head 0 took every so-manieth column. The heads get neighbouring columns: which of the two new axes changes slowly?")
def columns_dealt_like_cards(x, heads):
    texts, places, width = x.shape
    return x.reshape(texts, places, width // heads, heads).transpose(0, 3, 1, 2)


@split_heads.wrong("The columns are cut as they should be. Now the axis of the heads has to come before that of the places.")
def not_moved(x, heads):
    texts, places, width = x.shape
    return x.reshape(texts, places, heads, width // heads)


@split_heads.wrong("The heads come first, and the texts have been moved behind them. The texts stay in front.")
def heads_in_front_of_texts(x, heads):
    texts, places, width = x.shape
    return x.reshape(texts, places, heads, width // heads).transpose(2, 0, 1, 3)


@split_heads.wrong("Places and columns of a head are transposed: each head should be a table with one row per place.")
def transposed_in_each_head(x, heads):
    texts, places, width = x.shape
    return x.reshape(texts, places, heads, width // heads).transpose(0, 2, 3, 1)


# ---------------------------------------------------------------------------------------------- 10.4 attention_backward

attention_backward = Exercise(
    "10.4", "attention_backward",
    cases=[tuple(rng.normal(size=shape) for shape in ((4, 3), (5, 3), (5, 2), (4, 2))),
           tuple(rng.normal(size=shape) for shape in ((2, 6), (3, 6), (3, 4), (2, 4)))],
    nudges=[
        "Go forward first and keep the weights w. The result is w @ v, a product of matrices, like those of lesson 2.",
        "The gradient of w is g @ v.T. Then through the softmax, row by row, with the formula in the text.",
        "The scores were q @ k.T / sqrt(d). So the same factor comes back on the way to q and to k, but not on the way to v.",
    ],
)  # fmt: skip


@attention_backward.right
def _(q, k, v, g):
    q, k, v = tensors = [mg.tensor(x, requires_grad=True) for x in (q, k, v)]
    scaled_dot_product_attention(q, k, v).backward(mg.tensor(g))
    return tuple(x.grad.numpy() for x in tensors)


def back(q, k, v, g, *, forward_scale=True, back_scale=True, total=True, axis=1, softmax=True, crossed=False):
    """The way back, with one thing at a time done otherwise."""
    scale = q.shape[1] ** -0.5
    e = np.exp(q @ k.T * (scale if forward_scale else 1.0))
    w = e / e.sum(1, keepdims=True)
    u = g @ v.T
    s = w * (u - (w * u).sum(axis, keepdims=True) * total) if softmax else u
    scale = scale if back_scale else 1.0
    gq, gk = s @ k * scale, s.T @ q * scale
    return (gk, gq, w.T @ g) if crossed else (gq, gk, w.T @ g)


@attention_backward.wrong("The gradients of q and k are too large by one factor: the scale of the scores comes back on the way to both.")
def scale_forgotten_on_the_way_back(*case):
    return back(*case, back_scale=False)


@attention_backward.wrong("Your scores are not divided by the root of d, neither forwards nor on the way back.")
def no_scale_at_all(*case):
    return back(*case, forward_scale=False, back_scale=False)


@attention_backward.wrong("In the softmax a sum is missing: the weights of a row compete, so each of them feels what the others get.")
def without_the_sum(*case):
    return back(*case, total=False)


@attention_backward.wrong("The sum in the softmax runs along the wrong axis: the weights of one ROW belong together.")
def sum_over_the_other_axis(*case):
    return back(*case, axis=0)


@attention_backward.wrong("You went past the softmax as if it were not there: the gradient of the weights is not yet that of the scores.")
def past_the_softmax(*case):
    return back(*case, softmax=False)


@attention_backward.wrong("The gradients of q and k have changed places. Look at the shapes: each is that of what it belongs to.")
def q_and_k_swapped(*case):
    return back(*case, crossed=True)
