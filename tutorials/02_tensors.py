# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2 · Tensors, broadcasting and the gradient check
#
# **You will build** the engine of lesson 1 again, for whole tables of numbers at once, and a tool that finds every wrong
# gradient: the gradient check.
#
# **Time**: about 60 minutes. **You need**: lesson 1, and NumPy's arrays (`a + b`, `a.sum()`, `a.shape`).
#
# **You will have** the two habits that save the most hours in deep learning: to think in shapes, and never to believe a
# gradient that was not measured.

# %%
import numpy as np

from minigrad.learn import BLUE, GRAY, GREEN, ORANGE, RED, check, figure, show

rng = np.random.default_rng(2)  # random numbers, the same every time

# %% [markdown]
# ## The picture first
#
# A *gradient* is a table of the same shape as the table of weights: one slope for each weight. Each square below is one weight.
# Its colour is the difference between the slope that a formula gives and the slope that is measured with a nudge, as in lesson 1.
#
# What to see: on the left the formula is right, and there is nothing to see. On the right one factor was forgotten. The
# formula has no syntax error, raises nothing, even trains a little. Only the comparison shows that it is wrong.

# %% tags=["hide-input"]
def heat(axes, table, limit, title):
    """A table as coloured squares: blue is below zero, orange above, and zero can hardly be seen."""
    from matplotlib.colors import LinearSegmentedColormap

    colors = LinearSegmentedColormap.from_list("difference", [BLUE, GRAY + "18", ORANGE])
    axes.pcolormesh(table[::-1], cmap=colors, vmin=-limit, vmax=limit, edgecolors=GRAY, linewidth=0.3)
    axes.set(title=title, xticks=[], yticks=[], aspect="equal")
    axes.spines[:].set_visible(False)


def picture():
    x, w, c = rng.normal(size=(9, 5)), rng.normal(size=(5, 7)), rng.normal(size=(9, 7))
    slopes = np.zeros_like(w)
    for i in np.ndindex(w.shape):
        nudge = np.zeros_like(w)
        nudge[i] = 1e-6
        slopes[i] = (c * (np.tanh(x @ (w + nudge)) - np.tanh(x @ (w - nudge)))).sum() / 2e-6
    y = np.tanh(x @ w)
    right, wrong = x.T @ (c * (1 - y * y)), x.T @ c
    _, axes = figure(1, 2, width=6.5, height=2.6)
    heat(axes[0], right - slopes, 5, f"right: at most {abs(right - slopes).max():.0e} apart")
    heat(axes[1], wrong - slopes, 5, f"a factor forgotten: up to {abs(wrong - slopes).max():.1f} apart")
    show()


picture()

# %% [markdown]
# ## The idea
#
# **A tensor is a table of numbers with a shape.** Shape `()` is one number, `(3,)` a row of three, `(2, 3)` two rows of three,
# `(10, 2, 3)` ten such tables. Each place in the shape is a *dimension* (NumPy says *axis*).
#
# **Rules instead of slopes.** In lesson 1 each operation kept its slopes. For tables that would be far too many: every
# number of the result has a slope towards every number of the input. What is needed is only what becomes of the gradient. So each
# operation has a *rule*: it gets $g$, the gradient of the loss with respect to the operation's *result*, and returns the gradient
# with respect to its *input*. $g$ always has the shape of the result; what the rule returns, always that of the input.
#
# | operation | result | rule |
# |---|---|---|
# | add | $y = a + b$ | $g$ for $a$, and $g$ for $b$ |
# | multiply, number by number | $y = a\,b$ | $g\,b$ for $a$, and $g\,a$ for $b$ |
# | tanh, number by number | $y = \tanh(a)$ | $g\,(1 - y^2)$ |
# | sum of all | $y = \sum_i a_i$ | $g$, repeated for each number of $a$ |
# | rows times columns | $Y = A B$ | $g B^\top$ for $A$, and $A^\top g$ for $B$ |
#
# The last line, the *matrix product*, is the work-horse. $Y_{ij} = \sum_k A_{ik} B_{kj}$ is the sum of lesson 1, a row of
# numbers times a row of weights, for many rows and many sums at once. $A_{ik}$ occurs in every $Y_{ij}$ of its row, each time
# times $B_{kj}$. Side by side, slopes add: $\sum_j g_{ij} B_{kj}$, and that is $g B^\top$, where $\top$ swaps rows and columns.
# There is a way never to forget it: with $A$ of shape (2, 3) and $B$ of (3, 4), $g$ has (2, 4), and only $g B^\top$
# comes out as (2, 3).
#
# **Broadcasting.** A bias is added to *every* row of a table. NumPy does that by itself: shapes are compared from the right;
# a dimension of size 1, or one that is missing on the left, is stretched to fit. Here, of shapes `(4, 3)` and `(3,)`:

