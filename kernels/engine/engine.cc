#include "engine.h"

#include <algorithm>
#include <thread>

#include "../common/error.h"
#include "../common/free_memory.h"
#include "../common/isa.h"
#include "../common/json.h"
#include "../common/sha256.h"

namespace redraft {
namespace {

constexpr size_t kPagesByDefault = 2048;

// Pages take memory only as they are written, so what is too many would show while the engine serves.
size_t pages_that_fit(size_t wanted, size_t own, size_t page_bytes) {
  const size_t fitting = free_memory() / page_bytes;
  if (wanted == 0 && fitting > own) return std::min(kPagesByDefault, fitting - own);
  if (wanted != 0 && fitting > own && wanted <= fitting - own) return wanted;
  const size_t pages = (wanted == 0 ? 1 : wanted) + own;
  throw Error(REDRAFT_NO_MEMORY, "cannot hold " + std::to_string(pages) + " KV pages of " +
                                     std::to_string(page_bytes >> 10) +
                                     " KiB: " + std::to_string(fitting * page_bytes >> 20) +
                                     " MiB are free; ask for fewer pages, or for a smaller context");
}

// Before they are packed: a system that promises more memory than it has would end the process later.
const Gguf& with_room(const Gguf& gguf) {
  const size_t wanted = LlamaFile(gguf).packed_bytes(), free = free_memory();
  if (wanted <= free) return gguf;
  throw Error(REDRAFT_NO_MEMORY, "cannot hold the weights of " + gguf.path() + ": they take " +
                                     std::to_string(wanted >> 20) + " MiB, and " + std::to_string(free >> 20) +
                                     " MiB are free");
}

}  // namespace

EngineConfig EngineConfig::parse(const std::string& json) {
  const Json object = Json::parse(json, REDRAFT_BAD_CONFIG, "engine configuration");
  JsonFields fields(object, REDRAFT_BAD_CONFIG, "engine configuration");
  const size_t cores = std::max(1u, std::thread::hardware_concurrency());
  EngineConfig config;
  config.model_path = fields.text("model");
  config.head_path = fields.text("head", "");
  config.threads =
      static_cast<size_t>(fields.integer("threads", 1, 256, static_cast<int64_t>(std::min<size_t>(cores, 256))));
  config.slots_max = static_cast<size_t>(fields.integer("slots_max", 1, 1024, 32));
  config.pages_max = static_cast<size_t>(fields.integer("pages_max", 1, 1 << 24, 0));
  config.rows_max = static_cast<size_t>(fields.integer("rows_max", REDRAFT_TREE_TOKENS_MAX, 8192, 512));
  config.context_max = static_cast<size_t>(fields.integer("context_max", 0, 1 << 24, 0));
  fields.refuse_unknown();
  return config;
}

Engine::Engine(const EngineConfig& config)
    : config_(config),
      pool_(config.threads),
      gguf_(config.model_path),
      digest_(sha256_hex(gguf_.file().data(), gguf_.file().size())),
      weights_(LlamaWeights::load(with_room(gguf_), pool_)) {
  const LlamaShape& shape = weights_.shape;
  if (config_.context_max == 0) config_.context_max = shape.context_max;
  if (config_.context_max > shape.context_max)
    throw Error(REDRAFT_BAD_CONFIG, "context_max is " + std::to_string(config_.context_max) +
                                        ", but the model's context is " + std::to_string(shape.context_max));
  // Behind the sequences' pages: those of draft trees, for a step; those of hidden(), for a call.
  const size_t hidden_pages = (config_.context_max + kPageTokens - 1) / kPageTokens;
  KvLayout layout{shape.layer_count, shape.kv_head_count, shape.head_size, 1};
  const size_t own_pages = scratch_page_count() + hidden_pages;
  config_.pages_max = pages_that_fit(config_.pages_max, own_pages, layout.page_stride() * sizeof(uint16_t));
  layout.page_count = config_.pages_max + own_pages;
  cache_ = std::make_unique<KvCache>(layout);
  decoder_ = std::make_unique<Decoder>(weights_, *cache_, pool_, config_.rows_max);
  if (!config_.head_path.empty()) {
    head_ = DraftHead::load(config_.head_path, {shape.hidden_size, shape.vocab_size, digest_});
    const MappedFile file(config_.head_path + "/model.safetensors", REDRAFT_BAD_HEAD);
    head_digest_ = sha256_hex(file.data(), file.size());
    draft_run_ = std::make_unique<DraftRun>(
        *head_, [this](int32_t token, float* out) { decoder_->embed(static_cast<uint32_t>(token), out); });
  }
  slots_.resize(config_.slots_max);
  searches_.resize(config_.slots_max);
  logits_.resize(Decoder::kLogitsRowsMax * shape.vocab_size);
}

void Engine::hidden(const uint32_t* tokens, size_t token_count, float* hidden_out, float* logits_out,
                    size_t logits_start) {
  const LlamaShape& shape = weights_.shape;
  if (!tokens || token_count == 0 || token_count > config_.context_max || logits_start > token_count)
    throw Error(REDRAFT_BAD_ARGUMENT, "cannot compute hidden states of " + std::to_string(token_count) +
                                          " tokens from " + std::to_string(logits_start) + ": the context is " +
                                          std::to_string(config_.context_max));
  for (size_t i = 0; i < token_count; ++i)
    if (tokens[i] >= shape.vocab_size)
      throw Error(REDRAFT_BAD_ARGUMENT, "token " + std::to_string(tokens[i]) + " is not in the vocabulary");
  const size_t first_page = config_.pages_max + scratch_page_count();
  std::vector<uint32_t> pages((token_count + kPageTokens - 1) / kPageTokens);
  for (size_t i = 0; i < pages.size(); ++i) pages[i] = static_cast<uint32_t>(first_page + i);
  for (size_t begin = 0; begin < token_count; begin += config_.rows_max) {
    const size_t count = std::min(config_.rows_max, token_count - begin);
    rows_.clear();
    for (size_t i = begin; i < begin + count; ++i)
      rows_.push_back(
          {tokens[i], static_cast<uint32_t>(i), pages[i / kPageTokens], static_cast<uint32_t>(i % kPageTokens)});
    decoder_->forward(rows_, {{pages.data(), begin, 0, count, nullptr, 0}});
    for (size_t i = 0; hidden_out && i < count; ++i)
      std::copy_n(decoder_->hidden(i), shape.hidden_size, hidden_out + (begin + i) * shape.hidden_size);
    for (size_t i = logits_out ? std::max(begin, logits_start) : begin + count; i < begin + count;) {
      std::vector<size_t> wanted;
      while (i < begin + count && wanted.size() < Decoder::kLogitsRowsMax) wanted.push_back(i++ - begin);
      decoder_->logits(wanted, logits_out + (begin + wanted[0] - logits_start) * shape.vocab_size);
    }
  }
  cache_->release(first_page, pages.size());
}

namespace {

std::string isa_text() { return std::string(isa_name()) + (wide_isa_name() ? std::string("+") + wide_isa_name() : ""); }

}  // namespace

std::string Engine::info_json() const {
  const LlamaShape& shape = weights_.shape;
  JsonWriter json;
  json.begin_object();
  json.key("backend").text("cpu").key("isa").text(isa_text());
  json.key("threads").integer(static_cast<int64_t>(pool_.thread_count()));
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
    const DraftHeadInfo& info = head_->info();
    json.begin_object().key("digest").text(head_digest_).key("format").text(info.format).key("cell").text(info.cell);
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
  count("kv_bytes_per_token", cache_->layout().bytes_per_token());
  count("weight_bytes", weights_.bytes());
  json.end_object();
  return json.take();
}

std::string Engine::tokenizer_json() const {
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

}  // namespace redraft
