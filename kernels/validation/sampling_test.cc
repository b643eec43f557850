#include "sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "../common/error.h"
#include "../common/test.h"
#include "../common/test_random.h"
#include "sampling_reference.h"

namespace redraft {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();

// Logits with a few that stand out, as a model's do. coarse: in steps of 1/2, so that many tie.
std::vector<float> random_logits(size_t vocab_size, uint64_t seed, bool coarse) {
  std::vector<float> logits(vocab_size);
  for (size_t i = 0; i < vocab_size; ++i) {
    const double u = philox_uniform(seed, i);
    const double value = 6 * std::sqrt(-std::log(u + 1e-12)) - 9 + (u < 0.01 ? 4 : 0);
    logits[i] = static_cast<float>(coarse ? std::floor(value * 2) / 2 : value);
  }
  return logits;
}

TokenCounts some_counts(size_t vocab_size, uint64_t seed) {
  TokenCounts counts;
  for (uint64_t i = 0; i < 60; ++i) {
    const auto token = static_cast<int32_t>(philox_uniform(seed + 1, i) * static_cast<double>(vocab_size));
    i % 2 ? counts.add_prompt(token) : counts.add_generated(token);
    if (i % 6 == 0) counts.add_generated(token);
  }
  return counts;
}

SamplingParams random_params(uint64_t seed, size_t vocab_size) {
  const auto pick = [&](uint64_t i, std::initializer_list<double> choices) {
    return *(choices.begin() + static_cast<size_t>(philox_uniform(seed, i) * static_cast<double>(choices.size())));
  };
  SamplingParams params;
  params.temperature = static_cast<float>(pick(0, {0, 0.3, 0.8, 1, 2, 5}));
  params.top_k = static_cast<uint32_t>(pick(1, {0, 0, 1, 5, 40, 900, 1e6}));
  params.top_p = static_cast<float>(pick(2, {1, 1, 0.1, 0.6, 0.95, 0.999}));
  params.min_p = static_cast<float>(pick(3, {0, 0, 0.02, 0.2, 1}));
  params.repetition_penalty = static_cast<float>(pick(4, {1, 1, 1.3, 0.7}));
  params.presence_penalty = static_cast<float>(pick(5, {0, 0, 1.5, -0.5}));
  params.frequency_penalty = static_cast<float>(pick(6, {0, 0, 0.7, -0.3}));
  params.seed = seed * 7919;
  if (seed % 3 == 0) params.bias = {{3, 4.0f}, {static_cast<int32_t>(vocab_size) - 1, 2.5f}, {7, -100.0f}};
  return params;
}

TEST(Sampling, AMaskIsTheSameAsLogitsOfMinusInfinity) {
  Sampler sampler;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const size_t vocab_size = 17 + seed % 500;
    const std::vector<float> logits = random_logits(vocab_size, seed, seed % 2);
    std::vector<float> masked = logits;
    std::vector<uint32_t> mask((vocab_size + 31) / 32);
    for (size_t i = 0; i < vocab_size; ++i) {
      const bool allowed = i == seed % vocab_size || philox_uniform(seed + 5, i) < (seed % 4 ? 0.02 : 0.7);
      if (allowed) mask[i / 32] |= 1u << (i % 32);
      else masked[i] = -kInf;
    }
    const SamplingParams params = random_params(seed, vocab_size);
    const TokenCounts counts = some_counts(vocab_size, seed);
    for (uint64_t position = 0; position < 8; ++position) {
      const int32_t token = sampler.draw(logits.data(), vocab_size, params, counts, position, mask.data());
      EXPECT_EQ(token, sampler.draw(masked.data(), vocab_size, params, counts, position));
      EXPECT_TRUE(masked[static_cast<size_t>(token)] > -kInf);
    }
  }
}

TEST(Sampling, EveryWarperAgreesWithThePlainReference) {
  Sampler sampler;
  int near_ties = 0;
  for (uint64_t seed = 0; seed < 600; ++seed) {
    const size_t vocab_size = seed % 5 == 0 ? 3000 : 17 + seed % 500;
    const std::vector<float> logits = random_logits(vocab_size, seed, seed % 2);
    const TokenCounts counts = some_counts(vocab_size, seed);
    const SamplingParams params = random_params(seed, vocab_size);
    check_sampling(params, vocab_size);
    const std::vector<double> expected = sampling_reference(logits, params, counts);
    for (uint64_t position = 0; position < 25; ++position) {
      const int32_t token = sampler.draw(logits.data(), vocab_size, params, counts, position);
      if (params.greedy()) {
        EXPECT_EQ(expected[token], 1.0);
        continue;
      }
      EXPECT_TRUE(expected[token] > 0);
      const ReferenceDraw want = reference_draw(logits, params, counts, position);
      if (token == want.token) continue;
      // f32 scores move by some 10^-6: of two that are this near to each other, either may win.
      ++near_ties;
      EXPECT_TRUE(want.margin < 1e-5);
    }
  }
  EXPECT_TRUE(near_ties < 5);
}

