// Heads of random weights, for tests.
#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "../common/safetensors_writer.h"
#include "../common/test.h"
#include "../common/test_random.h"
#include "gru_draft.h"

namespace redraft {
namespace {

constexpr size_t kHidden = 64, kState = 48, kMlp = 80, kDraftVocab = 300, kTargetVocab = 1000;

double normal(uint64_t seed, uint64_t i) {
  const double u = philox_uniform(seed, 2 * i) + 1e-12, v = philox_uniform(seed, 2 * i + 1);
  return std::sqrt(-2 * std::log(u)) * std::cos(2 * 3.14159265358979 * v);
}

test::NewTensor random_tensor(const std::string& name, std::vector<size_t> shape, const std::string& type = "F32") {
  const uint64_t seed = std::hash<std::string>()(name);
  size_t count = 1;
  for (const size_t size : shape) count *= size;
  // Rows that keep the size of what comes in, so that gates are neither open nor shut.
  const double scale = shape.size() == 2 ? 1.5 / std::sqrt(static_cast<double>(shape[1])) : 0.3;
  test::NewTensor tensor{name, type, std::move(shape), std::vector<double>(count)};
  for (size_t i = 0; i < count; ++i) tensor.values[i] = normal(seed, i) * scale;
  return tensor;
}

const DraftTarget kTarget = {kHidden, kTargetVocab, std::string(64, 'a')};

inline void embed(int32_t token, float* out) {
  for (size_t i = 0; i < kHidden; ++i) out[i] = static_cast<float>(normal(1000 + static_cast<uint64_t>(token), i));
}

std::vector<float> hidden_of(uint64_t sequence) {
  std::vector<float> hidden(kHidden);
  for (size_t i = 0; i < kHidden; ++i) hidden[i] = static_cast<float>(normal(77 + sequence, i));
  return hidden;
}

struct Head {
  test::Folder folder;
  std::vector<test::NewTensor> tensors;
  std::string config;

  void write() const {
    test::write_file(folder.path() / "config.json", config);
    test::write_file(folder.path() / "model.safetensors", test::safetensors_bytes(tensors));
  }
  std::string directory() const { return folder.path().string(); }
  test::NewTensor& tensor(const std::string& name) {
    return *std::find_if(tensors.begin(), tensors.end(), [&](const auto& tensor) { return tensor.name == name; });
  }
};

inline void make_ours(Head& head, const std::string& cell, const std::string& type = "F32") {
  head.config = R"({"format":"redraft-head-1","cell":")" + cell + R"(","hidden_size":64,"state_size":48,"mlp_size":80,
    "mlp_layers":2,"draft_vocab_size":300,"target_vocab_size":1000,"logit_scale":0.75,"target_digest":")" +
                kTarget.digest + "\"}";
  const size_t gates = cell == "gru" ? 3 * kState : kState;
  head.tensors = {random_tensor("init.weight", {kState, kHidden}, type),
                  random_tensor("init.bias", {kState}, type),
                  random_tensor(cell + ".w_ih", {gates, kHidden}, type),
                  random_tensor(cell + ".w_hh", {gates, kState}, type),
                  random_tensor(cell + ".b_hh", {gates}, type),
                  random_tensor("mlp.0.weight", {kMlp, kHidden + kState}, type),
                  random_tensor("mlp.0.bias", {kMlp}, type),
                  random_tensor("mlp.1.weight", {kMlp, kMlp}, type),
                  random_tensor("mlp.1.bias", {kMlp}, type),
                  random_tensor("head.weight", {kDraftVocab, kMlp}, type),
                  random_tensor("head.bias", {kDraftVocab}, type)};
  if (cell == "gru") head.tensors.push_back(random_tensor("gru.b_ih", {gates}, type));
  test::NewTensor vocab{"draft_vocab", "I32", {kDraftVocab}, {}};
  for (size_t i = 0; i < kDraftVocab; ++i) vocab.values.push_back(static_cast<double>(3 * i + 1));
  head.tensors.push_back(vocab);
  head.write();
}

inline void make_apples(Head& head, bool rnn, size_t exit_dim) {
  head.config = R"({"model_type":"recurrent_drafting_drafter","vocab_size":1000,"hidden_size":64,"num_draft_layers":2,
    "exit_dim":)" +
                std::to_string(exit_dim) + R"(,"rnn":)" + (rnn ? "true" : "false") + R"(,"emb_norm":false})";
  head.tensors = {random_tensor("lm_head.2.weight", {kTargetVocab, exit_dim}, "BF16")};
  for (const std::string layer : {"lm_head.0.linear", "lm_head.1.linear"}) {
    head.tensors.push_back(random_tensor(layer + ".weight", {exit_dim, exit_dim}, "BF16"));
    head.tensors.push_back(random_tensor(layer + ".bias", {exit_dim}, "BF16"));
  }
  if (rnn) {
    head.tensors.push_back(random_tensor("rnn_w.weight", {kHidden, kHidden}, "BF16"));
    head.tensors.push_back(random_tensor("rnn_u.weight", {kHidden, kHidden}, "BF16"));
    head.tensors.push_back(random_tensor("rnn_u.bias", {kHidden}, "BF16"));
  }
  if (exit_dim != 2 * kHidden) {
    head.tensors.push_back(random_tensor("input_proj.weight", {exit_dim, 2 * kHidden}, "BF16"));
    head.tensors.push_back(random_tensor("input_proj.bias", {exit_dim}, "BF16"));
  }
  head.write();
}

}  // namespace
}  // namespace redraft
