#include "prefix_tree.h"

#include "../common/test.h"
#include "../common/test_random.h"

namespace redraft {
namespace {

struct Golden {
  std::vector<int32_t> beams, token, parent, offset, unpacker;
};

TEST(PrefixTree, ApplesGoldenVectors) {  // Also in Apple's tree_attention_test.py.
  const Golden goldens[] = {{{91, 92, 93, 95, 91, 92, 94, 96, 91, 92, 93, 97},
                             {91, 92, 93, 95, 94, 96, 97},
                             {-1, 0, 1, 2, 1, 4, 2},
                             {0, 1, 2, 3, 2, 3, 3},
                             {0, 1, 2, 3, 0, 1, 4, 5, 0, 1, 2, 6}},
                            {{93, 94, 95, 92, 93, 95, 96, 93, 93, 94, 97, 96},
                             {93, 94, 95, 92, 95, 96, 93, 97, 96},
                             {-1, 0, 1, 2, 0, 4, 5, 1, 7},
                             {0, 1, 2, 3, 1, 2, 3, 2, 3},
                             {0, 1, 2, 3, 0, 4, 5, 6, 0, 1, 7, 8}}};
  for (const Golden& golden : goldens) {
    const PrefixTree tree = pack_beams(golden.beams.data(), 3, 4);
    EXPECT_EQ(tree.token, golden.token);
    EXPECT_EQ(tree.parent, golden.parent);
    EXPECT_EQ(tree.offset, golden.offset);
    EXPECT_EQ(tree.unpacker, golden.unpacker);
  }
}

TEST(PrefixTree, UnpackingGivesTheBeamsBack) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const size_t beam_count = 1 + seed % 9, beam_length = 1 + seed % 5;
    std::vector<int32_t> beams(beam_count * beam_length);
    for (size_t i = 0; i < beams.size(); ++i)
      beams[i] = i % beam_length == 0 ? 7 : static_cast<int32_t>(philox_uniform(seed, i) * 3);
    const PrefixTree tree = pack_beams(beams.data(), beam_count, beam_length);
    for (size_t i = 0; i < beams.size(); ++i) {
      EXPECT_EQ(tree.token[tree.unpacker[i]], beams[i]);
      EXPECT_EQ(static_cast<size_t>(tree.offset[tree.unpacker[i]]), i % beam_length);
      EXPECT_EQ(tree.parent[tree.unpacker[i]], i % beam_length == 0 ? -1 : tree.unpacker[i - 1]);
    }
    EXPECT_TRUE(tree.token.size() <= 1 + beam_count * (beam_length - 1));
  }
}

}  // namespace
}  // namespace redraft
