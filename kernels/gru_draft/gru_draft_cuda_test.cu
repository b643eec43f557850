// The draft head's kernels on the host, against plain loops.
#include "gru_draft.cuh"

#include <algorithm>
#include <numeric>

#include "common/packed_matrix.h"
#include "common/philox.h"
#include "cuda/device_matrix.h"
#include "cuda/host/kernel_test.h"

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

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

TEST(DraftCellCuda, AgreesWithPlainLoops) {
  constexpr uint32_t kRows = 5, kState = 40, kPadded = 64, kX = 48;
  const std::vector<uint32_t> from = {2, 0, 1, 2, 2};
  for (const DraftCell cell : {DraftCell::kGru, DraftCell::kSilu, DraftCell::kSum}) {
    const uint32_t gates = cell == DraftCell::kGru ? 3 * kState : kState;
    const auto xg = normal_floats(kRows * gates, 1), sg = normal_floats(kRows * gates, 2), xb = normal_floats(gates, 3);
    const auto sb = normal_floats(gates, 4), states = normal_floats(3 * kState, 5), x = normal_floats(kRows * kX, 6);
    in_both_orders([&] {
      DeviceArray<float> dxg(xg), dsg(sg), dxb(xb), dsb(sb), dstates(states), dx(x), next(kRows * kState);
      DeviceArray<uint32_t> dfrom(from);
      Rows rows(kRows, kPadded);
      const DraftCellParams p{dxg.data(),     dsg.data(),   dxb.data(),  dsb.data(), dx.data(),
                              dstates.data(), dfrom.data(), next.data(), rows.rows,  kRows,
                              kState,         kX,           cell};
      launch("redraft_draft_cell", draft_cell_shape(p), p);
      for (size_t r = 0; r < kRows; ++r)
        for (size_t i = 0; i < kPadded; ++i) {
          double expected = 0;
          if (i < kState) {
            const double before = states[from[r] * kState + i];
            const auto gate = [&](size_t g) {
              return std::pair{double{xg[r * gates + g * kState + i]} + xb[g * kState + i],
                               double{sg[r * gates + g * kState + i]} + sb[g * kState + i]};
            };
            if (cell == DraftCell::kSum) expected = x[r * kX + i] + before;
            if (cell == DraftCell::kSilu) {
              const double sum = gate(0).first + gate(0).second;
              expected = sum * sigmoid(sum);
            }
            if (cell == DraftCell::kGru) {
              const double reset = sigmoid(gate(0).first + gate(0).second),
                           update = sigmoid(gate(1).first + gate(1).second);
              expected = (1 - update) * std::tanh(gate(2).first + reset * gate(2).second) + update * before;
            }
            EXPECT_NEAR(next[r * kState + i], expected, 1e-5);
          }
          EXPECT_NEAR(rows.at(r, i), expected, 3e-4);
        }
    });
  }
}

TEST(DraftInitCuda, StartsFromTheContextOrFromZero) {
  const auto product = normal_floats(2 * 40, 1), bias = normal_floats(40, 2);
  DeviceArray<float> dp(product), db(bias), state(2 * 40), zero(2 * 40);
  in_both_orders([&] {
    const DraftInitParams p{dp.data(), db.data(), state.data(), 2, 40}, none{nullptr, nullptr, zero.data(), 2, 40};
    launch("redraft_draft_init", draft_init_shape(p), p);
    launch("redraft_draft_init", draft_init_shape(none), none);
  });
  for (size_t i = 0; i < 80; ++i) EXPECT_NEAR(state[i], std::tanh(product[i] + bias[i % 40]), 1e-6);
  EXPECT_EQ(zero.values(), std::vector<float>(80));
  Rows rows(3, 64);
  DeviceArray<uint32_t> from(std::vector<uint32_t>{1, 0, 1});
  const DraftGatherParams gather{state.data(), from.data(), rows.rows, 3, 40};
  launch("redraft_draft_gather", draft_gather_shape(gather), gather);
  for (size_t i = 0; i < 64; ++i) EXPECT_NEAR(rows.at(2, i), i < 40 ? state[40 + i] : 0, 1e-4);
}

TEST(DraftMlpCuda, AgreesWithPlainLoops) {
  constexpr uint32_t kRows = 3, kSize = 48, kPadded = 64;
  const auto product = normal_floats(kRows * kSize, 1), context = normal_floats(2 * kSize, 2),
             bias = normal_floats(kSize, 3);
  const auto start = normal_floats(kRows * kSize, 4), state = normal_floats(kRows * 16, 5);
  const std::vector<uint32_t> sequence = {1, 0, 1};
  in_both_orders([&] {
    for (const int kind : {0, 1, 2, 3}) {  // First with SiLU, first without, concatenation, residual.
      DeviceArray<float> dp(product), dc(context), db(bias), y(start), ds(state);
      DeviceArray<uint32_t> dsequence(sequence);
      Rows rows(kRows, kPadded);
      const DraftMlpParams p{kind == 2 ? nullptr : dp.data(),
                             kind == 3 ? nullptr : dc.data(),
                             dsequence.data(),
                             db.data(),
                             ds.data(),
                             y.data(),
                             rows.rows,
                             kRows,
                             kSize,
                             kind == 2 ? kSize - 16 : kSize,
                             kind == 0};
      launch("redraft_draft_mlp", draft_mlp_shape(p), p);
      for (size_t r = 0; r < kRows; ++r)
        for (size_t i = 0; i < kSize; ++i) {
          const double from_context = kind == 3 ? 0 : context[sequence[r] * p.context_size + i % p.context_size];
          const double sum = double{product[r * kSize + i]} + from_context + bias[i];
          double expected = sum;
          if (kind == 0) expected = sum * sigmoid(sum);
          if (kind == 2) expected = i < 32 ? context[sequence[r] * 32 + i] : state[r * 16 + i - 32];
          if (kind == 3) expected = start[r * kSize + i] + sum * sigmoid(sum);
          EXPECT_NEAR(y[r * kSize + i], expected, 1e-5);
          EXPECT_NEAR(rows.at(r, i), expected, 5e-4);
        }
      EXPECT_EQ(rows.at(0, 50), 0.0f);
    }
  });
}

