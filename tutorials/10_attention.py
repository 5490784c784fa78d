# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 10 · Attention and the Transformer block
#
# **You will build** the block that all large language models are made of: attention, masks, heads, positions, and the two
# shortcuts around them.
#
# **Time**: about 75 minutes. **You need**: lessons 2 (tensors), 3 (softmax and cross-entropy) and 4 (Adam).
#
# **You will have** a language model of one page that predicts the next letter better than counting pairs of letters
# does, and a picture of where it looked.

# %%
import math

import numpy as np

import minigrad as torch
from minigrad import nn
from minigrad.learn import BLUE, GRAY, ORANGE, RED, check, figure, show
from minigrad.nn import functional as F

torch.manual_seed(10)
rng = np.random.default_rng(10)

# %% [markdown]
# ## The picture first
#
# Read this line and guess how it goes on: *to be or not to*. You looked back for the last *to*, saw what followed it, and
# said *be*. That is attention: **each place asks a question, all places offer an answer, and those whose label fits the
# question are listened to**.
#
# In the picture nothing is learned yet; the questions and labels are written by hand. A place *asks* for its own word. A
# place is *labelled* with the word before it. So the question of the second *to* fits the label of the place after the first
# *to*. What to see: each row is a place that asks, each column a place that answers, and the darker the square, the more
# it is listened to. The bottom row, the second *to*, listens to *be*. Rows whose word has not occurred before find no label
# that fits, and listen a little to everybody. The upper right is empty: nobody may look ahead.

# %% tags=["hide-input"]
words = ["to", "be", "or", "not", "to"]


def picture():
    """Attention with questions and labels made by hand."""
    kinds = list(dict.fromkeys(words))
    asks = np.array([[word == kind for kind in kinds] for word in words], float)
    labels = np.vstack([np.zeros(len(kinds)), asks[:-1]])  # the word before
    scores = np.where(np.tri(len(words), dtype=bool), 6 * asks @ labels.T, -np.inf)
    weights = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)

    _, axes = figure(width=5, height=3.4)
    for i, row in enumerate(weights):
        for j, weight in enumerate(row[: i + 1]):
            axes.add_patch(_square(j, i, weight))
            axes.text(j, i, f"{weight:.2f}", ha="center", va="center", color=GRAY, weight="bold" if weight > 0.6 else None)
    axes.set(xlim=(-0.5, len(words) - 0.5), ylim=(len(words) - 0.5, -0.5), xlabel="who answers", ylabel="who asks")
    axes.set_xticks(range(len(words)), words)
    axes.set_yticks(range(len(words)), words)
    show()
    return weights


def _square(column, row, weight):
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=(*_rgb(BLUE), 0.03 + 0.35 * weight), edgecolor=GRAY)


def _rgb(color):
    from matplotlib.colors import to_rgb

    return to_rgb(color)


weights = picture()
assert words[weights[-1].argmax()] == "be"

# %% [markdown]
# ## The idea
#
# A text is cut into pieces called *tokens*: words, or as below letters. Every token is a vector, a row of $d$ numbers, and the
# text is a table $X$ of one row per place. From its row, each place makes three vectors by three matrices that are learned:
#
# - its *query* $q$, what it asks for,
# - its *key* $k$, the label under which it can be found,
# - its *value* $v$, what it has to say.
#
# How well the key of place $j$ fits the query of place $i$ is their product, $q_i\cdot k_j$: large if the two point the same
# way. Softmax turns each row of these *scores* into weights that are positive and sum to 1, and the weights mix the values:
#
# $$\mathrm{attention}(Q, K, V) \;=\; \mathrm{softmax}\!\left(\frac{QK^\top}{\sqrt{d}}\right) V$$
#
# $Q$, $K$ and $V$ are the queries, keys and values of all places, one per row; softmax works along each row.
#
# **Why divide by $\sqrt d$?** A score is a sum of $d$ products. If the numbers in $q$ and $k$ are independent, with mean 0 and
# variance 1, each product has variance 1, and variances of independent numbers add up: the score has variance $d$. How
# far it typically lies from 0 is the square root of that, the *standard deviation* $\sqrt d$. Divided by it, scores are of size 1
# again, however large $d$ is.

