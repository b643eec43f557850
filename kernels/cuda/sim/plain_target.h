// The target in f64, one token after the other: what an engine's hidden states are held against.
#pragma once
#include <cmath>
#include <vector>

#include "../../target_model/llama_weights.h"

namespace redraft::test {

using Numbers = std::vector<double>;

// Makes other numbers of one output's weights, or of one row: what a kind of numbers keeps of them.
using Rounding = void (*)(std::vector<float>& numbers);
struct Kept {
  Rounding weights = nullptr;  // Of the layers' weights.
  Rounding rows = nullptr;     // Of what they are multiplied with.
};

inline void keep(Rounding round, Numbers& x) {
  if (!round) return;
  std::vector<float> row(x.begin(), x.end());
  round(row);
  x.assign(row.begin(), row.end());
}

inline Numbers times(const PackedMatrix& w, Numbers x, const Kept& kept = {}) {
  Numbers y(w.out_count());
  std::vector<float> row(w.in_count());
  keep(kept.rows, x);
  for (size_t out = 0; out < y.size(); ++out) {
    w.unpack_row(out, row.data());
    if (kept.weights) kept.weights(row);
    for (size_t i = 0; i < x.size(); ++i) y[out] += row[i] * x[i];
  }
  return y;
}

// Logits of several rows: an output's weights are unpacked once. [row][out], one after the other.
inline Numbers plain_logits(const LlamaWeights& w, std::vector<Numbers> rows, const Kept& kept = {}) {
  const PackedMatrix& head = w.head();
  Numbers logits(rows.size() * head.out_count());
  std::vector<float> weights(head.in_count());
  for (Numbers& row : rows) keep(kept.rows, row);
  for (size_t out = 0; out < head.out_count(); ++out) {
    head.unpack_row(out, weights.data());
    if (kept.weights) kept.weights(weights);
    for (size_t r = 0; r < rows.size(); ++r)
      for (size_t i = 0; i < weights.size(); ++i) logits[r * head.out_count() + out] += weights[i] * rows[r][i];
  }
  return logits;
}

inline Numbers normed(const Numbers& x, const std::vector<float>& weight, double epsilon) {
  double sum = 0;
  for (const double value : x) sum += value * value;
  Numbers y(x.size());
  for (size_t i = 0; i < x.size(); ++i)
    y[i] = x[i] / std::sqrt(sum / static_cast<double>(x.size()) + epsilon) * weight[i];
  return y;
}

inline void rotate(Numbers& x, size_t head_size, size_t position, double base) {
  for (size_t i = 0; i < x.size(); i += 2) {
    const double pair = static_cast<double>(i % head_size) / static_cast<double>(head_size);
    const double angle = static_cast<double>(position) * std::pow(base, -pair), a = x[i], b = x[i + 1];
    x[i] = a * std::cos(angle) - b * std::sin(angle), x[i + 1] = a * std::sin(angle) + b * std::cos(angle);
  }
}

// The target in f64 with the same weights, one token after the other: final hidden states.
inline std::vector<Numbers> plain_hidden(const LlamaWeights& w, const std::vector<uint32_t>& tokens,
                                         const Kept& kept = {}) {
  const LlamaShape& shape = w.shape;
  const size_t head_size = shape.head_size, group = shape.head_count / shape.kv_head_count;
  std::vector<std::vector<Numbers>> keys(shape.layer_count), values(shape.layer_count);
  std::vector<Numbers> out;
  for (size_t position = 0; position < tokens.size(); ++position) {
    std::vector<float> embedding(shape.hidden_size);
    w.embedding.unpack_row(tokens[position], embedding.data());
    Numbers x(embedding.begin(), embedding.end());
    for (size_t l = 0; l < shape.layer_count; ++l) {
      const LlamaLayer& layer = w.layers[l];
      const Numbers in = normed(x, layer.attention_norm, shape.norm_epsilon);
      Numbers q = times(layer.query, in, kept), k = times(layer.key, in, kept), attended(q.size());
      rotate(q, head_size, position, shape.rope_base), rotate(k, head_size, position, shape.rope_base);
      keys[l].push_back(k), values[l].push_back(times(layer.value, in, kept));
      for (size_t head = 0; head < shape.head_count; ++head) {
        const size_t from = head / group * head_size, to = head * head_size;
        Numbers weights;
        double total = 0;
        for (const Numbers& key : keys[l]) {
          double score = 0;
          for (size_t d = 0; d < head_size; ++d) score += q[to + d] * key[from + d];
          weights.push_back(std::exp(score / std::sqrt(static_cast<double>(head_size))));
          total += weights.back();
        }
        for (size_t p = 0; p <= position; ++p)
          for (size_t d = 0; d < head_size; ++d) attended[to + d] += weights[p] / total * values[l][p][from + d];
      }
      const Numbers update = times(layer.output, attended, kept);
      for (size_t i = 0; i < x.size(); ++i) x[i] += update[i];
      const Numbers middle = normed(x, layer.ffn_norm, shape.norm_epsilon);
      Numbers gate = times(layer.gate, middle, kept), up = times(layer.up, middle, kept);
      for (size_t i = 0; i < gate.size(); ++i) gate[i] *= up[i] / (1 + std::exp(-gate[i]));
      const Numbers down = times(layer.down, gate, kept);
      for (size_t i = 0; i < x.size(); ++i) x[i] += down[i];
    }
    out.push_back(normed(x, w.final_norm, shape.norm_epsilon));
  }
  return out;
}

// The difference's size as a part of the expected's.
template <class Got>
double distance(const Got& got, const Numbers& expected) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    difference += (got[i] - expected[i]) * (got[i] - expected[i]);
    size += expected[i] * expected[i];
  }
  return std::sqrt(difference / size);
}

}  // namespace redraft::test
