// Matrix product C = A B in TF32 on tensor cores (sm_80 and newer): float32 in and out, but the factors are rounded to 10
// bits behind the comma. Only for who asks for it: the error is about a thousand times that of float32.
//
// mma.sync multiplies a 16 x 8 by an 8 x 8 tile, held in pieces by the 32 lanes of a warp, in one instruction. So the game
// is to feed it: what else stands in the loop (fetching, rounding, reading shared memory) must be little.

constexpr int DEPTH = 16; // of a tile, in k

// To the nearest number with 10 bits behind the comma: the tensor core ignores the 13 bits behind them. sm_90 has an
// instruction for it. Before, adding half of the last bit takes two, and cvt.rna.tf32 more; it rounds halves away from zero
// rather than to even. min: NaN, whose bits are 0x7fffffff, must not become -0.
__device__ __forceinline__ unsigned round_tf32(float x) {
#if __CUDA_ARCH__ >= 900
    unsigned r;
    asm("cvt.rn.tf32.f32 %0, %1;" : "=r"(r) : "f"(x));
    return r;
#else
    return min(__float_as_int(x), 0x7fffefff) + 0x1000;
#endif
}

// d += a b. Lane 4 g + t holds a (g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4), b (t, g), (t + 4, g) and d (g, 2 t),
// (g, 2 t + 1), (g + 8, 2 t), (g + 8, 2 t + 1).
__device__ __forceinline__ void mma(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Four 8 x 4 tiles of shared memory at once: lanes 0 to 7 name the rows of the first, 8 to 15 of the second, and so on;
// lane 4 g + t gets (g, t) of each.
__device__ __forceinline__ void load_fragments(unsigned (&r)[4], unsigned address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address));
}

// A tile is 128 rows (of A, or columns of B) of DEPTH numbers, in fours. The fours of a row change places by the row, so that
// eight rows read at the same k, as above, lie in different banks.
__device__ __forceinline__ int place(int row, int k4) { return row * (DEPTH / 4) + (k4 ^ (row >> 1 & 3)); }

// One operand. ALONG: consecutive addresses go along k, and are fetched 16 bytes at a time. Otherwise they go along the
// rows of the tile: neighbouring threads fetch neighbouring numbers, four rows of k each. Rows outside are the last inside.
template <bool ALONG> struct Operand {
    static constexpr int MANY = 2, THREADS = 256; // float4 that a thread holds of a tile
    const float* from[MANY];
    float4 held[MANY];
    int stride;

    __device__ __forceinline__ int row(int i) const { return ALONG ? threadIdx.x / 4 + 64 * i : threadIdx.x % 128; }
    __device__ __forceinline__ int k4(int i) const { return ALONG ? threadIdx.x % 4 : threadIdx.x / 128 + 2 * i; }

    __device__ __forceinline__ Operand(const float* p, int first, int size, int step) : stride(step) {
#pragma unroll
        for (int i = 0; i < MANY; i++) {
            int r = min(first + row(i), size - 1);
            from[i] = ALONG ? p + (size_t)r * step + 4 * k4(i) : p + r + (size_t)(4 * k4(i)) * step;
        }
    }
    // `depth` numbers along k, zeros behind; DEPTH of them need no checks.
    template <bool WHOLE> __device__ __forceinline__ void fetch(int depth) {
#pragma unroll
        for (int i = 0; i < MANY; i++) {
            int left = WHOLE ? 4 : depth - 4 * k4(i);
            const float* p = from[i];
            const long long step = stride;
            if (ALONG) {
                held[i] = left > 0 ? *reinterpret_cast<const float4*>(p) : make_float4(0.f, 0.f, 0.f, 0.f);
            } else {
                held[i].x = left > 0 ? p[0] : 0.f, held[i].y = left > 1 ? p[step] : 0.f;
                held[i].z = left > 2 ? p[2 * step] : 0.f, held[i].w = left > 3 ? p[3 * step] : 0.f;
            }
            from[i] += ALONG ? depth : step * depth;
        }
    }
    // Rounded here, once for each number, and not where it is used, once for each use.
    __device__ __forceinline__ void put(uint4* tile) {
#pragma unroll
        for (int i = 0; i < MANY; i++)
            tile[place(row(i), k4(i))] = make_uint4(
                round_tf32(held[i].x), round_tf32(held[i].y), round_tf32(held[i].z), round_tf32(held[i].w));
    }
};

