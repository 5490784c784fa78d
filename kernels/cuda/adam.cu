// Adam and AdamW: one step for many parameters.
//
//     g = gradient * unscale (+ decay * p: Adam)    p = p * (1 - lr * decay) (AdamW)
//     m = m + (1 - beta1) (g - m)        v = beta2 v + (1 - beta2) g^2
//     p = p - lr / correction1 * m / (sqrt(v) / correction2 + eps)
//
// correction1 = 1 - beta1^t, correction2 = sqrt(1 - beta2^t). `unscale` is a number in device memory, or null for 1.
// Seven numbers move for each parameter, four in and three out; the arithmetic is free beside that.

struct Settings {
    float lr, beta1, beta2, eps, decay, correction1, correction2, unscale;
    bool decoupled;

    __device__ __forceinline__ void update(float& p, float g, float& m, float& v) const {
        g *= unscale;
        if (decoupled) p -= lr * decay * p;
        else g += decay * p;
        m += (1.f - beta1) * (g - m);
        v = beta2 * v + (1.f - beta2) * g * g;
        p -= lr / correction1 * m / (sqrtf(v) / correction2 + eps);
    }
};

// v1. One parameter array in a launch, a number for each thread. A model has hundreds of arrays, and many are so short
// that starting the kernel takes longer than running it.
extern "C" __global__ void __launch_bounds__(256) adam_v1(
    float* __restrict__ p, const float* __restrict__ g, float* __restrict__ m, float* __restrict__ v, long long n, float lr,
    float beta1, float beta2, float eps, float decay, float correction1, float correction2, int decoupled,
    const float* __restrict__ unscale) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    Settings s{lr, beta1, beta2, eps, decay, correction1, correction2, unscale ? *unscale : 1.f, decoupled != 0};
    s.update(p[i], g[i], m[i], v[i]);
}

// v2. All arrays in one launch, 16 bytes at a time. `table` has a row for each array: the addresses of p, g, m and v, and
// the size. `chunks` has a row for each block: which array, and which piece of 4,096 numbers of it.
constexpr int CHUNK = 4096;

extern "C" __global__ void __launch_bounds__(256) adam_v2(
    const unsigned long long* __restrict__ table, const int* __restrict__ chunks, float lr, float beta1, float beta2,
    float eps, float decay, float correction1, float correction2, int decoupled, const float* __restrict__ unscale) {
    Settings s{lr, beta1, beta2, eps, decay, correction1, correction2, unscale ? *unscale : 1.f, decoupled != 0};
    const unsigned long long* entry = table + 5 * (long long)chunks[2 * blockIdx.x];
    long long start = (long long)chunks[2 * blockIdx.x + 1] * CHUNK, n = min((long long)entry[4] - start, (long long)CHUNK);
    float* p = reinterpret_cast<float*>(entry[0]) + start;
    const float* g = reinterpret_cast<const float*>(entry[1]) + start;
    float *m = reinterpret_cast<float*>(entry[2]) + start, *v = reinterpret_cast<float*>(entry[3]) + start;
    bool aligned = ((entry[0] | entry[1] | entry[2] | entry[3]) & 15) == 0;
    int whole = aligned ? (int)n & ~3 : 0; // numbers that are done four at a time
    for (int i = 4 * threadIdx.x; i < whole; i += 4 * blockDim.x) {
        float4 a = *reinterpret_cast<float4*>(p + i), b = *reinterpret_cast<const float4*>(g + i);
        float4 c = *reinterpret_cast<float4*>(m + i), d = *reinterpret_cast<float4*>(v + i);
        s.update(a.x, b.x, c.x, d.x), s.update(a.y, b.y, c.y, d.y), s.update(a.z, b.z, c.z, d.z), s.update(a.w, b.w, c.w, d.w);
        *reinterpret_cast<float4*>(p + i) = a;
        *reinterpret_cast<float4*>(m + i) = c, *reinterpret_cast<float4*>(v + i) = d;
    }
    for (int i = whole + threadIdx.x; i < n; i += blockDim.x) s.update(p[i], g[i], m[i], v[i]);
}
