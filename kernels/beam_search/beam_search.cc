#include "beam_search.h"

#include <algorithm>
#include <cmath>

#include "../common/error.h"

namespace redraft {
namespace {

constexpr float kHopeless = -4.6f;  // A path of 1 in 100 is never worth a row: the lookup need not follow it.

}  // namespace

void BeamSearch::begin(int32_t root_token, const DraftBudget& budget) {
  REDRAFT_ASSERT(budget.beam_width >= 0 && budget.beam_width <= static_cast<int32_t>(REDRAFT_BEAM_WIDTH_MAX));
  REDRAFT_ASSERT(budget.beam_length >= 0 && budget.beam_length <= static_cast<int32_t>(REDRAFT_BEAM_LENGTH_MAX));
  REDRAFT_ASSERT(budget.packed_max >= 0 && budget.packed_max <= static_cast<int32_t>(REDRAFT_TREE_TOKENS_MAX));
  REDRAFT_ASSERT(budget.path_max >= 0 && budget.path_max <= static_cast<int32_t>(REDRAFT_BEAM_LENGTH_MAX));
  budget_ = budget;
  followed_min_ = budget.chance_min > 0 ? std::log(budget.chance_min) : -INFINITY;
  level_ = 1;
  nodes_.assign(1, {root_token, -1, 0.0f, 0, false});
  frontier_.clear();
  frontier_node_.clear();
  if (!budget.runs_head()) return;
  frontier_.push_back({root_token, 0});
  frontier_node_.push_back(0);
}

bool BeamSearch::ranks_before(int32_t a, int32_t b) const {
  if (nodes_[a].logprob != nodes_[b].logprob) return nodes_[a].logprob > nodes_[b].logprob;
  if (nodes_[a].token != nodes_[b].token) return nodes_[a].token < nodes_[b].token;
  return a < b;
}

void BeamSearch::add(int32_t parent, const DraftCandidate& candidate) {
  // A head of infinite or NaN weights drafts nothing rather than something unordered.
  if (!std::isfinite(candidate.logprob)) return;
  // Rounding may lift a log-probability over 0; scores must fall along a path, or a prefix of the packed tree would not
  // be closed under parents.
  const float logprob = nodes_[parent].logprob + std::fmin(candidate.logprob, 0.0f);
  nodes_.push_back({candidate.token, parent, logprob, candidate.kind, false});
}

void BeamSearch::expand(const DraftCandidate* candidates, size_t k) {
  REDRAFT_ASSERT(growing());
  const size_t level_begin = nodes_.size();
  for (size_t beam = 0; beam < frontier_.size(); ++beam) {
    const int32_t parent = frontier_node_[beam];
    nodes_[parent].expanded = true;
    for (size_t i = 0; i < k; ++i) add(parent, candidates[beam * k + i]);
  }
  ++level_;
  choose_frontier(level_begin);
}

size_t BeamSearch::path_to(int32_t node, int32_t* out) const {
  size_t count = 0;
  for (int32_t at = node; at >= 0; at = nodes_[at].parent) out[count++] = nodes_[at].token;
  std::reverse(out, out + count);
  return count;
}

// The score of the worst token that the packed tree would hold now; anything at all while there is room. It only
// improves and a path's score only falls, so what is behind it will bring nothing into the tree.
float BeamSearch::packed_worst() {
  const size_t packed_max = static_cast<size_t>(budget_.packed_max);
  if (nodes_.size() <= packed_max) return -INFINITY;
  order_.resize(nodes_.size());
  for (size_t i = 0; i < order_.size(); ++i) order_[i] = static_cast<int32_t>(i);
  const auto last = order_.begin() + static_cast<ptrdiff_t>(packed_max) - 1;
  std::nth_element(order_.begin(), last, order_.end(),
                   [&](int32_t a, int32_t b) { return nodes_[a].logprob > nodes_[b].logprob; });
  return nodes_[*last].logprob;
}

void BeamSearch::deepen(const LookupNext& next) {
  if (!budget_.looks_up()) return;
  const auto rank = [&](int32_t a, int32_t b) { return ranks_before(b, a); };
  std::vector<int32_t> open;
  for (size_t i = 0; i < nodes_.size(); ++i)
    if (!nodes_[i].expanded) open.push_back(static_cast<int32_t>(i));
  std::make_heap(open.begin(), open.end(), rank);
  while (!open.empty()) {
    std::pop_heap(open.begin(), open.end(), rank);
    const int32_t node = open.back();
    open.pop_back();
    // The best of those left: where it brings nothing, none does.
    if (nodes_[node].logprob <= packed_worst() || nodes_[node].logprob < std::max(kHopeless, followed_min_)) break;
    int32_t path[REDRAFT_TREE_TOKENS_MAX];
    const size_t path_count = path_to(node, path);
    if (path_count >= static_cast<size_t>(budget_.path_max)) continue;
    DraftCandidate found[kLookupsMax];
    const size_t count = next(path, path_count, found);
    nodes_[node].expanded = true;
    for (size_t i = 0; i < count; ++i) {
      const size_t before = nodes_.size();
      add(node, found[i]);
      if (nodes_.size() == before) continue;
      open.push_back(static_cast<int32_t>(before));
      std::push_heap(open.begin(), open.end(), rank);
    }
  }
}

void BeamSearch::choose_frontier(size_t level_begin) {
  // Dropping the beams behind the packed tree saves the head's work and changes no tree.
  const float worst = std::max(packed_worst(), followed_min_);
  order_.clear();
  if (level_ < budget_.beam_length)
    for (size_t i = level_begin; i < nodes_.size(); ++i)
      if (nodes_[i].logprob >= worst) order_.push_back(static_cast<int32_t>(i));
  const size_t kept = std::min(order_.size(), static_cast<size_t>(budget_.beam_width));
  std::partial_sort(order_.begin(), order_.begin() + static_cast<ptrdiff_t>(kept), order_.end(),
                    [&](int32_t a, int32_t b) { return ranks_before(a, b); });

  const std::vector<int32_t> before = std::move(frontier_node_);
  frontier_.clear();
  frontier_node_.assign(order_.begin(), order_.begin() + static_cast<ptrdiff_t>(kept));
  for (const int32_t node : frontier_node_) {
    const auto previous = std::find(before.begin(), before.end(), nodes_[node].parent) - before.begin();
    frontier_.push_back({nodes_[node].token, static_cast<int32_t>(previous)});
  }
}

void BeamSearch::pack(PackedTree* tree) const {
  std::vector<int32_t> order(nodes_.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
  const size_t count = std::min(order.size(), static_cast<size_t>(std::max(budget_.packed_max, 1)));
  // Among equals the older comes first, so a parent precedes a child that costs nothing.
  const auto older_first = [&](int32_t a, int32_t b) {
    return nodes_[a].logprob != nodes_[b].logprob ? nodes_[a].logprob > nodes_[b].logprob : a < b;
  };
  std::partial_sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(count), order.end(), older_first);
  std::vector<int32_t> packed_index(nodes_.size(), -1);
  tree->count = static_cast<int32_t>(count);
  for (size_t r = 0; r < count; ++r) {
    const Node& node = nodes_[order[r]];
    packed_index[order[r]] = static_cast<int32_t>(r);
    tree->token[r] = node.token;
    tree->parent[r] = node.parent < 0 ? -1 : packed_index[node.parent];
    tree->logprob[r] = node.logprob;
    tree->kind[r] = node.kind;
    REDRAFT_ASSERT(r == 0 || tree->parent[r] >= 0);
  }
}

}  // namespace redraft