# %%
table, bias = np.zeros((4, 3)), np.array([0.5, -1.0, 2.0])
print(table + bias)

# %% [markdown]
# What was stretched was used several times. Side by side, slopes add: so **the gradient of a stretched tensor is the sum of $g$
# over what it was stretched to**. Forgetting this is the most frequent mistake in gradients written by hand, and exercise 2.2 is
# about it.

# %% [markdown]
# ## Build it
#
# It is the `Value` of lesson 1 with arrays inside, and rules where the slopes were. Two things are new. Every tensor gets
# a serial number, so `backward` can visit the newest first: a result is always newer than what it was computed from. And
# `rows` stretches a row by hand, as long as we have no broadcasting.

# %%
class Tensor:
    """A table of numbers that remembers what it was computed from."""

    made = 0

    def __init__(self, data, parents=()):
        self.data = np.asarray(data, dtype=np.float64)
        self.parents = parents  # pairs: a Tensor, and the rule that makes its gradient of ours
        self.grad = np.zeros_like(self.data)
        Tensor.made += 1
        self.number = Tensor.made

    def __add__(self, other):
        assert self.data.shape == other.data.shape
        return Tensor(self.data + other.data, [(self, lambda g: g), (other, lambda g: g)])

    def __mul__(self, other):
        assert self.data.shape == other.data.shape
        rules = [(self, lambda g: g * other.data), (other, lambda g: g * self.data)]
        return Tensor(self.data * other.data, rules)

    def __matmul__(self, other):
        rules = [(self, lambda g: g @ other.data.T), (other, lambda g: self.data.T @ g)]
        return Tensor(self.data @ other.data, rules)

    def tanh(self):
        y = np.tanh(self.data)
        return Tensor(y, [(self, lambda g: g * (1 - y * y))])

    def sum(self):
        return Tensor(self.data.sum(), [(self, lambda g: np.full(self.data.shape, g))])

    def rows(self, n):
        """A row, n times below one another."""
        return Tensor(np.tile(self.data, (n, 1)), [(self, lambda g: g.sum(0))])

    def backward(self):
        below, waiting = {self}, [self]
        while waiting:
            for parent, _ in waiting.pop().parents:
                if parent not in below:
                    below.add(parent)
                    waiting.append(parent)
        self.grad = np.ones_like(self.data)
        for tensor in sorted(below, key=lambda tensor: tensor.number, reverse=True):
            for parent, rule in tensor.parents:
                parent.grad = parent.grad + rule(tensor.grad)


# %% [markdown]
# And the tool. `measured` nudges every number of an array in turn. `gradcheck` compares. The result of a layer is a
# table, but a slope is that of one number: so `gradcheck` multiplies the table by random weights and sums it up. (Why not
# simply sum it up? See "Break it".)

# %%
def measured(f, x, eps=1e-6):
    """The gradient of a function of an array that returns a number, by nudging."""
    slopes = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        before = x[i]
        x[i] = before + eps
        above = f(x)
        x[i] = before - eps
        below = f(x)
        x[i] = before
        slopes[i] = (above - below) / (2 * eps)
    return slopes


def gradcheck(f, *arrays):
    """The largest difference between the gradients of f by its rules and by measuring."""
    weights = Tensor(rng.normal(size=f(*map(Tensor, arrays)).data.shape))

    def loss(*tensors):
        return (f(*tensors) * weights).sum()

    tensors = [Tensor(array) for array in arrays]
    loss(*tensors).backward()
    worst = 0.0
    for k, array in enumerate(arrays):
        slopes = measured(lambda x, k=k: loss(*map(Tensor, [*arrays[:k], x, *arrays[k + 1 :]])).data, array)
        worst = max(worst, abs(tensors[k].grad - slopes).max())
    return worst


a, b, row = rng.normal(size=(2, 3)), rng.normal(size=(3, 4)), rng.normal(size=3)
checked = {
    "add": gradcheck(lambda x, y: x + y, a, 0.5 * a),
    "multiply": gradcheck(lambda x, y: x * y, a, 0.5 * a),
    "product": gradcheck(lambda x, y: x @ y, a, b),
    "tanh": gradcheck(lambda x: x.tanh(), a),
    "rows": gradcheck(lambda x: x.rows(5), row),
    "all together": gradcheck(lambda x, y, z: (x + z.rows(2)).tanh() @ y, a, b, row),
}
for name, worst in checked.items():
    print(f"{name:12} {worst:.0e}")
