#include "packed_matrix.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>

#include "error.h"
#include "half.h"
#include "packed_matrix_kernels.h"
#include "test.h"

using namespace redraft;

namespace {

// Random bytes of a type, with scales that are finite and of ordinary size.
std::vector<uint8_t> random_weights(WeightType type, size_t out_count, size_t in_count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<uint8_t> bytes(out_count * weight_row_bytes(type, in_count));
  for (auto& byte : bytes) byte = static_cast<uint8_t>(random());
  const WeightBlock block = weight_block(type);
  std::uniform_real_distribution<float> scale(0.001f, 0.02f);
  for (size_t at = 0; at < bytes.size(); at += block.bytes) {
    const uint16_t d = f32_to_f16(scale(random)), m = f32_to_f16(-8 * scale(random));
    if (type == WeightType::F32) {
      const float value = scale(random) - 0.01f;
      std::memcpy(&bytes[at], &value, 4);
    } else if (type == WeightType::F16) {
      const uint16_t value = f32_to_f16(scale(random) - 0.01f);
      std::memcpy(&bytes[at], &value, 2);
    } else if (type == WeightType::BF16) {
      const uint16_t value = f32_to_bf16(scale(random) - 0.01f);
      std::memcpy(&bytes[at], &value, 2);
    } else if (type == WeightType::Q6_K) {
      std::memcpy(&bytes[at + 208], &d, 2);
    } else {
      std::memcpy(&bytes[at], &d, 2);
      const bool has_minimum = type == WeightType::Q4_1 || type == WeightType::Q5_1 || type == WeightType::Q4_K;
      if (has_minimum) std::memcpy(&bytes[at + 2], &m, 2);
    }
  }
  return bytes;
}

std::vector<float> random_rows(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> rows(count);
  for (auto& value : rows) value = normal(random);
  return rows;
}

constexpr WeightType kTypes[] = {WeightType::F32,  WeightType::F16,  WeightType::BF16, WeightType::Q4_0,
                                 WeightType::Q4_1, WeightType::Q5_0, WeightType::Q5_1, WeightType::Q8_0,
                                 WeightType::Q4_K, WeightType::Q6_K};

std::vector<const MatrixKernels*> tables_here() {
  std::vector<const MatrixKernels*> all;
  for (const Isa each : kIsas)
    if (runs_here(each)) all.push_back(kernels_of(each));
  return all;
}

}  // namespace

TEST(PackedMatrix, AgreesWithTheDequantisedProductForEachType) {
  constexpr size_t kOut = 37, kIn = 512, kRows = 11;  // A ragged strip, a ragged tile.
  const auto x = random_rows(kRows * kIn, 7);
  QuantRows quantised;
  quantised.resize(kRows, kIn);
  for (size_t row = 0; row < kRows; ++row) quantised.quantise(row, &x[row * kIn]);
  for (const WeightType type : kTypes) {
    const auto bytes = random_weights(type, kOut, kIn, 3);
    const WeightView view{type, bytes.data(), kOut, kIn};
    const PackedMatrix packed = PackedMatrix::pack(view);
    std::vector<float> y(kRows * kOut), w(kIn);
    ThreadPool pool(2);
    matmul(pool, packed, quantised, kRows, y.data(), kOut);
    double error = 0, size = 0;
    for (size_t out = 0; out < kOut; ++out) {
      dequantise_row(view, out, w.data());
      for (size_t row = 0; row < kRows; ++row) {
        double sum = 0;
        for (size_t i = 0; i < kIn; ++i) sum += double(w[i]) * x[row * kIn + i];
        error += (sum - y[row * kOut + out]) * (sum - y[row * kOut + out]);
        size += sum * sum;
      }
    }
    EXPECT_TRUE(std::sqrt(error / size) < 0.012);  // 8-bit activations: about 0.4 %, 8-bit weights about as much again.
  }
}

