// Drafts by lookup: where the newest tokens have stood before in the sequence's own past, what followed them there may
// follow again. Costs no product; strong where a text copies its prompt, keeps to a form or repeats itself.
// Prompt lookup (github.com/apoorvumang/prompt-lookup-decoding) and suffix decoding (arXiv 2411.04975) draft chains;
// here each packed token may ask, so that a lookup also goes on from what the draft head proposed.
#pragma once
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace redraft {

struct LookupProposal {
  int32_t token;
  int32_t match;  // Tokens before it that are equal there and here, 1 ... LookupDraft::kMatchMax.
};

class LookupDraft {
 public:
  static constexpr int32_t kMatchMax = 16;        // Longer matches are cut to this: they say no more.
  static constexpr int32_t kOccurrencesMax = 64;  // Places that one call compares, the newest first: bounds its time.

  void append(int32_t token);
  size_t size() const { return tokens_.size(); }

  // What may follow tokens appended so far + path. path: [path_count], path[0] being the newest token appended.
  // out: [out_max], tokens all different, falling by match, among equals the more recent place first. Returns how many.
  size_t propose(const int32_t* path, size_t path_count, LookupProposal* out, size_t out_max) const;

 private:
  int32_t match_at(int32_t place, const int32_t* path, size_t path_count) const;

  std::vector<int32_t> tokens_;
  std::vector<int32_t> before_;                  // [tokens_.size()]: the same token's last place before, -1 if none.
  std::unordered_map<int32_t, int32_t> newest_;  // A token's last place.
};

}  // namespace redraft
