#include "step_layout.cuh"

#include "device.h"

namespace redraft::cuda {
namespace {

constexpr uint32_t kPageTokens = 16;

}  // namespace

// Left to itself the compiler spills to keep 32 registers.
REDRAFT_KERNEL_AT_LEAST(redraft_step_layout, StepLayoutParams, 64, 1) {
  if (blockIdx.x >= count_of(p.sequence_count)) return;
  const StepSequence s = p.steps[blockIdx.x];
  DeviceSlot& slot = p.slots[s.slot];
  const uint32_t computed = s.reset ? s.reset_computed : slot.computed_count;
  for (uint32_t r = threadIdx.x; r < s.row_count; r += 64) {
    const uint32_t row = s.row_begin + r;
    uint32_t position = computed + r;
    uint64_t mask = 0;
    if (s.generates) {
      for (int32_t c = static_cast<int32_t>(r); c >= 0; c = slot.pending.parent[c]) mask |= uint64_t{1} << c;
      position = computed + static_cast<uint32_t>(__popcll(static_cast<long long>(mask))) - 1;
      p.token[row] = static_cast<uint32_t>(slot.pending.token[r]);
      p.kv_place[row] = s.tree_page * kPageTokens + r;
    } else {
      p.kv_place[row] = p.pages[s.page_table + position / kPageTokens] * kPageTokens + position % kPageTokens;
    }
    p.position[row] = position;
    p.masks[row] = mask;
    const uint32_t first_sampled = s.row_count - s.sample_count;
    if (r < first_sampled) continue;
    const uint32_t sample = s.sample_begin + r - first_sampled;
    uint32_t path_count = 0;
    for (uint64_t rest = mask & ~uint64_t{1}; rest; rest &= rest - 1)
      p.paths[sample * kPathMax + path_count++] =
          static_cast<uint32_t>(slot.pending.token[__ffsll(static_cast<long long>(rest)) - 1]);
    const uint32_t mask_begin = s.mask_index == kNoMask ? kNoMask : p.mask_begin[s.mask_index + r - first_sampled];
    p.sample_rows[sample] = {s.slot, sample, position + 1, path_count, sample * kPathMax, mask_begin};
    p.sample_from[sample] = row;
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  p.sequences[blockIdx.x] = {s.page_table, computed, s.row_begin, s.row_count, s.tree_page, s.generates};
  p.walks[blockIdx.x] = {
      s.slot,  s.generates ? s.row_count : 1, s.sample_begin, s.generates ? 0 : s.row_count, s.row_begin,
      s.draft, s.sample_count > 0 ? 1u : 0u};
  if (s.reset) slot.computed_count = computed, slot.pending.count = 0;
}

}  // namespace redraft::cuda
