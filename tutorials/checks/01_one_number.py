"""Lesson 1: what its exercises should give, and the mistakes that are known."""

from __future__ import annotations

import math

import minigrad as mg
from minigrad.learn import Exercise


class Number:
    """What 1.2 and 1.3 are tried on: like the lesson's Value, a number, its parents, its gradient."""

    def __init__(self, name, parents=()):
        self.name, self.parents, self.grad = name, list(parents), 0.0


def chain():
    """Three in a row."""
    a = Number("a")
    b = Number("b", [(a, 3.0)])
    return Number("c", [(b, -0.7)])


def diamond():
    """One number, two ways, one result: a reaches d by b, by c, and directly."""
    a, k = Number("a"), Number("k")
    b = Number("b", [(a, 2.0), (k, -0.3)])
    c = Number("c", [(b, 0.4), (a, 1.7)])
    return Number("d", [(a, 0.6), (c, -1.1), (b, 5.0)])


def tower():
    """Each number twice in the next: many ways, few numbers."""
    top = Number("0")
    for level in range(1, 8):
        top = Number(str(level), [(top, 0.9), (top, 0.3)])
    return top


def everything(result):
    """All numbers below a result, in the order in which they were met, parents first."""
    found: list = []

    def meet(number):
        if number not in found:
            for parent, _ in number.parents:
                meet(parent)
            found.append(number)

    meet(result)
    return found


# ----------------------------------------------------------------------------------------------------------- 1.1 tanh

tanh = Exercise(
    "1.1", "tanh", cases=[(0.3,), (-1.7,), (2.2,), (-0.05,)],
    nudges=[
        "If you know no formula, take `nudge` from the lesson: a measured slope counts too.",
        "Write t for the value. The slope is highest where t is 0, and nearly 0 where t is nearly 1 or -1. "
        "Which simple expression in t does that?",
        "Where t is 1 or -1 the slope is 0, so t occurs squared; where t is 0 it is 1.",
    ],
)


@tanh.right
def _(a):
    h = 1e-6
    return math.tanh(a), (math.tanh(a + h) - math.tanh(a - h)) / (2 * h)


@tanh.wrong("You put the input where the output belongs: in that formula stands the value of tanh, not a itself.")
def input_in_place_of_output(a):
    return math.tanh(a), 1 - a * a


@tanh.wrong("Close: at 0 it is right, but the slope must be the same for a and -a. Something is not squared.")
def not_squared(a):
    return math.tanh(a), 1 - math.tanh(a)


@tanh.wrong("This is the slope of the sigmoid, s (1 - s), with tanh put in for s. The two functions are relatives, not twins.")
def slope_of_the_sigmoid(a):
    return math.tanh(a), math.tanh(a) * (1 - math.tanh(a))


@tanh.wrong("The value is right, but you gave the value where the slope should be.")
def value_twice(a):
    return math.tanh(a), math.tanh(a)


@tanh.wrong("This is the slope of ReLU, 0 or 1. tanh bends smoothly, and flattens on both sides.")
def slope_of_relu(a):
    return math.tanh(a), 1.0 if a > 0 else 0.0


@tanh.wrong("Two numbers are asked for: the value, then the slope. You swapped them.")
def swapped(a):
    return 1 - math.tanh(a) ** 2, math.tanh(a)


# ---------------------------------------------------------------------------------------------------------- 1.2 order

ordered = Exercise(
    "1.2", "ordered", cases=[(chain,), (diamond,), (tower,)],
    nudges=[
        "Write a function inside that visits one Value: first it visits all parents, then it puts the Value itself in the list.",
        "A Value that was visited before must not be visited again: keep a set of those.",
    ],
)


@ordered.observe
def _(answer, make):
    result = make()
    order = list(answer(result))
    place = {id(number): k for k, number in enumerate(order)}
    early = [n.name for k, n in enumerate(order) if any(place.get(id(parent), -1) >= k for parent, _ in n.parents)]
    return {
        "in the list": sorted(getattr(number, "name", repr(number)) for number in order),
        "before one of its parents": early,
        "last": getattr(order[-1], "name", None) if order else None,
    }


