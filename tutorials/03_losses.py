# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3 · The loss that cannot be zero
#
# **You will build** the loss for questions with a yes or no, and for questions with several choices; and train a network on a
# table of real measurements: is this tumour malignant?
#
# **Time**: about 70 minutes. **You need**: lessons 1 and 2.
#
# **You will have** a training loop as it is written everywhere, a result that you can defend, and a proof by running it that a
# widely copied "derivation" of this loss is nonsense: it ends with the loss being zero, always.

# %%
import numpy as np

import minigrad as torch
from minigrad import nn
from minigrad.learn import BLUE, GRAY, ORANGE, check, figure, show
from minigrad.nn import functional as F

torch.manual_seed(3)
rng = np.random.default_rng(3)

# %% [markdown]
# From here on we take our engine from minigrad. It is lesson 2 with all operations, and it has PyTorch's names: that is why
# it may be called `torch` here. What you learn carries over word for word.
#
# ## The picture first
#
# A network answers a yes-or-no question with one number $z$ of any size, the *logit*: the larger, the surer of a yes; the
# smaller, the surer of a no; 0 is undecided. A *sigmoid* makes a probability of it, $p = \sigma(z) = 1/(1+e^{-z})$, between 0 and 1.
#
# What to see on the left: if the truth is yes (blue), the loss falls as $z$ grows, but never reaches zero; for a no (orange) the
# other way round. Whoever is sure and wrong pays without limit. On the right: the slope of the loss is simply $p - y$, what
# was said minus what was true ($y$ is 1 for yes, 0 for no).

# %% tags=["hide-input"]
z = np.linspace(-6, 6, 200)
p = 1 / (1 + np.exp(-z))
_, axes = figure(1, 2, width=6.5, height=2.8)
for y, color, name in ((1, BLUE, "truth: yes"), (0, ORANGE, "truth: no")):
    axes[0].plot(z, -np.log(p if y else 1 - p), color=color, label=name)
    axes[1].plot(z, p - y, color=color)
axes[0].set(title="loss", xlabel="logit z")
axes[0].legend()
axes[1].axhline(0, color=GRAY, linewidth=0.6)
axes[1].set(title="slope of the loss, p - y", xlabel="logit z")
show()

# %% [markdown]
# ## The idea
#
# **The loss is surprise.** Something was given the probability $p$, and it happened. How surprising was that? $-\log p$: nothing if
# $p$ was 1, a lot if it was nearly 0. ($\log$ is the natural logarithm, `np.log`.) The loss is the average
# surprise at the truth:
#
# $$L = -\frac1n\sum_{i=1}^n \bigl[\,y_i \log p_i + (1-y_i)\log(1-p_i)\,\bigr]$$
#
# This is the *binary cross-entropy*, BCE. It looks as if it had two terms, but one of the factors $y_i$ and $1-y_i$ is always 0:
# a switch, which picks $\log p_i$ if the truth is yes, and $\log(1-p_i)$ if it is no.
#
# **Its slope.** The chain rule, twice: $\frac{\partial L}{\partial p} = \frac{1-y}{1-p} - \frac{y}{p} = \frac{p-y}{p(1-p)}$, and the
# sigmoid's own slope is $p(1-p)$. The two cancel, and $\frac{\partial L}{\partial z} = p - y$ remains: simple, and never
# flat while the answer is wrong. (With the square of the error in its place, the factor $p(1-p)$ would stay, and whoever is
# sure and wrong would learn next to nothing.)
#
# **Several choices.** Then the network has one logit for each, and *softmax* makes probabilities of them:
# $p_k = e^{z_k} / \sum_j e^{z_j}$. They are positive and add up to 1. If choice $c$ is the truth, the surprise is
#
# $$L = -\log p_c = \log\sum_j e^{z_j} - z_c,\qquad \frac{\partial L}{\partial z_k} = p_k - [k = c]$$
#
# where $[k = c]$ is 1 for the truth and 0 for the others. It is called *cross-entropy*. Exercise 3.4 is about its gradient.

# %% [markdown]
# ## Build it
#
# Written down as it stands in the formula, BCE works on paper. On a computer it does not: at $z = 40$ the probability is rounded to
# exactly 1, so $\log(1 - p)$ is the logarithm of 0.

