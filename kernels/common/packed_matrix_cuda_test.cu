// The products of packed_matrix.cu on the host, against packed_matrix.cc.
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
        values(x.size()),
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

TEST(MatmulCuda, AgreesWithTheCpu) {
  ThreadPool pool(1);
  for (const int bits : {4, 8})
    for (const auto& [out, in] : {std::pair<size_t, size_t>{16, 32}, {40, 576}, {33, 96}, {64, 1536}}) {
      const PackedMatrix w = random_matrix(out, in, bits, static_cast<uint32_t>(out + in));
      for (const uint32_t rows : {1u, 3u, 8u, 9u, 35u}) {
        const std::vector<float> x = normal_floats(rows * in, rows);
        QuantRows quantised;
        quantised.resize(rows, in);
        for (size_t r = 0; r < rows; ++r) quantised.quantise(r, &x[r * in]);
        std::vector<float> expected(rows * out);
        matmul(pool, w, quantised, rows, expected.data(), out);
        in_both_orders([&] {
          const Product product(w, x, rows);
          for (size_t i = 0; i < expected.size(); ++i)
            EXPECT_NEAR(product.y[i], expected[i], 1e-5 * std::fabs(expected[i]) + 2e-4);
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

TEST(QuantiseCuda, GivesTheBitsOfTheCpu) {
  std::vector<float> x = normal_floats(3 * 64, 2);
  for (size_t i = 64; i < 96; ++i) x[i] = 0;
  x[130] = std::nanf(""), x[140] = 1e30f;
  DeviceArray<float> from(x);
  DeviceArray<int8_t> values(3 * 64);
  DeviceArray<float> scales(6), sums(6);
  const QuantiseParams p{from.data(), nullptr, {values.data(), scales.data(), sums.data(), 64}, 3, 64, 64};
  in_both_orders([&] { launch("redraft_quantise", quantise_shape(p), p); });
  QuantRows expected;
  expected.resize(3, 64);
  for (size_t r = 0; r < 3; ++r) expected.quantise(r, &x[r * 64]);
  for (size_t r = 0; r < 3; ++r)
    for (size_t block = 0; block < 2; ++block) {
      EXPECT_EQ(scales[r * 2 + block], expected.scales(0)[block * 8 + r]);
      EXPECT_EQ(sums[r * 2 + block], expected.sums(0)[block * 8 + r]);
      for (size_t i = 0; i < 32; ++i)
        EXPECT_EQ(int{values[r * 64 + block * 32 + i]}, int{expected.values(0)[block * 256 + r * 32 + i]});
    }
}

TEST(QuantiseCuda, GathersRowsAndPadsThem) {
  const std::vector<float> x = normal_floats(4 * 40, 3);
  DeviceArray<float> from(x);
  DeviceArray<uint32_t> which(std::vector<uint32_t>{2, 0});
  DeviceArray<int8_t> values(2 * 64);
  DeviceArray<float> scales(4), sums(4);
  const QuantiseParams p{from.data(), which.data(), {values.data(), scales.data(), sums.data(), 64}, 2, 40, 40};
  in_both_orders([&] { launch("redraft_quantise", quantise_shape(p), p); });
  for (size_t i = 40; i < 64; ++i) EXPECT_EQ(int{values[i]}, 0);
  EXPECT_NEAR(static_cast<float>(values[0]) * scales[0], x[2 * 40], 0.02);
  EXPECT_NEAR(static_cast<float>(values[64 + 39]) * scales[3], x[39], 0.02);
}

}  // namespace
}  // namespace redraft::cuda
