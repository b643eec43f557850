#include "tree_walk.cuh"

#include "../cuda/device.h"

namespace redraft::cuda {

// Each packed token has drawn already; the walk only follows. Children of a token have different tokens, so at most one
// of the two that a lane looks at is the next.
REDRAFT_KERNEL(redraft_tree_walk, TreeWalkParams, 32) {
  if (blockIdx.x >= count_of(p.sequence_count)) return;
  const WalkSequence s = p.sequences[blockIdx.x];
  DeviceSlot& slot = p.slots[s.slot];
  WalkResult& result = p.results[blockIdx.x];
  const uint32_t lane = lane_index();
  const bool generates = s.new_rows == 0;
  int32_t gained = 0, token = -1;
  for (int32_t at = s.draws ? 0 : -1; at >= 0;) {
    token = p.drawn[s.drawn_begin + static_cast<uint32_t>(at)];
    if (token < 0) break;
    if (lane == 0) {
      result.path[gained] = at, result.token[gained] = token;
      if (p.token_counts) ++p.token_counts[static_cast<size_t>(s.slot) * p.vocab_size + static_cast<uint32_t>(token)];
    }
    ++gained;
    int32_t next = -1;
    for (uint32_t r = lane; generates && r < s.row_count; r += kWarpLanes)
      if (r > static_cast<uint32_t>(at) && slot.pending.parent[r] == at && slot.pending.token[r] == token)
        next = static_cast<int32_t>(r);
    const uint32_t found = __ballot_sync(kAllLanes, next >= 0);
    at = found ? __shfl_sync(kAllLanes, next, static_cast<uint32_t>(__ffs(static_cast<int>(found)) - 1)) : -1;
  }
  __syncwarp();
  if (lane != 0) return;
  const uint32_t last = generates ? (gained > 0 ? static_cast<uint32_t>(result.path[gained - 1]) : 0) : s.new_rows - 1;
  if (s.draft != kNoDraft) p.draft_rows[s.draft] = s.row_begin + last;
  const bool failed = s.draws && token < 0;
  result.accepted_count = failed ? -1 : gained - 1;
  if (failed) return;
  slot.computed_count += generates ? static_cast<uint32_t>(gained) : s.new_rows;
  if (!s.draws) return;
  slot.pending.count = 1;
  slot.pending.token[0] = token;
  slot.pending.parent[0] = -1;
  slot.pending.logprob[0] = 0;
}

}  // namespace redraft::cuda
