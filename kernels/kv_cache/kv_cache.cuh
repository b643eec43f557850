// Moves of KV rows between pages, on the device.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../cuda/launch.h"

namespace redraft::cuda {

constexpr uint32_t kMovesMax = 16;  // Rows that one sequence commits: the longest path.
constexpr uint32_t kCommitThreads = 128;

// The accepted rows of one sequence: packed token path[i], in the tree's pages, becomes position begin + i.
struct CommitSequence {
  uint32_t page_table, begin, tree_page;
  uint32_t moves;  // 0: its rows lie where they belong.
};
struct CommitParams {
  uint16_t* pages_data;             // All layers.
  const uint32_t* pages;            // Page tables.
  const CommitSequence* sequences;  // [sequence_count]
  const int32_t* paths;             // Sequence i's packed indices at paths + i * path_stride.
  const int32_t* accepted;  // Sequence i's accepted_count at accepted + i * path_stride; below 0 nothing is moved.
  Count sequence_count;
  uint32_t path_stride, layer_count, kv_head_count, head_size;
  size_t layer_elements;
};
// A CTA a sequence, layer and key head. All rows are read before one is written: a place may be both.
inline LaunchShape commit_shape(const CommitParams& p) {
  return {{p.kv_head_count, p.layer_count, p.sequence_count.most}, kCommitThreads, 0};
}

}  // namespace redraft::cuda
