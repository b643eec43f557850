// sampling.cu on the host: against the CPU's draws, the reference's distribution, and itself.
#include "sampling.cuh"

#include <algorithm>

#include "common/philox.h"
#include "cuda/host/kernel_test.h"
#include "sampling.h"
#include "sampling_reference.h"

namespace redraft::cuda {
namespace {

using namespace cuda_host;
using test::fail;

DeviceSampling device_params(const SamplingParams& p) {
  return {p.temperature,
          p.top_p,
          p.min_p,
          p.repetition_penalty,
          p.presence_penalty,
          p.frequency_penalty,
          p.top_k,
          static_cast<uint32_t>(p.bias.size()),
          p.seed};
}

// Draws from the same logits at positions first, first + 1, ...
std::vector<int32_t> draw_many(const std::vector<float>& logits, const SamplingParams& params,
                               const TokenCounts& counts, uint64_t first, uint32_t draws,
                               const std::vector<uint32_t>& path = {}) {
  const uint32_t vocab = static_cast<uint32_t>(logits.size());
  std::vector<SampleRow> rows(draws);
  for (uint32_t i = 0; i < draws; ++i) rows[i] = {1, 0, first + i, static_cast<uint32_t>(path.size()), 0};
  std::vector<uint32_t> token_counts(2 * vocab), bias_tokens(2 * kSampleBiasMax);
  std::vector<float> bias_values(2 * kSampleBiasMax);
  for (const auto& entry : counts.entries())
    token_counts[vocab + static_cast<uint32_t>(entry.token)] =
        entry.generated_count | (entry.prompt_count ? kInPrompt : 0);
  for (size_t i = 0; i < params.bias.size(); ++i) {
    bias_tokens[kSampleBiasMax + i] = static_cast<uint32_t>(params.bias[i].token);
    bias_values[kSampleBiasMax + i] = params.bias[i].logprob;
  }
  DeviceArray<float> dlogits(logits), adjusted(size_t{draws} * vocab), dvalues(bias_values);
  DeviceArray<SampleRow> drows(rows);
  DeviceArray<uint32_t> dpaths(path), dtokens(bias_tokens), dcounts(token_counts);
  DeviceArray<DeviceSampling> sampling(std::vector<DeviceSampling>{{}, device_params(params)});
  DeviceArray<int32_t> drawn(draws);
  const SampleParams p{dlogits.data(), adjusted.data(), drows.data(), dpaths.data(), sampling.data(), dtokens.data(),
                       dvalues.data(), dcounts.data(),  nullptr,      drawn.data(),  draws,           vocab};
  launch("redraft_sample", sample_shape(p), p);
  return drawn.values();
}

std::vector<SamplingParams> all_params() {
  std::vector<SamplingParams> all(10);
  all[1].temperature = 0.8f;
  all[2].temperature = 1.5f, all[2].top_k = 7;
  all[3].temperature = 1, all[3].top_p = 0.7f;
  all[4].temperature = 1.2f, all[4].min_p = 0.1f;
  all[5].temperature = 1, all[5].top_k = 20, all[5].top_p = 0.5f, all[5].min_p = 0.01f;
  all[6].temperature = 0.9f, all[6].repetition_penalty = 1.3f, all[6].presence_penalty = 0.4f;
  all[7].temperature = 1, all[7].frequency_penalty = 0.3f, all[7].bias = {{3, 2.0f}, {90, -5.0f}}, all[7].top_p = 0.9f;
  all[8].temperature = 0.7f, all[8].top_k = 1;
  all[9].repetition_penalty = 1.8f, all[9].bias = {{5, 1.5f}};  // Greedy.
  for (size_t i = 0; i < all.size(); ++i) all[i].seed = 0x1234567890ull + i;
  return all;
}

TokenCounts some_counts() {
  TokenCounts counts;
  for (const int32_t token : {1, 4, 4, 50}) counts.add_prompt(token);
  for (const int32_t token : {4, 7, 7, 7, 90}) counts.add_generated(token);
  return counts;
}

TEST(SamplingCuda, DrawsTheTokensOfTheCpu) {
  const TokenCounts counts = some_counts();
  Sampler sampler;
  for (const SamplingParams& params : all_params()) {
    const auto logits = normal_floats(1500, static_cast<uint32_t>(params.seed), 3);
    std::vector<int32_t> expected;
    for (uint64_t position = 100; position < 112; ++position)
      expected.push_back(sampler.draw(logits.data(), logits.size(), params, counts, position));
    EXPECT_EQ(draw_many(logits, params, counts, 100, 12), expected);
  }
}

TEST(SamplingCuda, CountsTheRowsOwnPathAsGenerated) {
  TokenCounts counts = some_counts();
  SamplingParams params;
  params.temperature = 1, params.frequency_penalty = 0.8f, params.repetition_penalty = 1.2f;
  const auto logits = normal_floats(100, 4, 2);
  const auto got = draw_many(logits, params, counts, 5, 20, {7, 12, 12});
  for (const int32_t token : {7, 12, 12}) counts.add_generated(token);
  Sampler sampler;
  for (uint64_t i = 0; i < 20; ++i)
    EXPECT_EQ(got[i], sampler.draw(logits.data(), logits.size(), params, counts, 5 + i));
}

TEST(SamplingCuda, IsDistributedAsTheReference) {
  const TokenCounts counts = some_counts();
  constexpr uint32_t kDraws = 400;
  for (const size_t which : {2, 5, 7}) {
    const SamplingParams params = all_params()[which];
    const auto logits = normal_floats(100, 7, 1.5f);
    const auto expected = sampling_reference(logits, params, counts);
    std::vector<double> seen(logits.size());
    for (const int32_t token : draw_many(logits, params, counts, 0, kDraws)) ++seen[static_cast<size_t>(token)];
    double chi = 0, rest_expected = 0, rest_seen = 0;
    int cells = 0;
    for (size_t i = 0; i < logits.size(); ++i) {
      const double want = expected[i] * kDraws;
      if (want == 0) EXPECT_EQ(seen[i], 0.0);
      if (want < 8) rest_expected += want, rest_seen += seen[i];
      else chi += (seen[i] - want) * (seen[i] - want) / want, ++cells;
    }
    if (rest_expected > 5) chi += (rest_seen - rest_expected) * (rest_seen - rest_expected) / rest_expected, ++cells;
    EXPECT_TRUE(chi < cells + 4.5 * std::sqrt(2.0 * cells) + 5);  // Far out in the tail of chi-square.
  }
}

TEST(SamplingCuda, KeepsTheLowestOfEquals) {
  // Five equals, of which three are kept, and one above them behind the fourth.
  std::vector<float> logits(1200, -40.0f);
  for (const size_t i : {5, 40, 700, 900, 1150}) logits[i] = 2;
  logits[950] = 2.5f;
  SamplingParams top_k, top_p;
  top_k.temperature = top_p.temperature = 1;
  top_k.top_k = 4;
  top_p.top_p = 0.65f;
  for (const SamplingParams& params : {top_k, top_p}) {
    std::vector<int> seen(1200);
    for (const int32_t token : draw_many(logits, params, {}, 0, 90)) ++seen[static_cast<size_t>(token)];
    EXPECT_TRUE(seen[5] > 8 && seen[40] > 8 && seen[700] > 8 && seen[950] > 8);
    EXPECT_EQ(seen[5] + seen[40] + seen[700] + seen[950], 90);
  }
  logits[950] = 2;
  EXPECT_EQ(draw_many(logits, {}, {}, 0, 1), (std::vector<int32_t>{5}));
}

TEST(SamplingCuda, SaysWhereNothingCanBeDrawn) {
  const std::vector<float> nothing(50, -INFINITY), nans(50, std::nanf(""));
  SamplingParams params;
  for (const float temperature : {0.0f, 1.0f}) {
    params.temperature = temperature;
    EXPECT_EQ(draw_many(nothing, params, {}, 0, 1)[0], -1);
    EXPECT_EQ(draw_many(nans, params, {}, 0, 1)[0], -1);
  }
}

TEST(SamplingCuda, ObeysAGrammarsMaskInBothOrders) {
  const auto logits = normal_floats(70, 3, 2);
  const std::vector<uint32_t> allowed = {~0u, ~0u, ~0u, 1u << 9, 1u << 31, 1u << 5};  // 9, 63, 69.
  in_both_orders([&] {
    for (const float temperature : {0.0f, 2.0f}) {
      DeviceArray<float> dlogits(logits), adjusted(140), values(kSampleBiasMax);
      // Of two rows with the same logits the first is free, the other one masked, behind another's mask.
      DeviceArray<SampleRow> rows(std::vector<SampleRow>{{0, 0, 17, 0, 0}, {0, 0, 17, 0, 0, 3}});
      DeviceArray<uint32_t> paths(1), tokens(kSampleBiasMax), counts(std::vector<uint32_t>(70)), mask(allowed);
      DeviceSampling s{temperature, 1, 0, 1, 0, 0, 0, 0, 3};
      DeviceArray<DeviceSampling> sampling(std::vector<DeviceSampling>{s});
      DeviceArray<int32_t> drawn(2);
      const SampleParams p{dlogits.data(),
                           adjusted.data(),
                           rows.data(),
                           paths.data(),
                           sampling.data(),
                           tokens.data(),
                           values.data(),
                           counts.data(),
                           mask.data(),
                           drawn.data(),
                           2,
                           70};
      launch("redraft_sample", sample_shape(p), p);
      EXPECT_TRUE(drawn[1] == 9 || drawn[1] == 63 || drawn[1] == 69);
      if (temperature > 0) continue;
      EXPECT_TRUE(logits[static_cast<size_t>(drawn[1])] == std::fmax(logits[9], std::fmax(logits[63], logits[69])));
      EXPECT_TRUE(logits[static_cast<size_t>(drawn[0])] == *std::max_element(logits.begin(), logits.end()));
    }
  });
}

}  // namespace
}  // namespace redraft::cuda
