// The weights of a model of the Llama family, packed for this machine, and the numbers that shape it.
#pragma once
#include <string>
#include <vector>

#include "../common/packed_matrix.h"
#include "gguf.h"

namespace redraft {

struct LlamaShape {
  std::string architecture, name;
  size_t vocab_size, context_max, hidden_size, layer_count, ffn_size, head_count, kv_head_count, head_size, rope_size;
  float rope_base, norm_epsilon;
  size_t parameter_count;
  size_t query_size() const { return head_count * head_size; }
  size_t kv_size() const { return kv_head_count * head_size; }
};

struct LlamaLayer {
  std::vector<float> attention_norm, ffn_norm;  // [hidden_size]
  PackedMatrix query, key, value;               // [query_size | kv_size, hidden_size]
  PackedMatrix output;                          // [hidden_size, query_size]
  PackedMatrix gate, up;                        // [ffn_size, hidden_size]
  PackedMatrix down;                            // [hidden_size, ffn_size]
};

struct LlamaWeights {
  LlamaShape shape;
  PackedMatrix embedding;           // [vocab_size, hidden_size]
  PackedMatrix separate_head;       // Empty where the head is tied to the embedding.
  std::vector<float> final_norm;    // [hidden_size]
  std::vector<float> rope_factors;  // [rope_size / 2]; divides the frequencies (Llama 3's long-context scaling).
  std::vector<LlamaLayer> layers;
  const PackedMatrix& head() const { return separate_head.out_count() ? separate_head : embedding; }
  size_t bytes() const;

  // Throws Error(REDRAFT_BAD_MODEL) that names what is missing or does not fit, Error(REDRAFT_UNSUPPORTED) for what
  // this build cannot run. context_max of the shape is the model's own.
  static LlamaWeights load(const Gguf& gguf, ThreadPool& pool);
};

}  // namespace redraft
