// Attention, forward and backward: softmax(Q K^T * scale + mask) V for each head, without ever storing the (queries, keys)
// matrix in memory. Q and O are (batch x heads, queries, d), K and V (batch x heads, keys, d), d at most 128.
//
//     S = Q K^T * scale + mask        P = exp(S - lse), lse the logarithm of the sum of exp(S) of a row        O = P V
//     dV = P^T dO      dP = dO V^T      dS = P * (dP - sum(dO * O))      dQ = scale dS K      dK = scale dS^T Q
//
// `causal`: query i sees the keys up to i. `mask` (may be null) is added to the scores; steps tell how far apart its
// batches, heads and queries are, 0 for one that is shared. A query that sees no key gets 0, and lse = +infinity, with
// which exp(S - lse) is 0 in the backward pass too.

constexpr unsigned ALL = 0xffffffffu;

__device__ __forceinline__ float infinity() { return __int_as_float(0x7f800000); }

__device__ __forceinline__ float warp_sum(float v) {
#pragma unroll
    for (int step = 16; step > 0; step >>= 1) v += __shfl_xor_sync(ALL, v, step);
    return v;
}

// What a query sees: the keys before `end(query)`, and of those what is added to its score; -infinity for all others.
struct Mask {
    const float* values;
    long long step;
    int queries, keys;
    bool causal;
    __device__ Mask(const float* mask, long long batch, long long head, long long row, int heads, int q, int k, int hide)
        : values(mask), step(row), queries(q), keys(k), causal(hide) {
        if (values) values += blockIdx.y / heads * batch + blockIdx.y % heads * head;
    }
    __device__ __forceinline__ int end(int query) const { return min(keys, causal ? query + 1 : keys); }
    // A query behind the last one, whose result nobody stores, is taken for the last.
    __device__ __forceinline__ float operator()(int query, int key, int end) const {
        if (key >= end) return -infinity();
        return values ? values[min(query, queries - 1) * step + key] : 0.f;
    }
};

// v1. A warp for each query, its lanes the columns: each key and each value is fetched again for each query.
extern "C" __global__ void __launch_bounds__(128) attention_v1(
    const float* __restrict__ Q, const float* __restrict__ K, const float* __restrict__ V, const float* __restrict__ mask,
    float* __restrict__ O, float* __restrict__ lse, int queries, int keys, int d, float scale, int causal, int heads,
    long long mask_batch, long long mask_head, long long mask_row) {
    int query = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5), lane = threadIdx.x & 31;
    if (query >= queries) return;
    Mask hidden(mask, mask_batch, mask_head, mask_row, heads, queries, keys, causal);
    Q += ((size_t)blockIdx.y * queries + query) * d, O += ((size_t)blockIdx.y * queries + query) * d;
    K += (size_t)blockIdx.y * keys * d, V += (size_t)blockIdx.y * keys * d;
    float q[4], o[4] = {}, m = -infinity(), sum = 0.f;
#pragma unroll
    for (int i = 0; i < 4; i++) q[i] = lane + 32 * i < d ? Q[lane + 32 * i] * scale : 0.f;
    const int end = hidden.end(query);
    for (int key = 0; key < end; key++) {
        float dot = 0.f;
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (lane + 32 * i < d) dot += q[i] * K[(size_t)key * d + lane + 32 * i];
        float s = warp_sum(dot) + hidden(query, key, end);
        if (s == -infinity()) continue;
        float to = fmaxf(m, s), old = __expf(m - to), p = __expf(s - to);
        sum = sum * old + p, m = to;
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (lane + 32 * i < d) o[i] = o[i] * old + p * V[(size_t)key * d + lane + 32 * i];
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
        if (lane + 32 * i < d) O[lane + 32 * i] = sum > 0.f ? o[i] / sum : 0.f;
    if (lane == 0) lse[(size_t)blockIdx.y * queries + query] = sum > 0.f ? m + logf(sum) : infinity();
}

// ---- v2: tiles. 16 x 16 threads share a tile of scores. Thread (x, y) owns rows y, y + 16, ... of one side ("own", which
// stays) and meets rows x, x + 16, ... of the other ("other", which is streamed through shared memory).

constexpr int THREADS = 256;

// Rows of D floats in shared memory. The float4 of a row change places by the row's number, so that eight threads which
// read the same column of eight rows meet eight different sets of banks.
template <int D> __device__ __forceinline__ int place(int row, int column4) { return row * D + ((column4 ^ (row & 7)) << 2); }

