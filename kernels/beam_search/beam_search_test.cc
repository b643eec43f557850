#include "beam_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "../common/error.h"
#include "../common/test.h"
#include "../common/test_random.h"
#include "prefix_tree.h"

namespace redraft {
namespace {

using Path = std::vector<int32_t>;

// A toy draft head: candidates by the whole prefix. coarse: log-probabilities in steps of 1/2, for ties.
std::vector<TokenLogprob> toy_candidates(const Path& prefix, size_t k, uint64_t seed, bool coarse) {
  uint64_t hash = seed;
  for (const int32_t token : prefix) hash = hash * 1000003 + static_cast<uint64_t>(token) + 17;
  std::vector<TokenLogprob> all;
  for (int32_t token = 0; token < 12; ++token) {
    const double u = philox_uniform(hash, static_cast<uint64_t>(token)) * 5;
    all.push_back({token, -static_cast<float>(coarse ? std::floor(u * 2) / 2 : u)});
  }
  std::stable_sort(all.begin(), all.end(), [](auto& a, auto& b) { return a.logprob > b.logprob; });
  all.resize(k);
  return all;
}

PackedTree grow(const DraftBudget& budget, size_t k, uint64_t seed, bool coarse, size_t* row_count = nullptr) {
  BeamSearch search;
  search.begin(99, budget);
  std::vector<Path> before = {{}};
  while (search.growing()) {
    std::vector<DraftCandidate> candidates;
    std::vector<Path> paths;
    for (const FrontierBeam& beam : search.frontier()) {
      Path path = before[beam.previous];
      path.push_back(beam.token);
      for (const auto& [token, logprob] : toy_candidates(path, k, seed, coarse))
        candidates.push_back({token, logprob, 0});
      paths.push_back(path);
    }
    if (row_count) *row_count += paths.size();
    search.expand(candidates.data(), k);
    before = paths;
  }
  PackedTree tree;
  search.pack(&tree);
  return tree;
}

std::map<Path, float> paths_of(const PackedTree& tree) {
  std::vector<Path> paths;
  std::map<Path, float> by_path;
  for (int32_t r = 0; r < tree.count; ++r) {
    Path path = tree.parent[r] < 0 ? Path{} : paths[tree.parent[r]];
    path.push_back(tree.token[r]);
    paths.push_back(path);
    by_path[path] = tree.logprob[r];
  }
  return by_path;
}

TEST(BeamSearch, EveryPrefixOfAPackedTreeIsATree) {
  for (uint64_t seed = 0; seed < 100; ++seed)
    for (const bool coarse : {false, true}) {
      const PackedTree tree = grow({6, 5, 40}, 6, seed, coarse);
      EXPECT_EQ(tree.count, 40);
      EXPECT_EQ(tree.token[0], 99);
      EXPECT_EQ(tree.parent[0], -1);
      EXPECT_EQ(tree.logprob[0], 0.0f);
      for (int32_t r = 1; r < tree.count; ++r) {
        EXPECT_TRUE(tree.parent[r] >= 0 && tree.parent[r] < r);
        EXPECT_TRUE(tree.logprob[r] <= tree.logprob[r - 1]);
      }
      EXPECT_EQ(paths_of(tree).size(), size_t{40});  // No path twice.
    }
}

TEST(BeamSearch, ASmallerTreeIsAPrefixOfALargerOne) {
  for (uint64_t seed = 0; seed < 100; ++seed)
    for (const bool coarse : {false, true}) {
      size_t rows_large = 0, rows_small = 0;
      const PackedTree large = grow({5, 6, 64}, 5, seed, coarse, &rows_large);
      for (const int32_t packed_max : {2, 5, 13, 30}) {
        rows_small = 0;
        const PackedTree small = grow({5, 6, packed_max}, 5, seed, coarse, &rows_small);
        EXPECT_EQ(small.count, packed_max);
        EXPECT_TRUE(rows_small <= rows_large);
        for (int32_t r = 0; r < small.count; ++r) {
          EXPECT_EQ(small.logprob[r], large.logprob[r]);
          // Coarse scores tie, and which of the tied comes last is a matter of age, which pruning changes.
          if (!coarse) EXPECT_EQ(small.token[r], large.token[r]);
          if (!coarse) EXPECT_EQ(small.parent[r], large.parent[r]);
        }
      }
    }
}

TEST(BeamSearch, ScoresAreThoseOfThePaths) {
  const PackedTree tree = grow({4, 5, 64}, 4, 7, false);
  for (const auto& [path, logprob] : paths_of(tree)) {
    float sum = 0;
    Path prefix = {path[0]};
    for (size_t i = 1; i < path.size(); ++i) {
      for (const auto& candidate : toy_candidates(prefix, 4, 7, false))
        if (candidate.token == path[i]) sum += candidate.logprob;
      prefix.push_back(path[i]);
    }
    EXPECT_EQ(sum, logprob);
    EXPECT_TRUE(path.size() <= 5);
  }
}

TEST(BeamSearch, AgreesWithThePublishedFormOnSurvivingBeams) {
  for (uint64_t seed = 0; seed < 100; ++seed)
    for (const bool coarse : {false, true}) {
      const size_t width = 3, length = 4;
      const auto beams = search_beams(99, width, length,
                                      [&](const Path& prefix) { return toy_candidates(prefix, width, seed, coarse); });
      std::vector<int32_t> flat;
      for (const Beam& beam : beams) flat.insert(flat.end(), beam.token.begin(), beam.token.end());
      const PrefixTree published = pack_beams(flat.data(), beams.size(), length);
      std::set<Path> expected;
      std::vector<Path> published_paths;
      for (size_t r = 0; r < published.token.size(); ++r) {
        Path path = published.parent[r] < 0 ? Path{} : published_paths[published.parent[r]];
        path.push_back(published.token[r]);
        published_paths.push_back(path);
        expected.insert(path);
      }
      EXPECT_EQ(expected.size(), published.token.size());
      // 1 + 3 + 9 + 9 candidates fit the packed tree, so all are there; the survivors are the last level's best.
      const std::map<Path, float> pool = paths_of(grow({3, 4, 64}, width, seed, coarse));
      EXPECT_EQ(pool.size(), size_t{22});
      std::set<Path> survivors;
      for (const Beam& beam : beams) {
        EXPECT_TRUE(pool.count(beam.token) && pool.at(beam.token) == beam.logprob);
        for (auto end = beam.token.begin() + 1; end <= beam.token.end(); ++end)
          survivors.insert(Path(beam.token.begin(), end));
      }
      EXPECT_TRUE(survivors == expected);
      std::vector<float> last_level;
      for (const auto& [path, logprob] : pool)
        if (path.size() == length) last_level.push_back(logprob);
      std::sort(last_level.rbegin(), last_level.rend());
      for (size_t i = 0; i < beams.size(); ++i) EXPECT_EQ(beams[i].logprob, last_level[i]);
    }
}

TEST(BeamSearch, UnlikelyPathsAreNotFollowed) {
  const float least = std::log(0.5f);
  size_t rows_all = 0, rows_likely = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const std::map<Path, float> all = paths_of(grow({8, 5, 64}, 8, seed, false, &rows_all));
    const std::map<Path, float> likely = paths_of(grow({8, 5, 64, 0, 0.5f}, 8, seed, false, &rows_likely));
    for (const auto& [path, logprob] : likely)
      if (path.size() > 1) EXPECT_TRUE(likely.at(Path(path.begin(), path.end() - 1)) >= least);
    for (const auto& [path, logprob] : all) EXPECT_TRUE(logprob < least || likely.count(path) == 1);
  }
  EXPECT_TRUE(rows_likely < rows_all / 2);
}

TEST(BeamSearch, ABudgetOfNothingDraftsNothing) {
  const DraftBudget budgets[] = {{0, 5, 9}, {4, 1, 9}, {4, 5, 1}, {4, 5, 0}};
  for (const DraftBudget& budget : budgets) {
    const PackedTree tree = grow(budget, 4, 1, false);
    EXPECT_EQ(tree.count, 1);
    EXPECT_EQ(tree.token[0], 99);
  }
  BeamSearch search;
  EXPECT_THROW(search.begin(0, {33, 5, 9}), REDRAFT_INTERNAL, "assertion");
  EXPECT_THROW(search.begin(0, {4, 17, 9}), REDRAFT_INTERNAL, "assertion");
  EXPECT_THROW(search.begin(0, {4, 5, 65}), REDRAFT_INTERNAL, "assertion");
  EXPECT_THROW(search.begin(0, {4, 5, 9, 17}), REDRAFT_INTERNAL, "assertion");
}

TEST(BeamSearch, ABrokenHeadDraftsNothing) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  BeamSearch search;
  search.begin(5, {2, 4, 8});
  const DraftCandidate broken[] = {{1, nan, 0}, {2, -inf, 0}};
  search.expand(broken, 2);
  EXPECT_TRUE(!search.growing());
  PackedTree tree;
  search.pack(&tree);
  EXPECT_EQ(tree.count, 1);
  search.begin(5, {2, 4, 8});
  const DraftCandidate lifted[] = {{1, 1e-7f, 0},
                                   {2, -20.0f, 0}};  // A rounding above 0 must not lift a child over its parent.
  search.expand(lifted, 2);
  search.pack(&tree);
  EXPECT_EQ(tree.count, 3);
  EXPECT_EQ(tree.logprob[1], 0.0f);
}

