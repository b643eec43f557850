// The recurrent draft head: from the target's hidden state and the tokens of a beam, what may come next.
// Cells: "gru" (ours), "silu" and "sum" (Apple's, whose checkpoints load too). Weights are 8-bit, activations are
// quantised a row at a time: a row's result depends on that row alone, so a draft does not depend on the batch.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "../common/thread_pool.h"
#include "../common/token_logprob.h"

namespace redraft {

// What the head must fit.
struct DraftTarget {
  size_t hidden_size;
  size_t vocab_size;
  std::string digest;  // SHA-256 of the GGUF file, hex.
};

// Writes the target's embedding row of a token: out: [hidden_size]. Called from one thread at a time or from several.
using EmbeddingLookup = std::function<void(int32_t token, float* out)>;

// Candidates a row may ask for.
inline constexpr size_t kDraftCandidatesMax = 32;

struct DraftHeadInfo {
  std::string format;  // "redraft-head-1" or "apple"
  std::string cell;    // "gru", "silu" or "sum"
  size_t hidden_size = 0, state_size = 0, mlp_size = 0, mlp_layers = 0, draft_vocab_size = 0, target_vocab_size = 0;
  size_t parameter_count = 0, weight_bytes = 0;
};

struct DraftWeights;  // gru_draft_weights.h

class DraftHead {
 public:
  // directory holds config.json and model.safetensors. Throws Error(REDRAFT_BAD_HEAD) that names the file, and the
  // field or tensor with what was found and expected. keeps_bf16: the cell's weights are there as bf16, too.
  static DraftHead load(const std::string& directory, const DraftTarget& target, bool keeps_bf16 = false);
  ~DraftHead();
  DraftHead(DraftHead&&) noexcept;
  DraftHead& operator=(DraftHead&&) noexcept;

  const DraftHeadInfo& info() const;
  const DraftWeights& weights() const { return *weights_; }

 private:
  explicit DraftHead(std::unique_ptr<DraftWeights> weights);
  std::unique_ptr<DraftWeights> weights_;
};

// What the target's draw at this place will add to its logits (sampling.h): known beforehand, so the head adds it too.
struct DraftNoise {
  float temperature = 0;  // 0: the target takes the best, and so does the head.
  uint64_t seed = 0;
  uint64_t position = 0;  // Of the token that the candidates are for.
};

// One beam's row in one level of drafting.
struct DraftRow {
  int32_t sequence;  // Row of begin()'s hidden.
  int32_t token;     // The beam's last token, a target id.
  int32_t state;     // Row of the step() before whose state this beam continues; on the first level: the sequence.
  DraftNoise noise = {};
};

// Drafts for all sequences of a step at once: begin(), then step() a level. Owns its working memory; reused.
class DraftRun {
 public:
  DraftRun(const DraftHead& head, EmbeddingLookup embedding);
  ~DraftRun();
  DraftRun(const DraftRun&) = delete;
  DraftRun& operator=(const DraftRun&) = delete;

  // hidden: rows of the target's final hidden state at each sequence's last accepted position, row i at
  // hidden + i * hidden_stride, [sequence_count, hidden_size].
  void begin(ThreadPool& pool, const float* hidden, size_t hidden_stride, size_t sequence_count);

  // rows: [row_count]. candidates: [row_count, k], falling by log-probability, among equals the lower token first; by a
  // softmax over the whole draft vocabulary, or with noise over logit / temperature + noise of the tokens that have one
  // of their own (kNoiseDepth in noise.h); where those are fewer, the rest are token -1 with -infinity. 1 <= k <=
  // min(kDraftCandidatesMax, draft_vocab_size).
  void step(ThreadPool& pool, const DraftRow* rows, size_t row_count, size_t k, TokenLogprob* candidates);

 private:
  struct Memory;
  void advance(ThreadPool& pool, const DraftRow* rows, size_t row_count, float* next);
  void run_mlp(ThreadPool& pool, const DraftRow* rows, size_t row_count);
  void rank(ThreadPool& pool, const DraftRow* rows, size_t row_count, size_t k, TokenLogprob* candidates);
  size_t add_noise(const DraftNoise& noise, size_t row);

  const DraftWeights& weights_;
  EmbeddingLookup embedding_;
  std::unique_ptr<Memory> memory_;
};

}  // namespace redraft