# %%
for d in (4, 64, 1024):
    q, k = rng.normal(size=(2, 4000, d))
    scores = (q * k).sum(1)
    print(f"d = {d:4}: the variance of a score is {scores.var():7.1f}, its standard deviation {scores.std():5.1f}")
    assert abs(scores.var() / d - 1) < 0.1

# %% [markdown]
# Scores that are too large make softmax deaf: it gives everything to the largest, and then its slope is 0 and nothing is
# learned. What to see: the weight of the best of ten keys. Undivided (red), it goes to 1 as $d$ grows; divided by the
# standard deviation (blue), it stays where it is.

# %% tags=["hide-input"]
sizes = [2**n for n in range(1, 11)]


def best_weight(scores):
    """The largest softmax weight of each row, on average."""
    e = np.exp(scores - scores.max(1, keepdims=True))
    return (e.max(1) / e.sum(1)).mean()


def scores_of(d):
    """300 queries, with ten keys each."""
    q, k = rng.normal(size=(300, 1, d)), rng.normal(size=(300, d, 10))
    return (q @ k)[:, 0]


drawn = {d: scores_of(d) for d in sizes}
_, axes = figure(width=6, height=2.8)
axes.semilogx(sizes, [best_weight(s) for s in drawn.values()], color=RED, marker="o", label="softmax of the scores")
axes.semilogx(sizes, [best_weight(s / d**0.5) for d, s in drawn.items()], color=BLUE, marker="o", label="divided by the root of d")
axes.set(xlabel="d", ylabel="weight of the best key", ylim=(0, 1), xticks=sizes[::3], xticklabels=sizes[::3])
axes.minorticks_off()
axes.legend()
show()

# %% [markdown]
# **Attention does not know the order.** It compares vectors and mixes them; where they stand appears nowhere in the formula. So
# the place is written into the vectors: to each row of $X$ a row of waves is added, which differ from place to place. With $p$ the
# number of the place, counted from 0, and $i$ that of a pair of columns, from 0 too,
#
# $$\mathrm{PE}_{p,\,2i} = \sin\!\left(\frac{p}{10000^{2i/d}}\right), \qquad
#   \mathrm{PE}_{p,\,2i+1} = \cos\!\left(\frac{p}{10000^{2i/d}}\right).$$
#
# The first columns swing fast, the last ones hardly at all, like the hands of a clock for seconds, minutes and hours: read
# together, they tell every place from every other. What to see: one row per place, one column per wave; blue is $-1$, orange $1$.

# %% tags=["hide-input"]
waves = nn.PositionalEncoding(64, dropout=0.0).pe[:48].numpy()
assert abs(waves[7, 2] - math.sin(7 / 10000 ** (2 / 64))) < 1e-6  # p = 7, i = 1, d = 64
_, axes = figure(width=6.5, height=2.8)
from matplotlib.colors import LinearSegmentedColormap

both = LinearSegmentedColormap.from_list("both", [BLUE, (1, 1, 1, 0), ORANGE])
axes.imshow(waves, aspect="auto", cmap=both, vmin=-1, vmax=1, interpolation="nearest")
axes.set(xlabel="column", ylabel="place")
show()

# %% [markdown]
# ## Build it
#
# The formula, with one more argument: *who may see whom*, a table of True and False. A score that is not allowed becomes
# $-\infty$, and softmax makes a weight of 0 of that.

# %%
def attention(q, k, v, allowed):
    """What each place hears, and how much it listened to whom: (..., places, features) and (..., places, places)."""
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    weights = scores.masked_fill(~allowed, -math.inf).softmax(-1)
    return weights @ v, weights


def nobody_ahead(n):
    """Each place may see itself and what came before: True on and below the diagonal."""
    return torch.ones(n, n, dtype=torch.bool).tril()


q, k, v = torch.randn(3, 2, 7, 5, dtype=torch.float64).unbind()
ours, weights = attention(q, k, v, nobody_ahead(7))
assert torch.allclose(ours, F.scaled_dot_product_attention(q, k, v, is_causal=True))
print("sums of the rows of weights:", weights[0].sum(-1))

