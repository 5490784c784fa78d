// Convolution as a matrix product: im2col lays out, for each output pixel, the numbers that the filter sees there; col2im,
// its gradient, adds what came of them back to where they were.
//
//     x (batch, channels, H, W)      columns (batch, channels x filter height x filter width, out height x out width)
//
// Row (c, i, j) of columns at pixel (y, x) is x[c, y stride - padding + i dilation, x stride - padding + j dilation], 0 outside.

// What a geometry is made of. A block knows its row (c, i, j) and its image; only pixels differ between threads.
struct Filter {
    int H, W, kh, kw, oh, ow, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    __device__ __forceinline__ float at(const float* plane, int i, int j, int pixel) const {
        int y = pixel / ow * stride_h - pad_h + i * dilation_h, x = pixel % ow * stride_w - pad_w + j * dilation_w;
        return y >= 0 && y < H && x >= 0 && x < W ? plane[y * W + x] : 0.f;
    }
};

// v1. A number for each thread, in the order of x: neighbours read neighbours, but write whole rows apart.
extern "C" __global__ void __launch_bounds__(256) im2col_v1(
    const float* __restrict__ x, float* __restrict__ columns, int channels, int H, int W, int kh, int kw, int oh, int ow,
    int stride_h, int stride_w, int pad_h, int pad_w, int dilation_h, int dilation_w) {
    Filter f{H, W, kh, kw, oh, ow, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w};
    int i = blockIdx.x * blockDim.x + threadIdx.x, taps = kh * kw, pixels = oh * ow;
    if (i >= pixels * taps) return;
    int tap = i % taps, pixel = i / taps;
    size_t plane = (size_t)blockIdx.z * channels + blockIdx.y;
    columns[(plane * taps + tap) * pixels + pixel] = f.at(x + plane * H * W, tap / kw, tap % kw, pixel);
}

// v2. A row of columns for a block: neighbouring threads do neighbouring pixels, and read and write neighbours.
extern "C" __global__ void __launch_bounds__(256) im2col_v2(
    const float* __restrict__ x, float* __restrict__ columns, int channels, int H, int W, int kh, int kw, int oh, int ow,
    int stride_h, int stride_w, int pad_h, int pad_w, int dilation_h, int dilation_w) {
    Filter f{H, W, kh, kw, oh, ow, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w};
    int pixel = blockIdx.x * blockDim.x + threadIdx.x, taps = kh * kw, c = blockIdx.y / taps, tap = blockIdx.y % taps;
    if (pixel >= oh * ow) return;
    size_t plane = (size_t)blockIdx.z * channels + c;
    columns[(plane * taps + tap) * (oh * ow) + pixel] = f.at(x + plane * H * W, tap / kw, tap % kw, pixel);
}

// v3. A block for each plane (image and channel), which it fetches once, 16 bytes at a time, and keeps in shared memory: the
// filter looks at each number kh x kw times.
extern "C" __global__ void __launch_bounds__(256) im2col_v3(
    const float* __restrict__ x, float* __restrict__ columns, int channels, int H, int W, int kh, int kw, int oh, int ow,
    int stride_h, int stride_w, int pad_h, int pad_w, int dilation_h, int dilation_w) {
    extern __shared__ __align__(16) float image[]; // H x W
    size_t plane = (size_t)blockIdx.z * channels + blockIdx.y;
    int pixels = oh * ow;
    x += plane * H * W, columns += plane * kh * kw * pixels;
    int whole = ((unsigned long long)x & 15) == 0 ? H * W & ~3 : 0;
    for (int i = 4 * threadIdx.x; i < whole; i += 4 * blockDim.x)
        *reinterpret_cast<float4*>(image + i) = *reinterpret_cast<const float4*>(x + i);
    for (int i = whole + threadIdx.x; i < H * W; i += blockDim.x) image[i] = x[i];
    __syncthreads();
    for (int pixel = threadIdx.x; pixel < pixels; pixel += blockDim.x) {
        int top = pixel / ow * stride_h - pad_h, left = pixel % ow * stride_w - pad_w;
        for (int i = 0; i < kh; i++)
            for (int j = 0; j < kw; j++) {
                int y = top + i * dilation_h, z = left + j * dilation_w;
                columns[(size_t)(i * kw + j) * pixels + pixel] = y >= 0 && y < H && z >= 0 && z < W ? image[y * W + z] : 0.f;
            }
    }
}

__device__ __forceinline__ void store_four(float* p, float a, float b, float c, float d) {
    *reinterpret_cast<float4*>(p) = make_float4(a, b, c, d);
}