assert max(checked.values()) < 1e-8

# %% [markdown]
# The differences are rounding. How exact is a measured slope? That depends on the nudge. If it is too large, the
# function bends on the way. If it is too small, the difference of two nearly equal numbers has lost its digits.
#
# What to see: nudging to both sides is far more exact than to one; the best nudge lies in between; and with half as long
# numbers (`float32`, 7 digits instead of 16) a gradient check is nearly worthless. So check gradients in `float64`, with a nudge of
# about a millionth.

# %% tags=["hide-input"]
def nudges():
    steps, x = 10.0 ** np.arange(-12, 0.1, 0.25), 0.7
    true = 1 - np.tanh(x) ** 2
    _, axes = figure(width=6, height=3)
    both = [abs((np.tanh(x + h) - np.tanh(x - h)) / (2 * h) - true) for h in steps]
    one = [abs((np.tanh(x + h) - np.tanh(x)) / h - true) for h in steps]
    single = [
        abs((np.tanh(np.float32(x + h)) - np.tanh(np.float32(x - h))) / np.float32(2 * h) - true)
        for h in steps
    ]
    axes.loglog(steps, single, color=RED, label="both sides, float32")
    axes.loglog(steps, one, color=BLUE, label="one side")
    axes.loglog(steps, both, color=GREEN, label="both sides")
    axes.set(xlabel="nudge", ylabel="error of the slope")
    axes.legend()
    show()


nudges()

# %% [markdown]
# ## Break it
#
# **A gradient check that cannot fail.** Here are two rules for the product, one of them wrong: the $\top$, the swap of rows
# and columns, is missing. With square tables the shapes fit all the same. With a *symmetric* table, one that the swap does not change,
# even the numbers fit. That is why good checks take odd, unequal sizes and random numbers.

# %%
square, g = rng.normal(size=(3, 3)), rng.normal(size=(3, 3))
symmetric = square + square.T
print("square:    shapes fit:", (g @ square).shape == (g @ square.T).shape)
print("square:    numbers fit:", np.allclose(g @ square, g @ square.T))
print("symmetric: numbers fit:", np.allclose(g @ symmetric, g @ symmetric.T))
assert not np.allclose(g @ square, g @ square.T) and np.allclose(g @ symmetric, g @ symmetric.T)
try:
    rng.normal(size=(2, 4)) @ b  # g of shape (2, 4), b of (3, 4): without the swap it does not even run
except ValueError:
    print("odd sizes: an error, at once")
else:
    raise AssertionError("this should not fit")

# %% [markdown]
# **Why random weights?** The numbers of a *softmax* are positive and add up to 1, whatever goes in (lesson 3 says what it
# is for). So the plain sum of its result is always 1 and has the gradient 0. A rule that returns nothing but zeros
# passes such a check.

# %%
def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


x = rng.normal(size=(2, 5))
zeros = np.zeros_like(x)  # the "gradient" of a rule that does nothing at all
plain = abs(measured(lambda x: softmax(x).sum(), x.copy()) - zeros).max()
c = rng.normal(size=x.shape)
weighted = abs(measured(lambda x: (c * softmax(x)).sum(), x.copy()) - zeros).max()
print(f"with a plain sum the useless rule is off by {plain:.0e}, with random weights by {weighted:.2f}")
assert plain < 1e-8 < 0.05 < weighted

# %% [markdown]
# **Broadcasting by accident.** Four predictions in a column, four targets in a row: no error, but a table of sixteen
# differences, and a loss that compares each with all. This is such a frequent accident that `mse_loss` in minigrad
# refuses shapes that differ.

# %%
import minigrad as torch

predictions, targets = np.array([[1.0], [2.0], [3.0], [4.0]]), np.array([1.0, 2.0, 3.0, 4.0])
difference = predictions - targets
print("all predictions are right, and the loss is", (difference**2).mean(), "from shape", difference.shape)
assert difference.shape == (4, 4) and (difference**2).mean() > 2
try:
    torch.nn.functional.mse_loss(torch.tensor(predictions), torch.tensor(targets))
except ValueError as error:
    print("minigrad:", error)
else:
    raise AssertionError("minigrad should refuse")

# %% [markdown]
# :::{admonition} Seen in the wild: "tanh is similar to ReLU"
# :class: warning
# It is similar to the *sigmoid*, $\sigma(x) = 1 / (1 + e^{-x})$; more than similar: it is the same curve, stretched. Both go flat on
# both sides, so their slope, and with it the gradient that must pass through, fades away. ReLU has the slope 1 for all
# positive numbers, however large.
# :::

