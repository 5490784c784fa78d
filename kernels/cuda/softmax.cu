// Softmax and log-softmax over the last axis of a (rows, cols) array, and their gradients.
//
//     y = exp(x - m) / s        m = max(x), s = sum(exp(x - m))        log: y = (x - m) - log(s)
//     dx = y * (dy - sum(dy * y))                                      log: dx = dy - exp(y) * sum(dy)
//
// There is little to compute: what a step costs is how often, and in what order, it touches memory. The least possible
// is to read every number once and to write every number once.

constexpr unsigned ALL = 0xffffffffu;
constexpr int HELD = 32; // numbers that one thread keeps in registers, of one row or of two

__device__ __forceinline__ float minus_infinity() { return __int_as_float(0xff800000); }

__device__ __forceinline__ float warp_max(float v) {
#pragma unroll
    for (int step = 16; step > 0; step >>= 1) v = fmaxf(v, __shfl_xor_sync(ALL, v, step));
    return v;
}

__device__ __forceinline__ float warp_sum(float v) {
#pragma unroll
    for (int step = 16; step > 0; step >>= 1) v += __shfl_xor_sync(ALL, v, step);
    return v;
}

// The threads that share a row: a warp needs no shared memory and no barrier, a block needs one barrier per reduction.
struct Warp {
    int thread = threadIdx.x & 31, threads = 32;
    __device__ float max(float v) { return warp_max(v); }
    __device__ float sum(float v) { return warp_sum(v); }
};

struct Block {
    float* scratch; // 32 floats for each reduction: none is used twice, so none needs a second barrier
    int thread = threadIdx.x, threads = blockDim.x;
    __device__ explicit Block(float* shared) : scratch(shared) {}
    // Every warp leaves its result; every warp then reads all of them. `none` fills the lanes that have no warp.
    __device__ float exchange(float v, float none) {
        if ((thread & 31) == 0) scratch[thread >> 5] = v;
        __syncthreads();
        v = (thread & 31) < threads >> 5 ? scratch[thread & 31] : none;
        scratch += 32;
        return v;
    }
    __device__ float max(float v) { return warp_max(exchange(warp_max(v), minus_infinity())); }
    __device__ float sum(float v) { return warp_sum(exchange(warp_sum(v), 0.f)); }
};

// Whether rows can be read 16 bytes at a time: each must start at a multiple of 16 bytes.
__device__ __forceinline__ bool wide(const void* a, const void* b, int cols) {
    return ((unsigned long long)a | (unsigned long long)b | 4ull * cols) % 16 == 0;
}

// A row in registers: neighbouring threads hold neighbouring float4. Behind the end of the row is `fill`.
template <int N, class Group>
__device__ __forceinline__ void load_row(float (&v)[N], const float* row, int cols, float fill, const Group& g) {
#pragma unroll
    for (int i = 0; i < N; i += 4) {
        int c = 4 * g.thread + i * g.threads;
        float4 q = make_float4(fill, fill, fill, fill);
        if (c < cols) q = *reinterpret_cast<const float4*>(row + c);
        v[i] = q.x, v[i + 1] = q.y, v[i + 2] = q.z, v[i + 3] = q.w;
    }
}

template <int N, class Group>
__device__ __forceinline__ void store_row(const float (&v)[N], float* row, int cols, const Group& g) {
#pragma unroll
    for (int i = 0; i < N; i += 4) {
        int c = 4 * g.thread + i * g.threads;
        if (c < cols) *reinterpret_cast<float4*>(row + c) = make_float4(v[i], v[i + 1], v[i + 2], v[i + 3]);
    }
}

// Maximum and sum so far, as a pair that can be extended: exp(x - m) becomes exp(x - m') by a factor exp(m - m').
struct Online {
    float m = minus_infinity(), s = 0.f;
    __device__ void rescale(float to) {
        if (m < to) s *= __expf(m - to), m = to; // never -inf - -inf, which is no number
    }
    __device__ void add(float x) {
        rescale(x);
        s += x == minus_infinity() ? 0.f : __expf(x - m);
    }
};

