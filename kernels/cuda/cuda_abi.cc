// The C ABI of libredraft_cuda.so: engine/abi.cc over the CUDA engine.
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <string>

#include "../common/error.h"
#include "../include/redraft.h"
#include "cuda_engine.h"

namespace {

using Engine = redraft::cuda::CudaEngine;
using redraft::EngineConfig;
using redraft::Error;

struct Handle {
  std::mutex busy;  // Held while a call is in flight.
  std::unique_ptr<Engine> engine;
  std::mutex error_mutex;
  std::string last_error;
};

std::mutex table_mutex;
// Never destroyed: at exit the driver may be gone before an engine that was left open.
auto& table = *new std::map<uint32_t, std::shared_ptr<Handle>>;
uint32_t next_handle = 1;
std::string open_error;

std::shared_ptr<Handle> find(uint32_t engine) {
  const std::lock_guard lock(table_mutex);
  const auto place = table.find(engine);
  return place == table.end() ? nullptr : place->second;
}

// Runs the body; whatever it throws becomes a status and words.
template <typename Body>
int32_t guarded(std::string* words, Body&& body) {
  try {
    body();
    return REDRAFT_OK;
  } catch (const Error& error) {
    *words = error.what();
    return error.status();
  } catch (const std::bad_alloc&) {
    *words = "out of memory";
    return REDRAFT_NO_MEMORY;
  } catch (const std::exception& error) {
    *words = error.what();
    return REDRAFT_INTERNAL;
  } catch (...) {
    *words = "unknown exception";
    return REDRAFT_INTERNAL;
  }
}

template <typename Body>
int32_t with_engine(uint32_t engine, Body&& body) {
  const std::shared_ptr<Handle> handle = find(engine);
  if (!handle) return REDRAFT_BAD_ARGUMENT;
  std::string words;
  int32_t status;
  if (const std::unique_lock lock(handle->busy, std::try_to_lock); lock.owns_lock()) {
    status = guarded(&words, [&] { body(*handle->engine); });
  } else {
    words = "another call is in flight on this engine";
    status = REDRAFT_BAD_ARGUMENT;
  }
  if (status != REDRAFT_OK) {
    const std::lock_guard lock(handle->error_mutex);
    handle->last_error = words;
  }
  return status;
}

void copy_out(const std::string& text, uint8_t* out, size_t bytes_max, size_t* bytes_out) {
  if (!bytes_out) throw Error(REDRAFT_BAD_ARGUMENT, "bytes_out is null");
  *bytes_out = text.size();
  if (text.size() > bytes_max || !out)
    throw Error(REDRAFT_NO_SPACE, std::to_string(text.size()) + " bytes do not fit " + std::to_string(bytes_max));
  std::memcpy(out, text.data(), text.size());
}

}  // namespace

extern "C" {

uint32_t redraft_abi_version(void) { return REDRAFT_ABI_VERSION; }

int32_t redraft_open(const uint8_t* config, size_t config_bytes, uint32_t* engine_out) {
  std::string words;
  const int32_t status = guarded(&words, [&] {
    if (!config || !engine_out) throw Error(REDRAFT_BAD_ARGUMENT, "config or engine_out is null");
    *engine_out = 0;
    auto handle = std::make_shared<Handle>();
    handle->engine =
        std::make_unique<Engine>(EngineConfig::parse(std::string(reinterpret_cast<const char*>(config), config_bytes)));
    const std::lock_guard lock(table_mutex);
    *engine_out = next_handle++;
    table.emplace(*engine_out, std::move(handle));
  });
  if (status != REDRAFT_OK) {
    const std::lock_guard lock(table_mutex);
    open_error = words;
  }
  return status;
}

int32_t redraft_close(uint32_t engine) {
  std::shared_ptr<Handle> handle = find(engine);
  if (!handle) return REDRAFT_BAD_ARGUMENT;
  const std::lock_guard busy(handle->busy);  // Waits for a call in flight.
  {
    const std::lock_guard lock(table_mutex);
    if (table.erase(engine) == 0) return REDRAFT_BAD_ARGUMENT;
  }
  handle->engine.reset();
  return REDRAFT_OK;
}

int32_t redraft_model_info(uint32_t engine, uint8_t* json, size_t bytes_max, size_t* bytes_out) {
  return with_engine(engine, [&](Engine& open) { copy_out(open.info_json(), json, bytes_max, bytes_out); });
}

int32_t redraft_tokenizer(uint32_t engine, uint8_t* json, size_t bytes_max, size_t* bytes_out) {
  return with_engine(engine, [&](Engine& open) { copy_out(open.tokenizer_json(), json, bytes_max, bytes_out); });
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
  std::string words;
  if (engine == 0) {
    const std::lock_guard lock(table_mutex);
    words = open_error;
  } else if (const auto handle = find(engine)) {
    const std::lock_guard lock(handle->error_mutex);
    words = handle->last_error;
  } else {
    words = "no engine has handle " + std::to_string(engine);
  }
  std::string ignored;
  return guarded(&ignored, [&] { copy_out(words, text, bytes_max, bytes_out); });
}

}  // extern "C"
