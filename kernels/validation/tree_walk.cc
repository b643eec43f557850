#include "tree_walk.h"

#include "../common/error.h"

namespace redraft {

namespace {

// The child of a packed token that has this token, -1 if none does.
int32_t child_with(const PackedTree& tree, int32_t packed_count, int32_t packed_index, int32_t token) {
  for (int32_t r = packed_index + 1; r < packed_count; ++r)
    if (tree.parent[r] == packed_index && tree.token[r] == token) return r;
  return -1;
}

}  // namespace

void tree_walk(Sampler& sampler, const PackedTree& tree, int32_t packed_count, const float* logits,
               size_t logits_stride, size_t vocab_size, const SamplingParams& params, uint64_t position,
               TokenCounts& counts, TreeWalk* walk, const uint32_t* const* masks) {
  REDRAFT_ASSERT(packed_count >= 1 && packed_count <= tree.count);
  walk->logprobs.clear();
  int32_t gained = 0;
  try {
    for (int32_t packed_index = 0; packed_index >= 0;) {
      const float* row = logits + static_cast<size_t>(packed_index) * logits_stride;
      const uint64_t at = position + static_cast<uint64_t>(gained);
      const int32_t token = sampler.draw(row, vocab_size, params, counts, at, masks ? masks[packed_index] : nullptr);
      if (params.logprobs > 0) {
        walk->logprobs.resize(walk->logprobs.size() + params.logprobs);
        TokenLogprob* out = walk->logprobs.data() + walk->logprobs.size() - params.logprobs;
        sampler.logprobs(row, vocab_size, token, params.logprobs - 1, out);
      }
      walk->path[gained] = packed_index;
      walk->token[gained++] = token;
      if (params.uses_counts()) counts.add_generated(token);
      packed_index = child_with(tree, packed_count, packed_index, token);
    }
  } catch (...) {
    if (params.uses_counts())
      for (int32_t i = 0; i < gained; ++i) counts.remove_generated(walk->token[i]);
    throw;
  }
  walk->accepted_count = gained - 1;
}

}  // namespace redraft
