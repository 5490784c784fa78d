// The two formats of 16 bits, written out so that any compiler will do.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

// MANTISSA bits after the point, exponents from 1 - BIAS to BIAS.
template <int MANTISSA, int BIAS> struct Half {
  static constexpr uint16_t INFINITE = ((2 * BIAS + 1) << MANTISSA);

  static uint16_t from(double x) {  // to nearest, ties to even
    const uint16_t sign = std::signbit(x) ? 0x8000 : 0;
    if (x != x) return 0x7fff;
    x = std::fabs(x);
    if (std::isinf(x)) return sign | INFINITE;
    const int exponent = x == 0 ? 1 - BIAS : std::max(std::ilogb(x), 1 - BIAS);
    const double units = std::nearbyint(std::ldexp(x, MANTISSA - exponent));  // of the last place; 2 << MANTISSA carries over
    const uint32_t bits = (uint32_t(exponent + BIAS - 1) << MANTISSA) + uint32_t(units);
    return sign | (bits >= INFINITE ? INFINITE : uint16_t(bits));
  }

  static float value(uint16_t bits) {
    const int exponent = bits >> MANTISSA & (2 * BIAS + 1), mantissa = bits & ((1 << MANTISSA) - 1);
    const float sign = bits & 0x8000 ? -1.0f : 1.0f;
    if (exponent == 2 * BIAS + 1) return mantissa ? NAN : sign * INFINITY;
    if (exponent == 0) return sign * std::ldexp(float(mantissa), 1 - BIAS - MANTISSA);
    return sign * std::ldexp(float(mantissa | 1 << MANTISSA), exponent - BIAS - MANTISSA);
  }
};

using Float16 = Half<10, 15>;
using BFloat16 = Half<7, 127>;
