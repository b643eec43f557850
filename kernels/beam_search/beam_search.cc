#include "beam_search.h"

#include <algorithm>
#include <cmath>

#include "../common/error.h"

namespace redraft {

void BeamSearch::begin(int32_t root_token, const DraftBudget& budget) {
  REDRAFT_ASSERT(budget.beam_width >= 0 && budget.beam_width <= static_cast<int32_t>(REDRAFT_BEAM_WIDTH_MAX));
  REDRAFT_ASSERT(budget.beam_length >= 0 && budget.beam_length <= static_cast<int32_t>(REDRAFT_BEAM_LENGTH_MAX));
  REDRAFT_ASSERT(budget.packed_max >= 0 && budget.packed_max <= static_cast<int32_t>(REDRAFT_TREE_TOKENS_MAX));
  budget_ = budget;
  level_ = 1;
  nodes_.assign(1, {root_token, -1, 0.0f});
  frontier_.clear();
  frontier_node_.clear();
  if (!budget.drafts()) return;
  frontier_.push_back({root_token, 0});
  frontier_node_.push_back(0);
}

bool BeamSearch::ranks_before(int32_t a, int32_t b) const {
  if (nodes_[a].logprob != nodes_[b].logprob) return nodes_[a].logprob > nodes_[b].logprob;
  if (nodes_[a].token != nodes_[b].token) return nodes_[a].token < nodes_[b].token;
  return a < b;
}

void BeamSearch::expand(const TokenLogprob* candidates, size_t k) {
  REDRAFT_ASSERT(growing());
  const size_t level_begin = nodes_.size();
  for (size_t beam = 0; beam < frontier_.size(); ++beam) {
    const int32_t parent = frontier_node_[beam];
    for (size_t i = 0; i < k; ++i) {
      const TokenLogprob& candidate = candidates[beam * k + i];
      // A head of infinite or NaN weights drafts nothing rather than something unordered.
      if (!std::isfinite(candidate.logprob)) continue;
      // Rounding may lift a log-probability over 0; scores must fall along a path, or a prefix of the packed tree
      // would not be closed under parents.
      nodes_.push_back({candidate.token, parent, nodes_[parent].logprob + std::fmin(candidate.logprob, 0.0f)});
    }
  }
  ++level_;
  choose_frontier(level_begin);
}

void BeamSearch::choose_frontier(size_t level_begin) {
  // A beam that is behind the worst token the packed tree would hold now will bring nothing into it: that worst only
  // improves, and a path's score only falls. Dropping it saves the draft head's work and changes no tree.
  float worst = -INFINITY;
  const size_t packed_max = static_cast<size_t>(budget_.packed_max);
  if (nodes_.size() > packed_max) {
    order_.resize(nodes_.size());
    for (size_t i = 0; i < order_.size(); ++i) order_[i] = static_cast<int32_t>(i);
    const auto last = order_.begin() + static_cast<ptrdiff_t>(packed_max) - 1;
    std::nth_element(order_.begin(), last, order_.end(),
                     [&](int32_t a, int32_t b) { return nodes_[a].logprob > nodes_[b].logprob; });
    worst = nodes_[*last].logprob;
  }
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
    REDRAFT_ASSERT(r == 0 || tree->parent[r] >= 0);
  }
}

}  // namespace redraft
