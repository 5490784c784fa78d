// Integers and bits: PTX ISA, "Integer Arithmetic", "Logic and Shift", "Comparison and Selection".
#include "arithmetic.h"

template <class T> static inline T remainder_of(T a, T b) {
  if (b == 0) return a;
  if (std::is_signed_v<T> && b == T(-1)) return 0;
  return a % b;
}

template <class T> static inline T high(T a, T b) {
  using Wide = std::conditional_t<sizeof(T) == 8, std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>,
                                  std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>>;
  return T((Wide(a) * Wide(b)) >> (8 * sizeof(T)));
}

OPERATION(Remainder, (T a, T b), remainder_of(a, b))
OPERATION(High, (T a, T b), high(a, b))
OPERATION(LowProductSum, (T a, T b, T c), plus(times(a, b), c))
OPERATION(HighProductSum, (T a, T b, T c), plus(high(a, b), c))
OPERATION(Both, (T a, T b), T(a & b))
OPERATION(Either, (T a, T b), T(a | b))
OPERATION(OneOf, (T a, T b), T(a ^ b))
OPERATION(Complement, (T a), T(~a))
OPERATION(NotTrue, (T a), T(!a))
OPERATION(IsZero, (T a), T(a == 0))

static Register integers{
    SIGNED_AND_UNSIGNED("add", two, Plus), SIGNED_AND_UNSIGNED("sub", two, Minus), SIGNED_AND_UNSIGNED("mul.lo", two, Times),
    SIGNED_AND_UNSIGNED("mul.hi", two, High), SIGNED_AND_UNSIGNED("div", two, Divided), SIGNED_AND_UNSIGNED("rem", two, Remainder),
    SIGNED_AND_UNSIGNED("min", two, Least), SIGNED_AND_UNSIGNED("max", two, Most), SIGNED_AND_UNSIGNED("mad.lo", three, LowProductSum),
    SIGNED_AND_UNSIGNED("mad.hi", three, HighProductSum), SIGNED_AND_UNSIGNED("neg", one, Negative), SIGNED_AND_UNSIGNED("abs", one, Absolute),
};
static Register bitwise{
    BITWISE("and", two, Both), BITWISE("or", two, Either), BITWISE("xor", two, OneOf), BITWISE("not", one, Complement),
    BITWISE("cnot", one, IsZero), BITWISE("mov", one, Same),
    {"and.pred", two<Both, uint32_t>}, {"or.pred", two<Either, uint32_t>}, {"xor.pred", two<OneOf, uint32_t>},
    {"not.pred", one<NotTrue, uint32_t>}, {"mov.pred", one<Same, uint32_t>},
};
// ------------------------------------------------------------------------------------------------ products of twice the width

template <class T, class W> static void mul_wide(Warp& w, const Instruction& i) {
  each<W, T, T>(w, i, [](T a, T b) { return W(a) * W(b); });
}
template <class T, class W> static void mad_wide(Warp& w, const Instruction& i) {
  each<W, T, T, W>(w, i, [](T a, T b, W c) { return plus(W(W(a) * W(b)), c); });
}

static Register wide{
    {"mul.wide.u16", mul_wide<uint16_t, uint32_t>}, {"mul.wide.s16", mul_wide<int16_t, int32_t>},
    {"mul.wide.u32", mul_wide<uint32_t, uint64_t>}, {"mul.wide.s32", mul_wide<int32_t, int64_t>},
    {"mad.wide.u16", mad_wide<uint16_t, uint32_t>}, {"mad.wide.s16", mad_wide<int16_t, int32_t>},
    {"mad.wide.u32", mad_wide<uint32_t, uint64_t>}, {"mad.wide.s32", mad_wide<int32_t, int64_t>},
};

// ------------------------------------------------------------------------------------------------ comparisons and choices

static Register comparisons{
    SIGNED_AND_UNSIGNED("setp.eq", compare, Eq), SIGNED_AND_UNSIGNED("setp.ne", compare, Neu), SIGNED_AND_UNSIGNED("setp.lt", compare, Lt),
    SIGNED_AND_UNSIGNED("setp.le", compare, Le), SIGNED_AND_UNSIGNED("setp.gt", compare, Gt), SIGNED_AND_UNSIGNED("setp.ge", compare, Ge),
};

template <class T> static void select(Warp& w, const Instruction& i) {
  each<T, T, T, uint32_t>(w, i, [](T a, T b, uint32_t p) { return p ? a : b; });
}

static Register choices{{"selp.b16", select<uint16_t>}, {"selp.b32", select<uint32_t>}, {"selp.b64", select<uint64_t>}};

