// What the C ABI needs of an executor: TensorRT-LLM's stands behind it (trtllm_executor.cc), or the fake of the tests
// (fake/fake_executor.cc). The ABI is the same code over both.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine_folder.h"
#include "redraft_trtllm.h"

namespace redraft::trtllm {

struct ExecutorRequest {
  uint64_t id;
  std::vector<int32_t> tokens;
  uint32_t tokens_max;
  float temperature;
  uint64_t seed;
  int32_t end_token;  // -1: none.
  float priority;
};
struct ExecutorEvent {
  uint64_t id;
  uint32_t kind, reason, iterations;
  std::vector<int32_t> tokens;
  std::string error;  // Of a failure.
};
struct ExecutorStats {
  int64_t iteration = 0, active = 0, queued = 0, pages_max = 0, pages_free = 0, page_tokens = 0;
};
struct ExecutorSettings {
  EngineFolder folder;
  float kv_fraction;
  bool chunked_context;
};

// Safe to call from several threads. Whatever it throws becomes a status.
class ExecutorPort {
 public:
  virtual ~ExecutorPort() = default;
  virtual void submit(const ExecutorRequest& request) = 0;
  virtual void cancel(uint64_t id) = 0;
  // Waits up to the timeout for the first one.
  virtual std::vector<ExecutorEvent> await(std::chrono::milliseconds timeout) = 0;
  virtual ExecutorStats stats() = 0;
};

std::unique_ptr<ExecutorPort> open_executor(const ExecutorSettings& settings);

}  // namespace redraft::trtllm