@ordered.right
def _(result):
    return everything(result)


@ordered.wrong("A Value comes before its parents: you put it in the list before you visit them. Turn the two around.")
def itself_before_parents(result):
    order, seen = [], set()

    def visit(value):
        if value not in seen:
            seen.add(value)
            order.append(value)
            for parent, _ in value.parents:
                visit(parent)

    visit(result)
    return order


@ordered.wrong("Some Values are in the list more than once, one time for each way that leads to them. Remember whom you have seen.")
def once_for_each_way(result):
    order = []

    def visit(value):
        for parent, _ in value.parents:
            visit(parent)
        order.append(value)

    visit(result)
    return order


@ordered.wrong(
    "Turning around a walk from the result, level by level, is not enough: where a long and a short way lead to the "
    "same Value, it comes out on the wrong side of one of them."
)
def level_by_level(result):
    order, queue = [], [result]
    while queue:
        value = queue.pop(0)
        if value not in order:
            order.append(value)
            queue += [parent for parent, _ in value.parents]
    return order[::-1]


@ordered.wrong("The numbers that were computed from nothing are missing: they have no parents, but their gradients are what we want.")
def without_inputs(result):
    return [number for number in everything(result) if number.parents]


@ordered.wrong("The result itself belongs in the list too, at its end.")
def without_the_result(result):
    return everything(result)[:-1]


@ordered.wrong("All are there, but back to front: parents first, please, and the result last.")
def back_to_front(result):
    return everything(result)[::-1]


# ------------------------------------------------------------------------------------------------------- 1.3 backward

backward_once = Exercise(
    "1.3", "backward_once", cases=[(chain,), (diamond,), (tower,)],
    nudges=[
        "The gradient of the result is 1: the loss moves as fast as itself. Everybody else's begins at 0.",
        "Go through the list from its end. What does a Value owe each of its parents?",
        "Each parent gets the Value's gradient times the slope, on top of what it already has.",
    ],
)


@backward_once.observe
def _(answer, make):
    order = everything(make())
    answer(order)
    return {number.name: number.grad for number in order}


@backward_once.right
def _(values):
    def send(value, grad):  # down every way, as the lesson does it
        value.grad += grad
        for parent, slope in value.parents:
            send(parent, grad * slope)

    send(values[-1], 1.0)


@backward_once.wrong(
    "Where two ways meet, the second one wiped out what the first had brought. (The most famous mistake in backpropagation, "
    "and it is one character long.)"
)
def assigned_not_added(values):
    values[-1].grad = 1.0
    for value in reversed(values):
        for parent, slope in value.parents:
            parent.grad = value.grad * slope


@backward_once.wrong("All gradients are zero: nobody has told the result that its own gradient is 1.")
def never_begun(values):
    for value in reversed(values):
        for parent, slope in value.parents:
            parent.grad += value.grad * slope


@backward_once.wrong("You went from the inputs to the result. The gradient travels the other way: begin at the end of the list.")
def front_to_back(values):
    values[-1].grad = 1.0
    for value in values:
        for parent, slope in value.parents:
            parent.grad += value.grad * slope


@backward_once.wrong("You hand on the slope alone. What has come down to this Value so far belongs in the product: in a row, slopes multiply.")
def slopes_not_multiplied(values):
    values[-1].grad = 1.0
    for value in reversed(values):
        for parent, slope in value.parents:
            parent.grad += slope


@backward_once.wrong("In a row, slopes multiply. You add them up.")
def slopes_added_in_a_row(values):
    values[-1].grad = 1.0
    for value in reversed(values):
        for parent, slope in value.parents:
            parent.grad += value.grad + slope


@backward_once.wrong("Every Value begins with a gradient of 1 here. Only the result does: it alone is the loss.")
def all_begin_with_one(values):
    for value in values:
        value.grad = 1.0
    for value in reversed(values):
        for parent, slope in value.parents:
            parent.grad += value.grad * slope


# -------------------------------------------------------------------------------------------------------- 1.4 by hand

