// Layer normalisation and RMS normalisation over the last axis of a (rows, cols) array, and their gradients.
//
//     layer: h = (x - mean) * rstd, y = h * weight + bias          rms: h = x * rstd, y = h * weight
//     dh = dy * weight        dx = rstd * (dh - mean(dh) - h * mean(dh * h))       rms: without mean(dh)
//     dweight = sum over rows of dy * h        dbias = sum over rows of dy
//
// `stats` keeps (mean, rstd) of each row for the gradient, rms only rstd. weight and bias may be null.

constexpr unsigned ALL = 0xffffffffu;
constexpr int HELD = 24; // numbers of a row that a thread of a warp keeps in registers
constexpr int FEW = 8;   // the same where a block shares a row

__device__ __forceinline__ float warp_sum(float v) {
#pragma unroll
    for (int step = 16; step > 0; step >>= 1) v += __shfl_xor_sync(ALL, v, step);
    return v;
}

// The threads that share a row.
struct Warp {
    int thread = threadIdx.x & 31, threads = 32;
    __device__ float sum(float v) { return warp_sum(v); }
};

// A group of whole warps in x, one of blockDim.y groups. Every warp leaves its sum, and after a barrier adds up all sums
// of its group. Two places take turns, so that the barrier of one sum protects the values of the sum before.
struct Group {
    float* scratch; // 2 * 32 floats for each group
    int thread = threadIdx.x, threads = blockDim.x, turn = 0;
    __device__ explicit Group(float* shared) : scratch(shared + threadIdx.y * 64) {}
    __device__ float sum(float v) {
        v = warp_sum(v);
        float* place = scratch + 32 * turn;
        if ((thread & 31) == 0) place[thread >> 5] = v;
        __syncthreads();
        turn ^= 1;
        return warp_sum((thread & 31) < threads >> 5 ? place[thread & 31] : 0.f);
    }
};

template <int N, class G>
__device__ __forceinline__ void load_row(float (&v)[N], const float* row, int cols, float fill, const G& g) {
#pragma unroll
    for (int i = 0; i < N; i += 4) {
        int c = 4 * g.thread + i * g.threads;
        float4 q = make_float4(fill, fill, fill, fill);
        if (c < cols) q = *reinterpret_cast<const float4*>(row + c);
        v[i] = q.x, v[i + 1] = q.y, v[i + 2] = q.z, v[i + 3] = q.w;
    }
}

template <int N, class G>
__device__ __forceinline__ void store_row(const float (&v)[N], float* row, int cols, const G& g) {
#pragma unroll
    for (int i = 0; i < N; i += 4) {
        int c = 4 * g.thread + i * g.threads;
        if (c < cols) *reinterpret_cast<float4*>(row + c) = make_float4(v[i], v[i + 1], v[i + 2], v[i + 3]);
    }
}

template <bool RMS> __device__ __forceinline__ void store_stats(float* stats, size_t row, float mean, float rstd) {
    if (RMS) stats[row] = rstd;
    else *reinterpret_cast<float2*>(stats + 2 * row) = make_float2(mean, rstd);
}

// Turns a row held in registers into h, and tells mean and rstd. The mean is subtracted before squaring: the shortcut
// mean(x * x) - mean * mean loses every digit where the mean is large.
template <bool RMS, int N, class G>
__device__ __forceinline__ void normalise(float (&v)[N], int cols, float eps, float& mean, float& rstd, G& g) {
    mean = 0.f;
    if (!RMS) {
#pragma unroll
        for (int i = 0; i < N; i++) mean += v[i];
        mean = g.sum(mean) / cols;
    }
    float square = 0.f;
#pragma unroll
    for (int i = 0; i < N; i++) {
        bool inside = 4 * g.thread + (i & ~3) * g.threads < cols;
        v[i] -= mean;
        square += RMS || inside ? v[i] * v[i] : 0.f; // without a mean, what fills the row is still 0
    }
    rstd = rsqrtf(g.sum(square) / cols + eps);
#pragma unroll
    for (int i = 0; i < N; i++) v[i] *= rstd;
}

