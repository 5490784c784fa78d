# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1 · One number at a time
#
# **You will build** an engine that finds the slope of any formula by itself, one number at a time, in about thirty
# lines of Python.
#
# **Time**: about 50 minutes. **You need**: Python (functions and classes), and that you have once heard of a slope. Every
# other word is explained when it first comes.
#
# **You will have** the idea on which all of deep learning runs, in code that you can read in one breath; and the one
# worked example that is copied from article to article with wrong numbers, this time with the right ones.

# %%
import math

from minigrad.learn import BLUE, GRAY, ORANGE, RED, check, figure, show

# %% [markdown]
# ## The picture first
#
# Below is a tiny *neural network*: numbers that are computed from other numbers, in layers. Two numbers come in on the
# left. From them three numbers in the middle are computed, and from these three one number on the right. Each line
# multiplies by a number of its own, called a *weight*; where lines meet, the products are added, and one more number, a
# *bias*, is added to them.
#
# We want the result to be 0. How far off it is, is measured by one number, the *loss*. The whole of training is to turn
# the weights and biases a little, so that the loss becomes smaller, again and again. For that we must know, of each
# number, **how much the loss changes if we turn it a little**. This is its *gradient*.
#
# What to see: the values (blue) come about from left to right, the gradients (orange) from right to left. The numbers
# struck out are what a widely copied article printed for the same network.

# %% tags=["hide-input"]
X, W1, B1 = [1.0, 2.0], [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], [0.1, 0.2, 0.3]
W2, B2, TARGET = [0.1, 0.2, 0.3], 0.1, 0.0


def picture():
    """The network, drawn. minigrad computes the numbers; at the end your engine must agree."""
    import minigrad as torch

    x = torch.tensor(X, requires_grad=True)
    h = torch.relu(torch.tensor(W1) @ x + torch.tensor(B1))
    y = torch.relu(torch.tensor(W2) @ h + B2)
    loss = (y - TARGET) ** 2 / 2
    for number in (h, y, loss):
        number.retain_grad()
    loss.backward()
    dots = [(0, 0.5 - j, f"x{j + 1}", x[j], x.grad[j], None) for j in range(2)]
    dots += [(1, 1 - i, f"h{i + 1}", h[i], h.grad[i], wild) for i, wild in enumerate(("0.6", "1.0", "0.8"))]
    dots += [(2, 0, "y", y, y.grad, "0.7, 0.8, 0.9"), (3, 0, "loss", loss, loss.grad, "0.145")]

    _, axes = figure(width=6.5, height=3.6)
    for a, b in [(0, 1), (1, 2), (2, 3)]:
        for left in (dot for dot in dots if dot[0] == a):
            for right in (dot for dot in dots if dot[0] == b):
                axes.plot([left[0] + 0.2, right[0] - 0.2], [left[1], right[1]], color=GRAY, linewidth=0.8)
    for column, height, name, value, grad, wild in dots:
        axes.text(column, height + 0.13, name, ha="center", style="italic")
        value, grad = value.item(), grad.item()
        axes.text(column, height - 0.05, f"{value:.4g}", ha="center", color=BLUE, weight="bold")
        axes.text(column, height - 0.23, f"{grad:.4g}", ha="center", color=ORANGE, weight="bold")
        if wild and wild != f"{value:.1f}":
            axes.text(column, height - 0.41, wild, ha="center", color=RED)
            half = 0.018 * len(wild)
            axes.plot([column - half, column + half], [height - 0.365] * 2, color=RED, linewidth=1.2)
    for k, (word, color) in enumerate({"value": BLUE, "gradient": ORANGE, "as printed elsewhere": RED}.items()):
        axes.text(2.45, -0.85 - 0.2 * k, word, color=color)
    axes.set(xlim=(-0.4, 3.4), ylim=(-1.5, 1.35))
    axes.axis("off")
    show()


picture()

# %% [markdown]
# ## The idea
#
# **A slope is a nudge.** Turn $x$ by a tiny $\varepsilon$, see how far $f(x)$ moves, and divide. Nudging to both sides is more exact
# than to one:
#
# $$\text{slope of } f \text{ at } x \;\approx\; \frac{f(x+\varepsilon)-f(x-\varepsilon)}{2\,\varepsilon}$$

