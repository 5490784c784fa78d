# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 15 · CUDA kernels you can check without a GPU
#
# **You will build** programs for a graphics card, and prove them right and count what they cost, on the computer you have.
#
# **Time**: about 80 minutes. **You need**: lesson 2 (tables of numbers) and 3 (softmax). You need no C: the little that
# occurs is explained. You need no graphics card.
#
# **You will have** seen the mistakes that everybody makes on a GPU, each told with the line it is in, which a card by itself
# never does.

# %%
import numpy as np

from minigrad.learn import BLUE, GRAY, ORANGE, check, figure, show
from minigrad.learn.cuda import run, tools

print(tools() or "This machine can compile kernels, and run them in the simulator.")

# %% [markdown]
# ## The picture first
#
# A graphics card (*GPU*) computes with thousands of *threads* at once, and all of them want numbers from the same memory. That
# memory hands out numbers only in packets of 8, called *sectors*. Threads come in groups of 32, called *warps*, which
# mostly do the same thing at the same time. When the 32 threads of a warp each read one number, how many packets must be fetched?
#
# That depends on nothing but where the numbers lie. What to see: memory, one packet per row, of eight numbers each. Blue is
# what a thread asked for, orange what was fetched for nothing. On the left, neighbouring threads read neighbouring numbers; in the middle
# every second one; on the right every eighth one. The work is the same, the traffic is not. The counts come from running the
# three programs.

# %% tags=["hide-input"]
SPREAD = r"""
extern "C" __global__ void spread(const float* x, float* y, int step) {
    y[threadIdx.x] = x[threadIdx.x * step];
}
"""


def picture():
    """One warp, three ways to read 32 numbers."""
    from matplotlib.colors import ListedColormap

    _, panels = figure(1, 3, width=6.5, height=4)
    counted = []
    for axes, step in zip(panels, (1, 2, 8)):
        x, y = np.arange(256, dtype=np.float32), np.zeros(32, np.float32)
        outcome = run(SPREAD, 1, 32, x, y, step)
        fetched = outcome.sectors - 4  # 4 of them are the results, which lie side by side
        words = np.zeros((32, 8))
        words[:fetched] = 1
        words.reshape(-1)[np.arange(32) * step] = 2
        axes.imshow(words, cmap=ListedColormap([(0, 0, 0, 0), ORANGE, BLUE]), vmin=0, vmax=2, aspect="auto")
        axes.set_title(f"every {step}.:\n{fetched} packets" if step > 1 else f"side by side:\n{fetched} packets")
        axes.set_xticks(np.arange(-0.5, 8), [], minor=False)
        axes.set_yticks(np.arange(-0.5, 32), [], minor=False)
        axes.grid(color=GRAY, linewidth=0.3)
        axes.tick_params(length=0)
        counted.append(fetched)
    show()
    return counted


assert picture() == [4, 8, 32]

# %% [markdown]
# ## The idea
#
# A *kernel* is a small program that is written for **one** thread. It is started for very many at once. They come in *blocks* of the
# same size, and the blocks form a *grid*. A thread knows who it is:
#
# | in the program | what it is |
# |---|---|
# | `threadIdx.x` | its number in its block |
# | `blockIdx.x` | the number of its block |
# | `blockDim.x` | how many threads a block has |
# | `gridDim.x` | how many blocks there are |
#
# So a thread of its own for each of $n$ numbers is found by
#
# $$i \;=\; \mathtt{blockIdx.x}\cdot\mathtt{blockDim.x} + \mathtt{threadIdx.x}$$
#
# All threads see the large and slow memory in which the arrays lie. The threads of one block also share a small and fast one,
# *shared memory*. There is no order between threads: whoever needs a number that another thread writes must wait for it at a
# *barrier*, `__syncthreads()`, which lets nobody pass before all threads of the block are there.
#
# **What costs time** is mostly memory. For a kernel that reads and writes $b$ bytes, of which each must be moved once, and
# that moves $s$ packets of 32 bytes, the share that was of use is
#
# $$\text{efficiency} \;=\; \frac{b}{32\,s}$$
#
# **Without a card.** NVRTC, the compiler by the makers of the cards, comes as a Python package and needs no card: it
# translates a kernel to PTX, the instructions of an idealised card. The *simulator* of minigrad executes these, thread by
# thread, and watches every access to memory. So it can say what is wrong, and count what is done. What it cannot say is how
# many milliseconds that takes; for that one needs a card. Every number in this lesson is *counted*.