// Two sequences, row about, of which the second samples.
struct DraftNoise {
  DraftNoise(float temperature_, uint32_t row_count)
      : temperature(temperature_),
        sequences(std::vector<SequenceNoise>{{1, 0, kSeed}, {0, temperature_, kSeed}}),
        slots(slots_at(kComputed)),
        row_sequence(alternating(row_count)) {}
  double at(uint32_t token, uint32_t level) const {
    return -std::log(-std::log((philox_words(kSeed, kComputed + level, token, 0)[0] + 0.5) * 0x1p-32));
  }
  static std::vector<DeviceSlot> slots_at(uint32_t computed_count) {
    std::vector<DeviceSlot> slots(2);
    slots[0].computed_count = computed_count;
    return slots;
  }
  static std::vector<uint32_t> alternating(uint32_t row_count) {
    std::vector<uint32_t> of(row_count);
    for (uint32_t r = 0; r < row_count; ++r) of[r] = r % 2;
    return of;
  }
  static constexpr uint64_t kSeed = 7;
  static constexpr uint32_t kComputed = 40;
  float temperature;
  DeviceArray<SequenceNoise> sequences;
  DeviceArray<DeviceSlot> slots;
  DeviceArray<uint32_t> row_sequence;
};

TEST(DraftRankCuda, GivesTheBestOfASoftmaxOverAll) {
  constexpr uint32_t kIn = 96, kRows = 11, kBest = 9;
  for (const auto& [vocab, bits] : {std::pair{700u, 8u}, {130u, 8u}, {300u, 4u}}) {
    std::vector<uint8_t> bytes(vocab * kIn / 32 * 18, 0x20);  // Q4_0.
    for (size_t i = 0; i < bytes.size(); ++i)
      if (i % 18 > 1) bytes[i] = static_cast<uint8_t>(i * 167 >> 2);
    const PackedMatrix w = bits == 8 ? PackedMatrix::pack_f32(normal_floats(vocab * kIn, 1, 0.2f).data(), vocab, kIn)
                                     : PackedMatrix::pack({WeightType::Q4_0, bytes.data(), vocab, kIn});
    auto x = normal_floats(kRows * kIn, 2), bias = normal_floats(vocab, 3);
    std::vector<uint32_t> map(vocab);
    for (uint32_t i = 0; i < vocab; ++i) map[i] = 3 * i + 1;
    in_both_orders([&] {
      DeviceArray<uint8_t> weights(device_matrix_bytes(w));
      DeviceArray<float> dx(x), dbias(bias), logprobs(kRows * kBest);
      DeviceArray<uint32_t> dmap(map), tokens(kRows * kBest);
      Rows rows(kRows, kIn);
      const QuantiseParams quantise{dx.data(), nullptr, rows.rows, kRows, kIn, kIn};
      launch("redraft_quantise", quantise_shape(quantise), quantise);
      const uint32_t parts = rank_part_count(vocab);
      DeviceArray<RankPart> dparts(kRows * parts);
      // Every second row is of a sequence that samples.
      DraftNoise noise(bits == 4 ? 1.3f : 0.8f, kRows);
      const DraftRankParams p{{weights.data(), vocab, kIn, bits},
                              dbias.data(),
                              rows.rows,
                              dparts.data(),
                              kRows,
                              kBest,
                              0.7f,
                              noise.sequences.data(),
                              noise.slots.data(),
                              noise.row_sequence.data(),
                              dmap.data(),
                              3};
      launch(draft_rank_kernel(p), draft_rank_shape(p), p);
      const DraftRankJoinParams join{dparts.data(), dmap.data(), tokens.data(), logprobs.data(), kRows, parts, kBest};
      launch("redraft_draft_rank_join", draft_rank_join_shape(join), join);
      std::vector<float> row(kIn);
      for (size_t r = 0; r < kRows; ++r) {
        std::vector<double> logits(vocab);
        double total = 0;
        for (size_t o = 0; o < vocab; ++o) {
          w.unpack_row(o, row.data());
          for (size_t i = 0; i < kIn; ++i) logits[o] += double{row[i]} * rows.at(r, i);
          logits[o] = (logits[o] + bias[o]) * 0.7;
          if (r % 2) logits[o] = logits[o] / double{noise.temperature} + noise.at(map[o], 3);
          total += std::exp(logits[o]);
        }
        std::vector<uint32_t> order(vocab);
        std::iota(order.begin(), order.end(), 0);
        std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return logits[a] > logits[b]; });
        for (size_t i = 0; i < kBest; ++i) {
          EXPECT_EQ(tokens[r * kBest + i], map[order[i]]);
          EXPECT_NEAR(logprobs[r * kBest + i], logits[order[i]] - std::log(total), 1e-4);
        }
      }
    });
  }
}

}  // namespace
}  // namespace redraft::cuda