// Rows first, first + 1, ... of a matrix with d columns; zeros behind its end and beyond column d.
template <int ROWS, int D>
__device__ __forceinline__ void fetch(float* tile, const float* from, int first, int rows, int d, float factor = 1.f) {
    bool wide = d % 4 == 0 && ((unsigned long long)from & 15) == 0;
#pragma unroll
    for (int turn = 0; turn < ROWS * D / 4 / THREADS; turn++) {
        int i = turn * THREADS + threadIdx.x, row = i / (D / 4), c = i % (D / 4), left = first + row < rows ? d - 4 * c : 0;
        const float* p = from + (size_t)(first + row) * d + 4 * c;
        float4 v = make_float4(0.f, 0.f, 0.f, 0.f);
        if (wide && left > 0) v = *reinterpret_cast<const float4*>(p);
        if (!wide) {
            if (left > 0) v.x = p[0];
            if (left > 1) v.y = p[1];
            if (left > 2) v.z = p[2];
            if (left > 3) v.w = p[3];
        }
        *reinterpret_cast<float4*>(tile + place<D>(row, c)) = make_float4(v.x * factor, v.y * factor, v.z * factor, v.w * factor);
    }
}

// products[i][j] = own row y + 16 i times other row x + 16 j.
template <int OWN, int OTHER, int D>
__device__ __forceinline__ void multiply(float (&products)[OWN / 16][OTHER / 16], const float* own, const float* other) {
    int x = threadIdx.x % 16, y = threadIdx.x / 16;
#pragma unroll
    for (int i = 0; i < OWN / 16; i++)
#pragma unroll
        for (int j = 0; j < OTHER / 16; j++) products[i][j] = 0.f;
#pragma unroll 4
    for (int c = 0; c < D / 4; c++) {
        float4 p[OWN / 16], q[OTHER / 16];
#pragma unroll
        for (int i = 0; i < OWN / 16; i++) p[i] = *reinterpret_cast<const float4*>(own + place<D>(y + 16 * i, c));
#pragma unroll
        for (int j = 0; j < OTHER / 16; j++) q[j] = *reinterpret_cast<const float4*>(other + place<D>(x + 16 * j, c));
#pragma unroll
        for (int i = 0; i < OWN / 16; i++)
#pragma unroll
            for (int j = 0; j < OTHER / 16; j++)
                products[i][j] += p[i].x * q[j].x + p[i].y * q[j].y + p[i].z * q[j].z + p[i].w * q[j].w;
    }
}

// Where weight (row, column) of a tile is: odd rows are moved by 16 banks, for a warp writes 16 columns of two rows.
template <int OTHER> __device__ __forceinline__ int weight_place(int row, int column) {
    return row * OTHER + (column ^ ((row & 1) << 4));
}

// sums[i] += weights (own rows, other rows) times other (other rows, D), for columns 4 x, ... and 64 + 4 x, ... The weights
// pass through shared memory from and to the 16 threads of the same y, which are half a warp: no barrier of the block.
template <int OWN, int OTHER, int D>
__device__ __forceinline__ void gather(
    float (&sums)[OWN / 16][D / 16], const float (&weights)[OWN / 16][OTHER / 16], float* shared, const float* other) {
    int x = threadIdx.x % 16, y = threadIdx.x / 16;
#pragma unroll
    for (int i = 0; i < OWN / 16; i++)
#pragma unroll
        for (int j = 0; j < OTHER / 16; j++) shared[weight_place<OTHER>(y + 16 * i, x + 16 * j)] = weights[i][j];
    __syncwarp();
#pragma unroll 2
    for (int j = 0; j < OTHER; j += 4) {
        float w[OWN / 16][4];
#pragma unroll
        for (int i = 0; i < OWN / 16; i++) {
            float4 f = *reinterpret_cast<const float4*>(shared + weight_place<OTHER>(y + 16 * i, j));
            w[i][0] = f.x, w[i][1] = f.y, w[i][2] = f.z, w[i][3] = f.w;
        }
#pragma unroll
        for (int k = 0; k < 4; k++)
#pragma unroll
            for (int h = 0; h < D / 64; h++) {
                float4 v = *reinterpret_cast<const float4*>(other + place<D>(j + k, x + 16 * h));
#pragma unroll
                for (int i = 0; i < OWN / 16; i++) {
                    sums[i][4 * h] += w[i][k] * v.x, sums[i][4 * h + 1] += w[i][k] * v.y;
                    sums[i][4 * h + 2] += w[i][k] * v.z, sums[i][4 * h + 3] += w[i][k] * v.w;
                }
            }
    }
}