# %%
def nudge(f, x, eps=1e-6):
    """The slope of f at x, measured."""
    return (f(x + eps) - f(x - eps)) / (2 * eps)


print("slope of 3x + 2 at x = 5:", round(nudge(lambda x: 3 * x + 2, 5.0), 6))
print("slope of x * x  at x = 5:", round(nudge(lambda x: x * x, 5.0), 6))

# %% [markdown]
# That would do for a handful of weights. A real network has millions, and each nudge computes the whole network twice. So
# we use a rule that gives all slopes at once, the *chain rule*. It has two halves:
#
# - **In a row, slopes multiply.** If $u$ moves 3 times as fast as $x$, and the loss 2 times as fast as $u$, then the loss
#   moves 6 times as fast as $x$.
# - **Side by side, slopes add.** If $x$ reaches the loss in two ways, each way does its part.
#
# Write $L$ for the loss, and $\frac{\partial L}{\partial x}$ for "how much $L$ changes per change of $x$". If the numbers
# $u$ were computed directly from $x$, both halves together are
#
# $$\frac{\partial L}{\partial x} \;=\; \sum_{u \text{ computed from } x}
#   \frac{\partial L}{\partial u}\cdot\frac{\partial u}{\partial x}$$
#
# Each single operation is so simple that its own slope $\frac{\partial u}{\partial x}$ is known by heart:
#
# | operation | slope with respect to $a$ | with respect to $b$ |
# |---|---|---|
# | $a + b$ | $1$ | $1$ |
# | $a \cdot b$ | $b$ | $a$ |
# | $\mathrm{ReLU}(a) = \max(a, 0)$ | $1$ if $a > 0$, else $0$ | |
#
# ReLU ("rectified linear unit") lets positive numbers through and makes 0 of the others. Without such a bend between its
# layers a network could only ever compute straight lines, however many layers it had: a line of a line is a line.

# %% [markdown]
# ## Build it
#
# A `Value` is a number that remembers what it was computed from: for each of its *parents*, the number itself and the
# slope towards it. `backward` then walks down all the ways from the loss to the inputs: along a way it multiplies
# slopes, and where ways meet it adds. These are the two halves of the chain rule. To compute gradients in this way, from the
# loss backwards, is called *backpropagation*.

# %%
class Value:
    """A number that remembers what it was computed from."""

    def __init__(self, data, parents=()):
        self.data = data
        self.parents = parents  # pairs: a Value, and the slope of this number with respect to it
        self.grad = 0.0  # how much the final result changes if this number does

    def __add__(self, other):
        return Value(self.data + other.data, [(self, 1.0), (other, 1.0)])

    def __mul__(self, other):
        return Value(self.data * other.data, [(self, other.data), (other, self.data)])

    def relu(self):
        return Value(max(self.data, 0.0), [(self, 1.0 if self.data > 0 else 0.0)])

    def backward(self, grad=1.0):
        self.grad += grad
        for parent, slope in self.parents:
            parent.backward(grad * slope)

    def __repr__(self):
        return f"Value({self.data:.6g}, grad={self.grad:.6g})"


# %% [markdown]
# That is the engine. A first try, where $a$ reaches the result in two ways:

# %%
a, b = Value(3.0), Value(-2.0)
result = a * b + a * a
result.backward()
print("result", result)
print("a     ", a, "  measured:", round(nudge(lambda x: x * -2.0 + x * x, 3.0), 6))
print("b     ", b, "  measured:", round(nudge(lambda x: 3.0 * x + 3.0 * 3.0, -2.0), 6))
assert abs(a.grad - nudge(lambda x: x * -2.0 + x * x, 3.0)) < 1e-6


# %% [markdown]
# Now the network of the picture. It is called 2-3-1, after the sizes of its layers. In formulas, for each number $h_i$ in
# the middle and the result $y$:
#
# $$h_i = \mathrm{ReLU}\Bigl(\sum_j W^{(1)}_{ij} x_j + b^{(1)}_i\Bigr),\qquad
#   y = \mathrm{ReLU}\Bigl(\sum_i W^{(2)}_i h_i + b^{(2)}\Bigr),\qquad
#   L = \tfrac12 (y - t)^2$$
#
# The target $t$ is 0. The loss is half the square of the error: always positive, larger the further off; and the half
# makes its slope simply $y - t$. What training may change, the weights and biases, are called the *parameters*.

