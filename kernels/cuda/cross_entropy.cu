// Cross entropy of (rows, cols) logits with a class for each row, and its gradient, fused: the probabilities in between,
// an array as large as the logits, are never stored.
//
//     loss = log(sum(exp(x))) - (1 - smoothing) * x[target] - smoothing * mean(x)
//     dx   = scale * (softmax(x) - (1 - smoothing) * [column is target] - smoothing / cols)
//
// `scale` is one number in device memory: what the gradient of the reduced loss is for the loss of one row, for the mean
// 1 / (rows that count). Rows whose target is `ignored` have loss 0 and gradient 0; a target that is no column makes both
// NaN, which no one overlooks. loss or dlogits may be null.

constexpr unsigned ALL = 0xffffffffu;
constexpr int HELD = 32; // numbers of its row that a thread keeps in registers

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

// The threads that share a row.
struct Warp {
    int thread = threadIdx.x & 31, threads = 32;
    __device__ float max(float v) { return warp_max(v); }
    __device__ float sum(float v) { return warp_sum(v); }
};

struct Block {
    float* scratch; // 32 floats for each reduction: none is used twice, so none needs a second barrier
    int thread = threadIdx.x, threads = blockDim.x;
    __device__ explicit Block(float* shared) : scratch(shared) {}
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

// What is known of a row once it has been read.
struct Row {
    float m, sum, total;  // maximum, sum of exp(x - m), sum of x (only for smoothing)
    float hit, everywhere; // what the gradient loses at the target, and in every column
    float scale;
    int cols;
    long long target;

