# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4 · Better steps: optimisers
#
# **You will build** the rules by which networks take their steps: gradient descent, momentum, Adagrad, and, as an exercise, Adam and AdamW
# from the papers that introduced them.
#
# **Time**: about 60 minutes. **You need**: lessons 1 and 3.
#
# **You will have** a feeling for what a learning rate does, an Adam of your own that walks where the library's walks, and
# one line of a widely copied article, which flies off to infinity in five steps.

# %%
import numpy as np

import minigrad as torch
from minigrad import nn
from minigrad.learn import BLUE, GRAY, GREEN, ORANGE, PURPLE, RED, check, figure, show
from minigrad.nn import functional as F

# %% [markdown]
# ## The picture first
#
# A valley, seen from above: all points of a line have the same height. The valley is steep from left to right and flat
# along its floor, as the loss of a network so often is. Everybody starts at the dot and wants to the cross.
#
# What to see: plain gradient descent bounces between the walls and hardly moves along the floor. Momentum rolls like
# a ball, and overshoots. Adagrad and Adam measure how steep each direction usually is, and take equal steps in both; Adagrad
# tires; Adam does not, and rolls a little too far. In red: the formula for Adam as a widely copied article prints it. Its first step already leaves the page.

# %%
STEEP = np.array([25.0, 1.0])  # how steep the valley is in each direction


def slope_of(point):
    """The gradient of the height, (25 a^2 + b^2) / 2."""
    return STEEP * point


def walk(step, start, steps):
    """All points that a rule passes. It makes of a point, and the gradient there, the next one."""
    points = [np.array(start)]
    for _ in range(steps):
        points.append(step(points[-1], slope_of(points[-1])))
    return np.array(points)


def from_torch(make):
    """A rule out of one of PyTorch's optimizers."""
    p = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = make([p])

    def step(point, gradient):
        with torch.no_grad():
            p.copy_(torch.tensor(point))
        p.grad = torch.tensor(gradient)
        optimizer.step()
        return p.detach().numpy().copy()

    return step


# %% tags=["hide-input"]
def valley(axes):
    a, b = np.meshgrid(np.linspace(-1.25, 1.25, 100), np.linspace(-0.45, 1.25, 100))
    height = (STEEP[0] * a**2 + STEEP[1] * b**2) / 2
    axes.contour(a, b, height, levels=[0.02, 0.1, 0.4, 1, 3, 8, 16], colors=GRAY, linewidths=0.5, alpha=0.6)
    axes.plot(0, 0, "x", color=GRAY)
    axes.set(xlim=(-1.25, 1.25), ylim=(-0.45, 1.25), xticks=[], yticks=[])


def picture():
    m = np.zeros(2)

    def wild(point, gradient):
        nonlocal m
        wild.t += 1
        m = 0.9 * m + 0.1 * gradient
        rate = 0.1 / (np.sqrt(1 - 0.999**wild.t) * (1 - 0.9**wild.t))
        return point - rate * m / (1 - 0.9**wild.t)

    wild.t = 0
    rules = {
        "gradient descent": (from_torch(lambda p: torch.optim.SGD(p, lr=0.07)), BLUE),
        "momentum": (from_torch(lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.8)), ORANGE),
        "Adagrad": (from_torch(lambda p: torch.optim.Adagrad(p, lr=0.15)), GREEN),
        "Adam": (from_torch(lambda p: torch.optim.Adam(p, lr=0.1)), PURPLE),
    }
    off = walk(wild, (-1.0, 1.0), 1)
    _, axes = figure(2, 2, width=6, height=5)
    for axis, (name, (rule, color)) in zip(axes.flat, rules.items()):
        points = walk(rule, (-1.0, 1.0), 40)
        valley(axis)
        axis.plot(*off.T, color=RED, linewidth=1, linestyle="--")
        axis.plot(*points.T, "-", marker=".", markersize=4, linewidth=1, color=color)
        axis.set_title(name, color=color)
    axes[0, 0].text(0.1, 1.1, "wild Adam", color=RED, fontsize=10)
    show()


picture()