# %% [markdown]
# **Heads.** One attention can ask one question at a time. So the columns are dealt out to several *heads*: each works on its
# share of the columns, asks a question of its own, and what they heard is put side by side again and mixed by one more
# matrix.
#
# **The block.** Attention lets places talk to each other; then a small network with one hidden layer thinks about what was
# heard, at each place alone. Two things make a tower of such blocks learn well:
#
# - *Shortcuts*: a block does not replace $x$, it **adds** to it. So the gradient has a way to the bottom on which nothing is
#   multiplied to it.
# - *Layer norm*: what goes into attention and into the network is first brought to mean 0 and variance 1 along each row,
#   then scaled and shifted by learned numbers. So sizes do not drift as blocks pile up.
#
# $$x \leftarrow x + \mathrm{heads}(\mathrm{norm}(x)), \qquad x \leftarrow x + \mathrm{network}(\mathrm{norm}(x))$$
#
# The bend of the network is *GELU*, a ReLU with a rounded corner.

# %%
class Heads(nn.Module):
    """Several attentions side by side, each on its share of the columns."""

    def __init__(self, width, heads):
        super().__init__()
        self.share = width // heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.mix = nn.Linear(width, width)

    def forward(self, x, allowed):
        shares = [layer(x).split(self.share, -1) for layer in (self.query, self.key, self.value)]
        results = [attention(q, k, v, allowed) for q, k, v in zip(*shares)]
        heard, self.weights = zip(*results)
        return self.mix(torch.cat(heard, -1))


class Block(nn.Module):
    """Talk, then think; each adds to what passes through."""

    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.heads = nn.LayerNorm(width), Heads(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.network = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x, allowed):
        x = x + self.heads(self.norm1(x), allowed)
        return x + self.network(self.norm2(x))


class LanguageModel(nn.Module):
    """Scores for the next token, at every place: (batch, places) -> (batch, places, kinds of tokens)."""

    def __init__(self, kinds, width, heads, blocks, causal=True):
        super().__init__()
        self.tokens = nn.Embedding(kinds, width)  # a learned vector for each kind of token
        nn.init.normal_(self.tokens.weight, std=width**-0.5)
        self.waves = nn.PositionalEncoding(width, dropout=0.0)  # adds the waves; it could also drop numbers at random
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(blocks))
        self.norm, self.scores = nn.LayerNorm(width), nn.Linear(width, kinds)
        self.causal = causal

    def forward(self, ids):
        n = ids.shape[1]
        allowed = nobody_ahead(n) if self.causal else torch.ones(n, n, dtype=torch.bool)
        x = self.waves(self.tokens(ids) * self.tokens.weight.shape[1] ** 0.5)
        for block in self.blocks:
            x = block(x, allowed)
        return self.scores(self.norm(x))


# %% [markdown]
# That is the whole model. It reads texts only ever forwards, and predicts what comes next: a *decoder-only* language model, the
# family that GPT belongs to. Is our block right? The library has one, in PyTorch's words. With the same parameters, both must give the same.