// The columns that `gather` left in this thread, times a factor, to row `row` of an output, which begins at a multiple of
// 16 bytes. Of 128 columns the first 64 are there.
template <int D> __device__ __forceinline__ void store(float* to, const float (&sums)[D / 16], int row, int d, float factor) {
    int x = threadIdx.x % 16;
    bool wide = d % 4 == 0;
    to += (size_t)row * d;
#pragma unroll
    for (int h = 0; h < D / 64; h++) {
        int c = 4 * x + 64 * h;
        const bool sure = h + 1 < D / 64;
        if (wide) {
            if (sure || c < d)
                *reinterpret_cast<float4*>(to + c) = make_float4(
                    sums[4 * h] * factor, sums[4 * h + 1] * factor, sums[4 * h + 2] * factor, sums[4 * h + 3] * factor);
        } else {
#pragma unroll
            for (int i = 0; i < 4; i++)
                if (sure || c + i < d) to[c + i] = sums[4 * h + i] * factor;
        }
    }
}

// A block for OWN queries, which stay, while keys and values stream by, each fetched once for all of them. Maximum m and
// sum of a row are kept up to date as in online softmax; when the maximum grows, what was gathered shrinks by exp(m - m').
template <int OWN, int OTHER, int D>
__device__ __forceinline__ void forward(
    const float* Q, const float* K, const float* V, const Mask& hidden, float* O, float* lse, int queries, int keys, int d,
    float scale) {
    extern __shared__ __align__(16) float shared[];
    float *q = shared, *k = q + OWN * D, *v = k + OTHER * D; // the weights take the place of k when it is no longer needed
    int x = threadIdx.x % 16, y = threadIdx.x / 16, first = blockIdx.x * OWN;
    Q += (size_t)blockIdx.y * queries * d, K += (size_t)blockIdx.y * keys * d, V += (size_t)blockIdx.y * keys * d;
    float sums[OWN / 16][D / 16] = {}, m[OWN / 16], total[OWN / 16] = {};
#pragma unroll
    for (int i = 0; i < OWN / 16; i++) m[i] = -infinity();
    fetch<OWN, D>(q, Q, first, queries, d, scale);
    for (int key0 = 0; key0 < (hidden.causal ? min(keys, first + OWN) : keys); key0 += OTHER) {
        fetch<OTHER, D>(k, K, key0, keys, d), fetch<OTHER, D>(v, V, key0, keys, d);
        __syncthreads();
        float s[OWN / 16][OTHER / 16];
        multiply<OWN, OTHER, D>(s, q, k);
#pragma unroll
        for (int i = 0; i < OWN / 16; i++) {
            float to = m[i], sum = 0.f;
            const int query = first + y + 16 * i, end = hidden.end(query);
#pragma unroll
            for (int j = 0; j < OTHER / 16; j++) {
                s[i][j] += hidden(query, key0 + x + 16 * j, end);
                to = fmaxf(to, s[i][j]);
            }
#pragma unroll
            for (int step = 8; step > 0; step >>= 1) to = fmaxf(to, __shfl_xor_sync(ALL, to, step));
            float shift = to == -infinity() ? 0.f : to, old = __expf(m[i] - shift);
#pragma unroll
            for (int j = 0; j < OTHER / 16; j++) s[i][j] = __expf(s[i][j] - shift), sum += s[i][j];
#pragma unroll
            for (int step = 8; step > 0; step >>= 1) sum += __shfl_xor_sync(ALL, sum, step);
            total[i] = total[i] * old + sum, m[i] = to;
#pragma unroll
            for (int c = 0; c < D / 16; c++) sums[i][c] *= old;
        }
        __syncthreads(); // all have done with k
        gather<OWN, OTHER, D>(sums, s, k, v);
        __syncthreads(); // all have done with v and the weights
    }
    O += (size_t)blockIdx.y * queries * d, lse += (size_t)blockIdx.y * queries;
#pragma unroll
    for (int i = 0; i < OWN / 16; i++) {
        int row = first + y + 16 * i;
        if (row >= queries) continue;
        store<D>(O, sums[i], row, d, total[i] > 0.f ? 1.f / total[i] : 0.f);
        if (x == 0) lse[row] = total[i] > 0.f ? m[i] + logf(total[i]) : infinity();
    }
}