# %%
def parameters():
    """The parameters of the 2-3-1 network, as Values."""
    return {
        "W1": [[Value(w) for w in row] for row in W1],
        "b1": [Value(b) for b in B1],
        "W2": [Value(w) for w in W2],
        "b2": Value(B2),
    }


def network(p):
    """The network's result, and the three numbers in the middle."""
    x = [Value(number) for number in X]
    h = [(row[0] * x[0] + row[1] * x[1] + b).relu() for row, b in zip(p["W1"], p["b1"])]
    y = (p["W2"][0] * h[0] + p["W2"][1] * h[1] + p["W2"][2] * h[2] + p["b2"]).relu()
    return y, h


def half_square(y, target):
    """Half the square of the error."""
    error = y + Value(-target)
    return Value(0.5) * error * error


p = parameters()
y, h = network(p)
loss = half_square(y, TARGET)
loss.backward()

print("h   ", [round(v.data, 6) for v in h])
print("y   ", round(y.data, 6))
print("loss", round(loss.data, 6))
print("gradient of W2", [round(w.grad, 6) for w in p["W2"]])
print("gradient of b2", round(p["b2"].grad, 6))
print("gradient of W1", [[round(w.grad, 6) for w in row] for row in p["W1"]])
print("gradient of b1", [round(b.grad, 6) for b in p["b1"]])

# %% [markdown]
# Do not believe it: measure it. Every one of the thirteen parameters is nudged, and the loss computed anew.

# %%
def flat(p):
    """All parameters in a row."""
    return [w for row in p["W1"] for w in row] + p["b1"] + p["W2"] + [p["b2"]]


def loss_with(position, number):
    """The loss, with one parameter replaced."""
    q = parameters()
    flat(q)[position].data = number
    return half_square(network(q)[0], TARGET).data


for position, parameter in enumerate(flat(p)):
    measured = nudge(lambda number, k=position: loss_with(k, number), parameter.data)
    assert abs(parameter.grad - measured) < 1e-8
print("all", len(flat(p)), "gradients agree with a nudge")

# %% [markdown]
# **A step downhill.** The gradient says which way the loss grows. So each parameter goes a little *against* its gradient:
# new = old - rate · gradient. The *learning rate* says how little. This is called *gradient descent*.

# %%
def descend(p, rate):
    """One step of gradient descent."""
    for parameter in flat(p):
        parameter.data -= rate * parameter.grad
        parameter.grad = 0.0  # forget it, or the next one would be added to it


losses = [loss.data]
descend(p, rate=0.1)
print("after one step, W2 is", [round(w.data, 6) for w in p["W2"]])
print("b2 is", round(p["b2"].data, 6))
print("W1 is", [[round(w.data, 6) for w in row] for row in p["W1"]])
for _ in range(8):
    new = half_square(network(p)[0], TARGET)
    losses.append(new.data)
    new.backward()
    descend(p, rate=0.1)
print("the losses:", *(f"{number:.6f}" for number in losses))

# %% [markdown]
# ## Break it
#
# The worked example of this network is copied from article to article. Nearly every number in it is wrong, in ways that
# are worth knowing, for they are the mistakes that everybody makes once. Each cell runs the wrong version and shows where
# it fails.
#
# :::{admonition} Seen in the wild: a network of one result with three biases
# :class: warning
# The article gives the last layer three biases and three results, and multiplies a 3x1 table by a 3x1 table. A layer with
# one result has one bias; and rows times columns must fit.
# :::

# %%
import numpy as np  # tables of numbers; the next lesson is about them

# E2: (3x1) times (3x1) does not exist
try:
    np.ones((3, 1)) @ np.ones((3, 1))
except ValueError as error:
    print("NumPy:", str(error)[:60], "...")
else:
    raise AssertionError("these should not fit")
# one row of three weights, times a column of three numbers: one result
assert (np.ones((1, 3)) @ np.ones((3, 1))).shape == (1, 1)

