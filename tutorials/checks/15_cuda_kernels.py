"""Lesson 15: what its exercises should give, and the mistakes that are known. Answers are CUDA C, run in the simulator."""

from __future__ import annotations

import numpy as np

from minigrad.learn import Exercise, cuda

rng = np.random.default_rng(15)
UNTOUCHED = -777.0  # what stands in a result that nobody has written
PARAMETERS = {
    "outer": "const float* u, const float* v, float* out, int rows, int columns",
    "squares": "const float* x, float* y, int n",
    "centre": "const float* x, float* y, int n",
    "one_pass": "const float* x, float* largest, float* sum, int rows, int n",
}


def numbers(*shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


def kernel(name: str, body: str) -> str:
    return f'extern "C" __global__ void {name}({PARAMETERS[name]}) {{\n{body}\n}}\n'


def wrong(exercise: Exercise, name: str, hint: str, body: str) -> None:
    """A known wrong kernel, by its body."""
    source = kernel(exercise.name, body)
    exercise.known.append(Text(source, hint, name))


class Text:
    """A known wrong answer that is a text; see minigrad.learn.exercise.Wrong."""

    def __init__(self, code: str, hint: str, name: str) -> None:
        self.code, self.hint, self.name = code, hint, name


def unwritten(source: object) -> bool:
    return not isinstance(source, str) or "// not written yet" in source


def reference(function, *case):
    """What is right; where no answer can be run, a sentence that says why."""
    if missing := cuda.tools():
        raise ModuleNotFoundError(missing.partition(" What follows")[0])
    return function(*case)


def result(outcome: cuda.Outcome, **arrays: np.ndarray) -> dict[str, object]:
    """What is compared: the numbers, what the simulator found, what it cost."""
    return {**arrays, "found by the simulator": ", ".join(outcome.kinds) or "nothing"}


def right(**arrays: np.ndarray) -> dict[str, object]:
    return {**arrays, "found by the simulator": "nothing"}


# ----------------------------------------------------------------------------------------------------------- 15.1 outer

outer = Exercise(
    "15.1", "outer", cases=[(numbers(5), numbers(37)), (numbers(13), numbers(8))], rtol=1e-5,
    nudges=[
        "One line finds the column as the lesson's first kernel finds i. Another one does the same in the direction y.",
        "Number c of row r stands behind r whole rows. How many numbers is that?",
        "There may be too many threads in either direction, so the guard asks two things: `if (... && ...)`.",
    ],
)  # fmt: skip


@outer.observe
def _(source, u, v):
    if not isinstance(source, str):
        return reference(source, u, v)
    if unwritten(source):
        return ...
    out = np.full((len(u), len(v)), UNTOUCHED, np.float32)
    most = max(-(-len(u) // 4), -(-len(v) // 16))
    outcome = cuda.run(source, (most, most), (16, 4), u, v, out, len(u), len(v))
    return result(outcome, out=out) | {"packets": outcome.sectors}


@outer.right
def _(u, v):
    rows, columns = len(u), len(v)
    warps = [(r, c) for r in range(0, rows, 2) for c in range(0, columns, 16)]  # a warp does 2 rows of 16 columns
    packets = 0
    for r, c in warps:
        here = [(i, j) for i in range(r, min(r + 2, rows)) for j in range(c, min(c + 16, columns))]
        packets += len({i // 8 for i, _ in here}) + len({j // 8 for _, j in here})
        packets += len({(i * columns + j) // 8 for i, j in here})
    return right(out=np.outer(u, v)) | {"packets": packets}


R, C = "int r = blockIdx.y * blockDim.y + threadIdx.y;", "int c = blockIdx.x * blockDim.x + threadIdx.x;"
LINE = "out[r * columns + c] = u[r] * v[c];"
wrong(outer, "no_guard", "There are more threads than numbers, in both directions, and nobody holds the superfluous ones back.", f"{R} {C} {LINE}")
wrong(outer, "rows_unguarded", "Threads beyond the last column stay at home. Those beyond the last ROW do not.", f"{R} {C} if (c < columns) {LINE}")
wrong(
    outer, "columns_unguarded",
    "Threads beyond the last row stay at home. Those beyond the last COLUMN write into the row below, where others write too.",
    f"{R} {C} if (r < rows) {LINE}",
)  # fmt: skip
wrong(outer, "one_too_far", "You let one more row and column through than there are: the last of n has the number n - 1.",
      f"{R} {C} if (r <= rows && c <= columns) {LINE}")  # fmt: skip
wrong(
    outer, "directions_swapped",
    "Right, but dear: neighbouring threads (x) write numbers that lie a whole row apart. Let x run along the row.",
    f"{C.replace('int c', 'int r')} {R.replace('int r', 'int c')} if (r < rows && c < columns) {LINE}",
)  # fmt: skip
wrong(outer, "rows_times_rows", "The next row begins after as many numbers as a row has, which is `columns`, not `rows`.",
      f"{R} {C} if (r < rows && c < columns) out[r * rows + c] = u[r] * v[c];")  # fmt: skip
wrong(outer, "block_forgotten", "Every block does the same corner of the table: who a thread is depends on its block, too.",
      f"int r = threadIdx.y, c = threadIdx.x; if (r < rows && c < columns) {LINE}")  # fmt: skip

# --------------------------------------------------------------------------------------------------------- 15.2 squares

squares = Exercise(
    "15.2", "squares", cases=[(numbers(1000), 3, 64), (numbers(70), 4, 32)], rtol=1e-5,
    nudges=[
        "A for loop in C: `for (int i = START; i < n; i += STEP) { ... }`. Where does a thread start?",
        "After one step all threads together have done as many numbers as there are threads. How many are there?",
    ],
)  # fmt: skip


@squares.observe
def _(source, x, grid, block):
    if not isinstance(source, str):
        return reference(source, x, grid, block)
    if unwritten(source):
        return ...
    y = np.full(x.shape, UNTOUCHED, np.float32)
    outcome = cuda.run(source, grid, block, x, y, len(x))
    return result(outcome, y=y) | {"packets": outcome.sectors}


@squares.right
def _(x, grid, block):
    return right(y=x * x) | {"packets": 2 * -(-len(x) // 8)}


I = "int i = blockIdx.x * blockDim.x + threadIdx.x;"
BODY = "y[i] = x[i] * x[i];"
wrong(squares, "one_number_each", "Each thread does one number and goes home. There are more numbers than threads.", f"{I} if (i < n) {BODY}")
wrong(squares, "stride_of_a_block", "Your step is the size of one block, so the blocks run into each other's numbers and do them again.",
      f"for ({I} i < n; i += blockDim.x) {BODY}")  # fmt: skip
wrong(squares, "every_block_from_the_start", "All blocks begin with the same numbers. Where a thread starts depends on its block, too.",
      f"for (int i = threadIdx.x; i < n; i += gridDim.x * blockDim.x) {BODY}")  # fmt: skip
wrong(squares, "stride_of_the_grid", "Your step counts the blocks, not the threads: it is far too short, and numbers are done many times.",
      f"for ({I} i < n; i += gridDim.x) {BODY}")  # fmt: skip
wrong(
    squares, "a_piece_for_each",
    "Right, but dear: each thread has a piece of its own, so in each step neighbouring threads do numbers that lie far apart.",
    f"int all = gridDim.x * blockDim.x, each = (n + all - 1) / all; {I.replace('int i', 'int w')} "
    f"for (int i = w * each; i < (w + 1) * each && i < n; i++) {BODY}",
)  # fmt: skip
wrong(squares, "one_too_far", "One thread goes one number too far: the last of n has the number n - 1.",
      f"for ({I} i <= n; i += gridDim.x * blockDim.x) {BODY}")  # fmt: skip

# ---------------------------------------------------------------------------------------------------------- 15.3 centre

centre = Exercise(
    "15.3", "centre", cases=[(numbers(2, 150) + 3,), (numbers(3, 37) - 2,)], rtol=1e-4, atol=1e-5,
    nudges=[
        "Three steps: each thread sums every 64th number of the row by itself; the 64 sums become one, as in the lesson; each "
        "thread writes every 64th number minus the mean.",
        "The row of this block begins at `x + blockIdx.x * n`. A row may have fewer than 64 numbers: then some sums are 0.",
        "There must be a barrier after the 64 sums are written, and after every round. None of them inside an `if`.",
    ],
)  # fmt: skip


@centre.observe
def _(source, x):
    if not isinstance(source, str):
        return reference(source, x)
    if unwritten(source):
        return ...
    y = np.full(x.shape, UNTOUCHED, np.float32)
    return result(cuda.run(source, len(x), 64, x, y, x.shape[1]), y=y)


@centre.right
def _(x):
    return right(y=x.astype(float) - x.astype(float).mean(1, keepdims=True))


def centred(
    rows="x += blockIdx.x * n, y += blockIdx.x * n;", load="for (int c = t; c < n; c += 64) s += x[c];", first="__syncthreads();",
    rounds="if (t < k) part[t] += part[t + k];\n__syncthreads();", divide="n", write="for (int c = t; c < n; c += 64) y[c] = x[c] - mean;",
    from_k=32, store="part[t] = s;",
):  # fmt: skip
    """The body of the answer, with one thing at a time done otherwise."""
    return f"""__shared__ float part[64];
int t = threadIdx.x;
{rows}
float s = 0.0f;
{load}
{store}
{first}
for (int k = {from_k}; k > 0; k /= 2) {{
{rounds}
}}
float mean = part[0] / {divide};
{write}"""


wrong(centre, "no_barrier_before_the_rounds", "The rounds begin before everybody has written its sum: a barrier is missing there.", centred(first=""))
wrong(
    centre, "no_barrier_between_rounds",
    "Between the rounds a barrier is missing: a thread may add a number that its neighbour has not finished.",
    centred(rounds="if (t < k) part[t] += part[t + k];"),
)  # fmt: skip
wrong(
    centre, "barrier_inside_the_if",
    "Your barrier stands inside the `if`: the threads that do not enter it never come, and the others wait for them.",
    centred(rounds="if (t < k) { part[t] += part[t + k];\n__syncthreads(); }"),
)  # fmt: skip
wrong(centre, "divided_by_the_threads", "You divided by the number of threads. The mean is over the numbers of the row.", centred(divide="64"))
wrong(
    centre, "one_number_per_thread",
    "Each thread looks at one number only. A row may have more numbers than the block has threads.",
    centred(load="if (t < n) s = x[t];", write="if (t < n) y[t] = x[t] - mean;"),
)  # fmt: skip
wrong(centre, "always_the_first_row", "All blocks work on the first row. Which row a block has is its number.", centred(rows=""))
wrong(
    centre, "short_rows_leave_holes",
    "Where a row has fewer numbers than there are threads, some parts are never written, and the rounds add what lay there before.",
    centred(store="if (t < n) part[t] = s;"),
)  # fmt: skip
wrong(centre, "half_of_the_sums", "Your first round joins 32 of the 64 sums only: the other half is left out.", centred(from_k=16))

# -------------------------------------------------------------------------------------------------------- 15.4 one pass

one_pass = Exercise(
    "15.4", "one_pass", cases=[(numbers(5, 9) * 4,), (numbers(3, 20) - 40,), (numbers(2, 7) * 5 + 95,)], rtol=1e-4, atol=1e-6,
    nudges=[
        "Keep two numbers, m and s, and a loop over the row. What must be true of s after each step, in terms of the m of that step?",
        "s is a sum of e^(x - m). If m becomes m', each term becomes e^(x - m') = e^(x - m) times something that they share.",
        "Begin with m = minus infinity and s = 0: e to minus infinity is 0, so the first number needs no special case.",
    ],
)  # fmt: skip


@one_pass.observe
def _(source, x):
    if not isinstance(source, str):
        return reference(source, x)
    if unwritten(source):
        return ...
    rows, n = x.shape
    largest, total = np.full((2, rows), UNTOUCHED, np.float32)
    outcome = cuda.run(source, 1, 32, x, largest, total, rows, n)
    return result(outcome, largest=largest, sum=total) | {"numbers read": outcome.reads}


@one_pass.right
def _(x):
    m = x.astype(float).max(1)
    return right(largest=m, sum=np.exp(x.astype(float) - m[:, None]).sum(1)) | {"numbers read": x.size}


LOW = "__int_as_float(0xff800000)"


def passed(start=LOW, sum0="0.0f", step="float k = fmaxf(m, v); s = s * expf(m - k) + expf(v - k); m = k;", guard="if (r >= rows) return;"):
    """The body of the answer, with one thing at a time done otherwise."""
    return f"""int r = threadIdx.x;
{guard}
float m = {start}, s = {sum0};
for (int c = 0; c < n; c++) {{ float v = x[r * n + c]; {step} }}
largest[r] = m, sum[r] = s;"""


wrong(
    one_pass, "two_passes",
    "Right, but every number is read twice: once for the largest, once for the sum. One loop can do both.",
    f"""int r = threadIdx.x;
if (r >= rows) return;
float m = {LOW}, s = 0.0f;
for (int c = 0; c < n; c++) m = fmaxf(m, x[r * n + c]);
for (int c = 0; c < n; c++) s += expf(x[r * n + c] - m);
largest[r] = m, sum[r] = s;""",
)  # fmt: skip
wrong(
    one_pass, "old_sum_kept",
    "When a larger number comes, what was summed before is still relative to the old one: it has to be corrected.",
    passed(step="m = fmaxf(m, v); s += expf(v - m);"),
)  # fmt: skip
wrong(
    one_pass, "corrected_the_wrong_way",
    "Your correction goes the wrong way: when the largest number grows, the old terms become smaller, not larger.",
    passed(start="-1e4f", step="float k = fmaxf(m, v); s = (s > 0.0f ? s * expf(k - m) : 0.0f) + expf(v - k); m = k;"),
)  # fmt: skip
wrong(one_pass, "starts_at_zero", "Your largest number starts at 0, so rows of negative numbers have a largest one that is not theirs.", passed(start="0.0f"))
wrong(
    one_pass, "without_the_largest",
    "Your sum is that of e^x itself, without the largest number taken off: with large numbers it overflows.",
    passed(step="m = fmaxf(m, v); s += expf(v);"),
)  # fmt: skip
wrong(one_pass, "sum_starts_at_one", "Your sum has one term too many: before the first number it must be 0.",
      passed(start="x[r * n]", sum0="1.0f").replace("int c = 0", "int c = 1").replace("sum[r] = s", "sum[r] = s + 1.0f"))  # fmt: skip
wrong(one_pass, "no_guard", "There are more threads than rows. Those without a row must do nothing.", passed(guard=""))
wrong(
    one_pass, "new_term_relative_to_the_old",
    "The new term is taken relative to the old largest number. It is the new one that counts from now on.",
    passed(start="x[r * n] - 1.0f", step="float k = fmaxf(m, v); s = s * expf(m - k) + expf(v - m); m = k;"),
)  # fmt: skip
