#include "llama_weights.h"

#include "../common/error.h"

namespace redraft {
namespace {

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
    unsupported("its sizes are not multiples of 32");
  if (gguf.integer("llama.attention.value_length", 1, 1 << 16, shape.head_size) != shape.head_size)
    unsupported("keys and values differ in size");
  if (gguf.has("llama.expert_count") && gguf.integer("llama.expert_count", 0, 1 << 16) > 0)
    unsupported("it is a mixture of experts");
  if (gguf.has("llama.rope.scaling.type") && gguf.text("llama.rope.scaling.type") != "none")
    unsupported("rope scaling \"" + std::string(gguf.text("llama.rope.scaling.type")) + "\"");
  return shape;
}

}  // namespace

LlamaWeights LlamaWeights::load(const Gguf& gguf, ThreadPool& pool) {
  LlamaWeights weights;
  const LlamaShape& shape = weights.shape = read_shape(gguf);
  weights.final_norm = gguf.vector("output_norm.weight", shape.hidden_size);
  if (gguf.has_tensor("rope_freqs.weight"))
    weights.rope_factors = gguf.vector("rope_freqs.weight", shape.rope_size / 2);
  weights.layers.resize(shape.layer_count);
  // Layer by layer in parallel; what was packed leaves our resident set, so that the file never counts whole beside it.
  const auto pack = [&](const std::string& name, size_t out_count, size_t in_count) {
    const WeightView view = gguf.matrix(name, out_count, in_count);
    PackedMatrix packed = PackedMatrix::pack(view);
    gguf.file().done_with(static_cast<size_t>(view.bytes - gguf.file().data()),
                          out_count * weight_row_bytes(view.type, in_count));
    return packed;
  };
  pool.run(shape.layer_count + 1, [&](size_t task) {
    if (task == 0) {
      weights.embedding = pack("token_embd.weight", shape.vocab_size, shape.hidden_size);
      if (gguf.has_tensor("output.weight"))
        weights.separate_head = pack("output.weight", shape.vocab_size, shape.hidden_size);
      return;
    }
    LlamaLayer& layer = weights.layers[task - 1];
    const std::string prefix = "blk." + std::to_string(task - 1) + ".";
    if (gguf.has_tensor(prefix + "attn_q.bias"))
      throw Error(REDRAFT_UNSUPPORTED, "cannot run model " + gguf.path() + ": its attention has biases");
    layer.attention_norm = gguf.vector(prefix + "attn_norm.weight", shape.hidden_size);
    layer.ffn_norm = gguf.vector(prefix + "ffn_norm.weight", shape.hidden_size);
    layer.query = pack(prefix + "attn_q.weight", shape.query_size(), shape.hidden_size);
    layer.key = pack(prefix + "attn_k.weight", shape.kv_size(), shape.hidden_size);
    layer.value = pack(prefix + "attn_v.weight", shape.kv_size(), shape.hidden_size);
    layer.output = pack(prefix + "attn_output.weight", shape.hidden_size, shape.query_size());
    layer.gate = pack(prefix + "ffn_gate.weight", shape.ffn_size, shape.hidden_size);
    layer.up = pack(prefix + "ffn_up.weight", shape.ffn_size, shape.hidden_size);
    layer.down = pack(prefix + "ffn_down.weight", shape.hidden_size, shape.ffn_size);
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
