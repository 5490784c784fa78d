// Matrix product C = A B of row-major matrices in float32: (M, K) by (K, N).
//
// 2 M N K operations on M K + K N + M N numbers: every number is used many times, so the game is to fetch it few times,
// first from memory, then from shared memory, until the multiplications are nearly all that a warp issues. v1 to v5 do
// the plain product; v6 is the one used: A or B transposed, batches, any sizes, bias and activation on the way out.

// v1. A thread for each number of C. Neighbouring threads do neighbouring rows, so that they read and write addresses a
// whole row apart: an eighth of each 32-byte sector is used.
extern "C" __global__ void matmul_v1(
    const float* __restrict__ A, const float* __restrict__ B, float* __restrict__ C, int M, int N, int K) {
    int row = blockIdx.y * blockDim.x + threadIdx.x, col = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= M || col >= N) return;
    float sum = 0.f;
    for (int k = 0; k < K; k++) sum += A[(size_t)row * K + k] * B[(size_t)k * N + col];
    C[(size_t)row * N + col] = sum;
}

// v2. Coalesced: neighbouring threads do neighbouring columns. The same work in another order, and whole sectors.
extern "C" __global__ void matmul_v2(
    const float* __restrict__ A, const float* __restrict__ B, float* __restrict__ C, int M, int N, int K) {
    int row = blockIdx.y * blockDim.y + threadIdx.y, col = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= M || col >= N) return;
    float sum = 0.f;
    for (int k = 0; k < K; k++) sum += A[(size_t)row * K + k] * B[(size_t)k * N + col];
    C[(size_t)row * N + col] = sum;
}

// v3. Tiles in shared memory: a block fetches 32 x 32 numbers of A and of B once, and uses each 32 times.
extern "C" __global__ void __launch_bounds__(1024) matmul_v3(
    const float* __restrict__ A, const float* __restrict__ B, float* __restrict__ C, int M, int N, int K) {
    __shared__ float a[32][32], b[32][32];
    int x = threadIdx.x, y = threadIdx.y, row = blockIdx.y * 32 + y, col = blockIdx.x * 32 + x;
    float sum = 0.f;
    for (int k0 = 0; k0 < K; k0 += 32) {
        a[y][x] = row < M && k0 + x < K ? A[(size_t)row * K + k0 + x] : 0.f;
        b[y][x] = k0 + y < K && col < N ? B[(size_t)(k0 + y) * N + col] : 0.f;
        __syncthreads();
        for (int k = 0; k < 32; k++) sum += a[y][k] * b[k][x];
        __syncthreads(); // all have read this tile before anyone overwrites it
    }
    if (row < M && col < N) C[(size_t)row * N + col] = sum;
}

