// tree_walk.cu on the host, against a walk in plain loops.
#include "tree_walk.cuh"

#include "cuda/host/kernel_test.h"

namespace redraft::cuda {
namespace {

using namespace cuda_host;
using test::fail;

DeviceSlot random_slot(std::mt19937& random) {
  DeviceSlot slot{};
  slot.computed_count = 10 + random() % 50;
  slot.pending.count = 1 + static_cast<int32_t>(random() % 64);
  slot.pending.parent[0] = -1;
  std::vector<int32_t> children(64);
  for (int32_t r = 0; r < slot.pending.count; ++r) {
    if (r > 0) slot.pending.parent[r] = static_cast<int32_t>(random() % static_cast<uint32_t>(r));
    // Siblings differ, cousins need not.
    slot.pending.token[r] = r == 0 ? 3 : children[static_cast<size_t>(slot.pending.parent[r])]++ % 20;
  }
  return slot;
}

TEST(TreeWalkCuda, FollowsTheDraws) {
  std::mt19937 random(6);
  constexpr uint32_t kSequences = 40, kVocab = 20;
  std::vector<DeviceSlot> slots;
  std::vector<WalkSequence> sequences;
  std::vector<int32_t> drawn;
  for (uint32_t i = 0; i < kSequences; ++i) {
    slots.push_back(random_slot(random));
    const uint32_t rows = 1 + random() % static_cast<uint32_t>(slots[i].pending.count);
    sequences.push_back({i, rows, static_cast<uint32_t>(drawn.size()), 0, 7 * i, i, 1});
    for (uint32_t r = 0; r < rows; ++r) drawn.push_back(static_cast<int32_t>(random() % 3));
  }
  in_both_orders([&] {
    DeviceArray<DeviceSlot> dslots(slots);
    DeviceArray<WalkSequence> dsequences(sequences);
    DeviceArray<int32_t> ddrawn(drawn);
    DeviceArray<uint32_t> counts(std::vector<uint32_t>(kSequences * kVocab));
    DeviceArray<WalkResult> results(kSequences);
    DeviceArray<uint32_t> draft_rows(kSequences);
    const TreeWalkParams p{dsequences.data(), ddrawn.data(),     dslots.data(), counts.data(),
                           results.data(),    draft_rows.data(), kSequences,    kVocab};
    launch("redraft_tree_walk", tree_walk_shape(p), p);
    uint32_t accepted = 0;
    for (uint32_t i = 0; i < kSequences; ++i) {
      const DeviceTree& tree = slots[i].pending;
      std::vector<int32_t> path, tokens;
      for (int32_t at = 0; at >= 0;) {
        const int32_t token = drawn[sequences[i].drawn_begin + static_cast<uint32_t>(at)];
        path.push_back(at), tokens.push_back(token);
        int32_t next = -1;
        for (int32_t r = at + 1; r < static_cast<int32_t>(sequences[i].row_count); ++r)
          if (tree.parent[r] == at && tree.token[r] == token) next = r;
        at = next;
      }
      const WalkResult& result = results[i];
      EXPECT_EQ(result.accepted_count + 1, static_cast<int32_t>(path.size()));
      EXPECT_EQ(std::vector<int32_t>(result.path, result.path + path.size()), path);
      EXPECT_EQ(std::vector<int32_t>(result.token, result.token + path.size()), tokens);
      EXPECT_EQ(dslots[i].computed_count, slots[i].computed_count + path.size());
      EXPECT_EQ(dslots[i].pending.count, 1);
      EXPECT_EQ(draft_rows[i], 7 * i + static_cast<uint32_t>(path.back()));
      EXPECT_EQ(dslots[i].pending.token[0], tokens.back());
      uint32_t counted = 0;
      for (uint32_t token = 0; token < kVocab; ++token) counted += counts[i * kVocab + token];
      EXPECT_EQ(counted, path.size());
      accepted += static_cast<uint32_t>(result.accepted_count);
    }
    EXPECT_TRUE(accepted > kSequences / 2);
  });
}

TEST(TreeWalkCuda, TakesContextChunksAndFailures) {
  DeviceSlot slot{};
  slot.computed_count = 5, slot.pending.count = 0;
  DeviceSlot failing{};
  failing.computed_count = 9, failing.pending.count = 1;
  const std::vector<WalkSequence> sequences = {
      {0, 0, 0, 7, 0, kNoDraft, 0}, {1, 1, 0, 4, 7, 0, 1}, {2, 1, 1, 0, 11, kNoDraft, 1}};
  DeviceArray<DeviceSlot> slots(std::vector<DeviceSlot>{slot, slot, failing});
  DeviceArray<WalkSequence> dsequences(sequences);
  DeviceArray<int32_t> drawn(std::vector<int32_t>{12, -1});
  DeviceArray<WalkResult> results(3);
  DeviceArray<uint32_t> draft_rows(1);
  const TreeWalkParams p{
      dsequences.data(), drawn.data(), slots.data(), nullptr, results.data(), draft_rows.data(), 3, 20};
  launch("redraft_tree_walk", tree_walk_shape(p), p);
  EXPECT_EQ(draft_rows[0], 7 + 3u);  // The chunk's last row.
  EXPECT_EQ(slots[0].computed_count, 12u);
  EXPECT_EQ(slots[0].pending.count, 0);
  EXPECT_EQ(slots[1].computed_count, 9u);
  EXPECT_EQ(slots[1].pending.token[0], 12);
  EXPECT_EQ(results[1].accepted_count, 0);
  EXPECT_EQ(results[2].accepted_count, -1);
  EXPECT_EQ(slots[2].computed_count, 9u);  // As if the step had not been.
  EXPECT_EQ(slots[2].pending.count, 1);
}

}  // namespace
}  // namespace redraft::cuda