# %%
block = Block(12, 3)
theirs = nn.TransformerEncoderLayer(12, 3, 48, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
h = block.heads
with torch.no_grad():
    theirs.self_attn.in_proj_weight.copy_(torch.cat([h.query.weight, h.key.weight, h.value.weight]))
    theirs.self_attn.in_proj_bias.copy_(torch.cat([h.query.bias, h.key.bias, h.value.bias]))
pairs = [(theirs.self_attn.out_proj, h.mix), (theirs.norm1, block.norm1), (theirs.norm2, block.norm2)]
pairs += [(theirs.linear1, block.network[0]), (theirs.linear2, block.network[2])]
for to, source in pairs:
    to.load_state_dict(source.state_dict())

x = torch.randn(2, 9, 12)
hidden = ~nobody_ahead(9)  # this layer wants to know who may NOT be seen
difference = (block(x, nobody_ahead(9)) - theirs(x, src_mask=hidden)).abs().max().item()
print(f"largest difference to nn.TransformerEncoderLayer: {difference:.1e}")
assert difference < 1e-5

# %% [markdown]
# ## Break it
#
# :::{admonition} Seen in the wild: a variance that is none
# :class: warning
# "The scores are divided by the variance factor $\sqrt{d_k}$." The number is right and its name is wrong, and whoever believes the
# name divides by the variance, which is $d$. Then all scores are nearly 0, and every place listens to everybody alike.
# :::

# %%
# E17: sqrt(d) is the standard deviation; the variance is d
d = 64
scores = scores_of(d)
print(f"d = {d}: variance {scores.var():.1f}, standard deviation {scores.std():.2f}, root of d {d**0.5:.2f}")
assert abs(scores.std() - d**0.5) < 0.3 and abs(scores.var() - d**0.5) > 40
for name, divisor in (("undivided", 1), ("by the standard deviation", d**0.5), ("by the variance", d)):
    print(f"best of ten keys, {name:26} {best_weight(scores / divisor):.2f}")
assert best_weight(scores / d) < 0.14  # ten keys that nobody tells apart have a weight of 0.10 each

# %% [markdown]
# :::{admonition} Seen in the wild: words too quiet to be heard
# :class: warning
# One article multiplies the vectors of the words by $\sqrt{0.02}$ before it adds the waves. The paper multiplies by
# $\sqrt{d}$. (0.02 is something else: the standard deviation with which some models draw their first weights.) The paper's
# vectors start with numbers of size $1/\sqrt d$, and the factor brings them to the size of the waves. With the article's factor
# the waves drown them.
# :::

# %%
# E15: the factor of the embedding
d = 512
paper, wild = math.sqrt(d), math.sqrt(0.02)
print(f"at d = {d}: the paper's factor is {paper:.2f}, the article's {wild:.4f}, which is {paper / wild:.0f} times too small")
assert round(paper / wild) == 160

vectors = rng.normal(size=(2, d)) / d**0.5  # two words
pe = nn.PositionalEncoding(d, dropout=0.0).pe[:2].numpy()
for name, factor in (("paper", paper), ("article", wild)):
    a, b = vectors[0] * factor + pe[1], vectors[1] * factor + pe[1]
    alike = a @ b / math.sqrt((a @ a) * (b @ b))
    print(f"{name:8} two different words at one place are alike to {alike:.4f} (1 is the same)")
assert alike > 0.999

# %% [markdown]
# :::{admonition} Seen in the wild: a language model that sees the answer
# :class: warning
# The same article trains its model to predict the next word, and hides nothing: no mask. Each place may look at the
# next one, which is its own answer. The text calls the last layer, a matrix, the "decoder", and the class that should
# make the waves is not in the article at all. In ours, the mask is the difference between a language model and a copying
# machine.
# :::
#
# If the last token changes, what was said at the places before it must not.

# %%
# E16: without the mask, earlier places know the later token
ids = torch.randint(9, (1, 8))
other = ids.clone()
other[0, -1] = (ids[0, -1] + 1) % 9
for causal in (True, False):
    torch.manual_seed(10)
    model = LanguageModel(9, 12, 3, 1, causal)
    moved = (model(ids) - model(other)).abs().amax(-1)[0]
    print("with the mask   " if causal else "without the mask", [round(m, 4) for m in moved.tolist()])
    assert (moved[:-1].max().item() == 0) == causal

# %% [markdown]
# And the order? Without waves, shuffling the tokens shuffles the result and changes nothing else: *man bites dog* is *dog bites
# man*.

# %%
block, x, shuffled = Block(12, 3), torch.randn(1, 6, 12), [3, 0, 5, 1, 4, 2]
everybody = torch.ones(6, 6, dtype=torch.bool)
assert torch.allclose(block(x, everybody)[:, shuffled], block(x[:, shuffled], everybody), atol=1e-6)
with_waves = nn.PositionalEncoding(12, dropout=0.0)
assert not torch.allclose(block(with_waves(x), everybody)[:, shuffled], block(with_waves(x[:, shuffled]), everybody), atol=1e-2)
print("attention alone does not see the order; with waves it does")

# %% [markdown]
# ## On real data
#
# Letters of a real text (we call spaces and commas letters too): the plays of Shakespeare if their package is installed, else what
# Python's own help says.
# The model sees 32 letters and predicts, at each place, the next one. Its loss is the cross-entropy, in *nats*: $-\log$ of the
# probability that it gave to the letter that came.
#
# The baselines only count. The first one knows how frequent each letter is, the second one how frequent after the letter before,
# the third one after the two letters before. All are tested on text that nobody has trained on.

# %%
from minigrad.datasets import CharTokenizer, load_text, ngram_losses, resolve, split

text = load_text()[:400_000]
letters = CharTokenizer.from_text(text)
kinds = len(letters)
train, test = (torch.tensor(letters.encode(part)) for part in split(text))
counted = ngram_losses(train.numpy(), test.numpy(), kinds)
print(f"{resolve('auto')}: {len(train)} letters to learn from, {len(test)} to test on, {kinds} kinds")
for name, loss in zip(("how frequent a letter is", "after one letter", "after two letters"), counted):
    print(f"counting {name:25} {loss:.3f} nats")

# %%
LENGTH, STEPS = 32, 300


def windows(source, count):
    """Pieces of the text from random places, and the same pieces one letter later."""
    places = torch.randint(len(source) - LENGTH, (count, 1)) + torch.arange(LENGTH)
    return source[places], source[places + 1]


def trained(causal):
    """A model of two blocks, and its loss at every step."""
    torch.manual_seed(10)
    model = LanguageModel(kinds, 48, 4, 2, causal)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=STEPS)  # the rate rises, then falls
    losses = []
    for _ in range(STEPS):
        ids, targets = windows(train, 24)
        loss = F.cross_entropy(model(ids).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return model, losses


@torch.no_grad()
def by_place(model):
    """The loss on the test text, at each of the places."""
    torch.manual_seed(11)
    ids, targets = windows(test, 400)
    loss = F.cross_entropy(model(ids).flatten(0, 1), targets.flatten(), reduction="none")
    return loss.unflatten(0, (400, LENGTH)).mean(0).numpy()


model, losses = trained(causal=True)
cheat, cheat_losses = trained(causal=False)
ours, cheated = by_place(model), by_place(cheat)
print(f"with the mask:    last training losses {np.mean(losses[-20:]):.3f}, test {ours.mean():.3f}")
print(f"without the mask: last training losses {np.mean(cheat_losses[-20:]):.3f}; test, at the last place only, {cheated[-1]:.3f}")
assert ours.mean() < counted[1]  # better than counting pairs
assert cheated[:-1].mean() < 0.5 * ours.mean() and cheated[-1] > counted[1]

# %% [markdown]
# Without the mask the training loss looks wonderful. The last place is where it counts: there the next letter is not in the
# input, as it never is when a model writes. What to see: left, the losses in training, and the three baselines as dashed
# lines. Right, the loss at each place of unseen text. With the mask (blue) it falls at first, as more letters come into
# view. Without (red) it is close to 0 wherever the answer can be seen, and worse than counting at the one place where it cannot.

# %% tags=["hide-input"]
_, (left, right) = figure(1, 2, width=6.5, height=3)
smooth = np.ones(10) / 10
left.plot(np.convolve(losses, smooth, "valid"), color=BLUE, label="with the mask")
left.plot(np.convolve(cheat_losses, smooth, "valid"), color=RED, label="without")
for order, loss in enumerate(counted):
    left.axhline(loss, color=GRAY, linestyle="--", linewidth=1)
    left.text(STEPS, loss, f" {order}", color=GRAY, va="center")
left.set(title="in training", xlabel="step", ylabel="loss (nats)", xlim=(0, STEPS), ylim=(0, None))
left.legend()
right.plot(np.arange(1, LENGTH + 1), ours, color=BLUE, marker=".")
right.plot(np.arange(1, LENGTH + 1), cheated, color=RED, marker=".")
right.axhline(counted[1], color=GRAY, linestyle="--", linewidth=1)
right.set(title="on unseen text", xlabel="place", ylim=(0, None))
show()

# %% [markdown]
# The numbers at the dashed lines say how many letters the counting looks back. And where do the heads look? What to see:
# the four heads of the first block while the model reads a piece of unseen text; rows ask, columns answer. They look mostly
# at the last few letters, and not all equally far back. Nobody told them to; it helps to guess the next letter.

# %% tags=["hide-input"]
piece = test[2000 : 2000 + 16].unsqueeze(0)
with torch.no_grad():
    model(piece)
marks = [c if c.strip() else "·" for c in letters.decode(piece[0].tolist())]
shades = LinearSegmentedColormap.from_list("shades", [(*_rgb(BLUE), 0), (*_rgb(BLUE), 1)])
_, panels = figure(2, 2, width=6, height=6)
for number, (axes, weights) in enumerate(zip(panels.flat, model.blocks[0].heads.weights), 1):
    axes.imshow(weights[0].numpy(), cmap=shades, vmin=0, vmax=0.8)
    axes.set_title(f"head {number}")
    axes.set_xticks(range(16), marks, fontsize=9)
    axes.set_yticks(range(16), marks, fontsize=9)
    axes.tick_params(length=0)
show()

back = (torch.arange(16).unsqueeze(1) - torch.arange(16)).float()  # how far back each column lies
far = [(weights[0] * back)[4:].sum(-1).mean().item() for weights in model.blocks[0].heads.weights]
print("how far back the heads look on average, in letters:", [round(letters, 1) for letters in far])
assert max(far) < 12 and max(far) > 1.1 * min(far)

# %% [markdown]
# ## Exercises
#
# Answers get and return NumPy arrays. If you are stuck: `minigrad learn hint 10.1`.
#
# ### 10.1 What goes into the first block
#
# Write `embed(vectors)`. It gets the vectors of the words of a text, of shape (places, d), as they stand in the table of the
# embedding, d even. It returns what goes into the first block of the paper's Transformer: the vectors times their factor, with the
# waves of their places added. Make the waves yourself.

# %% tags=["exercise-10.1"]
def embed(vectors):
    raise NotImplementedError("exercise 10.1")


# %%
check("10.1", embed)

# %% [markdown]
# ### 10.2 Texts of different lengths
#
# Texts in a batch are filled up at the end with meaningless tokens until all have the same length. Write `may_see(lengths, n)`: a boolean array of
# shape (texts, n, n). At `[b, i, j]` it says whether, in text b, place i may see place j: nobody ahead, and nothing that was
# only filled in. `lengths[b]` says how many tokens of text b are real.

# %% tags=["exercise-10.2"]
def may_see(lengths, n):
    raise NotImplementedError("exercise 10.2")


# %%
check("10.2", may_see)

# %% [markdown]
# ### 10.3 All heads at once
#
# Our `Heads` takes the heads one by one. It is faster to make one array of them and let a single product serve them all. Write
# `split_heads(x, heads)`: from (texts, places, width) to (texts, heads, places, width / heads). Head 0 gets the first columns,
# as in the lesson.

# %% tags=["exercise-10.3"]
def split_heads(x, heads):
    raise NotImplementedError("exercise 10.3")


# %%
check("10.3", split_heads)

# %% [markdown]
# ### 10.4 The way back
#
# An engine finds these gradients by itself; once in a life one should have found them by hand. Write `attention_backward(q, k, v, g)`. q is
# (n, d), k is (m, d), v is (m, e), and there is no mask. g is the gradient of the result, (n, e). Return the gradients of q, k
# and v. For the softmax: if row $w$ of the weights has gradient $u$, the scores before it have gradient
# $w_j\,(u_j - \sum_l w_l u_l)$.

# %% tags=["exercise-10.4"]
def attention_backward(q, k, v, g):
    raise NotImplementedError("exercise 10.4")


# %%
check("10.4", attention_backward)

# %% [markdown]
# ## In PyTorch and in minigrad
#
# | here | in PyTorch and minigrad | where to read it |
# |---|---|---|
# | `attention` | `F.scaled_dot_product_attention` | the formula in `minigrad/ops/attention.py`, its fused form in `kernels/cpu/attention.py` |
# | `Heads` | `nn.MultiheadAttention` | `minigrad/nn/attention.py` |
# | `Block` | `nn.TransformerEncoderLayer(norm_first=True)` | `minigrad/nn/transformer.py` |
# | the waves (10.1) | `nn.PositionalEncoding`, which PyTorch leaves to its tutorials | `minigrad/nn/transformer.py` |
# | `LanguageModel` | `minigrad.models.GPT`, with learned places | `minigrad/models/gpt.py` |
# | training it | `minigrad train gpt`, for three minutes | `minigrad/recipes/gpt.py` |
#
# Mind the masks: in `F.scaled_dot_product_attention` True means *may be seen*, in `nn.MultiheadAttention` it means *hidden*.
# PyTorch has it so, and so do we.
