// Floating point: PTX ISA, "Floating-Point Instructions". Approximations are computed as exactly as the host can.
#include <cfenv>

#include "arithmetic.h"

// Subnormal numbers become zeros of the same sign, as `.ftz` asks.
static inline float flush(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  const uint32_t kept = bits & 0x7f800000 ? bits : bits & 0x80000000;
  memcpy(&x, &kept, 4);
  return x;
}

OPERATION(LeastOrNan, (T a, T b), (extreme<false, true>(a, b)))
OPERATION(MostOrNan, (T a, T b), (extreme<true, true>(a, b)))
OPERATION(Fused, (T a, T b, T c), std::fma(a, b, c))
OPERATION(SignOfFirst, (T a, T b), T(std::copysign(b, a)))
OPERATION(Saturated, (T a), (a > 0 ? std::min(a, T(1)) : T(0)))
OPERATION(Root, (T a), std::sqrt(a))
OPERATION(Reciprocal, (T a), T(1) / a)
OPERATION(ReciprocalRoot, (T a), T(1) / std::sqrt(a))
OPERATION(PowerOfTwo, (T a), std::exp2(a))
OPERATION(LogarithmToTwo, (T a), std::log2(a))
OPERATION(Sine, (T a), std::sin(a))
OPERATION(Cosine, (T a), std::cos(a))
OPERATION(Tangent, (T a), std::tanh(a))
struct Flushed { inline float operator()(float a) const { return flush(a); } };

// The other roundings: the processor can do them if it is told to before the loop and told back after it.
template <int ROUNDING, Handler F> static void rounded(Warp& w, const Instruction& i) {
  std::fesetround(ROUNDING);
  F(w, i);
  std::fesetround(FE_TONEAREST);
}

#define ROUNDED(NAME, SHAPE, F) \
  {NAME ".rm.f32", rounded<FE_DOWNWARD, SHAPE<F, float>>}, {NAME ".rp.f32", rounded<FE_UPWARD, SHAPE<F, float>>}, \
  {NAME ".rz.f32", rounded<FE_TOWARDZERO, SHAPE<F, float>>}, \
  {NAME ".rm.f64", rounded<FE_DOWNWARD, SHAPE<F, double>>}, {NAME ".rp.f64", rounded<FE_UPWARD, SHAPE<F, double>>}, \
  {NAME ".rz.f64", rounded<FE_TOWARDZERO, SHAPE<F, double>>}

static Register floats{
    FLOATING("add", two, Plus), FLOATING("sub", two, Minus), FLOATING("mul", two, Times), FLOATING("fma", three, Fused),
    FLOATING("div", two, Divided), FLOATING("min", two, Least), FLOATING("max", two, Most), FLOATING("sqrt", one, Root),
    FLOATING("rcp", one, Reciprocal), FLOATING("rsqrt", one, ReciprocalRoot), FLOATING("neg", one, Negative), FLOATING("abs", one, Absolute),
    ROUNDED("add", two, Plus), ROUNDED("sub", two, Minus), ROUNDED("mul", two, Times), ROUNDED("fma", three, Fused),
    ROUNDED("div", two, Divided), ROUNDED("sqrt", one, Root), ROUNDED("rcp", one, Reciprocal),
    {"min.NaN.f32", two<LeastOrNan, float>}, {"max.NaN.f32", two<MostOrNan, float>},
    {"flush.f32", one<Flushed, float>}, {"copysign.f32", two<SignOfFirst, float>}, {"copysign.f64", two<SignOfFirst, double>},
    {"sat.f32", one<Saturated, float>}, {"sat.f64", one<Saturated, double>},
    {"ex2.f32", one<PowerOfTwo, float>}, {"lg2.f32", one<LogarithmToTwo, float>},
    {"sin.f32", one<Sine, float>},
    {"cos.f32", one<Cosine, float>}, {"tanh.f32", one<Tangent, float>},
};

static Register comparisons{
    FLOATING("setp.eq", compare, Eq), FLOATING("setp.ne", compare, Ne), FLOATING("setp.lt", compare, Lt), FLOATING("setp.le", compare, Le),
    FLOATING("setp.gt", compare, Gt), FLOATING("setp.ge", compare, Ge), FLOATING("setp.equ", compare, Equ), FLOATING("setp.neu", compare, Neu),
    FLOATING("setp.ltu", compare, Ltu), FLOATING("setp.leu", compare, Leu), FLOATING("setp.gtu", compare, Gtu), FLOATING("setp.geu", compare, Geu),
    FLOATING("setp.num", compare, Num), FLOATING("setp.nan", compare, Nan),
};
