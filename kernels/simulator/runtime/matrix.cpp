// Tensor cores: PTX ISA, "Warp-Level Matrix Instructions". D = A B + C, each matrix spread over the registers of 32 lanes.
//
// With g = lane / 4 and t = lane % 4, the manual's figures say where the elements are (P to a register of 32 bits: 1 for
// tf32, 2 for half precision): register k of A holds row g + 8 (k % 2) and columns P (t + 4 (k / 2)) ...; register k of B
// holds rows P (t + 4 k) ... of column g; register k of C and D holds row g + 8 (k / 2), column 2 t + k % 2.
#include <algorithm>

#include "half.h"
#include "memory.h"

struct Tf32 {
  static constexpr int PER_REGISTER = 1;
  static float value(uint32_t bits, int) {
    bits &= 0xffffe000;  // the rest is not looked at
    float x;
    memcpy(&x, &bits, 4);
    return x;
  }
};
template <class H> struct PairOf {
  static constexpr int PER_REGISTER = 2;
  static float value(uint32_t bits, int which) { return H::value(bits >> (16 * which)); }
};

// Products are exact, and summed in double precision before they are rounded once. The device rounds a little differently.
template <class T, int K, class ACCUMULATOR> static void multiply(Warp& w, const Instruction& i) {
  constexpr int P = T::PER_REGISTER, A_REGISTERS = K * 16 / (LANES * P), B_REGISTERS = K * 8 / (LANES * P);
  constexpr int C_REGISTERS = ACCUMULATOR::REGISTERS;
  float a[16][K], b[K][8], c[16][8];
  const uint32_t* r = i.r + C_REGISTERS;
  for (int l = 0; l < LANES; l++) {
    const int g = l / 4, t = l % 4;
    for (int p = 0; p < P; p++) {
      for (int k = 0; k < A_REGISTERS; k++) a[g + 8 * (k % 2)][P * (t + 4 * (k / 2)) + p] = T::value(w.reg<uint32_t>(r[k])[l], p);
      for (int k = 0; k < B_REGISTERS; k++) b[P * (t + 4 * k) + p][g] = T::value(w.reg<uint32_t>(r[A_REGISTERS + k])[l], p);
    }
    for (int k = 0; k < 4; k++) c[g + 8 * (k / 2)][2 * t + k % 2] = ACCUMULATOR::get(w, r + A_REGISTERS + B_REGISTERS, k, l);
  }
  for (int m = 0; m < 16; m++)
    for (int n = 0; n < 8; n++) {
      double sum = c[m][n];
      for (int k = 0; k < K; k++) sum += double(a[m][k]) * b[k][n];
      c[m][n] = float(sum);
    }
  for (int l = 0; l < LANES; l++)
    if (w.active >> l & 1)
      for (int k = 0; k < 4; k++) ACCUMULATOR::set(w, i.r, k, l, c[l / 4 + 8 * (k / 2)][2 * (l % 4) + k % 2]);
}

struct InFloat {
  static constexpr int REGISTERS = 4;
  static float get(Warp& w, const uint32_t* r, int k, int l) { return w.reg<float>(r[k])[l]; }
  static void set(Warp& w, const uint32_t* r, int k, int l, float x) { w.reg<float>(r[k])[l] = x; }
};
struct InHalf {  // two to a register
  static constexpr int REGISTERS = 2;
  static float get(Warp& w, const uint32_t* r, int k, int l) { return Float16::value(w.reg<uint16_t>(r[k / 2])[2 * l + k % 2]); }
  static void set(Warp& w, const uint32_t* r, int k, int l, float x) { w.reg<uint16_t>(r[k / 2])[2 * l + k % 2] = Float16::from(x); }
};

static Register products{
    {"mma.m16n8k4.f32.tf32.tf32.f32", multiply<Tf32, 4, InFloat>}, {"mma.m16n8k8.f32.tf32.tf32.f32", multiply<Tf32, 8, InFloat>},
    {"mma.m16n8k8.f32.f16.f16.f32", multiply<PairOf<Float16>, 8, InFloat>}, {"mma.m16n8k16.f32.f16.f16.f32", multiply<PairOf<Float16>, 16, InFloat>},
    {"mma.m16n8k8.f32.bf16.bf16.f32", multiply<PairOf<BFloat16>, 8, InFloat>}, {"mma.m16n8k16.f32.bf16.bf16.f32", multiply<PairOf<BFloat16>, 16, InFloat>},
    {"mma.m16n8k8.f16.f16.f16.f16", multiply<PairOf<Float16>, 8, InHalf>}, {"mma.m16n8k16.f16.f16.f16.f16", multiply<PairOf<Float16>, 16, InHalf>},
};

// ldmatrix: N matrices of 8 rows of 16 bytes. Lane 8 m + k says where row k of matrix m begins; lane l receives two elements
// of row l / 4 (of column l / 4, if transposed) of each.
template <int N, bool TRANSPOSED> static void load_matrices(Warp& w, const Instruction& i) {
  const uint32_t active = w.active;
  w.active &= N == 4 ? ALL : (1u << 8 * N) - 1;
  const Access a = locate(w, i, i.r[N], 16, false);
  if (w.checked) {
    count_access(w, i, a, 16);
    for (int l = 0; l < 8 * N; l++)
      if (a.lanes >> l & 1) watch_read(w, i, a, l, 16);
  }
  w.active = active;
  for (int m = 0; m < N; m++) {
    uint16_t rows[8][8];
    memset(rows, 0xFF, sizeof rows);
    for (int k = 0; k < 8; k++)
      if (a.lanes >> (8 * m + k) & 1) memcpy(rows[k], a.host[8 * m + k], 16);
    uint16_t* d = w.reg<uint16_t>(i.r[m]);
    for (int l = 0; l < LANES; l++)
      if (w.active >> l & 1)
        for (int e = 0; e < 2; e++) d[2 * l + e] = TRANSPOSED ? rows[2 * (l % 4) + e][l / 4] : rows[l / 4][2 * (l % 4) + e];
  }
}

static Register matrices{
    {"ldmatrix.x1", load_matrices<1, false>}, {"ldmatrix.x2", load_matrices<2, false>}, {"ldmatrix.x4", load_matrices<4, false>},
    {"ldmatrix.x1.trans", load_matrices<1, true>}, {"ldmatrix.x2.trans", load_matrices<2, true>}, {"ldmatrix.x4.trans", load_matrices<4, true>},
};
