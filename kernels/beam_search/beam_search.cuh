// The draft tree's search on the device: the candidates of a level in, the beams of the next out, at last the packed
// tree; as BeamSearch does it, but for lookup. The host is not asked in between.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../common/packed_tree.cuh"
#include "../cuda/launch.h"

namespace redraft::cuda {

constexpr uint32_t kBeamThreads = 256;
constexpr uint32_t kBeamWidthMax = 32;
constexpr uint32_t kNodesMax = 1 + (kPathMax - 1) * kBeamWidthMax * kBeamWidthMax;  // Root, and all candidates seen.

struct BeamSequence {
  uint32_t slot, beam_width, beam_length, packed_max;  // A budget that drafts: all but slot above 1, or width above 0.
};
// Of one sequence while it drafts.
struct BeamState {
  uint32_t node_count, frontier_count, level;
  uint32_t frontier[kBeamWidthMax];  // Index in the nodes.
};
struct BeamParams {
  const BeamSequence* sequences;  // [sequence_count]
  DeviceSlot* slots;
  BeamState* states;    // [sequence_count]
  int32_t* node_token;  // [sequence_count, kNodesMax]; parents before children.
  int32_t* node_parent;
  float* node_logprob;  // Of the path; -infinity: no candidate.
  // Rows of the draft head: beam b of sequence s is row s * rows_a_sequence + b.
  const uint32_t* candidate_tokens;  // [row, k]
  const float* candidate_logprobs;   // [row, k], conditional on the beam.
  uint32_t* row_token;               // [row]: its last token; of a row without a beam: some token.
  uint32_t* row_from;                // [row]: the row before that it continues.
  uint32_t* row_sequence;            // [row]
  Count sequence_count;
  uint32_t k;
  uint32_t rows_before, rows_after;  // Rows a sequence, of the candidates and of the next level.
};
// redraft_beam_begin: the root is the only beam. redraft_beam_expand: one level. redraft_beam_pack: the tree.
inline LaunchShape beam_shape(const BeamParams& p) {
  const uint32_t candidates = p.rows_before * p.k;
  return {{p.sequence_count.most, 1, 1}, threads_for(candidates < kTreeMax ? kTreeMax : candidates, kBeamThreads), 0};
}

}  // namespace redraft::cuda
