// Validation by the exact tree walk: at a packed token draw the target's next token; if a child has it, go there, else
// it is the step's last. What comes out is distributed as the target alone would have it, and with one draw a position
// it is the very same tokens. Departs from the paper, whose rule (accept by p / q, best of the beams) is biased.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../common/packed_tree.h"
#include "sampling.h"

namespace redraft {

struct TreeWalk {
  int32_t accepted_count = 0;              // Without the bonus token.
  int32_t path[REDRAFT_TREE_TOKENS_MAX];   // [accepted_count + 1] packed indices, path[0] = 0: rows to commit.
  int32_t token[REDRAFT_TREE_TOKENS_MAX];  // [accepted_count + 1]: the accepted drafts, then the bonus token.
  std::vector<TokenLogprob> logprobs;      // [accepted_count + 1, params.logprobs], empty if that is 0.
};

// tree: its first packed_count tokens were verified; 1 = plain decoding, the root alone.
// logits: row of packed token r at logits + r * logits_stride, [packed_count, vocab_size].
// position: absolute, of the first token gained: the root's plus 1.
// counts: of all tokens up to the root; if params.uses_counts(), the tokens gained are added. Unchanged if it throws.
// masks: null, or [packed_count]: of the tokens that may be drawn at each packed token.
void tree_walk(Sampler& sampler, const PackedTree& tree, int32_t packed_count, const float* logits,
               size_t logits_stride, size_t vocab_size, const SamplingParams& params, uint64_t position,
               TokenCounts& counts, TreeWalk* walk,
               const uint32_t* const* masks = nullptr);

}  // namespace redraft
