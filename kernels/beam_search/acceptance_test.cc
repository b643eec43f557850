#include "acceptance.h"

#include <cmath>
#include <set>

#include "../common/error.h"
#include "../common/test.h"
#include "acceptance_rates.h"

namespace redraft {
namespace {

DraftEvidence proposed(float probability, int32_t match = 0, bool looked_up = false) {
  return {true, true, std::log(probability), match, looked_up};
}

TEST(Acceptance, KindsTellEvidenceApart) {
  std::set<uint16_t> kinds;
  for (const float probability : {0.01f, 0.03f, 0.07f, 0.15f, 0.3f, 0.4f, 0.6f, 0.8f, 0.9f, 0.99f})
    for (const int32_t match : {0, 1, 2, 3, 4, 5, 7, 11, 16})
      for (const bool looked_up : {false, true}) kinds.insert(draft_kind(proposed(probability, match, looked_up)));
  EXPECT_EQ(kinds.size(), size_t{10 * 9 * 2});
  for (const int32_t match : {1, 2, 3, 4, 6, 10, 15, 16}) {
    kinds.insert(draft_kind({false, false, 0, match, true}));
    kinds.insert(draft_kind({true, false, 0, match, true}));
  }
  EXPECT_EQ(kinds.size(), size_t{10 * 9 * 2 + 16});
  for (const uint16_t kind : kinds) EXPECT_TRUE(kind < kDraftKinds);
  EXPECT_EQ(draft_kind(proposed(1.5f)), draft_kind(proposed(0.99f)));  // Rounding may pass 1.
}

TEST(Acceptance, StartsFromTheMeasuredRates) {
  for (const bool sampled : {false, true}) {
    const AcceptanceTable table(sampled);
    for (uint16_t kind = 0; kind < kDraftKinds; ++kind) {
      EXPECT_TRUE(table.logprob(kind) < 0);
      EXPECT_TRUE(std::fabs(std::exp(table.logprob(kind)) - kAcceptanceRates[sampled][kind] / 1000.0f) < 1e-3f);
    }
  }
}

TEST(Acceptance, ASequenceStartsFromWhatOthersLearnt) {
  AcceptanceTable all;
  const uint16_t kind = draft_kind(proposed(0.3f));
  AcceptanceTable own(&all);
  EXPECT_EQ(own.logprob(kind), all.logprob(kind));
  for (int i = 0; i < 400; ++i) all.count(kind, i % 10 != 0);
  EXPECT_EQ(own.logprob(kind), all.logprob(kind));
  EXPECT_TRUE(std::fabs(std::exp(own.logprob(kind)) - 0.9f) < 0.05f);
  const float before = all.logprob(kind);
  for (int i = 0; i < 200; ++i) own.count(kind, false);
  EXPECT_TRUE(std::exp(own.logprob(kind)) < 0.15f);
  EXPECT_EQ(all.logprob(kind), before);
}

TEST(Acceptance, LearnsWhatIsAccepted) {
  AcceptanceTable table;
  const uint16_t kind = draft_kind(proposed(0.3f)), other = draft_kind(proposed(0.6f));
  const float other_before = table.logprob(other);
  for (int i = 0; i < 3000; ++i) table.count(kind, i % 4 != 0);
  EXPECT_TRUE(std::fabs(std::exp(table.logprob(kind)) - 0.75f) < 0.03f);
  EXPECT_EQ(table.logprob(other), other_before);
  for (int i = 0; i < 3000; ++i) table.count(kind, false);
  EXPECT_TRUE(std::exp(table.logprob(kind)) < 0.05f);
  for (int i = 0; i < 3000; ++i) table.count(kind, true);
  EXPECT_TRUE(table.logprob(kind) < 0);
  EXPECT_THROW(table.count(kDraftKinds, true), REDRAFT_INTERNAL, "assertion");
}

}  // namespace
}  // namespace redraft
