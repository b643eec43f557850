// The row kernels of decoder_rows.cu on the host, against the CPU's operations or plain loops.
#include "decoder_rows.cuh"

#include "common/packed_matrix.h"
#include "common/row_math.h"
#include "cuda/device_matrix.h"
#include "cuda/host/kernel_test.h"
#include "engine/decoder.h"
#include "kv_cache/kv_cache.h"

namespace redraft::cuda {
namespace {

using namespace cuda_host;
using test::fail;

struct Rows {
  DeviceArray<int8_t> values;
  DeviceArray<float> scales, sums;
  DeviceRows rows;
  Rows(size_t row_count, uint32_t in)
      : values(2 * row_count * in),
        scales(row_count * in / 32),
        sums(row_count * in / 32),
        rows{values.data(), scales.data(), sums.data(), in} {}
  float at(size_t row, size_t i) const {
    const size_t block = (row * rows.in_count + i) / 32;
    return scales[block] * static_cast<float>(128 * values[block * 64 + i % 32] + values[block * 64 + 32 + i % 32]);
  }
};

TEST(EmbedCuda, GivesTheBitsOfTheCpu) {
  const PackedMatrix eight = PackedMatrix::pack_f32(normal_floats(50 * 96, 1).data(), 50, 96);
  std::vector<uint8_t> bytes(50 * 96 / 32 * 18, 0x53);  // Q4_0.
  for (size_t i = 0; i < bytes.size(); ++i)
    if (i % 18 > 1) bytes[i] = static_cast<uint8_t>(i * 37);
  const PackedMatrix four = PackedMatrix::pack({WeightType::Q4_0, bytes.data(), 50, 96});
  for (const PackedMatrix* matrix : {&eight, &four}) {
    DeviceArray<uint8_t> weights(device_matrix_bytes(*matrix));
    DeviceArray<uint32_t> tokens(std::vector<uint32_t>{49, 0, 17});
    DeviceArray<float> x(3 * 96);
    const EmbedParams p{{weights.data(), 50, 96, static_cast<uint32_t>(matrix->bits())}, tokens.data(), x.data(), 3};
    in_both_orders([&] { launch("redraft_embed", embed_shape(p), p); });
    std::vector<float> expected(96);
    for (size_t r = 0; r < 3; ++r) {
      matrix->unpack_row(tokens[r], expected.data());
      for (size_t i = 0; i < 96; ++i) EXPECT_EQ(x[r * 96 + i], expected[i]);
    }
  }
}

TEST(NormCuda, AddsTheUpdateAndAgreesWithTheCpu) {
  constexpr uint32_t kCount = 576;
  const auto x = normal_floats(3 * kCount, 1), update = normal_floats(3 * kCount, 2), w = normal_floats(kCount, 3);
  for (const bool updates : {false, true}) {
    in_both_orders([&] {
      DeviceArray<float> dx(x), du(update), dw(w), normed(3 * kCount);
      Rows rows(3, kCount);
      const NormParams p{dx.data(), updates ? du.data() : nullptr, dw.data(), normed.data(), rows.rows, 3, kCount,
                         1e-5f};
      launch("redraft_norm", norm_shape(p), p);
      for (size_t r = 0; r < 3; ++r) {
        std::vector<float> row(x.begin() + r * kCount, x.begin() + (r + 1) * kCount), expected(kCount);
        for (size_t i = 0; updates && i < kCount; ++i) row[i] += update[r * kCount + i];
        row_rms_norm(row.data(), w.data(), 1e-5f, kCount, expected.data());
        for (size_t i = 0; i < kCount; ++i) {
          EXPECT_EQ(dx[r * kCount + i], row[i]);
          EXPECT_NEAR(normed[r * kCount + i], expected[i], 1e-5);
          EXPECT_NEAR(rows.at(r, i), expected[i], rows.scales[(r * kCount + i) / 32] * 0.51 + 2e-5);
        }
      }
    });
  }
}

TEST(RopeAppendCuda, RotatesAndWritesPagesAsTheCpu) {
  constexpr uint32_t kHeads = 4, kKvHeads = 2, kSize = 32, kRope = 24, kRows = 3;
  const KvLayout layout{1, kKvHeads, kSize, 5};
  const auto q = normal_floats(kRows * kHeads * kSize, 1), k = normal_floats(kRows * kKvHeads * kSize, 2);
  const auto v = normal_floats(k.size(), 3), cosines = normal_floats(40 * kRope / 2, 4), sines = normal_floats(480, 5);
  const std::vector<uint32_t> position = {7, 39, 0}, place = {4 * 16 + 3, 0 * 16 + 15, 2 * 16};
  const auto rotated = [&](std::vector<float> x, size_t head_count) {
    for (size_t row = 0; row < kRows; ++row)
      for (size_t head = 0; head < head_count; ++head)
        for (size_t i = 0; i < kRope / 2; ++i) {
          float* at = &x[(row * head_count + head) * kSize + 2 * i];
          const float c = cosines[position[row] * kRope / 2 + i], s = sines[position[row] * kRope / 2 + i], a = at[0];
          at[0] = a * c - at[1] * s, at[1] = a * s + at[1] * c;
        }
    return x;
  };
  KvCache cache(layout);
  const auto keys = rotated(k, kKvHeads);
  for (size_t r = 0; r < kRows; ++r)
    for (size_t head = 0; head < kKvHeads; ++head) {
      const size_t at = (r * kKvHeads + head) * kSize;
      cache.write_key(0, place[r] / 16, place[r] % 16, head, &keys[at]);
      cache.write_value(0, place[r] / 16, place[r] % 16, head, &v[at]);
    }
  in_both_orders([&] {
    DeviceArray<float> dq(q), dk(k), dv(v), dc(cosines), ds(sines);
    DeviceArray<uint32_t> dp(position), dplace(place);
    DeviceArray<uint16_t> pages(std::vector<uint16_t>(layout.layer_elements()));
    const RopeAppendParams p{dq.data(),    dk.data(), dv.data(), dc.data(), ds.data(), dp.data(), dplace.data(),
                             pages.data(), kRows,     kHeads,    kKvHeads,  kSize,     kRope,     0.5f};
    launch("redraft_rope_append", rope_append_shape(p), p);
    const auto expected = rotated(q, kHeads);
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(dq[i], expected[i] * 0.5f);
    EXPECT_TRUE(std::memcmp(pages.values().data(), cache.layer(0), layout.layer_elements() * 2) == 0);
  });
}

TEST(SwigluCuda, AgreesWithPlainLoops) {
  constexpr uint32_t kCount = 1536;
  const auto gate = normal_floats(2 * kCount, 1, 4), up = normal_floats(2 * kCount, 2);
  in_both_orders([&] {
    DeviceArray<float> dg(gate), du(up);
    Rows rows(2, kCount);
    const SwigluParams p{dg.data(), du.data(), rows.rows, 2, kCount};
    launch("redraft_swiglu", swiglu_shape(p), p);
    for (size_t r = 0; r < 2; ++r)
      for (size_t i = 0; i < kCount; ++i) {
        const double g = gate[r * kCount + i], expected = g / (1 + std::exp(-g)) * up[r * kCount + i];
        EXPECT_NEAR(rows.at(r, i), expected, rows.scales[(r * kCount + i) / 32] * 0.51 + 2e-5);
      }
  });
}

}  // namespace
}  // namespace redraft::cuda
