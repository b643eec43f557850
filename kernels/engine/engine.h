// One loaded model with its draft head, KV pages and slots: what a handle of the C ABI names.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../beam_search/acceptance.h"
#include "../common/packed_tree.h"
#include "../gru_draft/gru_draft.h"
#include "../lookup_draft/lookup_draft.h"
#include "../validation/tree_walk.h"
#include "decoder.h"
#include "plan.h"
#include "step_times.h"

namespace redraft {

struct EngineConfig {
  std::string model_path, head_path;  // head_path empty: no draft head.
  size_t threads, slots_max, rows_max, context_max;
  size_t pages_max;  // 0: the engine's own choice.
  // Throws Error(REDRAFT_BAD_CONFIG) that names the field. json: see redraft_open() in redraft.h.
  static EngineConfig parse(const std::string& json);
};

class Engine {
 public:
  explicit Engine(const EngineConfig& config);

  // Nothing is changed if the plan is refused. Returns the result's bytes.
  size_t step(const uint8_t* plan, size_t plan_bytes, uint8_t* result, size_t result_bytes_max);
  // As redraft_hidden(); either output may be null.
  void hidden(const uint32_t* tokens, size_t token_count, float* hidden, float* logits, size_t logits_start);
  std::string info_json() const;
  std::string tokenizer_json() const;

 private:
  // A seat in the running batch; what it holds outlives the step.
  struct Slot {
    uint32_t computed_count = 0;  // KV rows held. The newest known token, pending.token[0], is not among them.
    std::vector<uint32_t> pages;
    SamplingParams sampling;
    uint32_t prompt_count = 0;
    TokenCounts counts;
    PackedTree pending;          // count 0 while in the context phase.
    LookupDraft lookup;          // All known tokens.
    AcceptanceTable acceptance;  // Starts from the engine's.
    bool active = false;
  };
  // One record's way through a step.
  struct Work {
    const PlanRecord* record;
    Slot* slot;
    size_t row_begin, row_count;
    size_t tree_page;  // First scratch page, in the generation phase.
    std::vector<uint64_t> masks;
    TreeWalk walk;
    PackedTree verified;
    bool draws() const { return record->has(REDRAFT_PLAN_SAMPLE); }
    bool generates() const { return record->tokens.empty(); }
  };

  void check_state(const Plan& plan) const;
  uint32_t verify_count(const PlanRecord& record, const Slot& slot) const;
  std::vector<Work> lay_out(const Plan& plan);
  void lay_out_context(Work& work);
  void lay_out_tree(Work& work, size_t* scratch_page);
  void validate(std::vector<Work>& works);
  void validate_group(std::vector<Work*>& group, const std::vector<size_t>& rows);
  void walk_group(const std::vector<Work*>& group);
  void commit(std::vector<Work>& works);
  void draft(std::vector<Work>& works);
  void run_head();
  void count_acceptance(const Work& work);
  static DraftNoise noise_at(const Slot& slot, size_t path_count);
  static bool goes_round(const Slot& slot);
  static size_t look_up(const Slot& slot, const int32_t* path, size_t path_count, DraftCandidate* out);
  static void mix(const Slot& slot, const int32_t* path, size_t path_count, const TokenLogprob* head, size_t head_count,
                  bool looks_up, DraftCandidate* out);
  size_t write_result(const Plan& plan, const std::vector<Work>& works, uint8_t* result, size_t result_bytes_max) const;
  size_t scratch_page_count() const { return config_.rows_max / kPageTokens + config_.slots_max; }

  EngineConfig config_;
  ThreadPool pool_;
  Gguf gguf_;
  std::string digest_, head_digest_;
  LlamaWeights weights_;
  std::unique_ptr<KvCache> cache_;
  std::unique_ptr<Decoder> decoder_;
  std::optional<DraftHead> head_;
  std::unique_ptr<DraftRun> draft_run_;
  AcceptanceTable greedy_acceptance_{false}, sampled_acceptance_{true};
  std::vector<Slot> slots_;
  std::vector<DecoderRow> rows_;
  std::vector<AttentionSequence> sequences_;
  AlignedVector<float> logits_, draft_hidden_;
  StepTimes times_;                   // Of the step under way.
  std::vector<Work*> drafting_;       // Works of the step that draft.
  std::vector<BeamSearch> searches_;  // [slots_max], the first drafting_.size() in use.
};

}  // namespace redraft
