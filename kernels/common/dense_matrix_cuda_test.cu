// The products of dense_matrix.cu on the host, against plain sums of the very weights that they multiply.
#include "dense_matrix.cuh"

#include "cuda/dense_weights.h"
#include "cuda/host/kernel_test.h"
#include "e4m3.h"
#include "half.h"

namespace redraft::cuda {
namespace {

using namespace cuda_host;
using test::fail;

PackedMatrix random_matrix(size_t out_count, size_t in_count) {
  std::vector<float> weights = normal_floats(out_count * in_count, static_cast<uint32_t>(out_count + in_count), 0.1f);
  for (size_t i = 0; i < in_count; ++i) weights[in_count + i] = 0;  // An output of nothing.
  return PackedMatrix::pack_f32(weights.data(), out_count, in_count);
}

// Rows quantised as a step has them.
struct Rows {
  DeviceArray<int8_t> values;
  DeviceArray<float> scales, sums;
  DeviceRows view;

  Rows(const std::vector<float>& x, uint32_t row_count)
      : values(2 * x.size()), scales(x.size() / 32), sums(x.size() / 32) {
    const uint32_t in = static_cast<uint32_t>(x.size() / row_count);
    view = {values.data(), scales.data(), sums.data(), in};
    const DeviceArray<float> from(x);
    const QuantiseParams quantise{from.data(), nullptr, view, row_count, in, in};
    launch("redraft_quantise", quantise_shape(quantise), quantise);
  }
  float at(size_t row, size_t i) const {
    const size_t block = row * (view.in_count / 32) + i / 32;
    return scales[block] * static_cast<float>(128 * values[block * 64 + i % 32] + values[block * 64 + 32 + i % 32]);
  }
};

struct Bf16Product {
  std::vector<uint16_t> host_weights;
  DeviceArray<uint16_t> weights, x;
  DeviceArray<float> y;

  Bf16Product(const PackedMatrix& w, const Rows& rows, uint32_t row_count)
      : host_weights(bf16_weights(w)),
        weights(host_weights),
        x(row_count * w.in_count()),
        y(row_count * w.out_count()) {
    const uint32_t out = static_cast<uint32_t>(w.out_count()), in = static_cast<uint32_t>(w.in_count());
    const RowsBf16Params round{rows.view, x.data(), row_count};
    launch("redraft_rows_bf16", rows_bf16_shape(round), round);
    const MatmulBf16Params p{weights.data(), x.data(), y.data(), row_count, out, in, out};
    launch(matmul_bf16_kernel(p), dense_shape(p.row_count, out), p);
  }
  double weight(size_t out, size_t in, size_t in_count) const { return bf16_to_f32(host_weights[out * in_count + in]); }
  double input(const Rows&, size_t row, size_t in, size_t in_count) const {
    return bf16_to_f32(x[row * in_count + in]);
  }
};

struct E4m3Product {
  E4m3Weights host_weights;
  DeviceArray<uint8_t> weights;
  DeviceArray<float> scales, y;