// A lookup that goes on with the next number at a chance of 0.9 and else with the one after it.
size_t count_on(const int32_t* path, size_t path_count, DraftCandidate* out) {
  const int32_t last = path[path_count - 1];
  out[0] = {last + 1, std::log(0.9f), 3};
  out[1] = {last + 2, std::log(0.05f), 4};
  return 2;
}

TEST(BeamSearch, LookupsGoOnWhereTheHeadEnds) {
  for (const int32_t path_max : {2, 7, 16}) {
    BeamSearch search;
    search.begin(100, {0, 0, 64, path_max});  // Without the head: by lookup alone.
    EXPECT_TRUE(!search.growing());
    search.deepen(count_on);
    PackedTree tree;
    search.pack(&tree);
    size_t longest = 0;
    for (const auto& [path, logprob] : paths_of(tree)) {
      longest = std::max(longest, path.size());
      float sum = 0;
      for (size_t i = 1; i < path.size(); ++i) sum += path[i] - path[i - 1] == 1 ? std::log(0.9f) : std::log(0.05f);
      EXPECT_EQ(sum, logprob);
      EXPECT_TRUE(logprob > -8);
    }
    EXPECT_EQ(longest, static_cast<size_t>(path_max));
    for (int32_t r = 1; r < tree.count; ++r) EXPECT_TRUE(tree.kind[r] == 3 || tree.kind[r] == 4);
  }
}

