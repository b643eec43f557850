// TensorRT-LLM 1.2.1's executor as an ExecutorPort: the one file that sees its headers. Short constructors and setters
// alone, for the long constructors change with nearly every release.
#include <dlfcn.h>
#include <tensorrt_llm/executor/executor.h>

#include <mutex>
#include <unordered_map>

#include "../common/error.h"
#include "executor_port.h"

namespace redraft::trtllm {
namespace {

namespace tle = tensorrt_llm::executor;

constexpr const char* kPlugins = "libnvinfer_plugin_tensorrt_llm.so";

// TensorRT finds an engine's plugins only once they are registered. Their header needs TensorRT's own; the function is
// plain C.
void register_plugins() {
  static const bool registered = [] {
    void* library = dlopen(kPlugins, RTLD_NOW | RTLD_GLOBAL);
    if (!library)
      throw Error(REDRAFT_UNSUPPORTED, std::string("Cannot load ") + kPlugins +
                                           ": install TensorRT-LLM " REDRAFT_TRTLLM_RELEASE
                                           ", or put its libs folder on LD_LIBRARY_PATH");
    using Init = bool (*)(void* logger, const char* name_space);
    const auto init = reinterpret_cast<Init>(dlsym(library, "initTrtLlmPlugins"));
    return init && init(nullptr, "tensorrt_llm");
  }();
  if (!registered) throw Error(REDRAFT_UNSUPPORTED, std::string(kPlugins) + " does not register its plugins");
}

tle::ExecutorConfig configure(const ExecutorSettings& settings) {
  tle::KvCacheConfig kv_cache;
  kv_cache.setFreeGpuMemoryFraction(settings.kv_fraction);
  tle::ExecutorConfig config;
  config.setKvCacheConfig(kv_cache);
  config.setEnableChunkedContext(settings.chunked_context);
  config.setIterStatsMaxIterations(16);
  config.setDecodingConfig(tle::DecodingConfig(tle::DecodingMode::ExplicitDraftTokens()));
  return config;
}

uint32_t reason_of(tle::FinishReason reason) {
  switch (reason) {
    case tle::FinishReason::kNOT_FINISHED: return REDRAFT_TRTLLM_RUNNING;
    case tle::FinishReason::kEND_ID: return REDRAFT_TRTLLM_END;
    case tle::FinishReason::kLENGTH: return REDRAFT_TRTLLM_LENGTH;
    case tle::FinishReason::kCANCELLED: return REDRAFT_TRTLLM_CANCELLED;
    default: return REDRAFT_TRTLLM_OTHER;
  }
}

class TrtllmExecutor : public ExecutorPort {
 public:
  explicit TrtllmExecutor(const ExecutorSettings& settings)
      : executor_(settings.folder.path, tle::ModelType::kDECODER_ONLY, configure(settings)) {}
  ~TrtllmExecutor() override { executor_.shutdown(); }

  void submit(const ExecutorRequest& from) override {
    tle::SamplingConfig sampling;
    // Greedy is a matter of the engine's build; a temperature near 0 comes to the same in one built to sample.
    sampling.setTemperature(from.temperature > 0 ? from.temperature : 1e-3f);
    sampling.setSeed(from.seed);
    tle::OutputConfig output;
    output.excludeInputFromOutput = true;
    tle::Request request(from.tokens, static_cast<tle::SizeType32>(from.tokens_max), true);
    request.setSamplingConfig(sampling);
    request.setOutputConfig(output);
    request.setPriority(from.priority);
    request.setClientId(from.id);
    if (from.end_token >= 0) request.setEndId(from.end_token), request.setPadId(from.end_token);
    // Held over the call, so that no answer comes before its id is known.
    const std::lock_guard lock(mutex_);
    running_[from.id] = {executor_.enqueueRequest(request), from.end_token, 0};
  }

  void cancel(uint64_t id) override {
    const std::lock_guard lock(mutex_);
    const auto place = running_.find(id);
    if (place != running_.end()) executor_.cancelRequest(place->second.id);
  }

  std::vector<ExecutorEvent> await(std::chrono::milliseconds timeout) override {
    std::vector<ExecutorEvent> events;
    for (const tle::Response& response : executor_.awaitResponses(timeout)) events.push_back(event_of(response));
    return events;
  }

  ExecutorStats stats() override {
    const std::lock_guard lock(mutex_);
    for (const tle::IterationStats& each : executor_.getLatestIterationStats()) {
      stats_.iteration = static_cast<int64_t>(each.iter);
      stats_.active = each.numActiveRequests, stats_.queued = each.numQueuedRequests;
      if (!each.kvCacheStats) continue;
      stats_.pages_max = each.kvCacheStats->maxNumBlocks, stats_.pages_free = each.kvCacheStats->freeNumBlocks;
      stats_.page_tokens = each.kvCacheStats->tokensPerBlock;
    }
    return stats_;
  }

 private:
  struct Running {
    tle::IdType id;
    int32_t end_token;
    uint32_t iterations;
  };

  ExecutorEvent event_of(const tle::Response& response) {
    const uint64_t id = response.getClientId().value_or(0);
    const std::lock_guard lock(mutex_);
    if (response.hasError()) {
      running_.erase(id);
      return {id, REDRAFT_TRTLLM_FAILURE, REDRAFT_TRTLLM_OTHER, 0, {}, response.getErrorMsg()};
    }
    const tle::Result& result = response.getResult();
    Running& running = running_[id];
    running.iterations = static_cast<uint32_t>(result.decodingIter);
    ExecutorEvent event{id, REDRAFT_TRTLLM_TOKENS, REDRAFT_TRTLLM_RUNNING, running.iterations, {}, {}};
    if (!result.outputTokenIds.empty()) event.tokens = result.outputTokenIds[0];
    if (!result.isFinal) return event;
    event.kind = REDRAFT_TRTLLM_FINAL;
    event.reason = result.finishReasons.empty() ? uint32_t{REDRAFT_TRTLLM_OTHER} : reason_of(result.finishReasons[0]);
    if (event.reason == REDRAFT_TRTLLM_END && !event.tokens.empty() && event.tokens.back() == running.end_token)
      event.tokens.pop_back();
    running_.erase(id);
    return event;
  }

  tle::Executor executor_;
  std::mutex mutex_;
  std::unordered_map<uint64_t, Running> running_;
  ExecutorStats stats_;
};

}  // namespace

std::unique_ptr<ExecutorPort> open_executor(const ExecutorSettings& settings) {
  if (std::string(tle::version()) != REDRAFT_TRTLLM_RELEASE)
    throw Error(REDRAFT_UNSUPPORTED, std::string("Cannot use TensorRT-LLM ") + tle::version() +
                                         ": this shim was compiled for " REDRAFT_TRTLLM_RELEASE "; compile it anew");
  register_plugins();
  return std::make_unique<TrtllmExecutor>(settings);
}

}  // namespace redraft::trtllm
