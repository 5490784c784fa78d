// Shifts, fields, permutations and parts of registers: PTX ISA, "Logic and Shift", "Integer Arithmetic", "Data Movement".
#include "arithmetic.h"

// ------------------------------------------------------------------------------------------------ shifts and bits

// Shift amounts are unsigned and stop at the width, so that a negative one is a large one.
template <class T> static void shl(Warp& w, const Instruction& i) {
  each<T, T, uint32_t>(w, i, [](T a, uint32_t n) { return n >= 8 * sizeof(T) ? T(0) : T(uint64_t(a) << n); });
}
template <class T> static void shr(Warp& w, const Instruction& i) {
  constexpr uint32_t width = 8 * sizeof(T);
  each<T, T, uint32_t>(w, i, [](T a, uint32_t n) { return n < width ? T(a >> n) : std::is_signed_v<T> ? T(a >> (width - 1)) : T(0); });
}

template <bool LEFT, bool WRAP> static void funnel(Warp& w, const Instruction& i) {
  each<uint32_t, uint32_t, uint32_t, uint32_t>(w, i, [](uint32_t low, uint32_t high, uint32_t n) {
    n = WRAP ? n & 31 : std::min(n, 32u);
    const uint64_t both = uint64_t(high) << 32 | low;
    return LEFT ? uint32_t(both << n >> 32) : uint32_t(both >> n);
  });
}

// Positions and lengths count only in their lowest 8 bits; bits beyond the word are the sign's.
template <class T> static inline T extract(T a, uint32_t position, uint32_t length) {
  constexpr uint32_t width = 8 * sizeof(T);
  position &= 255, length &= 255;
  if (!length) return 0;
  const bool negative = std::is_signed_v<T> && (Unsigned<T>(a) >> std::min(position + length - 1, width - 1) & 1);
  const Unsigned<T> field = position < width ? Unsigned<T>(a) >> position : 0;
  const uint32_t kept = position < width ? std::min(length, width - position) : 0;
  const Unsigned<T> mask = kept >= width ? ~Unsigned<T>(0) : (Unsigned<T>(1) << kept) - 1;
  return T((field & mask) | (negative ? Unsigned<T>(~mask) : 0));
}
template <class T> static void bfe(Warp& w, const Instruction& i) { each<T, T, uint32_t, uint32_t>(w, i, extract<T>); }

template <class T> static void bfi(Warp& w, const Instruction& i) {
  each<T, T, T, uint32_t, uint32_t>(w, i, [](T a, T b, uint32_t position, uint32_t length) {
    constexpr uint32_t width = 8 * sizeof(T);
    position &= 255, length &= 255;
    if (!length || position >= width) return b;
    const T mask = (length >= width ? ~T(0) : (T(1) << length) - 1) << position;
    return T((a << position & mask) | (b & ~mask));
  });
}

template <class T> static inline T reversed(T a) {
  T r = 0;
  for (size_t k = 0; k < 8 * sizeof(T); k++) r |= (a >> k & 1) << (8 * sizeof(T) - 1 - k);
  return r;
}
template <class T> static void brev(Warp& w, const Instruction& i) { each<T, T>(w, i, reversed<T>); }
template <class T> static void popc(Warp& w, const Instruction& i) { each<uint32_t, T>(w, i, [](T a) { return uint32_t(__builtin_popcountll(a)); }); }
template <class T> static void clz(Warp& w, const Instruction& i) {
  each<uint32_t, T>(w, i, [](T a) { return a ? uint32_t(__builtin_clzll(a)) - (64 - 8 * uint32_t(sizeof(T))) : 8 * uint32_t(sizeof(T)); });
}
// The highest bit that differs from the sign, counted from below or, with SHIFT, from above; all ones if there is none.
template <class T, bool SHIFT> static void bfind(Warp& w, const Instruction& i) {
  each<uint32_t, T>(w, i, [](T a) {
    const uint64_t bits = Unsigned<T>(a < 0 ? ~a : a);
    if (!bits) return ~0u;
    const uint32_t k = 63 - __builtin_clzll(bits);
    return SHIFT ? 8 * uint32_t(sizeof(T)) - 1 - k : k;
  });
}