// v4. For filters that move by one pixel and take neighbours, if a row of the output is a multiple of four: a thread does
// four neighbouring pixels, and stores them 16 bytes at a time. The plane lies in shared memory with its padding, so that
// nothing is checked. Its rows are `pitch` apart, and the image begins at a multiple of four in them: where the filter
// begins, up to three numbers before the padding are skipped.
extern "C" __global__ void __launch_bounds__(256) im2col_v4(
    const float* __restrict__ x, float* __restrict__ columns, int channels, int H, int W, int kh, int kw, int oh, int ow,
    int stride_h, int pad_h, int pad_w, int dilation_h, int pitch) {
    extern __shared__ __align__(16) float image[]; // (H + 2 pad_h) x pitch
    size_t plane = (size_t)blockIdx.z * channels + blockIdx.y;
    int pixels = oh * ow, left = (pad_w + 3) & ~3, skip = left - pad_w, size = (H + 2 * pad_h) * pitch;
    x += plane * H * W, columns += plane * kh * kw * pixels;
    const int width = W % 4 == 0 && ((unsigned long long)x & 15) == 0 ? 4 : 1; // of what is fetched at once
    for (int p = width * threadIdx.x; p < size; p += width * blockDim.x) {
        int y = p / pitch - pad_h, z = p % pitch - left;
        bool inside = (unsigned)y < H && (unsigned)z < W;
        const float* from = x + y * W + z;
        if (width == 1) image[p] = inside ? *from : 0.f;
        else *reinterpret_cast<float4*>(image + p) = inside ? *reinterpret_cast<const float4*>(from) : make_float4(0.f, 0.f, 0.f, 0.f);
    }
    __syncthreads();
    for (int pixel = 4 * threadIdx.x; pixel < pixels; pixel += 4 * blockDim.x) {
        const float* from = image + pixel / ow * stride_h * pitch + pixel % ow;
        float* to = columns + pixel; // where the first four columns of the row of the filter go
        for (int i = 0; i < kh; i++, from += dilation_h * pitch, to += kw * pixels) {
            float4 a = *reinterpret_cast<const float4*>(from), b = a;
            for (int j = -skip; j < kw; j += 4, a = b) {
                float* at = to + j * pixels;
                if (j + 1 < kw) b = *reinterpret_cast<const float4*>(from + skip + j + 4);
                if (j >= 0) store_four(at, a.x, a.y, a.z, a.w);
                if (j + 1 >= 0 && j + 1 < kw) store_four(at + pixels, a.y, a.z, a.w, b.x);
                if (j + 2 >= 0 && j + 2 < kw) store_four(at + 2 * pixels, a.z, a.w, b.x, b.y);
                if (j + 3 < kw) store_four(at + 3 * pixels, a.w, b.x, b.y, b.z);
            }
        }
    }
}

// v1. Everyone adds to the image with atomics: a pixel is fetched and stored as often as the filter covers it, and sums
// differ in their last digits from run to run. x comes in as zeros.
extern "C" __global__ void __launch_bounds__(256) col2im_v1(
    const float* __restrict__ columns, float* __restrict__ x, int channels, int H, int W, int kh, int kw, int oh, int ow,
    int stride_h, int stride_w, int pad_h, int pad_w, int dilation_h, int dilation_w) {
    int pixel = blockIdx.x * blockDim.x + threadIdx.x, taps = kh * kw, c = blockIdx.y / taps, tap = blockIdx.y % taps;
    if (pixel >= oh * ow) return;
    size_t plane = (size_t)blockIdx.z * channels + c;
    int y = pixel / ow * stride_h - pad_h + tap / kw * dilation_h, z = pixel % ow * stride_w - pad_w + tap % kw * dilation_w;
    if (y >= 0 && y < H && z >= 0 && z < W)
        atomicAdd(x + plane * H * W + y * W + z, columns[(plane * taps + tap) * (oh * ow) + pixel]);
}