# %% [markdown]
# ## Build it
#
# The first kernel adds two arrays. In C, `float* c` is an array of numbers, `const` says that it is only read, and a
# number's kind stands before its name: `int` is a whole number. `extern "C" __global__ void` begins every kernel.
#
# 37 numbers and blocks of 32 threads make two blocks, so 64 threads, and 27 of them have nothing to do. They must be told: that is
# what the `if` is for, the *guard*.

# %%
ADD = r"""
extern "C" __global__ void add(const float* a, const float* b, float* c, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) c[i] = a[i] + b[i];
}
"""
rng = np.random.default_rng(15)
n = 37
a, b = (rng.normal(size=n).astype(np.float32) for _ in range(2))
c = np.zeros(n, np.float32)
outcome = run(ADD, 2, 32, a, b, c, n)  # two blocks of 32 threads
print(outcome)
print("packets moved:", outcome.sectors, " as few as possible:", outcome.needed)
assert np.array_equal(c, a + b) and not outcome.findings

# %% [markdown]
# Now a sum. Many threads cannot simply add to one number: each would read it before the others have written theirs. So the threads of a
# block put what they have into shared memory, and then half of them add the other half's numbers to their own, then a
# quarter, and so on: 64 numbers are added in six rounds. Between the rounds there is a barrier.

# %%
SUM = r"""
extern "C" __global__ void sum(const float* x, float* sums, int n) {
    __shared__ float part[64];                      // one number per thread, seen by the whole block
    int t = threadIdx.x, i = blockIdx.x * blockDim.x + t;
    part[t] = i < n ? x[i] : 0.0f;                  // "if i < n then x[i], else 0"
    __syncthreads();                                // everybody has written
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (t < half) part[t] += part[t + half];
        __syncthreads();                            // this round is over for everybody
    }
    if (t == 0) sums[blockIdx.x] = part[0];         // one of them writes the result
}
"""
x, sums = rng.normal(size=150).astype(np.float32), np.zeros(3, np.float32)
outcome = run(SUM, 3, 64, x, sums, 150)
print(outcome)
print("sum of the three blocks:", round(float(sums.sum()), 4), " NumPy:", round(float(x.sum()), 4))
assert np.allclose(sums, [x[:64].sum(), x[64:128].sum(), x[128:].sum()], atol=1e-5) and not outcome.findings

# %% [markdown]
# **Who sits beside whom.** Turning a table on its side, rows to columns, must either read or write along columns, and then neighbouring
# threads use numbers that lie a whole row apart: the right end of the first picture. The way out is shared memory: read a square of 32
# by 32 numbers along its rows, put it there, and write it out along the rows of the result.
#
# Shared memory has a rule of its own. It consists of 32 *banks*; number $k$ lies in bank $k \bmod 32$, and each bank hands out one
# number per turn. A warp that reads down a column of a square with 32 columns wants 32 numbers out of **one** bank, and waits 32 turns. One
# more column that nobody uses shifts every row by one bank, and there is no more queue. The kernel below gets the number of
# columns as `WIDE`.