// Models have a few inputs many times the others: these must not drown in the rounding of the large ones.
TEST(PackedMatrix, AnOutlierCostsItsNeighboursNoPrecision) {
  constexpr size_t kOut = 48, kIn = 256;
  auto x = random_rows(kIn, 8);
  for (size_t block = 0; block < kIn / 32; ++block) x[32 * block + 5 * block % 32] = block % 2 ? 24.0f : -31.0f;
  QuantRows quantised;
  quantised.resize(1, kIn);
  quantised.quantise(0, x.data());
  for (const WeightType type : {WeightType::Q4_1, WeightType::Q8_0}) {
    const auto bytes = random_weights(type, kOut, kIn, 5);
    const PackedMatrix packed = PackedMatrix::pack({type, bytes.data(), kOut, kIn});
    std::vector<float> y(kOut), w(kIn);
    ThreadPool pool(1);
    matmul(pool, packed, quantised, 1, y.data(), kOut);
    double error = 0, size = 0;
    for (size_t out = 0; out < kOut; ++out) {
      packed.unpack_row(out, w.data());
      double sum = 0;
      for (size_t i = 0; i < kIn; ++i) {
        sum += double(w[i]) * x[i];
        if (std::fabs(x[i]) < 10) size += double(w[i]) * x[i] * double(w[i]) * x[i];
      }
      error += (sum - y[out]) * (sum - y[out]);
    }
    EXPECT_TRUE(std::sqrt(error / size) < 0.008);  // Against what the small ones add: 0.5 % of rounding.
  }
}

TEST(PackedMatrix, KeepsTheExactWeightsOfTheFormatsItPacksWhole) {
  for (const WeightType type : {WeightType::Q4_0, WeightType::Q4_1, WeightType::Q5_0, WeightType::Q8_0}) {
    const auto bytes = random_weights(type, 19, 64, 5);
    const WeightView view{type, bytes.data(), 19, 64};
    const PackedMatrix packed = PackedMatrix::pack(view);
    std::vector<float> expected(64), actual(64);
    for (size_t out = 0; out < 19; ++out) {
      dequantise_row(view, out, expected.data());
      packed.unpack_row(out, actual.data());
      EXPECT_EQ(actual, expected);
    }
  }
}

TEST(PackedMatrix, GivesTheSameBitsOnEachInstructionSet) {
  constexpr size_t kOut = 29, kIn = 96, kRows = 16;
  auto x = random_rows(kRows * kIn, 9);
  for (size_t row = 5; row < kRows; ++row) x[row * kIn + 7 * row % kIn] *= 30;  // High parts far from zero.
  for (size_t i = 0; i < kIn; ++i) x[3 * kIn + i] = 0;                          // A row of zeros has no scale.
  for (const WeightType type : {WeightType::Q4_1, WeightType::Q8_0}) {
    const auto bytes = random_weights(type, kOut, kIn, 4);
    const PackedMatrix packed = PackedMatrix::pack({type, bytes.data(), kOut, kIn});
    QuantRows quantised;
    quantised.resize(kRows, kIn);
    for (size_t row = 0; row < kRows; ++row) quantised.quantise(row, &x[row * kIn]);
    std::vector<std::vector<float>> all;
    for (const MatrixKernels* table : tables_here()) {
      std::vector<float> y(kRows * kOut, -1);
      for (size_t strip = 0; strip < packed.strip_count(); ++strip)
        for (size_t row = 0; row < kRows; row += table->rows_max) {
          const StripCall call{packed.strip(strip),
                               packed.block_count(),
                               quantised.tile(row / kRowsTile),
                               std::min(kRows, table->rows_max),
                               &y[row * kOut + 16 * strip],
                               kOut,
                               std::min<size_t>(16, kOut - 16 * strip)};
          (type == WeightType::Q4_1 ? table->strip4 : table->strip8)(call);
        }
      all.push_back(y);
    }
    for (const auto& y : all) EXPECT_EQ(y, all[0]);
  }
}

TEST(PackedMatrix, QuantisesToTheSameBitsOnEachInstructionSet) {
  constexpr size_t kBlocks = 40;
  auto x = random_rows(kBlocks * 32, 21);
  const float odd[] = {NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 1e-38f, 1e-44f, 0, 1000, -1000};
  for (size_t i = 0; i < std::size(odd); ++i) x[32 * i + 7 * i % 32] = odd[i], x[32 * (i + 10) + 31] = odd[i];
  for (size_t i = 0; i < 32; ++i) x[32 * 21 + i] = i % 2 ? 1.0f : -1.0f, x[32 * 22 + i] = NAN, x[32 * 23 + i] = 0;
  std::vector<RowBlock> expected;
  for (const MatrixKernels* table : tables_here()) {
    std::vector<RowBlock> blocks(kBlocks * kRowsTile);
    std::memset(static_cast<void*>(blocks.data()), 0, blocks.size() * sizeof(RowBlock));
    table->quantise(x.data(), kBlocks, blocks.data());
    if (expected.empty()) expected = blocks;
    EXPECT_TRUE(std::memcmp(blocks.data(), expected.data(), blocks.size() * sizeof(RowBlock)) == 0);
  }
}

