// One step: verify the pending trees, validate, commit, draft, pack. Context chunks join as rows of the same pass.
#include <algorithm>

#include "../common/error.h"
#include "../tree_attention/tree_mask.h"
#include "engine.h"

namespace redraft {
namespace {

[[noreturn]] void refuse(const PlanRecord& record, const std::string& reason) {
  throw Error(REDRAFT_BAD_PLAN, "bad plan: slot " + std::to_string(record.slot) + ": " + reason);
}

// The tree that a plan brings; what the engine had drafted of it keeps its kind.
PackedTree adopt(const PackedTree& draft, const PackedTree& own) {
  PackedTree tree = draft;
  int32_t own_of[REDRAFT_TREE_TOKENS_MAX] = {0};
  tree.logprob[0] = 0;
  for (int32_t r = 1; r < tree.count; ++r) {
    own_of[r] = -1;
    for (int32_t other = 1; other < own.count && own_of[tree.parent[r]] >= 0; ++other)
      if (own.parent[other] == own_of[tree.parent[r]] && own.token[other] == tree.token[r]) own_of[r] = other;
    tree.kind[r] = own_of[r] < 0 ? kNoDraftKind : own.kind[own_of[r]];
    tree.logprob[r] = own_of[r] < 0 ? 0 : own.logprob[own_of[r]];
  }
  return tree;
}

// The longest path of a tree, without its root.
uint32_t draft_length(const PackedTree& tree) {
  if (tree.count == 0) return 0;
  int32_t depth[REDRAFT_TREE_TOKENS_MAX];
  tree_depths(tree.parent, depth, tree.count);
  return static_cast<uint32_t>(*std::max_element(depth, depth + tree.count));
}

}  // namespace

size_t Engine::step(const uint8_t* bytes, size_t byte_count, uint8_t* result, size_t result_bytes_max) {
  const auto start = StepClock::now();
  const PlanLimits limits{static_cast<uint32_t>(config_.slots_max), static_cast<uint32_t>(config_.pages_max),
                          static_cast<uint32_t>(config_.rows_max), static_cast<uint32_t>(config_.context_max),
                          static_cast<uint32_t>(weights_.shape.vocab_size)};
  const Plan plan = parse_plan(bytes, byte_count, limits);
  check_state(plan);
  std::vector<Work> works = lay_out(plan);
  pool_.spread_out();
  times_ = StepTimes();
  timed(times_.target, [&] { decoder_->forward(rows_, sequences_); });
  validate(works);
  commit(works);
  timed(times_.draft, [&] {
    for (const Work& work : works) count_acceptance(work);
    draft(works);
  });
  times_.step = StepClock::now() - start;
  return write_result(plan, works, result, result_bytes_max);
}

uint32_t Engine::verify_count(const PlanRecord& record, const Slot& slot) const {
  if (record.has(REDRAFT_PLAN_DRAFT)) return static_cast<uint32_t>(record.draft.count);
  const uint32_t pending = static_cast<uint32_t>(slot.pending.count);
  return record.verify_max == 0 ? pending : std::min(record.verify_max, pending);
}

// All that could go wrong is found here, before anything is changed.
void Engine::check_state(const Plan& plan) const {
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
      PackedTree verified = record.has(REDRAFT_PLAN_DRAFT) ? record.draft : slot.pending;
      verified.count = static_cast<int32_t>(rows);
      if (verified.token[0] != slot.pending.token[0]) refuse(record, "its draft begins with another token");
      reach = record.computed_count + 1 + draft_length(verified);
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

std::vector<Engine::Work> Engine::lay_out(const Plan& plan) {
  std::vector<Work> works(plan.records.size());
  rows_.clear();
  sequences_.clear();
  size_t scratch_page = config_.pages_max;
  for (size_t i = 0; i < works.size(); ++i) {
    Work& work = works[i];
    const PlanRecord& record = plan.records[i];
    work.record = &record;
    Slot& slot = *(work.slot = &slots_[record.slot]);
    if (record.has(REDRAFT_PLAN_RESET)) {
      slot = Slot();
      slot.active = true;
      slot.computed_count = record.computed_count;
      slot.sampling = record.sampling;
      slot.prompt_count = record.prompt_count;
      slot.acceptance = AcceptanceTable(slot.sampling.temperature > 0 ? &sampled_acceptance_ : &greedy_acceptance_);
      for (const uint32_t token : record.history) slot.lookup.append(static_cast<int32_t>(token));
    }
    slot.pages.resize(std::max(slot.pages.size(), record.page_start + record.pages.size()));
    std::copy(record.pages.begin(), record.pages.end(), slot.pages.begin() + record.page_start);
    work.row_begin = rows_.size();
    if (work.generates()) lay_out_tree(work, &scratch_page);
    else lay_out_context(work);
    work.row_count = rows_.size() - work.row_begin;
  }
  // Only now, when no work moves any more, may the sequences point into them.
  for (Work& work : works)
    sequences_.push_back({work.slot->pages.data(), work.slot->computed_count + (work.generates() ? 1 : 0),
                          work.row_begin, work.row_count, work.generates() ? work.masks.data() : nullptr,
                          work.tree_page});
  return works;
}

void Engine::lay_out_context(Work& work) {
  Slot& slot = *work.slot;
  if (slot.sampling.uses_counts()) {
    uint32_t position = work.record->has(REDRAFT_PLAN_RESET) ? 0 : slot.computed_count;
    for (const auto* tokens : {&work.record->history, &work.record->tokens})
      for (const uint32_t token : *tokens) {
        if (position++ < slot.prompt_count) slot.counts.add_prompt(static_cast<int32_t>(token));
        else slot.counts.add_generated(static_cast<int32_t>(token));
      }
  }
  for (const uint32_t token : work.record->tokens) slot.lookup.append(static_cast<int32_t>(token));
  for (size_t i = 0; i < work.record->tokens.size(); ++i) {
    const uint32_t position = slot.computed_count + static_cast<uint32_t>(i);
    rows_.push_back({work.record->tokens[i], position, slot.pages[position / kPageTokens],
                     static_cast<uint32_t>(position % kPageTokens)});
  }
  work.verified.count = 1;
  work.verified.token[0] = static_cast<int32_t>(work.record->tokens.back());
  work.verified.parent[0] = -1;
  work.verified.logprob[0] = 0;
}

// The root is accepted whatever comes: its key and value go to where they stay, and to the others it is one more
// position before the tree.
void Engine::lay_out_tree(Work& work, size_t* scratch_page) {
  const Slot& slot = *work.slot;
  work.verified = work.record->has(REDRAFT_PLAN_DRAFT) ? adopt(work.record->draft, slot.pending) : slot.pending;
  work.verified.count = static_cast<int32_t>(verify_count(*work.record, slot));
  const size_t count = static_cast<size_t>(work.verified.count);
  int32_t depth[REDRAFT_TREE_TOKENS_MAX];
  tree_depths(work.verified.parent, depth, work.verified.count);
  work.masks.resize(count);
  tree_mask_cpu(work.verified.parent, work.masks.data(), work.verified.count);
  for (uint64_t& mask : work.masks) mask &= ~uint64_t{1};
  work.tree_page = *scratch_page;
  *scratch_page += (count + kPageTokens - 1) / kPageTokens;
  rows_.push_back({static_cast<uint32_t>(work.verified.token[0]), slot.computed_count,
                   slot.pages[slot.computed_count / kPageTokens],
                   static_cast<uint32_t>(slot.computed_count % kPageTokens)});
  for (size_t i = 1; i < count; ++i)
    rows_.push_back({static_cast<uint32_t>(work.verified.token[i]),
                     slot.computed_count + static_cast<uint32_t>(depth[i]),
                     static_cast<uint32_t>(work.tree_page + i / kPageTokens), static_cast<uint32_t>(i % kPageTokens)});
}

// Logits of all rows at once could take more memory than the model: they are made and walked in groups.
void Engine::validate(std::vector<Work>& works) {
  std::vector<Work*> group;
  std::vector<size_t> rows;
  for (Work& work : works) {
    if (!work.draws()) continue;
    const size_t count = static_cast<size_t>(work.verified.count);
    if (rows.size() + count > Decoder::kLogitsRowsMax) validate_group(group, rows), group.clear(), rows.clear();
    group.push_back(&work);
    for (size_t i = 0; i < count; ++i) rows.push_back(work.row_begin + work.row_count - count + i);
  }
  validate_group(group, rows);
}

void Engine::validate_group(std::vector<Work*>& group, const std::vector<size_t>& rows) {
  if (group.empty()) return;
  timed(times_.logits, [&] { decoder_->logits(rows, logits_.data()); });
  timed(times_.sample, [&] { walk_group(group); });
}

// Draws at each packed token of the group's trees and walks down them. Their logits lie one after the other.
void Engine::walk_group(const std::vector<Work*>& group) {
  const size_t vocab_size = weights_.shape.vocab_size;
  std::vector<size_t> first(group.size(), 0);
  for (size_t i = 1; i < group.size(); ++i) first[i] = first[i - 1] + static_cast<size_t>(group[i - 1]->verified.count);
  pool_.run(group.size(), [&](size_t i) {
    thread_local Sampler sampler;
    Work& work = *group[i];
    const uint64_t position = work.slot->computed_count + (work.generates() ? 1 : work.record->tokens.size());
    const PlanRecord& record = *work.record;
    const uint32_t* masks[REDRAFT_TREE_TOKENS_MAX] = {record.mask.data()};
    const size_t mask_size = (vocab_size + 31) / 32;
    for (size_t r = 0; r < record.mask_of.size(); ++r) masks[r] = &record.mask[record.mask_of[r] * mask_size];
    tree_walk(sampler, work.verified, work.verified.count, &logits_[first[i] * vocab_size], vocab_size, vocab_size,
              work.slot->sampling, position, work.slot->counts, &work.walk, record.mask.empty() ? nullptr : masks);
  });
}

void Engine::commit(std::vector<Work>& works) {
  pool_.run(works.size(), [&](size_t w) {
    Work& work = works[w];
    Slot& slot = *work.slot;
    if (work.generates()) {
      for (int32_t i = 1; i <= work.walk.accepted_count; ++i) {
        const size_t packed = static_cast<size_t>(work.walk.path[i]),
                     position = slot.computed_count + static_cast<size_t>(i);
        cache_->copy_row(work.tree_page + packed / kPageTokens, packed % kPageTokens,
                         slot.pages[position / kPageTokens], position % kPageTokens);
      }
      slot.computed_count += static_cast<uint32_t>(work.walk.accepted_count) + 1;
    } else {
      slot.computed_count += static_cast<uint32_t>(work.record->tokens.size());
    }
    if (work.draws()) {
      for (int32_t i = 0; i <= work.walk.accepted_count; ++i) slot.lookup.append(work.walk.token[i]);
      slot.pending.count = 1;
      slot.pending.token[0] = work.walk.token[work.walk.accepted_count];
      slot.pending.parent[0] = -1;
      slot.pending.logprob[0] = 0;
    }
  });
}

size_t Engine::write_result(const Plan& plan, const std::vector<Work>& works, uint8_t* result,
                            size_t result_bytes_max) const {
  ResultWriter out(result, result_bytes_max);
  const uint32_t header[] = {REDRAFT_RESULT_MAGIC,
                             REDRAFT_ABI_VERSION,
                             0,
                             plan.step_id,
                             static_cast<uint32_t>(works.size()),
                             static_cast<uint32_t>(rows_.size()),
                             micros_of(times_.step),
                             micros_of(times_.target),
                             micros_of(times_.logits),
                             micros_of(times_.sample),
                             micros_of(times_.draft),
                             micros_of(times_.head)};
  for (const uint32_t word : header) out.put(word);
  for (const Work& work : works) {
    const size_t record = out.word_count();
    const uint32_t accepted = static_cast<uint32_t>(work.draws() ? work.walk.accepted_count : 0);
    const uint32_t token_count = work.draws() ? accepted + 1 : 0;
    const PackedTree& pending = work.slot->pending;
    const bool tree = work.record->has(REDRAFT_PLAN_TREE) && work.generates();
    const uint32_t tree_count = tree ? static_cast<uint32_t>(work.verified.count) : 0;
    for (const uint32_t word : {0u, work.record->slot, work.slot->computed_count, token_count,
                                static_cast<uint32_t>(work.generates() ? work.verified.count - 1 : 0), accepted,
                                static_cast<uint32_t>(pending.count), tree_count, draft_length(pending), 0u})
      out.put(word);
    for (uint32_t i = 0; i < token_count; ++i) out.put(static_cast<uint32_t>(work.walk.token[i]));
    const uint32_t logprobs = work.slot->sampling.logprobs;
    for (uint32_t i = 0; i < token_count * logprobs; ++i) {
      const TokenLogprob& item = work.walk.logprobs[i];
      if (i % logprobs != 0) out.put(static_cast<uint32_t>(item.token));
      out.put(item.logprob);
    }
    for (int32_t i = 0; i < pending.count; ++i) out.put(pending.logprob[i]);
    for (int32_t i = 0; work.record->has(REDRAFT_PLAN_NEXT) && i < pending.count; ++i)
      out.put(static_cast<uint32_t>(pending.token[i])), out.put(static_cast<uint32_t>(pending.parent[i]));
    for (uint32_t i = 0; i < tree_count; ++i) {
      const bool on_path = std::count(work.walk.path, work.walk.path + accepted + 1, static_cast<int32_t>(i)) != 0;
      out.put(static_cast<uint32_t>(work.verified.token[i]));
      out.put(static_cast<uint32_t>(work.verified.parent[i]));
      out.put(work.verified.logprob[i]);
      out.put(on_path ? 1u : 0u);
    }
    out.set(record, static_cast<uint32_t>((out.word_count() - record) * 4));
  }
  out.set(2, static_cast<uint32_t>(out.word_count() * 4));
  return out.word_count() * 4;
}

}  // namespace redraft