# %%
def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def bce_as_written(z, y):
    p = sigmoid(z)
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


with np.errstate(divide="ignore", invalid="ignore"):
    print("sure and wrong, z = 40, y = 0:  ", bce_as_written(np.array(40.0), 0))
    print("sure and right, z = 40, y = 1:  ", bce_as_written(np.array(40.0), 1))

# %% [markdown]
# Infinite where it should be 40; and "not a number" (0 times infinity) where it should be nearly 0. So one never takes the
# logarithm of a probability; one computes the loss *from the logit*. With a little algebra,
#
# $$L = \log(1 + e^z) - y z,\qquad \log(1+e^z) = \max(z, 0) + \log\bigl(1 + e^{-|z|}\bigr)$$
#
# where no number becomes too large for the computer: the exponent is never positive.

# %%
def bce(z, y):
    """Binary cross-entropy of each logit: finite for all of them."""
    return np.maximum(z, 0) + np.log1p(np.exp(-abs(z))) - y * z


z, y = rng.normal(size=7) * 3, rng.integers(0, 2, 7)
print("from the logit:                 ", bce(np.array([40.0, 40.0]), np.array([0, 1])))
assert np.allclose(bce(z, y), bce_as_written(z, y))  # the same, where both work
assert np.isfinite(bce(np.array([800.0, -800.0]), np.array([0, 1]))).all()

eps = 1e-6
measured = (bce(z + eps, y) - bce(z - eps, y)) / (2 * eps)
print("slope p - y:", np.round(sigmoid(z) - y, 6))
print("measured:   ", np.round(measured, 6))
assert np.allclose(sigmoid(z) - y, measured, atol=1e-8)

# the library computes the same
ours = bce(z, y).mean()
theirs = F.binary_cross_entropy_with_logits(torch.tensor(z), torch.tensor(y).double())
assert abs(ours - theirs.item()) < 1e-12

# %% [markdown]
# **The network.** `nn.Linear(30, 16)` is a layer as in lesson 2, $xW^\top + b$, from 30 numbers to 16, with weights that
# begin at random. `nn.Sequential` puts layers in a row. A *Module* is whatever holds parameters; `model.parameters()` collects
# them all.
#
# **The loop.** The rows are gone through in small portions, called *batches*, in an order that is shuffled anew each time. Going through all
# rows once is an *epoch*. For each batch: forget the old gradients, compute the loss, compute the gradients, take a step.

# %%
def train(model, x, y, epochs, rate, batch=32, each_epoch=None):
    """Train a model that answers yes or no; returns the mean loss of each epoch."""
    x, y = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    losses = []
    for epoch in range(epochs):
        total = 0.0
        for rows in torch.randperm(len(x)).split(batch):  # row numbers in random order, a batch at a time
            optimizer.zero_grad()
            loss = F.binary_cross_entropy_with_logits(model(x[rows]).squeeze(1), y[rows])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        losses.append(total / len(x))
        if each_epoch:
            each_epoch(epoch)
    return losses


def accuracy(model, x, y):
    """The share of rows that a model answers rightly: a positive logit is a yes."""
    with torch.no_grad():
        logits = model(torch.tensor(x, dtype=torch.float32)).squeeze(1)
    return ((logits > 0).numpy() == (y == 1)).mean()


# %% [markdown]
# `squeeze(1)` makes of the shape `(32, 1)`, one column, the shape `(32,)` that the truth has. Lesson 2 showed what becomes of
# a column and a row that meet; minigrad refuses them here. `no_grad` says that no gradients will be needed.

# %% [markdown]
# ## Break it
#
# :::{admonition} Seen in the wild: "binary cross-entropy is zero"
# :class: warning
# An article "simplifies" the formula step by step. In step 3 it silently writes $y$ for $1 - y$. In step 6 it
# writes 0 for $p(1-p)$. In step 7 it takes the logarithm of 0 to be 0. The end: $L = 0$, for every prediction. No step of
# this survives a single example.
# :::

# %%
# E1: the steps, on four rows
y, p = np.array([1, 0, 1, 1.0]), np.array([0.9, 0.2, 0.7, 0.6])
right = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
step_3 = -(y * np.log(p) + y * np.log(1 - p)).mean()
print(f"right {right:.6f}, step 3 {step_3:.6f}, step 7 0")
assert abs(step_3 - right) > 1 and right > 0.2
assert (p * (1 - p) > 0.08).all()  # step 6: this is not 0
with np.errstate(divide="ignore"):
    assert np.log(0.0) == -np.inf  # step 7: neither is this

