// Grows the draft tree of one sequence, a level at a time, so that an engine can draft the levels of all its sequences
// together:
//   search.begin(root, budget);
//   while (search.growing()) { rows of search.frontier() -> draft head -> candidates; search.expand(candidates, k); }
//   search.pack(tree);
// Departs from the published search: it keeps every candidate seen, not only those under beams that survive, and
// packs the best of them by path log-probability. Beams share prefixes by construction, so nothing needs deduplication;
// prefix_tree.h is the published form.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../common/packed_tree.h"
#include "../common/token_logprob.h"

namespace redraft {

struct DraftBudget {
  int32_t beam_width = 0;   // At most REDRAFT_BEAM_WIDTH_MAX.
  int32_t beam_length = 0;  // Init token included; at most REDRAFT_BEAM_LENGTH_MAX.
  int32_t packed_max = 0;   // Root included; at most REDRAFT_TREE_TOKENS_MAX.
  bool drafts() const { return beam_width > 0 && beam_length > 1 && packed_max > 1; }
};

struct FrontierBeam {
  int32_t token;     // Its last token.
  int32_t previous;  // Index in the frontier before this one of the beam it extends; 0 at the root.
};

class BeamSearch {
 public:
  // Out-of-range budgets are a bug of the caller's caller: asserted.
  void begin(int32_t root_token, const DraftBudget& budget);
  bool growing() const { return !frontier_.empty(); }
  const std::vector<FrontierBeam>& frontier() const { return frontier_; }  // At most beam_width.
  // How many candidates a frontier beam can use.
  size_t candidates_wanted() const { return static_cast<size_t>(budget_.beam_width); }

  // candidates: [frontier().size(), k], tokens of a row all different, log-probabilities conditional on the beam.
  // Makes the next frontier: the best beam_width of them by path log-probability (among equals the lower token, then
  // the earlier beam); beams that can no longer reach the packed tree are dropped, so it may be shorter, or empty.
  void expand(const TokenLogprob* candidates, size_t k);

  // The root and the best candidates, packed_max at most.
  void pack(PackedTree* tree) const;

 private:
  struct Node {
    int32_t token;
    int32_t parent;  // Index in nodes_, -1 at the root.
    float logprob;   // Of the path.
  };
  bool ranks_before(int32_t a, int32_t b) const;
  void choose_frontier(size_t level_begin);

  DraftBudget budget_;
  int32_t level_ = 0;        // Tokens on a frontier beam, init token included.
  std::vector<Node> nodes_;  // Every candidate seen, parents before children.
  std::vector<FrontierBeam> frontier_;
  std::vector<int32_t> frontier_node_;  // [frontier_.size()], index in nodes_.
  std::vector<int32_t> order_;          // Scratch.
};

}  // namespace redraft
