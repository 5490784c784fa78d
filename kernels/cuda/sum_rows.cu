// Sums over the rows of x (rows, cols): what a bias, or whatever else was added to each row, gets as its gradient.

// v1. A thread for each column. Neighbours read neighbours, but a few thousand threads cannot ask for enough at a time to keep
// the memory busy.
extern "C" __global__ void __launch_bounds__(256) sum_rows_v1(const float* __restrict__ x, float* __restrict__ out, int rows, int cols) {
    int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= cols) return;
    float sum = 0.f;
    for (int r = 0; r < rows; r++) sum += x[(size_t)r * cols + c];
    out[c] = sum;
}

// A block of 8 warps adds up `many` rows, each warp every eighth of them; a thread has N columns beside each other. What the
// blocks give, out (gridDim.y, cols), is summed by another launch: no atomics, and the same result in every run.
template <int N> struct Numbers;
template <> struct Numbers<1> { using type = float; };
template <> struct Numbers<4> { using type = float4; };

template <int N> __device__ __forceinline__ void add_slice(const float* x, float* out, int rows, int cols, int many) {
    using Vector = typename Numbers<N>::type;
    __shared__ __align__(16) float sums[8][32 * N];
    int at = N * threadIdx.x, c = 32 * N * blockIdx.x + at;
    int from = blockIdx.y * many, to = min(rows, from + many);
    float sum[N] = {};
    if (c < cols) {
#pragma unroll 4
        for (int r = from + threadIdx.y; r < to; r += 8) {
            Vector v = *reinterpret_cast<const Vector*>(x + (size_t)r * cols + c);
#pragma unroll
            for (int k = 0; k < N; k++) sum[k] += reinterpret_cast<const float*>(&v)[k];
        }
    }
    *reinterpret_cast<Vector*>(sums[threadIdx.y] + at) = *reinterpret_cast<const Vector*>(sum);
    __syncthreads();
    if (threadIdx.y || c >= cols) return;
    for (int i = 1; i < 8; i++) {
        Vector v = *reinterpret_cast<const Vector*>(sums[i] + at);
#pragma unroll
        for (int k = 0; k < N; k++) sum[k] += reinterpret_cast<const float*>(&v)[k];
    }
    *reinterpret_cast<Vector*>(out + (size_t)blockIdx.y * cols + c) = *reinterpret_cast<const Vector*>(sum);
}

// v2. The rows are cut into slices, so that there are blocks for the whole card.
extern "C" __global__ void __launch_bounds__(256)
    sum_rows_v2(const float* __restrict__ x, float* __restrict__ out, int rows, int cols, int many) {
    add_slice<1>(x, out, rows, cols, many);
}

// v3. 16 bytes at a time. Needs rows that begin at multiples of 16 bytes.
extern "C" __global__ void __launch_bounds__(256)
    sum_rows_v3(const float* __restrict__ x, float* __restrict__ out, int rows, int cols, int many) {
    add_slice<4>(x, out, rows, cols, many);
}
