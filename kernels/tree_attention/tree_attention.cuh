// Paged grouped-query attention on the device, for chunks of the context phase and for draft trees.
//
// Keys are grouped by their position, 128 to a split and 16 splits to a segment, and are summed in that order: within a
// split key after key, then split after split, then segment after segment. An ancestor in a tree counts at the position
// it would have in plain decoding. So a row's result depends on its own keys alone, and a packed token gets the bits
// that plain decoding gives it, however the work is cut: a CTA takes a whole segment where there are enough of them to
// fill the device, which moves the fewest bytes, and a single split where there are not.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../cuda/launch.h"

namespace redraft::cuda {

constexpr uint32_t kSplitKeys = 128;    // Keys of a split.
// Splits of a segment. A segment's part is written and read again: at 2048 keys a segment that is, for a whole tile of
// queries, at most an eighth of what else is moved, whatever the context; at 1024 it was up to a quarter.
constexpr uint32_t kSegmentSplits = 16;
constexpr uint32_t kQueriesMax = 64;    // Query vectors of a tile: its rows times the heads that share a key head.
constexpr uint32_t kHeadSizeMax = 128;  // A multiple of 16.
constexpr uint32_t kTreeTokensMax = 64;
constexpr uint32_t kAttentionThreads = 512;

// The rows of one sequence in one step.
struct DeviceSequence {
  uint32_t page_table;      // Index of its first page in `pages`.
  uint32_t computed_count;  // Positions held before this step.
  uint32_t row_begin, row_count;
  uint32_t tree_page;  // First page of its packed tokens' keys; used if is_tree.
  uint32_t is_tree;    // Packed tokens, each seeing the positions held and masks[row]; else a chunk of context.
};
// Rows [begin, begin + count) of a sequence.
struct AttentionTile {
  uint32_t sequence, begin, count;
};

struct AttentionParams {
  const uint16_t* layer;  // KV pages of this layer (common/kv_layout.h).
  const uint32_t* pages;  // Page tables, one after the other.
  const DeviceSequence* sequences;
  const AttentionTile* tiles;  // [tile_count]
  const uint64_t* masks;       // [rows of the step]; read for trees.
  const float* q;              // [row, head, head_size], scaled.
  float* out;                  // As q.
  float* partial;              // [tile, part, kv_head, kQueriesMax, head_size + 2], where part_count > 1.
  Count tile_count;
  uint32_t kv_head_count, head_size, group;  // group: heads that share a key head.
  uint32_t splits_per_part;                  // 1 or kSegmentSplits.
  uint32_t part_count;                       // Of the longest sequence, at least.
  uint32_t queries_max;                      // Of the largest tile, at least; shapes shared memory.
};

inline uint32_t attention_part_count(uint32_t keys_max, uint32_t splits_per_part) {
  return ceil_div(keys_max, kSplitKeys * splits_per_part);
}
inline size_t attention_partial_floats(const AttentionParams& p) {
  return size_t{p.tile_count.most} * p.part_count * p.kv_head_count * kQueriesMax * (p.head_size + 2);
}
// Queries; scores; scores of packed tokens; one load of keys or values; what a query has kept.
inline LaunchShape attention_shape(const AttentionParams& p) {
  const size_t floats = size_t{p.queries_max} * (p.head_size + kSplitKeys + kTreeTokensMax + 8);
  return {{p.tile_count.most, p.kv_head_count, p.part_count}, kAttentionThreads, floats * 4 + 4 * 2 * 16 * p.head_size};
}
// Joins the parts; launched where part_count > 1.
inline LaunchShape attention_join_shape(const AttentionParams& p) {
  return {{p.tile_count.most, p.kv_head_count, p.queries_max}, 128, 0};
}

}  // namespace redraft::cuda
