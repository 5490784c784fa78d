"""Lesson 15, solved."""

# %% tags=["exercise-15.1"]
outer = r"""
extern "C" __global__ void outer(const float* u, const float* v, float* out, int rows, int columns) {
    int c = blockIdx.x * blockDim.x + threadIdx.x;  // x is the fast direction: neighbours write neighbours
    int r = blockIdx.y * blockDim.y + threadIdx.y;
    if (r < rows && c < columns) out[r * columns + c] = u[r] * v[c];  // either may be beyond its end
}
"""


# %% tags=["exercise-15.2"]
squares = r"""
extern "C" __global__ void squares(const float* x, float* y, int n) {
    int all = gridDim.x * blockDim.x;  // how many threads there are: so far ahead lies the next number nobody takes
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += all) y[i] = x[i] * x[i];
}
"""


# %% tags=["exercise-15.3"]
centre = r"""
extern "C" __global__ void centre(const float* x, float* y, int n) {
    __shared__ float part[64];
    int t = threadIdx.x;
    x += blockIdx.x * n, y += blockIdx.x * n;  // from here on, this block's row
    float s = 0.0f;
    for (int c = t; c < n; c += 64) s += x[c];  // first alone: every 64th number
    part[t] = s;
    __syncthreads();
    for (int k = 32; k > 0; k /= 2) {
        if (t < k) part[t] += part[t + k];
        __syncthreads();  // outside the if; after the last round it also lets everybody read part[0]
    }
    float mean = part[0] / n;
    for (int c = t; c < n; c += 64) y[c] = x[c] - mean;
}
"""


# %% tags=["exercise-15.4"]
one_pass = r"""
extern "C" __global__ void one_pass(const float* x, float* largest, float* sum, int rows, int n) {
    int r = blockIdx.x * blockDim.x + threadIdx.x;
    if (r >= rows) return;
    float m = __int_as_float(0xff800000), s = 0.0f;
    for (int c = 0; c < n; c++) {
        float v = x[r * n + c], bigger = fmaxf(m, v);
        s = s * expf(m - bigger) + expf(v - bigger);  // what was summed relative to m becomes relative to the new one
        m = bigger;
    }
    largest[r] = m, sum[r] = s;
}
"""
