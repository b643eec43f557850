// What happens around the target's layers: rows, draws, the walk, the commit. One sequence with a tree of 16.
#include "cuda/step_layout.cuh"
#include "kv_cache/kv_cache.cuh"
#include "report.h"

namespace redraft::cuda_report {

using namespace cuda;

namespace {

void add_sample(Cases& cases) {
  constexpr uint32_t kRows = 2, kVocab = 32768;
  auto memory = std::make_shared<Memory>();
  DeviceSampling s{0.8f, 0.95f, 0, 1, 0, 0, 50, 0, 7};
  std::vector<SampleRow> rows(kRows);
  for (uint32_t r = 0; r < kRows; ++r) rows[r] = {0, r, 100 + r, 0, 0};
  const SampleParams p{memory->array(cuda_host::normal_floats(kRows * kVocab, 1, 3)),
                       nullptr,
                       memory->array(rows),
                       memory->array<uint32_t>(kRows * kPathMax),
                       memory->array(std::vector<DeviceSampling>{s}),
                       nullptr,
                       nullptr,
                       nullptr,
                       nullptr,
                       memory->array<int32_t>(kRows),
                       kRows,
                       kVocab};
  cases.push_back({"redraft_sample", "2 rows of 32768, top-k 50, top-p 0.95", sample_shape(p), memory->keep(p),
                   12.0 * kRows * kVocab, 4.0 * kRows * kVocab + 100, Peak::kF32, memory});
}

}  // namespace

void add_step_cases(Cases& cases) {
  add_sample(cases);
  constexpr uint32_t kRows = 16;
  auto memory = std::make_shared<Memory>();
  std::vector<DeviceSlot> slots(1);
  slots[0].computed_count = 100, slots[0].pending.count = kRows;
  for (int32_t r = 0; r < static_cast<int32_t>(kRows); ++r)
    slots[0].pending.parent[r] = r == 0 ? -1 : (r - 1) / 2, slots[0].pending.token[r] = r;
  DeviceSlot* device_slots = memory->array(slots);
  WalkSequence* walks = memory->array(std::vector<WalkSequence>{{0, kRows, 0, 0, 0, kNoDraft, 1}});
  const uint32_t* pages = memory->array<uint32_t>(8, 1);
  const StepLayoutParams layout{
      memory->array(std::vector<StepSequence>{{0, 0, kRows, 0, 3, 1, 0, kRows, kNoDraft, 0, 0}}),
      device_slots,
      pages,
      nullptr,
      memory->array<uint32_t>(kRows),
      memory->array<uint32_t>(kRows),
      memory->array<uint32_t>(kRows),
      memory->array<uint64_t>(kRows),
      memory->array<DeviceSequence>(1),
      memory->array<SampleRow>(kRows),
      memory->array<uint32_t>(kRows),
      memory->array<uint32_t>(kRows * kPathMax),
      walks,
      1};
  cases.push_back({"redraft_step_layout", "tree of 16", step_layout_shape(layout), memory->keep(layout), kRows * 16.0,
                   kRows * (8.0 + 12 + 8 + 32 + 4 + 12) + 100, Peak::kF32, memory});
  std::vector<int32_t> drawn(kRows);
  for (int32_t r = 0; r < static_cast<int32_t>(kRows); ++r) drawn[r] = 2 * r + 1;  // A path of four.
  const TreeWalkParams walk{
      walks, memory->array(drawn), device_slots, nullptr, memory->array<WalkResult>(1), nullptr, 1, 1000};
  cases.push_back({"redraft_tree_walk", "tree of 16, 4 accepted", tree_walk_shape(walk), memory->keep(walk),
                   kRows * 5.0, kRows * 8.0 + 20 + 40 + 40, Peak::kF32, memory});
  constexpr uint32_t kHead = 128, kKvHeads = 8, kLayers = 2;
  const size_t layer = size_t{6} * kKvHeads * 2 * 16 * kHead;
  const CommitParams commit{memory->array<uint16_t>(kLayers * layer, 1),
                            memory->array(std::vector<uint32_t>{0, 1}),
                            memory->array(std::vector<CommitSequence>{{0, 14, 3, 1}}),
                            memory->array(std::vector<int32_t>{0, 1, 3, 7}),
                            memory->array(std::vector<int32_t>{3}),
                            1,
                            0,
                            kLayers,
                            kKvHeads,
                            kHead,
                            layer};
  cases.push_back({"redraft_kv_commit", "4 rows, 2 of 32 layers, 8 key heads of 128", commit_shape(commit),
                   memory->keep(commit), 0, 4.0 * kLayers * kKvHeads * kHead * 2 * 2 * 2, Peak::kF32, memory});
}

}  // namespace redraft::cuda_report
