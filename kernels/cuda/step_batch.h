// What one step's launches need of the host: all of it goes to the device in one upload.
#pragma once
#include <cstdint>
#include <vector>

#include "../beam_search/beam_search.cuh"
#include "../gru_draft/gru_draft.cuh"
#include "../kv_cache/kv_cache.cuh"
#include "step_layout.cuh"

namespace redraft::cuda {

struct StepLimits {
  uint32_t rows_max, slots_max, context_max;
};

struct StepBatch {
  std::vector<StepSequence> steps;
  std::vector<AttentionTile> tiles;
  std::vector<CommitSequence> commits;
  std::vector<BeamSequence> beams;
  std::vector<SequenceNoise> noise;  // [beams.size()]
  std::vector<uint32_t> tokens, pages, masks, mask_begin;
  uint32_t row_count = 0, sample_count = 0, keys_max = 0, queries_max = 0;
};

// How many there are of each, where the device's launches look.
struct StepCounts {
  uint32_t rows, samples, sequences, tiles, drafts;
};

}  // namespace redraft::cuda
