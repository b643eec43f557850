#include "cuda_engine.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "../common/error.h"
#include "../common/sha256.h"
#include "../tree_attention/tree_mask.h"

namespace redraft::cuda {
namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void refuse(const PlanRecord& record, const std::string& reason) {
  throw Error(REDRAFT_BAD_PLAN, "bad plan: slot " + std::to_string(record.slot) + ": " + reason);
}

// Of the free memory, where no pages_max bounds it: the rest is for the driver's graphs, cuBLASLt and whoever else.
constexpr size_t kMemoryPercent = 90;
constexpr size_t kPagesFittedMax = 1 << 20;  // The host keeps records of each.

std::string mib(size_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

// Tokens of a tree's longest path behind its root.
uint32_t length_of(const int32_t* parent, int32_t count) {
  int32_t depth[kTreeMax] = {};
  tree_depths(parent, depth, count);
  return count > 0 ? static_cast<uint32_t>(*std::max_element(depth, depth + count)) : 0;
}

}  // namespace

CudaEngine::CudaEngine(const EngineConfig& config)
    : config_(config), gguf_(config.model_path), digest_(sha256_hex(gguf_.file().data(), gguf_.file().size())) {
  ThreadPool pool(config.threads);
  const LlamaFile file(gguf_);
  const LlamaShape& shape = file.shape();
  if (config_.context_max == 0) config_.context_max = shape.context_max;
  if (config_.context_max > shape.context_max)
    throw Error(REDRAFT_BAD_CONFIG, "context_max is " + std::to_string(config_.context_max) +
                                        ", but the model's context is " + std::to_string(shape.context_max));
  if (shape.vocab_size > kVocabMax)
    throw Error(REDRAFT_UNSUPPORTED, "cannot sample from " + std::to_string(shape.vocab_size) +
                                         " tokens on CUDA: at most " + std::to_string(kVocabMax));
  std::optional<DraftHead> head;
  if (!config_.head_path.empty()) {
    const bool keeps_bf16 = weight_kind_ == WeightKind::kBf16;
    head = DraftHead::load(config_.head_path, {shape.hidden_size, shape.vocab_size, digest_}, keeps_bf16);
    const MappedFile bytes(config_.head_path + "/model.safetensors", REDRAFT_BAD_HEAD);
    head_digest_ = sha256_hex(bytes.data(), bytes.size());
    head_info_ = head->info();
  }
  device_.enter();
  size_memory(file, head ? &head->weights() : nullptr);
  target_ = std::make_unique<CudaTarget>(device_, file, config_.context_max, weight_kind_, pool);
  const auto [rows, inputs] = product_size(shape, head ? &head->weights() : nullptr);
  products_ = std::make_unique<Products>(device_, weight_kind_, rows, inputs);
  const CudaLayer& layer = target_->layers.front();
  for (const LayerMatrix* matrix : {&layer.query, &layer.key, &layer.output, &layer.gate, &layer.down})
    products_->try_out(*matrix);
  buffers_ = std::make_unique<StepBuffers>(target_->shape, layout_, limits());
  back_ = std::make_unique<HostBytes>(buffers_->results.size());
  if (head) {
    head_ = std::make_unique<CudaHead>(device_, head->weights());
    for (const LayerMatrix* matrix : {&head_->input.weight, &head_->recurrent.weight})
      if (matrix->kind() == WeightKind::kBf16) products_->try_out(*matrix);
    draft_buffers_ = std::make_unique<DraftBuffers>(*head_, limits().slots_max);
  }
  for (const auto& [pointer, bytes] : {std::pair{buffers_->results.pointer(), buffers_->results.bytes()},
                                       {buffers_->token_counts.pointer(), buffers_->token_counts.bytes()},
                                       {buffers_->kv_pages.pointer(), buffers_->kv_pages.bytes()}})
    device_.fill_zero(pointer, bytes);
  device_.wait();
  slots_.resize(config_.slots_max);
}

CudaEngine::~CudaEngine() {
  try {
    device_.enter();  // Its memory is given back on the thread that closes it.
    device_.wait();
  } catch (const Error&) {}  // A device that failed has nothing left to give back.
}

// The most rows and inputs that a product has: of a layer, or of the draft head's cell.
std::pair<size_t, size_t> CudaEngine::product_size(const LlamaShape& shape, const DraftWeights* head) const {
  const size_t inputs = std::max({shape.hidden_size, shape.query_size(), shape.ffn_size});
  if (!head) return {config_.rows_max, inputs};
  return {std::max(config_.rows_max, config_.slots_max * kBeamWidthMax),
          std::max({inputs, padded_inputs(head->hidden_size), padded_inputs(head->state_size)})};
}

MemoryPlan CudaEngine::plan_memory(const LlamaFile& file, const DraftWeights* head) const {
  const auto [rows, inputs] = product_size(file.shape(), head);
  return {target_bytes(file, config_.context_max, weight_kind_) + (head ? head_bytes(*head) : 0),
          layout_.layer_count * layout_.layer_elements() * sizeof(uint16_t),
          Products::bytes(weight_kind_, rows, inputs) + StepBuffers::bytes(file.shape(), limits()) +
              (head ? DraftBuffers::bytes(*head, limits().slots_max) : 0),
          device_.free_bytes()};
}

// What is free, or as many pages as it holds where none were asked for: refused before any is taken.
void CudaEngine::size_memory(const LlamaFile& file, const DraftWeights* head) {
  const LlamaShape& shape = file.shape();
  // Behind the sequences' pages: those of draft trees, for a step; those of hidden(), for a call.
  const size_t context_pages = (config_.context_max + kPageTokens - 1) / kPageTokens;
  const size_t more = scratch_page_count() + context_pages;
  layout_ = {shape.layer_count, shape.kv_head_count, shape.head_size, config_.pages_max + more};
  memory_ = plan_memory(file, head);
  if (config_.pages_max == 0) {
    config_.pages_max = pages_that_fit();
    if (config_.pages_max < context_pages)
      throw Error(REDRAFT_NO_MEMORY, "cannot fit " + device_.name() + ": weights " + mib(memory_.weights) +
                                         ", workspace " + mib(memory_.workspace) + "; of " + mib(memory_.free_bytes) +
                                         " free that leaves " + std::to_string(config_.pages_max) +
                                         " KV pages, a sequence of context_max " + std::to_string(config_.context_max) +
                                         " takes " + std::to_string(context_pages) +
                                         ": lower context_max, rows_max or slots_max, or set pages_max");
    layout_.page_count = config_.pages_max + more;
    memory_.kv_pages = layout_.layer_count * layout_.layer_elements() * sizeof(uint16_t);
  }
  if (memory_.total() > memory_.free_bytes)
    throw Error(REDRAFT_NO_MEMORY, "cannot fit " + device_.name() + ": weights " + mib(memory_.weights) +
                                       ", KV pages " + mib(memory_.kv_pages) + ", workspace " + mib(memory_.workspace) +
                                       "; " + mib(memory_.free_bytes) +
                                       " are free: lower pages_max, rows_max or slots_max");
}

size_t CudaEngine::pages_that_fit() const {
  const size_t most = memory_.free_bytes / 100 * kMemoryPercent, page = layout_.bytes_per_token() * kPageTokens;
  return most > memory_.total() ? std::min((most - memory_.total()) / page, kPagesFittedMax) : 0;
}

size_t CudaEngine::step(const uint8_t* bytes, size_t byte_count, uint8_t* result, size_t result_bytes_max) {
  const auto start = Clock::now();
  device_.enter();
  const PlanLimits limits{static_cast<uint32_t>(config_.slots_max), static_cast<uint32_t>(config_.pages_max),
                          static_cast<uint32_t>(config_.rows_max), static_cast<uint32_t>(config_.context_max),
                          static_cast<uint32_t>(target_->shape.vocab_size)};
  const Plan plan = parse_plan(bytes, byte_count, limits);
  check_state(plan);
  StepBatch batch;
  std::vector<Work> works = lay_out(plan, &batch);
  std::vector<WalkResult> results(config_.slots_max);
  std::vector<DeviceSlot> slots(config_.slots_max);
  if (!works.empty()) {
    buffers_->upload.send(device_, batch);
    run(batch);
    // The one copy of a step: what was gained, and the next trees.
    const uint8_t* back = back_->get();
    device_.copy_out(back_->get(), buffers_->results.pointer(), back_->size());
    device_.wait();
    std::memcpy(results.data(), back, results.size() * sizeof(WalkResult));
    std::memcpy(slots.data(), back + results.size() * sizeof(WalkResult), slots.size() * sizeof(DeviceSlot));
  }
  for (Work& work : works) {
    work.verified = work.slot->pending;
    work.slot->computed_count = slots[work.record->slot].computed_count;
    work.slot->pending = slots[work.record->slot].pending;
  }
  look_up(works, results);
  for (size_t i = 0; i < works.size(); ++i)
    if (works[i].draws() && results[i].accepted_count < 0)
      throw Error(REDRAFT_INTERNAL, "Cannot draw a token for slot " + std::to_string(works[i].record->slot) +
                                        ": no logit is above -infinity");
  take_logprobs(works, results);
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start).count();
  return write_result(plan, works, results, batch.row_count, static_cast<uint32_t>(micros), result, result_bytes_max);
}