# %% [markdown]
# ## The idea
#
# Write $\theta$ for a parameter, $g$ for its gradient, $\alpha$ for the learning rate. **Gradient descent** goes against the gradient:
#
# $$\theta \leftarrow \theta - \alpha\, g$$
#
# (With batches, as in lesson 3, the gradient is that of a random part of the rows. Then it is called *stochastic* gradient
# descent, SGD.) In a valley of height $\frac12 k\theta^2$ the gradient is $k\theta$, so one step multiplies $\theta$ by $1-\alpha k$. That tells
# everything: if $\alpha k$ is above 2, each step ends further out than it began. And the rate that the steepest direction
# allows is far too small for the flat ones.
#
# **Momentum** keeps rolling. It adds up the gradients, and forgets old ones slowly: what points the same way every time builds
# up, what points to and fro cancels.
#
# $$v \leftarrow \mu v + g,\qquad \theta \leftarrow \theta - \alpha v$$
#
# **Adagrad** gives every parameter a rate of its own: it divides by the root of all squared gradients so far, so that steep
# directions get small steps. But the sum only grows, and with it the steps only shrink.
#
# $$s \leftarrow s + g^2,\qquad \theta \leftarrow \theta - \alpha\,\frac{g}{\sqrt{s}+\varepsilon}$$
#
# **Adam** combines both and lets both forget: $m$ is a running average of the gradient (which way?), $v$ one of its square (how large, usually?).
# The *decay rates* $\beta_1 = 0.9$ and $\beta_2 = 0.999$ say how slowly they forget; $\varepsilon = 10^{-8}$ keeps the division from zero.
#
# $$m \leftarrow \beta_1 m + (1-\beta_1)\,g,\qquad v \leftarrow \beta_2 v + (1-\beta_2)\,g^2$$
# $$\hat m = \frac{m}{1-\beta_1^t},\qquad \hat v = \frac{v}{1-\beta_2^t},\qquad
#   \theta \leftarrow \theta - \alpha\,\frac{\hat m}{\sqrt{\hat v}+\varepsilon}$$
#
# What are the hats for? $m$ and $v$ begin at 0, and at first they are much too small: after the first step ($t = 1$), $m$ is $0.1\,g$.
# After $t$ steps the parts of the average add up to $1-\beta^t$; dividing by this makes it a true average. It is called *bias
# correction*.
#
# **AdamW** adds *weight decay*: all parameters shrink a little in each step, so that none grows without a reason:
# $\theta \leftarrow \theta - \alpha\lambda\,\theta$, apart from Adam's step (this is what "decoupled" means), not through the gradient.
#
# Sources: Duchi, Hazan and Singer 2011 (Adagrad); Kingma and Ba 2014 (Adam); Loshchilov and Hutter 2017 (AdamW).

# %% [markdown]
# ## Build it
#
# Each rule remembers something, so each is a small class. What it remembers begins at zero.

# %%
class Descent:
    def __init__(self, rate):
        self.rate = rate

    def __call__(self, p, g):
        return p - self.rate * g


class Momentum:
    def __init__(self, rate, keep=0.9):
        self.rate, self.keep, self.v = rate, keep, 0.0

    def __call__(self, p, g):
        self.v = self.keep * self.v + g
        return p - self.rate * self.v


class Adagrad:
    def __init__(self, rate, eps=1e-10):
        self.rate, self.eps, self.s = rate, eps, 0.0

    def __call__(self, p, g):
        self.s = self.s + g * g
        return p - self.rate * g / (np.sqrt(self.s) + self.eps)


# %% [markdown]
# Ours and the library's pass the same points:

# %%
pairs = [
    (Descent(0.07), lambda p: torch.optim.SGD(p, lr=0.07)),
    (Momentum(0.02, keep=0.8), lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.8)),
    (Adagrad(0.15), lambda p: torch.optim.Adagrad(p, lr=0.15)),
]
for ours, theirs in pairs:
    a, b = walk(ours, (-1.0, 1.0), 40), walk(from_torch(theirs), (-1.0, 1.0), 40)
    print(f"{type(ours).__name__:9} ends at {np.round(a[-1], 6)}, largest difference {abs(a - b).max():.0e}")
    assert np.allclose(a, b, rtol=1e-12)

