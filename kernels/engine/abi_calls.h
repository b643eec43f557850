// The C ABI over an engine of one kind. Included once a library, by a file that has said what Engine is.
#pragma once
#include <memory>
#include <mutex>
#include <string>

#include "../common/handles.h"
#include "../include/redraft.h"

namespace {

using redraft::Error;

struct Handle {
  std::mutex busy;  // Held while a call is in flight.
  std::unique_ptr<Engine> engine;
  std::mutex error_mutex;
  std::string last_error;
};

// Never destroyed: at exit a driver may be gone before an engine that was left open.
redraft::HandleTable<Handle>& handles = *new redraft::HandleTable<Handle>;

template <typename Body>
int32_t with_engine(uint32_t engine, Body&& body) {
  const std::shared_ptr<Handle> handle = handles.find(engine);
  if (!handle) return REDRAFT_BAD_ARGUMENT;
  const std::unique_lock lock(handle->busy, std::try_to_lock);
  if (!lock.owns_lock()) return handles.keep(*handle, REDRAFT_BAD_ARGUMENT, "another call is in flight on this engine");
  std::string words;
  const int32_t status = redraft::guarded(&words, [&] { body(*handle->engine); });
  return handles.keep(*handle, status, words);
}

}  // namespace

extern "C" {

uint32_t redraft_abi_version(void) { return REDRAFT_ABI_VERSION; }

int32_t redraft_open(const uint8_t* config, size_t config_bytes, uint32_t* engine_out) {
  return handles.open(engine_out, [&] {
    if (!config) throw Error(REDRAFT_BAD_ARGUMENT, "config is null");
    auto handle = std::make_shared<Handle>();
    const std::string json(reinterpret_cast<const char*>(config), config_bytes);
    handle->engine = std::make_unique<Engine>(redraft::EngineConfig::parse(json));
    return handle;
  });
}

int32_t redraft_close(uint32_t engine) {
  const std::shared_ptr<Handle> handle = handles.find(engine);
  if (!handle) return REDRAFT_BAD_ARGUMENT;
  const std::lock_guard busy(handle->busy);  // Waits for a call in flight.
  if (!handles.erase(engine)) return REDRAFT_BAD_ARGUMENT;
  handle->engine.reset();
  return REDRAFT_OK;
}

int32_t redraft_model_info(uint32_t engine, uint8_t* json, size_t bytes_max, size_t* bytes_out) {
  return with_engine(engine, [&](Engine& open) { redraft::copy_out(open.info_json(), json, bytes_max, bytes_out); });
}

int32_t redraft_tokenizer(uint32_t engine, uint8_t* json, size_t bytes_max, size_t* bytes_out) {
  return with_engine(engine,
                     [&](Engine& open) { redraft::copy_out(open.tokenizer_json(), json, bytes_max, bytes_out); });
}

int32_t redraft_step(uint32_t engine, const uint8_t* plan, size_t plan_bytes, uint8_t* result,
                     size_t result_bytes_max) {
  return with_engine(engine, [&](Engine& open) {
    if (!plan || !result) throw Error(REDRAFT_BAD_ARGUMENT, "plan or result is null");
    open.step(plan, plan_bytes, result, result_bytes_max);
  });
}

int32_t redraft_hidden(uint32_t engine, const uint32_t* tokens, size_t token_count, float* hidden, float* logits,
                       size_t logits_start) {
  return with_engine(engine, [&](Engine& open) { open.hidden(tokens, token_count, hidden, logits, logits_start); });
}

int32_t redraft_last_error(uint32_t engine, uint8_t* text, size_t bytes_max, size_t* bytes_out) {
  std::string ignored;
  return redraft::guarded(&ignored, [&] { redraft::copy_out(handles.error(engine), text, bytes_max, bytes_out); });
}

}  // extern "C"
