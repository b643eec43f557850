// What shapes the launches of a step: its counts as they are, or those of the bucket that they fall into. Pure.
#pragma once
#include <array>

#include "step_batch.h"

namespace redraft::cuda {

struct StepShape {
  Count rows, samples, sequences, tiles, drafts;
  uint32_t keys_max, queries_max;    // Of the longest sequence; of the largest tile.
  uint32_t beam_width, beam_length;  // The widest and the longest of the drafts'.
};

// Steps of more rows are long enough to hide their launches, and have a graph no more.
constexpr uint32_t kGraphRowsMax = 256;

StepShape exact_shape(const StepBatch& batch);
// Everything that a launch is shaped by is rounded up, so that steps share few shapes; how many there are is then read
// on the device, from `counts` there. No result depends on it: a row's bits are its own.
// tile_rows: of a full tile; group: heads that share a key head.
struct StepBounds {
  StepLimits limits;
  uint32_t tile_rows, group;
};
StepShape bucket_shape(const StepBatch& batch, const StepBounds& bounds, const StepCounts* counts);

// Two steps with one key have the same launches: of the target's part, and of the draft's.
using GraphKey = std::array<uint32_t, 5>;
GraphKey target_key(const StepShape& shape);
GraphKey draft_key(const StepShape& shape);

}  // namespace redraft::cuda