uint32_t CudaEngine::verify_count(const PlanRecord& record, const Slot& slot) const {
  if (record.has(REDRAFT_PLAN_DRAFT)) return static_cast<uint32_t>(record.draft.count);
  const uint32_t pending = static_cast<uint32_t>(slot.pending.count);
  return record.verify_max == 0 ? pending : std::min(record.verify_max, pending);
}

// As Engine::check_state(): all that could go wrong is found here, before anything is changed.
void CudaEngine::check_state(const Plan& plan) const {
  size_t row_count = 0;
  for (const PlanRecord& record : plan.records) {
    const Slot& slot = slots_[record.slot];
    const bool reset = record.has(REDRAFT_PLAN_RESET);
    if (!reset && !slot.active) refuse(record, "it was never RESET");
    if (!reset && record.computed_count != slot.computed_count)
      refuse(record, "computed_count is " + std::to_string(record.computed_count) + ", the engine holds " +
                         std::to_string(slot.computed_count) + " rows");
    size_t rows = record.tokens.size(), reach = record.computed_count + rows;
    if (rows == 0) {
      if (slot.pending.count == 0) refuse(record, "no token is pending, yet none is given");
      if (!record.has(REDRAFT_PLAN_SAMPLE)) refuse(record, "SAMPLE is missing in the generation phase");
      rows = verify_count(record, slot);
      const bool brings = record.has(REDRAFT_PLAN_DRAFT);
      if (brings && record.draft.token[0] != slot.pending.token[0])
        refuse(record, "its draft begins with another token");
      const int32_t* parent = brings ? record.draft.parent : slot.pending.parent;
      reach = record.computed_count + 1 + length_of(parent, static_cast<int32_t>(rows));
    } else if (!reset && slot.pending.count != 0) {
      refuse(record, "context tokens follow the generation phase; RESET comes first");
    }
    const size_t table = std::max(reset ? 0 : slot.pages.size(), record.page_start + record.pages.size());
    if (record.page_start > (reset ? 0 : slot.pages.size()))
      refuse(record, "page_start leaves a gap in the page table");
    if (reach > table * kPageTokens)
      refuse(record, std::to_string(table) + " pages do not hold " + std::to_string(reach) + " rows");
    if (reach > config_.context_max)
      refuse(record, "its rows pass the context of " + std::to_string(config_.context_max));
    row_count += rows;
  }
  if (row_count > config_.rows_max)
    throw Error(REDRAFT_BAD_PLAN,
                "bad plan: " + std::to_string(row_count) + " rows, at most " + std::to_string(config_.rows_max));
}