# %% [markdown]
# ## Break it
#
# **Too fast.** The steepest direction has $k = 25$, so the rate may not exceed $2/25 = 0.08$. A little below, the steps shrink
# slowly; a little above, they grow, and nothing stops them.

# %%
for rate in (0.079, 0.081):
    points = walk(Descent(rate), (-1.0, 1.0), 400)
    print(f"rate {rate}: 400 steps end {abs(points[-1][0]):.3g} away, in the steep direction")
    assert (abs(points[-1][0]) < 1) == (rate < 2 / STEEP.max() == 0.08)

# %% [markdown]
# **Without bias correction.** On the first step $m = 0.1\,g$ and $v = 0.001\,g^2$. Without the hats, Adam divides $0.1\,g$ by
# $\sqrt{0.001}\,|g|$: a step that is more than three times as long as the rate says. With them, the first step is $\alpha$
# exactly (apart from $\varepsilon$), up or down, *however large the gradient is*: only its sign counts.

# %%
for gradient in (0.003, -40.0):
    m, v = 0.1 * gradient, 0.001 * gradient**2
    plain = 0.1 * m / np.sqrt(v)
    corrected = 0.1 * (m / (1 - 0.9)) / np.sqrt(v / (1 - 0.999))
    print(f"gradient {gradient:7}: first step {plain:+.6f} without, {corrected:+.6f} with the hats")
    assert abs(abs(corrected) - 0.1) < 1e-12 < 0.2 < abs(plain)

# %% [markdown]
# So one Adam step on the network of lesson 1, with the rate 0.1, moves every one of its parameters by 0.1, all in the same
# direction, since all their gradients are positive. (The article that claims to use Adam there does something else.)

# %%
start = ([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], [0.1, 0.2, 0.3], [0.1, 0.2, 0.3], 0.1)
p = [torch.tensor(numbers, requires_grad=True) for numbers in start]


def loss_231():
    w1, b1, w2, b2 = p
    return torch.relu(w2 @ torch.relu(w1 @ torch.tensor([1.0, 2.0]) + b1) + b2) ** 2 / 2


before = [t.detach().clone() for t in p]
optimizer = torch.optim.Adam(p, lr=0.1)
loss_231().backward()
print(f"loss before {loss_231().item():.6f}")
optimizer.step()
print(f"loss after  {loss_231().item():.6f}")
for old, new in zip(before, p):
    assert np.allclose((new.detach() - old).numpy(), -0.1, atol=1e-6)

# %% [markdown]
# :::{admonition} Seen in the wild: Adam without its second half
# :class: warning
# $$\theta \leftarrow \theta - \frac{\alpha}{\sqrt{1-\beta_2^t}\,(1-\beta_1^t)}\cdot\frac{m}{1-\beta_1^t}$$
#
# $v$ is computed and never used; $m$ is corrected twice; there is no $\varepsilon$; and the betas are called "bias-correction
# coefficients" (they are decay rates). What is left in front of $m$ is not a rate that suits each parameter, but a large number
# that is the same for all.
# :::

# %%
# E8: on the valley (100 a^2 + b^2) / 2, from (1, 1), with the rate 0.1
STEEP = np.array([100.0, 1.0])


def wild_factor(t):
    """What stands before m in the wild formula, apart from the rate."""
    return 1 / (np.sqrt(1 - 0.999**t) * (1 - 0.9**t) ** 2)


for t in (1, 2, 10, 1000):
    print(f"step {t:4}: m is multiplied by {wild_factor(t):.4g} times the rate")

point, m, left_at = np.array([1.0, 1.0]), np.zeros(2), None
for t in range(1, 201):
    m = 0.9 * m + 0.1 * slope_of(point)
    point = point - 0.1 * wild_factor(t) * m
    if abs(point).max() > 1e12:
        left_at = t
        break