// v1. A thread per row: neighbouring threads are a whole row apart, and an eighth of every sector is used.
extern "C" __global__ void layer_norm_v1(
    const float* __restrict__ x, const float* __restrict__ weight, const float* __restrict__ bias, float* __restrict__ y,
    float* __restrict__ stats, int rows, int cols, float eps) {
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    x += (size_t)row * cols, y += (size_t)row * cols;
    float mean = 0.f, square = 0.f;
    for (int c = 0; c < cols; c++) mean += x[c];
    mean /= cols;
    for (int c = 0; c < cols; c++) square += (x[c] - mean) * (x[c] - mean);
    float rstd = rsqrtf(square / cols + eps);
    for (int c = 0; c < cols; c++) y[c] = (x[c] - mean) * rstd * (weight ? weight[c] : 1.f) + (bias ? bias[c] : 0.f);
    store_stats<false>(stats, row, mean, rstd);
}

// v2. A warp per row: neighbours read neighbours. Serves every number of columns, and every address.
template <bool RMS>
__device__ __forceinline__ void any_row(
    const float* x, const float* weight, const float* bias, float* y, float* stats, int rows, int cols, float eps) {
    int row = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5), lane = threadIdx.x & 31;
    if (row >= rows) return;
    x += (size_t)row * cols, y += (size_t)row * cols;
    float mean = 0.f, square = 0.f;
    if (!RMS) {
        for (int c = lane; c < cols; c += 32) mean += x[c];
        mean = warp_sum(mean) / cols;
    }
    for (int c = lane; c < cols; c += 32) square += (x[c] - mean) * (x[c] - mean);
    float rstd = rsqrtf(warp_sum(square) / cols + eps);
    for (int c = lane; c < cols; c += 32)
        y[c] = (x[c] - mean) * rstd * (weight ? weight[c] : 1.f) + (bias ? bias[c] : 0.f);
    if (lane == 0) store_stats<RMS>(stats, row, mean, rstd);
}

extern "C" __global__ void __launch_bounds__(128) layer_norm_v2(
    const float* __restrict__ x, const float* __restrict__ weight, const float* __restrict__ bias, float* __restrict__ y,
    float* __restrict__ stats, int rows, int cols, float eps) {
    any_row<false>(x, weight, bias, y, stats, rows, cols, eps);
}

extern "C" __global__ void __launch_bounds__(128) rms_norm_v2(
    const float* __restrict__ x, const float* __restrict__ weight, float* __restrict__ y, float* __restrict__ stats,
    int rows, int cols, float eps) {
    any_row<true>(x, weight, nullptr, y, stats, rows, cols, eps);
}

// v3. The row stays in registers (one read instead of three, 16 bytes at a time), and weight and bias in the shared
// memory of a block that does many rows: otherwise they would be fetched again for each row, which doubles the reads.
// Up to 768 columns, a multiple of 4.
template <bool RMS>
__device__ __forceinline__ void staged_rows(
    const float* x, const float* weight, const float* bias, float* y, float* stats, int rows, int cols, float eps) {
    extern __shared__ __align__(16) float staged[];
    float *w = staged, *b = staged + cols;
    for (int c = threadIdx.x; c < cols; c += blockDim.x) {
        w[c] = weight ? weight[c] : 1.f;
        if (!RMS) b[c] = bias ? bias[c] : 0.f;
    }
    __syncthreads();
    Warp g;
    int warps = blockDim.x >> 5;
    for (int row = blockIdx.x * warps + (threadIdx.x >> 5); row < rows; row += gridDim.x * warps) {
        float v[HELD], mean, rstd;
        load_row(v, x + (size_t)row * cols, cols, 0.f, g);
        normalise<RMS>(v, cols, eps, mean, rstd, g);
        if (g.thread == 0) store_stats<RMS>(stats, row, mean, rstd);
#pragma unroll
        for (int i = 0; i < HELD; i += 4) {
            int c = 4 * g.thread + i * 32;
            if (c < cols) {
                float4 p = *reinterpret_cast<const float4*>(w + c), q = make_float4(0.f, 0.f, 0.f, 0.f);
                if (!RMS) q = *reinterpret_cast<const float4*>(b + c);
                v[i] = v[i] * p.x + q.x, v[i + 1] = v[i + 1] * p.y + q.y;
                v[i + 2] = v[i + 2] * p.z + q.z, v[i + 3] = v[i + 3] * p.w + q.w;
            }
        }
        store_row(v, y + (size_t)row * cols, cols, g);
    }
}

