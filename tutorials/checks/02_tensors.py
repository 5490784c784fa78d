"""Lesson 2: what its exercises should give, and the mistakes that are known."""

from __future__ import annotations

import numpy as np

import minigrad as mg
from minigrad.learn import Exercise

rng = np.random.default_rng(202)


def gradient(function, x, g):
    """minigrad's gradient of x, where g is that of function(x)."""
    x = mg.tensor(x, requires_grad=True)
    function(x).backward(mg.tensor(g))
    return x.grad


# ----------------------------------------------------------------------------------------------------------- 2.1 mean

mean_rule = Exercise(
    "2.1", "mean_rule",
    cases=[(rng.normal(size=s[:a] + s[a + 1 :]), s, a) for s, a in [((4, 3), 0), ((2, 5), 1), ((3, 4, 2), 1)]],
    nudges=[
        "If one number of x grows by 1, by how much does the mean of its column grow?",
        "g has one dimension fewer than x. Where must it be put back, with size 1? (np.expand_dims)",
        "Then stretch it to the shape of x: np.broadcast_to.",
    ],
)


@mean_rule.right
def _(g, shape, axis):
    return gradient(lambda x: x.mean(axis), np.ones(shape), g)


@mean_rule.wrong("This is the rule of the sum. In a mean, each number counts for only a part of it.")
def rule_of_the_sum(g, shape, axis):
    return np.broadcast_to(np.expand_dims(g, axis), shape) * 1.0


@mean_rule.wrong("You divided by how many numbers there are in the whole table. A mean along one dimension is over fewer.")
def divided_by_all(g, shape, axis):
    return np.broadcast_to(np.expand_dims(g, axis), shape) / np.prod(shape)


@mean_rule.wrong("You divided by the size of the wrong dimension: by that of g, not by that which the mean made vanish.")
def divided_by_another_dimension(g, shape, axis):
    return np.broadcast_to(np.expand_dims(g, axis), shape) / shape[axis - 1]


@mean_rule.wrong("You multiplied by the number of terms. A mean is less sensitive than a sum, not more.")
def multiplied(g, shape, axis):
    return np.broadcast_to(np.expand_dims(g, axis), shape) * shape[axis]


@mean_rule.wrong("With axis=0 it works, by luck: stretching begins on the left by itself. Elsewhere the lost dimension must be put back.")
def dimension_not_put_back(g, shape, axis):
    return np.broadcast_to(g / shape[axis], shape)


@mean_rule.wrong("The numbers are right, but the gradient must have the shape of x: each number of x needs its own.")
def not_stretched(g, shape, axis):
    return np.expand_dims(g, axis) / shape[axis]


# ---------------------------------------------------------------------------------------------------- 2.2 unbroadcast

STRETCHED = [((4, 3), (3,)), ((4, 3), (4, 1)), ((2, 4, 3), (4, 1)), ((5,), ()), ((3, 2), (3, 2)), ((2, 3, 2), (1, 3, 1))]

unbroadcast = Exercise(
    "2.2", "unbroadcast",
    cases=[(rng.normal(size=wide), shape) for wide, shape in STRETCHED],
    nudges=[
        "Two steps. First the dimensions that were missing: g.ndim - len(shape) of them, all on the left.",
        "Then the dimensions that have size 1 in `shape`, but not in g. They must stay, with size 1.",
        "Sum over each, the second kind with keepdims=True.",
    ],
)


@unbroadcast.right
def _(g, shape):
    return gradient(lambda x: x.expand(*g.shape), np.zeros(shape), g)


def summed(g, shape, missing=True, ones=True, keepdims=True, how=np.sum):
    """The right thing, with one part at a time left out."""
    lead = g.ndim - len(shape)
    if missing:
        g = how(g, axis=tuple(range(lead)))
        lead = 0
    axes = tuple(k + lead for k, n in enumerate(shape) if n == 1 and g.shape[k + lead] > 1)
    return how(g, axis=axes, keepdims=keepdims) if ones else g


@unbroadcast.wrong("The dimensions on the left are summed, those of size 1 are not.")
def only_missing_dimensions(g, shape):
    return summed(g, shape, ones=False)


