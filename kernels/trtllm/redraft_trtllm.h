// The C ABI of libredraft_trtllm.so: TensorRT-LLM's executor, which batches and keeps KV pages itself, as
// gpu-node/executor_ffi.ts loads it.
//
// Plain C, little-endian, no callbacks; statuses are redraft.h's. Calls may come from any thread; submit, cancel and
// stats may run while another thread is in drain, of which one may run at a time. C++ exceptions stop here.
#ifndef REDRAFT_TRTLLM_H
#define REDRAFT_TRTLLM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)  // All else in the library is hidden.

#define REDRAFT_TRTLLM_ABI_VERSION 1u
#define REDRAFT_TRTLLM_RELEASE "1.2.1"  // Of TensorRT-LLM: the last one with ReDrafter that is stable.

uint32_t redraft_trtllm_abi_version(void);

// config: UTF-8 JSON, {"engine": FOLDER, "kv_fraction": 0.9, "chunked_context": true}. FOLDER is what trtllm-build
// wrote; one of another release, or without ReDrafter, is refused by name. On failure *executor_out is 0.
int32_t redraft_trtllm_open(const uint8_t* config, size_t config_bytes, uint32_t* executor_out);
// Ends what runs, waits for a drain in flight, frees the executor. The handle is never used again.
int32_t redraft_trtllm_close(uint32_t executor);

// JSON: {"release":"1.2.1","vocab_size":n,"context_max":n,"batch_max":n,"beams":n,"draft_length":n,
// "greedy":bool}: a greedy engine refuses a temperature above 0.
int32_t redraft_trtllm_info(uint32_t executor, uint8_t* json, size_t bytes_max, size_t* bytes_out);

// One request, u32 words:
//   0 words in all   1, 2 id (low, high), the caller's, unique among those that have not ended   3 tokens_max
//   4 f32 temperature (0 = greedy)   5, 6 seed (low, high)   7 end token, or 0xffffffff
//   8 f32 priority in [0, 1], 0.5 = normal   9 token_count   then [token_count] token ids
// ReDrafter draws by temperature and seed alone: the ABI has no field for anything else.
int32_t redraft_trtllm_submit(uint32_t executor, const uint8_t* request, size_t bytes);
// An id that is unknown or has ended is passed over. What runs ends with a final event all the same.
int32_t redraft_trtllm_cancel(uint32_t executor, uint64_t id);

// Waits up to timeout_ms for events, then gives all that fit, in order; what does not fit comes with the next call.
// u32 words: 0 events, then each:
//   0 words in all   1, 2 id (low, high)   3 kind   4 reason   5 iterations of the model so far   6 count
//   then [count] token ids; of a failure, count bytes of UTF-8, padded to words.
// REDRAFT_NO_SPACE if the buffer does not hold the first event; *bytes_out is then what it takes.
int32_t redraft_trtllm_drain(uint32_t executor, uint8_t* events, size_t bytes_max, size_t* bytes_out,
                             uint32_t timeout_ms);
enum { REDRAFT_TRTLLM_TOKENS = 0, REDRAFT_TRTLLM_FINAL = 1, REDRAFT_TRTLLM_FAILURE = 2 };
enum {
  REDRAFT_TRTLLM_RUNNING = 0,
  REDRAFT_TRTLLM_END = 1,  // The end token; it is not among the tokens.
  REDRAFT_TRTLLM_LENGTH = 2,
  REDRAFT_TRTLLM_CANCELLED = 3,
  REDRAFT_TRTLLM_OTHER = 4,
};

// JSON of the newest iteration: {"iteration":n,"active":n,"queued":n,"pages_max":n,"pages_free":n,"page_tokens":n}.
int32_t redraft_trtllm_stats(uint32_t executor, uint8_t* json, size_t bytes_max, size_t* bytes_out);

// As redraft_last_error().
int32_t redraft_trtllm_last_error(uint32_t executor, uint8_t* text, size_t bytes_max, size_t* bytes_out);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
