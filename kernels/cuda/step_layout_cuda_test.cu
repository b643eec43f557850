// step_layout.cu on the host, against tree_mask.h and plain loops.
#include "step_layout.cuh"

#include "host/kernel_test.h"
#include "tree_attention/tree_mask.h"

namespace redraft::cuda {
namespace {

using namespace cuda_host;
using test::fail;

constexpr int32_t kParent[] = {-1, 0, 0, 1, 3, 2};

// One with a tree of six, one in the generation phase that starts afresh, one in the context phase.
std::vector<DeviceSlot> three_slots() {
  std::vector<DeviceSlot> slots(3);
  slots[0].computed_count = 40;
  slots[0].pending.count = 6;
  for (int32_t r = 0; r < 6; ++r) slots[0].pending.parent[r] = kParent[r], slots[0].pending.token[r] = 70 + r;
  slots[1].computed_count = 99, slots[1].pending.count = 1;
  slots[2].computed_count = 15;
  return slots;
}

TEST(StepLayoutCuda, LaysOutTreesAndChunks) {
  const std::vector<DeviceSlot> slots = three_slots();
  const std::vector<uint32_t> pages = {8, 9, 4, 5, 6};
  // Five of slot 0's six packed tokens; a chunk of three that starts slot 1 at 16; two rows of context that draw
  // nothing.
  const std::vector<StepSequence> steps = {
      {0, 0, 5, 0, 20, 1, 0, 5, 2, 0, 0, 1}, {1, 5, 3, 1, 0, 0, 5, 1, 0, 1, 16}, {2, 8, 2, 3, 0, 0, 6, 0, 0, 0, 0}};
  std::vector<uint32_t> tokens(10, 7);
  in_both_orders([&] {
    DeviceArray<DeviceSlot> dslots(slots);
    DeviceArray<StepSequence> dsteps(steps);
    DeviceArray<uint32_t> dpages(pages), token(tokens), position(10), place(10), from(6), paths(6 * kPathMax);
    DeviceArray<uint64_t> masks(10);
    DeviceArray<uint32_t> mask_begin(std::vector<uint32_t>{7, 60, 0, 60, 30, 0});
    DeviceArray<DeviceSequence> sequences(3);
    DeviceArray<SampleRow> samples(6);
    DeviceArray<WalkSequence> walks(3);
    const StepLayoutParams p{dsteps.data(),
                             dslots.data(),
                             dpages.data(),
                             mask_begin.data(),
                             token.data(),
                             position.data(),
                             place.data(),
                             masks.data(),
                             sequences.data(),
                             samples.data(),
                             from.data(),
                             paths.data(),
                             walks.data(),
                             3};
    launch("redraft_step_layout", step_layout_shape(p), p);
    uint64_t mask[5];
    int32_t depth[5];
    tree_mask_cpu(kParent, mask, 5);
    tree_depths(kParent, depth, 5);
    for (uint32_t r = 0; r < 5; ++r) {
      EXPECT_EQ(masks[r], mask[r]);
      EXPECT_EQ(position[r], 40 + static_cast<uint32_t>(depth[r]));
      EXPECT_EQ(token[r], 70 + r);
      EXPECT_EQ(place[r], 20 * 16 + r);
      EXPECT_EQ(samples[r].position, uint64_t{position[r]} + 1);
      EXPECT_EQ(samples[r].path_count, static_cast<uint32_t>(depth[r]));
      EXPECT_EQ(from[r], r);
    }
    for (uint32_t r = 0; r < 5; ++r) EXPECT_EQ(samples[r].mask_begin, mask_begin[1 + r]);
    EXPECT_EQ(samples[5].mask_begin, kNoMask);
    EXPECT_EQ(paths[4 * kPathMax], 71u);  // Packed token 4 lies behind 1 and 3.
    EXPECT_EQ(paths[4 * kPathMax + 1], 73u);
    EXPECT_EQ(paths[4 * kPathMax + 2], 74u);
    for (uint32_t r = 5; r < 8; ++r) {
      EXPECT_EQ(position[r], 16 + r - 5);
      EXPECT_EQ(place[r], 4 * 16 + r - 5);
      EXPECT_EQ(token[r], 7u);
    }
    EXPECT_EQ(samples[5].position, uint64_t{19});
    EXPECT_EQ(samples[5].slot, 1u);
    EXPECT_EQ(from[5], 7u);
    EXPECT_EQ(place[8], 5 * 16 + 15u);
    EXPECT_EQ(place[9], 6 * 16u);
    EXPECT_EQ(dslots[1].computed_count, 16u);
    EXPECT_EQ(dslots[1].pending.count, 0);
    EXPECT_TRUE(walks[0].row_count == 5 && walks[1].new_rows == 3 && walks[2].draws == 0);
    EXPECT_TRUE(walks[0].draft == 2 && walks[1].row_begin == 5);
    EXPECT_EQ(sequences[0].computed_count, 40u);
    EXPECT_EQ(sequences[1].computed_count, 16u);
  });
}

}  // namespace
}  // namespace redraft::cuda
