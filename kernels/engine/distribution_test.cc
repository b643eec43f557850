// What the engine samples with speculation on is distributed as the target's own logits say: the whole way through the
// C ABI, from the plan to the tokens of verified trees.
#include <cmath>

#include "../common/chi_square.h"
#include "engine_test_support.h"

using namespace redraft;
using namespace redraft::test;

namespace {

constexpr uint32_t kSlots = 8, kSamples = 100000;  // Each sample draws two tokens: one after context, one in a tree.
constexpr size_t kPromptTokens = REDRAFT_PAGE_TOKENS + 1;

std::vector<uint32_t> page_and_one() {
  std::vector<uint32_t> tokens = prompt();
  tokens.resize(kPromptTokens);
  return tokens;
}

std::vector<double> distribution(const Opened& engine, const std::vector<uint32_t>& tokens) {
  std::vector<float> logits(kVocab);
  EXPECT_EQ(redraft_hidden(engine.handle, tokens.data(), tokens.size(), nullptr, logits.data(), tokens.size() - 1),
            REDRAFT_OK);
  std::vector<double> weights(kVocab);
  double sum = 0;
  for (uint32_t t = 0; t < kVocab; ++t) sum += weights[t] = std::exp(double{logits[t]});
  for (double& weight : weights) weight /= sum;
  return weights;
}

// Expected counts of each pair of tokens after the prompt, [kVocab * kVocab].
std::vector<double> expected_pairs(const Opened& engine, double sample_count) {
  std::vector<double> expected;
  std::vector<uint32_t> tokens = page_and_one();
  const std::vector<double> first = distribution(engine, tokens);
  for (uint32_t a = 0; a < kVocab; ++a) {
    tokens.push_back(a);
    for (const double p : distribution(engine, tokens)) expected.push_back(sample_count * first[a] * p);
    tokens.pop_back();
  }
  return expected;
}

struct Sampled {
  std::vector<double> pairs = std::vector<double>(kVocab * kVocab);
  uint32_t accepted = 0;
};

Sampled sample_pairs(const Opened& engine, uint32_t sample_count, float temperature) {
  const std::vector<uint32_t> tokens = page_and_one();
  std::vector<uint32_t> result;
  Record shared{0, REDRAFT_PLAN_RESET, 0, tokens, {}, {0, 1}};  // Page 0: the prefix of all samples.
  EXPECT_EQ(engine.step(plan_words({shared}), &result), REDRAFT_OK);
  Sampled sampled;
  for (uint32_t begin = 0; begin < sample_count; begin += kSlots) {
    std::vector<Record> starts, draws;
    for (uint32_t slot = 0; slot < kSlots; ++slot) {
      Record record{slot, REDRAFT_PLAN_RESET | REDRAFT_PLAN_SAMPLE, REDRAFT_PAGE_TOKENS, {tokens.back()}, tokens, {}};
      record.history.pop_back();
      record.pages = {0, 2 + 2 * slot, 3 + 2 * slot};
      record.width = 4, record.length = 3, record.packed = 8, record.path_max = 8;
      record.sampling = {temperature, begin + slot, 1, {}};
      starts.push_back(record);
      draws.push_back({slot, REDRAFT_PLAN_SAMPLE, kPromptTokens, {}, {}, {}});
    }
    uint32_t first[kSlots];
    for (const auto* records : {&starts, &draws}) {
      if (engine.step(plan_words(*records), &result) != REDRAFT_OK) {
        fail(__FILE__, __LINE__) << engine.last_error() << "\n";
        return sampled;
      }
      size_t at = kResultHeader;
      for (uint32_t slot = 0; slot < kSlots; ++slot, at += result[at] / 4) {
        const uint32_t token = result[at + kResultWords];
        if (records == &starts) first[slot] = token;
        else ++sampled.pairs[first[slot] * kVocab + token], sampled.accepted += result[at + 5] > 0;
      }
    }
  }
  return sampled;
}

}  // namespace

TEST(Distribution, IsTheTargetsWithSpeculationOn) {
  const Opened engine;
  const Sampled sampled = sample_pairs(engine, kSamples, 1.0f);
  EXPECT_TRUE(sampled.accepted > kSamples / 50);  // Trees took part.
  EXPECT_TRUE(chi_square_p(expected_pairs(engine, kSamples), sampled.pairs) > 0.001);
}

TEST(Distribution, TheSameTestCatchesABiasedSampler) {
  const Opened engine;
  const Sampled sampled = sample_pairs(engine, kSamples, 1.02f);  // A sampler that flattens by 2 %.
  EXPECT_TRUE(chi_square_p(expected_pairs(engine, kSamples), sampled.pairs) < 0.001);
}