// v2. Up to 64 columns of a head: 64 queries by 64 keys.
extern "C" __global__ void __launch_bounds__(256, 2) attention_v2_d64(
    const float* __restrict__ Q, const float* __restrict__ K, const float* __restrict__ V, const float* __restrict__ mask,
    float* __restrict__ O, float* __restrict__ lse, int queries, int keys, int d, float scale, int causal, int heads,
    long long mask_batch, long long mask_head, long long mask_row) {
    Mask hidden(mask, mask_batch, mask_head, mask_row, heads, queries, keys, causal);
    forward<64, 64, 64>(Q, K, V, hidden, O, lse, queries, keys, d, scale);
}

// v2. Up to 128 columns: 64 queries by 32 keys.
extern "C" __global__ void __launch_bounds__(256, 2) attention_v2_d128(
    const float* __restrict__ Q, const float* __restrict__ K, const float* __restrict__ V, const float* __restrict__ mask,
    float* __restrict__ O, float* __restrict__ lse, int queries, int keys, int d, float scale, int causal, int heads,
    long long mask_batch, long long mask_head, long long mask_row) {
    Mask hidden(mask, mask_batch, mask_head, mask_row, heads, queries, keys, causal);
    forward<64, 32, 128>(Q, K, V, hidden, O, lse, queries, keys, d, scale);
}

// ---- Backward. Two passes, each of which owns what it adds up: no atomics, and the same result in every run.

// sum(dO * O) of each row, a warp for each.
extern "C" __global__ void __launch_bounds__(128) attention_dot(
    const float* __restrict__ O, const float* __restrict__ dO, float* __restrict__ dots, int rows, int d) {
    int row = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5), lane = threadIdx.x & 31;
    if (row >= rows) return;
    float sum = 0.f;
    for (int c = lane; c < d; c += 32) sum += O[(size_t)row * d + c] * dO[(size_t)row * d + c];
    sum = warp_sum(sum);
    if (lane == 0) dots[row] = sum;
}

// v1. A warp for each query gathers dQ, a warp for each key dK and dV; everything of the other side is fetched for each.
extern "C" __global__ void __launch_bounds__(128) attention_backward_q_v1(
    const float* __restrict__ Q, const float* __restrict__ K, const float* __restrict__ V, const float* __restrict__ mask,
    const float* __restrict__ dO, const float* __restrict__ lse, const float* __restrict__ dots, float* __restrict__ dQ,
    int queries, int keys, int d, float scale, int causal, int heads, long long mask_batch, long long mask_head,
    long long mask_row) {
    int query = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5), lane = threadIdx.x & 31;
    if (query >= queries) return;
    Mask hidden(mask, mask_batch, mask_head, mask_row, heads, queries, keys, causal);
    size_t row = (size_t)blockIdx.y * queries + query;
    K += (size_t)blockIdx.y * keys * d, V += (size_t)blockIdx.y * keys * d;
    float dq[4] = {};
    const int end = hidden.end(query);
    for (int key = 0; key < end; key++) {
        float s = 0.f, dp = 0.f;
        for (int c = lane; c < d; c += 32) s += Q[row * d + c] * K[(size_t)key * d + c], dp += dO[row * d + c] * V[(size_t)key * d + c];
        float p = __expf(warp_sum(s) * scale + hidden(query, key, end) - lse[row]), ds = p * (warp_sum(dp) - dots[row]);
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (lane + 32 * i < d) dq[i] += ds * scale * K[(size_t)key * d + lane + 32 * i];
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
        if (lane + 32 * i < d) dQ[row * d + lane + 32 * i] = dq[i];
}

extern "C" __global__ void __launch_bounds__(128) attention_backward_kv_v1(
    const float* __restrict__ Q, const float* __restrict__ K, const float* __restrict__ V, const float* __restrict__ mask,
    const float* __restrict__ dO, const float* __restrict__ lse, const float* __restrict__ dots, float* __restrict__ dK,
    float* __restrict__ dV, int queries, int keys, int d, float scale, int causal, int heads, long long mask_batch,
    long long mask_head, long long mask_row) {
    int key = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5), lane = threadIdx.x & 31;
    if (key >= keys) return;
    Mask hidden(mask, mask_batch, mask_head, mask_row, heads, queries, keys, causal);
    size_t row = (size_t)blockIdx.y * keys + key, start = (size_t)blockIdx.y * queries;
    float dk[4] = {}, dv[4] = {};
    for (int query = 0; query < queries; query++) {
        const float *q = Q + (start + query) * d, *g = dO + (start + query) * d;
        float s = 0.f, dp = 0.f;
        for (int c = lane; c < d; c += 32) s += q[c] * K[row * d + c], dp += g[c] * V[row * d + c];
        float p = __expf(warp_sum(s) * scale + hidden(query, key, hidden.end(query)) - lse[start + query]);
        float ds = p * (warp_sum(dp) - dots[start + query]);
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (lane + 32 * i < d) dk[i] += ds * scale * q[lane + 32 * i], dv[i] += p * g[lane + 32 * i];
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
        if (lane + 32 * i < d) dK[row * d + lane + 32 * i] = dk[i], dV[row * d + lane + 32 * i] = dv[i];
}

