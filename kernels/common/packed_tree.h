// A packed draft tree: what beam search makes, verify runs and validate walks.
#pragma once
#include <cstdint>

#include "../include/redraft.h"

namespace redraft {

// Packed tokens in falling order of logprob, so that every prefix of the list is a tree itself: verify may trim it to
// the budget of the moment. parent[r] < r; parent[0] = -1. No two children of one packed token share a token.
struct PackedTree {
  int32_t count = 0;                        // Root included; 0 = nothing is pending.
  int32_t token[REDRAFT_TREE_TOKENS_MAX];   // [count]. token[0] is the init token.
  int32_t parent[REDRAFT_TREE_TOKENS_MAX];  // [count]
  float logprob[REDRAFT_TREE_TOKENS_MAX];   // [count], expected of the path from the root; 0 at the root.
  uint16_t kind[REDRAFT_TREE_TOKENS_MAX];   // [count], what the expectation rests on (beam_search/acceptance.h).
};

}  // namespace redraft
