// The C ABI of a Redraft engine: what gpu-node/engine_ffi.ts and the Python trainer load.
//
// Plain C, little-endian, no callbacks. An engine is named by a u32 handle, so a caller needs no pointer of ours.
// Every call returns a status; the words that explain a status other than REDRAFT_OK come from redraft_last_error().
// C++ exceptions stop here. One call per engine may be in flight; calls may come from any thread.
#ifndef REDRAFT_H
#define REDRAFT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)  // All else in the library is hidden.

#define REDRAFT_ABI_VERSION 3u

enum {
  REDRAFT_OK = 0,
  REDRAFT_BAD_ARGUMENT = 1,  // A null pointer, an unknown handle, a count out of range.
  REDRAFT_BAD_CONFIG = 2,    // The configuration names a wrong or missing field.
  REDRAFT_BAD_MODEL = 3,     // The GGUF file is truncated, lies about itself, or is of an unknown kind.
  REDRAFT_BAD_HEAD = 4,      // The draft head is malformed, or was trained for another model.
  REDRAFT_BAD_PLAN = 5,      // The plan contradicts itself or the engine's state. Nothing was changed.
  REDRAFT_NO_MEMORY = 6,     // The budget asked for does not fit.
  REDRAFT_NO_SPACE = 7,      // The caller's buffer is too small; the size needed is in *bytes_out where there is one.
  REDRAFT_UNSUPPORTED = 8,   // This build or this machine cannot do what was asked.
  REDRAFT_INTERNAL = 9,      // A bug of ours. The engine should be closed.
};

uint32_t redraft_abi_version(void);

// Opens a model and, where "head" is not null, its draft head. config: UTF-8 JSON, see ARCHITECTURE.md, "Engine
// configuration":
//   {"model": PATH, "head": PATH or null, "threads": 2, "slots_max": 32, "pages_max": 2048,
//    "rows_max": 512, "context_max": 8192}
// pages_max counts KV pages of REDRAFT_PAGE_TOKENS tokens; without it a CPU has 2048, a GPU what its free memory holds.
// rows_max bounds the rows of one step.
// On failure *engine_out is 0 and redraft_last_error(0, ...) explains it.
int32_t redraft_open(const uint8_t* config, size_t config_bytes, uint32_t* engine_out);

// Joins the engine's threads and frees it. The handle is never used again.
int32_t redraft_close(uint32_t engine);

#define REDRAFT_PAGE_TOKENS 16u
#define REDRAFT_TREE_TOKENS_MAX 64u  // Packed tokens of one sequence in one step, root included.
#define REDRAFT_BEAM_WIDTH_MAX 32u
#define REDRAFT_BEAM_LENGTH_MAX 16u
#define REDRAFT_LOGPROBS_MAX 20u
#define REDRAFT_BIAS_MAX 1024u

// JSON: {"backend":"cpu","isa":"avx512vnni+amx-int8","threads":2,"model":{name, architecture, digest, parameter_count,
// vocab_size, context_max, hidden_size, layer_count, ...},"head":null or {cell, draft_vocab_size,
// ...},"page_tokens":16, "pages_max":n,"slots_max":n,"rows_max":n,"kv_bytes_per_token":n,"weight_bytes":n}; of a GPU
// "kv_bytes", "workspace_bytes" and "free_bytes" too, the last before any was taken.
int32_t redraft_model_info(uint32_t engine, uint8_t* json, size_t bytes_max, size_t* bytes_out);

// JSON of the model file's own tokenizer:
// {"model":"gpt2","pre":"smollm","tokens":[..],"token_types":[..],"merges":[..], "scores":[..] or
// null,"bos_token_id":..,"eos_token_id":..,"unknown_token_id":..,"padding_token_id":..,
// "add_bos_token":bool,"add_eos_token":bool,"add_space_prefix":bool,"chat_template":".." or null}. Ids are null where
// absent.
int32_t redraft_tokenizer(uint32_t engine, uint8_t* json, size_t bytes_max, size_t* bytes_out);

// One step over the batch: verify, validate, commit, draft, pack. Formats below.
int32_t redraft_step(uint32_t engine, const uint8_t* plan, size_t plan_bytes, uint8_t* result, size_t result_bytes_max);

// Rows of the target's final hidden states (after the last RMSNorm, the vector its head reads), for training and
// evaluation; touches no slot and no page. tokens: [token_count], token_count <= context_max. hidden: [token_count,
// hidden_size] or NULL. logits: [token_count - logits_start, vocab_size] or NULL.
int32_t redraft_hidden(uint32_t engine, const uint32_t* tokens, size_t token_count, float* hidden, float* logits,
                       size_t logits_start);

// The words for the last status that was not REDRAFT_OK, UTF-8, no terminator. engine 0: of the last failed
// redraft_open().
int32_t redraft_last_error(uint32_t engine, uint8_t* text, size_t bytes_max, size_t* bytes_out);

