#include <algorithm>
#include <cmath>

#include "../common/error.h"
#include "sampling.h"

namespace redraft {

void check_sampling(const SamplingParams& params, size_t vocab_size) {
  const auto need = [](bool condition, const char* rule) {
    if (!condition) throw Error(REDRAFT_BAD_PLAN, std::string("Cannot sample: ") + rule);
  };
  // Comparisons that a NaN fails.
  need(params.temperature >= 0 && std::isfinite(params.temperature), "temperature must be a number >= 0");
  need(params.top_p > 0 && params.top_p <= 1, "top_p must be in (0, 1]");
  need(params.min_p >= 0 && params.min_p <= 1, "min_p must be in [0, 1]");
  need(params.repetition_penalty > 0 && std::isfinite(params.repetition_penalty),
       "repetition_penalty must be a number > 0");
  need(std::isfinite(params.presence_penalty), "presence_penalty must be a number");
  need(std::isfinite(params.frequency_penalty), "frequency_penalty must be a number");
  need(params.logprobs <= 1 + std::min<size_t>(REDRAFT_LOGPROBS_MAX, vocab_size), "logprobs asks for too many");
  need(params.bias.size() <= REDRAFT_BIAS_MAX, "bias names too many tokens");
  std::vector<int32_t> tokens;
  for (const TokenLogprob& bias : params.bias) {
    need(bias.token >= 0 && static_cast<size_t>(bias.token) < vocab_size, "bias names a token outside the vocabulary");
    need(std::isfinite(bias.logprob), "bias must be a number");
    tokens.push_back(bias.token);
  }
  std::sort(tokens.begin(), tokens.end());
  need(std::adjacent_find(tokens.begin(), tokens.end()) == tokens.end(), "bias names a token twice");
}

}  // namespace redraft
