#include "row_math.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "half.h"
#include "isa.h"
#include "philox.h"
#include "test.h"
#include "test_random.h"

namespace redraft {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

// Logits in [-12, 12), in coarse steps where ties are wanted.
std::vector<float> random_row(size_t count, uint32_t seed, bool ties) {
  std::vector<float> row(count);
  for (size_t i = 0; i < count; ++i) {
    const double u = philox_uniform(seed, i) * 24 - 12;
    row[i] = static_cast<float>(ties ? std::floor(u) : u);
  }
  return row;
}

std::vector<const RowKernels*> tables() {
  std::vector<const RowKernels*> all = {row_kernels_portable()};
  if (runs_here(Isa::Avx2)) all.push_back(row_kernels_avx2());
  if (runs_here(Isa::Avx512Vnni)) all.push_back(row_kernels_avx512());
  return all;
}

std::vector<int32_t> order_of(const std::vector<float>& row) {
  std::vector<int32_t> order(row.size());
  std::iota(order.begin(), order.end(), 0);
  const auto value = [&](int32_t i) { return std::isnan(row[i]) ? -kInf : row[i]; };
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return value(a) > value(b); });
  return order;
}

// The same in f64, from the scalar generator.
double gumbel_reference(uint64_t seed, uint64_t position, uint32_t token) {
  const double u = (philox_words(seed, position, token, 0)[0] + 0.5) * 0x1p-32;
  return -std::log(u > 0.5 ? -std::log1p(-(1 - u)) : -std::log(u));
}

TEST(RowMath, GumbelNoiseIsThatOfTheReferenceOnEveryPath) {
  for (const size_t count : {size_t{1}, size_t{16}, size_t{37}, size_t{50000}}) {
    std::vector<uint32_t> tokens(count);
    for (size_t i = 0; i < count; ++i) tokens[i] = static_cast<uint32_t>(i * 2654435761u);
    const uint64_t seed = 0x123456789abcdefull + count, position = count == 37 ? 0x500000001ull : 77;
    std::vector<float> first;
    for (const RowKernels* kernels : tables()) {
      std::vector<float> noise(count + 1, 5.0f);
      kernels->gumbel(seed, position, tokens.data(), count, noise.data());
      EXPECT_EQ(noise[count], 5.0f);
      if (first.empty()) {
        first = noise;
        for (size_t i = 0; i < count; ++i) EXPECT_NEAR(noise[i], gumbel_reference(seed, position, tokens[i]), 2e-6);
      }
      EXPECT_TRUE(std::memcmp(first.data(), noise.data(), count * sizeof(float)) == 0);
    }
  }
}

TEST(RowMath, PeakAndTopAgreeWithASort) {
  for (const RowKernels* kernels : tables())
    for (const size_t count : {1, 2, 15, 16, 17, 33, 255, 1000, 4099})
      for (const bool ties : {false, true}) {
        std::vector<float> row = random_row(count, static_cast<uint32_t>(count), ties);
        if (count > 20) row[3] = kNan, row[7] = -kInf, row[19] = kNan;
        const std::vector<int32_t> order = order_of(row);
        EXPECT_EQ(kernels->peak(row.data(), count).index, order[0]);
        for (const size_t k : {size_t{1}, size_t{5}, size_t{32}}) {
          RowItem top[kRowTopMax];
          const size_t kept = std::min(k, count);
          kernels->top(row.data(), count, kept, top);
          for (size_t i = 0; i < kept; ++i) EXPECT_EQ(top[i].index, order[i]);
        }
      }
}

TEST(RowMath, PeakOfNothingIsNone) {
  for (const RowKernels* kernels : tables()) {
    const std::vector<float> row = {kNan, -kInf, kNan};
    EXPECT_EQ(kernels->peak(row.data(), row.size()).index, -1);
    EXPECT_EQ(kernels->peak(row.data(), 0).index, -1);
    const std::vector<float> one = {kNan, kInf, 3, kInf};
    EXPECT_EQ(kernels->peak(one.data(), one.size()).index, 1);
  }
}

TEST(RowMath, AtLeastFindsEachOnce) {
  for (const RowKernels* kernels : tables())
    for (const float threshold : {-kInf, -3.0f, 4.0f, 100.0f}) {
      std::vector<float> row = random_row(1003, 9, true);
      row[5] = kNan;
      std::vector<uint32_t> found(row.size()), expected;
      found.resize(kernels->at_least(row.data(), row.size(), threshold, found.data()));
      for (uint32_t i = 0; i < row.size(); ++i)
        if (row[i] >= threshold) expected.push_back(i);
      EXPECT_EQ(found, expected);
    }
}

TEST(RowMath, WeightsAreNearTheExactOnes) {
  for (const RowKernels* kernels : tables())
    for (const size_t count : {7, 256, 1000, 49152}) {
      std::vector<float> row = random_row(count, 4, false);
      if (count > 7) row[2] = kNan, row[3] = -kInf, row[5] = -1e30f;
      const float peak = kernels->peak(row.data(), count).value, scale = 1 / 0.7f;
      std::vector<float> weights(count);
      std::vector<double> sums((count + kRowBlock - 1) / kRowBlock);
      const double sum = kernels->exp_blocks(row.data(), count, peak, scale, weights.data(), sums.data());
      double exact = 0;
      for (size_t i = 0; i < count; ++i) {
        const double z = (static_cast<double>(row[i]) - peak) * scale;
        const double weight = std::isnan(z) || z < -87 ? 0 : std::exp(z);
        // (x - peak) * scale is rounded to f32 before the exponential: an error of its own, |z| * 2^-24 and less.
        EXPECT_NEAR(weights[i], weight, weight == 0 ? 0 : weight * (2e-7 + std::fabs(z) * 1.3e-7));
        exact += weight;
      }
      EXPECT_NEAR(sum, exact, exact * 1e-6);
      EXPECT_NEAR(kernels->exp_sum(row.data(), count, peak, scale), sum, sum * 1e-13);
      EXPECT_NEAR(std::accumulate(sums.begin(), sums.end(), 0.0), sum, 0.0);
    }
}