TEST(Sampling, WhatLiesDeepUnderThePeakIsDrawnAsOftenAsItShould) {
  // A peak, and 20,000 tokens nine temperatures under it, which hold 71 % of the weight.
  std::vector<float> logits(20001, 1.0f);
  logits[777] = 10;
  SamplingParams params;
  params.temperature = 1, params.seed = 4;
  Sampler sampler;
  const double rest = 20000 * std::exp(-9.0), expected = 1 / (1 + rest);
  int peaks = 0, low_half = 0;
  const int draw_count = 20000;
  for (uint64_t position = 0; position < draw_count; ++position) {
    const int32_t token = sampler.draw(logits.data(), logits.size(), params, TokenCounts(), position);
    peaks += token == 777;
    low_half += token != 777 && token <= 10000;
  }
  EXPECT_NEAR(peaks / double{draw_count}, expected, 4 * std::sqrt(expected * (1 - expected) / draw_count));
  const double half = (1 - expected) / 2;
  EXPECT_NEAR(low_half / double{draw_count}, half, 4 * std::sqrt(half * (1 - half) / draw_count));
}

TEST(Sampling, DrawsFollowTheDistribution) {
  const std::vector<float> logits = {1.0f, 2.0f, 0.5f, -1.0f, 2.0f};
  SamplingParams params;
  params.temperature = 0.7f;
  params.seed = 12345;
  const TokenCounts none;
  const std::vector<double> expected = sampling_reference(logits, params, none);
  std::vector<int> drawn(5);
  Sampler sampler;
  const int draw_count = 100000;
  for (int i = 0; i < draw_count; ++i) ++drawn[sampler.draw(logits.data(), 5, params, none, static_cast<uint64_t>(i))];
  for (size_t i = 0; i < 5; ++i) {
    const double deviation = std::sqrt(expected[i] * (1 - expected[i]) / draw_count);
    EXPECT_NEAR(static_cast<double>(drawn[i]) / draw_count, expected[i], 4 * deviation);
  }
}

TEST(Sampling, TiesGoToTheLowerToken) {
  Sampler sampler;
  const TokenCounts none;
  SamplingParams params;
  const std::vector<float> tied = {0, 3, 1, 3, 3};
  EXPECT_EQ(sampler.draw(tied.data(), 5, params, none, 0), 1);
  params.temperature = 1;
  params.top_k = 2;  // Of the three that tie, 1 and 3.
  for (uint64_t position = 0; position < 100; ++position) {
    const int32_t token = sampler.draw(tied.data(), 5, params, none, position);
    EXPECT_TRUE(token == 1 || token == 3);
  }
  params.top_k = 0;
  params.top_p = 0.3f;  // The first of the three has 0.31.
  for (uint64_t position = 0; position < 100; ++position)
    EXPECT_EQ(sampler.draw(tied.data(), 5, params, none, position), 1);
}

TEST(Sampling, NanAndInfinity) {
  Sampler sampler;
  const TokenCounts none;
  for (const float temperature : {0.0f, 1.0f}) {
    SamplingParams params;
    params.temperature = temperature;
    const std::vector<float> one = {kNan, -kInf, 2, kNan}, infinite = {1, kInf, 2}, nothing = {kNan, -kInf};
    for (uint64_t position = 0; position < 50; ++position) {
      EXPECT_EQ(sampler.draw(one.data(), 4, params, none, position), 2);
      EXPECT_EQ(sampler.draw(infinite.data(), 3, params, none, position), 1);
    }
    EXPECT_THROW(sampler.draw(nothing.data(), 2, params, none, 9), REDRAFT_INTERNAL, "position 9");
    params.top_k = 2, params.top_p = 0.5f, params.min_p = 0.1f;
    EXPECT_EQ(sampler.draw(one.data(), 4, params, none, 0), 2);
  }
}

