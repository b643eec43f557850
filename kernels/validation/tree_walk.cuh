// Validation by the exact tree walk (tree_walk.h) on the device, and the commit of what it accepted to a slot's state.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../common/packed_tree.cuh"
#include "../cuda/launch.h"

namespace redraft::cuda {

// What a step gives for one sequence.
struct WalkResult {
  int32_t accepted_count;   // -1: nothing could be drawn.
  int32_t path[kTreeMax];   // [accepted_count + 1] packed indices, path[0] = 0.
  int32_t token[kTreeMax];  // [accepted_count + 1]: the accepted drafts, then the bonus token.
};
constexpr uint32_t kNoDraft = 0xffffffffu;
struct WalkSequence {
  uint32_t slot;
  uint32_t row_count;    // Packed tokens verified; 1 at the end of the context phase.
  uint32_t drawn_begin;  // Its first row in `drawn`.
  uint32_t new_rows;     // KV rows that a chunk of context adds; 0 in the generation phase.
  uint32_t row_begin;    // Its first row in the step.
  uint32_t draft;        // Its place among those that draft; kNoDraft: it does not.
  uint32_t draws;        // 0: a chunk that does not reach the newest token.
};
struct TreeWalkParams {
  const WalkSequence* sequences;  // [sequence_count]
  const int32_t* drawn;
  DeviceSlot* slots;
  uint32_t* token_counts;  // [slot, vocab_size], or null: tokens gained are counted.
  WalkResult* results;     // [sequence_count]
  uint32_t* draft_rows;    // [drafting sequence]: the row whose hidden state the next draft starts from.
  Count sequence_count;
  uint32_t vocab_size;
};
// A warp a sequence.
inline LaunchShape tree_walk_shape(const TreeWalkParams& p) { return {{p.sequence_count.most, 1, 1}, 32, 0}; }

}  // namespace redraft::cuda