# %% [markdown]
# :::{admonition} Seen in the wild: the values
# :class: warning
# "The middle layer is 0.6, 1.0, 0.8; the result 0.7, 0.8, 0.9; the loss 0.145." Only the very first number is right. The
# loss does not even follow from the article's own three results. (Would another bend at the end explain them? The cell also
# tries the *sigmoid*, $1/(1+e^{-x})$, a smooth one from 0 to 1. It does not.)
# :::

# %%
# E3: the middle layer. The first row is right, the others are not
wild_h = [0.6, 1.0, 0.8]
right_h = [row[0] * X[0] + row[1] * X[1] + b for row, b in zip(W1, B1)]
print("E3  h:    wild", wild_h, " right", [round(n, 6) for n in right_h])
assert abs(right_h[0] - wild_h[0]) < 1e-12
assert abs(right_h[1] - wild_h[1]) > 0.2 and abs(right_h[2] - wild_h[2]) > 1

# E4: one result, not three; and none of the three is it
wild_y = [0.7, 0.8, 0.9]
right_y = sum(w * n for w, n in zip(W2, right_h)) + B2
sigmoid = 1 / (1 + math.exp(-right_y))
print("E4  y:    wild", wild_y, " right", round(right_y, 6), " with a sigmoid", round(sigmoid, 6))
assert all(abs(number - right_y) > 0.1 and abs(number - sigmoid) > 0.03 for number in wild_y)

# E5: the loss. From the article's own results it would be another number
wild_loss, own = 0.145, sum(number**2 for number in wild_y) / 2
print(f"E5  loss: wild {wild_loss}, of its own results {own:.4f}, right {right_y**2 / 2:.4f}")
assert abs(own - wild_loss) > 0.8 and abs(right_y**2 / 2 - wild_loss) > 0.3

# %% [markdown]
# :::{admonition} Seen in the wild: the gradients
# :class: warning
# "The gradient of the weights is -0.7, -0.8, -0.9": target minus result, with the wrong sign and without the chain rule.
# One more article gives $\frac{\partial L}{\partial w_{ij}} = (y_i - t_i)\,s'(z_j)$, with $s'$ the slope of the bend: there
# the number $h_j$ that the weight multiplies is missing, and the slope is taken at the wrong place.
# :::

# %%
p = parameters()
half_square(network(p)[0], TARGET).backward()
ours = [w.grad for w in p["W2"]]
measured = [nudge(lambda n, k=k: loss_with(k, n), W2[k - 9]) for k in (9, 10, 11)]

# E6: the wrong sign. Going against this "gradient" climbs, so the loss grows
wild = [-0.7, -0.8, -0.9]
print("E6  wild", wild, " ours", [round(g, 6) for g in ours], " measured", np.round(measured, 6))
assert all(w < 0 < m for w, m in zip(wild, measured))
q = parameters()
for w, g in zip(q["W2"], wild):
    w.data -= 0.1 * g
worse = half_square(network(q)[0], TARGET).data
print(f"    the loss goes from {loss.data:.4f} to {worse:.4f}")
assert worse > loss.data

# E9: (y - t) * slope, without h_j: the same for all three weights
wild = [right_y - TARGET] * 3
print("E9  wild", [round(g, 6) for g in wild], " measured", [round(g, 6) for g in measured])
assert max(abs(w - m) for w, m in zip(wild, measured)) > 0.9
assert all(abs(w * n - m) < 1e-8 for w, n, m in zip(wild, right_h, measured))  # times h_j it is right

# %% [markdown]
# :::{admonition} Seen in the wild: the step
# :class: warning
# "0.1 - 0.7 · rate", with a gradient of -0.7. Minus times minus is plus: the step subtracts the gradient, and this one is
# negative. (Two mistakes, the sign of the gradient and the sign of the step, cancel here, and the weight moves the right way:
# the most treacherous kind of error. The article also says that it uses Adam, which it does not: see lesson 4.)
#
# And: "backpropagation is an optimisation algorithm". It is not. It computes gradients and changes nothing; the step
# changes something.
# :::

# %%
# E7: with its own gradient, the article's step should have gone up
rate, gradient = 0.1, -0.7
wild, its_own = 0.1 + rate * gradient, 0.1 - rate * gradient
right = 0.1 - rate * ours[0]
print(f"E7  wild {wild:.4f}, old - rate * its gradient {its_own:.4f}, right {right:.4f}")
assert wild < 0.1 < its_own