static void lop3(Warp& w, const Instruction& i) {  // any function of three bits, as its table of eight
  each<uint32_t, uint32_t, uint32_t, uint32_t, uint32_t>(w, i, [](uint32_t a, uint32_t b, uint32_t c, uint32_t table) {
    uint32_t r = 0;
    for (int k = 0; k < 8; k++)
      if (table >> k & 1) r |= (k & 4 ? a : ~a) & (k & 2 ? b : ~b) & (k & 1 ? c : ~c);
    return r;
  });
}

static void prmt(Warp& w, const Instruction& i) {  // each byte of the result is one of eight; the selector's fourth bit spreads its sign
  each<uint32_t, uint32_t, uint32_t, uint32_t>(w, i, [](uint32_t a, uint32_t b, uint32_t selector) {
    const uint64_t both = uint64_t(b) << 32 | a;
    uint32_t r = 0;
    for (int k = 0; k < 4; k++) {
      const uint32_t s = selector >> (4 * k), byte = both >> (8 * (s & 7)) & 255;
      r |= (s & 8 ? (byte & 128 ? 255 : 0) : byte) << (8 * k);
    }
    return r;
  });
}

static Register shifts{
    {"shl.b16", shl<uint16_t>}, {"shl.b32", shl<uint32_t>}, {"shl.b64", shl<uint64_t>}, {"shr.b16", shr<uint16_t>}, {"shr.b32", shr<uint32_t>},
    {"shr.b64", shr<uint64_t>}, {"shr.u16", shr<uint16_t>}, {"shr.u32", shr<uint32_t>}, {"shr.u64", shr<uint64_t>}, {"shr.s16", shr<int16_t>},
    {"shr.s32", shr<int32_t>}, {"shr.s64", shr<int64_t>}, {"shf.l.wrap.b32", funnel<true, true>}, {"shf.l.clamp.b32", funnel<true, false>},
    {"shf.r.wrap.b32", funnel<false, true>}, {"shf.r.clamp.b32", funnel<false, false>}, {"bfe.u32", bfe<uint32_t>}, {"bfe.s32", bfe<int32_t>},
    {"bfe.u64", bfe<uint64_t>}, {"bfe.s64", bfe<int64_t>}, {"bfi.b32", bfi<uint32_t>}, {"bfi.b64", bfi<uint64_t>}, {"brev.b32", brev<uint32_t>},
    {"brev.b64", brev<uint64_t>}, {"popc.b32", popc<uint32_t>}, {"popc.b64", popc<uint64_t>}, {"clz.b32", clz<uint32_t>}, {"clz.b64", clz<uint64_t>},
    {"bfind.u32", bfind<uint32_t, false>}, {"bfind.s32", bfind<int32_t, false>}, {"bfind.u64", bfind<uint64_t, false>},
    {"bfind.s64", bfind<int64_t, false>}, {"bfind.shiftamt.u32", bfind<uint32_t, true>}, {"bfind.shiftamt.s32", bfind<int32_t, true>},
    {"bfind.shiftamt.u64", bfind<uint64_t, true>}, {"bfind.shiftamt.s64", bfind<int64_t, true>}, {"lop3.b32", lop3}, {"prmt.b32", prmt},
};

// ------------------------------------------------------------------------------------------------ parts of a register

template <class W, class P> static void pack(Warp& w, const Instruction& i) {
  constexpr int N = sizeof(W) / sizeof(P);
  W* d = w.reg<W>(i.r[0]);
  for (int l = 0; l < LANES; l++)
    if (w.active >> l & 1) {
      P parts[N];
      for (int k = 0; k < N; k++) parts[k] = w.reg<P>(i.r[k + 1])[l];
      memcpy(&d[l], parts, sizeof(W));
    }
}
template <class W, class P> static void unpack(Warp& w, const Instruction& i) {
  constexpr int N = sizeof(W) / sizeof(P);
  const W* s = w.reg<W>(i.r[N]);
  for (int l = 0; l < LANES; l++)
    if (w.active >> l & 1) {
      P parts[N];
      memcpy(parts, &s[l], sizeof(W));
      for (int k = 0; k < N; k++) w.reg<P>(i.r[k])[l] = parts[k];
    }
}

static Register parts{
    {"pack.b64.b32", pack<uint64_t, uint32_t>}, {"pack.b64.b16", pack<uint64_t, uint16_t>}, {"pack.b32.b16", pack<uint32_t, uint16_t>},
    {"unpack.b64.b32", unpack<uint64_t, uint32_t>}, {"unpack.b64.b16", unpack<uint64_t, uint16_t>},
    {"unpack.b32.b16", unpack<uint32_t, uint16_t>},
};
