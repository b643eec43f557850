// An executor for tests, in TensorRT-LLM's place behind the same C ABI. What it writes depends on the tokens before, on
// temperature and seed, never on the company or on how many tokens a step gains, as of a real one.
#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "../../common/error.h"
#include "../executor_port.h"

namespace redraft::trtllm {
namespace {

constexpr uint32_t kPageTokens = 32;
constexpr int64_t kPages = 256;
constexpr auto kStep = std::chrono::milliseconds(1);
// A prompt that starts with one of the last two tokens asks for a fault.
enum class Fault { kNone, kFails, kThrows };

uint64_t mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
  return hash ^ hash >> 29;
}

class FakeExecutor : public ExecutorPort {
 public:
  explicit FakeExecutor(const EngineFolder& folder) : folder_(folder) {}

  void submit(const ExecutorRequest& request) override {
    if (fault_of(request) == Fault::kThrows) throw std::runtime_error("the fake was told to throw");
    const std::lock_guard lock(mutex_);
    if (std::any_of(queue_.begin(), queue_.end(), [&](const Sequence& s) { return s.request.id == request.id; }))
      throw Error(REDRAFT_BAD_ARGUMENT, "Cannot submit request: its id runs already");
    Sequence sequence{request, request.temperature > 0 ? mix(7, request.seed) : 7, 0, 0, false};
    for (const int32_t token : request.tokens) sequence.hash = mix(sequence.hash, static_cast<uint64_t>(token));
    queue_.push_back(sequence);
    arrived_.notify_all();
  }

  void cancel(uint64_t id) override {
    const std::lock_guard lock(mutex_);
    for (Sequence& sequence : queue_)
      if (sequence.request.id == id) sequence.cancelled = true;
  }

  std::vector<ExecutorEvent> await(std::chrono::milliseconds timeout) override {
    std::unique_lock lock(mutex_);
    if (!arrived_.wait_for(lock, timeout, [&] { return !queue_.empty(); })) return {};
    lock.unlock();
    std::this_thread::sleep_for(kStep);
    lock.lock();
    ++iteration_;
    std::vector<ExecutorEvent> events;
    const size_t running = std::min(queue_.size(), static_cast<size_t>(folder_.batch_max));
    for (size_t i = 0; i < running; ++i) events.push_back(step(queue_[i]));
    std::erase_if(queue_, [&](const Sequence& sequence) { return sequence.ended; });
    return events;
  }

  ExecutorStats stats() override {
    const std::lock_guard lock(mutex_);
    const int64_t active = std::min(static_cast<int64_t>(queue_.size()), folder_.batch_max);
    int64_t pages = 0;
    for (int64_t i = 0; i < active; ++i)
      pages += static_cast<int64_t>(queue_[static_cast<size_t>(i)].request.tokens.size()) / kPageTokens + 1;
    return {iteration_, active, static_cast<int64_t>(queue_.size()) - active, kPages, kPages - pages, kPageTokens};
  }

 private:
  struct Sequence {
    ExecutorRequest request;
    uint64_t hash;
    uint32_t drawn, iterations;
    bool cancelled, ended = false;
  };

  Fault fault_of(const ExecutorRequest& request) const {
    const int64_t from_last = folder_.vocab_size - 1 - request.tokens[0];
    return from_last == 0 ? Fault::kFails : from_last == 1 ? Fault::kThrows : Fault::kNone;
  }

  ExecutorEvent step(Sequence& s) {
    ExecutorEvent event{s.request.id, REDRAFT_TRTLLM_TOKENS, REDRAFT_TRTLLM_RUNNING, ++s.iterations, {}, {}};
    const auto end = [&](uint32_t kind, uint32_t reason) {
      event.kind = kind, event.reason = reason, s.ended = true;
      return event;
    };
    if (s.cancelled) return end(REDRAFT_TRTLLM_FINAL, REDRAFT_TRTLLM_CANCELLED);
    if (fault_of(s.request) == Fault::kFails) {
      event.error = "the fake was told to fail";
      return end(REDRAFT_TRTLLM_FAILURE, REDRAFT_TRTLLM_OTHER);
    }
    const uint32_t gained = 1 + static_cast<uint32_t>(mix(s.hash, 3) % static_cast<uint64_t>(folder_.draft_length + 1));
    for (uint32_t i = 0; i < gained; ++i) {
      // The last two tokens are for faults.
      const auto token = static_cast<int32_t>(s.hash % static_cast<uint64_t>(folder_.vocab_size - 2));
      s.hash = mix(s.hash, static_cast<uint64_t>(token));
      if (token == s.request.end_token) return end(REDRAFT_TRTLLM_FINAL, REDRAFT_TRTLLM_END);
      event.tokens.push_back(token);
      if (++s.drawn == s.request.tokens_max) return end(REDRAFT_TRTLLM_FINAL, REDRAFT_TRTLLM_LENGTH);
    }
    return event;
  }

  const EngineFolder folder_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Sequence> queue_;
  int64_t iteration_ = 0;
};

}  // namespace

std::unique_ptr<ExecutorPort> open_executor(const ExecutorSettings& settings) {
  return std::make_unique<FakeExecutor>(settings.folder);
}

}  // namespace redraft::trtllm