# %% [markdown]
# Can the loss be zero at all? With certain truths, $y = 0$ or 1, it comes as near to zero as you like, but only $z = \pm\infty$ would
# reach it. If the truth itself is uncertain ($y = 0.3$: three out of ten patients of this kind), not even that: the
# best prediction is $p = y$, and the surprise that is left is called the *entropy* of $y$.

# %%
grid = np.linspace(0.001, 0.999, 999)
for y in (0.5, 0.3):
    losses = -(y * np.log(grid) + (1 - y) * np.log(1 - grid))
    entropy = -(y * np.log(y) + (1 - y) * np.log(1 - y))
    best = grid[losses.argmin()]
    print(f"y = {y}: lowest loss {losses.min():.6f}, at p = {best:.3f}; entropy {entropy:.6f}")
    assert abs(losses.min() - entropy) < 1e-9 and abs(best - y) < 1e-9 and entropy > 0.6

# %% [markdown]
# :::{admonition} Seen in the wild: the sum of all logarithms
# :class: warning
# "If the truth is written as a row of zeros with a single 1 (*one-hot*), cross-entropy becomes $-\log p_1 - \log p_2 - \dots -
# \log p_n$." No: the zeros switch all terms off but one.
# :::

# %%
# E10: three choices, the first one is true
p, one_hot = np.array([0.7, 0.2, 0.1]), np.array([1, 0, 0])
right, wild = -(one_hot * np.log(p)).sum(), -np.log(p).sum()
print(f"right {right:.6f}, wild {wild:.6f}")
assert abs(right + np.log(0.7)) < 1e-12 and wild > 10 * right
# and the wild one is smallest not for the truth, but where all choices get the same:
sure = np.array([0.98, 0.01, 0.01])
assert -np.log(sure).sum() > wild > -np.log(np.full(3, 1 / 3)).sum()

# %% [markdown]
# :::{admonition} Seen in the wild: the mean that is none
# :class: warning
# $\frac12\sum_i (y_i - t_i)^2$ is called "mean squared error". It is *half the sum*. The lowest point is the same, but the gradient
# is not: it grows with the number of rows, and a learning rate that suits ten rows explodes with a thousand.
# :::

# %%
# E13: the gradient of half the sum, and of the mean, for 10 rows and for 1000
for n in (10, 1000):
    t = torch.tensor(rng.normal(size=n) + 2)
    half_sum, mean = (torch.zeros((), dtype=torch.float64, requires_grad=True) for _ in range(2))
    (((half_sum - t) ** 2).sum() / 2).backward()
    ((mean - t) ** 2).mean().backward()
    a, b = half_sum.grad.item(), mean.grad.item()
    print(f"{n:5} rows: gradient of half the sum {a:9.2f}, of the mean {b:.2f}")
    assert abs(a / b - n / 2) < 1e-9

# %% [markdown]
# **A network that learns noise.** Here the rows are random numbers, and so are the answers: there is nothing to learn. (More than one
# tutorial trains on exactly this, and reports the accuracy on the training rows.) What to see: on the rows that it saw, the network gets
# better and better, for it learns them by heart. On new ones it stays at the toss of a coin.

# %%
noise, coin = rng.normal(size=(100, 5)), rng.integers(0, 2, 100)
fresh, fresh_coin = rng.normal(size=(4000, 5)), rng.integers(0, 2, 4000)
model = nn.Sequential(
    nn.Linear(5, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)
)
seen, new = [], []


def note(epoch):
    if epoch % 10:
        return
    seen.append(accuracy(model, noise, coin))
    new.append(accuracy(model, fresh, fresh_coin))


train(model, noise, coin, epochs=1000, rate=0.15, batch=100, each_epoch=note)
print(f"at best, on rows that were seen: {max(seen):.3f}, on new rows: {max(new):.3f}")
assert max(seen) > 0.95 and max(abs(a - 0.5) for a in new) < 0.05