// v2, dQ: the forward pass over again, with dS in the place of the weights and K in that of V.
template <int OWN, int OTHER, int D>
__device__ __forceinline__ void backward_q(
    const float* Q, const float* K, const float* V, const Mask& hidden, const float* dO, const float* lse, const float* dots,
    float* dQ, int queries, int keys, int d, float scale) {
    extern __shared__ __align__(16) float shared[];
    float *q = shared, *g = q + OWN * D, *k = g + OWN * D, *v = k + OTHER * D; // dS takes the place of v
    int x = threadIdx.x % 16, y = threadIdx.x / 16, first = blockIdx.x * OWN;
    size_t start = (size_t)blockIdx.y * queries;
    Q += start * d, dO += start * d, K += (size_t)blockIdx.y * keys * d, V += (size_t)blockIdx.y * keys * d;
    float sums[OWN / 16][D / 16] = {}, norm[OWN / 16], dot[OWN / 16];
#pragma unroll
    for (int i = 0; i < OWN / 16; i++) {
        int row = first + y + 16 * i;
        norm[i] = row < queries ? lse[start + row] : infinity(), dot[i] = row < queries ? dots[start + row] : 0.f;
    }
    fetch<OWN, D>(q, Q, first, queries, d), fetch<OWN, D>(g, dO, first, queries, d);
    for (int key0 = 0; key0 < (hidden.causal ? min(keys, first + OWN) : keys); key0 += OTHER) {
        fetch<OTHER, D>(k, K, key0, keys, d), fetch<OTHER, D>(v, V, key0, keys, d);
        __syncthreads();
        float p[OWN / 16][OTHER / 16], dp[OWN / 16][OTHER / 16];
        multiply<OWN, OTHER, D>(p, q, k);
        multiply<OWN, OTHER, D>(dp, g, v);
#pragma unroll
        for (int i = 0; i < OWN / 16; i++) {
            const int query = first + y + 16 * i, end = hidden.end(query);
#pragma unroll
            for (int j = 0; j < OTHER / 16; j++)
                dp[i][j] = (dp[i][j] - dot[i]) * __expf(p[i][j] * scale + hidden(query, key0 + x + 16 * j, end) - norm[i]);
        }
        __syncthreads(); // all have done with v
        gather<OWN, OTHER, D>(sums, dp, v, k);
        __syncthreads(); // all have done with k and dS
    }
#pragma unroll
    for (int i = 0; i < OWN / 16; i++)
        if (first + y + 16 * i < queries) store<D>(dQ + start * d, sums[i], first + y + 16 * i, d, scale);
}

extern "C" __global__ void __launch_bounds__(256, 2) attention_backward_q_v2_d64(
    const float* __restrict__ Q, const float* __restrict__ K, const float* __restrict__ V, const float* __restrict__ mask,
    const float* __restrict__ dO, const float* __restrict__ lse, const float* __restrict__ dots, float* __restrict__ dQ,
    int queries, int keys, int d, float scale, int causal, int heads, long long mask_batch, long long mask_head,
    long long mask_row) {
    Mask hidden(mask, mask_batch, mask_head, mask_row, heads, queries, keys, causal);
    backward_q<64, 32, 64>(Q, K, V, hidden, dO, lse, dots, dQ, queries, keys, d, scale);
}

extern "C" __global__ void __launch_bounds__(256, 2) attention_backward_q_v2_d128(
    const float* __restrict__ Q, const float* __restrict__ K, const float* __restrict__ V, const float* __restrict__ mask,
    const float* __restrict__ dO, const float* __restrict__ lse, const float* __restrict__ dots, float* __restrict__ dQ,
    int queries, int keys, int d, float scale, int causal, int heads, long long mask_batch, long long mask_head,
    long long mask_row) {
    Mask hidden(mask, mask_batch, mask_head, mask_row, heads, queries, keys, causal);
    backward_q<32, 32, 128>(Q, K, V, hidden, dO, lse, dots, dQ, queries, keys, d, scale);
}

