// Dropout with random numbers that are a function of the place: number i comes from (seed, offset + i / 4) alone. The mask
// is not stored; the gradient draws it again from the same seed. Philox 4x32-10 (Salmon and others, Parallel Random
// Numbers: As Easy as 1, 2, 3, 2011) turns a counter and a key into four random words by ten rounds of multiplications.

__device__ __forceinline__ uint4 philox(unsigned long long counter, unsigned long long key) {
    unsigned x = (unsigned)counter, y = (unsigned)(counter >> 32), z = 0, w = 0, k = (unsigned)key, l = (unsigned)(key >> 32);
#pragma unroll
    for (int round = 0; round < 10; round++) {
        unsigned high = __umulhi(0xD2511F53u, x), low = 0xD2511F53u * x, top = __umulhi(0xCD9E8D57u, z), end = 0xCD9E8D57u * z;
        x = top ^ y ^ k, y = end, z = high ^ w ^ l, w = low;
        k += 0x9E3779B9u, l += 0xBB67AE85u;
    }
    return make_uint4(x, y, z, w);
}

// v1. A number for each thread: each draws four words and uses one.
extern "C" __global__ void __launch_bounds__(256) dropout_v1(
    const float* __restrict__ x, float* __restrict__ y, long long n, unsigned long long seed, unsigned long long offset,
    unsigned threshold, float scale) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    uint4 r = philox(offset + i / 4, seed);
    unsigned word = i % 4 == 0 ? r.x : i % 4 == 1 ? r.y : i % 4 == 2 ? r.z : r.w;
    y[i] = word >= threshold ? x[i] * scale : 0.f;
}

// v2. Four numbers for each thread: one draw, 16 bytes in, 16 bytes out.
extern "C" __global__ void __launch_bounds__(256) dropout_v2(
    const float* __restrict__ x, float* __restrict__ y, long long n, unsigned long long seed, unsigned long long offset,
    unsigned threshold, float scale) {
    long long thread = (long long)blockIdx.x * blockDim.x + threadIdx.x, i = 4 * thread;
    if (i >= n) return;
    uint4 r = philox(offset + thread, seed);
    if (i + 4 <= n) {
        float4 q = *reinterpret_cast<const float4*>(x + i);
        q.x = r.x >= threshold ? q.x * scale : 0.f, q.y = r.y >= threshold ? q.y * scale : 0.f;
        q.z = r.z >= threshold ? q.z * scale : 0.f, q.w = r.w >= threshold ? q.w * scale : 0.f;
        *reinterpret_cast<float4*>(y + i) = q;
    } else {
        y[i] = r.x >= threshold ? x[i] * scale : 0.f;
        if (i + 1 < n) y[i + 1] = r.y >= threshold ? x[i + 1] * scale : 0.f;
        if (i + 2 < n) y[i + 2] = r.z >= threshold ? x[i + 2] * scale : 0.f;
    }
}