extern "C" __global__ void __launch_bounds__(1024) layer_norm_v3(
    const float* __restrict__ x, const float* __restrict__ weight, const float* __restrict__ bias, float* __restrict__ y,
    float* __restrict__ stats, int rows, int cols, float eps) {
    staged_rows<false>(x, weight, bias, y, stats, rows, cols, eps);
}

extern "C" __global__ void __launch_bounds__(1024) rms_norm_v3(
    const float* __restrict__ x, const float* __restrict__ weight, float* __restrict__ y, float* __restrict__ stats,
    int rows, int cols, float eps) {
    staged_rows<true>(x, weight, nullptr, y, stats, rows, cols, eps);
}

// v4. A block per row for longer rows, up to 8,192 columns. A thread has the same columns in each row, so it keeps their
// weight and bias in registers.
template <bool RMS>
__device__ __forceinline__ void row_by_block(
    const float* x, const float* weight, const float* bias, float* y, float* stats, int rows, int cols, float eps) {
    __shared__ float scratch[2 * 32];
    Group g(scratch);
    float w[FEW], b[FEW] = {};
    load_row(w, weight, weight ? cols : 0, 1.f, g);
    if (!RMS) load_row(b, bias, bias ? cols : 0, 0.f, g);
    for (int row = blockIdx.x; row < rows; row += gridDim.x) {
        float v[FEW], mean, rstd;
        load_row(v, x + (size_t)row * cols, cols, 0.f, g);
        normalise<RMS>(v, cols, eps, mean, rstd, g);
#pragma unroll
        for (int i = 0; i < FEW; i++) v[i] = v[i] * w[i] + b[i];
        store_row(v, y + (size_t)row * cols, cols, g);
        if (g.thread == 0) store_stats<RMS>(stats, row, mean, rstd);
    }
}

extern "C" __global__ void __launch_bounds__(1024) layer_norm_v4(
    const float* __restrict__ x, const float* __restrict__ weight, const float* __restrict__ bias, float* __restrict__ y,
    float* __restrict__ stats, int rows, int cols, float eps) {
    row_by_block<false>(x, weight, bias, y, stats, rows, cols, eps);
}

extern "C" __global__ void __launch_bounds__(1024) rms_norm_v4(
    const float* __restrict__ x, const float* __restrict__ weight, float* __restrict__ y, float* __restrict__ stats,
    int rows, int cols, float eps) {
    row_by_block<true>(x, weight, nullptr, y, stats, rows, cols, eps);
}

// ---- Gradients

template <bool RMS> __device__ __forceinline__ float2 stats_of(const float* stats, size_t row) {
    return RMS ? make_float2(0.f, stats[row]) : *reinterpret_cast<const float2*>(stats + 2 * row);
}

// v1. Two kernels: a warp per row for dx, 32 columns to a block for the parameters. Both read all of x and dy, and the
// first one twice. Serves every number of columns.
template <bool RMS>
__device__ __forceinline__ void any_slope(
    const float* x, const float* weight, const float* dy, const float* stats, float* dx, int rows, int cols) {
    int row = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5), lane = threadIdx.x & 31;
    if (row >= rows) return;
    float2 s = stats_of<RMS>(stats, row);
    x += (size_t)row * cols, dy += (size_t)row * cols, dx += (size_t)row * cols;
    float sum = 0.f, dot = 0.f;
    for (int c = lane; c < cols; c += 32) {
        float dh = dy[c] * (weight ? weight[c] : 1.f);
        sum += RMS ? 0.f : dh;
        dot += dh * (x[c] - s.x) * s.y;
    }
    sum = warp_sum(sum) / cols, dot = warp_sum(dot) / cols;
    for (int c = lane; c < cols; c += 32)
        dx[c] = s.y * (dy[c] * (weight ? weight[c] : 1.f) - sum - (x[c] - s.x) * s.y * dot);
}

