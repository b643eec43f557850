// The products of packed_matrix.cu on the host, against plain sums of the CPU's weights.
#include "packed_matrix.cuh"

#include "cuda/device_matrix.h"
#include "cuda/host/kernel_test.h"
#include "packed_matrix.h"

namespace redraft::cuda {
namespace {

using namespace cuda_host;
using test::fail;

PackedMatrix random_matrix(size_t out_count, size_t in_count, int bits, uint32_t seed) {
  if (bits == 8) return PackedMatrix::pack_f32(normal_floats(out_count * in_count, seed).data(), out_count, in_count);
  std::mt19937 random(seed);
  std::vector<uint8_t> bytes(out_count * in_count / 32 * 20);  // Q4_1: d, m, nibbles.
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  for (size_t at = 0; at < bytes.size(); at += 20) {
    const uint16_t d = f32_to_f16(0.01f * static_cast<float>(random() % 100)), m = f32_to_f16(-0.05f);
    std::memcpy(&bytes[at], &d, 2), std::memcpy(&bytes[at + 2], &m, 2);
  }
  return PackedMatrix::pack({WeightType::Q4_1, bytes.data(), out_count, in_count});
}

// A product on the device, from f32 rows on.
struct Product {
  DeviceArray<uint8_t> weights;
  DeviceArray<int8_t> values;
  DeviceArray<float> scales, sums, y;
  MatmulParams params;

  Product(const PackedMatrix& w, const std::vector<float>& x, uint32_t row_count)
      : weights(device_matrix_bytes(w)),
        values(2 * x.size()),
        scales(x.size() / 32),
        sums(x.size() / 32),
        y(row_count * w.out_count()) {
    const uint32_t out = static_cast<uint32_t>(w.out_count()), in = static_cast<uint32_t>(w.in_count());
    const DeviceRows rows{values.data(), scales.data(), sums.data(), in};
    const DeviceArray<float> from(x);
    const QuantiseParams quantise{from.data(), nullptr, rows, row_count, in, in};
    launch("redraft_quantise", quantise_shape(quantise), quantise);
    params = {{weights.data(), out, in, static_cast<uint32_t>(w.bits())}, rows, y.data(), row_count, out};
    launch(matmul_kernel(params), matmul_shape(params), params);
  }
};

TEST(MatmulCuda, AgreesWithPlainSums) {
  for (const int bits : {4, 8})
    for (const auto& [out, in] : {std::pair<size_t, size_t>{16, 32}, {40, 576}, {33, 96}, {64, 1536}}) {
      const PackedMatrix w = random_matrix(out, in, bits, static_cast<uint32_t>(out + in));
      std::vector<float> weights(out * in);
      for (size_t o = 0; o < out; ++o) w.unpack_row(o, &weights[o * in]);
      for (const uint32_t rows : {1u, 3u, 8u, 9u, 35u}) {
        std::vector<float> x = normal_floats(rows * in, rows);
        x[5] = 90;  // An outlier, as models have them.
        in_both_orders([&] {
          const Product product(w, x, rows);
          for (size_t r = 0; r < rows; ++r)
            for (size_t o = 0; o < out; ++o) {
              double sum = 0, bound = 0;
              for (size_t i = 0; i < in; ++i) {
                sum += double{weights[o * in + i]} * x[r * in + i];
                bound += std::fabs(weights[o * in + i]) *
                         (0.51 * product.scales[(r * in + i) / 32] + 1e-6 * std::fabs(x[r * in + i]));
              }
              EXPECT_NEAR(product.y[r * out + o], sum, bound);
            }
        });
      }
    }
}

TEST(MatmulCuda, GivesARowTheSameBitsInAnyCompany) {
  for (const int bits : {4, 8}) {
    const PackedMatrix w = random_matrix(48, 1120, bits, 5);
    const std::vector<float> x = normal_floats(50 * 1120, 9);
    const Product all(w, x, 50);
    for (const uint32_t rows : {1u, 2u, 8u, 17u}) {
      const uint32_t first = 23;
      const Product some(w, {x.begin() + first * 1120, x.begin() + (first + rows) * 1120}, rows);
      for (size_t i = 0; i < rows * 48; ++i) EXPECT_EQ(some.y[i], all.y[first * 48 + i]);
    }
  }
}

// What the rows say that x was.
float value_at(const DeviceRows& rows, size_t row, size_t i) {
  const size_t block = row * (rows.in_count / 32) + i / 32;
  const int8_t* values = rows.values + block * 64 + i % 32;
  return rows.scales[block] * static_cast<float>(128 * values[0] + values[32]);
}

TEST(QuantiseCuda, KeepsFifteenBits) {
  std::vector<float> x = normal_floats(3 * 64, 2);
  for (size_t i = 64; i < 96; ++i) x[i] = 0;
  x[130] = std::nanf(""), x[140] = 1e30f, x[0] = -100;
  DeviceArray<float> from(x);
  DeviceArray<int8_t> values(3 * 128);
  DeviceArray<float> scales(6), sums(6);
  const QuantiseParams p{from.data(), nullptr, {values.data(), scales.data(), sums.data(), 64}, 3, 64, 64};
  in_both_orders([&] { launch("redraft_quantise", quantise_shape(p), p); });
  for (size_t r = 0; r < 3; ++r)
    for (size_t block = 0; block < 2; ++block) {
      double sum = 0;
      for (size_t i = block * 32; i < block * 32 + 32; ++i) {
        const float value = value_at(p.rows, r, i);
        const float expected = r * 64 + i == 130 ? 0 : x[r * 64 + i];
        EXPECT_NEAR(value, expected, scales[r * 2 + block] * 0.51);
        sum += value;
      }
      EXPECT_NEAR(sums[r * 2 + block], sum, 1e-5 * std::fabs(sum));
    }
  EXPECT_NEAR(scales[0] * kActivationMax, 100, 1e-4);
  EXPECT_EQ(scales[2], 0.0f);
}

TEST(QuantiseCuda, GathersRowsAndPadsThem) {
  const std::vector<float> x = normal_floats(4 * 40, 3);
  DeviceArray<float> from(x);
  DeviceArray<uint32_t> which(std::vector<uint32_t>{2, 0});
  DeviceArray<int8_t> values(2 * 128);
  DeviceArray<float> scales(4), sums(4);
  const QuantiseParams p{from.data(), which.data(), {values.data(), scales.data(), sums.data(), 64}, 2, 40, 40};
  in_both_orders([&] { launch("redraft_quantise", quantise_shape(p), p); });
  for (size_t i = 40; i < 64; ++i) EXPECT_EQ(value_at(p.rows, 0, i), 0.0f);
  EXPECT_NEAR(value_at(p.rows, 0, 0), x[2 * 40], 2e-4);
  EXPECT_NEAR(value_at(p.rows, 1, 39), x[39], 2e-4);
}

}  // namespace
}  // namespace redraft::cuda
