// A token of the target model's vocabulary with a log-probability: what a draft head proposes, what logprobs report.
#pragma once
#include <cstdint>

namespace redraft {

struct TokenLogprob {
  int32_t token;
  float logprob;
};

}  // namespace redraft
