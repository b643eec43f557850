#include "tree_mask.h"

#include <algorithm>
#include <vector>

#include "../common/test.h"
#include "../common/test_random.h"

namespace redraft {
namespace {

using Masks = std::vector<uint64_t>;
using Indices = std::vector<int32_t>;

Masks run(const Indices& parent) {
  Masks mask(parent.size());
  tree_mask_cpu(parent.data(), mask.data(), static_cast<int32_t>(parent.size()));
  return mask;
}

Indices path_of(uint64_t mask_row) {
  Indices path(64);
  path.resize(static_cast<size_t>(root_path(mask_row, path.data())));
  return path;
}

// By climbing, with no mask at all.
Indices climb(const Indices& parent, int32_t r) {
  Indices path;
  for (; r >= 0; r = parent[r]) path.push_back(r);
  std::reverse(path.begin(), path.end());
  return path;
}

TEST(TreeMask, SiblingsDoNotSeeEachOther) { EXPECT_EQ(run({-1, 0, 1, 1}), (Masks{1, 3, 7, 11})); }

TEST(TreeMask, ARootAloneSeesItself) { EXPECT_EQ(run({-1}), (Masks{1})); }

TEST(TreeMask, ApplesGoldenTrees) {  // Also in Apple's tree_attention_test.py.
  const Indices parent = {-1, 0, 1, 2, 1, 4, 2};
  const Masks mask = run(parent);
  EXPECT_EQ(path_of(mask[3]), (Indices{0, 1, 2, 3}));
  EXPECT_EQ(path_of(mask[5]), (Indices{0, 1, 4, 5}));
  EXPECT_EQ(path_of(mask[6]), (Indices{0, 1, 2, 6}));
  Indices depth(7);
  tree_depths(parent.data(), depth.data(), 7);
  EXPECT_EQ(depth, (Indices{0, 1, 2, 3, 2, 3, 3}));
}

TEST(TreeMask, PathsAndDepthsAgreeWithClimbing) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const int32_t count = 1 + static_cast<int32_t>(philox_uniform(seed, 1000) * 64);
    Indices parent(static_cast<size_t>(count), -1), depth(parent.size());
    for (int32_t r = 1; r < count; ++r) parent[r] = static_cast<int32_t>(philox_uniform(seed, r) * r);
    EXPECT_TRUE(is_packed_tree(parent.data(), count));
    const Masks mask = run(parent);
    tree_depths(parent.data(), depth.data(), count);
    for (int32_t r = 0; r < count; ++r) {
      EXPECT_EQ(path_of(mask[r]), climb(parent, r));
      EXPECT_EQ(static_cast<size_t>(depth[r]) + 1, climb(parent, r).size());
    }
  }
}

TEST(TreeMask, KnowsWhatIsNoTree) {
  const auto valid = [](const Indices& parent) {
    return is_packed_tree(parent.data(), static_cast<int32_t>(parent.size()));
  };
  EXPECT_TRUE(valid({-1}) && valid({-1, 0, 0, 2}));
  EXPECT_TRUE(!valid({}) && !valid({0}) && !valid({-1, -1}) && !valid({-1, 1}));
  EXPECT_TRUE(!valid({-1, 2, 0}) && !valid({-1, -2}));
  Indices chain(65);
  for (int32_t r = 0; r < 65; ++r) chain[r] = r - 1;
  EXPECT_TRUE(!valid(chain));
  chain.pop_back();
  EXPECT_TRUE(valid(chain));
  EXPECT_EQ(run(chain)[63], ~uint64_t{0});
}

}  // namespace
}  // namespace redraft
