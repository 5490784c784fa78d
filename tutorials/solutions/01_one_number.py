"""Lesson 1, solved."""

# %% tags=["exercise-1.1"]
def tanh(a):
    t = math.tanh(a)
    return t, 1 - t * t  # differentiate (e^a - e^-a) / (e^a + e^-a): what comes out is 1 minus the square of the same


# %% tags=["exercise-1.2"]
def ordered(result):
    order, seen = [], set()

    def visit(value):
        if value in seen:
            return
        seen.add(value)
        for parent, _ in value.parents:  # all of its parents first,
            visit(parent)
        order.append(value)  # then the Value itself

    visit(result)
    return order


# %% tags=["exercise-1.3"]
def backward_once(values):
    values[-1].grad = 1.0  # the result moves as fast as itself
    for value in reversed(values):  # whoever was computed from this Value has had its turn: its gradient is complete
        for parent, slope in value.parents:
            parent.grad += value.grad * slope  # in a row, slopes multiply; where ways meet, they add


# %% tags=["exercise-1.4"]
def by_hand(x, W1, b1, W2, b2, target):
    sums = [sum(w * n for w, n in zip(row, x)) + b for row, b in zip(W1, b1)]
    h = [max(s, 0.0) for s in sums]
    last = sum(w * n for w, n in zip(W2, h)) + b2
    y = max(last, 0.0)

    from_y = (y - target) * (last > 0)  # how the loss changes with the sum in the last ReLU
    from_h = [from_y * w * (s > 0) for w, s in zip(W2, sums)]  # with each sum in the first ReLUs
    return {
        "h": h,
        "y": y,
        "loss": (y - target) ** 2 / 2,
        "W2": [from_y * n for n in h],
        "b2": from_y,
        "W1": [[g * n for n in x] for g in from_h],
        "b1": from_h,
    }