# %%
TURN = r"""
extern "C" __global__ void turn(const float* x, float* y, int n) {
    __shared__ float square[32][WIDE];
    int column = blockIdx.x * 32 + threadIdx.x, row = blockIdx.y * 32 + threadIdx.y;
    for (int k = 0; k < 32; k += 8) square[threadIdx.y + k][threadIdx.x] = x[(row + k) * n + column];
    __syncthreads();
    column = blockIdx.y * 32 + threadIdx.x, row = blockIdx.x * 32 + threadIdx.y;
    for (int k = 0; k < 32; k += 8) y[(row + k) * n + column] = square[threadIdx.x][threadIdx.y + k];
}
"""
PLAIN = r"""
extern "C" __global__ void turn(const float* x, float* y, int n) {
    int column = blockIdx.x * 32 + threadIdx.x, row = blockIdx.y * 32 + threadIdx.y;
    for (int k = 0; k < 32; k += 8) y[column * n + row + k] = x[(row + k) * n + column];
}
"""
x = rng.normal(size=(64, 64)).astype(np.float32)
ways = {"plain": PLAIN} | {f"{wide} columns": TURN.replace("WIDE", wide) for wide in ("32", "33")}
for name, source in ways.items():
    y = np.zeros_like(x)
    outcome = run(source, (2, 2), (32, 8), x, y, 64)
    assert np.array_equal(y, x.T) and not outcome.findings
    efficiency = outcome.needed / outcome.sectors
    print(f"{name:11} packets {outcome.sectors:5}  efficiency {efficiency:4.0%}", end="  ")
    print(f"turns of shared memory {outcome.turns:5}")
assert outcome.sectors == 2 * 64 * 64 / 8 and outcome.turns == outcome.fewest_turns

# %% [markdown]
# ## Break it
#
# A GPU does not tell you about mistakes. A number written beyond the end of an array lands in somebody else's; two threads that do not
# wait for each other are right nearly always, on this card, today. So each of these is worth seeing once where it is told.
#
# :::{admonition} Seen in the wild: no guard
# :class: warning
# "Choose the number of blocks so that there are at least $n$ threads." And the threads beyond? Without the `if` they read and write
# behind the arrays. The result below is right all the same, and that is what makes the mistake so long-lived.
# :::

# %%
broken = ADD.replace("if (i < n) ", "")
c[:] = 0
outcome = run(broken, 2, 32, a, b, c, n)
print(outcome)
assert np.array_equal(c, a + b)  # right, and yet
assert outcome.kinds == ["out of bounds"]

# %% [markdown]
# :::{admonition} Seen in the wild: "the threads of a warp run in step, so they need no barrier"
# :class: warning
# That was never promised, and since 2017 it is no longer so: each thread of a warp goes its own way. And a block has more
# than one warp. We leave out the barriers of the sum and let the warps take their turns in three orders. A card chooses its
# own order, each time anew.
# :::

# %%
broken = SUM.replace("__syncthreads();", "")
x = rng.normal(size=64).astype(np.float32)
found = {}
for order in ("ascending", "descending", "random"):
    sums = np.zeros(1, np.float32)
    outcome = run(broken, 1, 64, x, sums, 64, order=order)
    found[order] = float(sums[0])
    print(f"{order:11} sum {sums[0]:8.4f}  right {x.sum():8.4f}  {outcome.kinds}")
    assert any(kind.startswith("race") for kind in outcome.kinds)  # told in every order, right or not
assert len({round(value, 3) for value in found.values()}) > 1  # but the sum is right in some orders only

# %% [markdown]
# The mistake is told even when the sum happens to be right: what counts is that two threads touched one number, one of
# them writing, with no barrier between. Such a thing is called a *race*. (*nan*, not a number, is what the simulator puts where
# nobody has written yet; on a card it is whatever lay there.)
#
# :::{admonition} Seen in the wild: a barrier inside an if
# :class: warning
# `if (t < half) { part[t] += part[t + half]; __syncthreads(); }` looks tidy. Those who do not enter the `if` never come to the barrier, and
# those who do wait for them. On a card, the program may hang, or go on with wrong numbers.
# :::