# %%
# E11: tanh is a sigmoid, and not like ReLU
x = np.linspace(-8, 8, 401)
sigmoid = lambda x: 1 / (1 + np.exp(-x))
apart = abs(np.tanh(x) - (2 * sigmoid(2 * x) - 1)).max()
print(f"tanh(x) and 2 sigmoid(2x) - 1 are at most {apart:.0e} apart")
print("slope at 5: tanh", 1 - np.tanh(5.0) ** 2, " ReLU", 1.0)
assert np.allclose(np.tanh(x), 2 * sigmoid(2 * x) - 1, atol=1e-14)
assert 1 - np.tanh(5.0) ** 2 < 0.001
assert abs(np.tanh(x) - np.maximum(x, 0)).max() > 6

# %% tags=["hide-input"]
_, axes = figure(1, 2, width=6.5, height=2.6)
x = np.linspace(-5, 5, 200)
for name, y, slope in [
    ("ReLU", np.maximum(x, 0), (x > 0).astype(float)),
    ("sigmoid", sigmoid(x), sigmoid(x) * (1 - sigmoid(x))),
    ("tanh", np.tanh(x), 1 - np.tanh(x) ** 2),
]:
    axes[0].plot(x, y, label=name)
    axes[1].plot(x, slope)
axes[0].set(title="value", ylim=(-1.2, 3))
axes[0].legend()
axes[1].set(title="slope")
show()

# %% [markdown]
# ## On real data
#
# The irises again: the width of a petal, now from *three* lengths, and all 150 flowers in one table. With the layer of
# lesson 1 in the middle, but of eight numbers with tanh: $y = \tanh(X W_1 + b_1)\,W_2 + b_2$.
#
# *Standardising* comes first: from each column its average is subtracted, and the rest divided by its *standard deviation*, a
# measure of how far the column's numbers scatter. Afterwards all columns are of one size, and one learning rate suits all weights.

# %%
from minigrad.datasets import load_table

iris = load_table("iris")
inputs = iris.x[:, :3]
inputs = (inputs - inputs.mean(0)) / inputs.std(0)
width = iris.x[:, 3:]
n = len(inputs)

sizes = {"W1": (3, 8), "b1": (8,), "W2": (8, 1), "b2": (1,)}
start = {name: rng.normal(size=shape) * 0.4 for name, shape in sizes.items()}


def half_mean_square(p, x, t):
    """Half the mean square of the errors."""
    y = (x @ p["W1"] + p["b1"].rows(n)).tanh() @ p["W2"] + p["b2"].rows(n)
    error = y + Tensor(-t)
    return (error * error).sum() * Tensor(0.5 / n)


p = {name: Tensor(array) for name, array in start.items()}
for _ in range(2000):
    loss = half_mean_square(p, Tensor(inputs), width)
    loss.backward()
    p = {name: Tensor(tensor.data - 0.3 * tensor.grad) for name, tensor in p.items()}

line = np.c_[inputs, np.ones(n)]  # the best straight line from three lengths has a formula
best = line @ np.linalg.lstsq(line, width)[0]
print(f"{n} flowers")
print(f"baseline, the average:  mean square error {width.var():.4f}")
print(f"best straight line:     mean square error {((best - width) ** 2).mean():.4f}")
print(f"our network:            mean square error {2 * loss.data:.4f}")
assert 2 * loss.data < ((best - width) ** 2).mean() < width.var()

# %% [markdown]
# The network comes closer than the best line. But an honest reader asks: closer to *these* flowers, which it has seen two
# thousand times; what about others? Lesson 3 keeps some aside.
#
# And are the gradients right? Here, too, nobody needs to believe it:

# %%
small = {name: Tensor(array) for name, array in start.items()}
half_mean_square(small, Tensor(inputs), width).backward()
for name in start:
    others = {key: array for key, array in start.items() if key != name}

    def loss_of(array, name=name, others=others):
        tensors = {key: Tensor(value) for key, value in {**others, name: array}.items()}
        return half_mean_square(tensors, Tensor(inputs), width).data

    worst = abs(small[name].grad - measured(loss_of, start[name].copy())).max()
    print(f"{name}: largest difference {worst:.0e}")
    assert worst < 1e-8

# %% [markdown]
# ## Exercises
#
# Here you write rules, with NumPy arrays: each gets $g$, the gradient of the result, and returns the gradient of the input.
# `measured` is your friend.
#
# ### 2.1 The mean along one dimension
#
# `y = x.mean(axis)` makes of an array of shape `(4, 3)`, with `axis=0`, one of shape `(3,)`. Write its rule: from `g`, of the
# shape of `y`, the gradient of `x`. You get the shape of `x` and the `axis`.

