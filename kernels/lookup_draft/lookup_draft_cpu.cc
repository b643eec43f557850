#include "lookup_draft.h"

#include <algorithm>

#include "../common/error.h"

namespace redraft {

void LookupDraft::append(int32_t token) {
  const auto [newest, is_new] = newest_.try_emplace(token, -1);
  before_.push_back(is_new ? -1 : newest->second);
  newest->second = static_cast<int32_t>(tokens_.size());
  tokens_.push_back(token);
}

// How many tokens up to and with the one at `place` are those at the path's end and, where the path is spent, those
// that were appended before it.
int32_t LookupDraft::match_at(int32_t place, const int32_t* path, size_t path_count) const {
  const int32_t limit = std::min(kMatchMax, place + 1);
  const size_t own = tokens_.size() - 1;  // path[0] is tokens_[own].
  int32_t match = 0;
  while (match < limit) {
    const size_t back = static_cast<size_t>(match);
    if (back >= path_count + own) break;
    const int32_t here = back < path_count ? path[path_count - 1 - back] : tokens_[own - 1 - (back - path_count)];
    if (tokens_[place - match] != here) break;
    ++match;
  }
  return match;
}

size_t LookupDraft::propose(const int32_t* path, size_t path_count, LookupProposal* out, size_t out_max) const {
  REDRAFT_ASSERT(path_count > 0 && !tokens_.empty() && path[0] == tokens_.back());
  const auto newest = newest_.find(path[path_count - 1]);
  if (newest == newest_.end()) return 0;
  size_t count = 0;
  int32_t place = newest->second;
  for (int32_t tried = 0; place >= 0 && tried < kOccurrencesMax; place = before_[place]) {
    if (static_cast<size_t>(place) + 1 == tokens_.size()) continue;  // Nothing has followed yet.
    ++tried;
    const LookupProposal found{tokens_[place + 1], match_at(place, path, path_count)};
    const auto same = std::find_if(out, out + count, [&](const auto& p) { return p.token == found.token; });
    size_t at = static_cast<size_t>(same - out);
    if (at == count) {
      if (count < out_max) ++count;
      else if (count == 0 || out[--at].match >= found.match) continue;
    } else if (same->match >= found.match) {
      continue;
    }
    while (at > 0 && out[at - 1].match < found.match) out[at] = out[at - 1], --at;
    out[at] = found;
    if (out[0].match == kMatchMax && (count == out_max || out_max == 1)) break;
  }
  return count;
}

}  // namespace redraft