right = walk(from_torch(lambda p: torch.optim.Adam(p, lr=0.1)), (1.0, 1.0), 200)
print(f"the wild formula passes 1e12 at step {left_at}; 200 steps of Adam end {abs(right[-1]).max():.0e} away")
assert left_at == 5 and abs(right[-1]).max() < 1e-5

# %% [markdown]
# **Weight decay through the gradient is not weight decay.** If $\lambda\theta$ is added to the *gradient*, as PyTorch's
# `Adam(weight_decay=...)` does, Adam divides it by the usual size of the gradient, too. So parameters with large gradients
# hardly decay. Here are two parameters whose gradients are pure noise, of size 1 and of size 100; both begin at 1.

# %%
noise = np.random.default_rng(4).normal(size=(1000, 2)) * [1.0, 100.0]
ends = {}
for optimizer_class in (torch.optim.Adam, torch.optim.AdamW):
    p = torch.ones(2, dtype=torch.float64, requires_grad=True)
    still = torch.ones(2, dtype=torch.float64, requires_grad=True)
    decaying = optimizer_class([p], lr=0.001, weight_decay=0.5)
    without = optimizer_class([still], lr=0.001, weight_decay=0.0)
    for g in noise:
        p.grad, still.grad = torch.tensor(g), torch.tensor(g)
        decaying.step()
        without.step()
    name = optimizer_class.__name__
    ends[name] = 1 + (p - still).detach().numpy()  # the effect of the decay alone
    print(f"{name:6} small gradients: {ends[name][0]:.3f}   large gradients: {ends[name][1]:.3f}")
assert abs(np.subtract(*ends["AdamW"])) < 0.02 and ends["Adam"][1] - ends["Adam"][0] > 0.2

# %% [markdown]
# ## On real data
#
# Which rule is best? The question is often answered with one learning rate for all, which proves nothing: each rule needs its own.
# So we take the tumours of lesson 3 and a network of two bends, try every rule with many rates, and look at the loss on the training rows
# after ten epochs: to make that small is an optimiser's whole job. (Whether the network is good is another question, asked on
# other rows.)
#
# The baseline: plain gradient descent, at *its* best rate.

# %%
from minigrad.datasets import load_table

table = load_table("breast_cancer")
order = np.random.default_rng(3).permutation(len(table.y))[:400]
x = torch.tensor((table.x[order] - table.x[order].mean(0)) / table.x[order].std(0), dtype=torch.float32)
y = torch.tensor(table.y[order] == 0, dtype=torch.float32)

RULES = {
    "gradient descent": lambda p, rate: torch.optim.SGD(p, lr=rate),
    "momentum": lambda p, rate: torch.optim.SGD(p, lr=rate, momentum=0.9),
    "Adagrad": lambda p, rate: torch.optim.Adagrad(p, lr=rate),
    "Adam": lambda p, rate: torch.optim.Adam(p, lr=rate),
}
RATES = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0]


def loss_after(make, rate, epochs=10):
    """The training loss of a network that begins the same every time and sees the same batches."""
    torch.manual_seed(4)
    model = nn.Sequential(
        nn.Linear(30, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1)
    )
    optimizer = make(model.parameters(), rate)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(32):
            optimizer.zero_grad()
            F.binary_cross_entropy_with_logits(model(x[rows]).squeeze(1), y[rows]).backward()
            optimizer.step()
    with torch.no_grad():
        return F.binary_cross_entropy_with_logits(model(x).squeeze(1), y).item()


losses = {name: [loss_after(make, rate) for rate in RATES] for name, make in RULES.items()}
for name, found in losses.items():
    best = int(np.argmin(found))
    good = sum(loss < 0.1 for loss in found)
    print(f"{name:17} best {found[best]:.4f} at rate {RATES[best]}, below 0.1 at {good} rates")
assert min(losses["momentum"]) < min(losses["Adam"])
assert min(losses["momentum"]) < min(losses["gradient descent"])
assert np.argmin(losses["Adam"]) < np.argmin(losses["momentum"])  # their valleys lie apart

# %% [markdown]
# What to see: each rule has a valley of good rates, and the valleys lie at different places. At one fixed rate any of them could be made to look best.
# And each at its own best rate, the famous one does not win here: Adam shows what it is made for in large networks, whose
# parameters have gradients of very different sizes. On a small table, momentum is hard to beat.

