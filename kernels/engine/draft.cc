// The end of a step: the next draft trees, from the draft head and from lookups in each sequence's own past.
#include <algorithm>
#include <cmath>

#include "engine.h"

namespace redraft {

// Of the tokens that were verified after an accepted path, which ones were accepted.
void Engine::count_acceptance(const Work& work) {
  if (!work.generates()) return;
  const PackedTree& tree = work.verified;
  AcceptanceTable& all = work.slot->sampling.temperature > 0 ? sampled_acceptance_ : greedy_acceptance_;
  const int32_t* path = work.walk.path;
  const int32_t* path_end = path + work.walk.accepted_count + 1;
  for (int32_t r = 1; r < tree.count; ++r) {
    if (tree.kind[r] == kNoDraftKind || std::find(path, path_end, tree.parent[r]) == path_end) continue;
    const bool accepted = std::find(path, path_end, r) != path_end;
    work.slot->acceptance.count(tree.kind[r], accepted);
    // Forced tokens say nothing of other sequences.
    if (work.slot->sampling.bias.empty() && work.record->mask.empty()) all.count(tree.kind[r], accepted);
  }
}

size_t Engine::look_up(const Slot& slot, const int32_t* path, size_t path_count, DraftCandidate* out) {
  LookupProposal found[kLookupsMax];
  const size_t count = slot.lookup.propose(path, path_count, found, kLookupsMax);
  for (size_t i = 0; i < count; ++i) {
    const uint16_t kind = draft_kind({.match = found[0].match, .looked_up = i == 0});
    out[i] = {found[i].token, slot.acceptance.logprob(kind), kind};
  }
  return count;
}

// One place's candidates: what the head proposes and what the lookup found, on one scale. out: [head_count +
// kLookupsMax]; places that are not needed hold no candidate.
void Engine::mix(const Slot& slot, const int32_t* path, size_t path_count, const TokenLogprob* head, size_t head_count,
                 bool looks_up, DraftCandidate* out) {
  LookupProposal found[kLookupsMax];
  const size_t count = looks_up ? slot.lookup.propose(path, path_count, found, kLookupsMax) : 0;
  const int32_t match = count > 0 ? found[0].match : 0;
  const auto candidate = [&](int32_t token, bool proposed, float logprob) {
    const uint16_t kind = draft_kind({true, proposed, logprob, match, count > 0 && token == found[0].token});
    // NaN of a broken head stays NaN: no candidate.
    return DraftCandidate{token, std::isfinite(logprob) ? slot.acceptance.logprob(kind) : logprob, kind};
  };
  for (size_t i = 0; i < head_count; ++i) out[i] = candidate(head[i].token, true, head[i].logprob);
  for (size_t i = 0; i < kLookupsMax; ++i) {
    const bool is_new =
        i < count && std::none_of(head, head + head_count, [&](const auto& h) { return h.token == found[i].token; });
    out[head_count + i] = is_new ? candidate(found[i].token, false, 0.0f) : DraftCandidate{0, -INFINITY, 0};
  }
}

// The text repeats itself for so long that the head could only say the same, at a cost.
bool Engine::goes_round(const Slot& slot) {
  LookupProposal found;
  return slot.lookup.propose(slot.pending.token, 1, &found, 1) == 1 && found.match == LookupDraft::kMatchMax;
}

void Engine::draft(std::vector<Work>& works) {
  drafting_.clear();
  for (Work& work : works) {
    const DraftBudget& budget = work.record->budget;
    if (work.draws() && (budget.looks_up() || (head_ && budget.runs_head()))) drafting_.push_back(&work);
  }
  for (size_t i = 0; i < drafting_.size(); ++i) {
    const Slot& slot = *drafting_[i]->slot;
    DraftBudget budget = drafting_[i]->record->budget;
    if (!head_ || (budget.looks_up() && goes_round(slot))) budget.beam_width = 0;
    searches_[i].begin(slot.pending.token[0], budget);
  }
  if (head_) run_head();
  pool_.run(drafting_.size(), [&](size_t i) {
    const Slot& slot = *drafting_[i]->slot;
    searches_[i].deepen([&](const int32_t* path, size_t path_count, DraftCandidate* out) {
      return look_up(slot, path, path_count, out);
    });
    searches_[i].pack(&drafting_[i]->slot->pending);
  });
}

// The noise of the draw that follows path_count tokens from the pending one on.
DraftNoise Engine::noise_at(const Slot& slot, size_t path_count) {
  if (slot.sampling.greedy() || slot.sampling.top_k == 1) return {};
  return {slot.sampling.temperature, slot.sampling.seed, slot.computed_count + path_count};
}

// Grows the trees of all sequences level by level, so that a level is one pass of the draft head.
void Engine::run_head() {
  const size_t hidden_size = weights_.shape.hidden_size, sequence_count = drafting_.size();
  const size_t candidates_max = std::min(kDraftCandidatesMax, head_->info().draft_vocab_size);
  // First row of each sequence's frontier on the level before; on the first, its row of the hidden states.
  std::vector<size_t> first(sequence_count, 0);
  size_t k = 0, begun = 0;
  draft_hidden_.resize(sequence_count * hidden_size);
  for (size_t i = 0; i < sequence_count; ++i) {
    if (!searches_[i].growing()) continue;
    const Work& work = *drafting_[i];
    const size_t last =
        work.generates() ? static_cast<size_t>(work.walk.path[work.walk.accepted_count]) : work.row_count - 1;
    std::copy_n(decoder_->hidden(work.row_begin + last), hidden_size, &draft_hidden_[begun * hidden_size]);
    first[i] = begun++;
    k = std::max(k, std::min(searches_[i].candidates_wanted(), candidates_max));
  }
  if (begun == 0) return;
  timed(times_.head, [&] { draft_run_->begin(pool_, draft_hidden_.data(), hidden_size, begun); });
  const std::vector<size_t> hidden_row = first;
  std::vector<DraftRow> rows;
  std::vector<TokenLogprob> candidates;
  std::vector<DraftCandidate> own;
  for (;;) {
    rows.clear();
    for (size_t i = 0; i < sequence_count; ++i) {
      const size_t before = first[i];
      first[i] = rows.size();
      const DraftNoise noise = noise_at(*drafting_[i]->slot, searches_[i].level());
      for (const FrontierBeam& beam : searches_[i].frontier())
        rows.push_back(
            {static_cast<int32_t>(hidden_row[i]), beam.token, static_cast<int32_t>(before) + beam.previous, noise});
    }
    if (rows.empty()) break;
    candidates.resize(rows.size() * k);
    timed(times_.head, [&] { draft_run_->step(pool_, rows.data(), rows.size(), k, candidates.data()); });
    for (size_t i = 0; i < sequence_count; ++i) {
      const size_t beams = searches_[i].frontier().size();
      if (beams == 0) continue;
      // Each search sees as many candidates as it would alone: a draft does not depend on its company.
      const size_t wanted = std::min(searches_[i].candidates_wanted(), k), each = wanted + kLookupsMax;
      own.resize(beams * each);
      for (size_t beam = 0; beam < beams; ++beam) {
        int32_t path[REDRAFT_BEAM_LENGTH_MAX];
        const size_t path_count = searches_[i].path(beam, path);
        mix(*drafting_[i]->slot, path, path_count, &candidates[(first[i] + beam) * k], wanted,
            searches_[i].budget().looks_up(), &own[beam * each]);
      }
      searches_[i].expand(own.data(), each);
    }
  }
}

}  // namespace redraft