# %% tags=["hide-input"]
_, axes = figure(width=6, height=2.6)
axes.plot(range(0, 1000, 10), seen, label="the 100 rows it was trained on")
axes.plot(range(0, 1000, 10), new, label="4,000 new rows")
axes.axhline(0.5, color=GRAY, linestyle="--", linewidth=1)
axes.set(xlabel="epoch", ylabel="accuracy", ylim=(0.4, 1.02))
axes.legend(loc="upper left")
show()

# %% [markdown]
# ## On real data
#
# 569 tumours, and 30 measures of the cells of each: how large, how rough, how irregular. Is the tumour malignant? The table is a
# CSV file, rows of numbers with commas between them.
#
# Four rules of honest work, each a line of code below:
# 1. **Keep rows aside** (the *test* rows) that the network never sees in training.
# 2. **Standardise** with the averages of the *training* rows. The test rows must not have a say, not even in that.
# 3. **Name the baseline**: how good is whoever always says the more frequent answer?
# 4. **Say how sure you are.** If the true accuracy is $a$, that of $n$ test rows scatters by about $\sqrt{a(1-a)/n}$, the *standard error*.

# %%
from minigrad.datasets import load_table

table = load_table("breast_cancer")
malignant = (table.y == table.classes.index("malignant")).astype(float)
order = rng.permutation(len(malignant))
known, aside = order[:400], order[400:]
middle, scatter = table.x[known].mean(0), table.x[known].std(0)
x = (table.x - middle) / scatter

print(f"{len(malignant)} rows, {len(known)} to learn from, {len(aside)} kept aside; {table.x.shape[1]} columns")
print("the first columns:", ", ".join(table.columns[:5]))
baseline = (malignant[aside] == round(malignant[known].mean())).mean()


def report(name, model, columns):
    """Accuracy on the rows kept aside, its standard error, and how many malignant ones were missed."""
    rows, truth = x[aside][:, columns], malignant[aside]
    a, sick = accuracy(model, rows, truth), truth == 1
    error = (a * (1 - a) / len(aside)) ** 0.5
    missed = round((1 - accuracy(model, rows[sick], truth[sick])) * sick.sum())
    print(f"{name:30} {a:.3f} +- {error:.3f}   missed {missed} of {sick.sum()}")
    return a


# %% [markdown]
# First with two columns only, so that one can see what is learned: a network with 16 numbers in the middle. What to see: each dot is a tumour,
# orange if malignant. The background is what the network says, after 1, 5, 20 and 200 epochs. The dashed line is where it is undecided.

# %%
pair = [table.columns.index("mean radius"), table.columns.index("mean texture")]
small = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))
u, v = np.meshgrid(np.linspace(-2.5, 4, 80), np.linspace(-2.6, 5, 80))
pictures = {}


def keep(epoch):
    if epoch + 1 in (1, 5, 20, 200):
        with torch.no_grad():
            logits = small(torch.tensor(np.c_[u.ravel(), v.ravel()], dtype=torch.float32))
        pictures[epoch + 1] = torch.sigmoid(logits).numpy().reshape(u.shape)


train(small, x[known][:, pair], malignant[known], epochs=200, rate=0.1, each_epoch=keep)

# %% tags=["hide-input"]
from matplotlib.colors import LinearSegmentedColormap

shades = LinearSegmentedColormap.from_list("no to yes", [BLUE, "#7d859018", ORANGE])
_, axes = figure(2, 2, width=6.5, height=5, sharex=True, sharey=True)
for axis, (epoch, p) in zip(axes.flat, pictures.items()):
    edges = {"extent": (-2.5, 4, -2.6, 5), "origin": "lower", "aspect": "auto"}
    axis.imshow(p, cmap=shades, vmin=0, vmax=1, alpha=0.45, **edges)
    axis.contour(u, v, p, levels=[0.5], colors=GRAY, linestyles="--", linewidths=1.2)
    for truth, color in ((0, BLUE), (1, ORANGE)):
        rows = known[malignant[known] == truth]
        axis.scatter(x[rows, pair[0]], x[rows, pair[1]], s=5, color=color, linewidths=0)
    axis.set(title=f"epoch {epoch}")
axes[1, 0].set(xlabel="radius", ylabel="texture")
show()

# %% [markdown]
# Now all thirty columns: a single layer, which can only draw a straight border (this is called *logistic regression*), and a network.

