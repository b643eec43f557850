// Grouped-query attention over KV pages, for rows of the context phase and for the packed tokens of a draft tree alike.
// A row attends to keys in order of position: those its sequence holds, then its own ancestors in the tree, itself
// last. Each sum runs in that order, so a packed token gets the same bits as the same token at the same place in plain
// decoding.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../common/aligned.h"
#include "../common/kv_layout.h"

namespace redraft {

// The rows of one sequence in one step.
struct AttentionSequence {
  const uint32_t* pages;  // Page table. Row of position p: page pages[p / 16], row p % 16.
  size_t computed_count;  // Positions held before this step, and the root of a draft tree.
  size_t row_begin;       // First row of the step's batch that is this sequence's.
  size_t row_count;
  // Context phase (masks == nullptr): row i is position computed_count + i and sees all up to itself, all in the pages.
  // Draft tree: row i is packed token i; its key is row i % 16 of page tree_page + i / 16; masks[i] says whom it sees
  // beside all positions held: the root, whose key is in its place already, counts among those and is in no mask.
  const uint64_t* masks;  // [row_count]
  size_t tree_page;
};

// What a thread needs to work; grows as asked.
struct AttentionScratch {
  AlignedVector<float> scores, weights, tree_scores;
  std::vector<double> block_sums;
};

// q, out: row r's head h at [r * stride + h * head_size]. q is already scaled by 1 / sqrt(head_size).
struct AttentionCall {
  const KvLayout* layout;
  const uint16_t* layer;  // Pages of this layer.
  size_t head_count;
  const float* q;
  float* out;
  size_t stride;
};

constexpr size_t kAttentionRowsTile = 8;  // Rows of a task: they share the loads of keys and values.

// Rows [tile_begin, tile_begin + tile_count) of the sequence (counted from its first), all heads of one key-value head.
void tree_attention(const AttentionCall& call, const AttentionSequence& sequence, size_t kv_head, size_t tile_begin,
                    size_t tile_count, AttentionScratch& scratch);
// The same, written plainly, in f64 but for the rounding of keys and values: what the tests hold it against.
void tree_attention_reference(const AttentionCall& call, const AttentionSequence& sequence, size_t kv_head,
                              size_t tile_begin, size_t tile_count);

// Inner loops, one table an instruction set.
struct AttentionKernels {
  // scores[i][16 * p + r] = q[i] . key of row r of page p; keys: [page_count] pointers to [head_size][16], page_count
  // 1 or 2; q, scores: [count] pointers. ahead: as many pages that are asked for meanwhile, a line at a time, or null:
  // all at once would hold up the arithmetic.
  void (*score_pages)(const uint16_t* const* keys, const uint16_t* const* ahead, size_t page_count, size_t head_size,
                      const float* const* q, float* const* scores, size_t count);
  // out[i] += weights[i][r] * value of row r, r in [0, row_count), in order; values: [16][head_size]. ahead: likewise.
  void (*add_values)(const uint16_t* values, const uint16_t* ahead, size_t head_size, size_t row_count,
                     const float* const* weights, float* const* out, size_t count);
};
const AttentionKernels& attention_kernels_portable();
const AttentionKernels& attention_kernels_avx2();
const AttentionKernels& attention_kernels_avx512();

}  // namespace redraft
