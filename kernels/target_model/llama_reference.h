// The plain reference of the decoder: a Llama in double precision, one token after the other, with the weights as the
// file has them. For tests.
#pragma once
#include <cmath>
#include <string>
#include <vector>

#include "llama_weights.h"

namespace redraft::test {

class LlamaReference {
 public:
  explicit LlamaReference(const Gguf& gguf) : gguf_(gguf), shape_(LlamaFile(gguf).shape()) {
    keys_.resize(shape_.layer_count), values_.resize(shape_.layer_count);
  }

  // The logits behind the next token: [vocab_size].
  std::vector<double> next(uint32_t token) {
    const auto embedding = matrix("token_embd.weight", shape_.vocab_size, shape_.hidden_size);
    std::vector<double> x(&embedding[token * shape_.hidden_size], &embedding[(token + 1) * shape_.hidden_size]);
    for (size_t layer = 0; layer < shape_.layer_count; ++layer) {
      const std::string name = "blk." + std::to_string(layer) + ".";
      add(x, attend(layer, name, normed(x, name + "attn_norm.weight")));
      const auto in = normed(x, name + "ffn_norm.weight");
      auto gate = product(name + "ffn_gate.weight", shape_.ffn_size, in);
      const auto up = product(name + "ffn_up.weight", shape_.ffn_size, in);
      for (size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
      add(x, product(name + "ffn_down.weight", shape_.hidden_size, gate));
    }
    ++position_;
    const char* head = gguf_.has_tensor("output.weight") ? "output.weight" : "token_embd.weight";
    return product(head, shape_.vocab_size, normed(x, "output_norm.weight"));
  }

 private:
  std::vector<double> matrix(const std::string& name, size_t out_count, size_t in_count) const {
    const WeightView view = gguf_.matrix(name, out_count, in_count);
    std::vector<float> row(in_count);
    std::vector<double> all;
    for (size_t out = 0; out < out_count; ++out) {
      dequantise_row(view, out, row.data());
      all.insert(all.end(), row.begin(), row.end());
    }
    return all;
  }

  std::vector<double> product(const std::string& name, size_t out_count, const std::vector<double>& x) const {
    const auto w = matrix(name, out_count, x.size());
    std::vector<double> y(out_count, 0);
    for (size_t out = 0; out < out_count; ++out)
      for (size_t in = 0; in < x.size(); ++in) y[out] += w[out * x.size() + in] * x[in];
    return y;
  }

  std::vector<double> normed(std::vector<double> x, const std::string& name) const {
    const auto weight = gguf_.vector(name, x.size());
    double square = 0;
    for (const double value : x) square += value * value;
    const double factor = 1 / std::sqrt(square / static_cast<double>(x.size()) + shape_.norm_epsilon);
    for (size_t i = 0; i < x.size(); ++i) x[i] *= factor * weight[i];
    return x;
  }

  static void add(std::vector<double>& x, const std::vector<double>& y) {
    for (size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  }

  // RoPE of each head's first rope_size values, neighbours in pairs (arXiv 2104.09864).
  void turn(std::vector<double>& x) const {
    const auto factors = LlamaFile(gguf_).rope_factors();
    for (size_t head = 0; head < x.size(); head += shape_.head_size)
      for (size_t i = 0; i < shape_.rope_size / 2; ++i) {
        const double power = -2.0 * static_cast<double>(i) / static_cast<double>(shape_.rope_size);
        const double frequency = std::pow(double(shape_.rope_base), power) / (factors.empty() ? 1 : factors[i]);
        const double angle = static_cast<double>(position_) * frequency;
        double &a = x[head + 2 * i], &b = x[head + 2 * i + 1];
        const double before = a;
        a = before * std::cos(angle) - b * std::sin(angle);
        b = before * std::sin(angle) + b * std::cos(angle);
      }
  }

  std::vector<double> attend(size_t layer, const std::string& name, const std::vector<double>& x) {
    auto q = product(name + "attn_q.weight", shape_.query_size(), x);
    auto k = product(name + "attn_k.weight", shape_.kv_size(), x);
    turn(q), turn(k);
    keys_[layer].push_back(k);
    values_[layer].push_back(product(name + "attn_v.weight", shape_.kv_size(), x));
    const size_t size = shape_.head_size;
    std::vector<double> out(q.size(), 0);
    for (size_t head = 0; head < shape_.head_count; ++head) {
      const size_t kv = head / (shape_.head_count / shape_.kv_head_count) * size;
      std::vector<double> weights;
      double sum = 0;
      for (const auto& key : keys_[layer]) {
        double score = 0;
        for (size_t i = 0; i < size; ++i) score += q[head * size + i] * key[kv + i];
        weights.push_back(std::exp(score / std::sqrt(static_cast<double>(size))));
        sum += weights.back();
      }
      for (size_t p = 0; p < weights.size(); ++p)
        for (size_t i = 0; i < size; ++i) out[head * size + i] += weights[p] / sum * values_[layer][p][kv + i];
    }
    return product(name + "attn_output.weight", shape_.hidden_size, out);
  }

  const Gguf& gguf_;
  LlamaShape shape_;
  std::vector<std::vector<std::vector<double>>> keys_, values_;  // [layer][position][kv_size]
  size_t position_ = 0;
};

}  // namespace redraft::test