// v2, dK and dV: now keys and values stay, and queries stream by with their dO; P and dS pass through the same shared
// memory one after the other.
template <int OWN, int OTHER, int D>
__device__ __forceinline__ void backward_kv(
    const float* Q, const float* K, const float* V, const Mask& hidden, const float* dO, const float* lse, const float* dots,
    float* dK, float* dV, int queries, int keys, int d, float scale) {
    extern __shared__ __align__(16) float shared[];
    float *k = shared, *v = k + OWN * D, *q = v + OWN * D, *g = q + OTHER * D, *weights = g + OTHER * D;
    int x = threadIdx.x % 16, y = threadIdx.x / 16, first = blockIdx.x * OWN;
    size_t start = (size_t)blockIdx.y * queries, own = (size_t)blockIdx.y * keys * d;
    Q += start * d, dO += start * d;
    float dk[OWN / 16][D / 16] = {}, dv[OWN / 16][D / 16] = {};
    fetch<OWN, D>(k, K + own, first, keys, d), fetch<OWN, D>(v, V + own, first, keys, d);
    for (int query0 = hidden.causal ? first / OTHER * OTHER : 0; query0 < queries; query0 += OTHER) {
        fetch<OTHER, D>(q, Q, query0, queries, d), fetch<OTHER, D>(g, dO, query0, queries, d);
        __syncthreads();
        float p[OWN / 16][OTHER / 16], ds[OWN / 16][OTHER / 16];
        multiply<OWN, OTHER, D>(p, k, q);
        multiply<OWN, OTHER, D>(ds, v, g);
#pragma unroll
        for (int j = 0; j < OTHER / 16; j++) {
            const int query = query0 + x + 16 * j, end = hidden.end(query);
            float norm = query < queries ? lse[start + query] : infinity(), dot = query < queries ? dots[start + query] : 0.f;
#pragma unroll
            for (int i = 0; i < OWN / 16; i++) {
                p[i][j] = __expf(p[i][j] * scale + hidden(query, first + y + 16 * i, end) - norm);
                ds[i][j] = p[i][j] * (ds[i][j] - dot);
            }
        }
        gather<OWN, OTHER, D>(dv, p, weights, g);
        __syncwarp(); // the warp has read the weights that dS replaces
        gather<OWN, OTHER, D>(dk, ds, weights, q);
        __syncthreads(); // all have done with q and g
    }
#pragma unroll
    for (int i = 0; i < OWN / 16; i++) {
        if (first + y + 16 * i >= keys) continue;
        store<D>(dK + own, dk[i], first + y + 16 * i, d, scale);
        store<D>(dV + own, dv[i], first + y + 16 * i, d, 1.f);
    }
}

extern "C" __global__ void __launch_bounds__(256, 2) attention_backward_kv_v2_d64(
    const float* __restrict__ Q, const float* __restrict__ K, const float* __restrict__ V, const float* __restrict__ mask,
    const float* __restrict__ dO, const float* __restrict__ lse, const float* __restrict__ dots, float* __restrict__ dK,
    float* __restrict__ dV, int queries, int keys, int d, float scale, int causal, int heads, long long mask_batch,
    long long mask_head, long long mask_row) {
    Mask hidden(mask, mask_batch, mask_head, mask_row, heads, queries, keys, causal);
    backward_kv<64, 32, 64>(Q, K, V, hidden, dO, lse, dots, dK, dV, queries, keys, d, scale);
}

extern "C" __global__ void __launch_bounds__(256, 2) attention_backward_kv_v2_d128(
    const float* __restrict__ Q, const float* __restrict__ K, const float* __restrict__ V, const float* __restrict__ mask,
    const float* __restrict__ dO, const float* __restrict__ lse, const float* __restrict__ dots, float* __restrict__ dK,
    float* __restrict__ dV, int queries, int keys, int d, float scale, int causal, int heads, long long mask_batch,
    long long mask_head, long long mask_row) {
    Mask hidden(mask, mask_batch, mask_head, mask_row, heads, queries, keys, causal);
    backward_kv<32, 32, 128>(Q, K, V, hidden, dO, lse, dots, dK, dV, queries, keys, d, scale);
}