TEST(BeamSearch, LookupsNeverPushABetterTokenOut) {
  const DraftBudget budget{4, 4, 12, 16};
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const auto grown = [&](bool deepened, int32_t packed_max) {
      BeamSearch search;
      search.begin(99, {budget.beam_width, budget.beam_length, packed_max, budget.path_max});
      while (search.growing()) {
        std::vector<DraftCandidate> candidates;
        for (size_t beam = 0; beam < search.frontier().size(); ++beam) {
          int32_t tokens[REDRAFT_BEAM_LENGTH_MAX];
          const size_t count = search.path(beam, tokens);
          EXPECT_EQ(tokens[count - 1], search.frontier()[beam].token);
          for (const auto& [token, logprob] : toy_candidates(Path(tokens, tokens + count), 4, seed, false))
            candidates.push_back({token, logprob, 0});
        }
        search.expand(candidates.data(), 4);
      }
      if (deepened) search.deepen(count_on);
      PackedTree tree;
      search.pack(&tree);
      return paths_of(tree);
    };
    const auto head_alone = grown(false, 12), both = grown(true, 12), all = grown(true, 64);
    std::vector<float> scores;
    for (const auto& [path, logprob] : all) scores.push_back(logprob);
    std::sort(scores.rbegin(), scores.rend());
    float worst = 0;
    for (const auto& [path, logprob] : both) worst = std::min(worst, logprob);
    EXPECT_EQ(worst, scores[11]);
    for (const auto& [path, logprob] : head_alone) EXPECT_TRUE(both.count(path) == 1 || logprob <= worst);
  }
}

}  // namespace
}  // namespace redraft