// Tile registers take what is left of rows, outputs and blocks as it comes; the strips of the call are no whole pairs.
TEST(PackedMatrix, TilesGiveTheBitsOfSingleRows) {
  if (!wide_kernels()) return std::puts("(no tile registers here, or none asked for)"), void();
  constexpr size_t kOut = 75, kIn = 32 * 53;
  const auto bytes = random_weights(WeightType::Q4_1, kOut, kIn, 14);
  const PackedMatrix packed = PackedMatrix::pack({WeightType::Q4_1, bytes.data(), kOut, kIn});
  for (const size_t rows : {1, 2, 7, 8, 9, 15, 16, 17, 31, 40}) {
    auto x = random_rows(rows * kIn, static_cast<uint32_t>(rows));
    for (size_t i = 0; i < kIn; i += 32) x[i + rows % 32] *= 40;  // Its high part is far from zero.
    QuantRows quantised, alone;
    quantised.resize(rows, kIn);
    quantised.begin(kRowsWorthTiles);
    alone.resize(1, kIn);
    for (size_t row = 0; row < rows; ++row) quantised.quantise(row, &x[row * kIn]);
    std::vector<float> y(rows * kOut, -1), expected(rows * kOut);
    for (size_t strip = 0; strip < packed.strip_count(); strip += 3) {
      const size_t count = std::min<size_t>(3, packed.strip_count() - strip);
      wide_kernels()->strips4({packed.strip(strip), count, packed.block_count(), quantised.wide(), rows, &y[16 * strip],
                               kOut, std::min<size_t>(16 * count, kOut - 16 * strip)});
    }
    for (size_t row = 0; row < rows; ++row) {
      alone.quantise(0, &x[row * kIn]);
      matmul_strips(packed, alone, {0, 1}, &expected[row * kOut], kOut, 0, packed.strip_count());
    }
    EXPECT_TRUE(std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)) == 0);
  }
}

// 21 rows are one group of share_strips(), 289 are three, and the last one is alone in its tile.
TEST(PackedMatrix, ARowDoesNotDependOnItsCompany) {
  constexpr size_t kOut = 70, kIn = 576;
  for (const WeightType type : {WeightType::Q4_1, WeightType::Q8_0}) {
    const auto bytes = random_weights(type, kOut, kIn, 6);
    const PackedMatrix packed = PackedMatrix::pack({type, bytes.data(), kOut, kIn});
    for (const size_t rows : {21, 289}) {
      const auto x = random_rows(rows * kIn, 11);
      QuantRows together, alone;
      together.resize(rows, kIn);
      together.begin(rows);
      alone.resize(1, kIn);
      for (size_t row = 0; row < rows; ++row) together.quantise(row, &x[row * kIn]);
      ThreadPool three(3), one(1);
      std::vector<float> all(rows * kOut, -1), single(kOut);
      matmul(three, packed, together, rows, all.data(), kOut);
      for (size_t row = 0; row < rows; ++row) {
        alone.quantise(0, &x[row * kIn]);
        matmul(one, packed, alone, 1, single.data(), kOut);
        EXPECT_TRUE(std::memcmp(single.data(), &all[row * kOut], kOut * sizeof(float)) == 0);
      }
    }
  }
}

TEST(PackedMatrix, RefusesScalesItCannotKeep) {
  auto bytes = random_weights(WeightType::Q4_0, 3, 64, 5);
  for (const float scale : {9000.0f, -9000.0f, INFINITY, NAN}) {
    const uint16_t d = f32_to_f16(scale);
    std::memcpy(&bytes[18 * 3], &d, 2);
    EXPECT_THROW(PackedMatrix::pack({WeightType::Q4_0, bytes.data(), 3, 64}), REDRAFT_UNSUPPORTED, "Q4_0 scale");
  }
}

TEST(PackedMatrix, RefusesShapesItCannotTake) {
  const std::vector<float> weights(100);
  EXPECT_THROW(PackedMatrix::pack_f32(weights.data(), 2, 50), REDRAFT_UNSUPPORTED, "multiple of 32");
  EXPECT_THROW(PackedMatrix::pack_f32(weights.data(), 0, 32), REDRAFT_UNSUPPORTED, "0 x 32");
}