# E12: backward moves no parameter
p = parameters()
before = [parameter.data for parameter in flat(p)]
half_square(network(p)[0], TARGET).backward()
assert [parameter.data for parameter in flat(p)] == before
print("E12 after backward the parameters are what they were")
descend(p, rate=0.1)
assert [parameter.data for parameter in flat(p)] != before

# %% [markdown]
# **Now break our own.** `backward` walks down every way from the loss to the inputs. How many ways are there? Let each number
# be added to itself: $x_1 = x_0 + x_0$, $x_2 = x_1 + x_1$ and so on. Every level doubles the number of ways.

# %%
visits = 0


class Counted(Value):
    """A Value that counts how often backward comes by."""

    def __add__(self, other):
        return Counted(self.data + other.data, [(self, 1.0), (other, 1.0)])

    def backward(self, grad=1.0):
        global visits
        visits += 1
        super().backward(grad)


for levels in (2, 4, 8, 16):
    visits, x = 0, Counted(1.0)
    top = x
    for _ in range(levels):
        top = top + top
    top.backward()
    print(f"{levels:2} additions: gradient {x.grad:7g}, {visits:6} visits")
assert visits > 100_000

# %% [markdown]
# The gradients are right, but sixteen additions cost more than a hundred thousand visits. Each number should be visited
# *once*, after everything that was computed from it has had its turn: then its gradient is complete when it is passed on.
# Exercises 1.2 and 1.3 make this repair, and it is exactly what minigrad does.

# %% [markdown]
# ## On real data
#
# In 1936 Ronald Fisher published four lengths of 150 iris flowers. Can the width of a petal be told from its length? We
# fit a straight line, width = weight · length + bias, with our own engine: the loss of each flower is half the square
# of its error, and since gradients add up, one `backward` per flower collects the gradient of all.
#
# Two numbers make the result honest. The *baseline*: how well would somebody do who always says the average width? And
# the best possible line, which happens to have a formula (`np.polyfit`).

# %%
from minigrad.datasets import load_table

iris = load_table("iris")
length, width = iris.x[:, 2].tolist(), iris.x[:, 3].tolist()
weight, bias, n = Value(0.0), Value(0.0), len(length)


def error_of(line):
    """The mean square of the errors that a line makes."""
    return sum((line(a) - b) ** 2 for a, b in zip(length, width)) / n


for _ in range(300):
    for a, b in zip(length, width):
        half_square(weight * Value(a) + bias, b).backward(1 / n)  # 1/n: the mean over the flowers
    for parameter in (weight, bias):
        parameter.data -= 0.1 * parameter.grad
        parameter.grad = 0.0

average = sum(width) / n
slope, offset = np.polyfit(length, width, 1)
ours = error_of(lambda a: weight.data * a + bias.data)
print(f"baseline, always {average:.2f} cm: mean square error {error_of(lambda a: average):.4f}")
print(f"ours, {weight.data:.3f} * length {bias.data:+.3f}:    mean square error {ours:.4f}")
best = error_of(lambda a: slope * a + offset)
print(f"best, {slope:.3f} * length {offset:+.3f}:    mean square error {best:.4f}")
assert ours < 1.01 * best

# %% tags=["hide-input"]
_, axes = figure(width=6, height=3.2)
axes.scatter(length, width, s=12, color=BLUE, alpha=0.6, linewidths=0, label="150 flowers")
ends = [min(length), max(length)]
axes.plot(ends, [average] * 2, color=GRAY, linestyle="--", label="baseline: the average")
axes.plot(ends, [weight.data * a + bias.data for a in ends], color=ORANGE, label="our line")
axes.set(xlabel="length of the petal (cm)", ylabel="width (cm)")
axes.legend()
show()

# %% [markdown]
# ## Exercises
#
# Write your answer where it says `NotImplementedError`, run the cell and the one below it. `[ ]` means not written yet,
# `[x]` not right yet, `[v]` done. (In an editor without cells: save the file, and say `minigrad learn check 1` in a terminal.) If you
# are stuck, `minigrad learn hint 1.1` gives a nudge, and another one when you ask again.
#
# ### 1.1 Another bend: tanh
#
# The function $\tanh(a) = \frac{e^a - e^{-a}}{e^a + e^{-a}}$ bends smoothly from -1 to 1. Python has it as `math.tanh`. Write a function that
# returns two numbers: $\tanh(a)$, and its slope at $a$. There is a neat way to get the slope from the value; but any
# way that is right will do.

