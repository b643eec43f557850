// The recurrent draft head on the device, between and after its products (common/packed_matrix.cuh): the cell, the
// MLP's activations, and the head over the draft vocabulary down to its best candidates.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../common/packed_matrix.cuh"
#include "../common/packed_tree.cuh"

namespace redraft::cuda {

constexpr uint32_t kDraftThreads = 256;
constexpr uint32_t kCandidatesMax = 32;  // Candidates a row may ask for.

// First states: tanh(product + bias), or 0 where there is no product. Quantised, and plain.
struct DraftInitParams {
  const float *product, *bias;  // [row_count, state_size], [state_size]; null: 0.
  float* state;                 // [row_count, state_size]
  Count row_count;
  uint32_t state_size;
};
inline LaunchShape draft_init_shape(const DraftInitParams& p) {
  return {{p.row_count.most, 1, 1}, threads_for(p.state_size, kDraftThreads), 0};
}

// The states that beams continue, quantised for the recurrent product.
struct DraftGatherParams {
  const float* states;   // [.., state_size]
  const uint32_t* from;  // [row_count]: whose state row r continues.
  DeviceRows rows;       // in_count: state_size, padded.
  Count row_count;
  uint32_t state_size;
};
inline LaunchShape draft_gather_shape(const DraftGatherParams& p) {
  return {{p.row_count.most, 1, 1}, threads_for(p.rows.in_count, kDraftThreads), 0};
}

enum class DraftCell : uint32_t { kGru, kSilu, kSum };

// One step of the cell. Gates of GRU: r, z, n, side by side.
struct DraftCellParams {
  const float *x_gates, *s_gates;  // [row_count, gates]: of the token's embedding and of the state; unused by kSum.
  const float *x_bias, *s_bias;    // [gates], or null.
  const float* x;                  // [row_count, x_stride]: the embedding itself; read by kSum.
  const float* states;             // The states before.
  const uint32_t* from;            // [row_count]
  float* next;                     // [row_count, state_size]
  DeviceRows rows;                 // next, quantised; in_count: state_size, padded.
  Count row_count;
  uint32_t state_size, x_stride;
  DraftCell cell;
};
inline LaunchShape draft_cell_shape(const DraftCellParams& p) {
  return {{p.row_count.most, 1, 1}, threads_for(p.rows.in_count, kDraftThreads), 0};
}

// One layer of the MLP after its product, quantised for the next.
//   first layer: y = act(product + context[sequence] + bias), act SiLU or none
//   no first layer (product null): y = concat(context[sequence], state)
//   residual: y += silu(product + bias)
struct DraftMlpParams {
  const float* product;      // [row_count, size]
  const float* context;      // [sequence, context_size]; null for residual layers.
  const uint32_t* sequence;  // [row_count]
  const float* bias;         // [size], or null; not where the product is null.
  const float* state;        // [row_count, size - context_size], where the product is null.
  float* y;                  // [row_count, size]
  DeviceRows rows;           // in_count: size, padded.
  Count row_count;
  uint32_t size, context_size;
  uint32_t silu;  // Of the first layer.
};
inline LaunchShape draft_mlp_shape(const DraftMlpParams& p) {
  return {{p.row_count.most, 1, 1}, threads_for(p.rows.in_count, kDraftThreads), 0};
}

// The head over the draft vocabulary: a CTA computes 128 logits of 8 rows and gives, of each row, their largest, the
// sum of their weights and the best candidates. No row of logits leaves the chip.
constexpr uint32_t kRankOutputs = 128;
struct RankPart {
  float peak, sum;                // sum of exp(score - peak)
  uint64_t best[kCandidatesMax];  // Falling: order key of the score, then ~index: equals go by rising index. 0: none.
};
// A score is a logit * scale; where the sequence samples, logit * scale / temperature + the noise that the draw at this
// place will have (validation/sampling.h).
struct SequenceNoise {
  uint32_t slot;
  float temperature;  // 0: the target takes the best.
  uint64_t seed;
};
struct DraftRankParams {
  DeviceMatrix head;  // [vocab_size, in_count]
  const float* bias;  // [vocab_size], or null.
  DeviceRows rows;
  RankPart* parts;  // [row_count, part_count]
  Count row_count;
  uint32_t k;   // k <= kCandidatesMax
  float scale;  // Logits are multiplied by it.
  // Null: no noise.
  const SequenceNoise* noise;    // [sequence]
  const DeviceSlot* slots;       // After the walk.
  const uint32_t* row_sequence;  // [row_count]
  const uint32_t* draft_vocab;   // [vocab_size] target ids, or null: the same.
  uint32_t level;                // Tokens on a beam, the pending one included.
};
inline uint32_t rank_part_count(uint32_t vocab_size) { return ceil_div(vocab_size, kRankOutputs); }
inline const char* draft_rank_kernel(const DraftRankParams& p) {
  return p.head.bits == 4 ? "redraft_draft_rank4" : "redraft_draft_rank8";
}
inline LaunchShape draft_rank_shape(const DraftRankParams& p) {
  return {{rank_part_count(p.head.out_count), ceil_div(p.row_count.most, kMatrixRows), 1}, kDraftThreads, 0};
}
// Joins the parts: the k best of a row with their log-probabilities over the whole draft vocabulary.
struct DraftRankJoinParams {
  const RankPart* parts;
  const uint32_t* draft_vocab;  // [vocab_size] target ids, or null: the same.
  uint32_t* tokens;             // [row_count, k]
  float* logprobs;              // [row_count, k], falling.
  Count row_count;
  uint32_t part_count, k;
};
inline LaunchShape draft_rank_join_shape(const DraftRankJoinParams& p) {
  return {{p.row_count.most, 1, 1}, threads_for(p.part_count, kDraftThreads), 0};
}

}  // namespace redraft::cuda
