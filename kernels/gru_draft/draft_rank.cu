// The draft head's last product, its softmax and its best candidates in one pass.
#include "../common/packed_matrix_device.cuh"
#include "../common/packed_matrix_product.cuh"
#include "../common/philox.cuh"
#include "../common/select.cuh"
#include "gru_draft.cuh"

namespace redraft::cuda {
namespace {

constexpr uint32_t kWarps = kDraftThreads / kWarpLanes;
static_assert(kWarps * kMatrixOutputs == kRankOutputs && kWarps == kMatrixRows);

struct RankShared {
  float logits[kMatrixRows][kRankOutputs];
};

template <uint32_t kBits>
REDRAFT_DEVICE void rank(const DraftRankParams& p, RankShared& shared) {
  const uint32_t lane = lane_index(), warp = warp_index(), row_begin = blockIdx.y * kMatrixRows;
  const uint32_t row_count = count_of(p.row_count);
  if (row_begin >= row_count) return;
  const uint32_t strip = blockIdx.x * kWarps + warp, first = blockIdx.x * kRankOutputs;
  // A warp a strip: all of its inputs, in order.
  float sums[1][4] = {};
  if (strip * kMatrixOutputs < p.head.out_count)
    add_pairs<kBits, 1>(p.head, p.rows, strip, 0, 1, row_begin, row_count, sums);
  for (uint32_t i = 0; i < 4; ++i)
    shared.logits[2 * (lane % 4) + i % 2][warp * kMatrixOutputs + lane / 4 + 8 * (i / 2)] = sums[0][i];
  __syncthreads();
  // A warp a row: four scores a lane.
  const uint32_t row = row_begin + warp;
  if (row >= row_count) return;
  const SequenceNoise noise = p.noise ? p.noise[p.row_sequence[row]] : SequenceNoise{};
  const bool sampled = noise.temperature > 0;
  const float scale = sampled ? p.scale / noise.temperature : p.scale;
  const uint64_t position = sampled ? uint64_t{p.slots[noise.slot].computed_count} + p.level : 0;
  uint64_t keys[4];
  float scores[4], peak = -INFINITY, sum = 0;
  for (uint32_t j = 0; j < 4; ++j) {
    const uint32_t out = first + lane + j * kWarpLanes;
    const bool present = out < p.head.out_count;
    scores[j] = -INFINITY;
    if (present) scores[j] = (shared.logits[warp][lane + j * kWarpLanes] + (p.bias ? p.bias[out] : 0)) * scale;
    if (present && sampled) scores[j] += gumbel_noise(noise.seed, position, p.draft_vocab ? p.draft_vocab[out] : out);
    keys[j] = present ? static_cast<uint64_t>(order_key(scores[j])) << 32 | (0xffffffffu - out) : 0;
    peak = fmaxf(peak, scores[j]);
  }
  peak = warp_max(peak);
  for (uint32_t j = 0; j < 4; ++j)
    if (scores[j] > -INFINITY) sum += expf(scores[j] - peak);
  sum = warp_sum(sum);
  RankPart& part = p.parts[static_cast<size_t>(row) * gridDim.x + blockIdx.x];
  if (lane == 0) part.peak = peak, part.sum = sum;
  for (uint32_t place = 0; place < p.k; ++place) {
    uint64_t best = 0;
    for (uint32_t j = 0; j < 4; ++j) best = keys[j] > best ? keys[j] : best;
    for (uint32_t step = 16; step > 0; step /= 2) {
      const uint64_t other = shuffle_xor(best, step);
      best = other > best ? other : best;
    }
    for (uint32_t j = 0; j < 4; ++j) keys[j] = keys[j] == best ? 0 : keys[j];  // Indices make all keys differ.
    if (lane == 0) part.best[place] = best;
  }
}

}  // namespace

REDRAFT_KERNEL(redraft_draft_rank8, DraftRankParams, kDraftThreads) {
  REDRAFT_SHARED(RankShared, shared);
  rank<8>(p, shared);
}
REDRAFT_KERNEL(redraft_draft_rank4, DraftRankParams, kDraftThreads) {
  REDRAFT_SHARED(RankShared, shared);
  rank<4>(p, shared);
}

struct RankJoinShared {
  SelectShared select;
  float sums[kDraftThreads];
};

REDRAFT_KERNEL(redraft_draft_rank_join, DraftRankJoinParams, kDraftThreads) {
  REDRAFT_SHARED(RankJoinShared, shared);
  if (blockIdx.x >= count_of(p.row_count)) return;
  const size_t row = blockIdx.x;
  const RankPart* parts = p.parts + row * p.part_count;
  // Thread t takes parts t, t + 256, ..: each already in falling order, so their heads are all that can be next.
  uint64_t best = 0;
  for (uint32_t part = threadIdx.x; part < p.part_count; part += blockDim.x)
    best = parts[part].best[0] > best ? parts[part].best[0] : best;
  const uint64_t first = cta_max(shared.select, best);
  const float peak = value_of_key(static_cast<uint32_t>(first >> 32));
  float sum = 0;
  for (uint32_t part = threadIdx.x; part < p.part_count; part += blockDim.x)
    if (parts[part].sum > 0) sum = fmaf(parts[part].sum, expf(parts[part].peak - peak), sum);
  shared.sums[threadIdx.x] = sum;
  __syncthreads();
  float total = 0;
  for (uint32_t t = 0; t < blockDim.x; ++t) total += shared.sums[t];
  const float log_total = logf(total);
  uint64_t last = first;
  for (uint32_t place = 0; place < p.k; ++place) {
    if (place > 0) {
      uint64_t next = 0;
      for (uint32_t part = threadIdx.x; part < p.part_count; part += blockDim.x)
        for (uint32_t i = 0; i < p.k; ++i) {
          const uint64_t key = parts[part].best[i];
          if (key >= last) continue;
          next = key > next ? key : next;
          break;
        }
      last = cta_max(shared.select, next);
    }
    if (threadIdx.x == 0) {
      const uint32_t index = 0xffffffffu - static_cast<uint32_t>(last);
      p.tokens[row * p.k + place] = last == 0 ? 0 : p.draft_vocab ? p.draft_vocab[index] : index;
      p.logprobs[row * p.k + place] =
          last == 0 ? -INFINITY : value_of_key(static_cast<uint32_t>(last >> 32)) - peak - log_total;
    }
  }
}

}  // namespace redraft::cuda
