#include "llama_weights.h"

#include <cmath>
#include <set>
#include <string>

#include "../common/error.h"

namespace redraft {
namespace {

bool is_of_layer(const std::string& name) { return name.rfind("blk.", 0) == 0; }

bool is_known_of_layer(const std::string& name) {
  const size_t at = name.find('.', 4);
  static const std::set<std::string> known{"attn_norm.weight", "ffn_norm.weight", "attn_q.weight",
                                           "attn_k.weight",    "attn_v.weight",   "attn_output.weight",
                                           "ffn_gate.weight",  "ffn_up.weight",   "ffn_down.weight"};
  return at != std::string::npos && known.count(name.substr(at + 1)) != 0;
}

LlamaShape read_shape(const Gguf& gguf) {
  LlamaShape shape{};
  shape.architecture = gguf.text("general.architecture");
  if (shape.architecture != "llama")
    throw Error(REDRAFT_UNSUPPORTED, "cannot run architecture \"" + shape.architecture + "\" of " + gguf.path() +
                                         ": this build runs \"llama\"");
  shape.name = gguf.has("general.name") ? gguf.text("general.name") : "";
  shape.hidden_size = gguf.integer("llama.embedding_length", 32, 1 << 16);
  shape.layer_count = gguf.integer("llama.block_count", 1, 1024);
  shape.ffn_size = gguf.integer("llama.feed_forward_length", 32, 1 << 20);
  shape.head_count = gguf.integer("llama.attention.head_count", 1, 1024);
  shape.kv_head_count = gguf.integer("llama.attention.head_count_kv", 1, 1024, shape.head_count);
  shape.context_max = gguf.integer("llama.context_length", 1, 1 << 24);
  shape.head_size = gguf.integer("llama.attention.key_length", 16, 512, shape.hidden_size / shape.head_count);
  shape.rope_size = gguf.integer("llama.rope.dimension_count", 2, shape.head_size, shape.head_size);
  shape.rope_base = static_cast<float>(gguf.number("llama.rope.freq_base", 10000));
  shape.norm_epsilon = static_cast<float>(gguf.number("llama.attention.layer_norm_rms_epsilon"));
  const auto tokens = gguf.tensors().find("token_embd.weight");
  shape.vocab_size = tokens != gguf.tensors().end() && tokens->second.shape.size() == 2 ? tokens->second.shape[1] : 0;
  for (const auto& [name, tensor] : gguf.tensors()) {
    size_t elements = 1;
    for (const uint64_t dimension : tensor.shape) elements *= dimension;
    shape.parameter_count += elements;
  }
  const auto unsupported = [&](const std::string& what) {
    throw Error(REDRAFT_UNSUPPORTED, "cannot run model " + gguf.path() + ": " + what);
  };
  if (shape.head_count % shape.kv_head_count != 0)
    unsupported(std::to_string(shape.head_count) + " heads do not share " + std::to_string(shape.kv_head_count) +
                " key-value heads evenly");
  if (shape.head_count / shape.kv_head_count > 16) unsupported("more than 16 heads share one key-value head");
  if (shape.head_size % 16 != 0 || shape.rope_size % 2 != 0)
    unsupported("heads of " + std::to_string(shape.head_size) + " values, which is not a multiple of 16");
  if (shape.hidden_size % 32 != 0 || shape.ffn_size % 32 != 0 || shape.query_size() % 32 != 0)
    unsupported("hidden, feed-forward and query rows of " + std::to_string(shape.hidden_size) + ", " +
                std::to_string(shape.ffn_size) + " and " + std::to_string(shape.query_size()) +
                " values, not all multiples of 32");
  if (gguf.integer("llama.attention.value_length", 1, 1 << 16, shape.head_size) != shape.head_size)
    unsupported("keys and values differ in size");
  if (gguf.has("llama.expert_count") && gguf.integer("llama.expert_count", 0, 1 << 16) > 0)
    unsupported("it is a mixture of experts");
  if (gguf.has("llama.rope.scaling.type") && gguf.text("llama.rope.scaling.type") != "none")
    unsupported("rope scaling \"" + std::string(gguf.text("llama.rope.scaling.type")) + "\"");
  for (const char* key : {"llama.rope.scale_linear", "llama.rope.scaling.factor"})
    if (gguf.has(key) && gguf.number(key) != 1) unsupported(std::string(key) + " is not 1");
  if (!(shape.norm_epsilon > 0 && shape.norm_epsilon < 1)) unsupported("its norm's epsilon is not between 0 and 1");
  if (!(shape.rope_base > 0 && std::isfinite(shape.rope_base))) unsupported("its rope's base is no positive number");
  for (const auto& [name, tensor] : gguf.tensors())
    if (is_of_layer(name) && !is_known_of_layer(name)) unsupported("it has " + name + ", which would be left out");
  return shape;
}

}  // namespace

LlamaFile::LlamaFile(const Gguf& gguf) : gguf_(gguf), shape_(read_shape(gguf)) {}

WeightView LlamaFile::view_of(size_t layer, size_t matrix) const {
  struct Named {
    const char* name;
    size_t out_count, in_count;
  };
  const size_t hidden = shape_.hidden_size;
  const Named all[] = {{"attn_q", shape_.query_size(), hidden}, {"attn_k", shape_.kv_size(), hidden},
                       {"attn_v", shape_.kv_size(), hidden},    {"attn_output", hidden, shape_.query_size()},
                       {"ffn_gate", shape_.ffn_size, hidden},   {"ffn_up", shape_.ffn_size, hidden},
                       {"ffn_down", hidden, shape_.ffn_size}};
  const Named& named = all[matrix];
  return gguf_.matrix("blk." + std::to_string(layer) + "." + named.name + ".weight", named.out_count, named.in_count);
}

// What was packed leaves our resident set, so that the file never counts whole beside it.
PackedMatrix LlamaFile::pack(const WeightView& view) const {
  PackedMatrix packed = PackedMatrix::pack(view);
  gguf_.file().done_with(static_cast<size_t>(view.bytes - gguf_.file().data()),
                         view.out_count * weight_row_bytes(view.type, view.in_count));
  return packed;
}

bool LlamaFile::has_head() const { return gguf_.has_tensor("output.weight"); }

MatrixShape LlamaFile::embedding_shape() const {
  return PackedMatrix::shape_of(gguf_.matrix("token_embd.weight", shape_.vocab_size, shape_.hidden_size));
}

MatrixShape LlamaFile::head_shape() const {
  if (!has_head()) return embedding_shape();
  return PackedMatrix::shape_of(gguf_.matrix("output.weight", shape_.vocab_size, shape_.hidden_size));
}

LayerShapes LlamaFile::layer_shapes(size_t index) const {
  LayerShapes shapes;
  for (size_t i = 0; i < shapes.size(); ++i) shapes[i] = PackedMatrix::shape_of(view_of(index, i));
  return shapes;
}

size_t LlamaFile::packed_bytes() const {
  size_t total = embedding_shape().bytes() + (has_head() ? head_shape().bytes() : 0);
  for (size_t layer = 0; layer < shape_.layer_count; ++layer)
    for (const MatrixShape& shape : layer_shapes(layer)) total += shape.bytes();
  return total;
}

PackedMatrix LlamaFile::embedding() const {
  return pack(gguf_.matrix("token_embd.weight", shape_.vocab_size, shape_.hidden_size));
}

PackedMatrix LlamaFile::separate_head() const {
  return has_head() ? pack(gguf_.matrix("output.weight", shape_.vocab_size, shape_.hidden_size)) : PackedMatrix();
}

LlamaLayer LlamaFile::layer(size_t index) const {
  const std::string prefix = "blk." + std::to_string(index) + ".";
  LlamaLayer layer;
  layer.attention_norm = gguf_.vector(prefix + "attn_norm.weight", shape_.hidden_size);
  layer.ffn_norm = gguf_.vector(prefix + "ffn_norm.weight", shape_.hidden_size);
  PackedMatrix* const matrices[] = {&layer.query, &layer.key, &layer.value, &layer.output,
                                    &layer.gate,  &layer.up,  &layer.down};
  for (size_t i = 0; i < std::size(matrices); ++i) *matrices[i] = pack(view_of(index, i));
  return layer;
}

std::vector<float> LlamaFile::final_norm() const { return gguf_.vector("output_norm.weight", shape_.hidden_size); }

std::vector<float> LlamaFile::rope_factors() const {
  if (!gguf_.has_tensor("rope_freqs.weight")) return {};
  return gguf_.vector("rope_freqs.weight", shape_.rope_size / 2);
}

LlamaWeights LlamaWeights::load(const Gguf& gguf, ThreadPool& pool) {
  const LlamaFile file(gguf);
  LlamaWeights weights;
  weights.shape = file.shape();
  weights.final_norm = file.final_norm();
  weights.rope_factors = file.rope_factors();
  weights.layers.resize(weights.shape.layer_count);
  pool.run(weights.layers.size() + 1, [&](size_t task) {  // Layer by layer in parallel.
    if (task > 0) weights.layers[task - 1] = file.layer(task - 1);
    else weights.embedding = file.embedding(), weights.separate_head = file.separate_head();
  });
  return weights;
}

size_t LlamaWeights::bytes() const {
  size_t total = embedding.bytes() + separate_head.bytes();
  for (const LlamaLayer& layer : layers)
    for (const PackedMatrix* matrix :
         {&layer.query, &layer.key, &layer.value, &layer.output, &layer.gate, &layer.up, &layer.down})
      total += matrix->bytes();
  return total;
}

}  // namespace redraft