// Log-probabilities are rare: the rows are fetched, and the CPU's own code reads them.
void CudaEngine::take_logprobs(std::vector<Work>& works, const std::vector<WalkResult>& results) {
  const size_t vocab = target_->shape.vocab_size;
  for (size_t i = 0; i < works.size(); ++i) {
    Work& work = works[i];
    const uint32_t wanted = work.slot->sampling.logprobs;
    if (!work.draws() || wanted == 0) continue;
    logits_row_.resize(vocab);
    work.logprobs.resize(static_cast<size_t>(results[i].accepted_count + 1) * wanted);
    for (int32_t gained = 0; gained <= results[i].accepted_count; ++gained) {
      const size_t row = work.step.sample_begin + static_cast<size_t>(work.generates() ? results[i].path[gained] : 0);
      device_.copy_out(logits_row_.data(), buffers_->logits.pointer() + row * vocab * 4, vocab * 4);
      device_.wait();
      sampler_.logprobs(logits_row_.data(), vocab, results[i].token[gained], wanted - 1,
                        &work.logprobs[static_cast<size_t>(gained) * wanted]);
    }
  }
}

size_t CudaEngine::write_result(const Plan& plan, const std::vector<Work>& works,
                                const std::vector<WalkResult>& results, uint32_t row_count, uint32_t step_micros,
                                uint8_t* result, size_t result_bytes_max) const {
  ResultWriter out(result, result_bytes_max);
  // One chain of launches: its parts are not measured apart.
  for (const uint32_t word : {REDRAFT_RESULT_MAGIC, REDRAFT_ABI_VERSION, 0u, plan.step_id,
                              static_cast<uint32_t>(works.size()), row_count, step_micros, 0u, 0u, 0u, 0u, 0u})
    out.put(word);
  for (size_t w = 0; w < works.size(); ++w) {
    const Work& work = works[w];
    const size_t record = out.word_count();
    const uint32_t accepted = work.draws() ? static_cast<uint32_t>(results[w].accepted_count) : 0;
    const uint32_t token_count = work.draws() ? accepted + 1 : 0;
    const DeviceTree& pending = work.slot->pending;
    const uint32_t verified = work.generates() ? work.step.row_count : 0;
    const uint32_t tree_count = work.record->has(REDRAFT_PLAN_TREE) ? verified : 0;
    for (const uint32_t word :
         {0u, work.record->slot, work.slot->computed_count, token_count, verified > 0 ? verified - 1 : 0, accepted,
          static_cast<uint32_t>(pending.count), tree_count, length_of(pending.parent, pending.count), 0u})
      out.put(word);
    for (uint32_t i = 0; i < token_count; ++i) out.put(static_cast<uint32_t>(results[w].token[i]));
    for (size_t i = 0; i < work.logprobs.size(); ++i) {
      if (i % work.slot->sampling.logprobs != 0) out.put(static_cast<uint32_t>(work.logprobs[i].token));
      out.put(work.logprobs[i].logprob);
    }
    for (int32_t i = 0; i < pending.count; ++i) out.put(pending.logprob[i]);
    for (int32_t i = 0; work.record->has(REDRAFT_PLAN_NEXT) && i < pending.count; ++i)
      out.put(static_cast<uint32_t>(pending.token[i])), out.put(static_cast<uint32_t>(pending.parent[i]));
    for (uint32_t i = 0; i < tree_count; ++i) {
      const int32_t* path = results[w].path;
      out.put(static_cast<uint32_t>(work.verified.token[i]));
      out.put(static_cast<uint32_t>(work.verified.parent[i]));
      out.put(work.verified.logprob[i]);
      out.put(std::count(path, path + accepted + 1, static_cast<int32_t>(i)) != 0 ? 1u : 0u);
    }
    out.set(record, static_cast<uint32_t>((out.word_count() - record) * 4));
  }
  out.set(2, static_cast<uint32_t>(out.word_count() * 4));
  return out.word_count() * 4;
}

}  // namespace redraft::cuda