    __device__ float loss(float at_target, float smoothing) const {
        float value = m + logf(sum) - (1.f - smoothing) * at_target;
        return smoothing > 0.f ? value - smoothing * (total / cols) : value;
    }
    __device__ float slope(float e, int c) const { return scale * (e / sum - everywhere - (c == target ? hit : 0.f)); }
};

template <class G>
__device__ __forceinline__ void held_row(Row& row, const float* x, float* dx, float* loss, float smoothing, G g) {
    float v[HELD], part = 0.f;
    row.m = minus_infinity(), row.total = 0.f;
#pragma unroll
    for (int i = 0; i < HELD; i += 4) {
        int c = 4 * g.thread + i * g.threads;
        float4 q = make_float4(row.m, row.m, row.m, row.m); // behind the end: still minus infinity
        if (c < row.cols) {
            q = *reinterpret_cast<const float4*>(x + c);
            row.total += q.x + q.y + q.z + q.w;
        }
        v[i] = q.x, v[i + 1] = q.y, v[i + 2] = q.z, v[i + 3] = q.w;
    }
#pragma unroll
    for (int i = 0; i < HELD; i++) row.m = fmaxf(row.m, v[i]);
    float at_target = g.thread == 0 ? x[row.target] : 0.f;
    row.m = g.max(row.m);
#pragma unroll
    for (int i = 0; i < HELD; i++) v[i] = __expf(v[i] - row.m), part += v[i];
    row.sum = g.sum(part);
    if (smoothing > 0.f) row.total = g.sum(row.total);
    if (loss && g.thread == 0) *loss = row.loss(at_target, smoothing);
    if (!dx) return;
#pragma unroll
    for (int i = 0; i < HELD; i += 4) {
        int c = 4 * g.thread + i * g.threads;
        if (c < row.cols)
            *reinterpret_cast<float4*>(dx + c) = make_float4(
                row.slope(v[i], c), row.slope(v[i + 1], c + 1), row.slope(v[i + 2], c + 2), row.slope(v[i + 3], c + 3));
    }
}

// Maximum and sum so far: exp(x - m) becomes exp(x - m') by a factor exp(m - m').
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

template <class G>
__device__ __forceinline__ void any_row(Row& row, const float* x, float* dx, float* loss, float smoothing, G g) {
    Online part;
    row.total = 0.f;
    for (int c = g.thread; c < row.cols; c += g.threads) part.add(x[c]), row.total += x[c];
    float at_target = g.thread == 0 ? x[row.target] : 0.f;
    row.m = g.max(part.m);
    part.rescale(row.m);
    row.sum = g.sum(part.s);
    if (smoothing > 0.f) row.total = g.sum(row.total);
    if (loss && g.thread == 0) *loss = row.loss(at_target, smoothing);
    if (!dx) return;
    for (int c = g.thread; c < row.cols; c += g.threads) dx[c] = row.slope(__expf(x[c] - row.m), c);
}

template <bool HOLD, class G>
__device__ __forceinline__ void one_row(
    const float* logits, const long long* target, const float* scale, float* loss, float* dlogits, size_t index, int cols,
    long long ignored, float smoothing, G g) {
    Row row;
    row.cols = cols, row.target = target[index];
    row.scale = scale ? *scale : 1.f, row.hit = 1.f - smoothing, row.everywhere = smoothing / cols;
    const float* x = logits + index * cols;
    float *dx = dlogits ? dlogits + index * cols : nullptr, *to = loss ? loss + index : nullptr;
    if (row.target == ignored || row.target < 0 || row.target >= cols) {
        float fill = row.target == ignored ? 0.f : __int_as_float(0x7fffffff);
        if (to && g.thread == 0) *to = fill;
        for (int c = g.thread; dx && c < cols; c += g.threads) dx[c] = fill;
        return;
    }
    bool wide = ((unsigned long long)logits | (unsigned long long)dlogits | 4ull * cols) % 16 == 0;
    if (HOLD && wide && cols <= HELD * g.threads) held_row(row, x, dx, to, smoothing, g);
    else any_row(row, x, dx, to, smoothing, g);
}

// v1. A warp per row, a pass for each of maximum, sum and gradient.
extern "C" __global__ void __launch_bounds__(128) cross_entropy_v1(
    const float* logits, const long long* target, const float* scale, float* loss, float* dlogits, int rows, int cols,
    long long ignored, float smoothing) {
    int row = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5), lane = threadIdx.x & 31;
    if (row >= rows) return;
    const float* x = logits + (size_t)row * cols;
    long long at = target[row];
    bool counts = at != ignored, valid = at >= 0 && at < cols;
    float m = minus_infinity(), s = 0.f, total = 0.f, nan = __int_as_float(0x7fffffff);
    for (int c = lane; c < cols; c += 32) m = fmaxf(m, x[c]);
    m = warp_max(m);
    for (int c = lane; c < cols; c += 32) s += __expf(x[c] - m), total += x[c];
    s = warp_sum(s), total = warp_sum(total);
    float at_target = valid ? x[at] : nan, spread = smoothing > 0.f ? smoothing * (total / cols) : 0.f;
    if (loss && lane == 0) loss[row] = counts ? m + logf(s) - (1.f - smoothing) * at_target - spread : 0.f;
    float factor = counts ? valid ? (scale ? *scale : 1.f) : nan : 0.f;
    for (int c = lane; dlogits && c < cols; c += 32) {
        float p = __expf(x[c] - m) / s - smoothing / cols - (c == at ? 1.f - smoothing : 0.f);
        dlogits[(size_t)row * cols + c] = counts ? factor * p : 0.f;
    }
}

// v2. Online: maximum and sum in one pass, the gradient in a second: two reads instead of three.
extern "C" __global__ void __launch_bounds__(128) cross_entropy_v2(
    const float* logits, const long long* target, const float* scale, float* loss, float* dlogits, int rows, int cols,
    long long ignored, float smoothing) {
    int row = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    if (row < rows) one_row<false>(logits, target, scale, loss, dlogits, row, cols, ignored, smoothing, Warp());
}

// v3. The row stays in registers between the two passes: one read, one write, 16 bytes at a time. Up to 1,024 columns.
extern "C" __global__ void __launch_bounds__(128) cross_entropy_v3(
    const float* logits, const long long* target, const float* scale, float* loss, float* dlogits, int rows, int cols,
    long long ignored, float smoothing) {
    int row = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    if (row < rows) one_row<true>(logits, target, scale, loss, dlogits, row, cols, ignored, smoothing, Warp());
}

// v4. A block per row: the same up to 32,768 columns, and v2 with more threads beyond.
extern "C" __global__ void __launch_bounds__(1024) cross_entropy_v4(
    const float* logits, const long long* target, const float* scale, float* loss, float* dlogits, int cols,
    long long ignored, float smoothing) {
    __shared__ float scratch[3 * 32];
    one_row<true>(logits, target, scale, loss, dlogits, blockIdx.x, cols, ignored, smoothing, Block(scratch));
}
