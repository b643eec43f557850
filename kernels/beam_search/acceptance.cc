#include "acceptance.h"

#include <algorithm>
#include <cmath>

#include "../common/error.h"
#include "acceptance_rates.h"

namespace redraft {
namespace {

// As many tokens of its own count as much as the rate that a kind starts from.
constexpr float kStartWeight = 24;
constexpr uint16_t kTriedMax = 512;  // Then both counts are halved: what a text was like long ago matters less.

size_t head_kind(const DraftEvidence& evidence) {
  if (!evidence.head_ran) return 0;
  if (!evidence.head_proposed) return 1;
  constexpr float kEdges[] = {0.02f, 0.05f, 0.1f, 0.2f, 0.35f, 0.5f, 0.7f, 0.85f, 0.95f};
  const float probability = std::exp(evidence.head_logprob);
  return 2 + static_cast<size_t>(std::upper_bound(std::begin(kEdges), std::end(kEdges), probability) - kEdges);
}

size_t match_kind(int32_t match) {
  constexpr int32_t kEdges[] = {1, 2, 3, 4, 5, 7, 11, 16};
  return static_cast<size_t>(std::upper_bound(std::begin(kEdges), std::end(kEdges), match) - kEdges);
}

}  // namespace

uint16_t draft_kind(const DraftEvidence& evidence) {
  const size_t kind = (head_kind(evidence) * kMatchKinds + match_kind(evidence.match)) * 2 + evidence.looked_up;
  return static_cast<uint16_t>(kind);
}

float AcceptanceTable::rate(uint16_t kind) const {
  const float start = start_ ? start_->rate(kind) : static_cast<float>(kAcceptanceRates[sampled_][kind]) / 1000;
  return (start * kStartWeight + static_cast<float>(accepted_[kind])) /
         (kStartWeight + static_cast<float>(tried_[kind]));
}

float AcceptanceTable::logprob(uint16_t kind) const {
  REDRAFT_ASSERT(kind < kDraftKinds);
  return std::log(std::clamp(rate(kind), 0.001f, 0.999f));
}

void AcceptanceTable::count(uint16_t kind, bool accepted) {
  REDRAFT_ASSERT(kind < kDraftKinds);
  if (tried_[kind] == kTriedMax) tried_[kind] /= 2, accepted_[kind] /= 2;
  ++tried_[kind];
  accepted_[kind] = static_cast<uint16_t>(accepted_[kind] + accepted);
}

}  // namespace redraft