extern "C" __global__ void __launch_bounds__(128) layer_norm_backward_v1(
    const float* __restrict__ x, const float* __restrict__ weight, const float* __restrict__ dy,
    const float* __restrict__ stats, float* __restrict__ dx, int rows, int cols) {
    any_slope<false>(x, weight, dy, stats, dx, rows, cols);
}

extern "C" __global__ void __launch_bounds__(128) rms_norm_backward_v1(
    const float* __restrict__ x, const float* __restrict__ weight, const float* __restrict__ dy,
    const float* __restrict__ stats, float* __restrict__ dx, int rows, int cols) {
    any_slope<true>(x, weight, dy, stats, dx, rows, cols);
}

// A block of 32 x 8 threads for 32 columns; blockIdx.y is a slice of the rows, whose sums go to partial (slices, 2, cols).
template <bool RMS>
__device__ __forceinline__ void parameter_slopes(
    const float* x, const float* dy, const float* stats, float* partial, int rows, int cols) {
    __shared__ float scratch[2][8][32];
    int c = blockIdx.x * 32 + threadIdx.x, many = (rows + gridDim.y - 1) / gridDim.y, from = blockIdx.y * many;
    float dw = 0.f, db = 0.f;
    for (int row = from + threadIdx.y; row < min(rows, from + many) && c < cols; row += 8) {
        float2 s = stats_of<RMS>(stats, row);
        float d = dy[(size_t)row * cols + c];
        dw += d * (x[(size_t)row * cols + c] - s.x) * s.y;
        db += d;
    }
    scratch[0][threadIdx.y][threadIdx.x] = dw, scratch[1][threadIdx.y][threadIdx.x] = db;
    __syncthreads();
    if (threadIdx.y < 2 && c < cols) {
        float sum = 0.f;
        for (int i = 0; i < 8; i++) sum += scratch[threadIdx.y][i][threadIdx.x];
        partial[((size_t)blockIdx.y * 2 + threadIdx.y) * cols + c] = sum;
    }
}

extern "C" __global__ void __launch_bounds__(256) layer_norm_parameters_v1(
    const float* __restrict__ x, const float* __restrict__ dy, const float* __restrict__ stats, float* __restrict__ partial,
    int rows, int cols) {
    parameter_slopes<false>(x, dy, stats, partial, rows, cols);
}

extern "C" __global__ void __launch_bounds__(256) rms_norm_parameters_v1(
    const float* __restrict__ x, const float* __restrict__ dy, const float* __restrict__ stats, float* __restrict__ partial,
    int rows, int cols) {
    parameter_slopes<true>(x, dy, stats, partial, rows, cols);
}