// One row that fits into the registers of its threads: read once, written once.
template <bool LOG, class Group> __device__ __forceinline__ void held_row(const float* x, float* y, int cols, Group g) {
    float v[HELD], m = minus_infinity(), s = 0.f;
    load_row(v, x, cols, minus_infinity(), g);
#pragma unroll
    for (int i = 0; i < HELD; i++) m = fmaxf(m, v[i]);
    m = g.max(m);
#pragma unroll
    for (int i = 0; i < HELD; i++) {
        float e = __expf(v[i] - m);
        s += e;
        v[i] = LOG ? v[i] - m : e;
    }
    s = g.sum(s);
    float shift = LOG ? logf(s) : 0.f, factor = LOG ? 1.f : 1.f / s;
#pragma unroll
    for (int i = 0; i < HELD; i++) v[i] = LOG ? v[i] - shift : v[i] * factor;
    store_row(v, y, cols, g);
}

// One row of any length and place: read twice, the second time out of a cache if it is not too long.
template <bool LOG, class Group> __device__ __forceinline__ void any_row(const float* x, float* y, int cols, Group g) {
    Online part;
    for (int c = g.thread; c < cols; c += g.threads) part.add(x[c]);
    part.rescale(g.max(part.m));
    float s = g.sum(part.s), shift = LOG ? part.m + logf(s) : part.m, factor = 1.f / s;
    for (int c = g.thread; c < cols; c += g.threads) y[c] = LOG ? x[c] - shift : __expf(x[c] - shift) * factor;
}

template <bool LOG, class Group>
__device__ __forceinline__ void forward(const float* x, float* y, int cols, size_t row, Group g) {
    bool held = wide(x, y, cols) && cols <= HELD * g.threads;
    x += row * cols, y += row * cols;
    held ? held_row<LOG>(x, y, cols, g) : any_row<LOG>(x, y, cols, g);
}

// v1. A thread per row, three passes. Neighbouring threads read addresses a whole row apart: every number that is used
// drags seven unused ones of its 32-byte sector along.
extern "C" __global__ void softmax_v1(const float* __restrict__ x, float* __restrict__ y, int rows, int cols) {
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    x += (size_t)row * cols, y += (size_t)row * cols;
    float m = minus_infinity(), s = 0.f;
    for (int c = 0; c < cols; c++) m = fmaxf(m, x[c]);
    for (int c = 0; c < cols; c++) s += __expf(x[c] - m);
    for (int c = 0; c < cols; c++) y[c] = __expf(x[c] - m) / s;
}

// v2. A warp per row, three passes. Neighbouring threads read neighbouring numbers, so every sector is used whole: an
// eighth of the traffic.
extern "C" __global__ void softmax_v2(const float* __restrict__ x, float* __restrict__ y, int rows, int cols) {
    int row = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5), lane = threadIdx.x & 31;
    if (row >= rows) return; // the whole warp leaves together: shuffles below name all lanes
    x += (size_t)row * cols, y += (size_t)row * cols;
    float m = minus_infinity(), s = 0.f;
    for (int c = lane; c < cols; c += 32) m = fmaxf(m, x[c]);
    m = warp_max(m);
    for (int c = lane; c < cols; c += 32) s += __expf(x[c] - m);
    s = warp_sum(s);
    for (int c = lane; c < cols; c += 32) y[c] = __expf(x[c] - m) / s;
}

// v3. Online: maximum and sum in the same pass, so that a row is read twice instead of three times.
extern "C" __global__ void softmax_v3(const float* __restrict__ x, float* __restrict__ y, int rows, int cols) {
    int row = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5), lane = threadIdx.x & 31;
    if (row >= rows) return;
    x += (size_t)row * cols, y += (size_t)row * cols;
    Online part;
    for (int c = lane; c < cols; c += 32) part.add(x[c]);
    part.rescale(warp_max(part.m));
    float s = warp_sum(part.s);
    for (int c = lane; c < cols; c += 32) y[c] = __expf(x[c] - part.m) / s;
}

// v4. The row stays in registers, so that it is read once; and it is read 16 bytes at a time. Up to 1,024 columns.
extern "C" __global__ void __launch_bounds__(128)
softmax_v4(const float* __restrict__ x, float* __restrict__ y, int rows, int cols) {
    int row = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    if (row < rows) forward<false>(x, y, cols, row, Warp());
}

extern "C" __global__ void __launch_bounds__(128)
log_softmax_v4(const float* __restrict__ x, float* __restrict__ y, int rows, int cols) {
    int row = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    if (row < rows) forward<true>(x, y, cols, row, Warp());
}

