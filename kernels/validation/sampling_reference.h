// The distribution that Sampler draws from, in plain f64 with a full sort. Slow; what sampling.cc is tested against.
#pragma once
#include <cstddef>
#include <vector>

#include "sampling.h"

namespace redraft {

// logits: [vocab_size]. Returns probabilities, [vocab_size]; greedy puts all on one token.
std::vector<double> sampling_reference(const std::vector<float>& logits, const SamplingParams& params,
                                       const TokenCounts& counts);

struct ReferenceDraw {
  int32_t token;
  double margin;  // By how much it won: rounding may decide otherwise where that is next to nothing.
};

// The Gumbel-max draw at a position from sampling_reference()'s distribution, temperature above 0.
ReferenceDraw reference_draw(const std::vector<float>& logits, const SamplingParams& params, const TokenCounts& counts,
                             uint64_t position);

// The token at which the running sum, ascending by id, passes uniform * total.
int32_t inverse_cdf(const std::vector<double>& probabilities, double uniform);

}  // namespace redraft
