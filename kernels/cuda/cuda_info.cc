// What the engine says of itself and of its model's tokenizer: the JSON of redraft.h, as engine/engine.cc writes it.
#include "../common/json.h"
#include "cuda_engine.h"

namespace redraft::cuda {

std::string CudaEngine::info_json() const {
  const LlamaShape& shape = target_->shape;
  JsonWriter json;
  json.begin_object();
  json.key("backend")
      .text("cuda")
      .key("isa")
      .text("sm_" + std::to_string(device_.capability()))
      .key("device")
      .text(device_.name());
  json.key("layer_weights").text(name_of(weight_kind_)).key("products").text(products_->names());
  json.key("graphs").text(graphs_.on() ? "on" : "off");
  json.key("threads").integer(static_cast<int64_t>(config_.threads));
  const auto count = [&](const char* key, size_t value) { json.key(key).integer(static_cast<int64_t>(value)); };
  json.key("model").begin_object();
  json.key("name").text(shape.name).key("architecture").text(shape.architecture).key("digest").text(digest_);
  count("parameter_count", shape.parameter_count);
  count("vocab_size", shape.vocab_size);
  count("context_max", config_.context_max);
  count("context_trained", shape.context_max);
  count("hidden_size", shape.hidden_size);
  count("layer_count", shape.layer_count);
  count("ffn_size", shape.ffn_size);
  count("head_count", shape.head_count);
  count("kv_head_count", shape.kv_head_count);
  count("head_size", shape.head_size);
  json.end_object();
  json.key("head");
  if (head_) {
    const DraftHeadInfo& info = head_info_;
    json.begin_object().key("digest").text(head_digest_).key("format").text(info.format).key("cell").text(info.cell);
    json.key("cell_weights").text(name_of(head_->input.weight.kind()));
    count("state_size", info.state_size);
    count("mlp_size", info.mlp_size);
    count("mlp_layers", info.mlp_layers);
    count("draft_vocab_size", info.draft_vocab_size);
    count("parameter_count", info.parameter_count);
    count("weight_bytes", info.weight_bytes);
    json.end_object();
  } else {
    json.null();
  }
  count("page_tokens", kPageTokens);
  count("pages_max", config_.pages_max);
  count("slots_max", config_.slots_max);
  count("rows_max", config_.rows_max);
  count("kv_bytes_per_token", layout_.bytes_per_token());
  count("weight_bytes", memory_.weights);
  count("kv_bytes", memory_.kv_pages);
  count("workspace_bytes", memory_.workspace);
  count("free_bytes", memory_.free_bytes);
  json.end_object();
  return json.take();
}

std::string CudaEngine::tokenizer_json() const {
  JsonWriter json;
  json.begin_object();
  const auto text = [&](const char* key, const char* gguf_key) {
    json.key(key);
    if (gguf_.has(gguf_key)) json.text(gguf_.text(gguf_key));
    else json.null();
  };
  text("model", "tokenizer.ggml.model");
  text("pre", "tokenizer.ggml.pre");
  json.key("tokens").begin_array();
  for (const auto& token : gguf_.texts("tokenizer.ggml.tokens")) json.text(token);
  json.end_array().key("token_types").begin_array();
  for (const int64_t type : gguf_.integers("tokenizer.ggml.token_type")) json.integer(type);
  json.end_array().key("merges").begin_array();
  for (const auto& merge : gguf_.texts("tokenizer.ggml.merges")) json.text(merge);
  json.end_array().key("scores");
  if (gguf_.has("tokenizer.ggml.scores")) {
    json.begin_array();
    for (const float score : gguf_.floats("tokenizer.ggml.scores")) json.number(score);
    json.end_array();
  } else {
    json.null();
  }
  for (const char* name : {"bos", "eos", "unknown", "padding"}) {
    const std::string key = std::string("tokenizer.ggml.") + name + "_token_id";
    json.key(std::string(name) + "_token_id");
    if (gguf_.has(key)) json.integer(static_cast<int64_t>(gguf_.integer(key, 0, UINT32_MAX)));
    else json.null();
  }
  json.key("add_bos_token").boolean(gguf_.boolean("tokenizer.ggml.add_bos_token", false));
  json.key("add_eos_token").boolean(gguf_.boolean("tokenizer.ggml.add_eos_token", false));
  json.key("add_space_prefix").boolean(gguf_.boolean("tokenizer.ggml.add_space_prefix", false));
  text("chat_template", "tokenizer.chat_template");
  json.end_object();
  return json.take();
}

}  // namespace redraft::cuda
