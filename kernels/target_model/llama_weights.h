// The weights of a model of the Llama family, packed for this machine, and the numbers that shape it.
#pragma once
#include <array>
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

// A layer's matrices, in the order of LlamaLayer.
using LayerShapes = std::array<MatrixShape, 7>;

// The weights in a file, each packed when it is asked for: nothing is kept here. Calls may come from several threads.
class LlamaFile {
 public:
  // gguf outlives it. Throws Error(REDRAFT_BAD_MODEL) that names what is missing or does not fit,
  // Error(REDRAFT_UNSUPPORTED) for what this build cannot run; so do the others.
  explicit LlamaFile(const Gguf& gguf);
  const LlamaShape& shape() const { return shape_; }  // context_max is the model's own.
  bool has_head() const;                              // Else it is tied to the embedding.
  MatrixShape embedding_shape() const;
  MatrixShape head_shape() const;
  LayerShapes layer_shapes(size_t index) const;
  size_t packed_bytes() const;  // What all matrices will take.

  PackedMatrix embedding() const;
  PackedMatrix separate_head() const;  // Empty where tied.
  LlamaLayer layer(size_t index) const;
  std::vector<float> final_norm() const;
  std::vector<float> rope_factors() const;

 private:
  WeightView view_of(size_t layer, size_t matrix) const;
  PackedMatrix pack(const WeightView& view) const;

  const Gguf& gguf_;
  LlamaShape shape_;
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

  // All of a file at once. Throws what LlamaFile throws.
  static LlamaWeights load(const Gguf& gguf, ThreadPool& pool);
};

}  // namespace redraft
