// kv_cache.cu on the host, against KvCache::copy_row().
#include "kv_cache.cuh"

#include "cuda/host/kernel_test.h"
#include "kv_cache.h"

namespace redraft::cuda {
namespace {

using namespace cuda_host;
using test::fail;

constexpr uint32_t kPathStride = 65;  // As WalkResult's parts lie: a count, then a path.

struct Scene {
  static constexpr size_t kLayers = 2;
  KvLayout layout{1, 3, 48, 12};  // Of a layer: on a device each is a cache of its own.
  std::vector<uint16_t> pages_data;
  std::vector<uint32_t> pages = {4, 2, 9, 7, 0, 1};

  Scene() : pages_data(kLayers * layout.layer_elements()) {
    for (size_t i = 0; i < pages_data.size(); ++i) pages_data[i] = static_cast<uint16_t>(i * 40503u >> 3);
  }
  std::vector<uint16_t> commit(const std::vector<CommitSequence>& sequences,
                               const std::vector<std::vector<int32_t>>& paths) const {
    DeviceArray<uint16_t> data(pages_data);
    DeviceArray<uint32_t> dpages(pages);
    DeviceArray<CommitSequence> dsequences(sequences);
    std::vector<int32_t> words(paths.size() * kPathStride);
    for (size_t i = 0; i < paths.size(); ++i) {
      words[i * kPathStride] = static_cast<int32_t>(paths[i].size()) - 1;
      std::copy(paths[i].begin(), paths[i].end(), &words[i * kPathStride + 1]);
    }
    DeviceArray<int32_t> dwords(words);
    const CommitParams p{data.data(),
                         dpages.data(),
                         dsequences.data(),
                         dwords.data() + 1,
                         dwords.data(),
                         static_cast<uint32_t>(sequences.size()),
                         kPathStride,
                         kLayers,
                         3,
                         48,
                         layout.layer_elements()};
    launch("redraft_kv_commit", commit_shape(p), p);
    return data.values();
  }
};

TEST(KvCommitCuda, MovesRowsAsTheCpu) {
  const Scene scene;
  const std::vector<CommitSequence> sequences = {{0, 14, 5, 1}, {3, 31, 10, 1}, {2, 3, 8, 1}, {1, 9, 6, 0}};
  const std::vector<std::vector<int32_t>> paths = {{0, 2, 17, 30}, {0}, {}, {0, 1}};
  KvLayout layout = scene.layout;
  layout.layer_count = Scene::kLayers;
  KvCache cache(layout);
  const auto each_part = [&](auto act) {  // Of a layer in a page: where it lies on the device, and here.
    for (size_t layer = 0; layer < layout.layer_count; ++layer)
      for (size_t page = 0; page < layout.page_count; ++page)
        act(layer * layout.layer_elements() + page * layout.page_elements(),
            cache.layer(layer) + page * layout.page_stride());
  };
  each_part([&](size_t at, uint16_t* part) { std::copy_n(&scene.pages_data[at], layout.page_elements(), part); });
  for (size_t s = 0; s < 3; ++s)
    for (size_t i = 0; i < paths[s].size(); ++i) {
      const size_t packed = static_cast<size_t>(paths[s][i]), position = sequences[s].begin + i;
      cache.copy_row(sequences[s].tree_page + packed / 16, packed % 16,
                     scene.pages[sequences[s].page_table + position / 16], position % 16);
    }
  in_both_orders([&] {
    const auto got = scene.commit(sequences, paths);
    each_part([&](size_t at, const uint16_t* part) {
      EXPECT_TRUE(std::memcmp(&got[at], part, layout.page_elements() * sizeof(uint16_t)) == 0);
    });
  });
}

// Packed tokens that lie in the sequence's own last page, as other engines keep them: a place may be another's source.
TEST(KvCommitCuda, StagesRowsThatOverlap) {
  Scene scene;
  scene.pages = {5};
  for (const uint32_t begin : {1u, 4u}) {
    const std::vector<int32_t> path = {2, 3, 4, 6};
    const auto got = scene.commit({{0, begin, 5, 1}}, {path});
    for (size_t layer = 0; layer < Scene::kLayers; ++layer)
      for (size_t head = 0; head < 3; ++head)
        for (size_t i = 0; i < path.size(); ++i)
          for (size_t d = 0; d < 48; ++d) {
            const size_t base = layer * scene.layout.layer_elements(), row = static_cast<size_t>(path[i]);
            EXPECT_EQ(got[base + scene.layout.key_at(5, head, begin + i, d)],
                      scene.pages_data[base + scene.layout.key_at(5, head, row, d)]);
            EXPECT_EQ(got[base + scene.layout.value_at(5, head, begin + i) + d],
                      scene.pages_data[base + scene.layout.value_at(5, head, row) + d]);
          }
  }
}

}  // namespace
}  // namespace redraft::cuda