TEST(RowMath, InfinityTakesAllTheWeight) {
  for (const RowKernels* kernels : tables()) {
    const std::vector<float> row = {1, kInf, 2};
    std::vector<float> weights(3);
    double sums[1];
    EXPECT_EQ(kernels->exp_blocks(row.data(), 3, std::numeric_limits<float>::max(), 1, weights.data(), sums), 1.0);
    EXPECT_EQ(weights, (std::vector<float>{0, 1, 0}));
  }
}

TEST(RowMath, Activations) {
  std::vector<float> row = random_row(1005, 5, false);
  row[0] = 0, row[1] = 200, row[2] = -200;
  for (const RowKernels* kernels : tables()) {
    std::vector<float> sigmoid = row, tanh = row, silu = row;
    kernels->sigmoid(sigmoid.data(), row.size());
    kernels->tanh(tanh.data(), row.size());
    kernels->silu(silu.data(), row.size());
    for (size_t i = 0; i < row.size(); ++i) {
      const double x = row[i], exact = 1 / (1 + std::exp(-x));
      EXPECT_NEAR(sigmoid[i], exact, 3e-7);
      EXPECT_NEAR(tanh[i], std::tanh(x), 3e-7);
      EXPECT_NEAR(silu[i], x * exact, 3e-7 * (1 + std::fabs(x)));
    }
  }
}

TEST(RowMath, RowsOfTheDecoderAreWhatTheirFormulasSay) {
  constexpr size_t kCount = 96;
  const std::vector<float> x = random_row(kCount, 5, false), other = random_row(kCount, 6, false);
  std::vector<float> cosines(kCount), sines(kCount);
  for (size_t i = 0; i < kCount; ++i) {
    const double angle = 0.37 * static_cast<double>(i / 2);
    cosines[i] = static_cast<float>(std::cos(angle));
    sines[i] = static_cast<float>(i % 2 ? std::sin(angle) : -std::sin(angle));
  }
  double squares = 0;
  for (const float value : x) squares += double(value) * value;
  for (const RowKernels* kernels : tables()) {
    std::vector<float> sum = x, gated = x, turned = x, normed(kCount);
    kernels->add(sum.data(), other.data(), kCount);
    kernels->silu_times(gated.data(), other.data(), kCount - 3);
    kernels->rotate(turned.data(), cosines.data(), sines.data(), 0.5f, kCount - 10);
    kernels->rms_norm(x.data(), other.data(), 1e-5f, kCount, normed.data());
    for (size_t i = 0; i < kCount; ++i) {
      EXPECT_EQ(sum[i], x[i] + other[i]);
      const double silu = x[i] / (1 + std::exp(-double(x[i])));
      EXPECT_NEAR(gated[i], i < kCount - 3 ? silu * other[i] : x[i], 2e-5);
      const double turn = 0.5 * (double(x[i]) * cosines[i] + double(x[i ^ 1]) * sines[i]);
      EXPECT_NEAR(turned[i], i < kCount - 10 ? turn : x[i], 1e-5);
      EXPECT_NEAR(normed[i], x[i] / std::sqrt(squares / kCount + 1e-5) * other[i], 1e-5);
    }
  }
}

TEST(RowMath, HalvesAreRoundedAsTheScalarOnesOnEveryPath) {
  std::vector<float> x = {0, -0.0f, 1, 65519, 65520, -1e30f, kInf, kNan, 6e-8f, 2.9e-8f, 1e-40f, -5.97e-8f};
  for (const float value : random_row(47, 8, false)) x.push_back(value);
  for (const RowKernels* kernels : tables()) {
    std::vector<uint16_t> halves(x.size());
    kernels->to_f16(x.data(), x.size(), halves.data());
    for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(halves[i], f32_to_f16(x[i]));
  }
}

TEST(RowMath, EveryInstructionSetGivesTheSameBits) {
  const size_t count = 5003;
  const std::vector<float> row = random_row(count, 6, false);
  std::vector<float> first(count), first_tanh, first_other;
  std::vector<double> first_sums(20), sums(20);
  const float peak = row_peak(row.data(), count).value;
  for (const RowKernels* kernels : tables()) {
    std::vector<float> weights(count), tanh = row, other(4992);
    kernels->exp_blocks(row.data(), count, peak, 1.25f, weights.data(), sums.data());
    kernels->tanh(tanh.data(), count);
    kernels->rms_norm(row.data(), tanh.data(), 1e-5f, other.size(), other.data());
    kernels->silu_times(other.data(), weights.data(), other.size());
    kernels->rotate(other.data(), row.data(), tanh.data(), 0.3f, other.size());
    if (kernels == tables()[0]) first = weights, first_sums = sums, first_tanh = tanh, first_other = other;
    EXPECT_TRUE(std::memcmp(first_other.data(), other.data(), other.size() * 4) == 0);
    EXPECT_TRUE(std::memcmp(first.data(), weights.data(), count * 4) == 0);
    EXPECT_TRUE(std::memcmp(first_tanh.data(), tanh.data(), count * 4) == 0);
    EXPECT_TRUE(std::memcmp(first_sums.data(), sums.data(), sums.size() * 8) == 0);
  }
}

}  // namespace
}  // namespace redraft
