#include "cuda_buffers.h"

#include <algorithm>

namespace redraft::cuda {
namespace {

size_t padded(size_t count) { return (count + 31) / 32 * 32; }

size_t result_bytes(uint32_t slots_max) {
  return slots_max * sizeof(WalkResult) + (slots_max + 1) * sizeof(DeviceSlot);
}

}  // namespace

RowsBuffer::RowsBuffer(size_t row_max, size_t in_count)
    : values_(2 * row_max * in_count),
      scales_(row_max * in_count / 32),
      sums_(row_max * in_count / 32),
      view_{values_.get(), scales_.get(), sums_.get(), static_cast<uint32_t>(in_count)} {}

size_t partial_floats_max(const LlamaShape& shape, const StepLimits& limits) {
  const size_t group = shape.head_count / shape.kv_head_count;
  const size_t rows_a_tile = std::max<size_t>(1, kQueriesMax / group);
  const size_t tiles = limits.slots_max + limits.rows_max / rows_a_tile + 1;
  // Twice the parts of whole segments: so more sequences can be cut finer where they leave a device idle.
  const size_t parts = attention_part_count(limits.context_max + kTreeMax, kSegmentSplits / 2);
  return tiles * parts * shape.kv_head_count * kQueriesMax * (shape.head_size + 2);
}

StepBuffers::StepBuffers(const LlamaShape& shape, const KvLayout& layout, const StepLimits& limits)
    : kv_pages(layout.layer_count * layout.layer_elements()),
      upload(limits, shape.vocab_size),
      x(limits.rows_max * shape.hidden_size),
      normed(limits.rows_max * shape.hidden_size),
      update(product_rows(limits.rows_max) * shape.hidden_size),
      query(product_rows(limits.rows_max) * shape.query_size()),
      attended(limits.rows_max * shape.query_size()),
      key(product_rows(limits.rows_max) * shape.kv_size()),
      value(product_rows(limits.rows_max) * shape.kv_size()),
      gate(product_rows(limits.rows_max) * shape.ffn_size),
      up(product_rows(limits.rows_max) * shape.ffn_size),
      logits(limits.rows_max * shape.vocab_size),
      adjusted(limits.rows_max * shape.vocab_size),
      partial(partial_floats_max(shape, limits)),
      hidden_rows(limits.rows_max, shape.hidden_size),
      query_rows(limits.rows_max, shape.query_size()),
      ffn_rows(limits.rows_max, shape.ffn_size),
      position(limits.rows_max),
      kv_place(limits.rows_max),
      sample_from(limits.rows_max),
      paths(limits.rows_max * kPathMax),
      draft_rows(limits.slots_max),
      bias_tokens(limits.slots_max * kSampleBiasMax),
      token_counts(limits.slots_max * shape.vocab_size),
      bias_values(limits.slots_max * kSampleBiasMax),
      masks(limits.rows_max),
      sequences(limits.slots_max),
      sample_rows(limits.rows_max),
      walks(limits.slots_max),
      sampling(limits.slots_max),
      drawn(limits.rows_max),
      results(result_bytes(limits.slots_max)),
      slots_max(limits.slots_max) {}

size_t StepBuffers::bytes(const LlamaShape& shape, const StepLimits& limits) {
  const size_t rows = limits.rows_max;
  size_t floats =
      product_rows(rows) * (shape.hidden_size + shape.query_size() + 2 * shape.kv_size() + 2 * shape.ffn_size) +
      2 * rows * shape.hidden_size + rows * shape.query_size() + 2 * rows * shape.vocab_size +
      partial_floats_max(shape, limits);
  floats += limits.slots_max * (shape.vocab_size + 2 * kSampleBiasMax) + rows * (5 + kPathMax);
  return 4 * floats + StepUpload::bytes(limits, shape.vocab_size) + result_bytes(limits.slots_max) +
         RowsBuffer::bytes(rows, shape.hidden_size + shape.query_size() + shape.ffn_size) +
         rows * (sizeof(SampleRow) + 8) +
         limits.slots_max * (sizeof(DeviceSequence) + sizeof(WalkSequence) + sizeof(DeviceSampling));
}

DraftBuffers::DraftBuffers(const CudaHead& head, uint32_t slots_max)
    : hidden_rows(slots_max, padded(head.hidden_size)),
      x_rows(slots_max * kBeamWidthMax, padded(head.hidden_size)),
      state_rows(slots_max * kBeamWidthMax, padded(head.state_size)),
      mlp_rows(slots_max * kBeamWidthMax, padded(head.mlp_size)),
      context(slots_max * head.mlp_size),
      init_product(slots_max * head.state_size),
      states(slots_max * kBeamWidthMax * head.state_size),
      next_states(slots_max * kBeamWidthMax * head.state_size),
      x(slots_max * kBeamWidthMax * head.hidden_size),
      x_gates(product_rows(slots_max * kBeamWidthMax) * 3 * head.state_size),
      s_gates(product_rows(slots_max * kBeamWidthMax) * 3 * head.state_size),
      product(slots_max * kBeamWidthMax * head.mlp_size),
      y(slots_max * kBeamWidthMax * head.mlp_size),
      candidate_logprobs(slots_max * kBeamWidthMax * kCandidatesMax),
      row_token(slots_max * kBeamWidthMax),
      row_from(slots_max * kBeamWidthMax),
      row_sequence(slots_max * kBeamWidthMax),
      candidate_tokens(slots_max * kBeamWidthMax * kCandidatesMax),
      parts(slots_max * kBeamWidthMax * rank_part_count(head.draft_vocab_size)),
      beam_states(slots_max),
      node_token(slots_max * kNodesMax),
      node_parent(slots_max * kNodesMax),
      node_logprob(slots_max * kNodesMax) {}

size_t DraftBuffers::bytes(const DraftWeights& head, uint32_t slots_max) {
  const size_t rows = slots_max * kBeamWidthMax;
  const size_t floats = rows * (2 * head.state_size + 2 * head.mlp_size + head.hidden_size + 2 * kCandidatesMax + 3) +
                        product_rows(rows) * 6 * head.state_size +
                        slots_max * (head.mlp_size + head.state_size + 3 * kNodesMax);
  return 4 * floats + slots_max * sizeof(BeamState) +
         rows * sizeof(RankPart) * rank_part_count(static_cast<uint32_t>(head.draft_vocab_size)) +
         RowsBuffer::bytes(rows, padded(head.hidden_size) + padded(head.state_size) + padded(head.mlp_size)) +
         RowsBuffer::bytes(slots_max, padded(head.hidden_size));
}

}  // namespace redraft::cuda