// v5. A block per row: the same for rows that are too long for one warp, up to 32,768 columns.
extern "C" __global__ void __launch_bounds__(1024) softmax_v5(const float* __restrict__ x, float* __restrict__ y, int cols) {
    __shared__ float scratch[2 * 32];
    forward<false>(x, y, cols, blockIdx.x, Block(scratch));
}

extern "C" __global__ void __launch_bounds__(1024)
log_softmax_v5(const float* __restrict__ x, float* __restrict__ y, int cols) {
    __shared__ float scratch[2 * 32];
    forward<true>(x, y, cols, blockIdx.x, Block(scratch));
}

// ---- The gradient. `dot` is what a pair (y, dy) adds to the sum of the row, `slope` what becomes of the pair.

template <bool LOG> __device__ __forceinline__ float dot(float y, float dy) { return LOG ? dy : dy * y; }

template <bool LOG> __device__ __forceinline__ float slope(float y, float dy, float sum) {
    return LOG ? dy - __expf(y) * sum : y * (dy - sum);
}

template <bool LOG, class Group>
__device__ __forceinline__ void any_slope(const float* y, const float* dy, float* dx, int cols, Group g) {
    float s = 0.f;
    for (int c = g.thread; c < cols; c += g.threads) s += dot<LOG>(y[c], dy[c]);
    s = g.sum(s);
    for (int c = g.thread; c < cols; c += g.threads) dx[c] = slope<LOG>(y[c], dy[c], s);
}

template <bool LOG, class Group>
__device__ __forceinline__ void held_slope(const float* y, const float* dy, float* dx, int cols, Group g) {
    float a[HELD / 2], b[HELD / 2], s = 0.f;
    load_row(a, y, cols, 0.f, g);
    load_row(b, dy, cols, 0.f, g);
#pragma unroll
    for (int i = 0; i < HELD / 2; i++) s += dot<LOG>(a[i], b[i]);
    s = g.sum(s);
#pragma unroll
    for (int i = 0; i < HELD / 2; i++) a[i] = slope<LOG>(a[i], b[i], s);
    store_row(a, dx, cols, g);
}

template <bool LOG, class Group>
__device__ __forceinline__ void backward(const float* y, const float* dy, float* dx, int cols, size_t row, Group g) {
    bool held = wide(y, dy, cols) && wide(dx, dx, cols) && cols <= HELD / 2 * g.threads;
    y += row * cols, dy += row * cols, dx += row * cols;
    held ? held_slope<LOG>(y, dy, dx, cols, g) : any_slope<LOG>(y, dy, dx, cols, g);
}

// v1. A warp per row, two passes: both arrays are read twice.
extern "C" __global__ void softmax_backward_v1(
    const float* __restrict__ y, const float* __restrict__ dy, float* __restrict__ dx, int rows, int cols) {
    int row = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    if (row >= rows) return;
    y += (size_t)row * cols, dy += (size_t)row * cols, dx += (size_t)row * cols;
    any_slope<false>(y, dy, dx, cols, Warp());
}

// v2. Both rows stay in registers, so that each is read once, 16 bytes at a time. Up to 512 columns.
extern "C" __global__ void __launch_bounds__(128) softmax_backward_v2(
    const float* __restrict__ y, const float* __restrict__ dy, float* __restrict__ dx, int rows, int cols) {
    int row = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    if (row < rows) backward<false>(y, dy, dx, cols, row, Warp());
}

extern "C" __global__ void __launch_bounds__(128) log_softmax_backward_v2(
    const float* __restrict__ y, const float* __restrict__ dy, float* __restrict__ dx, int rows, int cols) {
    int row = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    if (row < rows) backward<true>(y, dy, dx, cols, row, Warp());
}

// v3. A block per row: the same for longer rows, up to 16,384 columns.
extern "C" __global__ void __launch_bounds__(1024) softmax_backward_v3(
    const float* __restrict__ y, const float* __restrict__ dy, float* __restrict__ dx, int cols) {
    __shared__ float scratch[32];
    backward<false>(y, dy, dx, cols, blockIdx.x, Block(scratch));
}

extern "C" __global__ void __launch_bounds__(1024) log_softmax_backward_v3(
    const float* __restrict__ y, const float* __restrict__ dy, float* __restrict__ dx, int cols) {
    __shared__ float scratch[32];
    backward<true>(y, dy, dx, cols, blockIdx.x, Block(scratch));
}