TEST(Sampling, ALowTemperatureIsGreedyAndAHighOneFlat) {
  const std::vector<float> logits = random_logits(1000, 5, false);
  const TokenCounts none;
  Sampler sampler;
  SamplingParams greedy, cold, hot;
  cold.temperature = 1e-4f;
  hot.temperature = 1e30f;
  double sum = 0;
  for (uint64_t position = 0; position < 2000; ++position) {
    const int32_t best = sampler.draw(logits.data(), 1000, greedy, none, position);
    EXPECT_EQ(sampler.draw(logits.data(), 1000, cold, none, position), best);
    sum += sampler.draw(logits.data(), 1000, hot, none, position);
  }
  EXPECT_NEAR(sum / 2000, 499.5, 30);
}

TEST(Sampling, LogprobsAreTheTargetsOwn) {
  Sampler sampler;
  std::vector<float> logits = random_logits(5000, 8, true);
  logits[17] = kNan;
  SamplingParams plain;
  plain.temperature = 1;
  const std::vector<double> expected = sampling_reference(logits, plain, TokenCounts());
  std::vector<TokenLogprob> out(21);
  sampler.logprobs(logits.data(), logits.size(), 40, 20, out.data());
  EXPECT_EQ(out[0].token, 40);
  for (const TokenLogprob& item : out) EXPECT_NEAR(item.logprob, std::log(expected[item.token]), 1e-5);
  for (size_t i = 2; i < out.size(); ++i) {
    EXPECT_TRUE(out[i].logprob < out[i - 1].logprob ||
                (out[i].logprob == out[i - 1].logprob && out[i].token > out[i - 1].token));
  }
  sampler.logprobs(logits.data(), logits.size(), 17, 0, out.data());
  EXPECT_EQ(out[0].logprob, -kInf);
}

TEST(Sampling, RefusesBadParameters) {
  const auto refuses = [](const char* field, auto&& spoil) {
    SamplingParams params;
    spoil(params);
    EXPECT_THROW(check_sampling(params, 100), REDRAFT_BAD_PLAN, field);
  };
  refuses("temperature", [](auto& p) { p.temperature = -1; });
  refuses("temperature", [](auto& p) { p.temperature = kNan; });
  refuses("temperature", [](auto& p) { p.temperature = kInf; });
  refuses("top_p", [](auto& p) { p.top_p = 0; });
  refuses("top_p", [](auto& p) { p.top_p = kNan; });
  refuses("min_p", [](auto& p) { p.min_p = 1.5f; });
  refuses("repetition_penalty", [](auto& p) { p.repetition_penalty = 0; });
  refuses("presence_penalty", [](auto& p) { p.presence_penalty = kNan; });
  refuses("frequency_penalty", [](auto& p) { p.frequency_penalty = kInf; });
  refuses("logprobs", [](auto& p) { p.logprobs = 22; });
  refuses("outside the vocabulary", [](auto& p) { p.bias = {{100, 1}}; });
  refuses("outside the vocabulary", [](auto& p) { p.bias = {{-1, 1}}; });
  refuses("must be a number", [](auto& p) { p.bias = {{5, kNan}}; });
  refuses("twice", [](auto& p) { p.bias = {{5, 1}, {6, 1}, {5, 2}}; });
  refuses("too many", [](auto& p) { p.bias.resize(REDRAFT_BIAS_MAX + 1); });
  check_sampling(SamplingParams(), 100);
}

TEST(TokenCounts, CountsWhatWasAddedAndTakenBack) {
  TokenCounts counts;
  std::vector<uint32_t> prompt(3000), generated(3000);
  EXPECT_EQ(counts.generated_count(5), 0u);
  for (uint64_t i = 0; i < 20000; ++i) {
    const auto token = static_cast<int32_t>(philox_uniform(1, i) * 3000);
    const double what = philox_uniform(2, i);
    if (what < 0.3) counts.add_prompt(token), ++prompt[token];
    else if (what < 0.7) counts.add_generated(token), ++generated[token];
    else if (generated[token] > 0) counts.remove_generated(token), --generated[token];
  }
  for (int32_t token = 0; token < 3000; ++token) {
    EXPECT_EQ(counts.prompt_count(token), prompt[token]);
    EXPECT_EQ(counts.generated_count(token), generated[token]);
  }
  for (const auto& entry : counts.entries()) EXPECT_EQ(entry.prompt_count, prompt[entry.token]);
  counts.clear();
  EXPECT_EQ(counts.entries().size(), size_t{0});
  EXPECT_EQ(counts.prompt_count(7), 0u);
  EXPECT_THROW(counts.remove_generated(7), REDRAFT_INTERNAL, "assertion");
}

}  // namespace
}  // namespace redraft
