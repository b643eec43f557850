#include "lookup_draft.h"

#include <algorithm>
#include <vector>

#include "../common/test.h"
#include "../common/test_random.h"

namespace redraft {
namespace {

using Tokens = std::vector<int32_t>;

LookupDraft appended(const Tokens& tokens) {
  LookupDraft lookup;
  for (const int32_t token : tokens) lookup.append(token);
  return lookup;
}

std::vector<LookupProposal> proposals(const LookupDraft& lookup, const Tokens& path, size_t out_max) {
  std::vector<LookupProposal> out(out_max);
  out.resize(lookup.propose(path.data(), path.size(), out.data(), out_max));
  return out;
}

// The plain form: every place of the past, newest first, with its whole match.
std::vector<LookupProposal> reference(const Tokens& past, const Tokens& path, size_t out_max) {
  Tokens text = past;
  text.insert(text.end(), path.begin() + 1, path.end());
  std::vector<LookupProposal> all;
  int32_t tried = 0;
  for (size_t place = past.size() - 1; place-- > 0;) {
    if (past[place] != text.back()) continue;
    if (tried++ == LookupDraft::kOccurrencesMax) break;
    int32_t match = 0;
    while (match < LookupDraft::kMatchMax && static_cast<size_t>(match) <= place &&
           past[place - match] == text[text.size() - 1 - match])
      ++match;
    const auto same = std::find_if(all.begin(), all.end(), [&](auto& p) { return p.token == past[place + 1]; });
    if (same != all.end() && same->match >= match) continue;
    if (same != all.end()) all.erase(same);
    all.push_back({past[place + 1], match});
  }
  std::stable_sort(all.begin(), all.end(), [](auto& a, auto& b) { return a.match > b.match; });
  all.resize(std::min(all.size(), out_max));
  return all;
}

TEST(LookupDraft, GoesOnAsItWentOnBefore) {
  const LookupDraft lookup = appended({1, 2, 3, 4, 9, 2, 3});
  const auto found = proposals(lookup, {3}, 2);
  EXPECT_EQ(found.size(), size_t{1});
  EXPECT_EQ(found[0].token, 4);
  EXPECT_EQ(found[0].match, 2);
  EXPECT_EQ(proposals(lookup, {3, 4}, 2)[0].token, 9);
  EXPECT_EQ(proposals(lookup, {3, 4}, 2)[0].match, 3);
  EXPECT_EQ(proposals(lookup, {3, 4, 9}, 1)[0].token, 2);
}

TEST(LookupDraft, TheLongerMatchComesFirst) {
  const LookupDraft lookup = appended({7, 1, 2, 50, 8, 2, 60, 7, 1, 2});
  const auto found = proposals(lookup, {2}, 2);
  EXPECT_EQ(found.size(), size_t{2});
  EXPECT_EQ(found[0].token, 50);
  EXPECT_EQ(found[0].match, 3);
  EXPECT_EQ(found[1].token, 60);
  EXPECT_EQ(found[1].match, 1);
}

TEST(LookupDraft, KnowsNothingOfWhatIsNew) {
  EXPECT_EQ(proposals(appended({5}), {5}, 2).size(), size_t{0});
  EXPECT_EQ(proposals(appended({1, 2, 5}), {5}, 2).size(), size_t{0});
  EXPECT_EQ(proposals(appended({1, 2, 5}), {5, 77}, 2).size(), size_t{0});
}

TEST(LookupDraft, EqualsThePlainForm) {
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    const auto pick = [&](uint64_t at, int bound) { return static_cast<int32_t>(philox_uniform(seed, at) * bound); };
    const int vocab = 2 + pick(0, 6);
    Tokens past(static_cast<size_t>(1 + pick(1, 200)));
    for (size_t i = 0; i < past.size(); ++i) past[i] = pick(10 + i, vocab);
    Tokens path = {past.back()};
    for (int i = pick(2, 6); i > 0; --i) path.push_back(pick(1000 + static_cast<uint64_t>(i), vocab));
    const size_t out_max = 1 + seed % 3;
    const auto found = proposals(appended(past), path, out_max), wanted = reference(past, path, out_max);
    EXPECT_EQ(found.size(), wanted.size());
    for (size_t i = 0; i < std::min(found.size(), wanted.size()); ++i) {
      EXPECT_EQ(found[i].match, wanted[i].match);
      EXPECT_EQ(found[i].token, wanted[i].token);
    }
  }
}

}  // namespace
}  // namespace redraft
