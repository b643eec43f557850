// Writes small GGUF files for tests.
#pragma once
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "gguf.h"

namespace redraft {

class GgufWriter {
 public:
  template <typename T>
  static void append(std::string& to, T value) {
    to.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  static void append_text(std::string& to, const std::string& text) { append<uint64_t>(to, text.size()), to += text; }

  void text(const std::string& key, const std::string& value) {
    head(key, GgufType::STRING), append_text(values_, value);
  }
  void u32(const std::string& key, uint32_t value) { head(key, GgufType::U32), append(values_, value); }
  void f32(const std::string& key, float value) { head(key, GgufType::F32), append(values_, value); }
  void texts(const std::string& key, const std::vector<std::string>& items) {
    head(key, GgufType::ARRAY);
    append(values_, GgufType::STRING), append<uint64_t>(values_, items.size());
    for (const std::string& item : items) append_text(values_, item);
  }
  // shape: outermost first. data: as it lies in the file.
  void tensor(const std::string& name, WeightType type, const std::vector<uint64_t>& shape, const std::string& data) {
    append_text(tensors_, name);
    append<uint32_t>(tensors_, static_cast<uint32_t>(shape.size()));
    for (size_t d = shape.size(); d-- > 0;) append(tensors_, shape[d]);
    append(tensors_, type);
    append<uint64_t>(tensors_, data_.size());
    data_ += data;
    data_.resize((data_.size() + 31) / 32 * 32);
    ++tensor_count_;
  }
  void random_f32(const std::string& name, const std::vector<uint64_t>& shape, float scale, uint32_t seed,
                  float mean = 0) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(mean, scale);
    uint64_t count = 1;
    for (const uint64_t dimension : shape) count *= dimension;
    std::string data;
    for (uint64_t i = 0; i < count; ++i) append(data, normal(random));
    tensor(name, WeightType::F32, shape, data);
  }
  std::string bytes() const {
    std::string all = "GGUF";
    append<uint32_t>(all, 3), append(all, tensor_count_), append(all, value_count_);
    all += values_ + tensors_;
    all.resize((all.size() + 31) / 32 * 32);
    return all + data_;
  }

 private:
  void head(const std::string& key, GgufType type) { append_text(values_, key), append(values_, type), ++value_count_; }
  uint64_t tensor_count_ = 0, value_count_ = 0;
  std::string values_, tensors_, data_;
};

struct TinyShape {
  uint32_t hidden = 64, layers = 2, ffn = 96, heads = 4, kv_heads = 2, head_size = 16, rope = 16, vocab = 96;
  bool has_own_head = false;  // Else it is tied to the embedding.
  float query_scale = 0.3f;   // Of the weights of queries and keys: large ones make attention sharp.
};

// A Llama with random weights. more: what else the file has.
inline std::string tiny_model_bytes(uint32_t seed = 1, const std::function<void(GgufWriter&)>& more = {},
                                    const TinyShape& shape = {}) {
  GgufWriter file;
  file.text("general.architecture", "llama");
  file.text("general.name", "tiny");
  file.u32("llama.embedding_length", shape.hidden);
  file.u32("llama.block_count", shape.layers);
  file.u32("llama.feed_forward_length", shape.ffn);
  file.u32("llama.attention.head_count", shape.heads);
  file.u32("llama.attention.head_count_kv", shape.kv_heads);
  file.u32("llama.attention.key_length", shape.head_size);
  file.u32("llama.attention.value_length", shape.head_size);
  file.u32("llama.rope.dimension_count", shape.rope);
  file.u32("llama.context_length", 256);
  file.f32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  file.texts("tokenizer.ggml.tokens", std::vector<std::string>(shape.vocab, "t"));
  file.random_f32("token_embd.weight", {shape.vocab, shape.hidden}, 0.5f, seed);
  file.random_f32("output_norm.weight", {shape.hidden}, 0.1f, seed + 1, 1);
  if (shape.has_own_head) file.random_f32("output.weight", {shape.vocab, shape.hidden}, 0.5f, seed + 2);
  const uint32_t query = shape.heads * shape.head_size, kv = shape.kv_heads * shape.head_size;
  for (uint32_t i = 0; i < shape.layers; ++i) {
    const std::string layer = "blk." + std::to_string(i) + ".";
    const uint32_t base = seed + 10 + 20 * i;
    file.random_f32(layer + "attn_norm.weight", {shape.hidden}, 0.1f, base, 1);
    file.random_f32(layer + "ffn_norm.weight", {shape.hidden}, 0.1f, base + 1, 1);
    file.random_f32(layer + "attn_q.weight", {query, shape.hidden}, shape.query_scale, base + 2);
    file.random_f32(layer + "attn_k.weight", {kv, shape.hidden}, shape.query_scale, base + 3);
    file.random_f32(layer + "attn_v.weight", {kv, shape.hidden}, 0.2f, base + 4);
    file.random_f32(layer + "attn_output.weight", {shape.hidden, query}, 0.2f, base + 5);
    file.random_f32(layer + "ffn_gate.weight", {shape.ffn, shape.hidden}, 0.2f, base + 6);
    file.random_f32(layer + "ffn_up.weight", {shape.ffn, shape.hidden}, 0.2f, base + 7);
    file.random_f32(layer + "ffn_down.weight", {shape.hidden, shape.ffn}, 0.2f, base + 8);
  }
  if (more) more(file);
  return file.bytes();
}

// A file of the test's own that goes when the object does.
class TemporaryFile {
 public:
  TemporaryFile(const std::string& name, const std::string& bytes)
      : path_(std::filesystem::temp_directory_path() / ("redraft-" + std::to_string(std::random_device()()) + name)) {
    std::ofstream(path_, std::ios::binary) << bytes;
  }
  ~TemporaryFile() { std::filesystem::remove(path_); }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace redraft
