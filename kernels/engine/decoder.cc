#include "decoder.h"

#include <cmath>
#include <initializer_list>
#include <utility>

#include "../common/error.h"
#include "../common/row_math.h"

namespace redraft {
namespace {

// Under this many rows the work of a row-wise loop is less than the threads' meeting costs.
constexpr size_t kRowsWorthThreads = 4;

}  // namespace

Decoder::Decoder(const LlamaWeights& weights, KvCache& cache, ThreadPool& pool, size_t rows_max)
    : weights_(weights), shape_(weights.shape), cache_(cache), pool_(pool), rows_max_(rows_max) {
  for (size_t i = 0; i < shape_.rope_size / 2; ++i) {
    const float factor = weights.rope_factors.empty() ? 1 : weights.rope_factors[i];
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(shape_.rope_size);
    rope_frequencies_.push_back(static_cast<float>(std::pow(double(shape_.rope_base), exponent)) / factor);
  }
  for (auto* buffer : {&cosines_, &sines_}) buffer->resize(rows_max * shape_.rope_size);
  for (auto* buffer : {&x_, &normed_, &update_}) buffer->resize(rows_max * shape_.hidden_size);
  for (auto* buffer : {&query_, &attended_}) buffer->resize(rows_max * shape_.query_size());
  for (auto* buffer : {&key_, &value_}) buffer->resize(rows_max * shape_.kv_size());
  hidden_rows_.resize(rows_max, shape_.hidden_size);
  query_rows_.resize(rows_max, shape_.query_size());
  ffn_rows_.resize(rows_max, shape_.ffn_size);
  head_rows_.resize(kLogitsRowsMax, shape_.hidden_size);
}

template <typename Task>
void Decoder::each_row(size_t row_count, Task&& task) {
  const auto some = [&](size_t begin, size_t end) {
    for (size_t row = begin; row < end; ++row) task(row);
  };
  if (row_count >= kRowsWorthThreads) pool_.share(row_count, some);
  else some(0, row_count);
}

// Each row's embedding, and the turns of its position.
void Decoder::begin(const std::vector<DecoderRow>& rows) {
  each_row(rows.size(), [&](size_t row) {
    embed(rows[row].token, &x_[row * shape_.hidden_size]);
    float* const cosines = &cosines_[row * shape_.rope_size];
    float* const sines = &sines_[row * shape_.rope_size];
    for (size_t i = 0; i < rope_frequencies_.size(); ++i) {
      const double angle = double(rows[row].position) * rope_frequencies_[i];
      cosines[2 * i] = cosines[2 * i + 1] = static_cast<float>(std::cos(angle));
      sines[2 * i + 1] = static_cast<float>(std::sin(angle));
      sines[2 * i] = -sines[2 * i + 1];
    }
  });
}

// The residual stream, with what the part before made of it where there is one, normed. out: [hidden_size]
void Decoder::norm_row(const std::vector<float>& weight, bool is_added, size_t row, float* out) {
  const size_t hidden = shape_.hidden_size;
  float* const x = &x_[row * hidden];
  if (is_added) row_add(x, &update_[row * hidden], hidden);
  row_rms_norm(x, weight.data(), shape_.norm_epsilon, hidden, out);
}

// The same of all rows, quantised for the products.
void Decoder::norm(const std::vector<float>& weight, bool is_added, size_t row_count) {
  each_row(row_count, [&](size_t row) {
    thread_local AlignedVector<float> normed;
    normed.resize(shape_.hidden_size);
    norm_row(weight, is_added, row, normed.data());
    hidden_rows_.quantise(row, normed.data());
  });
}

// Queries, keys and values, a head after the other: whoever multiplied a head turns it to its positions and keeps it.
// Adjacent pairs turn, as GGUF files of the Llama family have their weights permuted for.
void Decoder::project(size_t layer_index, const std::vector<DecoderRow>& rows) {
  const LlamaLayer& layer = weights_.layers[layer_index];
  const size_t size = shape_.head_size, strips = size / kStripOutputs;
  const size_t heads = shape_.head_count, kv_heads = shape_.kv_head_count;
  const float query_scale = 1 / std::sqrt(static_cast<float>(size));
  const auto turn = [&](float* x, size_t row, float scale) {
    const size_t at = row * shape_.rope_size;
    row_rotate(x, &cosines_[at], &sines_[at], scale, shape_.rope_size);
    for (size_t i = shape_.rope_size; i < size; ++i) x[i] *= scale;
  };
  const auto multiply = [&](const PackedMatrix& matrix, size_t head, RowRange some, AlignedVector<float>& y) {
    const size_t stride = matrix.out_count();
    float* const to = &y[some.begin * stride + head * size];
    matmul_strips(matrix, hidden_rows_, some, to, stride, head * strips, (head + 1) * strips);
    return to;
  };
  share_strips(pool_, heads + 2 * kv_heads, rows.size(), [&](RowRange some, size_t begin, size_t end) {
    for (size_t head = begin; head < end; ++head) {
      if (head < heads) {
        float* query = multiply(layer.query, head, some, query_);
        for (size_t row = some.begin; row < some.end; ++row, query += shape_.query_size())
          turn(query, row, query_scale);
        continue;
      }
      const bool is_key = head < heads + kv_heads;
      const size_t kv_head = head - heads - (is_key ? 0 : kv_heads);
      float* to = is_key ? multiply(layer.key, kv_head, some, key_) : multiply(layer.value, kv_head, some, value_);
      for (size_t row = some.begin; row < some.end; ++row, to += shape_.kv_size()) {
        if (is_key) turn(to, row, 1);
        if (is_key) cache_.write_key(layer_index, rows[row].kv_page, rows[row].kv_row, kv_head, to);
        else cache_.write_value(layer_index, rows[row].kv_page, rows[row].kv_row, kv_head, to);
      }
    }
  });
}

// Rows of one task. Sharing the loads of keys and values is worth less than a thread without work.
size_t Decoder::attention_rows(const std::vector<AttentionSequence>& sequences) const {
  const size_t group = shape_.head_count / shape_.kv_head_count;
  size_t rows = std::max<size_t>(1, std::min(kAttentionRowsTile, 128 / group));
  for (; rows > 2; rows = (rows + 1) / 2) {
    size_t tiles = 0;
    for (const AttentionSequence& sequence : sequences) tiles += (sequence.row_count + rows - 1) / rows;
    if (tiles * shape_.kv_head_count >= 2 * pool_.thread_count()) break;
  }
  return rows;
}

void Decoder::attend(size_t layer, const std::vector<AttentionSequence>& sequences) {
  struct TileTask {
    const AttentionSequence* sequence;
    size_t kv_head, begin, end;
  };
  const size_t group_size = shape_.query_size() / shape_.kv_head_count, rows_max = attention_rows(sequences);
  std::vector<TileTask> tasks;
  for (const AttentionSequence& sequence : sequences) {
    const size_t rows = sequence.row_count, tiles = (rows + rows_max - 1) / rows_max;
    for (size_t tile = 0; tile < tiles; ++tile)
      for (size_t kv_head = 0; kv_head < shape_.kv_head_count; ++kv_head)
        tasks.push_back({&sequence, kv_head, tile * rows / tiles, (tile + 1) * rows / tiles});
  }
  const AttentionCall call{&cache_.layout(), cache_.layer(layer), shape_.head_count,
                           query_.data(),    attended_.data(),    shape_.query_size()};
  const bool is_whole = group_size % kBlockInputs == 0;  // Of blocks: a task can quantise what it made.
  pool_.run(tasks.size(), [&](size_t i) {
    thread_local AttentionScratch scratch;
    const auto& [sequence, kv_head, begin, end] = tasks[i];
    tree_attention(call, *sequence, kv_head, begin, end - begin, scratch);
    const size_t at = kv_head * group_size, blocks = group_size / kBlockInputs;
    for (size_t row = sequence->row_begin + begin; is_whole && row < sequence->row_begin + end; ++row)
      query_rows_.quantise_blocks(row, kv_head * blocks, blocks, &attended_[row * shape_.query_size() + at]);
  });
  const size_t row_count = sequences.back().row_begin + sequences.back().row_count;
  if (!is_whole)
    each_row(row_count, [&](size_t row) { query_rows_.quantise(row, &attended_[row * shape_.query_size()]); });
}

// SwiGLU (arXiv 2002.05202): whoever multiplied a block of the gate and of the other half joins and quantises them.
void Decoder::gate(const LlamaLayer& layer, size_t row_count) {
  constexpr size_t kStrips = kBlockInputs / kStripOutputs;
  constexpr size_t kFloats = 8192;  // Of each half, joined before they leave the second-level cache.
  share_strips(pool_, shape_.ffn_size / kBlockInputs, row_count, [&](RowRange rows, size_t begin, size_t end) {
    thread_local AlignedVector<float> gate, up;
    const size_t blocks_max = std::max<size_t>(1, kFloats / (rows.count() * kBlockInputs));
    for (size_t block = begin; block < end; block += blocks_max) {
      const size_t blocks = std::min(blocks_max, end - block), size = blocks * kBlockInputs;
      for (const auto& [matrix, y] : {std::pair{&layer.gate, &gate}, std::pair{&layer.up, &up}}) {
        if (y->size() < rows.count() * size) y->resize(rows.count() * size);
        matmul_strips(*matrix, hidden_rows_, rows, y->data(), size, block * kStrips, (block + blocks) * kStrips);
      }
      for (size_t row = 0; row < rows.count(); ++row) {
        row_silu_times(&gate[row * size], &up[row * size], size);
        ffn_rows_.quantise_blocks(rows.begin + row, block, blocks, &gate[row * size]);
      }
    }
  });
}

void Decoder::forward(const std::vector<DecoderRow>& rows, const std::vector<AttentionSequence>& sequences) {
  const size_t row_count = rows.size(), hidden = shape_.hidden_size;
  REDRAFT_ASSERT(row_count <= rows_max_);
  for (QuantRows* quantised : {&hidden_rows_, &query_rows_, &ffn_rows_}) quantised->begin(row_count);
  begin(rows);
  for (size_t index = 0; index < shape_.layer_count; ++index) {
    const LlamaLayer& layer = weights_.layers[index];
    norm(layer.attention_norm, index > 0, row_count);
    project(index, rows);
    attend(index, sequences);
    matmul(pool_, layer.output, query_rows_, row_count, update_.data(), hidden);
    norm(layer.ffn_norm, true, row_count);
    gate(layer, row_count);
    matmul(pool_, layer.down, ffn_rows_, row_count, update_.data(), hidden);
  }
  each_row(row_count, [&](size_t row) { norm_row(weights_.final_norm, true, row, &normed_[row * hidden]); });
}

void Decoder::logits(const std::vector<size_t>& rows, float* out) {
  REDRAFT_ASSERT(rows.size() <= kLogitsRowsMax);
  head_rows_.begin(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) head_rows_.quantise(i, hidden(rows[i]));
  matmul(pool_, weights_.head(), head_rows_, rows.size(), out, shape_.vocab_size);
}

}  // namespace redraft
