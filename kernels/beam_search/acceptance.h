// What a draft token is worth: how often tokens of its kind were accepted. The head's own probabilities are of another
// distribution than what is drawn (greedy takes the best token alone), and a lookup has none; measured rates rank both
// on one scale, so that packed tokens are the likeliest to be accepted and a budget can be weighed against its cost.
// Each sequence learns from what it accepts, and starts from what the engine's sequences before it did; the first of
// all starts from rates measured on training prompts.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace redraft {

// What speaks for a draft token after a given path.
struct DraftEvidence {
  bool head_ran = false;       // The head ranked this place's candidates.
  bool head_proposed = false;  // The token is among them ...
  float head_logprob = 0;      // ... with this.
  int32_t match = 0;           // Tokens that agree in the place's longest lookup; 0 = no lookup.
  bool looked_up = false;      // The token is what that longest lookup found.
};

inline constexpr size_t kHeadKinds = 12;  // Not run, not proposed, then ten classes of probability.
inline constexpr size_t kMatchKinds = 9;  // 0, 1, 2, 3, 4, 5-6, 7-10, 11-15, 16.
inline constexpr size_t kDraftKinds = kHeadKinds * kMatchKinds * 2;
// Of a token that the engine did not draft itself: nothing is learnt from it.
inline constexpr uint16_t kNoDraftKind = 0xffff;

// The kind of a token, in [0, kDraftKinds).
uint16_t draft_kind(const DraftEvidence& evidence);

class AcceptanceTable {
 public:
  // sampled: tokens are drawn at a temperature above 0, so that fewer of a kind are accepted.
  explicit AcceptanceTable(bool sampled = false) : sampled_(sampled) {}
  // One that starts from the rates of another, which must outlive it and may go on learning.
  explicit AcceptanceTable(const AcceptanceTable* start) : start_(start) {}
  // log of the rate, always below 0.
  float logprob(uint16_t kind) const;
  // A token of this kind was verified after an accepted path.
  void count(uint16_t kind, bool accepted);

 private:
  float rate(uint16_t kind) const;

  const AcceptanceTable* start_ = nullptr;
  bool sampled_ = false;
  std::array<uint16_t, kDraftKinds> tried_{}, accepted_{};
};

}  // namespace redraft
