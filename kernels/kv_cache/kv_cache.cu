#include "kv_cache.cuh"

#include "../cuda/device.h"

namespace redraft::cuda {
namespace {

constexpr uint32_t kPageTokens = 16;

}  // namespace

REDRAFT_KERNEL(redraft_kv_commit, CommitParams, kCommitThreads) {
  if (blockIdx.z >= count_of(p.sequence_count)) return;
  const CommitSequence s = p.sequences[blockIdx.z];
  const int32_t* path = p.paths + static_cast<size_t>(blockIdx.z) * p.path_stride;
  const int32_t accepted = p.accepted[static_cast<size_t>(blockIdx.z) * p.path_stride];
  const uint32_t count = accepted < 0 || s.moves == 0 ? 0 : min(static_cast<uint32_t>(accepted) + 1, kMovesMax);
  uint16_t* const layer = p.pages_data + blockIdx.y * p.layer_elements;
  const size_t head = blockIdx.x * size_t{2} * kPageTokens * p.head_size;
  const size_t page_elements = p.kv_head_count * size_t{2} * kPageTokens * p.head_size;
  for (uint32_t d = threadIdx.x; d < p.head_size; d += kCommitThreads) {
    uint16_t keys[kMovesMax], values[kMovesMax];  // Staged: a row's place may be another's source.
#pragma unroll
    for (uint32_t i = 0; i < kMovesMax; ++i) {
      if (i >= count) continue;
      const uint32_t packed = static_cast<uint32_t>(path[i]), row = packed % kPageTokens;
      const uint16_t* from = layer + (s.tree_page + packed / kPageTokens) * page_elements + head;
      keys[i] = from[d * kPageTokens + row];
      values[i] = from[(kPageTokens + row) * p.head_size + d];
    }
#pragma unroll
    for (uint32_t i = 0; i < kMovesMax; ++i) {
      if (i >= count) continue;
      const uint32_t position = s.begin + i, place = position % kPageTokens;
      uint16_t* to = layer + p.pages[s.page_table + position / kPageTokens] * page_elements + head;
      to[d * kPageTokens + place] = keys[i];
      to[(kPageTokens + place) * p.head_size + d] = values[i];
    }
  }
}

}  // namespace redraft::cuda
