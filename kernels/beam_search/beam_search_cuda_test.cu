// The search of beam_search.cu on the host, against the same search in plain code.
#include "beam_search.cuh"

#include <algorithm>
#include <cmath>

#include "cuda/host/kernel_test.h"

namespace redraft::cuda {
namespace {

using namespace cuda_host;
using test::fail;

struct Node {
  int32_t token, parent;
  float logprob;
};

// What a draft head might say of a beam that ends in `token` at a level.
void candidates_of(uint32_t token, uint32_t level, uint32_t k, uint32_t* tokens, float* logprobs) {
  std::mt19937 random(token * 31 + level);
  float logprob = 0.02f;  // Over 0, as rounding may make it.
  for (uint32_t i = 0; i < k; ++i) {
    tokens[i] = (token * 7 + i * 13 + level) % 200000;
    // In coarse steps, so that equals are met.
    logprob -= 0.25f * static_cast<float>(random() % 5);
    logprobs[i] = token % 11 == 3 && i + 1 == k ? std::nanf("") : logprob;
  }
}

struct Plain {
  std::vector<Node> nodes;
  void run(int32_t root, const BeamSequence& s, uint32_t k) {
    nodes = {{root, -1, 0}};
    std::vector<size_t> frontier = {0};
    const uint32_t wanted = std::min(s.beam_width, k);
    for (uint32_t level = 2; !frontier.empty(); ++level) {
      const size_t begin = nodes.size();
      for (const size_t parent : frontier) {
        std::vector<uint32_t> tokens(k);
        std::vector<float> logprobs(k);
        candidates_of(static_cast<uint32_t>(nodes[parent].token), level - 1, k, tokens.data(), logprobs.data());
        for (uint32_t i = 0; i < wanted; ++i)
          nodes.push_back(
              {static_cast<int32_t>(tokens[i]), static_cast<int32_t>(parent),
               std::isfinite(logprobs[i]) ? nodes[parent].logprob + std::fmin(logprobs[i], 0.0f) : -INFINITY});
      }
      std::vector<float> sorted;
      for (const Node& node : nodes) sorted.push_back(node.logprob);
      std::sort(sorted.begin(), sorted.end(), std::greater<>());
      const float worst = nodes.size() > s.packed_max ? sorted[s.packed_max - 1] : -INFINITY;
      frontier.clear();
      for (size_t i = begin; i < nodes.size() && level < s.beam_length; ++i)
        if (nodes[i].logprob >= worst && nodes[i].logprob > -INFINITY) frontier.push_back(i);
      std::sort(frontier.begin(), frontier.end(), [&](size_t a, size_t b) {
        if (nodes[a].logprob != nodes[b].logprob) return nodes[a].logprob > nodes[b].logprob;
        return nodes[a].token != nodes[b].token ? nodes[a].token < nodes[b].token : a < b;
      });
      if (frontier.size() > s.beam_width) frontier.resize(s.beam_width);
    }
  }
  DeviceTree pack(uint32_t packed_max) const {
    std::vector<size_t> order;
    for (size_t i = 0; i < nodes.size(); ++i)
      if (nodes[i].logprob > -INFINITY) order.push_back(i);
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return nodes[a].logprob > nodes[b].logprob; });
    if (order.size() > packed_max) order.resize(packed_max);
    DeviceTree tree{};
    tree.count = static_cast<int32_t>(order.size());
    for (size_t r = 0; r < order.size(); ++r) {
      const auto parent = std::find(order.begin(), order.end(), static_cast<size_t>(nodes[order[r]].parent));
      tree.token[r] = nodes[order[r]].token, tree.logprob[r] = nodes[order[r]].logprob;
      tree.parent[r] = r == 0 ? -1 : static_cast<int32_t>(parent - order.begin());
    }
    return tree;
  }
};

void expect_same(const std::vector<BeamSequence>& sequences, uint32_t k) {
  const uint32_t count = static_cast<uint32_t>(sequences.size());
  uint32_t width = 1, length = 0;
  for (const BeamSequence& s : sequences)
    width = std::max(width, s.beam_width), length = std::max(length, s.beam_length);
  std::vector<DeviceSlot> slots(8);
  for (uint32_t slot = 0; slot < 8; ++slot)
    slots[slot].pending.count = slot == 7 ? 0 : 1, slots[slot].pending.token[0] = static_cast<int32_t>(100 + slot);
  DeviceArray<DeviceSlot> dslots(slots);
  DeviceArray<BeamSequence> dsequences(sequences);
  DeviceArray<BeamState> states(count);
  DeviceArray<int32_t> tokens(count * kNodesMax), parents(count * kNodesMax);
  DeviceArray<float> logprobs(count * kNodesMax);
  DeviceArray<uint32_t> row_token(count * width), row_from(count * width), row_sequence(count * width);
  BeamParams p{dsequences.data(),
               dslots.data(),
               states.data(),
               tokens.data(),
               parents.data(),
               logprobs.data(),
               nullptr,
               nullptr,
               row_token.data(),
               row_from.data(),
               row_sequence.data(),
               count,
               k,
               0,
               1};
  launch("redraft_beam_begin", beam_shape(p), p);
  for (uint32_t level = 1; level < length; ++level) {
    p.rows_before = p.rows_after, p.rows_after = width;
    std::vector<uint32_t> candidates(count * p.rows_before * k);
    std::vector<float> their_logprobs(candidates.size());
    for (uint32_t row = 0; row < count * p.rows_before; ++row) {
      EXPECT_EQ(row_sequence[row], row / p.rows_before);
      candidates_of(row_token[row], level, k, &candidates[row * k], &their_logprobs[row * k]);
    }
    DeviceArray<uint32_t> dcandidates(candidates);
    DeviceArray<float> dlogprobs(their_logprobs);
    p.candidate_tokens = dcandidates.data(), p.candidate_logprobs = dlogprobs.data();
    launch("redraft_beam_expand", beam_shape(p), p);
    for (uint32_t row = 0; row < count * width; ++row) EXPECT_TRUE(row_from[row] / p.rows_before == row / width);
  }
  launch("redraft_beam_pack", beam_shape(p), p);
  for (uint32_t i = 0; i < count; ++i) {
    const DeviceTree& got = dslots[sequences[i].slot].pending;
    if (sequences[i].slot == 7) {
      EXPECT_EQ(got.count, 0);
      continue;
    }
    Plain plain;
    plain.run(static_cast<int32_t>(100 + sequences[i].slot), sequences[i], k);
    const DeviceTree expected = plain.pack(sequences[i].packed_max);
    EXPECT_EQ(got.count, expected.count);
    for (int32_t r = 0; r < expected.count; ++r) {
      EXPECT_EQ(got.token[r], expected.token[r]);
      EXPECT_EQ(got.parent[r], expected.parent[r]);
      EXPECT_EQ(got.logprob[r], expected.logprob[r]);
    }
  }
}

TEST(BeamSearchCuda, MakesTheTreesOfPlainCode) {
  in_both_orders([&] {
    expect_same({{2, 4, 5, 12}}, 4);
    expect_same({{0, 8, 6, 64}, {3, 1, 4, 4}, {5, 3, 2, 30}, {1, 6, 5, 9}}, 8);
    expect_same({{6, 2, 16, 40}, {4, 5, 3, 2}}, 3);
  });
  expect_same({{2, 32, 4, 64}}, 32);
}

TEST(BeamSearchCuda, DraftsNothingWithoutARoot) { expect_same({{7, 4, 4, 8}, {0, 2, 3, 4}}, 4); }

}  // namespace
}  // namespace redraft::cuda
