// x += b in each row of x (rows, cols), in place: how a linear layer adds its bias.

// v1. A number for each thread, which has to divide to know its column.
extern "C" __global__ void __launch_bounds__(256) add_to_rows_v1(float* __restrict__ x, const float* __restrict__ b, long long n, int cols) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) x[i] += b[i % cols];
}

// v2. A block keeps what it adds to 128 columns. A thread has four of them, in four rows at a time: all are on their way before
// the first is needed. Needs rows that begin at multiples of 16 bytes.
extern "C" __global__ void __launch_bounds__(256)
    add_to_rows_v2(float* __restrict__ x, const float* __restrict__ b, int rows, int cols) {
    __shared__ float4 kept[32];
    int c = 4 * (blockIdx.x * 32 + threadIdx.x);
    if (threadIdx.y == 0 && c < cols) kept[threadIdx.x] = *reinterpret_cast<const float4*>(b + c);
    __syncthreads();
    if (c >= cols) return;
    float4 add = kept[threadIdx.x];
    for (int first = blockIdx.y * 32 + threadIdx.y; first < rows; first += gridDim.y * 32) {
        float4 v[4];
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (first + 8 * i < rows) v[i] = *reinterpret_cast<const float4*>(x + (size_t)(first + 8 * i) * cols + c);
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (first + 8 * i < rows)
                *reinterpret_cast<float4*>(x + (size_t)(first + 8 * i) * cols + c) =
                    make_float4(v[i].x + add.x, v[i].y + add.y, v[i].z + add.z, v[i].w + add.w);
    }
}
