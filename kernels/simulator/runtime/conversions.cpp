// Conversions between all types, and arithmetic on half-precision numbers: PTX ISA, "cvt" and "Half Precision".
#include <cfenv>
#include <limits>

#include "arithmetic.h"
#include "half.h"

// ------------------------------------------------------------------------------------------------ integers

template <class D, class S> static void widen(Warp& w, const Instruction& i) {
  each<D, S>(w, i, [](S a) { return D(a); });
}
template <class D, class S> static void clamp(Warp& w, const Instruction& i) {
  each<D, S>(w, i, [](S a) {
    const __int128 x = a, low = std::numeric_limits<D>::min(), high = std::numeric_limits<D>::max();
    return D(x < low ? low : x > high ? high : x);
  });
}

#define TO(NAME, D, F, PREFIX) \
  {PREFIX NAME ".u8", F<D, uint8_t>}, {PREFIX NAME ".s8", F<D, int8_t>}, {PREFIX NAME ".u16", F<D, uint16_t>}, \
  {PREFIX NAME ".s16", F<D, int16_t>}, {PREFIX NAME ".u32", F<D, uint32_t>}, {PREFIX NAME ".s32", F<D, int32_t>}, \
  {PREFIX NAME ".u64", F<D, uint64_t>}, {PREFIX NAME ".s64", F<D, int64_t>}
#define TO_ALL(F, PREFIX) \
  TO("u8", uint8_t, F, PREFIX), TO("s8", int8_t, F, PREFIX), TO("u16", uint16_t, F, PREFIX), TO("s16", int16_t, F, PREFIX), \
  TO("u32", uint32_t, F, PREFIX), TO("s32", int32_t, F, PREFIX), TO("u64", uint64_t, F, PREFIX), TO("s64", int64_t, F, PREFIX)

static Register between_integers{TO_ALL(widen, "cvt."), TO_ALL(clamp, "cvt.sat.")};

// ------------------------------------------------------------------------------------------------ to and from integers

template <int ROUNDING> struct Rounding {
  Rounding() { std::fesetround(ROUNDING); }
  ~Rounding() { std::fesetround(FE_TONEAREST); }
};

// Out of range stops at the end of the range. NaN is 0, but of or to 64 bits the number whose highest bit alone is set.
template <class D, class S> static inline D to_integer(S x) {
  constexpr bool wide = sizeof(D) == 8 || sizeof(S) == 8;
  if (x != x) return wide ? D(uint64_t(1) << (8 * sizeof(D) - 1)) : D(0);
  constexpr D low = std::numeric_limits<D>::min(), high = std::numeric_limits<D>::max();
  if (x <= S(low)) return low;
  if (x >= S(high)) return high;
  return D(x);
}
template <int MODE, class T> static inline T integral(T x) {
  return MODE == FE_TONEAREST ? std::nearbyint(x) : MODE == FE_DOWNWARD ? std::floor(x) : MODE == FE_UPWARD ? std::ceil(x) : std::trunc(x);
}
template <int MODE, class D, class S> static void from_float(Warp& w, const Instruction& i) {
  each<D, S>(w, i, [](S a) { return to_integer<D, S>(integral<MODE>(a)); });
}
template <int MODE, class T> static void integral_all(Warp& w, const Instruction& i) { each<T, T>(w, i, integral<MODE, T>); }
template <int MODE, class D, class S> static void to_float(Warp& w, const Instruction& i) {
  const Rounding<MODE> rounding;
  each<D, S>(w, i, [](S a) { return D(a); });
}

#define FROM_FLOAT(R, MODE, S, NAME) \
  {"cvt." R ".u8." NAME, from_float<MODE, uint8_t, S>}, {"cvt." R ".s8." NAME, from_float<MODE, int8_t, S>}, \
  {"cvt." R ".u16." NAME, from_float<MODE, uint16_t, S>}, {"cvt." R ".s16." NAME, from_float<MODE, int16_t, S>}, \
  {"cvt." R ".u32." NAME, from_float<MODE, uint32_t, S>}, {"cvt." R ".s32." NAME, from_float<MODE, int32_t, S>}, \
  {"cvt." R ".u64." NAME, from_float<MODE, uint64_t, S>}, {"cvt." R ".s64." NAME, from_float<MODE, int64_t, S>}, \
  {"cvt." R "." NAME "." NAME, integral_all<MODE, S>}
