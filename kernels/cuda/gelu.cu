// GELU of n numbers, exact (by erf) or as GPT-2 approximates it (by tanh), and its gradient.
//
//     erf:  y = x * P(x)                  P(x) = (1 + erf(x / sqrt(2))) / 2
//     tanh: y = x * (1 + tanh(u)) / 2     u = sqrt(2 / pi) * (x + 0.044715 * x^3)

constexpr float SQRT_HALF = 0.70710678f, DENSITY = 0.39894228f, SCALE = 0.79788456f, CUBE = 0.044715f;

template <bool TANH> __device__ __forceinline__ float gelu(float x) {
    if (TANH) return 0.5f * x * (1.f + tanhf(SCALE * (x + CUBE * x * x * x)));
    return 0.5f * x * (1.f + erff(SQRT_HALF * x));
}

template <bool TANH> __device__ __forceinline__ float slope(float x) {
    if (TANH) {
        float t = tanhf(SCALE * (x + CUBE * x * x * x));
        return 0.5f * (1.f + t) + 0.5f * x * (1.f - t * t) * SCALE * (1.f + 3.f * CUBE * x * x);
    }
    return 0.5f * (1.f + erff(SQRT_HALF * x)) + x * DENSITY * __expf(-0.5f * x * x);
}

// v1. A number for each thread. Serves any address.
template <bool TANH> __device__ __forceinline__ void forward_one(const float* x, float* y, long long n) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = gelu<TANH>(x[i]);
}

template <bool TANH>
__device__ __forceinline__ void backward_one(const float* x, const float* dy, float* dx, long long n) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) dx[i] = dy[i] * slope<TANH>(x[i]);
}

extern "C" __global__ void __launch_bounds__(256)
gelu_v1(const float* __restrict__ x, float* __restrict__ y, long long n) { forward_one<false>(x, y, n); }

extern "C" __global__ void __launch_bounds__(256)
gelu_tanh_v1(const float* __restrict__ x, float* __restrict__ y, long long n) { forward_one<true>(x, y, n); }

extern "C" __global__ void __launch_bounds__(256)
gelu_backward_v1(const float* __restrict__ x, const float* __restrict__ dy, float* __restrict__ dx, long long n) {
    backward_one<false>(x, dy, dx, n);
}

extern "C" __global__ void __launch_bounds__(256)
gelu_tanh_backward_v1(const float* __restrict__ x, const float* __restrict__ dy, float* __restrict__ dx, long long n) {
    backward_one<true>(x, dy, dx, n);
}

// v2. Four numbers for each thread: a quarter of the instructions that ask for memory, and four times as many bytes under
// way for each. The thread behind the last whole four does the one to three numbers that are left.
template <bool TANH> __device__ __forceinline__ void forward_four(const float* x, float* y, long long n) {
    long long i = 4 * ((long long)blockIdx.x * blockDim.x + threadIdx.x);
    if (i + 4 <= n) {
        float4 q = *reinterpret_cast<const float4*>(x + i);
        *reinterpret_cast<float4*>(y + i) = make_float4(gelu<TANH>(q.x), gelu<TANH>(q.y), gelu<TANH>(q.z), gelu<TANH>(q.w));
    } else {
        for (; i < n; i++) y[i] = gelu<TANH>(x[i]);
    }
}

template <bool TANH>
__device__ __forceinline__ void backward_four(const float* x, const float* dy, float* dx, long long n) {
    long long i = 4 * ((long long)blockIdx.x * blockDim.x + threadIdx.x);
    if (i + 4 <= n) {
        float4 q = *reinterpret_cast<const float4*>(x + i), d = *reinterpret_cast<const float4*>(dy + i);
        *reinterpret_cast<float4*>(dx + i) =
            make_float4(d.x * slope<TANH>(q.x), d.y * slope<TANH>(q.y), d.z * slope<TANH>(q.z), d.w * slope<TANH>(q.w));
    } else {
        for (; i < n; i++) dx[i] = dy[i] * slope<TANH>(x[i]);
    }
}

extern "C" __global__ void __launch_bounds__(256)
gelu_v2(const float* __restrict__ x, float* __restrict__ y, long long n) { forward_four<false>(x, y, n); }

extern "C" __global__ void __launch_bounds__(256)
gelu_tanh_v2(const float* __restrict__ x, float* __restrict__ y, long long n) { forward_four<true>(x, y, n); }

extern "C" __global__ void __launch_bounds__(256)
gelu_backward_v2(const float* __restrict__ x, const float* __restrict__ dy, float* __restrict__ dx, long long n) {
    backward_four<false>(x, dy, dx, n);
}

extern "C" __global__ void __launch_bounds__(256)
gelu_tanh_backward_v2(const float* __restrict__ x, const float* __restrict__ dy, float* __restrict__ dx, long long n) {
    backward_four<true>(x, dy, dx, n);
}