FAMOUS = ([1.0, 2.0], [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], [0.1, 0.2, 0.3], [0.1, 0.2, 0.3], 0.1, 0.0)
BENT = ([0.7, -1.3], [[0.4, 0.9], [1.1, -0.6], [-0.8, -0.5]], [0.2, -0.1, 0.35], [0.7, 1.2, -0.4], 0.15, 0.6)
SILENT = ([-0.9, 0.4], [[0.3, -0.7], [-1.2, 0.8], [0.6, 1.1]], [0.1, 0.3, 0.2], [-0.6, -0.9, 0.5], -0.2, 0.45)

by_hand = Exercise(
    "1.4", "by_hand", cases=[FAMOUS, BENT, SILENT],
    nudges=[
        "Go forward first and keep what you compute. Then come back: begin with how the loss changes with y, which is y - target.",
        "y came out of a ReLU. If that let nothing through, no gradient comes back through it either.",
        "A weight's gradient is the gradient of the sum it belongs to, times the number it multiplies; a bias's is that of the "
        "sum itself. And h_i gets its gradient through W2[i].",
    ],
)


@by_hand.right
def _(x, W1, b1, W2, b2, target):
    tensors = [mg.tensor(v, dtype=mg.float64, requires_grad=True) for v in (W1, b1, W2, b2)]
    w, b, v, c = tensors
    h = mg.relu(w @ mg.tensor(x, dtype=mg.float64) + b)
    y = mg.relu(v @ h + c)
    loss = (y - target) ** 2 / 2
    loss.backward()
    names = dict(zip(("W1", "b1", "W2", "b2"), (t.grad for t in tensors)))
    return {"h": h, "y": y, "loss": loss} | {name: names[name] for name in ("W2", "b2", "W1", "b1")}


def worked(x, W1, b1, W2, b2, target, *, sign=1, gate_y=True, gate_h=True, h_in_w2=True, through_w2=True, half=True,
           bias_in_h=True, x_in_w1=True):
    """The table, with one thing at a time left out."""
    z = [sum(w * n for w, n in zip(row, x)) + b * bias_in_h for row, b in zip(W1, b1)]
    h = [max(n, 0.0) for n in z]
    s = sum(w * n for w, n in zip(W2, h)) + b2
    y = max(s, 0.0)
    up = sign * (y - target) * (s > 0 or not gate_y)
    gh = [up * (w if through_w2 else 1.0) * (n > 0 or not gate_h) for w, n in zip(W2, z)]
    return {
        "h": h, "y": y, "loss": (y - target) ** 2 * (0.5 if half else 1.0),
        "W2": [up * (n if h_in_w2 else 1.0) for n in h], "b2": up,
        "W1": [[g * (n if x_in_w1 else 1.0) for n in x] for g in gh], "b1": gh,
    }


@by_hand.wrong("Every gradient has the wrong sign: it looks as if you took target - y. The loss grows with y - target.")
def target_minus_y(*case):
    return worked(*case, sign=-1)


@by_hand.wrong("The number that a weight of the last layer multiplies is missing from its gradient (a formula that is missing in print, too).")
def without_h(*case):
    return worked(*case, h_in_w2=False)


@by_hand.wrong("The numbers that the weights of the first layer multiply are missing from their gradients.")
def without_x(*case):
    return worked(*case, x_in_w1=False)


@by_hand.wrong("On the way back to the first layer you have not gone through the weights of the second one.")
def not_through_the_second_layer(*case):
    return worked(*case, through_w2=False)


@by_hand.wrong("Some of the middle numbers were stopped by ReLU on the way forward. Nothing may come back through them, either.")
def middle_relu_forgotten(*case):
    return worked(*case, gate_h=False)


@by_hand.wrong("In one of the cases the result itself was stopped by ReLU: y is 0, and nothing comes back, for anybody.")
def last_relu_forgotten(*case):
    return worked(*case, gate_y=False)


@by_hand.wrong("The loss here is half the square of the error. Yours is twice as large; the gradients are right.")
def loss_without_half(*case):
    return worked(*case, half=False)


@by_hand.wrong("The middle numbers lack their biases.")
def without_first_biases(*case):
    return worked(*case, bias_in_h=False)