// v2. One kernel, one read: a thread has the same columns in all rows of its block, and keeps what they add to dweight
// and dbias in registers. At the end the groups of a block are added through shared memory, and the blocks by
// norm_sum_partials: no atomics, and the same result in every run. Up to 8,192 columns, a multiple of 4.
// A block is (threads of a row, rows at a time); every group does `many` rows in turn, and all groups meet at each barrier.
template <bool RMS>
__device__ __forceinline__ void held_slopes(
    const float* x, const float* weight, const float* dy, const float* stats, float* dx, float* partial, int rows, int cols,
    int many) {
    extern __shared__ __align__(16) float shared[]; // 2 * 32 floats for each group, then stats, weight; in the end the sums
    Group g(shared);
    float2* kept = reinterpret_cast<float2*>(shared + 64 * blockDim.y) + 32 * threadIdx.y; // the stats of 32 rows
    float* w = shared + 128 * blockDim.y;
    for (int c = threadIdx.y * blockDim.x + threadIdx.x; c < cols; c += blockDim.x * blockDim.y) w[c] = weight ? weight[c] : 1.f;
    float dw[FEW] = {}, db[FEW] = {};
    int from = (blockIdx.x * blockDim.y + threadIdx.y) * many;
    for (int i = 0; i < many; i++) {
        int row = from + i;
        if (i % 32 == 0) {
            int left = min(many - i, rows - row);
            if (g.thread < 32) kept[g.thread] = g.thread < left ? stats_of<RMS>(stats, row + g.thread) : make_float2(0.f, 0.f);
            __syncthreads(); // the first of these is for w, too
        }
        float mean = kept[i & 31].x, rstd = kept[i & 31].y;
        float h[FEW], d[FEW], sum = 0.f, dot = 0.f;
        load_row(h, x + (size_t)row * cols, row < rows ? cols : 0, mean, g); // nothing behind the last row: h = 0, d = 0
        load_row(d, dy + (size_t)row * cols, row < rows ? cols : 0, 0.f, g);
#pragma unroll
        for (int j = 0; j < FEW; j += 4) {
            int c = 4 * g.thread + j * g.threads;
            float4 p = c < cols ? *reinterpret_cast<const float4*>(w + c) : make_float4(0.f, 0.f, 0.f, 0.f);
            float q[4] = {p.x, p.y, p.z, p.w};
#pragma unroll
            for (int k = j; k < j + 4; k++) {
                h[k] = (h[k] - mean) * rstd;
                dw[k] += d[k] * h[k], db[k] += d[k];
                d[k] *= q[k - j];
                sum += d[k], dot += d[k] * h[k];
            }
        }
        sum = RMS ? 0.f : g.sum(sum) / cols, dot = g.sum(dot) / cols;
#pragma unroll
        for (int j = 0; j < FEW; j++) d[j] = rstd * (d[j] - sum - h[j] * dot);
        store_row(d, dx + (size_t)row * cols, row < rows ? cols : 0, g);
    }
    for (int group = 0; group < blockDim.y; group++) { // one group after another adds its sums to those before
        __syncthreads();
        if (threadIdx.y != group) continue;
#pragma unroll
        for (int j = 0; j < FEW; j += 4) {
            int c = 4 * g.thread + j * g.threads;
            if (c >= cols) continue;
            float4 *a = reinterpret_cast<float4*>(shared + c), *b = reinterpret_cast<float4*>(shared + cols + c);
            float4 p = group ? *a : make_float4(0.f, 0.f, 0.f, 0.f), q = group ? *b : make_float4(0.f, 0.f, 0.f, 0.f);
            *a = make_float4(p.x + dw[j], p.y + dw[j + 1], p.z + dw[j + 2], p.w + dw[j + 3]);
            *b = make_float4(q.x + db[j], q.y + db[j + 1], q.z + db[j + 2], q.w + db[j + 3]);
        }
    }
    __syncthreads();
    for (int c = 4 * (threadIdx.y * blockDim.x + threadIdx.x); c < 2 * cols; c += 4 * blockDim.x * blockDim.y)
        *reinterpret_cast<float4*>(partial + (size_t)blockIdx.x * 2 * cols + c) = *reinterpret_cast<float4*>(shared + c);
}

extern "C" __global__ void __launch_bounds__(1024) layer_norm_backward_v2(
    const float* __restrict__ x, const float* __restrict__ weight, const float* __restrict__ dy,
    const float* __restrict__ stats, float* __restrict__ dx, float* __restrict__ partial, int rows, int cols, int many) {
    held_slopes<false>(x, weight, dy, stats, dx, partial, rows, cols, many);
}

extern "C" __global__ void __launch_bounds__(1024) rms_norm_backward_v2(
    const float* __restrict__ x, const float* __restrict__ weight, const float* __restrict__ dy,
    const float* __restrict__ stats, float* __restrict__ dx, float* __restrict__ partial, int rows, int cols, int many) {
    held_slopes<true>(x, weight, dy, stats, dx, partial, rows, cols, many);
}

// dweight and dbias from partial (slices, 2, cols): a thread for each number, neighbours read neighbours.
extern "C" __global__ void __launch_bounds__(256) norm_sum_partials(
    const float* __restrict__ partial, float* __restrict__ dweight, float* __restrict__ dbias, int slices, int cols) {
    int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= 2 * cols) return;
    float sum = 0.f;
    for (int i = 0; i < slices; i++) sum += partial[(size_t)i * 2 * cols + c];
    float* out = c < cols ? dweight : dbias;
    if (out) out[c < cols ? c : c - cols] = sum;
}