#define TO_FLOAT(R, MODE, D, NAME) \
  {"cvt." R "." NAME ".u8", to_float<MODE, D, uint8_t>}, {"cvt." R "." NAME ".s8", to_float<MODE, D, int8_t>}, \
  {"cvt." R "." NAME ".u16", to_float<MODE, D, uint16_t>}, {"cvt." R "." NAME ".s16", to_float<MODE, D, int16_t>}, \
  {"cvt." R "." NAME ".u32", to_float<MODE, D, uint32_t>}, {"cvt." R "." NAME ".s32", to_float<MODE, D, int32_t>}, \
  {"cvt." R "." NAME ".u64", to_float<MODE, D, uint64_t>}, {"cvt." R "." NAME ".s64", to_float<MODE, D, int64_t>}

static Register float_to_integer{
    FROM_FLOAT("rni", FE_TONEAREST, float, "f32"), FROM_FLOAT("rzi", FE_TOWARDZERO, float, "f32"), FROM_FLOAT("rmi", FE_DOWNWARD, float, "f32"),
    FROM_FLOAT("rpi", FE_UPWARD, float, "f32"), FROM_FLOAT("rni", FE_TONEAREST, double, "f64"), FROM_FLOAT("rzi", FE_TOWARDZERO, double, "f64"),
    FROM_FLOAT("rmi", FE_DOWNWARD, double, "f64"), FROM_FLOAT("rpi", FE_UPWARD, double, "f64"),
};
static Register integer_to_float{
    TO_FLOAT("rn", FE_TONEAREST, float, "f32"), TO_FLOAT("rz", FE_TOWARDZERO, float, "f32"), TO_FLOAT("rm", FE_DOWNWARD, float, "f32"),
    TO_FLOAT("rp", FE_UPWARD, float, "f32"), TO_FLOAT("rn", FE_TONEAREST, double, "f64"),
};

// ------------------------------------------------------------------------------------------------ between floats

static void tf32(Warp& w, const Instruction& i) {  // 10 bits of mantissa, ties away from zero
  each<uint32_t, uint32_t>(w, i, [](uint32_t a) { return (a & 0x7fffffff) >= 0x7f800000 ? a : (a + 0x1000) & 0xffffe000; });
}
static void tf32_even(Warp& w, const Instruction& i) {
  each<uint32_t, uint32_t>(w, i, [](uint32_t a) { return (a & 0x7fffffff) >= 0x7f800000 ? a : (a + 0xfff + (a >> 13 & 1)) & 0xffffe000; });
}

template <class H, class S> static void to_half(Warp& w, const Instruction& i) {
  each<uint16_t, S>(w, i, [](S a) { return H::from(double(a)); });
}
template <class H, class D> static void from_half(Warp& w, const Instruction& i) {
  each<D, uint16_t>(w, i, [](uint16_t a) { return D(H::value(a)); });
}
template <class H, class D> static void half_to_integer(Warp& w, const Instruction& i) {
  each<D, uint16_t>(w, i, [](uint16_t a) { return to_integer<D, float>(std::trunc(H::value(a))); });
}
template <class H> static void to_pair(Warp& w, const Instruction& i) {  // the first operand is the upper half
  each<uint32_t, float, float>(w, i, [](float a, float b) { return uint32_t(H::from(a)) << 16 | H::from(b); });
}

static Register between_floats{
    {"cvt.f64.f32", widen<double, float>}, {"cvt.rn.f32.f64", to_float<FE_TONEAREST, float, double>},
    {"cvt.rz.f32.f64", to_float<FE_TOWARDZERO, float, double>}, {"cvt.rm.f32.f64", to_float<FE_DOWNWARD, float, double>},
    {"cvt.rp.f32.f64", to_float<FE_UPWARD, float, double>}, {"cvt.f32.f32", one<Same, float>}, {"cvt.f64.f64", one<Same, double>},
    {"cvt.rna.tf32.f32", tf32}, {"cvt.rn.tf32.f32", tf32_even},
    {"cvt.rn.f16.f32", to_half<Float16, float>}, {"cvt.rn.f16.f64", to_half<Float16, double>}, {"cvt.rn.f16.s32", to_half<Float16, int32_t>},
    {"cvt.rn.f16.u32", to_half<Float16, uint32_t>}, {"cvt.rn.f16.s16", to_half<Float16, int16_t>}, {"cvt.rn.f16.u16", to_half<Float16, uint16_t>},
    {"cvt.rn.bf16.f32", to_half<BFloat16, float>}, {"cvt.f32.f16", from_half<Float16, float>}, {"cvt.f64.f16", from_half<Float16, double>},
    {"cvt.f32.bf16", from_half<BFloat16, float>}, {"cvt.rzi.s32.f16", half_to_integer<Float16, int32_t>},
    {"cvt.rzi.u32.f16", half_to_integer<Float16, uint32_t>}, {"cvt.rzi.s16.f16", half_to_integer<Float16, int16_t>},
    {"cvt.rn.f16x2.f32", to_pair<Float16>}, {"cvt.rn.bf16x2.f32", to_pair<BFloat16>},
};