# %% tags=["exercise-1.1"]
def tanh(a):
    raise NotImplementedError("exercise 1.1")


# %%
check("1.1", tanh)

# %% [markdown]
# ### 1.2 In which order?
#
# Write `ordered(result)`: a list of all Values that `result` was computed from, and `result` itself. Each is in the list
# *once*, and only after all of its parents. So the inputs stand at the front, and `result` stands last.
# (This is called a *topological order*. A Value has `.parents`, pairs of a Value and a slope.)

# %% tags=["exercise-1.2"]
def ordered(result):
    raise NotImplementedError("exercise 1.2")


# %%
check("1.2", ordered)

# %% [markdown]
# ### 1.3 Every number once
#
# Write `backward_once(values)`. It gets the list that 1.2 makes, with the result last, and sets the `grad` of every Value
# in it. All are 0.0 when it begins. Each Value passes its gradient to its parents once.

# %% tags=["exercise-1.3"]
def backward_once(values):
    raise NotImplementedError("exercise 1.3")


# %%
check("1.3", backward_once)

# %% [markdown]
# ### 1.4 The table, done right
#
# Do by hand what the engine does: write the gradients of the 2-3-1 network with plain numbers and lists, without `Value`.
# Return a dictionary with the value of `"h"`, `"y"` and `"loss"`, and the gradients of `"W2"`, `"b2"`, `"W1"` and `"b1"`,
# each of the same form as the parameter itself. The check also tries other numbers, some of which ReLU stops.

# %% tags=["exercise-1.4"]
def by_hand(x, W1, b1, W2, b2, target):
    raise NotImplementedError("exercise 1.4")


# %%
check("1.4", by_hand)

# %% [markdown]
# ## In PyTorch and in minigrad
#
# A `Value` is what PyTorch calls a *tensor* that `requires_grad`, with one number in it. minigrad has PyTorch's names, so
# the cell below would run in both. It computes the 2-3-1 network again and finds the gradients of our thirty lines.

# %%
import minigrad as torch

x = torch.tensor(X)
w1, b1 = torch.tensor(W1, requires_grad=True), torch.tensor(B1, requires_grad=True)
w2, b2 = torch.tensor(W2, requires_grad=True), torch.tensor(B2, requires_grad=True)
y = torch.relu(w2 @ torch.relu(w1 @ x + b1) + b2)
loss = (y - TARGET) ** 2 / 2
loss.backward()
print("loss", loss)
print("gradient of W2", w2.grad)
print("gradient of W1", w1.grad)

p = parameters()
half_square(network(p)[0], TARGET).backward()
found = [*w1.grad.flatten().tolist(), *b1.grad.tolist(), *w2.grad.tolist(), b2.grad.item()]
assert all(abs(number - parameter.grad) < 1e-6 for number, parameter in zip(found, flat(p)))
print("the same", len(found), "gradients")

# %% [markdown]
# | here | in PyTorch and minigrad | where to read it |
# |---|---|---|
# | `Value` with `parents` | a `Tensor` with its node in the graph | `minigrad/tensor.py`, and `Node` in `minigrad/autograd.py` |
# | slopes, computed on the way forward | rules, run on the way backward | `minigrad/op.py`, and the formulas in `minigrad/ops/` |
# | `ordered`, `backward_once` (1.2, 1.3) | `loss.backward()` | `_differentiate` in `minigrad/autograd.py` |
# | `parameter.grad = 0.0` | `optimizer.zero_grad()` | `minigrad/optim/optimizer.py` |
# | `descend` | `torch.optim.SGD` | `minigrad/optim/sgd.py`, lesson 4 |
# | `nudge` | `torch.autograd.gradcheck` | `minigrad/debug/gradcheck.py`, lesson 2 |
#
# What is still missing is size: a real network computes with millions of numbers, and a Python object for each would be far
# too slow. Lesson 2 puts whole tables of numbers where here stood one.
