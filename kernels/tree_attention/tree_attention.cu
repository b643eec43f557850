#include "tree_attention.cuh"

#include "../cuda/device.h"

namespace redraft::cuda {
namespace {

constexpr uint32_t kPageTokens = 16;
constexpr uint32_t kPagesALoad = 4;  // Of keys or of values: each thread has two to four loads in flight.
constexpr uint32_t kSplitPages = kSplitKeys / kPageTokens;
constexpr uint32_t kLoads =
    kPagesALoad * kPageTokens * kHeadSizeMax / 8 / kAttentionThreads;          // 16-byte words a thread.
constexpr uint32_t kKeptMax = kQueriesMax * kHeadSizeMax / kAttentionThreads;  // Outputs that a thread sums.
constexpr float kNone = -3.0e38f;  // The largest score where there is no key.

// Per query: what a split gives, and the running result of the part.
struct QueryState {
  float split_peak, split_sum;
  float peak, sum;
  float old_scale, new_scale;  // Weights of the running result and of the split in their join.
  uint32_t key_count;          // In the split.
};

struct Tile {
  const AttentionParams& p;
  const DeviceSequence& sequence;
  uint32_t begin, query_count, kv_head;
  const float* q;      // [query_count, head_size]
  float* scores;       // [query_count, kSplitKeys], then weights.
  float* tree_scores;  // [query_count, kTreeTokensMax]
  QueryState* states;  // [query_count]
  uint16_t* staged;    // kPagesALoad pages of keys or values of one head.
};

REDRAFT_DEVICE uint32_t row_of(const Tile& t, uint32_t query) { return t.begin + query / t.p.group; }
REDRAFT_DEVICE size_t at(const Tile& t, uint32_t query) {
  const size_t row = t.sequence.row_begin + row_of(t, query);
  return ((row * t.p.kv_head_count + t.kv_head) * t.p.group + query % t.p.group) * t.p.head_size;
}
REDRAFT_DEVICE uint32_t key_count_of(const Tile& t, uint32_t query) {
  if (!t.sequence.is_tree) return t.sequence.computed_count + row_of(t, query) + 1;
  return t.sequence.computed_count + __popcll(t.p.masks[t.sequence.row_begin + row_of(t, query)]);
}
// The keys ([head_size][16]) or values ([16][head_size]) of this key head in a page.
REDRAFT_DEVICE const uint16_t* page_part(const Tile& t, uint32_t page, bool values) {
  const size_t part = kPageTokens * t.p.head_size;
  return t.p.layer + ((static_cast<size_t>(page) * t.p.kv_head_count + t.kv_head) * 2 + (values ? 1 : 0)) * part;
}
// The page of the sequence that holds positions 16 index and on.
REDRAFT_DEVICE uint32_t page_of(const Tile& t, uint32_t index, bool tree) {
  return tree ? t.sequence.tree_page + index : t.p.pages[t.sequence.page_table + index];
}

// Brings up to kPagesALoad pages into shared memory.
REDRAFT_DEVICE void stage(const Tile& t, uint32_t first, uint32_t count, bool tree, bool values) {
  const uint32_t words = kPageTokens * t.p.head_size / 8;  // Of a page.
  Words4 loaded[kLoads];
#pragma unroll
  for (uint32_t i = 0; i < kLoads; ++i) {
    const uint32_t word = threadIdx.x + i * kAttentionThreads;
    if (word >= count * words) continue;
    const uint16_t* from = page_part(t, page_of(t, first + word / words, tree), values);
    loaded[i] = *reinterpret_cast<const Words4*>(from + word % words * 8);
  }
  __syncthreads();  // What was staged before has been read.
#pragma unroll
  for (uint32_t i = 0; i < kLoads; ++i) {
    const uint32_t word = threadIdx.x + i * kAttentionThreads;
    if (word < count * words) *reinterpret_cast<Words4*>(t.staged + word * 8) = loaded[i];
  }
  __syncthreads();
}

// Scores of staged pages: sixteen threads side by side take the keys of a page, others other queries.
REDRAFT_DEVICE void score_staged(const Tile& t, uint32_t count, uint32_t key_limit, float* scores, uint32_t stride,
                                 uint32_t first_key) {
  const uint32_t lane = threadIdx.x % kPageTokens, head_size = t.p.head_size;
  for (uint32_t query = threadIdx.x / kPageTokens; query < t.query_count; query += kAttentionThreads / kPageTokens)
    for (uint32_t page = 0; page < count; ++page) {
      const uint32_t key = first_key + page * kPageTokens + lane;
      if (key >= key_limit) continue;
      const uint16_t* keys = t.staged + page * kPageTokens * head_size + lane;
      const float* q = t.q + query * head_size;
      float sum = 0;
      for (uint32_t d = 0; d < head_size; ++d) sum = fmaf(q[d], half_to_float(keys[d * kPageTokens]), sum);
      scores[query * stride + key] = sum;
    }
}

// Scores of a split, key by position: those in the sequence's pages, then each row's ancestors behind them.
REDRAFT_DEVICE void score_split(const Tile& t, uint32_t split, uint32_t pages_end) {
  const uint32_t first_position = split * kSplitKeys;
  const uint32_t held = pages_end > first_position ? min(pages_end - first_position, kSplitKeys) : 0;
  for (uint32_t page = 0; page * kPageTokens < held; page += kPagesALoad) {
    const uint32_t count = min(kPagesALoad, (held - page * kPageTokens + kPageTokens - 1) / kPageTokens);
    stage(t, split * kSplitPages + page, count, false, false);
    score_staged(t, count, held, t.scores, kSplitKeys, page * kPageTokens);
  }
  if (!t.sequence.is_tree || held == kSplitKeys) return;
  const uint32_t tree_pages = (t.sequence.row_count + kPageTokens - 1) / kPageTokens;
  stage(t, 0, tree_pages, true, false);
  score_staged(t, tree_pages, t.sequence.row_count, t.tree_scores, kTreeTokensMax, 0);
  __syncthreads();
  for (uint32_t i = threadIdx.x; i < t.query_count * kTreeTokensMax; i += kAttentionThreads) {
    const uint32_t query = i / kTreeTokensMax, packed = i % kTreeTokensMax;
    const uint64_t mask = t.p.masks[t.sequence.row_begin + row_of(t, query)];
    if (!(mask >> packed & 1)) continue;
    const uint32_t above = __popcll(mask & ((uint64_t{1} << packed) - 1));
    const uint32_t position = t.sequence.computed_count + above;
    if (position / kSplitKeys == split) t.scores[query * kSplitKeys + position % kSplitKeys] = t.tree_scores[i];
  }
}

// Scores become weights; a warp a query. The sum runs over places in the split, so it is the same however keys lie.
REDRAFT_DEVICE void weigh(const Tile& t, uint32_t split, bool first) {
  for (uint32_t query = warp_index(); query < t.query_count; query += kAttentionThreads / kWarpLanes) {
    const uint32_t keys = key_count_of(t, query), begin = split * kSplitKeys;
    const uint32_t count = keys > begin ? min(keys - begin, kSplitKeys) : 0;
    float* scores = t.scores + query * kSplitKeys;
    float peak = kNone, sum = 0;
    for (uint32_t key = lane_index(); key < count; key += kWarpLanes) peak = fmaxf(peak, scores[key]);
    peak = warp_max(peak);
    for (uint32_t key = lane_index(); key < count; key += kWarpLanes) {
      const float weight = expf(scores[key] - peak);
      scores[key] = weight;
      sum += weight;
    }
    for (uint32_t key = count + lane_index(); key < kSplitKeys; key += kWarpLanes) scores[key] = 0;
    sum = warp_sum(sum);
    if (lane_index() != 0) continue;
    QueryState& state = t.states[query];
    state.key_count = count;
    state.split_peak = peak, state.split_sum = sum;
    const float old_peak = first ? kNone : state.peak, old_sum = first ? 0 : state.sum;
    const bool joins = old_sum > 0 && count > 0;
    const float new_peak = joins ? fmaxf(old_peak, peak) : count > 0 ? peak : old_peak;
    state.old_scale = joins ? expf(old_peak - new_peak) : count > 0 ? 0 : 1;
    state.new_scale = joins ? expf(peak - new_peak) : count > 0 ? 1 : 0;
    state.sum = joins ? fmaf(sum, state.new_scale, old_sum * state.old_scale) : count > 0 ? sum : old_sum;
    state.peak = new_peak;
  }
}

// Joins a split's values to the running ones. Where one side is nothing the other is kept bit for bit.
REDRAFT_DEVICE float join(float old_value, float old_scale, float new_value, float new_scale) {
  if (old_scale == 0 || new_scale == 0) return old_scale == 0 ? new_value : old_value;
  return fmaf(new_value, new_scale, old_value * old_scale);
}

// Keys that a row does not see have weight 0 and are left out: what lies there may be no number.
// Thread's outputs: dimension threadIdx % head_size of queries threadIdx / head_size, and every `lanes` further one.
REDRAFT_DEVICE void add_values(const Tile& t, uint32_t split, uint32_t pages_end, float (&kept)[kKeptMax]) {
  const uint32_t head_size = t.p.head_size, lanes = kAttentionThreads / head_size;
  const uint32_t d = threadIdx.x % head_size, lane = threadIdx.x / head_size;
  const uint32_t first_position = split * kSplitKeys;
  const uint32_t held = pages_end > first_position ? min(pages_end - first_position, kSplitKeys) : 0;
  float sums[kKeptMax] = {};
  for (uint32_t page = 0; page * kPageTokens < held; page += kPagesALoad) {
    const uint32_t count = min(kPagesALoad, (held - page * kPageTokens + kPageTokens - 1) / kPageTokens);
    stage(t, split * kSplitPages + page, count, false, true);
    const uint32_t key_end = min(held, (page + count) * kPageTokens);
    if (lane >= lanes) continue;
    for (uint32_t key = page * kPageTokens; key < key_end; ++key) {
      const float value = half_to_float(t.staged[(key - page * kPageTokens) * head_size + d]);
#pragma unroll
      for (uint32_t k = 0; k < kKeptMax; ++k) {
        const uint32_t query = lane + k * lanes;
        const float weight = query < t.query_count ? t.scores[query * kSplitKeys + key] : 0;
        if (weight != 0) sums[k] = fmaf(weight, value, sums[k]);
      }
    }
  }
#pragma unroll
  for (uint32_t k = 0; k < kKeptMax; ++k) {
    const uint32_t query = lane + k * lanes;
    if (lane >= lanes || query >= t.query_count) continue;
    const QueryState& state = t.states[query];
    if (t.sequence.is_tree && held < state.key_count) {
      uint32_t position = t.sequence.computed_count;
      for (uint64_t seen = t.p.masks[t.sequence.row_begin + row_of(t, query)]; seen; seen &= seen - 1, ++position) {
        if (position / kSplitKeys != split) continue;
        const uint32_t packed = static_cast<uint32_t>(__ffsll(static_cast<long long>(seen)) - 1);
        const uint16_t* values = page_part(t, t.sequence.tree_page + packed / kPageTokens, true);
        const float value = half_to_float(values[packed % kPageTokens * head_size + d]);
        const float weight = t.scores[query * kSplitKeys + position % kSplitKeys];
        if (weight != 0) sums[k] = fmaf(weight, value, sums[k]);
      }
    }
    kept[k] = join(kept[k], state.old_scale, sums[k], state.new_scale);
  }
}

// Behind the last key of any row of the tile.
REDRAFT_DEVICE uint32_t keys_end_of(const DeviceSequence& sequence, const AttentionTile& tile) {
  return sequence.computed_count + (sequence.is_tree ? sequence.row_count : tile.begin + tile.count);
}

REDRAFT_DEVICE float* partial_of(const AttentionParams& p, uint32_t tile, uint32_t part, uint32_t kv_head,
                                 uint32_t query) {
  const size_t index = ((static_cast<size_t>(tile) * p.part_count + part) * p.kv_head_count + kv_head) * kQueriesMax;
  return p.partial + (index + query) * (p.head_size + 2);
}

REDRAFT_DEVICE void write_out(const Tile& t, const float (&kept)[kKeptMax]) {
  const uint32_t head_size = t.p.head_size, lanes = kAttentionThreads / head_size;
  const uint32_t d = threadIdx.x % head_size, lane = threadIdx.x / head_size;
#pragma unroll
  for (uint32_t k = 0; k < kKeptMax; ++k) {
    const uint32_t query = lane + k * lanes;
    if (lane >= lanes || query >= t.query_count) continue;
    const QueryState& state = t.states[query];
    if (t.p.part_count == 1) {
      t.p.out[at(t, query) + d] = kept[k] * (1 / state.sum);
      continue;
    }
    float* partial = partial_of(t.p, blockIdx.x, blockIdx.z, t.kv_head, query);
    partial[d] = kept[k];
    if (d == 0) partial[head_size] = state.peak, partial[head_size + 1] = state.sum;
  }
}

}  // namespace

REDRAFT_KERNEL_AT_LEAST(redraft_attention, AttentionParams, kAttentionThreads, 1) {
  REDRAFT_DYNAMIC_SHARED(float, shared);
  if (blockIdx.x >= count_of(p.tile_count)) return;
  const AttentionTile tile = p.tiles[blockIdx.x];
  const DeviceSequence& sequence = p.sequences[tile.sequence];
  float* const scores = shared + p.queries_max * p.head_size;
  float* const tree_scores = scores + p.queries_max * kSplitKeys;
  float* const states = tree_scores + p.queries_max * kTreeTokensMax;
  const Tile t{p,
               sequence,
               tile.begin,
               tile.count * p.group,
               blockIdx.y,
               shared,
               scores,
               tree_scores,
               reinterpret_cast<QueryState*>(states),
               reinterpret_cast<uint16_t*>(states + p.queries_max * 8)};
  // Positions in the sequence's pages that some row of the tile sees, and the keys of the row that sees most.
  const uint32_t pages_end = sequence.computed_count + (sequence.is_tree ? 0 : tile.begin + tile.count);
  const uint32_t keys_end = keys_end_of(sequence, tile), first_split = blockIdx.z * p.splits_per_part;
  if (blockIdx.z > 0 && first_split * kSplitKeys >= keys_end) return;  // Nor does the join look there.
  for (uint32_t i = threadIdx.x; i < t.query_count * p.head_size; i += kAttentionThreads)
    shared[i] = p.q[at(t, i / p.head_size) + i % p.head_size];
  float kept[kKeptMax] = {};
  for (uint32_t split = first_split; split < first_split + p.splits_per_part; ++split) {
    if (split > first_split && split * kSplitKeys >= keys_end) break;
    __syncthreads();
    score_split(t, split, pages_end);
    __syncthreads();
    weigh(t, split, split == first_split);
    __syncthreads();
    add_values(t, split, pages_end, kept);
  }
  write_out(t, kept);
}

// One query: split after split within a segment, then segment after segment, whatever the parts were.
REDRAFT_KERNEL(redraft_attention_join, AttentionParams, 128) {
  if (blockIdx.x >= count_of(p.tile_count)) return;
  const AttentionTile tile = p.tiles[blockIdx.x];
  const DeviceSequence& sequence = p.sequences[tile.sequence];
  const uint32_t query = blockIdx.z, head_size = p.head_size, d = threadIdx.x;
  if (query >= tile.count * p.group || d >= head_size) return;
  const uint32_t parts_a_segment = kSegmentSplits / p.splits_per_part, part_keys = kSplitKeys * p.splits_per_part;
  const uint32_t part_count = min(p.part_count, (keys_end_of(sequence, tile) + part_keys - 1) / part_keys);
  float total = 0, total_peak = kNone, total_sum = 0;
  for (uint32_t first = 0; first < part_count; first += parts_a_segment) {
    float value = 0, peak = kNone, sum = 0;
    for (uint32_t part = first; part < first + parts_a_segment && part < part_count; ++part) {
      const float* from = partial_of(p, blockIdx.x, part, blockIdx.y, query);
      const float part_peak = from[head_size], part_sum = from[head_size + 1];
      if (!(part_sum > 0)) continue;
      const float new_peak = sum > 0 ? fmaxf(peak, part_peak) : part_peak;
      const float old_scale = sum > 0 ? expf(peak - new_peak) : 0, new_scale = sum > 0 ? expf(part_peak - new_peak) : 1;
      value = join(value, old_scale, from[d], new_scale);
      sum = sum > 0 ? fmaf(part_sum, new_scale, sum * old_scale) : part_sum;
      peak = new_peak;
    }
    if (!(sum > 0)) continue;
    const float new_peak = total_sum > 0 ? fmaxf(total_peak, peak) : peak;
    const float old_scale = total_sum > 0 ? expf(total_peak - new_peak) : 0;
    const float new_scale = total_sum > 0 ? expf(peak - new_peak) : 1;
    total = join(total, old_scale, value, new_scale);
    total_sum = total_sum > 0 ? fmaf(sum, new_scale, total_sum * old_scale) : sum;
    total_peak = new_peak;
  }
  const size_t row = sequence.row_begin + tile.begin + query / p.group;
  p.out[((row * p.kv_head_count + blockIdx.y) * p.group + query % p.group) * head_size + d] = total * (1 / total_sum);
}

}  // namespace redraft::cuda
