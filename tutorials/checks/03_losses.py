"""Lesson 3: what its exercises should give, and the mistakes that are known."""

from __future__ import annotations

from collections import Counter

import numpy as np

import minigrad as mg
from minigrad.learn import Exercise

rng = np.random.default_rng(303)

# ------------------------------------------------------------------------------------------------------- 3.1 baseline

baseline_accuracy = Exercise(
    "3.1", "baseline_accuracy",
    cases=[
        (np.array([1, 0, 1, 1, 0, 1, 0]), np.array([0, 0, 1, 0, 1])),
        (np.array([2, 0, 2, 1, 2, 0, 1, 2]), np.array([1, 0, 2, 1, 1, 0, 2])),
        (np.array([4, 4, 7]), np.array([7, 4, 7, 9, 7, 7])),
    ],
    nudges=[
        "Two steps: which label is the most frequent one in train_labels? np.unique(..., return_counts=True) counts.",
        "Then: how many of test_labels are this one?",
    ],
)


@baseline_accuracy.right
def _(train_labels, test_labels):
    most = Counter(train_labels.tolist()).most_common(1)[0][0]
    return sum(label == most for label in test_labels.tolist()) / len(test_labels)


def most_frequent(labels):
    values, counts = np.unique(labels, return_counts=True)
    return values[counts.argmax()]


@baseline_accuracy.wrong("You chose the answer that is most frequent among the test rows. They must not have a say in it: that is peeking.")
def most_frequent_of_the_test(train_labels, test_labels):
    return (test_labels == most_frequent(test_labels)).mean()


@baseline_accuracy.wrong("This is how often the answer is right on the training rows. Asked is how it fares on the test rows.")
def measured_on_training_rows(train_labels, test_labels):
    return (train_labels == most_frequent(train_labels)).mean()


@baseline_accuracy.wrong("That would be somebody who guesses at random among the labels. The one here always says the same.")
def one_over_the_number_of_labels(train_labels, test_labels):
    return 1 / len(np.unique(train_labels))


@baseline_accuracy.wrong("The average of the labels tells how frequent 1 is, as long as there are only 0 and 1. There are others here.")
def rounded_average(train_labels, test_labels):
    return (test_labels == round(train_labels.mean())).mean()


@baseline_accuracy.wrong("This is the share of mistakes; asked is how often it is right.")
def share_of_mistakes(train_labels, test_labels):
    return (test_labels != most_frequent(train_labels)).mean()


# ---------------------------------------------------------------------------------------------------- 3.2 standardise


def two_tables(rows, more, columns):
    scale, shift = rng.uniform(0.1, 40, columns), rng.normal(size=columns) * 20
    return tuple(rng.normal(size=(n, columns)) * scale + shift for n in (rows, more))


standardise = Exercise(
    "3.2", "standardise", cases=[two_tables(7, 4, 3), two_tables(11, 5, 2)],
    nudges=[
        "Average and standard deviation of each column: which axis does .mean take for that?",
        "Compute both from the training table only, and use them for both tables.",
    ],
)


@standardise.right
def _(train, test):
    columns = [(np.mean(column), np.sqrt(np.mean((column - np.mean(column)) ** 2))) for column in train.T]
    return tuple(np.array([[(v - m) / s for v, (m, s) in zip(row, columns)] for row in part]) for part in (train, test))


def by(table, source, axis: int | None = 0, spread=np.std):
    return (table - source.mean(axis)) / spread(source, axis)


@standardise.wrong("The test table was standardised by itself. It must get the treatment that the training table got, or the two do not fit together.")
def each_by_itself(train, test):
    return by(train, train), by(test, test)


@standardise.wrong("Average and deviation come from both tables together: so the test rows have a say in the training. That is peeking.")
def both_together(train, test):
    both = np.concatenate([train, test])
    return by(train, both), by(test, both)


@standardise.wrong("You took one average for the whole table. Each column has its own size, and needs its own.")
def one_average_for_all(train, test):
    return by(train, train, None), by(test, train, None)


@standardise.wrong("You divided by the variance, which is the square of the standard deviation.")
def divided_by_the_variance(train, test):
    return by(train, train, spread=np.var), by(test, train, spread=np.var)


@standardise.wrong("The scale is right, but the averages are not 0: nothing was subtracted.")
def nothing_subtracted(train, test):
    return train / train.std(0), test / train.std(0)


@standardise.wrong("The averages are 0, but the columns still have their own sizes.")
def nothing_divided(train, test):
    return train - train.mean(0), test - train.mean(0)


@standardise.wrong("Only the training table was treated. The network would see the test rows in other units than those it learned.")
def test_left_alone(train, test):
    return by(train, train), test


# ------------------------------------------------------------------------------------------------------ 3.3 logsumexp

