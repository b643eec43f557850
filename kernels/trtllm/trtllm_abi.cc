// The C ABI over an ExecutorPort: handles, statuses, words in and out.
#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <deque>
#include <mutex>

#include "../common/error.h"
#include "../common/handles.h"
#include "../common/json.h"
#include "executor_port.h"

namespace {

using redraft::Error;
using redraft::JsonWriter;
using namespace redraft::trtllm;

constexpr size_t kRequestWords = 10, kEventWords = 7;
constexpr uint32_t kNoToken = 0xffffffffu, kTimeoutMax = 60'000;

struct Handle {
  ExecutorSettings settings;
  std::unique_ptr<ExecutorPort> port;
  std::mutex draining;               // Held while a drain is in flight.
  std::deque<ExecutorEvent> events;  // Not given yet. Under draining.
  std::atomic<bool> closing = false;
  std::mutex error_mutex;
  std::string last_error;
};

// Never destroyed: at exit the executor's own threads may outlive statics.
redraft::HandleTable<Handle>& handles = *new redraft::HandleTable<Handle>;

template <typename Body>
int32_t with_executor(uint32_t executor, Body&& body) {
  const std::shared_ptr<Handle> handle = handles.find(executor);
  if (!handle) return REDRAFT_BAD_ARGUMENT;
  std::string words;
  const int32_t status = redraft::guarded(&words, [&] { body(*handle); });
  return handles.keep(*handle, status, words);
}

ExecutorRequest parse_request(const uint8_t* bytes, size_t byte_count, const EngineFolder& folder) {
  const auto refuse = [](const std::string& reason) -> Error {
    return Error(REDRAFT_BAD_ARGUMENT, "Cannot submit request: " + reason);
  };
  if (!bytes || byte_count % 4 != 0 || byte_count < kRequestWords * 4)
    throw refuse(std::to_string(byte_count) + " bytes are no request");
  std::vector<uint32_t> words(byte_count / 4);
  std::memcpy(words.data(), bytes, byte_count);
  const uint32_t count = words[9];
  if (words[0] != words.size() || count != words.size() - kRequestWords)
    throw refuse("it says " + std::to_string(words[0]) + " words and " + std::to_string(count) + " tokens, and has " +
                 std::to_string(words.size()) + " words");
  ExecutorRequest request{uint64_t{words[2]} << 32 | words[1],
                          {},
                          words[3],
                          std::bit_cast<float>(words[4]),
                          uint64_t{words[6]} << 32 | words[5],
                          words[7] == kNoToken ? -1 : static_cast<int32_t>(words[7]),
                          std::bit_cast<float>(words[8])};
  if (count == 0) throw refuse("it has no tokens");
  if (request.tokens_max == 0 || int64_t{count} + request.tokens_max > folder.context_max)
    throw refuse(std::to_string(count) + " tokens and tokens_max " + std::to_string(request.tokens_max) +
                 " do not fit the context of " + std::to_string(folder.context_max));
  if (!(request.temperature >= 0 && request.temperature < 1e6f)) throw refuse("temperature");
  if (folder.greedy && request.temperature > 0) throw refuse("the engine was built greedy: its temperature is 0");
  if (!(request.priority >= 0 && request.priority <= 1)) throw refuse("priority");
  for (size_t i = kRequestWords; i < words.size(); ++i)
    if (words[i] >= folder.vocab_size) throw refuse("token " + std::to_string(words[i]) + " is not in the vocabulary");
  request.tokens.assign(words.begin() + kRequestWords, words.end());
  return request;
}

size_t event_words(const ExecutorEvent& event) {
  return kEventWords + event.tokens.size() + (event.error.size() + 3) / 4;
}

void write_event(const ExecutorEvent& event, uint32_t* out) {
  const bool failed = event.kind == REDRAFT_TRTLLM_FAILURE;
  const size_t count = failed ? event.error.size() : event.tokens.size();
  const uint32_t head[kEventWords] = {static_cast<uint32_t>(event_words(event)),
                                      static_cast<uint32_t>(event.id),
                                      static_cast<uint32_t>(event.id >> 32),
                                      event.kind,
                                      event.reason,
                                      event.iterations,
                                      static_cast<uint32_t>(count)};
  std::memcpy(out, head, sizeof head);
  std::memset(out + kEventWords, 0, (head[0] - kEventWords) * 4);
  if (failed) std::memcpy(out + kEventWords, event.error.data(), event.error.size());
  else if (count) std::memcpy(out + kEventWords, event.tokens.data(), count * 4);
}

}  // namespace

