// tree_attention.cu on the host, against tree_attention_reference.cc and against itself.
#include "tree_attention.cuh"

#include "cuda/host/kernel_test.h"
#include "tree_attention.h"
#include "tree_mask.h"

namespace redraft::cuda {
namespace {

using namespace cuda_host;
using test::fail;

constexpr uint32_t kSegmentKeys = kSegmentSplits * kSplitKeys;

// One layer of random keys and values; sequences in it; queries of all their rows.
struct Scene {
  KvLayout layout;
  uint32_t group;
  std::vector<uint16_t> layer;
  std::vector<uint32_t> pages;
  std::vector<DeviceSequence> sequences;
  std::vector<uint64_t> masks;
  std::vector<float> q;

  Scene(uint32_t head_size, uint32_t group_size, size_t page_count)
      : layout{1, 2, head_size, page_count}, group(group_size), layer(layout.layer_elements()), pages(page_count) {
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    for (auto& half : layer) half = f32_to_f16(normal(random));
    for (size_t i = 0; i < page_count; ++i) pages[i] = static_cast<uint32_t>((i * 7 + 3) % page_count);
  }
  size_t stride() const { return layout.kv_head_count * group * layout.head_size; }
  uint32_t row_count() const { return static_cast<uint32_t>(masks.size()); }

  void add(uint32_t page_table, uint32_t computed, uint32_t rows) {
    sequences.push_back({page_table, computed, row_count(), rows, 0, 0});
    masks.resize(masks.size() + rows);
    add_queries(rows);
  }
  void add_tree(uint32_t page_table, uint32_t computed, const std::vector<int32_t>& parent, uint32_t tree_page) {
    const uint32_t rows = static_cast<uint32_t>(parent.size());
    sequences.push_back({page_table, computed, row_count(), rows, tree_page, 1});
    masks.resize(masks.size() + rows);
    tree_mask_cpu(parent.data(), &masks[masks.size() - rows], static_cast<int32_t>(rows));
    add_queries(rows);
  }
  void add_queries(uint32_t rows) {
    const auto more = normal_floats(rows * stride(), static_cast<uint32_t>(q.size() + 1), 0.3f);
    q.insert(q.end(), more.begin(), more.end());
  }

