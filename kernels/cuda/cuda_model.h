// A target model and its draft head in device memory.
#pragma once
#include <optional>
#include <vector>

#include "../gru_draft/gru_draft.cuh"
#include "../gru_draft/gru_draft_weights.h"
#include "../target_model/llama_weights.h"
#include "layer_matrix.h"

namespace redraft::cuda {

struct CudaLayer {
  Buffer<float> attention_norm, ffn_norm;
  LayerMatrix query, key, value, output, gate, up, down;
};
struct CudaTarget {
  LlamaShape shape;
  MatrixBuffer embedding, separate_head;
  Buffer<float> final_norm;
  Buffer<float> cosines, sines;  // [context_max, rope_size / 2], as the CPU computes them.
  std::vector<CudaLayer> layers;
  const DeviceMatrix& head() const { return separate_head.present() ? separate_head.view() : embedding.view(); }

  // Layers go from the file to the device as many at a time as the pool has threads: the host never holds the model.
  CudaTarget(Device& device, const LlamaFile& file, size_t context_max, WeightKind kind, ThreadPool& pool);
};

struct CudaLinear {
  MatrixBuffer weight;
  Buffer<float> bias;
  CudaLinear() = default;
  CudaLinear(Device& device, const DraftLinear& linear)
      : weight(linear.present() ? MatrixBuffer(device, linear.weight) : MatrixBuffer()),
        bias(upload(device, linear.bias)) {}
};
// The cell's: bf16 where the head was loaded with it, else packed.
struct CudaGates {
  LayerMatrix weight;
  Buffer<float> bias;
  CudaGates(Device& device, const DraftLinear& linear);
};
struct CudaHead {
  DraftCell cell;
  uint32_t hidden_size, state_size, mlp_size, draft_vocab_size;
  CudaLinear init;
  CudaGates input, recurrent;
  CudaLinear first_context, first_state, head;
  std::vector<CudaLinear> blocks;
  bool first_silu;
  float logit_scale;
  Buffer<uint32_t> draft_vocab;  // Null: the target's own ids.

  // Throws Error(REDRAFT_UNSUPPORTED) for a head whose first layer is missing.
  CudaHead(Device& device, const DraftWeights& weights);
};

// Device bytes of a model and its head, known before any of it is read or taken.
size_t target_bytes(const LlamaFile& file, size_t context_max, WeightKind kind);
size_t head_bytes(const DraftWeights& weights);

}  // namespace redraft::cuda