extern "C" {

uint32_t redraft_trtllm_abi_version(void) { return REDRAFT_TRTLLM_ABI_VERSION; }

int32_t redraft_trtllm_open(const uint8_t* config, size_t config_bytes, uint32_t* executor_out) {
  return handles.open(executor_out, [&] {
    if (!config) throw Error(REDRAFT_BAD_ARGUMENT, "config is null");
    const std::string_view text(reinterpret_cast<const char*>(config), config_bytes);
    const redraft::Json json = redraft::Json::parse(text, REDRAFT_BAD_CONFIG, "configuration");
    redraft::JsonFields fields(json, REDRAFT_BAD_CONFIG, "configuration");
    const std::string folder = fields.text("engine");
    const float kv_fraction = static_cast<float>(fields.number("kv_fraction", 0.01, 1, 0.9));
    const bool chunked = fields.boolean("chunked_context", true);
    fields.refuse_unknown();
    auto handle = std::make_shared<Handle>();
    handle->settings = {EngineFolder::read(folder), kv_fraction, chunked};
    handle->port = open_executor(handle->settings);
    return handle;
  });
}

int32_t redraft_trtllm_close(uint32_t executor) {
  const std::shared_ptr<Handle> handle = handles.find(executor);
  if (!handle) return REDRAFT_BAD_ARGUMENT;
  handle->closing = true;
  const std::lock_guard drained(handle->draining);
  if (!handles.erase(executor)) return REDRAFT_BAD_ARGUMENT;
  std::string words;
  return redraft::guarded(&words, [&] { handle->port.reset(); });
}

int32_t redraft_trtllm_info(uint32_t executor, uint8_t* json, size_t bytes_max, size_t* bytes_out) {
  return with_executor(executor, [&](Handle& handle) {
    const EngineFolder& folder = handle.settings.folder;
    JsonWriter out;
    out.begin_object().key("release").text(folder.release);
    out.key("vocab_size").integer(folder.vocab_size).key("context_max").integer(folder.context_max);
    out.key("batch_max").integer(folder.batch_max);
    out.key("beams").integer(folder.beams).key("draft_length").integer(folder.draft_length);
    out.key("greedy").boolean(folder.greedy).end_object();
    redraft::copy_out(out.take(), json, bytes_max, bytes_out);
  });
}

int32_t redraft_trtllm_submit(uint32_t executor, const uint8_t* request, size_t bytes) {
  return with_executor(
      executor, [&](Handle& handle) { handle.port->submit(parse_request(request, bytes, handle.settings.folder)); });
}

int32_t redraft_trtllm_cancel(uint32_t executor, uint64_t id) {
  return with_executor(executor, [&](Handle& handle) { handle.port->cancel(id); });
}

int32_t redraft_trtllm_drain(uint32_t executor, uint8_t* events, size_t bytes_max, size_t* bytes_out,
                             uint32_t timeout_ms) {
  return with_executor(executor, [&](Handle& handle) {
    if (!events || !bytes_out || bytes_max < 4) throw Error(REDRAFT_BAD_ARGUMENT, "events or bytes_out is null");
    const std::unique_lock lock(handle.draining, std::try_to_lock);
    if (!lock.owns_lock()) throw Error(REDRAFT_BAD_ARGUMENT, "another drain is in flight on this executor");
    if (handle.events.empty() && !handle.closing)
      for (ExecutorEvent& event : handle.port->await(std::chrono::milliseconds(std::min(timeout_ms, kTimeoutMax))))
        handle.events.push_back(std::move(event));
    std::vector<uint32_t> words(1, 0);
    while (!handle.events.empty()) {
      const size_t at = words.size(), more = event_words(handle.events.front());
      if ((at + more) * 4 > bytes_max) {
        if (words[0] > 0) break;
        *bytes_out = (at + more) * 4;
        throw Error(REDRAFT_NO_SPACE, std::to_string(*bytes_out) + " bytes do not fit " + std::to_string(bytes_max));
      }
      words.resize(at + more);
      write_event(handle.events.front(), &words[at]);
      handle.events.pop_front();
      ++words[0];
    }
    *bytes_out = words.size() * 4;
    std::memcpy(events, words.data(), *bytes_out);
  });
}

int32_t redraft_trtllm_stats(uint32_t executor, uint8_t* json, size_t bytes_max, size_t* bytes_out) {
  return with_executor(executor, [&](Handle& handle) {
    const ExecutorStats stats = handle.port->stats();
    JsonWriter out;
    out.begin_object().key("iteration").integer(stats.iteration).key("active").integer(stats.active);
    out.key("queued").integer(stats.queued).key("pages_max").integer(stats.pages_max);
    out.key("pages_free").integer(stats.pages_free).key("page_tokens").integer(stats.page_tokens).end_object();
    redraft::copy_out(out.take(), json, bytes_max, bytes_out);
  });
}

int32_t redraft_trtllm_last_error(uint32_t executor, uint8_t* text, size_t bytes_max, size_t* bytes_out) {
  std::string ignored;
  return redraft::guarded(&ignored, [&] { redraft::copy_out(handles.error(executor), text, bytes_max, bytes_out); });
}

}  // extern "C"
