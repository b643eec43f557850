#include "tree_attention.h"

#include <cstring>
#include <random>

#include "../common/error.h"
#include "../common/half.h"
#include "../common/isa.h"
#include "../common/test.h"
#include "tree_mask.h"

using namespace redraft;

namespace {

// One layer of random keys and values, random queries, a page table out of order.
struct Scene {
  KvLayout layout{1, 2, 64, 24};
  size_t head_count = 6;
  std::vector<uint16_t> pages_data = std::vector<uint16_t>(layout.layer_elements());
  std::vector<uint32_t> table = {7, 3, 9, 1, 0, 5, 11, 2};
  std::vector<float> q, out;
  AttentionScratch scratch;

  explicit Scene(size_t row_count) : q(row_count * head_count * 64), out(q.size()) {
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    for (auto& half : pages_data) half = f32_to_f16(normal(random));
    for (auto& value : q) value = normal(random) * 0.4f;
  }
  AttentionCall call() {
    return {&layout, pages_data.data(), head_count, q.data(), out.data(), head_count * layout.head_size};
  }
  std::vector<float> run(const AttentionSequence& sequence) {
    for (size_t head = 0; head < 2; ++head)
      for (size_t begin = 0; begin < sequence.row_count; begin += kAttentionRowsTile)
        tree_attention(call(), sequence, head, begin, std::min(kAttentionRowsTile, sequence.row_count - begin),
                       scratch);
    return out;
  }
  std::vector<float> reference(const AttentionSequence& sequence) {
    for (size_t head = 0; head < 2; ++head) tree_attention_reference(call(), sequence, head, 0, sequence.row_count);
    return out;
  }
  void expect_close(const AttentionSequence& sequence) {
    const auto fast = run(sequence), slow = reference(sequence);
    for (size_t i = 0; i < fast.size(); ++i) EXPECT_NEAR(fast[i], slow[i], 2e-5);
  }
};

}  // namespace

TEST(TreeAttention, AgreesWithTheReferenceInTheContextPhase) {
  for (const size_t computed : {0, 1, 15, 16, 17, 70}) {
    Scene scene(21);
    scene.expect_close({scene.table.data(), computed, 0, 21, nullptr, 0});
  }
}

TEST(TreeAttention, AgreesWithTheReferenceOnATree) {
  std::vector<int32_t> parent = {-1};
  std::mt19937 random(8);
  for (int32_t r = 1; r < 37; ++r) parent.push_back(static_cast<int32_t>(random() % static_cast<uint32_t>(r)));
  std::vector<uint64_t> masks(parent.size());
  tree_mask_cpu(parent.data(), masks.data(), static_cast<int32_t>(parent.size()));
  for (const size_t computed : {0, 5, 16, 63}) {
    Scene scene(parent.size());
    scene.expect_close({scene.table.data(), computed, 0, parent.size(), masks.data(), 14});
  }
}

// The heart of "lossless": a token gets the same bits as a packed token as it gets in plain decoding or in a chunk.
TEST(TreeAttention, GivesAPackedTokenTheBitsOfPlainDecoding) {
  constexpr size_t kComputed = 37;
  Scene scene(4);
  const std::vector<int32_t> parent = {-1, 0, 0, 2};  // The path 0, 2, 3 is a chain of three.
  std::vector<uint64_t> masks(4);
  tree_mask_cpu(parent.data(), masks.data(), 4);
  // The chain's keys and values, where a chunk would have them.
  const size_t path[] = {0, 2, 3};
  for (size_t i = 0; i < 3; ++i)
    for (size_t head = 0; head < 2; ++head) {
      const size_t position = kComputed + i, page = scene.table[position / 16];
      for (size_t d = 0; d < 64; ++d)
        scene.pages_data[scene.layout.key_at(page, head, position % 16, d)] =
            scene.pages_data[scene.layout.key_at(14, head, path[i], d)];
      std::memcpy(&scene.pages_data[scene.layout.value_at(page, head, position % 16)],
                  &scene.pages_data[scene.layout.value_at(14, head, path[i])], 64 * sizeof(uint16_t));
    }
  const auto tree = scene.run({scene.table.data(), kComputed, 0, 4, masks.data(), 14});
  const size_t stride = 6 * 64;
  Scene chunk = scene;
  for (size_t i = 0; i < 3; ++i) std::copy_n(&scene.q[path[i] * stride], stride, &chunk.q[i * stride]);
  const auto chain = chunk.run({chunk.table.data(), kComputed, 0, 3, nullptr, 0});
  for (size_t i = 0; i < 3; ++i)
    EXPECT_TRUE(std::memcmp(&tree[path[i] * stride], &chain[i * stride], stride * sizeof(float)) == 0);
  // And alone, as the only row of a step.
  Scene alone = chunk;
  std::copy_n(&chunk.q[2 * stride], stride, alone.q.data());
  const auto single = alone.run({alone.table.data(), kComputed + 2, 0, 1, nullptr, 0});
  EXPECT_TRUE(std::memcmp(&single[0], &chain[2 * stride], stride * sizeof(float)) == 0);
}

TEST(TreeAttention, GivesTheSameBitsOnEachInstructionSet) {
  const Scene scene(3);
  const float* q[3] = {&scene.q[0], &scene.q[64], &scene.q[128]};
  std::vector<std::vector<float>> all;
  std::vector<const AttentionKernels*> tables = {&attention_kernels_portable()};
  if (runs_here(Isa::Avx2)) tables.push_back(&attention_kernels_avx2());
  if (runs_here(Isa::Avx512Vnni)) tables.push_back(&attention_kernels_avx512());
  for (const AttentionKernels* table : tables) {
    std::vector<float> scores(48), out(192);
    float* to[3] = {&scores[0], &scores[16], &scores[32]};
    float* sums[3] = {&out[0], &out[64], &out[128]};
    const uint16_t* keys[2] = {scene.pages_data.data(), &scene.pages_data[scene.layout.key_at(1, 0, 0, 0)]};
    table->score_pages(keys, nullptr, 1, 64, q, to, 3);
    table->add_values(&scene.pages_data[scene.layout.value_at(0, 0, 0)], keys[1], 64, 13, to, sums, 3);
    scores.insert(scores.end(), out.begin(), out.end());
    std::vector<float> pairs(96);
    float* both[3] = {&pairs[0], &pairs[32], &pairs[64]};
    table->score_pages(keys, keys, 2, 64, q, both, 3);
    for (size_t i = 0; i < 48; ++i) EXPECT_EQ(pairs[i / 16 * 32 + i % 16], scores[i]);  // A pair is two single pages.
    scores.insert(scores.end(), pairs.begin(), pairs.end());
    all.push_back(scores);
  }
  for (const auto& each : all) EXPECT_EQ(each, all[0]);
}