@unbroadcast.wrong("The dimensions of size 1 are summed, those that were missing on the left are not.")
def only_dimensions_of_one(g, shape):
    return summed(g, shape, missing=False)


@unbroadcast.wrong("The sums are right, but dimensions of size 1 have vanished. NumPy's sum keeps them if asked.")
def without_keepdims(g, shape):
    return summed(g, shape, keepdims=False)


@unbroadcast.wrong("You took the mean. But each of the copies adds its own part: what was used n times counts n times.")
def mean_of_the_copies(g, shape):
    return summed(g, shape, how=np.mean)


@unbroadcast.wrong("You kept one of the copies and threw the others away. All of them reach the loss.")
def one_of_the_copies(g, shape):
    g = g[(0,) * (g.ndim - len(shape))]
    return g[tuple(slice(0, 1) if n == 1 else slice(None) for n in shape)]


@unbroadcast.wrong("Reshaping cannot make fewer numbers of many: something has to be added up.")
def reshaped(g, shape):
    return g.reshape(shape)


@unbroadcast.wrong("You summed everything into one number.")
def sum_of_all(g, shape):
    return np.full(shape, g.sum())


# -------------------------------------------------------------------------------------------------------- 2.3 the bug

suspect = Exercise(
    "2.3", "suspect", secret=True,
    nudges=[
        "`measured(lambda x: (c * f(x)).sum(), x)` with random c, compared with `rule(c, x, f(x))`, for each of the five.",
        "Did you try negative numbers? (The root does not have to.)",
        "Four of the differences are about 1e-9, which is rounding. One, for x below zero, is not.",
    ],
)
suspect.right("elu")
WHY_NOT = {
    "square": "That one is right: x occurs twice in the product, so its slope is 2 x.",
    "root": "That one is right where it is defined. For negative numbers there is no root, and no slope: try positive ones.",
    "bell": "That one is right: the inner slope, -2 x, times the outer one, which is the bell itself.",
    "sigmoid": "That one is right. It is the most famous of all rules.",
}
for name, hint in WHY_NOT.items():
    suspect.wrong(hint)(name)


@suspect.wrong("One is wrong all the same. Try numbers on both sides of zero.")
def none():
    return "none"


# -------------------------------------------------------------------------------------------------------- 2.4 softmax


def rows(*shape):
    e = np.exp(rng.normal(size=shape))
    return rng.normal(size=shape), e / e.sum(-1, keepdims=True)


softmax_rule = Exercise(
    "2.4", "softmax_rule", cases=[rows(3, 5), rows(4, 4), rows(1, 3)],
    nudges=[
        "The gradient of x_j is the sum over i of g_i times the slope of y_i with respect to x_j. Split off the term i = j.",
        "Everything in that sum has a factor y_j. Pull it out: what is left is g_j minus something that is the same for the whole row.",
        "What is the same for the whole row is the sum of g_i y_i. Mind keepdims.",
    ],
)


@softmax_rule.right
def _(g, y):
    return gradient(lambda x: mg.softmax(x, dim=-1), np.log(y), g)


@softmax_rule.wrong("You took each number for itself: the case i = j. But each x_j also pushes all the others of its row down.")
def diagonal_only(g, y):
    return g * y * (1 - y)


@softmax_rule.wrong("The sum must run along each row by itself, not over the whole table.")
def sum_over_the_table(g, y):
    return y * (g - (g * y).sum())


@softmax_rule.wrong("The sum along the rows is there, but it is subtracted from columns: the lost dimension must be kept.")
def without_keepdims_(g, y):
    return y * (g - (g * y).sum(-1))


@softmax_rule.wrong("In the sum, each g must be weighted with its y.")
def sum_without_weights(g, y):
    return y * (g - g.sum(-1, keepdims=True))


@softmax_rule.wrong("The factor y_j in front is missing.")
def without_the_factor(g, y):
    return g - (g * y).sum(-1, keepdims=True)


@softmax_rule.wrong("The sign of what the others contribute is wrong: when x_j grows, they shrink.")
def others_added(g, y):
    return y * (g + (g * y).sum(-1, keepdims=True))
