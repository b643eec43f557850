// 8-bit floats of 4 bits of exponent and 3 of mantissa, E4M3 as OCP's "8-bit Floating Point Specification" has it: no
// infinity, 448 the largest, one NaN a sign. Narrowing rounds to nearest, ties to even, and stays finite.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

namespace redraft {

constexpr float kE4m3Max = 448;

inline float e4m3_to_f32(uint8_t bits) {
  const int exponent = bits >> 3 & 15, mantissa = bits & 7;
  if (exponent == 15 && mantissa == 7) return std::bit_cast<float>(0x7fc00000u);
  const float value = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                                    : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  return bits & 0x80 ? -value : value;
}

inline uint8_t f32_to_e4m3(float value) {
  const uint8_t sign = std::signbit(value) ? 0x80 : 0;
  if (std::isnan(value)) return static_cast<uint8_t>(sign | 0x7f);
  const float magnitude = std::fmin(std::fabs(value), kE4m3Max);
  int exponent = 0;
  std::frexp(magnitude, &exponent);                                  // magnitude < 2^exponent
  const int unit = std::max(exponent - 4, -9);                       // Of the last bit kept.
  const float steps = std::nearbyint(std::ldexp(magnitude, -unit));  // 0 .. 16; 16 carries into the next exponent.
  const int count = static_cast<int>(steps);
  if (count < 8) return static_cast<uint8_t>(sign | count);  // Subnormal: unit is 2^-9.
  return static_cast<uint8_t>(sign | (((unit + 9 + count / 16) << 3) + 8 + (count == 16 ? 0 : count - 8)));
}

}  // namespace redraft
