// The gradient of an embedding: row r of dW is the sum of the rows of dy whose token is r. tokens x cols, and vocab rows;
// dW comes in as zeros, or as numbers to add to. Tokens equal to `padding`, or outside of the table, add nothing.

constexpr unsigned ALL = 0xffffffffu;

// v1. Everyone adds to memory, with atomics: as often as a token occurs its row is fetched and stored, one number at a
// time, and the order, and with it the last digits, differs from run to run.
extern "C" __global__ void __launch_bounds__(256) embedding_backward_v1(
    const long long* __restrict__ index, const float* __restrict__ dy, float* __restrict__ dw, int tokens, int cols,
    int vocab, long long padding) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (long long)tokens * cols) return;
    long long row = index[i / cols];
    if (row >= 0 && row < vocab && row != padding) atomicAdd(dw + row * cols + i % cols, dy[i]);
}

// `sorted` are the tokens in order, order[i] is where the i-th of them stood. Equal tokens are neighbours now, so that one
// thread can add up a column of their rows in a register, and store it once; the sum is the same in every run.

__device__ __forceinline__ void add(float& sum, float v) { sum += v; }
__device__ __forceinline__ void add(float4& sum, float4 v) { sum.x += v.x, sum.y += v.y, sum.z += v.z, sum.w += v.w; }

// A block does 32 places, for columns blockIdx.y * blockDim.x, ... of type T. Runs of equal tokens that begin and end among
// them are stored. Of a run that came from the block before its part goes to partial[2 * blockIdx.x], of one that begins here
// and goes on behind to the row after that: a word that is everywhere keeps many blocks busy, not one. A warp looks at 32
// tokens at once, each lane holding one, and hands them round.
template <class T>
__device__ __forceinline__ void gather(
    const long long* sorted, const int* order, const T* dy, T* dw, T* partial, int tokens, int cols, int vocab,
    long long padding, int onto) {
    int begin = blockIdx.x * 32, end = min(tokens, begin + 32), lane = threadIdx.x & 31, where = 0;
    int c = blockIdx.y * blockDim.x + threadIdx.x;
    long long token = 0, row = sorted[begin];
    bool came = begin && sorted[begin - 1] == row, counts = false;
    if (begin + lane < end) {
        token = sorted[begin + lane], where = order[begin + lane];
        counts = token >= 0 && token < vocab && token != padding;
    }
    unsigned good = __ballot_sync(ALL, counts); // a bit for each place
    T sum = {};
    auto store = [&](int last, bool goes_on) {
        if (c >= cols || !(good >> last % 32 & 1)) return;
        T* to = came || goes_on ? partial + (size_t)(2 * blockIdx.x + !came) * cols : dw + row * cols;
        if (onto && !came && !goes_on) add(sum, to[c]);
        to[c] = sum;
    };
#pragma unroll 1
    for (int i = begin; i < end; i++) {
        long long next = __shfl_sync(ALL, token, i % 32);
        size_t from = (size_t)__shfl_sync(ALL, where, i % 32) * cols + c;
        if (next != row) store(i - 1, false), row = next, sum = {}, came = false;
        if (c < cols) add(sum, dy[from]);
    }
    store(end - 1, end < tokens && sorted[end] == row);
}

// A block for the run that begins among its 32 places and goes on behind them, if there is one: adds up the parts of it, four
// blocks' at a time, so that four are on their way.
template <class T>
__device__ __forceinline__ void join(
    const long long* sorted, const T* partial, T* dw, int tokens, int cols, int vocab, long long padding, int onto) {
    int begin = blockIdx.x * 32, c = blockIdx.y * blockDim.x + threadIdx.x, at = begin + 32;
    if (at >= tokens) return;
    long long row = sorted[at];
    bool mine = sorted[at - 1] == row && !(begin && sorted[begin - 1] == row);
    if (!mine || c >= cols || row < 0 || row >= vocab || row == padding) return;
    const T* part = partial + (size_t)(2 * blockIdx.x + 1) * cols + c; // and those behind it are every second row from the next on
    T sum = *part;
    part += cols;
    for (; at + 96 < tokens && sorted[at + 96] == row; at += 128, part += 8 * (size_t)cols) {
        T a = part[0], b = part[2 * (size_t)cols], e = part[4 * (size_t)cols], f = part[6 * (size_t)cols];
        add(sum, a), add(sum, b), add(sum, e), add(sum, f);
    }
    for (; at < tokens && sorted[at] == row; at += 32, part += 2 * (size_t)cols) add(sum, *part);
    if (onto) add(sum, dw[row * cols + c]);
    dw[row * cols + c] = sum;
}

// v2. Sorted, no atomics, a number for each thread. Serves every number of columns.
extern "C" __global__ void __launch_bounds__(256) embedding_backward_v2(
    const long long* __restrict__ sorted, const int* __restrict__ order, const float* __restrict__ dy, float* __restrict__ dw,
    float* __restrict__ partial, int tokens, int cols, int vocab, long long padding, int onto) {
    gather(sorted, order, dy, dw, partial, tokens, cols, vocab, padding, onto);
}

extern "C" __global__ void __launch_bounds__(256) embedding_backward_join_v2(
    const long long* __restrict__ sorted, const float* __restrict__ partial, float* __restrict__ dw, int tokens, int cols,
    int vocab, long long padding, int onto) {
    join(sorted, partial, dw, tokens, cols, vocab, padding, onto);
}

// v3. 16 bytes at a time; cols is a multiple of 4.
extern "C" __global__ void __launch_bounds__(256) embedding_backward_v3(
    const long long* __restrict__ sorted, const int* __restrict__ order, const float* __restrict__ dy, float* __restrict__ dw,
    float* __restrict__ partial, int tokens, int cols, int vocab, long long padding, int onto) {
    gather(
        sorted, order, reinterpret_cast<const float4*>(dy), reinterpret_cast<float4*>(dw), reinterpret_cast<float4*>(partial),
        tokens, cols / 4, vocab, padding, onto);
}

extern "C" __global__ void __launch_bounds__(256) embedding_backward_join_v3(
    const long long* __restrict__ sorted, const float* __restrict__ partial, float* __restrict__ dw, int tokens, int cols,
    int vocab, long long padding, int onto) {
    join(
        sorted, reinterpret_cast<const float4*>(partial), reinterpret_cast<float4*>(dw), tokens, cols / 4, vocab, padding, onto);
}
