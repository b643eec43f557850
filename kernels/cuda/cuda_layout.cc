// From a plan to the arrays of a step, and hidden states outside of any plan.
#include <algorithm>

#include "../common/error.h"
#include "cuda_engine.h"

namespace redraft::cuda {

void CudaEngine::reset_slot(const PlanRecord& record, Slot& slot) {
  slot = Slot();
  slot.active = true;
  slot.computed_count = record.computed_count;
  slot.sampling = record.sampling;
  slot.prompt_count = record.prompt_count;
  slot.acceptance = AcceptanceTable(slot.sampling.temperature > 0 ? &sampled_acceptance_ : &greedy_acceptance_);
  const SamplingParams& s = slot.sampling;
  const DeviceSampling sampling{s.temperature,
                                s.top_p,
                                s.min_p,
                                s.repetition_penalty,
                                s.presence_penalty,
                                s.frequency_penalty,
                                s.top_k,
                                static_cast<uint32_t>(s.bias.size()),
                                s.seed};
  std::vector<uint32_t> tokens;
  std::vector<float> values;
  for (const TokenLogprob& bias : s.bias) {
    tokens.push_back(static_cast<uint32_t>(bias.token));
    values.push_back(bias.logprob);
  }
  device_.copy_in(buffers_->sampling.pointer() + record.slot * sizeof sampling, &sampling, sizeof sampling);
  device_.copy_in(buffers_->bias_tokens.pointer() + record.slot * kSampleBiasMax * 4, tokens.data(), tokens.size() * 4);
  device_.copy_in(buffers_->bias_values.pointer() + record.slot * kSampleBiasMax * 4, values.data(), values.size() * 4);
  device_.wait();  // Before what was copied from goes.
}

// Penalties count the context; from then on the walk counts on the device.
void CudaEngine::count_context(const PlanRecord& record, Slot& slot) {
  if (!slot.sampling.uses_counts()) return;
  const bool reset = record.has(REDRAFT_PLAN_RESET);
  slot.counts.resize(target_->shape.vocab_size);
  uint32_t position = reset ? 0 : slot.computed_count;
  for (const auto* tokens : {&record.history, &record.tokens})
    for (const uint32_t token : *tokens) {
      if (position++ < slot.prompt_count) slot.counts[token] |= kInPrompt;
      else ++slot.counts[token];
    }
  device_.copy_in(buffers_->token_counts.pointer() + record.slot * slot.counts.size() * 4, slot.counts.data(),
                  slot.counts.size() * 4);
}

void CudaEngine::add_tiles(StepBatch* batch, uint32_t sequence, uint32_t row_count, uint32_t keys) const {
  const uint32_t group =
      static_cast<uint32_t>(layout_.kv_head_count ? target_->shape.head_count / layout_.kv_head_count : 1);
  const uint32_t rows = std::max(1u, kQueriesMax / group);
  for (uint32_t begin = 0; begin < row_count; begin += rows) {
    const uint32_t count = std::min(rows, row_count - begin);
    batch->tiles.push_back({sequence, begin, count});
    batch->queries_max = std::max(batch->queries_max, count * group);
  }
  batch->keys_max = std::max(batch->keys_max, keys);
}

// Packed tokens share masks; a mask that none has stays behind.
void CudaEngine::add_masks(const PlanRecord& record, StepBatch* batch, StepSequence* step) const {
  if (!record.has(REDRAFT_PLAN_MASK)) return;
  step->mask_index = static_cast<uint32_t>(batch->mask_begin.size());
  const std::vector<uint32_t> first = {0}, &mask_of = record.mask_of.empty() ? first : record.mask_of;
  const size_t words = (target_->shape.vocab_size + 31) / 32;
  std::vector<uint32_t> begin(1 + *std::max_element(mask_of.begin(), mask_of.end()), kNoMask);
  for (const uint32_t mask : mask_of) {
    if (begin[mask] == kNoMask) {
      begin[mask] = static_cast<uint32_t>(batch->masks.size());
      const auto from = record.mask.begin() + static_cast<ptrdiff_t>(mask * words);
      batch->masks.insert(batch->masks.end(), from, from + static_cast<ptrdiff_t>(words));
    }
    batch->mask_begin.push_back(begin[mask]);
  }
}

std::vector<CudaEngine::Work> CudaEngine::lay_out(const Plan& plan, StepBatch* batch) {
  std::vector<Work> works(plan.records.size());
  uint32_t scratch_page = static_cast<uint32_t>(config_.pages_max);
  for (size_t i = 0; i < works.size(); ++i) {
    Work& work = works[i];
    const PlanRecord& record = plan.records[i];
    work.record = &record;
    Slot& slot = *(work.slot = &slots_[record.slot]);
    const bool reset = record.has(REDRAFT_PLAN_RESET);
    if (reset) reset_slot(record, slot);
    if (record.has(REDRAFT_PLAN_DRAFT)) adopt(record, slot);
    slot.pages.resize(std::max(slot.pages.size(), record.page_start + record.pages.size()));
    std::copy(record.pages.begin(), record.pages.end(), slot.pages.begin() + record.page_start);
    StepSequence& step = work.step;
    step.slot = record.slot;
    step.row_begin = batch->row_count;
    step.row_count = work.generates() ? verify_count(record, slot) : static_cast<uint32_t>(record.tokens.size());
    step.page_table = static_cast<uint32_t>(batch->pages.size());
    step.generates = work.generates() ? 1 : 0;
    step.sample_begin = batch->sample_count;
    step.sample_count = !work.draws() ? 0 : work.generates() ? step.row_count : 1;
    step.reset = reset ? 1 : 0, step.reset_computed = slot.computed_count;
    step.draft = kNoDraft;
    add_masks(record, batch, &step);
    batch->commits.push_back({step.page_table, slot.computed_count, scratch_page, step.generates});
    start_lookups(record, slot);
    if (slot.host_tree) {  // The slot's mirror stays as it is until this step is waited for.
      const size_t at = record.slot * sizeof(DeviceSlot) + offsetof(DeviceSlot, pending);
      device_.copy_in(reinterpret_cast<CuPointer>(buffers_->slots()) + at, &slot.pending, sizeof slot.pending);
    }
    if (work.generates()) {
      step.tree_page = scratch_page;
      scratch_page += ceil_div(step.row_count, kPageTokens);
      batch->tokens.resize(batch->tokens.size() + step.row_count);  // Written by the layout.
    } else {
      count_context(record, slot);
      batch->tokens.insert(batch->tokens.end(), record.tokens.begin(), record.tokens.end());
    }
    const DraftBudget& budget = record.budget;
    if (head_ && work.draws() && budget.runs_head()) {
      step.draft = static_cast<uint32_t>(batch->beams.size());
      batch->beams.push_back({record.slot, static_cast<uint32_t>(budget.beam_width),
                              static_cast<uint32_t>(budget.beam_length), static_cast<uint32_t>(budget.packed_max)});
      const SamplingParams& s = slot.sampling;
      batch->noise.push_back({record.slot, s.greedy() || s.top_k == 1 ? 0 : s.temperature, s.seed});
    }
    batch->pages.insert(batch->pages.end(), slot.pages.begin(), slot.pages.end());
    batch->row_count += step.row_count, batch->sample_count += step.sample_count;
    add_tiles(batch, static_cast<uint32_t>(i), step.row_count, slot.computed_count + step.row_count);
    batch->steps.push_back(step);
  }
  return works;
}

void CudaEngine::hidden(const uint32_t* tokens, size_t token_count, float* hidden_out, float* logits_out,
                        size_t logits_start) {
  const LlamaShape& shape = target_->shape;
  if (!tokens || token_count == 0 || token_count > config_.context_max || logits_start > token_count)
    throw Error(REDRAFT_BAD_ARGUMENT, "cannot compute hidden states of " + std::to_string(token_count) +
                                          " tokens from " + std::to_string(logits_start) + ": the context is " +
                                          std::to_string(config_.context_max));
  for (size_t i = 0; i < token_count; ++i)
    if (tokens[i] >= shape.vocab_size)
      throw Error(REDRAFT_BAD_ARGUMENT, "token " + std::to_string(tokens[i]) + " is not in the vocabulary");
  device_.enter();
  const uint32_t first_page = static_cast<uint32_t>(config_.pages_max + scratch_page_count());
  const uint32_t width = static_cast<uint32_t>(shape.hidden_size), vocab = static_cast<uint32_t>(shape.vocab_size);
  for (size_t begin = 0; begin < token_count; begin += config_.rows_max) {
    const uint32_t count = static_cast<uint32_t>(std::min(config_.rows_max, token_count - begin));
    StepBatch batch;
    for (size_t page = 0; page * kPageTokens < begin + count; ++page)
      batch.pages.push_back(first_page + static_cast<uint32_t>(page));
    batch.tokens.assign(tokens + begin, tokens + begin + count);
    batch.row_count = count;
    batch.steps.push_back({hidden_slot(), 0, count, 0, 0, 0, 0, 0, kNoDraft, 1, static_cast<uint32_t>(begin)});
    add_tiles(&batch, 0, count, static_cast<uint32_t>(begin) + count);
    buffers_->upload.send(device_, batch);
    forward(exact_shape(batch));
    StepBuffers& b = *buffers_;
    if (hidden_out) device_.copy_out(hidden_out + begin * width, b.normed.pointer(), size_t{count} * width * 4);
    const size_t first = logits_out ? std::max(begin, logits_start) : begin + count;
    if (first < begin + count) {
      const uint32_t rows = static_cast<uint32_t>(begin + count - first);
      const QuantiseParams quantise{
          b.normed.get() + (first - begin) * width, nullptr, b.hidden_rows.view(), rows, width, width};
      device_.launch("redraft_quantise", quantise_shape(quantise), quantise);
      multiply(target_->head(), b.hidden_rows.view(), b.logits.get(), rows, vocab);
      device_.copy_out(logits_out + (first - logits_start) * vocab, b.logits.pointer(), size_t{rows} * vocab * 4);
    }
    device_.wait();
  }
}

}  // namespace redraft::cuda