logsumexp = Exercise(
    "3.3", "logsumexp",
    cases=[
        (rng.normal(size=(3, 5)),),
        (np.array([[1000.0, 999.0, 998.3]]),),
        (np.array([[-1000.0, -1001.2], [1000.5, 1000.1], [0.3, -0.8]]),),
    ],
    nudges=[
        "Subtract a number from all logits of a row, so that the largest exponent is 0. By how much does that change the result?",
        "log sum exp(z - m) = log sum exp(z) - m. So what has to be done afterwards?",
        "Each row needs its own m: the maximum along axis 1, with keepdims=True for the subtraction.",
    ],
)


@logsumexp.right
def _(z):
    return np.logaddexp.reduce(z, axis=1)


@logsumexp.wrong("As written on paper: but exp(1000) is too large for a computer, and exp(-1000) is 0.")
def as_written(z):
    return np.log(np.exp(z).sum(1))


@logsumexp.wrong("You subtracted the maximum, and forgot to add it again at the end.")
def maximum_not_added_again(z):
    return np.log(np.exp(z - z.max(1, keepdims=True)).sum(1))


@logsumexp.wrong("You subtract the maximum of the whole table. A row that lies far below the others then still becomes exp(-2000) = 0.")
def maximum_of_the_table(z):
    return np.log(np.exp(z - z.max()).sum(1)) + z.max()


@logsumexp.wrong("That is only the largest logit. It comes close when one is far ahead, but the others count too.")
def only_the_maximum(z):
    return z.max(1)


@logsumexp.wrong("The numbers are right, but the result shall have one number per row: shape (rows,), not (rows, 1).")
def a_column(z):
    m = z.max(1, keepdims=True)
    return np.log(np.exp(z - m).sum(1, keepdims=True)) + m


@logsumexp.wrong("You summed down the columns. An example is a row.")
def down_the_columns(z):
    m = z.max(0)
    return np.log(np.exp(z - m).sum(0)) + m


# -------------------------------------------------------------------------------------------------------- 3.4 gradient

cross_entropy_gradient = Exercise(
    "3.4", "cross_entropy_gradient",
    cases=[
        (rng.normal(size=(3, 5)), np.array([4, 0, 2])),
        (rng.normal(size=(4, 3)) * 2, np.array([1, 1, 0, 2])),
        (np.array([[900.0, 899.2, 0.4]]), np.array([1])),
    ],
    nudges=[
        "The formula stands under \"Several choices\": p_k - [k = c], for one row.",
        "Softmax of each row first (subtract its maximum before exp). Then take 1 away in one place per row: p[np.arange(n), labels].",
        "The loss is the mean over the rows. What does that do to each row's gradient?",
    ],
)


@cross_entropy_gradient.right
def _(z, labels):
    z = mg.tensor(z, requires_grad=True)
    mg.nn.functional.cross_entropy(z, mg.tensor(labels)).backward()
    return z.grad


def softmax(z, axis=1):
    e = np.exp(z - z.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


@cross_entropy_gradient.wrong("You forgot that the loss is a mean: each row counts for only its part of it.")
def without_the_mean(z, labels):
    return softmax(z) - np.eye(z.shape[1])[labels]


@cross_entropy_gradient.wrong("The sign is wrong: the slope is what was said minus what is true, not the other way round.")
def true_minus_said(z, labels):
    return (np.eye(z.shape[1])[labels] - softmax(z)) / len(z)


@cross_entropy_gradient.wrong("The mean is over the rows. You divided by the number of all logits.")
def divided_by_all_logits(z, labels):
    return (softmax(z) - np.eye(z.shape[1])[labels]) / z.size


@cross_entropy_gradient.wrong("This is the gradient of the sum of all logarithms, the formula that this lesson showed to be wrong: only the truth has a term.")
def sum_of_all_logarithms(z, labels):
    return (z.shape[1] * softmax(z) - 1) / len(z)


@cross_entropy_gradient.wrong("Only the true choices have a gradient here. But pushing the others down matters as much: softmax binds them together.")
def only_the_true_choices(z, labels):
    return (softmax(z) - 1) * np.eye(z.shape[1])[labels] / len(z)


@cross_entropy_gradient.wrong("The 1 of the truth was never taken away.")
def nothing_taken_away(z, labels):
    return softmax(z) / len(z)


@cross_entropy_gradient.wrong("Softmax went down the columns. The choices of one example stand in a row.")
def softmax_of_columns(z, labels):
    return (softmax(z, 0) - np.eye(z.shape[1])[labels]) / len(z)


@cross_entropy_gradient.wrong("Right for small logits. With one of 900, exp overflows: subtract the maximum of the row first.")
def exp_overflows(z, labels):
    e = np.exp(z)
    return (e / e.sum(1, keepdims=True) - np.eye(z.shape[1])[labels]) / len(z)


@cross_entropy_gradient.wrong("This is the loss itself, not its gradient.")
def the_loss(z, labels):
    return -np.log(softmax(z)[np.arange(len(z)), labels]).mean()