// v4. Register blocking: a thread does 4 x 4 numbers of C, so that 8 reads from shared memory feed 16 multiplications
// instead of 2 feeding 1.
extern "C" __global__ void __launch_bounds__(256) matmul_v4(
    const float* __restrict__ A, const float* __restrict__ B, float* __restrict__ C, int M, int N, int K) {
    __shared__ float a[16][64 + 1], b[16][64]; // a is transposed; the odd row length spreads its columns over all banks
    int t = threadIdx.x, x = t % 16, y = t / 16, row0 = blockIdx.y * 64, col0 = blockIdx.x * 64;
    float acc[4][4] = {};
    for (int k0 = 0; k0 < K; k0 += 16) {
        for (int i = t; i < 64 * 16; i += 256) {
            int r = i / 16, k = i % 16, c = i % 64, kk = i / 64;
            a[k][r] = row0 + r < M && k0 + k < K ? A[(size_t)(row0 + r) * K + k0 + k] : 0.f;
            b[kk][c] = k0 + kk < K && col0 + c < N ? B[(size_t)(k0 + kk) * N + col0 + c] : 0.f;
        }
        __syncthreads();
#pragma unroll
        for (int k = 0; k < 16; k++) {
            float p[4], q[4];
#pragma unroll
            for (int i = 0; i < 4; i++) p[i] = a[k][y + 16 * i], q[i] = b[k][x + 16 * i];
#pragma unroll
            for (int i = 0; i < 4; i++)
#pragma unroll
                for (int j = 0; j < 4; j++) acc[i][j] += p[i] * q[j];
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) {
            int row = row0 + y + 16 * i, col = col0 + x + 16 * j;
            if (row < M && col < N) C[(size_t)row * N + col] = acc[i][j];
        }
}

// v5. 16 bytes at a time, from memory and from shared memory, and 8 x 8 numbers for a thread: 4 reads feed 64
// multiplications. K and N are multiples of 4.
extern "C" __global__ void __launch_bounds__(256) matmul_v5(
    const float* __restrict__ A, const float* __restrict__ B, float* __restrict__ C, int M, int N, int K) {
    __shared__ __align__(16) float a[8][128], b[8][128];
    int t = threadIdx.x, x = t % 16 * 8, y = t / 16 * 8, row0 = blockIdx.y * 128, col0 = blockIdx.x * 128;
    int ar = t / 2, ak = t % 2 * 4, bk = t / 32, bc = t % 32 * 4;
    const float4 zero = make_float4(0.f, 0.f, 0.f, 0.f);
    float acc[8][8] = {};
    for (int k0 = 0; k0 < K; k0 += 8) {
        float4 p = zero, q = zero;
        if (row0 + ar < M && k0 + ak < K) p = *reinterpret_cast<const float4*>(A + (size_t)(row0 + ar) * K + k0 + ak);
        if (k0 + bk < K && col0 + bc < N) q = *reinterpret_cast<const float4*>(B + (size_t)(k0 + bk) * N + col0 + bc);
        a[ak][ar] = p.x, a[ak + 1][ar] = p.y, a[ak + 2][ar] = p.z, a[ak + 3][ar] = p.w;
        *reinterpret_cast<float4*>(&b[bk][bc]) = q;
        __syncthreads();
#pragma unroll
        for (int k = 0; k < 8; k++) {
            float u[8], v[8];
#pragma unroll
            for (int i = 0; i < 8; i += 4) {
                float4 f = *reinterpret_cast<const float4*>(&a[k][y + i]), g = *reinterpret_cast<const float4*>(&b[k][x + i]);
                u[i] = f.x, u[i + 1] = f.y, u[i + 2] = f.z, u[i + 3] = f.w;
                v[i] = g.x, v[i + 1] = g.y, v[i + 2] = g.z, v[i + 3] = g.w;
            }
#pragma unroll
            for (int i = 0; i < 8; i++)
#pragma unroll
                for (int j = 0; j < 8; j++) acc[i][j] += u[i] * v[j];
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 8; i++)
#pragma unroll
        for (int j = 0; j < 8; j += 4)
            if (row0 + y + i < M && col0 + x + j < N)
                *reinterpret_cast<float4*>(C + (size_t)(row0 + y + i) * N + col0 + x + j) =
                    make_float4(acc[i][j], acc[i][j + 1], acc[i][j + 2], acc[i][j + 3]);
}

// v6. Warp tiles: the 32 threads of a warp do 64 x 32 numbers together, so that what they read of A and B is the same few
// addresses, all in different banks. Two tiles in shared memory take turns, and the next one is on its way from memory
// while the last is being multiplied: one barrier for each tile, and nobody waits for memory. Nothing in the loop checks
// a border: rows and columns outside are read from the last one inside, and are never stored; the incomplete tile of K,
// if there is one, comes first.
constexpr int DEPTH = 16; // of a tile, in k

// Where the number of column m in row k of a tile is. The transposed store below writes four rows k of one column at
// once, and this puts them into different banks, while four neighbours stay neighbours.
__device__ __forceinline__ constexpr int swizzle(int k, int m) { return m ^ ((k >> 2 & 3) << 3); }

// One operand: SIZE rows of output and DEPTH of k, fetched by THREADS threads, four numbers at a time.
// ALONG: consecutive addresses go along k, so that the tile is transposed on its way; otherwise they go along the output.
// WIDE: addresses and sizes are multiples of 16 bytes.
template <bool ALONG, bool WIDE, int SIZE, int THREADS> struct Operand {
    static constexpr int MANY = SIZE * DEPTH / 4 / THREADS, SPREAD = ALONG ? THREADS * 4 / DEPTH : THREADS * 4 / SIZE;
    const float* from[ALONG ? MANY : 1]; // the fetched numbers of the next tile
    float4 held[MANY];
    int k, m, room; // where this thread's numbers are in the tile; how many columns there are from there on
    int stride;     // between rows of the operand

    __device__ __forceinline__ Operand(const float* p, int first, int size, int row) : stride(row) {
        int t = threadIdx.x;
        k = ALONG ? t % (DEPTH / 4) * 4 : t / (SIZE / 4), m = ALONG ? t / (DEPTH / 4) : t % (SIZE / 4) * 4;
        int col = first + m;
        if (ALONG) {
#pragma unroll
            for (int i = 0; i < MANY; i++) from[i] = p + (size_t)min(col + i * SPREAD, size - 1) * row + k;
        } else {
            col = WIDE ? min(col, size - 4) : min(col, size - 1);
            room = size - col;
            from[0] = p + col + (size_t)k * row;
        }
    }
    // The incomplete tile: `depth` rows of k, zeros behind.
    __device__ __forceinline__ void fetch_some(int depth) {
#pragma unroll
        for (int i = 0; i < MANY; i++) {
            int kk = ALONG ? k : k + i * SPREAD;
            held[i] = make_float4(0.f, 0.f, 0.f, 0.f);
            if (kk < depth) held[i] = get(ALONG ? from[i] : from[0] + (long long)stride * (i * SPREAD), ALONG ? depth - kk : room);
        }
        advance(depth);
    }
    __device__ __forceinline__ void fetch() {
#pragma unroll
        for (int i = 0; i < MANY; i++) held[i] = get(ALONG ? from[i] : from[0] + (long long)stride * (i * SPREAD), ALONG ? 4 : room);
        advance(DEPTH);
    }
    __device__ __forceinline__ void advance(int depth) {
#pragma unroll
        for (int i = 0; i < (ALONG ? MANY : 1); i++) from[i] += ALONG ? depth : (long long)stride * depth;
    }
    __device__ __forceinline__ float4 get(const float* p, int n) {
        if (WIDE) return *reinterpret_cast<const float4*>(p);
        return make_float4(p[0], n > 1 ? p[1] : 0.f, n > 2 ? p[2] : 0.f, n > 3 ? p[3] : 0.f);
    }
    __device__ __forceinline__ void put(float* tile) {
#pragma unroll
        for (int i = 0; i < MANY; i++) {
            if (ALONG) {
                float* to = tile + k * SIZE + swizzle(k, m + i * SPREAD);
                to[0] = held[i].x, to[SIZE] = held[i].y, to[2 * SIZE] = held[i].z, to[3 * SIZE] = held[i].w;
            } else {
                *reinterpret_cast<float4*>(tile + (k + i * SPREAD) * SIZE + swizzle(k + i * SPREAD, m)) = held[i];
            }
        }
    }
};

// 0 nothing, 1 ReLU, 2 GELU, 3 GELU by tanh. This stands in the kernel 64 times, so erf and tanh are short: Abramowitz
// and Stegun 7.1.26, which is off by 1.5e-7 at most, and 1 - 2 / (1 + exp(2 u)).
__device__ __forceinline__ float activate(float v, int activation) {
    if (activation == 1) return v < 0.f ? 0.f : v; // NaN stays NaN
    if (activation == 2) {
        float z = 0.70710678f * fabsf(v), t = __fdividef(1.f, 1.f + 0.3275911f * z);
        float tail = t * (0.25482959f + t * (-0.28449674f + t * (1.42141374f + t * (-1.45315203f + t * 1.06140543f))));
        tail *= __expf(-z * z);
        return 0.5f * v * (v < 0.f ? tail : 2.f - tail);
    }
    if (activation == 3) return v - __fdividef(v, 1.f + __expf(1.59576912f * (v + 0.044715f * v * v * v)));
    return v;
}

__device__ __forceinline__ void read_four(float* v, const float* p) {
    float4 q = *reinterpret_cast<const float4*>(p);
    v[0] = q.x, v[1] = q.y, v[2] = q.z, v[3] = q.w;
}

// A block does 64 DOWN x 32 ACROSS numbers of C with a warp for each 64 x 32.
// blockIdx.z counts products, and within a product slices of K, which are added up afterwards by matmul_sum.
template <bool A_ALONG, bool B_ALONG, bool WIDE, int DOWN, int ACROSS>
__device__ __forceinline__ void product(
    const float* A, const float* B, const float* bias, float* C, int M, int N, int K, long long a_step, long long b_step,
    int slices, int activation) {
    constexpr int ROWS = 64 * DOWN, COLS = 32 * ACROSS, THREADS = 32 * DOWN * ACROSS;
    __shared__ __align__(16) float a[2][DEPTH * ROWS], b[2][DEPTH * COLS];
    const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, row0 = blockIdx.y * ROWS, col0 = blockIdx.x * COLS;
    const int row = warp / ACROSS * 64 + (lane >> 2) * 4, col = warp % ACROSS * 32 + (lane & 3) * 4; // of 4 x 4, in the tile
    const int whole = (K + DEPTH - 1) / DEPTH, each = (whole + slices - 1) / slices * DEPTH, slice = blockIdx.z % slices;
    const int begin = min(slice * each, K), depth = min(K - begin, each), tiles = (depth + DEPTH - 1) / DEPTH;
    const int some = depth - max(tiles - 1, 0) * DEPTH; // the first tile is the incomplete one
    const int item = blockIdx.z / slices;
    A += item * a_step + (A_ALONG ? begin : (size_t)begin * M);
    B += item * b_step + (B_ALONG ? begin : (size_t)begin * N);
    C += (size_t)blockIdx.z * M * N;

    Operand<A_ALONG, WIDE, ROWS, THREADS> left(A, row0, M, A_ALONG ? K : M);
    Operand<B_ALONG, WIDE, COLS, THREADS> right(B, col0, N, B_ALONG ? K : N);
    left.fetch_some(some), right.fetch_some(some);
    left.put(a[tiles & 1]), right.put(b[tiles & 1]);
    __syncthreads();

    float acc[8][8] = {};
    for (int todo = tiles; todo > 0; todo--) {
        const float *p = a[todo & 1], *q = b[todo & 1];
        const bool more = todo > 1;
        if (more) left.fetch(), right.fetch();
#pragma unroll
        for (int k = 0; k < DEPTH; k++) {
            float u[8], v[8];
            read_four(u, p + k * ROWS + swizzle(k, row)), read_four(u + 4, p + k * ROWS + swizzle(k, row) + 32);
            read_four(v, q + k * COLS + swizzle(k, col)), read_four(v + 4, q + k * COLS + swizzle(k, col + 16));
#pragma unroll
            for (int i = 0; i < 8; i++)
#pragma unroll
                for (int j = 0; j < 8; j++) acc[i][j] += u[i] * v[j];
        }
        if (more) left.put(a[todo & 1 ^ 1]), right.put(b[todo & 1 ^ 1]);
        __syncthreads();
    }

#pragma unroll
    for (int j = 0; j < 8; j += 4) {
        int c = col0 + col + 4 * j;
        float add[4] = {};
        if (WIDE && bias && c < N) read_four(add, bias + c);
#pragma unroll
        for (int i = 0; i < 8; i++) {
            int r = row0 + row + i % 4 + i / 4 * 32, last = !A_ALONG && WIDE ? r - i % 4 : r; // M is a multiple of 4 then
            if (last >= M || c >= N) continue;
            float v[4];
#pragma unroll
            for (int x = 0; x < 4; x++) v[x] = activate(acc[i][j + x] + add[x], activation);
            float* to = C + (size_t)r * N + c;
            if (WIDE) *reinterpret_cast<float4*>(to) = make_float4(v[0], v[1], v[2], v[3]);
            else
#pragma unroll
                for (int x = 0; x < 4; x++)
                    if (c + x < N) to[x] = v[x];
        }
    }
}

// A x B, A x B transposed, A transposed x B; in tiles of 128 x 128.
extern "C" __global__ void __launch_bounds__(256, 2) matmul_v6_nn(
    const float* __restrict__ A, const float* __restrict__ B, const float* __restrict__ bias, float* __restrict__ C, int M,
    int N, int K, long long a_step, long long b_step, int slices, int activation) {
    product<true, false, true, 2, 4>(A, B, bias, C, M, N, K, a_step, b_step, slices, activation);
}

extern "C" __global__ void __launch_bounds__(256, 2) matmul_v6_nt(
    const float* __restrict__ A, const float* __restrict__ B, const float* __restrict__ bias, float* __restrict__ C, int M,
    int N, int K, long long a_step, long long b_step, int slices, int activation) {
    product<true, true, true, 2, 4>(A, B, bias, C, M, N, K, a_step, b_step, slices, activation);
}

extern "C" __global__ void __launch_bounds__(256, 2) matmul_v6_tn(
    const float* __restrict__ A, const float* __restrict__ B, const float* __restrict__ bias, float* __restrict__ C, int M,
    int N, int K, long long a_step, long long b_step, int slices, int activation) {
    product<false, false, true, 2, 4>(A, B, bias, C, M, N, K, a_step, b_step, slices, activation);
}

// The same in tiles of 64 x 64 by two warps, for results too small to give every multiprocessor a tile of 128 x 128. Bias
// and activation are left to matmul_sum: a small result is soon read again.
extern "C" __global__ void __launch_bounds__(64) matmul_small_nn(
    const float* __restrict__ A, const float* __restrict__ B, float* __restrict__ C, int M, int N, int K, long long a_step,
    long long b_step, int slices) {
    product<true, false, true, 1, 2>(A, B, nullptr, C, M, N, K, a_step, b_step, slices, 0);
}

extern "C" __global__ void __launch_bounds__(64) matmul_small_nt(
    const float* __restrict__ A, const float* __restrict__ B, float* __restrict__ C, int M, int N, int K, long long a_step,
    long long b_step, int slices) {
    product<true, true, true, 1, 2>(A, B, nullptr, C, M, N, K, a_step, b_step, slices, 0);
}

extern "C" __global__ void __launch_bounds__(64) matmul_small_tn(
    const float* __restrict__ A, const float* __restrict__ B, float* __restrict__ C, int M, int N, int K, long long a_step,
    long long b_step, int slices) {
    product<false, false, true, 1, 2>(A, B, nullptr, C, M, N, K, a_step, b_step, slices, 0);
}

// The same for sizes that are no multiples of 4 and addresses that are none of 16: number by number.
extern "C" __global__ void __launch_bounds__(64) matmul_any_nn(
    const float* __restrict__ A, const float* __restrict__ B, float* __restrict__ C, int M, int N, int K, long long a_step,
    long long b_step, int slices) {
    product<true, false, false, 1, 2>(A, B, nullptr, C, M, N, K, a_step, b_step, slices, 0);
}

extern "C" __global__ void __launch_bounds__(64) matmul_any_nt(
    const float* __restrict__ A, const float* __restrict__ B, float* __restrict__ C, int M, int N, int K, long long a_step,
    long long b_step, int slices) {
    product<true, true, false, 1, 2>(A, B, nullptr, C, M, N, K, a_step, b_step, slices, 0);
}

extern "C" __global__ void __launch_bounds__(64) matmul_any_tn(
    const float* __restrict__ A, const float* __restrict__ B, float* __restrict__ C, int M, int N, int K, long long a_step,
    long long b_step, int slices) {
    product<false, false, false, 1, 2>(A, B, nullptr, C, M, N, K, a_step, b_step, slices, 0);
}

// C = activation(sum of the slices + bias). partial is (products, slices, M x N); a thread for each number of C.
extern "C" __global__ void __launch_bounds__(256) matmul_sum(
    const float* __restrict__ partial, const float* __restrict__ bias, float* __restrict__ C, long long numbers,
    long long total, int slices, int N, int activation) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= total) return;
    const float* p = partial + i / numbers * slices * numbers + i % numbers;
    float v = bias ? bias[i % N] : 0.f;
    for (int slice = 0; slice < slices; slice++) v += p[slice * numbers];
    C[i] = activate(v, activation);
}
