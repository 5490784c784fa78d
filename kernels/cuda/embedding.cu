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

// A block does the runs of equal tokens that begin among 32 places, however far they go on, for columns blockIdx.y *
// blockDim.x, ... of type T. A warp looks at 32 tokens at once, each lane holding one, and hands them round.
template <class T>
__device__ __forceinline__ void gather(
    const long long* sorted, const int* order, const T* dy, T* dw, int tokens, int cols, int vocab, long long padding, int onto) {
    int begin = blockIdx.x * 32, c = blockIdx.y * blockDim.x + threadIdx.x, lane = threadIdx.x & 31, where = 0;
    long long token = 0, row = begin ? sorted[begin - 1] : -1; // the run that the block before this one does
    bool mine = false;
    T sum = {};
    auto store = [&] {
        if (!mine || c >= cols) return;
        if (onto) add(sum, dw[row * cols + c]);
        dw[row * cols + c] = sum;
    };
    for (int i = begin; i < tokens; i++) {
        if (i % 32 == 0 && i + lane < tokens) token = sorted[i + lane], where = order[i + lane];
        long long next = __shfl_sync(ALL, token, i % 32);
        size_t from = (size_t)__shfl_sync(ALL, where, i % 32) * cols + c;
        if (next != row) {
            store();
            row = next, sum = {}, mine = i < begin + 32 && row >= 0 && row < vocab && row != padding;
        }
        if (!mine && i >= begin + 32) return;
        if (mine && c < cols) add(sum, dy[from]);
    }
    store();
}

// v2. Sorted, no atomics, a number for each thread. Serves every number of columns.
extern "C" __global__ void __launch_bounds__(256) embedding_backward_v2(
    const long long* __restrict__ sorted, const int* __restrict__ order, const float* __restrict__ dy, float* __restrict__ dw,
    int tokens, int cols, int vocab, long long padding, int onto) {
    gather(sorted, order, dy, dw, tokens, cols, vocab, padding, onto);
}

// v3. 16 bytes at a time; cols is a multiple of 4.
extern "C" __global__ void __launch_bounds__(256) embedding_backward_v3(
    const long long* __restrict__ sorted, const int* __restrict__ order, const float* __restrict__ dy, float* __restrict__ dw,
    int tokens, int cols, int vocab, long long padding, int onto) {
    gather(sorted, order, reinterpret_cast<const float4*>(dy), reinterpret_cast<float4*>(dw), tokens, cols / 4, vocab, padding, onto);
}
