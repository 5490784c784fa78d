// What arithmetic on integers and on floating point numbers share. Results are those of the PTX ISA manual, for every input.
#pragma once
#include <algorithm>
#include <limits>
#include <type_traits>

#include "machine.h"

#define OPERATION(NAME, ARGUMENTS, RESULT) \
  struct NAME { template <class T> inline T operator() ARGUMENTS const { return RESULT; } };

// Integers wrap around; the compiler may not assume that they do not.
template <class T> using Unsigned = std::make_unsigned_t<T>;
template <class T> static inline T plus(T a, T b) { if constexpr (std::is_integral_v<T>) return T(Unsigned<T>(a) + Unsigned<T>(b)); else return a + b; }
template <class T> static inline T minus(T a, T b) { if constexpr (std::is_integral_v<T>) return T(Unsigned<T>(a) - Unsigned<T>(b)); else return a - b; }
template <class T> static inline T times(T a, T b) { if constexpr (std::is_integral_v<T>) return T(uint64_t(a) * uint64_t(b)); else return a * b; }

template <class T> static inline T divided(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    if (b == 0) return T(-1);  // what the device gives, though PTX leaves it open
    if (std::is_signed_v<T> && b == T(-1)) return minus(T(0), a);
  }
  return a / b;
}

// Of a number and a NaN, the number; of the two zeros, the one with the right sign.
template <bool MAX, bool NANS, class T> static inline T extreme(T a, T b) {
  if constexpr (std::is_integral_v<T>) return MAX ? std::max(a, b) : std::min(a, b);
  else {
    if (a != a || b != b) return NANS || (a != a && b != b) ? std::numeric_limits<T>::quiet_NaN() : a != a ? b : a;
    if (a == b) return std::signbit(a) == MAX ? b : a;
    return (a < b) == MAX ? b : a;
  }
}

OPERATION(Same, (T a), a)
OPERATION(Plus, (T a, T b), plus(a, b))
OPERATION(Minus, (T a, T b), minus(a, b))
OPERATION(Times, (T a, T b), times(a, b))
OPERATION(Divided, (T a, T b), divided(a, b))
OPERATION(Least, (T a, T b), (extreme<false, false>(a, b)))
OPERATION(Most, (T a, T b), (extreme<true, false>(a, b)))
OPERATION(Negative, (T a), (std::is_integral_v<T> ? minus(T(0), a) : T(-a)))
OPERATION(Absolute, (T a), (std::is_integral_v<T> ? (a < 0 ? minus(T(0), a) : a) : T(std::fabs(a))))

#define COMPARE(NAME, EXPRESSION) \
  struct NAME { template <class T> inline bool operator()(T a, T b) const { return EXPRESSION; } };
COMPARE(Eq, a == b) COMPARE(Ne, a < b || a > b) COMPARE(Lt, a < b) COMPARE(Le, a <= b) COMPARE(Gt, a > b) COMPARE(Ge, a >= b)
COMPARE(Equ, !(a < b || a > b)) COMPARE(Neu, a != b) COMPARE(Ltu, !(a >= b)) COMPARE(Leu, !(a > b)) COMPARE(Gtu, !(a <= b)) COMPARE(Geu, !(a < b))
COMPARE(Num, a == a && b == b) COMPARE(Nan, a != a || b != b)

template <class F, class T> static void compare(Warp& w, const Instruction& i) {
  each<uint32_t, T, T>(w, i, [](T a, T b) { return uint32_t(F{}(a, b)); });
}

template <class F, class T> static void one(Warp& w, const Instruction& i) { each<T, T>(w, i, F{}); }
template <class F, class T> static void two(Warp& w, const Instruction& i) { each<T, T, T>(w, i, F{}); }
template <class F, class T> static void three(Warp& w, const Instruction& i) { each<T, T, T, T>(w, i, F{}); }

#define SIGNED_AND_UNSIGNED(NAME, SHAPE, F) \
  {NAME ".u16", SHAPE<F, uint16_t>}, {NAME ".s16", SHAPE<F, int16_t>}, {NAME ".u32", SHAPE<F, uint32_t>}, \
  {NAME ".s32", SHAPE<F, int32_t>}, {NAME ".u64", SHAPE<F, uint64_t>}, {NAME ".s64", SHAPE<F, int64_t>}
#define BITWISE(NAME, SHAPE, F) \
  {NAME ".b16", SHAPE<F, uint16_t>}, {NAME ".b32", SHAPE<F, uint32_t>}, {NAME ".b64", SHAPE<F, uint64_t>}
#define FLOATING(NAME, SHAPE, F) \
  {NAME ".f32", SHAPE<F, float>}, {NAME ".f64", SHAPE<F, double>}