# %%
every = list(range(30))
torch.manual_seed(3)
line = nn.Linear(30, 1)
train(line, x[known], malignant[known], epochs=60, rate=0.1)
network = nn.Sequential(nn.Linear(30, 16), nn.ReLU(), nn.Linear(16, 1))
losses = train(network, x[known], malignant[known], epochs=60, rate=0.1)

print(f"{'always the more frequent answer':30} {baseline:.3f}")
two = report("network, 2 columns", small, pair)
straight = report("one layer, 30 columns", line, every)
bent = report("network, 30 columns", network, every)
error = (straight * (1 - straight) / len(aside)) ** 0.5
assert min(straight, bent) > two > baseline and abs(bent - straight) < 3 * error

# %% [markdown]
# Two things are worth a pause. The network is not better than the single layer, by more than chance could make it: with tables of
# a few hundred rows it often is like that, and only the baseline tells. And accuracy treats both mistakes alike, though to miss a
# malignant tumour is far worse than a false alarm. So look at what was missed, not at one number alone.

# %% [markdown]
# ## Exercises
#
# All answers work on NumPy arrays.
#
# ### 3.1 The baseline
#
# Write `baseline_accuracy(train_labels, test_labels)`: how often is somebody right on the *test* rows who always gives the answer that is most
# frequent among the *training* rows? The labels are whole numbers; there may be more than two kinds.

# %% tags=["exercise-3.1"]
def baseline_accuracy(train_labels, test_labels):
    raise NotImplementedError("exercise 3.1")


# %%
check("3.1", baseline_accuracy)

# %% [markdown]
# ### 3.2 Standardise, without peeking
#
# Write `standardise(train, test)`: returns both tables, standardised. In the training table each column shall have the average 0 and
# the standard deviation 1; the test table gets *the same* treatment.

# %% tags=["exercise-3.2"]
def standardise(train, test):
    raise NotImplementedError("exercise 3.2")


# %%
check("3.2", standardise)

# %% [markdown]
# ### 3.3 The logarithm of a sum of exponentials
#
# Write `logsumexp(z)`: for each row of a table, $\log\sum_j e^{z_j}$; the result has one number per row. It must be right for rows
# such as `[1000, 999]`, where `np.exp` overflows, and for `[-1000, -999]`, where it gives 0.

# %% tags=["exercise-3.3"]
def logsumexp(z):
    raise NotImplementedError("exercise 3.3")


# %%
check("3.3", logsumexp)

# %% [markdown]
# ### 3.4 The gradient of cross-entropy
#
# `z` is a table of logits, a row for each example; `labels` has the number of the true choice for each row. The loss is the *mean*
# cross-entropy over the rows. Write its gradient with respect to `z`, a table of the same shape.

# %% tags=["exercise-3.4"]
def cross_entropy_gradient(z, labels):
    raise NotImplementedError("exercise 3.4")


# %%
check("3.4", cross_entropy_gradient)

# %% [markdown]
# ## In PyTorch and in minigrad
#
# Everything here ran with PyTorch's names. The same line in both:
#
# | here | in PyTorch and minigrad | where to read it |
# |---|---|---|
# | `bce` | `F.binary_cross_entropy_with_logits` | `_logistic_loss` in `minigrad/ops/loss.py` |
# | 3.3, 3.4 | `torch.logsumexp`, `F.cross_entropy` | `minigrad/ops/reduction.py`, `minigrad/ops/loss.py` |
# | `nn.Linear`, `nn.Sequential` | the same | `minigrad/nn/layers.py`, `minigrad/nn/containers.py` |
# | batches of shuffled rows | `DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True)` | `minigrad/utils/data/` |
# | `train` | one writes it anew each time | `minigrad/recipes/gpt.py` has a long one |
#
# These are the two lines in minigrad that compute the loss of this lesson:

# %%
import inspect

import minigrad.ops.loss as sheet

lines = inspect.getsource(sheet).splitlines()
at = next(k for k, line in enumerate(lines) if line.startswith("def _logistic_loss("))
print(*lines[at : at + 2], sep="\n")

# %% [markdown]
# The steps so far were the plainest there are: against the gradient, always at the same rate. Lesson 4 is about better ones.