  E4m3Product(const PackedMatrix& w, const Rows& rows, uint32_t row_count)
      : host_weights(e4m3_weights(w)),
        weights(host_weights.bytes),
        scales(host_weights.scales),
        y(row_count * w.out_count()) {
    const uint32_t out = static_cast<uint32_t>(w.out_count());
    const MatmulE4m3Params p{weights.data(), scales.data(), rows.view, y.data(), row_count, out, out};
    launch(matmul_e4m3_kernel(p), dense_shape(p.row_count, out), p);
  }
  double weight(size_t out, size_t in, size_t in_count) const {
    const size_t strip = out / 16 * pair_count(static_cast<uint32_t>(in_count)) * kPairBytesE4m3;
    const size_t lane = out % 8 * 4 + in % 16 / 4, word = out % 16 / 8 + 2 * (in % 32 / 16);
    return double{host_weights.scales[out]} *
           e4m3_to_f32(host_weights.bytes[strip + in / 32 * 512 + lane * 16 + word * 4 + in % 4]);
  }
  double input(const Rows& rows, size_t row, size_t in, size_t) const { return rows.at(row, in); }
};

template <typename Product>
void agrees_with_plain_sums() {
  for (const auto& [out, in] : {std::pair<size_t, size_t>{16, 32}, {40, 576}, {33, 96}, {64, 1536}}) {
    const PackedMatrix w = random_matrix(out, in);
    for (const uint32_t row_count : {1u, 3u, 8u, 9u, 35u}) {
      std::vector<float> x = normal_floats(row_count * in, row_count);
      x[5] = 90;
      in_both_orders([&] {
        const Rows rows(x, row_count);
        const Product product(w, rows, row_count);
        for (size_t r = 0; r < row_count; ++r)
          for (size_t o = 0; o < out; ++o) {
            double sum = 0, size = 0;
            for (size_t i = 0; i < in; ++i) {
              const double term = product.weight(o, i, in) * product.input(rows, r, i, in);
              sum += term, size += std::fabs(term);
            }
            EXPECT_NEAR(product.y[r * out + o], sum, 2e-6 * size + 1e-12);
          }
      });
    }
  }
}

template <typename Product>
void gives_a_row_the_same_bits_in_any_company() {
  constexpr size_t kIn = 1120, kOut = 48;
  const PackedMatrix w = random_matrix(kOut, kIn);
  const std::vector<float> x = normal_floats(50 * kIn, 9);
  const Rows all_rows(x, 50);
  const Product all(w, all_rows, 50);
  for (const uint32_t row_count : {1u, 2u, 8u, 17u}) {
    const uint32_t first = 23;
    const Rows rows({x.begin() + first * kIn, x.begin() + (first + row_count) * kIn}, row_count);
    const Product some(w, rows, row_count);
    for (size_t i = 0; i < row_count * kOut; ++i) EXPECT_EQ(some.y[i], all.y[first * kOut + i]);
  }
}

TEST(MatmulBf16Cuda, AgreesWithPlainSums) { agrees_with_plain_sums<Bf16Product>(); }
TEST(MatmulBf16Cuda, GivesARowTheSameBitsInAnyCompany) { gives_a_row_the_same_bits_in_any_company<Bf16Product>(); }
TEST(MatmulE4m3Cuda, AgreesWithPlainSums) { agrees_with_plain_sums<E4m3Product>(); }
TEST(MatmulE4m3Cuda, GivesARowTheSameBitsInAnyCompany) { gives_a_row_the_same_bits_in_any_company<E4m3Product>(); }

TEST(E4m3, TakesTheNearestOfAllItsValues) {
  EXPECT_EQ(e4m3_to_f32(0x7e), 448.0f);
  EXPECT_EQ(e4m3_to_f32(0x01), 0x1p-9f);
  EXPECT_EQ(e4m3_to_f32(0x08), 0x1p-6f);
  EXPECT_TRUE(std::isnan(e4m3_to_f32(0x7f)) && std::isnan(e4m3_to_f32(f32_to_e4m3(NAN))));
  for (uint32_t bits = 0; bits < 256; ++bits)
    if (bits % 128 != 127) EXPECT_EQ(uint32_t{f32_to_e4m3(e4m3_to_f32(static_cast<uint8_t>(bits)))}, bits);
  std::mt19937 random(3);
  for (int trial = 0; trial < 4000; ++trial) {
    const float value =
        std::ldexp(static_cast<float>(random() % 2001) / 1000 - 1, static_cast<int>(random() % 24) - 12);
    const uint8_t got = f32_to_e4m3(value);
    float nearest = INFINITY;
    for (uint32_t bits = 0; bits < 256; ++bits)
      if (bits % 128 != 127) nearest = std::min(nearest, std::fabs(e4m3_to_f32(static_cast<uint8_t>(bits)) - value));
    EXPECT_EQ(std::fabs(e4m3_to_f32(got) - value), nearest);
  }
  for (uint32_t bits = 0; bits < 126; ++bits) {  // Halfway between two goes to the even one.
    const float middle = (e4m3_to_f32(static_cast<uint8_t>(bits)) + e4m3_to_f32(static_cast<uint8_t>(bits + 1))) / 2;
    EXPECT_EQ(f32_to_e4m3(middle) % 2, 0);
  }
}

TEST(E4m3, WeightsKeepThreeBitsOfTheLargest) {
  const PackedMatrix w = random_matrix(20, 64);
  const E4m3Weights weights = e4m3_weights(w);
  EXPECT_EQ(weights.scales.size(), size_t{32});
  EXPECT_EQ(weights.scales[1], 0.0f);
  EXPECT_EQ(weights.scales[20], 0.0f);
  std::vector<float> row(64);
  w.unpack_row(3, row.data());
  float largest = 0;
  for (const float weight : row) largest = std::max(largest, std::fabs(weight));
  EXPECT_NEAR(weights.scales[3] * kE4m3Max, largest, 1e-6 * largest);
}

}  // namespace
}  // namespace redraft::cuda
