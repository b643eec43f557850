// The target model's forward pass over the rows of one step: context chunks and draft trees of many sequences together.
#pragma once
#include <cstdint>
#include <vector>

#include "../common/packed_matrix.h"
#include "../kv_cache/kv_cache.h"
#include "../target_model/llama_weights.h"
#include "../tree_attention/tree_attention.h"

namespace redraft {

struct DecoderRow {
  uint32_t token;
  uint32_t position;
  uint32_t kv_page;  // Where this row's key and value go.
  uint32_t kv_row;
};

class Decoder {
 public:
  Decoder(const LlamaWeights& weights, KvCache& cache, ThreadPool& pool, size_t rows_max);

  // Fills hidden() for all rows. sequences cover the rows without gap or overlap.
  void forward(const std::vector<DecoderRow>& rows, const std::vector<AttentionSequence>& sequences);
  // Row's final hidden state, after the last RMSNorm: what the heads read. [hidden_size]
  const float* hidden(size_t row) const { return &normed_[row * shape_.hidden_size]; }
  // Logits of the given rows: out: [rows.size(), vocab_size]. rows.size() <= kLogitsRowsMax.
  void logits(const std::vector<size_t>& rows, float* out);
  static constexpr size_t kLogitsRowsMax = 64;

  const LlamaShape& shape() const { return shape_; }
  // The embedding row of a token, [hidden_size].
  void embed(uint32_t token, float* out) const { weights_.embedding.unpack_row(token, out); }

 private:
  template <typename Task>
  void each_row(size_t row_count, Task&& task);
  void begin(const std::vector<DecoderRow>& rows);
  void norm_row(const std::vector<float>& weight, bool is_added, size_t row, float* out);
  void norm(const std::vector<float>& weight, bool is_added, size_t row_count);
  void project(size_t layer, const std::vector<DecoderRow>& rows);
  size_t attention_rows(const std::vector<AttentionSequence>& sequences) const;
  void attend(size_t layer, const std::vector<AttentionSequence>& sequences);
  void gate(const LlamaLayer& layer, size_t row_count);

  const LlamaWeights& weights_;
  const LlamaShape shape_;
  KvCache& cache_;
  ThreadPool& pool_;
  size_t rows_max_;
  std::vector<float> rope_frequencies_;       // [rope_size / 2]
  AlignedVector<float> cosines_, sines_;      // [rows_max, rope_size]: row_rotate's
  AlignedVector<float> x_, normed_, update_;  // [rows_max, hidden_size]; x_ is the residual stream
  AlignedVector<float> query_, attended_;     // [rows_max, query_size]
  AlignedVector<float> key_, value_;          // [rows_max, kv_size]
  QuantRows hidden_rows_, query_rows_, ffn_rows_, head_rows_;
};

}  // namespace redraft