# %%
inside = "if (t < half) { part[t] += part[t + half]; __syncthreads(); }"
broken = SUM.replace("if (t < half) part[t] += part[t + half];", inside)
broken = broken.replace("        __syncthreads();                            // this round is over for everybody\n", "")
assert broken.count("__syncthreads") == 2
outcome = run(broken, 1, 64, x, np.zeros(1, np.float32), 64)
print(outcome)
assert {"divergent barrier", "different barriers"} & set(outcome.kinds)

# %% [markdown]
# And one more: shared memory is not empty when a block begins. Whoever reads before anybody has written gets what another
# block left there.

# %%
broken = SUM.replace("part[t] = i < n ? x[i] : 0.0f; ", "if (i < n) part[t] = x[i];")
assert broken != SUM
outcome = run(broken, 1, 64, x, np.zeros(1, np.float32), 50)  # 50 numbers, 64 threads
print(outcome.findings[0])
assert "uninitialised shared read" in outcome.kinds

# %% [markdown]
# ## On real data
#
# Which letter follows which? We count the pairs of letters in plays of Shakespeare, as in lesson 10. The softmax of the
# logarithms of the counts gives the probabilities: a table of 64 rows, one per letter, each row a softmax of its own.
#
# `kernels/cuda/softmax.cu` has softmax as a *ladder*: `v1` is what one would write first, a thread for each row; each further
# step says in a line why it is better. The baseline for the result is NumPy in double precision. The baseline for the cost is what nobody can
# beat: to read every number once and to write every number once.

# %%
from pathlib import Path

from minigrad.kernels import cuda as kernels
from minigrad.kernels.cuda.softmax import V1, V2, V3, V4

from minigrad.datasets import load_text

text = np.array([ord(character) for character in load_text("shakespeare")[:400_000]])
common = np.argsort(-np.bincount(text), kind="stable")[:64]
number = np.full(text.max() + 1, -1)
number[common] = np.arange(64)
pairs = np.stack([number[text[:-1]], number[text[1:]]])
counts = np.zeros((64, 64))
np.add.at(counts, tuple(pairs[:, (pairs >= 0).all(0)]), 1)
x = np.log(counts + 0.1).round(3).astype(np.float32)
expected = np.exp(x.astype(float)) / np.exp(x.astype(float)).sum(1, keepdims=True)

SOFTMAX = (Path(kernels.__path__[0]) / "softmax.cu").read_text()
fewest = 2 * x.size // 8  # packets: every number in, every number out
packets = {}
for kernel in (V1, V2, V3, V4):
    y, launch = np.zeros_like(x), kernel.geometry(64, 64)
    outcome = run(SOFTMAX, launch.grid, launch.block, x, y, 64, 64, name=kernel.name)
    error = np.abs(y - expected).max()
    packets[kernel.name] = outcome.sectors
    print(f"{kernel.name}: largest error {error:.0e}, packets {outcome.sectors:5}, of {fewest} that are needed")
    assert error < 1e-5 and not outcome.findings
assert packets["softmax_v4"] == fewest < packets["softmax_v3"] < packets["softmax_v2"] < packets["softmax_v1"]
q = int(np.flatnonzero(common == ord("q"))[0])
print("after q comes", repr(chr(common[expected[q].argmax()])), f"with probability {expected[q].max():.2f}")

# %% [markdown]
# What to see: how many times more packets each step moves than must be moved. The first step reads along columns, so that each
# number drags seven others along; then a warp shares a row, reads side by side, and does so in fewer and fewer passes. The last one
# keeps its row in registers, the few numbers that a thread holds for itself, and moves nothing twice. (A cache may hold some of what is
# read again; the count is what the kernel asks for.)

# %% tags=["hide-input"]
_, axes = figure(width=6, height=2.4)
times = [value / fewest for value in packets.values()]
axes.barh(list(packets), times, color=[ORANGE, BLUE, BLUE, BLUE])
for row, value in enumerate(times):
    axes.text(value, row, f" {value:.2g} times the fewest", va="center", color=GRAY)
