// The target's draw of one token from one row of its logits. Deterministic: the same row, parameters, counts, seed and
// position give the same token, whatever else is in the batch.
// Order, as vLLM's: bias; penalties (repetition, frequency, presence); temperature; min-p; top-k; top-p.
// The draw is the Gumbel-max rule: the largest logit / temperature + noise wins, the noise depending on (seed,
// position, token) alone. A drafter that adds the same noise to its own logits agrees far more often than one that
// draws for itself (Daliri, Musco, Suresh, "Coupling without communication and drafter-invariant speculative decoding",
// 2024), and the noise it needs is known before the target has run.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../common/aligned.h"
#include "../common/noise.h"
#include "../common/row_math.h"
#include "../common/token_logprob.h"
#include "token_counts.h"

namespace redraft {

// The sampling block of a plan (redraft.h).
struct SamplingParams {
  float temperature = 0;         // Below 1e-5: greedy, as vLLM.
  uint32_t top_k = 0;            // 0 = off.
  float top_p = 1;               // 1 = off.
  float min_p = 0;               // 0 = off.
  float repetition_penalty = 1;  // Tokens of the prompt and generated ones.
  float presence_penalty = 0;    // Generated ones.
  float frequency_penalty = 0;   // Generated ones.
  uint64_t seed = 0;
  uint32_t logprobs = 0;           // 0 = none, 1 + n = the drawn token's and the n best.
  std::vector<TokenLogprob> bias;  // logprob is what is added; tokens all different.

  bool greedy() const { return temperature < 1e-5f; }
  bool uses_counts() const { return repetition_penalty != 1 || presence_penalty != 0 || frequency_penalty != 0; }
};

// Throws Error(REDRAFT_BAD_PLAN) that names the field: a NaN, a negative temperature, top_p outside (0, 1], min_p
// outside [0, 1], a repetition penalty that is not positive, a bias on an unknown or repeated token, too many logprobs.
void check_sampling(const SamplingParams& params, size_t vocab_size);

// Holds scratch of up to 5 words a token of the vocabulary, taken when first needed. One per thread.
class Sampler {
 public:
  // logits: [vocab_size], not changed. position: absolute, of the token drawn. NaN counts as -infinity; among equal
  // logits (greedy) or at the edge of top-k and top-p the lower token comes first. counts: read if uses_counts().
  // mask: null, or [ceil(vocab_size / 32)]: a token whose bit is not set counts as -infinity from the start.
  // Throws Error(REDRAFT_INTERNAL) if no logit is above -infinity.
  int32_t draw(const float* logits, size_t vocab_size, const SamplingParams& params, const TokenCounts& counts,
               uint64_t position, const uint32_t* mask = nullptr);

  // Log-probabilities of the target's own distribution (no temperature, bias or penalty): out[0] is the drawn token's,
  // then the best_count best, falling. out: [1 + best_count], best_count <= min(REDRAFT_LOGPROBS_MAX, vocab_size).
  void logprobs(const float* logits, size_t vocab_size, int32_t token, size_t best_count, TokenLogprob* out);

 private:
  const float* adjust(const float* logits, size_t vocab_size, const SamplingParams& params, const TokenCounts& counts,
                      const uint32_t* mask);
  int32_t draw_from_all(const float* logits, size_t vocab_size, float peak, const SamplingParams& params,
                        uint64_t position);
  int32_t draw_by_inverse_cdf(const float* logits, size_t vocab_size, float peak, float scale, double uniform);
  RowItem best_of_kept(float peak, const SamplingParams& params, uint64_t position);
  void gather(const float* logits, size_t vocab_size, float threshold);
  void keep_top_k(const float* logits, size_t vocab_size, float peak, const SamplingParams& params, float floor);
  void keep_top_p(const float* logits, size_t vocab_size, float peak, const SamplingParams& params, float floor);
  double weigh_kept(float peak, float scale);
  void cut_to_top_p(double target, float peak, float scale);

  AlignedVector<float> adjusted_;   // [vocab_size]
  AlignedVector<float> weights_;    // [kept_.size()]
  std::vector<double> block_sums_;  // [ceil(vocab_size / kRowBlock)]
  std::vector<uint32_t> indices_;   // [vocab_size], scratch of gather()
  std::vector<float> noise_;        // [kept_.size()]
  std::vector<RowItem> kept_;       // Tokens still in the draw with their logits, ascending by token.
  std::vector<float> kept_logits_;  // [kept_.size()]
};

}  // namespace redraft
