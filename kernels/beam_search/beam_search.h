// Grows the draft tree of one sequence, a level at a time, so that an engine can draft the levels of all its sequences
// together:
//   search.begin(root, budget);
//   while (search.growing()) { rows of search.frontier() -> draft head -> candidates; search.expand(candidates, k); }
//   search.deepen(lookup);
//   search.pack(tree);
// Departs from the published search: it keeps every candidate seen, not only those under beams that survive, and
// packs the best of them by path log-probability. Beams share prefixes by construction, so nothing needs deduplication;
// prefix_tree.h is the published form. Where the head's levels end, paths go on by lookup alone.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "../common/packed_tree.h"

namespace redraft {

struct DraftBudget {
  int32_t beam_width = 0;   // At most REDRAFT_BEAM_WIDTH_MAX.
  int32_t beam_length = 0;  // Init token included; at most REDRAFT_BEAM_LENGTH_MAX.
  int32_t packed_max = 0;   // Root included; at most REDRAFT_TREE_TOKENS_MAX.
  int32_t path_max = 0;     // Of any path, by lookup too, init token included; at most REDRAFT_BEAM_LENGTH_MAX.
  float chance_min = 0;     // Paths less likely than this are not followed: they would never be verified.
  bool runs_head() const { return beam_width > 0 && beam_length > 1 && packed_max > 1; }
  bool looks_up() const { return path_max > 1 && packed_max > 1; }
};

struct DraftCandidate {
  int32_t token;
  float logprob;  // That it is accepted once its path is; one that is not finite stands for no candidate.
  uint16_t kind;  // See acceptance.h.
};

// Candidates that one lookup can bring.
inline constexpr size_t kLookupsMax = 2;
// What may follow a path, without the head. path: [path_count], path[0] the root. out: [kLookupsMax]. Returns how many.
using LookupNext = std::function<size_t(const int32_t* path, size_t path_count, DraftCandidate* out)>;

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
  // Tokens on a frontier beam, the root included.
  size_t level() const { return static_cast<size_t>(level_); }
  // How many candidates a frontier beam can use.
  size_t candidates_wanted() const { return static_cast<size_t>(budget_.beam_width); }
  const DraftBudget& budget() const { return budget_; }

  // Tokens of a frontier beam, root first, into out: [REDRAFT_BEAM_LENGTH_MAX]. Returns how many.
  size_t path(size_t beam, int32_t* out) const { return path_to(frontier_node_[beam], out); }

  // candidates: [frontier().size(), k], tokens of a row all different, log-probabilities conditional on the beam.
  // Makes the next frontier: the best beam_width of them by path log-probability (among equals the lower token, then
  // the earlier beam); beams that can no longer reach the packed tree are dropped, so it may be shorter, or empty.
  void expand(const DraftCandidate* candidates, size_t k);

  // Lets the best paths go on by lookup, up to path_max tokens each, while that can bring something into the tree.
  void deepen(const LookupNext& next);

  // The root and the best candidates, packed_max at most.
  void pack(PackedTree* tree) const;

 private:
  struct Node {
    int32_t token;
    int32_t parent;  // Index in nodes_, -1 at the root.
    float logprob;   // Of the path.
    uint16_t kind;
    bool expanded;  // Its candidates are among nodes_.
  };
  bool ranks_before(int32_t a, int32_t b) const;
  void add(int32_t parent, const DraftCandidate& candidate);
  void choose_frontier(size_t level_begin);
  size_t path_to(int32_t node, int32_t* out) const;
  float packed_worst();

  DraftBudget budget_;
  float followed_min_ = 0;   // log(chance_min)
  int32_t level_ = 0;        // Tokens on a frontier beam, init token included.
  std::vector<Node> nodes_;  // Every candidate seen, parents before children.
  std::vector<FrontierBeam> frontier_;
  std::vector<int32_t> frontier_node_;  // [frontier_.size()], index in nodes_.
  std::vector<int32_t> order_;          // Scratch.
};

}  // namespace redraft
