// Trees of the host's, which the device gets with the next step. Drafts by lookup in a sequence's own past take no
// product: a looked-up tree takes the place of the one that the device packed where the draft head does not run, or the
// text repeats itself for so long that the head could only say the same. A tree that the plan brings takes any one's.
#include <algorithm>

#include "cuda_engine.h"

namespace redraft::cuda {

void CudaEngine::start_lookups(const PlanRecord& record, Slot& slot) {
  for (const auto* tokens : {&record.history, &record.tokens})
    for (const uint32_t token : *tokens) slot.lookup.append(static_cast<int32_t>(token));
}

// As the CPU engine's: what of the plan's tree a lookup had drafted keeps its kind.
void CudaEngine::adopt(const PlanRecord& record, Slot& slot) {
  const DeviceTree own = slot.pending;
  const std::array<uint16_t, kTreeMax> kind = slot.kind;
  DeviceTree& tree = slot.pending;
  tree.count = record.draft.count;
  int32_t own_of[kTreeMax] = {0};
  for (int32_t r = 0; r < tree.count; ++r) {
    tree.token[r] = record.draft.token[r], tree.parent[r] = record.draft.parent[r];
    if (r == 0) continue;
    own_of[r] = -1;
    for (int32_t other = 1; other < own.count && own_of[tree.parent[r]] >= 0; ++other)
      if (own.parent[other] == own_of[tree.parent[r]] && own.token[other] == tree.token[r]) own_of[r] = other;
    tree.logprob[r] = own_of[r] < 0 ? 0 : own.logprob[own_of[r]];
    slot.kind[r] = own_of[r] < 0 || !slot.host_tree ? kNoDraftKind : kind[own_of[r]];
  }
  slot.host_tree = true;
}

// As Engine's, of trees that lookups made.
void CudaEngine::count_acceptance(const Work& work, const WalkResult& result) {
  const DeviceTree& tree = work.verified;
  const int32_t* path_end = result.path + result.accepted_count + 1;
  const uint32_t count = work.step.row_count;
  AcceptanceTable& all = work.slot->sampling.temperature > 0 ? sampled_acceptance_ : greedy_acceptance_;
  for (uint32_t r = 1; r < count; ++r) {
    const uint16_t kind = work.slot->kind[r];
    if (kind == kNoDraftKind || std::find(result.path, path_end, tree.parent[r]) == path_end) continue;
    const bool accepted = std::find(result.path, path_end, static_cast<int32_t>(r)) != path_end;
    work.slot->acceptance.count(kind, accepted);
    if (work.slot->sampling.bias.empty() && work.record->mask.empty()) all.count(kind, accepted);
  }
}

void CudaEngine::look_up(std::vector<Work>& works, const std::vector<WalkResult>& results) {
  for (size_t w = 0; w < works.size(); ++w) {
    const Work& work = works[w];
    Slot& slot = *work.slot;
    if (slot.host_tree && work.generates()) count_acceptance(work, results[w]);
    slot.host_tree = false;
    if (!work.draws() || results[w].accepted_count < 0) continue;
    for (int32_t i = 0; i <= results[w].accepted_count; ++i) slot.lookup.append(results[w].token[i]);
    DraftBudget budget = work.record->budget;
    if (!budget.looks_up()) continue;
    LookupProposal longest;
    const bool found = slot.lookup.propose(slot.pending.token, 1, &longest, 1) == 1;
    const bool goes_round = found && longest.match == LookupDraft::kMatchMax;
    if (!found || (head_ && budget.runs_head() && !goes_round)) continue;
    budget.beam_width = 0;
    search_.begin(slot.pending.token[0], budget);
    search_.deepen([&](const int32_t* path, size_t path_count, DraftCandidate* out) {
      LookupProposal next[kLookupsMax];
      const size_t count = slot.lookup.propose(path, path_count, next, kLookupsMax);
      for (size_t i = 0; i < count; ++i) {
        const uint16_t kind = draft_kind({.match = next[0].match, .looked_up = i == 0});
        out[i] = {next[i].token, slot.acceptance.logprob(kind), kind};
      }
      return count;
    });
    PackedTree tree;
    search_.pack(&tree);
    slot.pending.count = tree.count;
    std::copy_n(tree.token, tree.count, slot.pending.token);
    std::copy_n(tree.parent, tree.count, slot.pending.parent);
    std::copy_n(tree.logprob, tree.count, slot.pending.logprob);
    std::copy_n(tree.kind, tree.count, slot.kind.begin());
    slot.host_tree = true;
  }
}

}  // namespace redraft::cuda