// v2. The other way round: a thread for each pixel of the image asks which outputs saw it. Each number of columns is read
// once, each pixel stored once, without atomics.
extern "C" __global__ void __launch_bounds__(256) col2im_v2(
    const float* __restrict__ columns, float* __restrict__ x, int channels, int H, int W, int kh, int kw, int oh, int ow,
    int stride_h, int stride_w, int pad_h, int pad_w, int dilation_h, int dilation_w) {
    int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= H * W) return;
    size_t plane = (size_t)blockIdx.z * channels + blockIdx.y;
    columns += plane * kh * kw * oh * ow;
    float sum = 0.f;
    for (int i = 0; i < kh; i++) {
        int down = pixel / W + pad_h - i * dilation_h, y = down / stride_h;
        if (down < 0 || y * stride_h != down || y >= oh) continue;
        for (int j = 0; j < kw; j++) {
            int right = pixel % W + pad_w - j * dilation_w, z = right / stride_w;
            if (right < 0 || z * stride_w != right || z >= ow) continue;
            sum += columns[((i * kw + j) * oh + y) * ow + z];
        }
    }
    x[plane * H * W + pixel] = sum;
}

constexpr unsigned ALL = 0xffffffffu;

__device__ __forceinline__ float4 load_four(const float* row, int from, int end) { // zeros outside of the row
    return from >= 0 && from < end ? *reinterpret_cast<const float4*>(row + from) : make_float4(0.f, 0.f, 0.f, 0.f);
}

// v3. For filters that move by one pixel and take neighbours, if a row of the output is a multiple of four and one of the
// image even: a thread makes four neighbouring pixels. What a tap adds to them lies in its row of columns, moved by `shift`:
// the whole fours of that are in the address, and what the rest, -3 to 3, moves in comes from the neighbour, who has loaded
// it. Only where he stands in another row or warp it is loaded. A warp does `fours` times four pixels: whole rows, if it can.
extern "C" __global__ void __launch_bounds__(256) col2im_v3(
    const float* __restrict__ columns, float* __restrict__ x, int channels, int H, int W, int kh, int kw, int oh, int ow,
    int stride_h, int pad_h, int pad_w, int dilation_h, int fours) {
    int lane = threadIdx.x % 32, warp = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    int number = warp * fours + lane, each = (W + 3) / 4, top = number / each, left = 4 * (number % each);
    if (warp * fours >= H * each) return; // a whole warp; of the others everyone stays, as shuffles need them all
    const bool mine = lane < fours && top < H;
    const bool first = lane == 0 || left == 0, last = lane == fours - 1 || left + 4 >= W;
    size_t plane = (size_t)blockIdx.z * channels + blockIdx.y;
    columns += plane * kh * kw * oh * ow, x += (plane * H + top) * W + left;
    float4 sum = make_float4(0.f, 0.f, 0.f, 0.f);
    for (int i = 0; i < kh; i++) {
        int down = top + pad_h - i * dilation_h, y = down / stride_h;
        const int end = mine && down >= 0 && y * stride_h == down && y < oh ? ow : 0;
        for (int j = 0; j < kw; j++) {
            const float* row = columns + ((i * kw + j) * oh + y) * ow;
            int shift = pad_w - j, rest = shift % 4, from = left + shift - rest;
            float4 a = load_four(row, from, end);
            if (rest > 0) { // in all threads alike: the first `rest` of four numbers go, and as many come, the first of the neighbour
                float4 b = last ? load_four(row, from + 4, end) : a;
                float e = __shfl_down_sync(ALL, a.x, 1), f = 0.f, g = 0.f;
                if (rest > 1) f = __shfl_down_sync(ALL, a.y, 1);
                if (rest > 2) g = __shfl_down_sync(ALL, a.z, 1);
                if (last) e = b.x, f = b.y, g = b.z;
                a = rest == 1 ? make_float4(a.y, a.z, a.w, e) : rest == 2 ? make_float4(a.z, a.w, e, f) : make_float4(a.w, e, f, g);
            } else if (rest < 0) {
                float4 b = first ? load_four(row, from - 4, end) : a;
                float e = __shfl_up_sync(ALL, a.w, 1), f = 0.f, g = 0.f;
                if (rest < -1) f = __shfl_up_sync(ALL, a.z, 1);
                if (rest < -2) g = __shfl_up_sync(ALL, a.y, 1);
                if (first) e = b.w, f = b.z, g = b.y;
                a = rest == -1 ? make_float4(e, a.x, a.y, a.z) : rest == -2 ? make_float4(f, e, a.x, a.y) : make_float4(g, f, e, a.x);
            }
            sum.x += a.x, sum.y += a.y, sum.z += a.z, sum.w += a.w;
        }
    }
    if (mine && W % 4 == 0) store_four(x, sum.x, sum.y, sum.z, sum.w);
    if (mine && W % 4 != 0) {
        *reinterpret_cast<float2*>(x) = make_float2(sum.x, sum.y);
        if (left + 2 < W) *reinterpret_cast<float2*>(x + 2) = make_float2(sum.z, sum.w);
    }
}