# %% tags=["exercise-2.1"]
def mean_rule(g, shape, axis):
    raise NotImplementedError("exercise 2.1")


# %%
check("2.1", mean_rule)

# %% [markdown]
# ### 2.2 Undo the broadcasting
#
# A tensor of shape `shape` was stretched by broadcasting; `g` has the stretched shape. Write the function that makes of `g` the
# gradient of the tensor: of shape `shape`. Both kinds of stretching occur: dimensions that were missing on the left,
# and dimensions of size 1. Sometimes both at once, sometimes none.

# %% tags=["exercise-2.2"]
def unbroadcast(g, shape):
    raise NotImplementedError("exercise 2.2")


# %%
check("2.2", unbroadcast)

# %% [markdown]
# ### 2.3 Find the planted bug
#
# Five functions with their rules. One rule is wrong. Which? Reading may find it; measuring *will*. Write the name in
# `suspect`. (Which inputs must you try? The root wants positive numbers. And the others?)

# %%
functions = {  # name: the function of x, and the rule of g, x and the result y
    "square": (lambda x: x * x, lambda g, x, y: 2 * g * x),
    "root": (lambda x: np.sqrt(x), lambda g, x, y: g / (2 * y)),
    "bell": (lambda x: np.exp(-x * x), lambda g, x, y: -2 * g * x * y),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), lambda g, x, y: g * y * (1 - y)),
    "elu": (lambda x: np.where(x > 0, x, np.exp(x) - 1), lambda g, x, y: g * np.where(x > 0, 1, y)),
}

# %% tags=["exercise-2.3"]
suspect = ...  # the name, in quotes

# %%
check("2.3", suspect)

# %% [markdown]
# ### 2.4 The rule of softmax
#
# For a row $x$, $y_i = e^{x_i} / \sum_k e^{x_k}$: the function `softmax` above. Each $x_j$ moves *all* numbers of its row:
# $y_j$ up, the others down. In numbers, $\frac{\partial y_i}{\partial x_j} = y_i\,(1 - y_i)$ if $i = j$, and $-y_i\,y_j$ if not.
# Add up what all $y_i$ of the row contribute, and write the rule: of `g` and `y`, both tables of rows.

# %% tags=["exercise-2.4"]
def softmax_rule(g, y):
    raise NotImplementedError("exercise 2.4")


# %%
check("2.4", softmax_rule)

# %% [markdown]
# ## In PyTorch and in minigrad
#
# The same network, with the same start, in PyTorch's words. The gradients are those of our own `Tensor`.

# %%
w1, b1, w2, b2 = (torch.tensor(array, requires_grad=True) for array in start.values())
y = torch.tanh(torch.tensor(inputs) @ w1 + b1) @ w2 + b2
loss = ((y - torch.tensor(width)) ** 2).mean() / 2
loss.backward()
for name, tensor in zip(start, (w1, b1, w2, b2)):
    assert np.allclose(tensor.grad.numpy(), small[name].grad, rtol=1e-10)
print("loss", loss.item(), "and the same gradients")
x = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
print("gradcheck of softmax:", torch.autograd.gradcheck(lambda x: torch.softmax(x, dim=-1), x))

# %% [markdown]
# In minigrad the rules stand in the open, on sheets of formulas. This is tanh, as it is written there:

# %%
import inspect

import minigrad.ops.elementwise as sheet

lines = inspect.getsource(sheet).splitlines()
at = next(k for k, line in enumerate(lines) if line.startswith("def tanh("))
print(*lines[at - 1 : at + 1], sep="\n")  # out is the result: g - g y y, the same as g (1 - y^2)

# %% [markdown]
# | here | in PyTorch and minigrad | where to read it |
# |---|---|---|
# | `Tensor` with rules | `torch.Tensor` | `minigrad/tensor.py`, rules in `minigrad/ops/` |
# | newest first, by serial number | the same | `order` in `minigrad/autograd.py` |
# | `rows`, 2.2 | broadcasting, done once for all rules | `sum_to` in `minigrad/autograd.py` |
# | `gradcheck` | `torch.autograd.gradcheck` | `minigrad/debug/gradcheck.py`; `minigrad check` runs it on every operation |
# | 2.1, 2.4 | `torch.mean`, `torch.softmax` | `minigrad/ops/reduction.py` |
#
# What is still missing is a goal that suits the question. "How wide?" has a number as its answer; "malignant or benign?" has
# not. Lesson 3 is about the loss for such questions.
