#include <cmath>

#include "gru_draft_test_support.h"

namespace redraft {
namespace {

// The target's draw takes the largest logit / temperature + noise, so that is what the head must rank by.
TEST(GruDraft, ASampledRowIsRankedWithTheNoiseOfItsDraw) {
  Head head;
  make_ours(head, "gru");
  const DraftHead loaded = DraftHead::load(head.directory(), kTarget);
  ThreadPool pool(1);
  DraftRun run(loaded, embed);
  constexpr size_t k = kDraftCandidatesMax;
  constexpr float kTemperature = 0.6f;
  size_t compared = 0;
  for (uint64_t seed = 1; seed < 9; ++seed) {
    const auto hidden = hidden_of(seed);
    run.begin(pool, hidden.data(), kHidden, 1);
    const DraftRow rows[] = {{0, 44, 0, {}}, {0, 44, 0, {kTemperature, seed, 12}}};
    TokenLogprob plain[2 * k];
    run.step(pool, rows, 2, k, plain);
    const TokenLogprob* noisy = plain + k;
    // Scores differ from log-probabilities by one number for all tokens of a row.
    double offset = NAN;
    for (size_t i = 0; i < k && noisy[i].token >= 0; ++i) {
      if (i > 0) EXPECT_TRUE(noisy[i].logprob <= noisy[i - 1].logprob);
      for (size_t j = 0; j < k; ++j) {
        if (plain[j].token != noisy[i].token) continue;
        const uint32_t word = philox_words(seed, 12, static_cast<uint32_t>(plain[j].token), 0)[0];
        const double score = plain[j].logprob / kTemperature - std::log(-std::log((word + 0.5) * 0x1p-32));
        if (std::isnan(offset)) offset = score - noisy[i].logprob;
        EXPECT_NEAR(score - noisy[i].logprob, offset, 1e-4);
        ++compared;
      }
    }
  }
  EXPECT_TRUE(compared > 40);
}

}  // namespace
}  // namespace redraft