  std::vector<float> run(uint32_t splits_per_part, uint32_t tile_rows_max = 64) const {
    std::vector<AttentionTile> tiles;
    uint32_t keys_max = 0, queries_max = 0;
    for (uint32_t s = 0; s < sequences.size(); ++s) {
      const uint32_t rows = std::min(kQueriesMax / group, tile_rows_max);
      for (uint32_t begin = 0; begin < sequences[s].row_count; begin += rows) {
        tiles.push_back({s, begin, std::min(rows, sequences[s].row_count - begin)});
        queries_max = std::max(queries_max, tiles.back().count * group);
      }
      keys_max = std::max(keys_max, sequences[s].computed_count + sequences[s].row_count);
    }
    DeviceArray<uint16_t> dlayer(layer);
    DeviceArray<uint32_t> dpages(pages);
    DeviceArray<DeviceSequence> dsequences(sequences);
    DeviceArray<AttentionTile> dtiles(tiles);
    DeviceArray<uint64_t> dmasks(masks);
    DeviceArray<float> dq(q), out(q.size());
    AttentionParams p{dlayer.data(),
                      dpages.data(),
                      dsequences.data(),
                      dtiles.data(),
                      dmasks.data(),
                      dq.data(),
                      out.data(),
                      nullptr,
                      static_cast<uint32_t>(tiles.size()),
                      static_cast<uint32_t>(layout.kv_head_count),
                      static_cast<uint32_t>(layout.head_size),
                      group,
                      splits_per_part,
                      attention_part_count(keys_max, splits_per_part),
                      queries_max};
    DeviceArray<float> partial(attention_partial_floats(p));
    p.partial = partial.data();
    launch("redraft_attention", attention_shape(p), p);
    if (p.part_count > 1) launch("redraft_attention_join", attention_join_shape(p), p);
    return out.values();
  }
  std::vector<float> reference() const {
    std::vector<float> out(q.size());
    const AttentionCall call{&layout, layer.data(), layout.kv_head_count * group, q.data(), out.data(), stride()};
    for (const DeviceSequence& s : sequences)
      for (size_t head = 0; head < layout.kv_head_count; ++head)
        tree_attention_reference(call,
                                 {&pages[s.page_table], s.computed_count, s.row_begin, s.row_count,
                                  s.is_tree ? &masks[s.row_begin] : nullptr, s.tree_page},
                                 head, 0, s.row_count);
    return out;
  }
  void expect_close(uint32_t splits_per_part) const {
    const auto expected = reference();
    in_both_orders([&] {
      const auto got = run(splits_per_part);
      for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 3e-5);
    });
  }
  // Copies the key and value of one place to another.
  void copy(size_t from_page, size_t from_row, size_t to_page, size_t to_row) {
    for (size_t head = 0; head < layout.kv_head_count; ++head) {
      for (size_t d = 0; d < layout.head_size; ++d)
        layer[layout.key_at(to_page, head, to_row, d)] = layer[layout.key_at(from_page, head, from_row, d)];
      std::memcpy(&layer[layout.value_at(to_page, head, to_row)], &layer[layout.value_at(from_page, head, from_row)],
                  layout.head_size * 2);
    }
  }
};

std::vector<int32_t> random_tree(int32_t count) {
  std::mt19937 random(8);
  std::vector<int32_t> parent = {-1};
  for (int32_t r = 1; r < count; ++r) parent.push_back(static_cast<int32_t>(random() % static_cast<uint32_t>(r)));
  return parent;
}

TEST(TreeAttentionCuda, AgreesWithTheReferenceInTheContextPhase) {
  for (const uint32_t computed : {0u, 1u, 15u, 16u, 127u, 150u}) {
    Scene scene(64, 3, 40);
    scene.add(0, computed, 7);
    scene.expect_close(computed == 150 ? kSegmentSplits : 1);
  }
}

TEST(TreeAttentionCuda, AgreesWithTheReferenceOnTrees) {
  for (const auto& [head_size, group] : {std::pair{64u, 3u}, {128u, 1u}, {32u, 1u}, {80u, 8u}})
    for (const uint32_t computed : {0u, 5u, 120u}) {
      Scene scene(head_size, group, 40);
      scene.add_tree(0, computed, random_tree(head_size == 64 ? 37 : 11), 30);
      scene.expect_close(1);
    }
}

TEST(TreeAttentionCuda, TakesSequencesOfAllKindsTogether) {
  Scene scene(64, 3, 225);
  scene.add_tree(0, 70, random_tree(20), 160);
  scene.add(5, 0, 1);
  scene.add(8, kSegmentKeys + 76, 2);
  scene.add_tree(150, 40, {-1}, 170);
  scene.expect_close(1);
  scene.expect_close(kSegmentSplits);
}

TEST(TreeAttentionCuda, GivesTheSameBitsHoweverTheWorkIsCut) {
  Scene scene(32, 2, 225);
  scene.add_tree(0, kSegmentKeys - 3, random_tree(12), 164);
  scene.add(3, 130, 9);
  scene.add(11, kSegmentKeys + 276, 1);
  const auto whole = scene.run(kSegmentSplits);
  for (const uint32_t rows : {5u, 64u}) {
    EXPECT_EQ(scene.run(1, rows), whole);
    EXPECT_EQ(scene.run(kSegmentSplits, rows), whole);
  }
  Scene alone(32, 2, 225);
  alone.add_tree(0, kSegmentKeys - 3, random_tree(12), 164);
  alone.q.assign(scene.q.begin(), scene.q.begin() + 12 * static_cast<ptrdiff_t>(scene.stride()));
  const auto bits = alone.run(1);
  for (size_t i = 0; i < bits.size(); ++i) EXPECT_EQ(bits[i], whole[i]);
}

// The heart of "lossless": a packed token gets the bits that the same token gets in plain decoding or in a chunk.
TEST(TreeAttentionCuda, GivesAPackedTokenTheBitsOfPlainDecoding) {
  for (const uint32_t computed : {37u, 126u, 127u, kSegmentKeys - 1}) {
    Scene tree(64, 3, 144);
    tree.add_tree(0, computed, {-1, 0, 0, 2}, 140);  // The path 0, 2, 3 is a chain of three.
    Scene chunk = tree;
    chunk.sequences.clear(), chunk.masks.clear(), chunk.q.clear();
    chunk.add(0, computed, 3);
    const uint32_t path[] = {0, 2, 3};
    for (uint32_t i = 0; i < 3; ++i) {
      chunk.copy(140, path[i], chunk.pages[(computed + i) / 16], (computed + i) % 16);
      std::copy_n(&tree.q[path[i] * tree.stride()], tree.stride(), &chunk.q[i * tree.stride()]);
    }
    // What lies behind the tree's positions is nobody's: not a number must do no harm.
    for (uint32_t p = computed; p < (computed + 16) / 16 * 16; ++p)
      for (size_t d = 0; d < 64; ++d) {
        tree.layer[tree.layout.key_at(tree.pages[p / 16], 0, p % 16, d)] = 0x7e00;
        tree.layer[tree.layout.value_at(tree.pages[p / 16], 0, p % 16) + d] = 0x7e00;
      }
    const auto packed = tree.run(1), plain = chunk.run(1);
    for (uint32_t i = 0; i < 3; ++i)
      EXPECT_TRUE(std::memcmp(&packed[path[i] * tree.stride()], &plain[i * tree.stride()], tree.stride() * 4) == 0);
    Scene single = chunk;
    single.sequences.clear(), single.masks.clear(), single.q.clear();
    single.add(0, computed + 2, 1);
    std::copy_n(&chunk.q[2 * chunk.stride()], chunk.stride(), single.q.data());
    const auto alone = single.run(kSegmentSplits);
    EXPECT_TRUE(std::memcmp(alone.data(), &plain[2 * chunk.stride()], chunk.stride() * 4) == 0);
  }
}

}  // namespace
}  // namespace redraft::cuda
