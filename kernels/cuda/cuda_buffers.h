// The device memory that a step works in, sized once from the configuration.
#pragma once
#include <cstdint>
#include <vector>

#include "../beam_search/beam_search.cuh"
#include "../common/kv_layout.h"
#include "../kv_cache/kv_cache.cuh"
#include "cuda_model.h"
#include "driver.h"
#include "products.h"
#include "step_upload.h"

namespace redraft::cuda {

// Quantised rows with their memory.
class RowsBuffer {
 public:
  RowsBuffer(size_t row_max, size_t in_count);
  const DeviceRows& view() const { return view_; }
  static size_t bytes(size_t row_max, size_t in_count) { return row_max * in_count * 2 + row_max * in_count / 32 * 8; }

 private:
  Buffer<int8_t> values_;
  Buffer<float> scales_, sums_;
  DeviceRows view_;
};

struct StepBuffers {
  StepBuffers(const LlamaShape& shape, const KvLayout& layout, const StepLimits& limits);
  static size_t bytes(const LlamaShape& shape, const StepLimits& limits);

  Buffer<uint16_t> kv_pages;  // [layer, page, ..]
  StepUpload upload;
  Buffer<float> x, normed, update, query, attended, key, value, gate, up, logits, adjusted, partial;
  RowsBuffer hidden_rows, query_rows, ffn_rows;
  Buffer<uint32_t> position, kv_place, sample_from, paths, draft_rows, bias_tokens, token_counts;
  Buffer<float> bias_values;
  Buffer<uint64_t> masks;
  Buffer<DeviceSequence> sequences;
  Buffer<SampleRow> sample_rows;
  Buffer<WalkSequence> walks;
  Buffer<DeviceSampling> sampling;
  Buffer<int32_t> drawn;
  // What a step gives back, one after the other: WalkResult[slots_max], DeviceSlot[slots_max + 1].
  Buffer<uint8_t> results;
  uint32_t slots_max;
  WalkResult* walk_results() const { return reinterpret_cast<WalkResult*>(results.get()); }
  DeviceSlot* slots() const { return reinterpret_cast<DeviceSlot*>(results.get() + slots_max * sizeof(WalkResult)); }
};

struct DraftBuffers {
  DraftBuffers(const CudaHead& head, uint32_t slots_max);
  static size_t bytes(const DraftWeights& head, uint32_t slots_max);

  RowsBuffer hidden_rows, x_rows, state_rows, mlp_rows;
  Buffer<float> context, init_product, states, next_states, x, x_gates, s_gates, product, y, candidate_logprobs;
  Buffer<uint32_t> row_token, row_from, row_sequence, candidate_tokens;
  Buffer<RankPart> parts;
  Buffer<BeamState> beam_states;
  Buffer<int32_t> node_token, node_parent;
  Buffer<float> node_logprob;
};

// Rows of the attention's partial results that a step of these limits may need, a segment a part.
size_t partial_floats_max(const LlamaShape& shape, const StepLimits& limits);

}  // namespace redraft::cuda
