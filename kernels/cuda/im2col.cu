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

// v3. A block fetches what the filter sees in `band` rows of the output, once and 16 bytes at a time, and keeps it in shared
// memory: the filter looks at each number kh x kw times. For small images that is a whole plane (of an image and a channel).
extern "C" __global__ void __launch_bounds__(256) im2col_v3(
    const float* __restrict__ x, float* __restrict__ columns, int channels, int H, int W, int kh, int kw, int oh, int ow,
    int stride_h, int stride_w, int pad_h, int pad_w, int dilation_h, int dilation_w, int band) {
    extern __shared__ __align__(16) float image[]; // rows from `first` to `last`
    size_t plane = (size_t)blockIdx.z * channels + blockIdx.y;
    int begin = blockIdx.x * band, end = min(begin + band, oh), pixels = oh * ow;
    int first = max(begin * stride_h - pad_h, 0), last = min((end - 1) * stride_h - pad_h + (kh - 1) * dilation_h + 1, H);
    int size = max(last - first, 0) * W;
    x += (plane * H + first) * W, columns += plane * kh * kw * pixels;
    int whole = ((unsigned long long)x & 15) == 0 ? size & ~3 : 0;
    for (int i = 4 * threadIdx.x; i < whole; i += 4 * blockDim.x)
        *reinterpret_cast<float4*>(image + i) = *reinterpret_cast<const float4*>(x + i);
    for (int i = whole + threadIdx.x; i < size; i += blockDim.x) image[i] = x[i];
    __syncthreads();
    for (int pixel = begin * ow + threadIdx.x; pixel < end * ow; pixel += blockDim.x) {
        int top = pixel / ow * stride_h - pad_h, left = pixel % ow * stride_w - pad_w;
        for (int i = 0; i < kh; i++)
            for (int j = 0; j < kw; j++) {
                int y = top + i * dilation_h, z = left + j * dilation_w;
                bool inside = y >= 0 && y < H && z >= 0 && z < W;
                columns[(size_t)(i * kw + j) * pixels + pixel] = inside ? image[(y - first) * W + z] : 0.f;
            }
    }
}

__device__ __forceinline__ void store_four(float* p, float a, float b, float c, float d) {
    *reinterpret_cast<float4*>(p) = make_float4(a, b, c, d);
}

__device__ __forceinline__ float4 moved(float4 a, float4 b, int by) { // four of the eight numbers, from `by` on, 1 to 3
    return by == 1 ? make_float4(a.y, a.z, a.w, b.x) : by == 2 ? make_float4(a.z, a.w, b.x, b.y) : make_float4(a.w, b.x, b.y, b.z);
}

// Where a tap is: the number of a part, and the place in it, if of `parts` numbers each comes to another part.
struct Tap {
    int part, place;
    __device__ __forceinline__ Tap(int at, int parts) : part(at % parts), place(at / parts) {}
    __device__ __forceinline__ void move(const Tap& by, int parts) {
        part += by.part, place += by.place;
        if (part >= parts) part -= parts, place++;
    }
};

