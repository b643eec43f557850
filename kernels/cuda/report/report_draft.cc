// A draft head as the project trains them for a model of 4096: state 512, MLP 1024, draft vocabulary 16,384 (cut to
// 2048 here); 8 beams.
#include "beam_search/beam_search.cuh"
#include "gru_draft/gru_draft.cuh"
#include "report.h"

namespace redraft::cuda_report {
namespace {

using namespace cuda;

constexpr uint32_t kRows = 8, kState = 512, kMlp = 1024, kVocab = 2048, kBest = 8;

DeviceRows rows_of(Memory& memory, uint32_t in) {
  return {memory.array<int8_t>(kRows * in * 2, 1), memory.array<float>(kRows * in / 32, 0.01f),
          memory.array<float>(kRows * in / 32, 0.32f), in};
}
double bytes_of_rows(double in) { return kRows * in * (2 + 8.0 / 32); }

void add_rank(Cases& cases, uint32_t bits) {
  auto memory = std::make_shared<Memory>();
  const size_t weights = matrix_bytes(kVocab, kMlp, bits);
  const uint32_t parts = rank_part_count(kVocab);
  std::vector<uint8_t> bytes(weights);
  for (size_t i = 0; i < weights; ++i)
    bytes[i] = i % pair_bytes(bits) < (bits == 4 ? 512 : 1024) ? static_cast<uint8_t>(i * 7) : 0;
  const DraftRankParams p{{memory->array(bytes), kVocab, kMlp, bits},
                          memory->array<float>(kVocab, 0.1f),
                          rows_of(*memory, kMlp),
                          memory->array<RankPart>(kRows * parts),
                          kRows,
                          kBest,
                          1,
                          nullptr,
                          nullptr,
                          nullptr,
                          nullptr,
                          0};
  const std::string shape = "8 rows, 2048 of 16384 x 1024, " + std::to_string(bits) + " bits, 8 best";
  cases.push_back(
      {draft_rank_kernel(p), shape, draft_rank_shape(p), memory->keep(p), 4.0 * kRows * kVocab * kMlp,
       static_cast<double>(weights) + 4.0 * kVocab + bytes_of_rows(kMlp) + kRows * parts * (8.0 + 8 * kBest),
       Peak::kInt8, memory});
  if (bits == 4) return;
  std::vector<RankPart> full(kRows * parts);
  for (uint32_t i = 0; i < kRows * parts; ++i) {
    full[i].peak = 1, full[i].sum = 20;
    for (uint32_t j = 0; j < kBest; ++j)
      full[i].best[j] = uint64_t{0xbf800000u - j} << 32 | (0xffffffffu - i % parts * 128 - j);
  }
  const DraftRankJoinParams join{memory->array(full),
                                 memory->array<uint32_t>(kVocab, 5),
                                 memory->array<uint32_t>(kRows * kBest),
                                 memory->array<float>(kRows * kBest),
                                 kRows,
                                 parts,
                                 kBest};
  cases.push_back({"redraft_draft_rank_join", shape, draft_rank_join_shape(join), memory->keep(join),
                   kRows * parts * kBest * 2.0, kRows * (parts * 16.0 + kBest * 12.0), Peak::kF32, memory});
}

void add_cell(Cases& cases) {
  auto memory = std::make_shared<Memory>();
  const uint32_t* from = memory->array<uint32_t>(kRows);
  float* states = memory->array<float>(kRows * kState, 0.5f);
  const DraftInitParams init{memory->array<float>(kRows * kState, 1), memory->array<float>(kState, 1), states, kRows,
                             kState};
  const double state_bytes = 4.0 * kRows * kState;
  cases.push_back({"redraft_draft_init", "8 rows of 512", draft_init_shape(init), memory->keep(init),
                   2.0 * kRows * kState, 2 * state_bytes + 4.0 * kState, Peak::kF32, memory});
  const DraftGatherParams gather{states, from, rows_of(*memory, kState), kRows, kState};
  cases.push_back({"redraft_draft_gather", "8 rows of 512", draft_gather_shape(gather), memory->keep(gather),
                   3.0 * kRows * kState, 4.0 * kState + bytes_of_rows(kState), Peak::kF32, memory});
  const DraftCellParams cell{memory->array<float>(kRows * 3 * kState, 1),
                             memory->array<float>(kRows * 3 * kState, 1),
                             memory->array<float>(3 * kState, 1),
                             memory->array<float>(3 * kState, 1),
                             nullptr,
                             states,
                             from,
                             memory->array<float>(kRows * kState),
                             rows_of(*memory, kState),
                             kRows,
                             kState,
                             0,
                             DraftCell::kGru};
  cases.push_back({"redraft_draft_cell", "GRU, 8 rows of 512", draft_cell_shape(cell), memory->keep(cell),
                   20.0 * kRows * kState, 7 * state_bytes + 4.0 * kState + 24.0 * kState + bytes_of_rows(kState),
                   Peak::kF32, memory});
  const DraftMlpParams mlp{memory->array<float>(kRows * kMlp, 1),
                           memory->array<float>(kMlp, 1),
                           from,
                           nullptr,
                           nullptr,
                           memory->array<float>(kRows * kMlp),
                           rows_of(*memory, kMlp),
                           kRows,
                           kMlp,
                           kMlp,
                           1};
  cases.push_back({"redraft_draft_mlp", "first layer, 8 rows of 1024", draft_mlp_shape(mlp), memory->keep(mlp),
                   8.0 * kRows * kMlp, 8.0 * kRows * kMlp + 4.0 * kMlp + bytes_of_rows(kMlp), Peak::kF32, memory});
}

// A search of 8 beams in its third level; the tree of 33 packed tokens at its end.
void add_beams(Cases& cases) {
  constexpr uint32_t kWidth = 8, kNodes = 1 + kWidth + kWidth * kWidth;
  auto memory = std::make_shared<Memory>();
  BeamState state{kNodes, kWidth, 3, {}};
  std::vector<int32_t> token(kNodesMax), parent(kNodesMax, -1);
  std::vector<float> logprob(kNodesMax, -9), candidates(kRows * kBest);
  for (uint32_t i = 1; i < kNodes; ++i)
    token[i] = static_cast<int32_t>(i), parent[i] = i <= kWidth ? 0 : static_cast<int32_t>(1 + (i - 9) / kWidth),
    logprob[i] = -0.01f * static_cast<float>(i);
  logprob[0] = 0;
  for (uint32_t b = 0; b < kWidth; ++b) state.frontier[b] = 1 + kWidth + b;
  for (uint32_t i = 0; i < candidates.size(); ++i) candidates[i] = -0.1f * static_cast<float>(i % kBest);
  std::vector<DeviceSlot> slots(1);
  slots[0].pending.count = 1;
  const BeamParams p{memory->array(std::vector<BeamSequence>{{0, kWidth, 6, 33}}),
                     memory->array(slots),
                     memory->array(std::vector<BeamState>{state}),
                     memory->array(token),
                     memory->array(parent),
                     memory->array(logprob),
                     memory->array<uint32_t>(kRows * kBest, 7),
                     memory->array(candidates),
                     memory->array<uint32_t>(kRows),
                     memory->array<uint32_t>(kRows),
                     memory->array<uint32_t>(kRows),
                     1,
                     kBest,
                     kWidth,
                     kWidth};
  const double nodes = 12.0 * kNodes;
  cases.push_back({"redraft_beam_expand", "8 beams, third level", beam_shape(p), memory->keep(p), kRows * kBest * 2.0,
                   4.0 * kNodes + 12.0 * kRows * kBest + 8.0 * kRows * kBest, Peak::kF32, memory});
  cases.push_back({"redraft_beam_pack", "33 packed tokens", beam_shape(p), memory->keep(p), 33.0 * 33 * 2,
                   nodes + 12.0 * 33, Peak::kF32, memory});
  cases.push_back({"redraft_beam_begin", "one sequence", beam_shape(p), memory->keep(p), 1, 40, Peak::kF32, memory});
}

}  // namespace

void add_draft_cases(Cases& cases) {
  add_rank(cases, 8);
  add_rank(cases, 4);
  add_cell(cases);
  add_beams(cases);
}

}  // namespace redraft::cuda_report
