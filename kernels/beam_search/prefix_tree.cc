#include "prefix_tree.h"

#include <algorithm>
#include <cmath>

#include "../common/error.h"

namespace redraft {

PrefixTree pack_beams(const int32_t* beams, size_t beam_count, size_t beam_length) {
  REDRAFT_ASSERT(beam_count >= 1 && beam_length >= 1);
  const auto token = [&](size_t beam, size_t place) { return beams[beam * beam_length + place]; };
  // owner: the first beam that shares a beam's tokens up to here. Compares all pairs, as published: with no hashing, a
  // GPU can do it without a loop over beams.
  std::vector<size_t> owner(beam_count * beam_length);
  for (size_t beam = 0; beam < beam_count; ++beam) {
    REDRAFT_ASSERT(token(beam, 0) == token(0, 0));
    for (size_t place = 0; place < beam_length; ++place) {
      size_t first = 0;
      for (; first < beam; ++first) {
        bool shared = true;
        for (size_t j = 0; j <= place; ++j) shared = shared && token(first, j) == token(beam, j);
        if (shared) break;
      }
      owner[beam * beam_length + place] = first;
    }
  }
  PrefixTree tree;
  tree.unpacker.resize(beam_count * beam_length);
  for (size_t beam = 0; beam < beam_count; ++beam)
    for (size_t place = 0; place < beam_length; ++place) {
      const size_t cell = beam * beam_length + place;
      if (owner[cell] != beam) {
        tree.unpacker[cell] = tree.unpacker[owner[cell] * beam_length + place];
        continue;
      }
      tree.unpacker[cell] = static_cast<int32_t>(tree.token.size());
      tree.token.push_back(token(beam, place));
      tree.offset.push_back(static_cast<int32_t>(place));
      tree.parent.push_back(place == 0 ? -1 : tree.unpacker[cell - 1]);
    }
  return tree;
}

std::vector<Beam> search_beams(int32_t root_token, size_t beam_width, size_t beam_length, const NextCandidates& next) {
  std::vector<Beam> beams = {{{root_token}, 0.0f}};
  for (size_t level = 1; level < beam_length; ++level) {
    std::vector<Beam> grown;
    for (const Beam& beam : beams)
      for (const TokenLogprob& candidate : next(beam.token)) {
        grown.push_back({beam.token, beam.logprob + std::fmin(candidate.logprob, 0.0f)});
        grown.back().token.push_back(candidate.token);
      }
    std::stable_sort(grown.begin(), grown.end(), [](const Beam& a, const Beam& b) {
      return a.logprob != b.logprob ? a.logprob > b.logprob : a.token.back() < b.token.back();
    });
    if (grown.size() > beam_width) grown.resize(beam_width);
    beams = std::move(grown);
  }
  return beams;
}

}  // namespace redraft