// v4. If a row of the output is a multiple of four: a thread does four neighbouring pixels, and stores them 16 bytes at a
// time. What the filter sees lies in shared memory with its padding, so that nothing is checked; and so that what
// neighbouring pixels read are neighbours, also where the filter moves by two: first each second column, then the others.
// Such a part of a row is `part` numbers, rows are `pitch` apart, and of them too each second comes first. The image begins
// at a multiple of eight, where a sector does: before the padding, up to seven numbers are skipped.
extern "C" __global__ void __launch_bounds__(256) im2col_v4(
    const float* __restrict__ x, float* __restrict__ columns, int channels, int H, int W, int kh, int kw, int oh, int ow,
    int stride_h, int stride_w, int pad_h, int pad_w, int dilation_h, int dilation_w, int band, int part, int pitch) {
    extern __shared__ __align__(16) float image[];
    size_t plane = (size_t)blockIdx.z * channels + blockIdx.y;
    int begin = blockIdx.x * band, rows = min(band, oh - begin), top = begin * stride_h - pad_h, pixels = oh * ow;
    int seen = (rows - 1) * stride_h + (kh - 1) * dilation_h + 1, each = (seen + stride_h - 1) / stride_h;
    int left = (pad_w + 7) & ~7;
    x += plane * H * W, columns += plane * kh * kw * pixels + begin * ow;
    const int width = W % 4 == 0 && stride_w <= 2 && ((unsigned long long)x & 15) == 0 ? 4 : 1; // of what is fetched at once
    for (int row = threadIdx.x / 32; row < seen; row += blockDim.x / 32) {
        float* to = image + (row % stride_h * each + row / stride_h) * pitch;
#pragma unroll 1
        for (int at = width * (threadIdx.x % 32); at < stride_w * part; at += width * 32) {
            bool inside = (unsigned)(row + top) < H && (unsigned)(at - left) < W;
            const float* from = x + (row + top) * W + at - left;
            if (width == 1) to[at % stride_w * part + at / stride_w] = inside ? *from : 0.f;
            else {
                float4 a = inside ? *reinterpret_cast<const float4*>(from) : make_float4(0.f, 0.f, 0.f, 0.f);
                if (stride_w == 1) store_four(to + at, a.x, a.y, a.z, a.w);
                else {
                    *reinterpret_cast<float2*>(to + at / 2) = make_float2(a.x, a.z);
                    *reinterpret_cast<float2*>(to + part + at / 2) = make_float2(a.y, a.w);
                }
            }
        }
    }
    __syncthreads();
    const Tap first(left - pad_w, stride_w), right(dilation_w, stride_w), down(dilation_h, stride_h);
    for (int pixel = 4 * threadIdx.x; pixel < rows * ow; pixel += 4 * blockDim.x) {
        const float* corner = image + pixel / ow * pitch + pixel % ow;
        float* to = columns + pixel;
        Tap y(0, stride_h);
        for (int i = 0; i < kh; i++, y.move(down, stride_h)) {
            Tap z = first;
            for (int j = 0; j < kw; j++, z.move(right, stride_w), to += pixels) {
                const int shift = z.place & 3; // in all threads alike
                const float* from = corner + (y.part * each + y.place) * pitch + z.part * part + z.place - shift;
                float4 a = *reinterpret_cast<const float4*>(from);
                if (shift) a = moved(a, *reinterpret_cast<const float4*>(from + 4), shift);
                store_four(to, a.x, a.y, a.z, a.w);
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

__device__ __forceinline__ void add(float4& sum, const float4& a) { sum.x += a.x, sum.y += a.y, sum.z += a.z, sum.w += a.w; }

// What each thread gets of its neighbour `source`, in both halves of a warp's work: `near` from the near half, but where that
// ends, at `edge`, the far half goes on.
__device__ __forceinline__ void pass(float near, float far, float& to_near, float& to_far, int lane, int edge, int source) {
    to_near = __shfl_sync(ALL, lane == edge ? far : near, source);
    to_far = __shfl_sync(ALL, far, source);
}

// v3. For filters that move by one pixel and take neighbours, if a row of the output is a multiple of four and one of the
// image even: a thread makes four neighbouring pixels, twice. What a tap adds to them lies in its row of columns, moved by
// `shift`: the whole fours of that are in the address, and what the rest, -3 to 3, moves in comes from the neighbour, who has
// loaded it. Only where he stands in another row or warp it is loaded. A warp does `fours` times four pixels, and as many
// behind them: whole rows, if it can.
extern "C" __global__ void __launch_bounds__(256) col2im_v3(
    const float* __restrict__ columns, float* __restrict__ x, int channels, int H, int W, int kh, int kw, int oh, int ow,
    int stride_h, int pad_h, int pad_w, int dilation_h, int fours) {
    const int lane = threadIdx.x % 32, warp = (blockIdx.x * blockDim.x + threadIdx.x) / 32 * 2, each = (W + 3) / 4; // for two
    if (warp * fours >= H * each) return; // a whole warp; of the others everyone stays, as shuffles need them all
    const int before = lane == 0 ? fours - 1 : lane - 1, after = lane + 1 < fours ? lane + 1 : 0;
    size_t plane = (size_t)blockIdx.z * channels + blockIdx.y;
    columns += plane * kh * kw * oh * ow, x += plane * H * W;
    int top[2], left[2];
    bool first[2], last[2];
    float4 sum[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
        int four = (warp + half) * fours + lane;
        top[half] = lane < fours ? four / each : H, left[half] = 4 * (four % each);
        first[half] = left[half] == 0 || (half == 0 && lane == 0);
        last[half] = left[half] + 4 >= W || (half == 1 && lane == fours - 1);
        sum[half] = make_float4(0.f, 0.f, 0.f, 0.f);
    }
    for (int i = 0; i < kh; i++) {
        const float* row[2];
        int end[2];
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int down = top[half] + pad_h - i * dilation_h, y = down / stride_h;
            end[half] = top[half] < H && down >= 0 && y * stride_h == down && y < oh ? ow : 0;
            row[half] = columns + (i * kw * oh + y) * ow;
        }
        for (int j = 0; j < kw; j++) {
            const int shift = pad_w - j, rest = shift % 4, whole = shift - rest;
            float4 a[2], b[2], c[2];
#pragma unroll
            for (int half = 0; half < 2; half++) {
                int from = left[half] + whole;
                a[half] = load_four(row[half], from, end[half]);
                c[half] = make_float4(0.f, 0.f, 0.f, 0.f);
                if (rest > 0 && last[half] && from + 4 < end[half]) c[half] = *reinterpret_cast<const float4*>(row[half] + from + 4);
                if (rest < 0 && half == 0 && lane == 0) c[half] = load_four(row[half], from - 4, end[half]);
                row[half] += oh * ow;
            }
            if (rest > 0) { // in all threads alike
                pass(a[0].x, a[1].x, b[0].x, b[1].x, lane, 0, after);
                if (rest > 1) pass(a[0].y, a[1].y, b[0].y, b[1].y, lane, 0, after);
                if (rest > 2) pass(a[0].z, a[1].z, b[0].z, b[1].z, lane, 0, after);
            } else if (rest < 0) {
                pass(a[1].w, a[0].w, b[1].w, b[0].w, lane, fours - 1, before);
                if (rest < -1) pass(a[1].z, a[0].z, b[1].z, b[0].z, lane, fours - 1, before);
                if (rest < -2) pass(a[1].y, a[0].y, b[1].y, b[0].y, lane, fours - 1, before);
            }
#pragma unroll
            for (int half = 0; half < 2; half++) {
                if (rest > 0) a[half] = moved(a[half], last[half] ? c[half] : b[half], rest);
                if (rest < 0) a[half] = moved(first[half] ? c[half] : b[half], a[half], 4 + rest);
                add(sum[half], a[half]);
            }
        }
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
        if (top[half] >= H) continue;
        float* to = x + top[half] * W + left[half];
        if (W % 4 == 0) store_four(to, sum[half].x, sum[half].y, sum[half].z, sum[half].w);
        else {
            *reinterpret_cast<float2*>(to) = make_float2(sum[half].x, sum[half].y);
            if (left[half] + 2 < W) *reinterpret_cast<float2*>(to + 2) = make_float2(sum[half].z, sum[half].w);
        }
    }
}

__device__ __forceinline__ void swap(float& low, float& high, bool right) { // the right one's low against the left one's high
    float got = __shfl_xor_sync(ALL, right ? low : high, 1);
    if (right) low = got; else high = got;
}

// v3 for filters that move by two columns, if a row of the image is a multiple of eight: a thread makes eight neighbouring
// pixels. A tap adds to the even ones or to the odd ones, and what it adds to four of these are neighbours, as above. Rows
// that the same taps see are `stride_h` apart, and are done together.
extern "C" __global__ void __launch_bounds__(256) col2im_v3_by_two(
    const float* __restrict__ columns, float* __restrict__ x, int channels, int H, int W, int kh, int kw, int oh, int ow,
    int stride_h, int pad_h, int pad_w, int dilation_h, int fours) {
    const int lane = threadIdx.x % 32, warp = (blockIdx.x * blockDim.x + threadIdx.x) / 32, each = W / 8;
    const int alike = (H + stride_h - 1) / stride_h; // rows that the same taps see, of which there are `stride_h` groups
    if (warp * fours >= alike * stride_h * each) return; // a whole warp
    const int number = warp * fours + lane, place_of_row = number / each, left = 4 * (number % each);
    const int top = place_of_row % alike * stride_h + place_of_row / alike;
    const bool mine = lane < fours && top < H && place_of_row < alike * stride_h;
    const bool first = lane == 0 || left == 0, last = lane == fours - 1 || left + 4 >= W / 2;
    size_t plane = (size_t)blockIdx.z * channels + blockIdx.y;
    columns += plane * kh * kw * oh * ow, x += plane * H * W;
    float4 evens = make_float4(0.f, 0.f, 0.f, 0.f), odds = evens;
    for (int i = 0; i < kh; i++) {
        int down = top + pad_h - i * dilation_h, y = down / stride_h;
        const int end = mine && down >= 0 && y * stride_h == down && y < oh ? ow : 0;
        for (int j = 0; j < kw; j++) {
            const int odd = (j + pad_w) & 1, shift = (odd + pad_w - j) / 2, rest = shift % 4, from = left + shift - rest;
            const float* row = columns + ((i * kw + j) * oh + y) * ow;
            float4 a = load_four(row, from, end), b = make_float4(0.f, 0.f, 0.f, 0.f), c = b;
            if (rest > 0) { // in all threads alike
                if (last && from + 4 < end) c = *reinterpret_cast<const float4*>(row + from + 4);
                b.x = __shfl_down_sync(ALL, a.x, 1);
                if (rest > 1) b.y = __shfl_down_sync(ALL, a.y, 1);
                if (rest > 2) b.z = __shfl_down_sync(ALL, a.z, 1);
                a = moved(a, last ? c : b, rest);
            } else if (rest < 0) {
                if (first) c = load_four(row, from - 4, end);
                b.w = __shfl_up_sync(ALL, a.w, 1);
                if (rest < -1) b.z = __shfl_up_sync(ALL, a.z, 1);
                if (rest < -2) b.y = __shfl_up_sync(ALL, a.y, 1);
                a = moved(first ? c : b, a, 4 + rest);
            }
            if (odd) add(odds, a);
            else add(evens, a);
        }
    }
    // Two neighbours store together what one of them has, and then what the other has: whole sectors.
    const bool right = lane & 1;
    const int place = mine ? top * W / 4 + left / 2 : -1, other = __shfl_xor_sync(ALL, place, 1); // counted in fours
    const int one = right ? other + 1 : place, two = right ? place + 1 : other;
    float4 low = make_float4(evens.x, odds.x, evens.y, odds.y), high = make_float4(evens.z, odds.z, evens.w, odds.w);
    swap(low.x, high.x, right), swap(low.y, high.y, right), swap(low.z, high.z, right), swap(low.w, high.w, right);
    float4* const fours_of_x = reinterpret_cast<float4*>(x);
    if ((right ? other : place) >= 0) fours_of_x[one] = low;
    if ((right ? place : other) >= 0) fours_of_x[two] = high;
}