# %% tags=["hide-input"]
_, axes = figure(width=6.5, height=3.4)
for (name, found), color in zip(losses.items(), (BLUE, ORANGE, GREEN, PURPLE)):
    axes.plot(RATES, found, marker=".", color=color, label=name)
axes.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="training loss after 10 epochs", ylim=(0.005, 5))
axes.legend(ncols=2)
show()

# %% [markdown]
# ## Exercises
#
# ### 4.1 How fast may one go?
#
# In a valley the height is $\frac12\sum_i k_i\theta_i^2$. Write `limit(k)`: below which learning rate does plain gradient descent
# come closer in *every* direction? You get the array of the $k_i$, all positive.

# %% tags=["exercise-4.1"]
def limit(k):
    raise NotImplementedError("exercise 4.1")


# %%
check("4.1", limit)

# %% [markdown]
# ### 4.2 Adam
#
# One step, from the formulas above. `p` is an array of parameters, `g` its gradient, `m` and `v` the two averages, `t` the number of this
# step: 1 for the first one. Return the new `p`, `m` and `v`. The check walks several steps and compares with the library's Adam.

# %% tags=["exercise-4.2"]
def adam_step(p, g, m, v, t, rate=0.1, beta1=0.9, beta2=0.999, eps=1e-8):
    raise NotImplementedError("exercise 4.2")


# %%
check("4.2", adam_step)

# %% [markdown]
# ### 4.3 AdamW
#
# The same with weight decay, decoupled: first every parameter shrinks by `rate * decay` times itself; then comes Adam's step, which
# knows nothing of it. (You may call your `adam_step`.)

# %% tags=["exercise-4.3"]
def adamw_step(p, g, m, v, t, rate=0.1, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.3):
    raise NotImplementedError("exercise 4.3")


# %%
check("4.3", adamw_step)

# %% [markdown]
# ### 4.4 A rate that changes
#
# Large networks are nearly always trained with a *schedule*: the rate first rises in a straight line (*warm-up*), while Adam's averages still
# know little, and then falls to zero along half a wave of the cosine. Write `rate_at(step, steps, warmup, top)`:
#
# - for the first `warmup` steps (numbers 0 to `warmup - 1`): `top / warmup` at step 0, growing evenly, and `top` at step `warmup - 1`;
# - then $\frac12\,\text{top}\,(1+\cos \pi u)$, where $u$ goes evenly from 0 at step `warmup` to 1 at step `steps`.

# %% tags=["exercise-4.4"]
def rate_at(step, steps, warmup, top):
    raise NotImplementedError("exercise 4.4")


# %%
check("4.4", rate_at)

# %% [markdown]
# ## In PyTorch and in minigrad
#
# | here | in PyTorch and minigrad | where to read it |
# |---|---|---|
# | `Descent`, `Momentum` | `torch.optim.SGD(..., momentum=0.9)` | `minigrad/optim/sgd.py` |
# | `Adagrad` | `torch.optim.Adagrad` | `minigrad/optim/adaptive.py` |
# | 4.2, 4.3 | `torch.optim.Adam`, `torch.optim.AdamW` | `minigrad/optim/adam.py` |
# | 4.4 | `torch.optim.lr_scheduler` | `minigrad/optim/lr_scheduler/` |
#
# An optimizer there remembers its averages for each parameter in `optimizer.state`, under the names that the papers give them:

# %%
p = torch.tensor([1.0, -2.0], requires_grad=True)
optimizer = torch.optim.Adam([p], lr=0.1)
(p**2).sum().backward()
optimizer.step()
for name, value in optimizer.state[p].items():
    print(name, value)
assert np.allclose(optimizer.state[p]["exp_avg"].numpy(), 0.1 * np.array([2.0, -4.0]))

# %% [markdown]
# `exp_avg` is $m$ and `exp_avg_sq` is $v$. They are as large as the parameters themselves: this is why a network that is trained with
# Adam takes three times the memory of its parameters, and the gradients on top.