// ---- Plan: u32 words, little-endian ------------------------------------------------------------------------------
// header (8 words): magic, version, plan_bytes, step_id, sequence_count, 0, 0, 0
// then sequence_count records, each:
//   0 record_bytes
//   1 slot             in [0, slots_max); at most one record a slot
//   2 flags            REDRAFT_PLAN_*
//   3 computed_count   KV rows this slot holds; asserted against the engine's own count unless RESET
//   4 token_count      new context tokens, at positions computed_count ...; 0 in the generation phase, where the engine
//   holds
//                      the root itself
//   5 page_start       index in the slot's page table at which the pages below are written
//   6 page_count
//   7 beam_width       budget of the NEXT tree; 0 or beam_length <= 1 or packed_max <= 1: the draft head does not run
//   8 beam_length      levels of the draft head, init token included
//   9 packed_max       includes the root
//  10 verify_max       packed tokens of the pending tree to verify now, root included; 0 = all of them
//  11 path_max         tokens of the next tree's longest path where lookups in the sequence's past lengthen it, init
//                      token included; <= 1 = no lookups
//  12 chance_min       f32 in [0, 1]: paths less likely to be accepted than this are not followed
//  13 mask_words       with MASK: mask_count * ceil(vocab_size / 32), else 0; mask_count is 1 without DRAFT
//   then [computed_count + token_count] token ids if RESET, else [token_count]; then [page_count] page numbers;
//   then, if RESET, the sampling block (12 words + 2 * bias_count):
//     f32 temperature (0 = greedy), u32 top_k (0 = off), f32 top_p (1 = off), f32 min_p (0 = off), f32
//     repetition_penalty (1 = off), f32 presence_penalty, f32 frequency_penalty, u32 seed_low, u32 seed_high, u32
//     logprobs (0 = none, 1 + n = the drawn token's and the n best), u32 prompt_count (tokens from here on are the
//     model's own, which presence and frequency penalties count), u32 bias_count, then bias_count times (u32 token, f32
//     bias)
//   then, with MASK, [mask_words] words: token t may be drawn iff bit t % 32 of a mask's word t / 32 is set. It holds
//   before penalties, temperature and truncation. Without DRAFT the step draws one token: verify_max is then 1 in the
//   generation phase.
//   then, with DRAFT (generation phase, MASK), the tree to verify in place of the engine's own, for only the caller
//   knows what may follow what: u32 count in [1, 64], then count times (u32 token, i32 parent, u32 mask, an index). The
//   first is the pending token, parent -1. verify_max is not read. The page table must cover its draft length.
// RESET starts a slot afresh: its first computed_count rows are already in the pages (a prefix hit); their tokens are
// sent because penalties count them. The pages of a record must cover computed_count + token_count rows, and in the
// generation phase computed_count + 1 + draft length of the pending tree.
#define REDRAFT_PLAN_HEADER_WORDS 8u
#define REDRAFT_RESULT_HEADER_WORDS 12u
#define REDRAFT_PLAN_MAGIC 0x4e4c5052u    // "RPLN"
#define REDRAFT_RESULT_MAGIC 0x53455252u  // "RRES"
#define REDRAFT_PLAN_RESET 1u
#define REDRAFT_PLAN_SAMPLE \
  2u                          // The chunk reaches the newest known token: draw one. Always set in the generation phase.
#define REDRAFT_PLAN_TREE 4u  // Put the verified tree into the result.
#define REDRAFT_PLAN_MASK 8u    // With SAMPLE: the token drawn is one of a mask's.
#define REDRAFT_PLAN_DRAFT 16u  // The plan brings the tree.
#define REDRAFT_PLAN_NEXT 32u   // Put the next tree's tokens into the result.

// ---- Result ------------------------------------------------------------------------------------------------------
// header (12 words): magic, version, result_bytes, step_id, sequence_count, row_count, then microseconds: step, the
// whole call; target, the target's layers; logits, its head; sample, drawing and the walk down the tree; draft, making
// the next tree; head, the part of draft that the draft head takes. What step has beside target, logits, sample and
// draft went into reading the plan, moving accepted rows and writing the result. An engine whose step is one
// chain of launches measures the step alone and leaves the others 0.
// then one record per plan record, same order:
//   0 record_bytes
//   1 slot
//   2 computed_count   after the step
//   3 token_count      tokens gained: 0 in the context phase without SAMPLE, else accepted_count + 1 (the last is the
//   bonus
//                      token, known but uncomputed: the root of the next tree)
//   4 drafted_count    draft tokens verified in this step
//   5 accepted_count
//   6 pending_count    packed tokens of the next tree, root included
//   7 tree_count       packed tokens of the verified tree that follow; 0 without PLAN_TREE
//   8 draft_length     of the next tree: tokens of its longest path, root not counted
//   9 0
//   then [token_count] token ids; then, with logprobs = 1 + n, for each token: f32 log-probability, n times (u32 token,
//   f32 log-probability) in falling order (of the target's own distribution, before temperature and penalties); then
//   [pending_count] f32 of the next tree, falling: log of the chance that the path to that token is accepted; then,
//   with PLAN_NEXT, pending_count times (u32 token, i32 parent); then tree_count times (u32 token, i32 parent, f32
//   draft log-probability of the path, u32 accepted 0/1)

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
