// The rows of a step, made on the device of the slots' pending trees: the host knows how many there are, not which.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../tree_attention/tree_attention.cuh"
#include "../validation/sampling.cuh"
#include "../validation/tree_walk.cuh"
#include "launch.h"

namespace redraft::cuda {

// One record of the plan.
struct StepSequence {
  uint32_t slot;
  uint32_t row_begin, row_count;
  uint32_t page_table;    // Index in `pages`.
  uint32_t tree_page;     // First page of its packed tokens, in the generation phase.
  uint32_t generates;     // Rows are packed tokens of the pending tree; else tokens that the host gave.
  uint32_t sample_begin;  // Its first row among the sampled ones.
  uint32_t sample_count;  // 0: draws nothing; 1: the last row of a chunk; else all rows of a tree.
  uint32_t draft;         // Its place among those that draft; kNoDraft: it does not.
  uint32_t reset;         // Starts the slot afresh at reset_computed.
  uint32_t reset_computed;
  uint32_t mask_index = kNoMask;  // Index in `mask_begin` of its first sampled row's.
};
struct StepLayoutParams {
  const StepSequence* steps;  // [sequence_count]
  DeviceSlot* slots;
  const uint32_t* pages;
  const uint32_t* mask_begin;  // As in SampleRow, of the sampled rows of sequences that have masks.
  uint32_t* token;             // [row]; tokens of context are there already.
  uint32_t* position;          // [row]
  uint32_t* kv_place;          // [row]: page * 16 + row in it.
  uint64_t* masks;             // [row]
  DeviceSequence* sequences;   // [sequence_count]
  SampleRow* sample_rows;      // [sampled row]
  uint32_t* sample_from;       // [sampled row]: its row.
  uint32_t* paths;             // [sampled row, kPathMax]
  WalkSequence* walks;         // [sequence_count]
  Count sequence_count;
};
// A CTA a sequence.
inline LaunchShape step_layout_shape(const StepLayoutParams& p) { return {{p.sequence_count.most, 1, 1}, 64, 0}; }

}  // namespace redraft::cuda