axes.axvline(1, color=GRAY, linewidth=1, linestyle="--")
axes.invert_yaxis()
axes.set(xlabel="packets, in multiples of the fewest that can do", xlim=(0, 1.4 * max(times)))
show()

# %% [markdown]
# ## Exercises
#
# Each answer is the text of a kernel. It is compiled and run on several sizes, with every access watched. Compiler errors name
# the line. If you are stuck: `minigrad learn hint 15.1`.
#
# ### 15.1 Two directions
#
# Blocks and grids may have two directions: `threadIdx.x` and `threadIdx.y`, and so on. Write the table of all products of two
# arrays: `out[r][c] = u[r] * v[c]`, which lies in memory row after row, `columns` numbers each. There are at least as many threads in both directions as
# rows and columns, and mostly more. Let neighbouring threads (in `x`) write neighbouring numbers.

# %% tags=["exercise-15.1"]
outer = r"""
extern "C" __global__ void outer(const float* u, const float* v, float* out, int rows, int columns) {
    // not written yet
}
"""


# %%
check("15.1", outer)

# %% [markdown]
# ### 15.2 Fewer threads than numbers
#
# There are millions of numbers and only so many threads. Write `y[i] = x[i] * x[i]` for all `n` numbers, with whatever grid the
# kernel is started: each thread takes one number, then goes on to the next one that nobody else takes, and so on until the end. No
# number is done twice, and in each step neighbouring threads do neighbouring numbers.

# %% tags=["exercise-15.2"]
squares = r"""
extern "C" __global__ void squares(const float* x, float* y, int n) {
    // not written yet
}
"""


# %%
check("15.2", squares)

# %% [markdown]
# ### 15.3 Each row minus its mean
#
# Half of a layer norm. Every block has one row of `n` numbers, row `blockIdx.x`, and 64 threads; `n` may be more than that, or
# less. Write each number minus the mean of its row. All threads of the block need the mean: find it together, in shared memory.

# %% tags=["exercise-15.3"]
centre = r"""
extern "C" __global__ void centre(const float* x, float* y, int n) {
    __shared__ float part[64];
    // not written yet
}
"""


# %%
check("15.3", centre)

# %% [markdown]
# ### 15.4 Softmax in one pass
#
# A softmax needs two things of its row: the largest number $m$, and the sum $s$ of $e^{x-m}$. (Without $m$, large numbers
# overflow.) It seems that $m$ must be known before the sum can begin. But it need not: if a larger number comes along, correct what has
# been summed so far. This is the idea inside flash attention. One thread does one row of `n` numbers; write $m$ to `largest[row]` and $s$ to
# `sum[row]`, and read every number **once**. The exponential function is `expf`, the larger of two numbers `fmaxf`, and minus infinity is
# `__int_as_float(0xff800000)`.

# %% tags=["exercise-15.4"]
one_pass = r"""
extern "C" __global__ void one_pass(const float* x, float* largest, float* sum, int rows, int n) {
    // not written yet
}
"""


# %%
check("15.4", one_pass)

# %% [markdown]
# ## In PyTorch and in minigrad
#
# | here | in PyTorch and minigrad | where to read it |
# |---|---|---|
# | `run(source, ...)` | `cupy.RawModule` on a card; the simulator anywhere | `kernels/cuda/launcher.py`, `kernels/simulator/` |
# | the softmax ladder | what `torch.softmax` runs on a card | `kernels/cuda/softmax.cu` |
# | one pass (15.4) | `F.scaled_dot_product_attention` | the attention kernels in `kernels/cuda/` |
# | counting packets | `minigrad kernels inspect softmax` | every line of a kernel, with what it costs |
# | the checks | `minigrad kernels check` | all kernels, all steps, all declared shapes |
#
# On a machine with a card, `x.to("cuda")` is all it takes: the same kernels run there. What was counted here stays true; what it takes
# in milliseconds is measured there.
