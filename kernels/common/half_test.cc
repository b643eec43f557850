#include "half.h"

#include <cmath>
#include <limits>

#include "philox.h"
#include "test.h"
#include "test_random.h"

namespace redraft {
namespace {

// The nearest half by search over all of them in f64: slow, and plainly right.
uint16_t nearest_half(double value) {
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double magnitude = std::fabs(value);
  if (magnitude >= 65520.0) return sign | 0x7c00;  // Halfway between 65504 and 65536, whose neighbour is even.
  uint32_t low = 0, high = 0x7c00;                 // Halves of one sign are ordered as their bits are.
  while (high - low > 1) {
    const uint32_t middle = (low + high) / 2;
    (static_cast<double>(f16_to_f32(static_cast<uint16_t>(middle))) <= magnitude ? low : high) = middle;
  }
  const double below = f16_to_f32(static_cast<uint16_t>(low));
  const double above = high == 0x7c00 ? 65536.0 : f16_to_f32(static_cast<uint16_t>(high));
  const double to_low = magnitude - below, to_high = above - magnitude;
  const bool up = to_high < to_low || (to_high == to_low && (low & 1));
  return static_cast<uint16_t>(sign | (up ? high : low));
}

TEST(Half, EveryHalfSurvivesARoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float wide = f16_to_f32(half);
    if ((bits & 0x7fff) > 0x7c00) {
      EXPECT_TRUE(std::isnan(wide));
      EXPECT_EQ(f32_to_f16(wide), static_cast<uint16_t>(half | 0x0200));
    } else {
      EXPECT_EQ(f32_to_f16(wide), half);
    }
  }
}

TEST(Half, KnownValues) {
  EXPECT_EQ(f16_to_f32(0x3c00), 1.0f);
  EXPECT_EQ(f16_to_f32(0xc000), -2.0f);
  EXPECT_EQ(f16_to_f32(0x7bff), 65504.0f);
  EXPECT_EQ(f16_to_f32(0x0001), 0x1p-24f);
  EXPECT_EQ(f16_to_f32(0x03ff), 0x1.ff8p-15f);
  EXPECT_EQ(f32_to_f16(65519.996f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(0x1p-25f), 0x0000);  // A tie with zero goes to the even one.
  EXPECT_EQ(f32_to_f16(0x1.8p-24f), 0x0002);
  EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::infinity()), 0x7c00);
}

TEST(Half, NarrowingTakesTheNearest) {
  for (uint32_t i = 0; i < 20000; ++i) {
    const uint32_t noise = philox4x32_10({i, 0, 0, 0}, {1, 2})[0];
    // Exponents from 2^-28 to 2^18: under the subnormals to past the largest.
    const uint32_t exponent = 99 + noise % 47;
    const float value = std::bit_cast<float>((noise & 0x80000000u) | exponent << 23 | (noise >> 8 & 0x7fffffu));
    EXPECT_EQ(f32_to_f16(value), nearest_half(value));
  }
}

TEST(Half, BrainFloat) {
  EXPECT_EQ(bf16_to_f32(0x3f80), 1.0f);
  EXPECT_EQ(f32_to_bf16(1.0f), 0x3f80);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f808000u)), 0x3f80);  // A tie goes to the even one.
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f818000u)), 0x3f82);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f808001u)), 0x3f81);
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::bit_cast<float>(0x7f800001u)))));
}

using Words = std::array<uint32_t, 4>;

// Random123's kat_vectors, philox4x32 10.
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32_10({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const uint32_t f = 0xffffffffu;
  EXPECT_EQ(philox4x32_10({f, f, f, f}, {f, f}), (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, UniformsLookUniform) {
  const int draw_count = 100000;
  double sum = 0, squares = 0;
  for (int i = 0; i < draw_count; ++i) {
    const double u = philox_uniform(42, static_cast<uint64_t>(i));
    EXPECT_TRUE(u >= 0 && u < 1);
    sum += u;
    squares += u * u;
  }
  EXPECT_NEAR(sum / draw_count, 0.5, 0.005);
  EXPECT_NEAR(squares / draw_count, 1.0 / 3, 0.005);
  EXPECT_TRUE(philox_uniform(1, 7) != philox_uniform(2, 7));
  EXPECT_TRUE(philox_uniform(1, 7) != philox_uniform(1, 8));
}

}  // namespace
}  // namespace redraft