// A block does 128 x 128 numbers of C, a warp 64 x 32 of them. blockIdx.z counts products.
template <bool A_ALONG, bool B_ALONG>
__device__ __forceinline__ void product(
    const float* A, const float* B, const float* bias, float* C, int M, int N, int K, long long a_step, long long b_step) {
    constexpr int TILE = 128 * DEPTH / 4; // in fours, which are 16 bytes
    __shared__ uint4 shared[2][2][TILE];  // two pairs of tiles of A and B take turns
    const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, row0 = blockIdx.y * 128, col0 = blockIdx.x * 128;
    const int down = warp / 4 * 64, across = warp % 4 * 32, tiles = (K + DEPTH - 1) / DEPTH;
    A += blockIdx.z * a_step, B += blockIdx.z * b_step, C += (size_t)blockIdx.z * M * N;

    Operand<A_ALONG> left(A, row0, M, A_ALONG ? K : M);
    Operand<B_ALONG> right(B, col0, N, B_ALONG ? K : N);
    const int some = K - max(tiles - 1, 0) * DEPTH; // the incomplete tile comes first
    left.template fetch<false>(some), right.template fetch<false>(some);
    left.put(shared[tiles & 1][0]), right.put(shared[tiles & 1][1]);
    __syncthreads();

    // Where this lane's row of the fragments begins. Eight of k further is the same with bit 5 turned round (see place), 16
    // rows further is TILE / 8 fours. The empty asm hides how the numbers were made: the compiler would make them anew in
    // every turn of the loop, to save two registers.
    unsigned a_row = (unsigned)__cvta_generic_to_shared(shared[0][0] + place(down + lane % 16, lane / 16));
    unsigned b_row = (unsigned)__cvta_generic_to_shared(shared[0][1] + place(across + lane % 8 + lane / 16 * 8, lane / 8 % 2));
    asm volatile("" : "+r"(a_row), "+r"(b_row));

    float acc[4][4][4] = {};
    for (int todo = tiles; todo > 0; todo--) {
        const unsigned turn = (todo & 1) * sizeof(shared[0]);
        const bool more = todo > 1;
        if (more) left.template fetch<true>(DEPTH), right.template fetch<true>(DEPTH);
#pragma unroll
        for (int k = 0; k < DEPTH; k += 8) {
            unsigned u[4][4], v[2][4];
#pragma unroll
            for (int i = 0; i < 4; i++) load_fragments(u[i], (a_row ^ 4 * k) + turn + i * TILE / 8 * 16);
#pragma unroll
            for (int j = 0; j < 2; j++) load_fragments(v[j], (b_row ^ 4 * k) + turn + j * TILE / 8 * 16);
#pragma unroll
            for (int i = 0; i < 4; i++)
#pragma unroll
                for (int j = 0; j < 4; j++) mma(acc[i][j], u[i], v[j / 2][j % 2 * 2], v[j / 2][j % 2 * 2 + 1]);
        }
        if (more) left.put(shared[todo & 1 ^ 1][0]), right.put(shared[todo & 1 ^ 1][1]);
        __syncthreads();
    }

#pragma unroll
    for (int j = 0; j < 4; j++) {
        int col = col0 + across + 8 * j + lane % 4 * 2;
        float2 add = bias && col < N ? *reinterpret_cast<const float2*>(bias + col) : make_float2(0.f, 0.f);
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
            for (int h = 0; h < 2; h++) {
                int row = row0 + down + 16 * i + 8 * h + lane / 4;
                if (row < M && col < N)
                    *reinterpret_cast<float2*>(C + (size_t)row * N + col) =
                        make_float2(acc[i][j][2 * h] + add.x, acc[i][j][2 * h + 1] + add.y);
            }
    }
}

// v1. A x B, A x B transposed, A transposed x B.
extern "C" __global__ void __launch_bounds__(256, 2) matmul_tf32_nn(
    const float* __restrict__ A, const float* __restrict__ B, const float* __restrict__ bias, float* __restrict__ C, int M,
    int N, int K, long long a_step, long long b_step) {
    product<true, false>(A, B, bias, C, M, N, K, a_step, b_step);
}

extern "C" __global__ void __launch_bounds__(256, 2) matmul_tf32_nt(
    const float* __restrict__ A, const float* __restrict__ B, const float* __restrict__ bias, float* __restrict__ C, int M,
    int N, int K, long long a_step, long long b_step) {
    product<true, true>(A, B, bias, C, M, N, K, a_step, b_step);
}

extern "C" __global__ void __launch_bounds__(256, 2) matmul_tf32_tn(
    const float* __restrict__ A, const float* __restrict__ B, const float* __restrict__ bias, float* __restrict__ C, int M,
    int N, int K, long long a_step, long long b_step) {
    product<false, false>(A, B, bias, C, M, N, K, a_step, b_step);
}