// ------------------------------------------------------------------------------------------------ half precision

// In double precision a sum or product of halves is exact, so there is one rounding, as on the device.
template <class H, class F, class... S> static uint16_t once(F f, S... s) { return H::from(f(double(H::value(s))...)); }
template <class H, class F> static void half_one(Warp& w, const Instruction& i) {
  each<uint16_t, uint16_t>(w, i, [](uint16_t a) { return once<H>(F{}, a); });
}
template <class H, class F> static void half_two(Warp& w, const Instruction& i) {
  each<uint16_t, uint16_t, uint16_t>(w, i, [](uint16_t a, uint16_t b) { return once<H>(F{}, a, b); });
}
template <class H, class F> static void half_three(Warp& w, const Instruction& i) {
  each<uint16_t, uint16_t, uint16_t, uint16_t>(w, i, [](uint16_t a, uint16_t b, uint16_t c) { return once<H>(F{}, a, b, c); });
}
template <class H, class F, class... S> static uint32_t twice(S... s) {
  return uint32_t(once<H>(F{}, uint16_t(s >> 16)...)) << 16 | once<H>(F{}, uint16_t(s)...);
}
template <class H, class F> static void pair_one(Warp& w, const Instruction& i) {
  each<uint32_t, uint32_t>(w, i, [](uint32_t a) { return twice<H, F>(a); });
}
template <class H, class F> static void pair_two(Warp& w, const Instruction& i) {
  each<uint32_t, uint32_t, uint32_t>(w, i, [](uint32_t a, uint32_t b) { return twice<H, F>(a, b); });
}
template <class H, class F> static void pair_three(Warp& w, const Instruction& i) {
  each<uint32_t, uint32_t, uint32_t, uint32_t>(w, i, [](uint32_t a, uint32_t b, uint32_t c) { return twice<H, F>(a, b, c); });
}

struct FusedSum { double operator()(double a, double b, double c) const { return std::fma(a, b, c); } };
#define HALVES(T, H) \
  {"add." T, half_two<H, Plus>}, {"sub." T, half_two<H, Minus>}, {"mul." T, half_two<H, Times>}, {"fma." T, half_three<H, FusedSum>}, \
  {"min." T, half_two<H, Least>}, {"max." T, half_two<H, Most>}, {"neg." T, half_one<H, Negative>}, {"abs." T, half_one<H, Absolute>}, \
  {"add." T "x2", pair_two<H, Plus>}, {"sub." T "x2", pair_two<H, Minus>}, {"mul." T "x2", pair_two<H, Times>}, \
  {"fma." T "x2", pair_three<H, FusedSum>}, {"min." T "x2", pair_two<H, Least>}, {"max." T "x2", pair_two<H, Most>}, \
  {"neg." T "x2", pair_one<H, Negative>}, {"abs." T "x2", pair_one<H, Absolute>}

static Register halves{HALVES("f16", Float16), HALVES("bf16", BFloat16)};

template <class H, class F> static void half_compare(Warp& w, const Instruction& i) {
  each<uint32_t, uint16_t, uint16_t>(w, i, [](uint16_t a, uint16_t b) { return uint32_t(F{}(H::value(a), H::value(b))); });
}
#define HALF_COMPARISONS(T, H) \
  {"setp.eq." T, half_compare<H, Eq>}, {"setp.ne." T, half_compare<H, Ne>}, {"setp.lt." T, half_compare<H, Lt>}, \
  {"setp.le." T, half_compare<H, Le>}, {"setp.gt." T, half_compare<H, Gt>}, {"setp.ge." T, half_compare<H, Ge>}, \
  {"setp.neu." T, half_compare<H, Neu>}, {"setp.nan." T, half_compare<H, Nan>}

static Register half_comparisons{HALF_COMPARISONS("f16", Float16), HALF_COMPARISONS("bf16", BFloat16)};
