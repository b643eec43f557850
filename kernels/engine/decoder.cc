#include "decoder.h"

#include <cmath>
#include <cstring>
#include <initializer_list>

#include "../common/error.h"
#include "../common/row_math.h"

namespace redraft {
namespace {

// Under this many rows the work of a row-wise loop is less than the threads' meeting costs.
constexpr size_t kRowsWorthThreads = 4;

}  // namespace

void rms_norm(const float* x, const float* weight, float epsilon, size_t count, float* y) {
  float lanes[16] = {};  // Sixteen sums side by side, whatever the machine: the same bits anywhere.
  for (size_t i = 0; i < count; i += 16)
    for (size_t l = 0; l < 16; ++l) lanes[l] += x[i + l] * x[i + l];
  for (size_t half = 8; half > 0; half /= 2)
    for (size_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  const float scale = 1 / std::sqrt(lanes[0] / static_cast<float>(count) + epsilon);
  for (size_t i = 0; i < count; ++i) y[i] = x[i] * scale * weight[i];
}

Decoder::Decoder(const LlamaWeights& weights, KvCache& cache, ThreadPool& pool, size_t rows_max)
    : weights_(weights), shape_(weights.shape), cache_(cache), pool_(pool), rows_max_(rows_max) {
  for (size_t i = 0; i < shape_.rope_size / 2; ++i) {
    const float factor = weights.rope_factors.empty() ? 1 : weights.rope_factors[i];
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(shape_.rope_size);
    rope_frequencies_.push_back(static_cast<float>(std::pow(double(shape_.rope_base), exponent)) / factor);
  }
  cosines_.resize(rows_max * rope_frequencies_.size());
  sines_.resize(rows_max * rope_frequencies_.size());
  for (auto* buffer : {&x_, &normed_, &update_}) buffer->resize(rows_max * shape_.hidden_size);
  for (auto* buffer : {&query_, &attended_}) buffer->resize(rows_max * shape_.query_size());
  for (auto* buffer : {&key_, &value_}) buffer->resize(rows_max * shape_.kv_size());
  for (auto* buffer : {&gate_, &up_}) buffer->resize(rows_max * shape_.ffn_size);
  hidden_rows_.resize(rows_max, shape_.hidden_size);
  query_rows_.resize(rows_max, shape_.query_size());
  ffn_rows_.resize(rows_max, shape_.ffn_size);
  head_rows_.resize(kLogitsRowsMax, shape_.hidden_size);
}

template <typename Task>
void Decoder::each_row(size_t row_count, Task&& task) {
  if (row_count >= kRowsWorthThreads) return pool_.run(row_count, task);
  for (size_t row = 0; row < row_count; ++row) task(row);
}

// Several products of the same rows as one loop over the threads.
void Decoder::products(std::initializer_list<Product> all, const QuantRows& x, size_t row_count) {
  size_t strip_count = 0;
  for (const Product& product : all) strip_count += product.matrix->strip_count();
  const size_t strips_a_task = strips_of_task(strip_count, pool_.thread_count());
  const size_t task_count = (strip_count + strips_a_task - 1) / strips_a_task;
  pool_.run(task_count, [&](size_t task) {
    size_t begin = task * strips_a_task, end = std::min(begin + strips_a_task, strip_count), first = 0;
    for (const Product& product : all) {
      const size_t count = product.matrix->strip_count();
      if (begin < first + count && end > first)
        matmul_strips(*product.matrix, x, row_count, product.y, product.stride, std::max(begin, first) - first,
                      std::min(end, first + count) - first);
      first += count;
    }
  });
}

void Decoder::rope_angles(const std::vector<DecoderRow>& rows) {
  const size_t pairs = rope_frequencies_.size();
  each_row(rows.size(), [&](size_t row) {
    for (size_t i = 0; i < pairs; ++i) {
      const double angle = double(rows[row].position) * rope_frequencies_[i];
      cosines_[row * pairs + i] = static_cast<float>(std::cos(angle));
      sines_[row * pairs + i] = static_cast<float>(std::sin(angle));
    }
  });
}

// Rotates adjacent pairs, as GGUF files of the Llama family have their weights permuted for.
void Decoder::rotate(float* head, size_t row) const {
  const size_t pairs = rope_frequencies_.size();
  for (size_t i = 0; i < pairs; ++i) {
    const float cosine = cosines_[row * pairs + i], sine = sines_[row * pairs + i];
    const float a = head[2 * i], b = head[2 * i + 1];
    head[2 * i] = a * cosine - b * sine;
    head[2 * i + 1] = a * sine + b * cosine;
  }
}

void Decoder::attend(size_t layer, const std::vector<AttentionSequence>& sequences) {
  struct TileTask {
    const AttentionSequence* sequence;
    size_t kv_head, begin, count;
  };
  const size_t group = shape_.head_count / shape_.kv_head_count;
  const size_t rows_a_tile = std::max<size_t>(1, std::min(kAttentionRowsTile, 128 / group));
  std::vector<TileTask> tasks;
  for (const AttentionSequence& sequence : sequences)
    for (size_t begin = 0; begin < sequence.row_count; begin += rows_a_tile)
      for (size_t kv_head = 0; kv_head < shape_.kv_head_count; ++kv_head)
        tasks.push_back({&sequence, kv_head, begin, std::min(rows_a_tile, sequence.row_count - begin)});
  const AttentionCall call{&cache_.layout(), cache_.layer(layer), shape_.head_count,
                           query_.data(),    attended_.data(),    shape_.query_size()};
  pool_.run(tasks.size(), [&](size_t i) {
    thread_local AttentionScratch scratch;
    tree_attention(call, *tasks[i].sequence, tasks[i].kv_head, tasks[i].begin, tasks[i].count, scratch);
  });
}

void Decoder::forward(const std::vector<DecoderRow>& rows, const std::vector<AttentionSequence>& sequences) {
  const size_t row_count = rows.size(), hidden = shape_.hidden_size;
  REDRAFT_ASSERT(row_count <= rows_max_);
  const float query_scale = 1 / std::sqrt(static_cast<float>(shape_.head_size));
  rope_angles(rows);
  for (size_t layer_index = 0; layer_index < shape_.layer_count; ++layer_index) {
    const LlamaLayer& layer = weights_.layers[layer_index];
    each_row(row_count, [&](size_t row) {
      float* x = &x_[row * hidden];
      if (layer_index == 0) embed(rows[row].token, x);
      else
        for (size_t i = 0; i < hidden; ++i) x[i] += update_[row * hidden + i];
      rms_norm(x, layer.attention_norm.data(), shape_.norm_epsilon, hidden, &normed_[row * hidden]);
      hidden_rows_.quantise(row, &normed_[row * hidden]);
    });
    products({{&layer.query, query_.data(), shape_.query_size()},
              {&layer.key, key_.data(), shape_.kv_size()},
              {&layer.value, value_.data(), shape_.kv_size()}},
             hidden_rows_, row_count);
    each_row(row_count, [&](size_t row) {
      float* query = &query_[row * shape_.query_size()];
      float* key = &key_[row * shape_.kv_size()];
      for (size_t head = 0; head < shape_.head_count; ++head) rotate(query + head * shape_.head_size, row);
      for (size_t i = 0; i < shape_.query_size(); ++i) query[i] *= query_scale;
      for (size_t head = 0; head < shape_.kv_head_count; ++head) rotate(key + head * shape_.head_size, row);
      cache_.write_row(layer_index, rows[row].kv_page, rows[row].kv_row, key, &value_[row * shape_.kv_size()]);
    });
    attend(layer_index, sequences);
    each_row(row_count, [&](size_t row) { query_rows_.quantise(row, &attended_[row * shape_.query_size()]); });
    products({{&layer.output, update_.data(), hidden}}, query_rows_, row_count);
    each_row(row_count, [&](size_t row) {
      float* x = &x_[row * hidden];
      for (size_t i = 0; i < hidden; ++i) x[i] += update_[row * hidden + i];
      rms_norm(x, layer.ffn_norm.data(), shape_.norm_epsilon, hidden, &normed_[row * hidden]);
      hidden_rows_.quantise(row, &normed_[row * hidden]);
    });
    products({{&layer.gate, gate_.data(), shape_.ffn_size}, {&layer.up, up_.data(), shape_.ffn_size}}, hidden_rows_,
             row_count);
    each_row(row_count, [&](size_t row) {
      float* gate = &gate_[row * shape_.ffn_size];
      const float* up = &up_[row * shape_.ffn_size];
      row_silu(gate, shape_.ffn_size);
      for (size_t i = 0; i < shape_.ffn_size; ++i) gate[i] *= up[i];
      ffn_rows_.quantise(row, gate);
    });
    products({{&layer.down, update_.data(), hidden}}, ffn_rows_, row_count);
  }
  each_row(row_count, [&](size_t row) {
    float* x = &x_[row * hidden];
    for (size_t i = 0; i < hidden; ++i) x[i] += update_[row * hidden + i];
    rms_norm(x, weights_.final_norm.data(), shape_.norm_epsilon, hidden, &normed_[row * hidden]);
  });
}

void Decoder::logits(const std::vector<size_t>& rows, float* out) {
  REDRAFT_ASSERT(rows.size() <= kLogitsRowsMax);
  for (size_t i = 0; i < rows.size(); ++i) head_rows_.quantise(i, hidden(rows[i]));
  matmul(pool_, weights_.head(), head_rows_, rows.size(), out, shape_.vocab_size);
}

}  // namespace redraft
