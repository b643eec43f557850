// One model with its draft head, KV pages and slots on a CUDA device: the engine behind the C ABI of
// libredraft_cuda.so.
//
// A step is one chain of launches on one stream: rows, target, draws, walk, commit, draft, search, pack. The host gives
// it the plan and waits once, for one copy of what was gained. It keeps a mirror of each slot, from that copy. Chains
// are captured as graphs by their shape (step_shape.h): all that differs from step to step lies in device memory.
#pragma once
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../beam_search/acceptance.h"
#include "../beam_search/beam_search.h"
#include "../engine/engine.h"
#include "../engine/plan.h"
#include "../gru_draft/gru_draft.h"
#include "../kv_cache/kv_cache.cuh"
#include "../lookup_draft/lookup_draft.h"
#include "../validation/sampling.h"
#include "cuda_buffers.h"
#include "cuda_model.h"
#include "driver.h"
#include "products.h"
#include "step_graphs.h"

namespace redraft::cuda {

// Device bytes by use, from the configuration and from what is free.
struct MemoryPlan {
  size_t weights, kv_pages, workspace;
  size_t free_bytes;  // Before any is taken.
  size_t total() const { return weights + kv_pages + workspace; }
};

class CudaEngine {
 public:
  // Throws Error(REDRAFT_UNSUPPORTED) without a usable device, Error(REDRAFT_NO_MEMORY) that names what does not fit
  // before any of it is taken, and whatever loading a model throws.
  explicit CudaEngine(const EngineConfig& config);
  ~CudaEngine();

  // As Engine's.
  size_t step(const uint8_t* plan, size_t plan_bytes, uint8_t* result, size_t result_bytes_max);
  void hidden(const uint32_t* tokens, size_t token_count, float* hidden, float* logits, size_t logits_start);
  std::string info_json() const;
  std::string tokenizer_json() const;
  const StepGraphs& graphs() const { return graphs_; }
  const MemoryPlan& memory() const { return memory_; }

 private:
  // What the host knows of a slot.
  struct Slot {
    uint32_t computed_count = 0;
    std::vector<uint32_t> pages;
    SamplingParams sampling;
    uint32_t prompt_count = 0;
    std::vector<uint32_t> counts;  // [vocab_size] in the context phase, where penalties need them.
    DeviceTree pending{};
    bool active = false;
    LookupDraft lookup;  // All known tokens.
    AcceptanceTable acceptance;
    std::array<uint16_t, kTreeMax> kind{};  // Of the pending tree's tokens, where the host made it.
    bool host_tree = false;                 // The pending tree is the host's: the device has yet to get it.
  };
  struct Work {
    const PlanRecord* record;
    Slot* slot;
    StepSequence step;
    DeviceTree verified{};
    std::vector<TokenLogprob> logprobs;
    bool draws() const { return record->has(REDRAFT_PLAN_SAMPLE); }
    bool generates() const { return record->tokens.empty(); }
  };
  MemoryPlan plan_memory(const LlamaFile& file, const DraftWeights* head) const;
  std::pair<size_t, size_t> product_size(const LlamaShape& shape, const DraftWeights* head) const;
  void size_memory(const LlamaFile& file, const DraftWeights* head);
  size_t pages_that_fit() const;
  void check_state(const Plan& plan) const;
  uint32_t verify_count(const PlanRecord& record, const Slot& slot) const;
  std::vector<Work> lay_out(const Plan& plan, StepBatch* batch);
  void reset_slot(const PlanRecord& record, Slot& slot);
  void count_context(const PlanRecord& record, Slot& slot);
  void add_tiles(StepBatch* batch, uint32_t sequence, uint32_t row_count, uint32_t keys) const;
  StepLimits limits() const {
    return {static_cast<uint32_t>(config_.rows_max), static_cast<uint32_t>(config_.slots_max),
            static_cast<uint32_t>(config_.context_max)};
  }
  void run(const StepBatch& batch);
  StepShape shape_of(const StepBatch& batch) const;
  void forward(const StepShape& shape);
  void attend(const StepShape& shape, size_t layer);
  void multiply(const DeviceMatrix& w, const DeviceRows& x, float* y, const Count& row_count, uint32_t y_stride);
  void multiply_gates(const LayerMatrix& w, const DeviceRows& x, float* y, const Count& row_count);
  void draw(const StepShape& shape);
  void draft(const StepShape& shape);
  void draft_level(const BeamParams& beams, const Count& rows, uint32_t level);
  void take_logprobs(std::vector<Work>& works, const std::vector<WalkResult>& results);
  static void start_lookups(const PlanRecord& record, Slot& slot);
  static void adopt(const PlanRecord& record, Slot& slot);
  void add_masks(const PlanRecord& record, StepBatch* batch, StepSequence* step) const;
  void look_up(std::vector<Work>& works, const std::vector<WalkResult>& results);
  void count_acceptance(const Work& work, const WalkResult& result);
  size_t write_result(const Plan& plan, const std::vector<Work>& works, const std::vector<WalkResult>& results,
                      uint32_t row_count, uint32_t step_micros, uint8_t* result, size_t result_bytes_max) const;
  size_t scratch_page_count() const { return config_.rows_max / kPageTokens + config_.slots_max; }
  uint32_t hidden_slot() const { return static_cast<uint32_t>(config_.slots_max); }

  EngineConfig config_;
  Device device_;
  Gguf gguf_;
  std::string digest_, head_digest_;
  DraftHeadInfo head_info_;
  MemoryPlan memory_{};
  KvLayout layout_{};
  std::unique_ptr<CudaTarget> target_;
  std::unique_ptr<CudaHead> head_;
  std::unique_ptr<StepBuffers> buffers_;
  std::unique_ptr<DraftBuffers> draft_buffers_;
  std::unique_ptr<HostBytes> back_;  // What a step gives back.
  StepGraphs graphs_{device_};
  WeightKind weight_kind_ = weight_kind_asked();
  std::unique_ptr<Products> products_;
  std::vector<Slot> slots_;
  std::vector<float> logits_row_;  // Scratch of take_logprobs().
  Sampler sampler_;
  AcceptanceTable greedy_acceptance_{false}, sampled_acceptance_{true};
  BeamSearch search_;
};

}  // namespace redraft::cuda
