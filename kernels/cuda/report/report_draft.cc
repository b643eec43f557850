// One draft step of the shipped head on the default model (hidden states and state of 576, an MLP of two layers, a
// draft vocabulary of 4096), launch by launch as cuda_draft.cc has it: one sequence, 8 beams of 6 tokens. The first of
// the five levels has one row there; here all have 8.
#include "beam_search/beam_search.cuh"
#include "gru_draft/gru_draft.cuh"
#include "report.h"
#include "target_model/decoder_rows.cuh"

namespace redraft::cuda_report {
namespace {

using namespace cuda;

constexpr uint32_t kRows = 8, kSize = 576, kGates = 3 * kSize, kVocab = 4096, kBest = 8, kLevels = 5;
constexpr const char* kArea = "the draft step";

DeviceRows rows_of(Memory& memory, uint32_t row_count) {
  return {memory.array<int8_t>(row_count * kSize * 2, 1), memory.array<float>(row_count * kSize / 32, 0.01f),
          memory.array<float>(row_count * kSize / 32, 0.32f), kSize};
}
double bytes_of_rows(double row_count) { return row_count * kSize * (2 + 8.0 / 32); }
double bytes_of_rows8(double row_count) { return row_count * kSize * (2 + 4.0 / 32); }

// What the step must read of a launch's own bytes is its weights: the rest comes from the launch before.
void add_product(Cases& cases, const std::string& what, uint32_t outputs, uint32_t row_count, uint32_t calls) {
  auto memory = std::make_shared<Memory>();
  const size_t weights = matrix_bytes(outputs, kSize, 8);
  const MatmulParams p{{memory->array<uint8_t>(weights, 1), outputs, kSize, 8},
                       rows_of(*memory, row_count),
                       memory->array<float>(row_count * outputs),
                       row_count,
                       outputs};
  const std::string shape = what + ", " + std::to_string(row_count) + " rows, " + std::to_string(outputs) + " x 576";
  cases.push_back({matmul_kernel(p), shape, matmul_shape(p), memory->keep(p), 4.0 * row_count * outputs * kSize,
                   static_cast<double>(weights) + bytes_of_rows8(row_count) + 4.0 * row_count * outputs, Peak::kInt8,
                   memory, kArea, calls, static_cast<double>(weights)});
}

void add_products(Cases& cases) {
  add_product(cases, "the draft's context", kSize, 1, 1);
  add_product(cases, "the draft's first state", kSize, 1, 1);
  add_product(cases, "the GRU's token", kGates, kRows, kLevels);
  add_product(cases, "the GRU's state", kGates, kRows, kLevels);
  add_product(cases, "the MLP's first layer", kSize, kRows, kLevels);
  add_product(cases, "the MLP's second layer", kSize, kRows, kLevels);
}

// Hidden states and embeddings on their way to the products.
void add_inputs(Cases& cases) {
  for (const uint32_t row_count : {1u, kRows}) {
    auto memory = std::make_shared<Memory>();
    const QuantiseParams p{
        memory->array<float>(row_count * kSize, 1), nullptr, rows_of(*memory, row_count), row_count, kSize, kSize};
    const double read = 4.0 * row_count * kSize;
    cases.push_back({"redraft_quantise", "the draft's, " + std::to_string(row_count) + " rows of 576",
                     quantise_shape(p), memory->keep(p), 3.0 * row_count * kSize, read + bytes_of_rows(row_count),
                     Peak::kF32, memory, kArea, row_count == 1 ? 1 : kLevels, row_count == 1 ? read : 0});
  }
  auto memory = std::make_shared<Memory>();
  const EmbedParams p{{memory->array<uint8_t>(matrix_bytes(256, kSize, 8), 1), 256, kSize, 8},
                      memory->array(std::vector<uint32_t>{0, 17, 34, 51, 68, 85, 102, 119}),
                      memory->array<float>(kRows * kSize),
                      kRows};
  const double read = kRows * kSize * 36.0 / 32;
  cases.push_back({"redraft_embed", "the draft's, 8 rows of 576, 8 bits", embed_shape(p), memory->keep(p),
                   2.0 * kRows * kSize, 4.0 * kRows * kSize + read, Peak::kF32, memory, kArea, kLevels, read});
}

void add_rank(Cases& cases, uint32_t bits) {
  auto memory = std::make_shared<Memory>();
  const size_t weights = matrix_bytes(kVocab, kSize, bits);
  const uint32_t parts = rank_part_count(kVocab);
  std::vector<uint8_t> bytes(weights);
  for (size_t i = 0; i < weights; ++i)
    bytes[i] = i % pair_bytes(bits) < (bits == 4 ? 512 : 1024) ? static_cast<uint8_t>(i * 7) : 0;
  const DraftRankParams p{{memory->array(bytes), kVocab, kSize, bits},
                          memory->array<float>(kVocab, 0.1f),
                          rows_of(*memory, kRows),
                          memory->array<RankPart>(kRows * parts),
                          kRows,
                          kBest,
                          1,
                          nullptr,
                          nullptr,
                          nullptr,
                          nullptr,
                          0};
  const std::string shape = "8 rows, 4096 x 576, " + std::to_string(bits) + " bits, 8 best";
  const double read = static_cast<double>(weights) + 4.0 * kVocab;
  const bool runs = bits == 8;  // Heads are packed in 8 bits; of the two kernels a step launches one.
  cases.push_back({draft_rank_kernel(p), shape, draft_rank_shape(p), memory->keep(p), 4.0 * kRows * kVocab * kSize,
                   read + bytes_of_rows(kRows) + kRows * parts * (8.0 + 8 * kBest), Peak::kInt8, memory,
                   runs ? kArea : "", runs ? kLevels : 0, runs ? read : 0});
  if (!runs) return;
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
                   kRows * parts * kBest * 2.0, kRows * (parts * 16.0 + kBest * 12.0), Peak::kF32, memory, kArea,
                   kLevels, kRows * kBest * 4.0});
}

void add_cell(Cases& cases) {
  auto memory = std::make_shared<Memory>();
  const uint32_t* from = memory->array<uint32_t>(kRows);
  float* states = memory->array<float>(kRows * kSize, 0.5f);
  const DraftInitParams init{memory->array<float>(kSize, 1), memory->array<float>(kSize, 1), states, 1, kSize};
  const double state_bytes = 4.0 * kRows * kSize, bias = 4.0 * kSize;
  cases.push_back({"redraft_draft_init", "1 row of 576", draft_init_shape(init), memory->keep(init), 2.0 * kSize,
                   3 * bias, Peak::kF32, memory, kArea, 1, bias});
  const DraftGatherParams gather{states, from, rows_of(*memory, kRows), kRows, kSize};
  cases.push_back({"redraft_draft_gather", "8 rows of 576", draft_gather_shape(gather), memory->keep(gather),
                   3.0 * kRows * kSize, bias + bytes_of_rows(kRows), Peak::kF32, memory, kArea, kLevels, 0});
  const DraftCellParams cell{memory->array<float>(kRows * kGates, 1),
                             memory->array<float>(kRows * kGates, 1),
                             memory->array<float>(kGates, 1),
                             memory->array<float>(kGates, 1),
                             nullptr,
                             states,
                             from,
                             memory->array<float>(kRows * kSize),
                             rows_of(*memory, kRows),
                             kRows,
                             kSize,
                             0,
                             DraftCell::kGru};
  cases.push_back({"redraft_draft_cell", "GRU, 8 rows of 576", draft_cell_shape(cell), memory->keep(cell),
                   20.0 * kRows * kSize, 7 * state_bytes + 7 * bias + bytes_of_rows(kRows), Peak::kF32, memory, kArea,
                   kLevels, 6 * bias});
}

void add_mlp(Cases& cases) {
  auto memory = std::make_shared<Memory>();
  DraftMlpParams mlp{memory->array<float>(kRows * kSize, 1),
                     memory->array<float>(kSize, 1),
                     memory->array<uint32_t>(kRows),
                     memory->array<float>(kSize, 1),
                     nullptr,
                     memory->array<float>(kRows * kSize),
                     rows_of(*memory, kRows),
                     kRows,
                     kSize,
                     kSize,
                     1};
  const double rows = 4.0 * kRows * kSize, bias = 4.0 * kSize;
  cases.push_back({"redraft_draft_mlp", "first layer, 8 rows of 576", draft_mlp_shape(mlp), memory->keep(mlp),
                   8.0 * kRows * kSize, 2 * rows + 2 * bias + bytes_of_rows(kRows), Peak::kF32, memory, kArea, kLevels,
                   bias});
  mlp.context = nullptr;
  cases.push_back({"redraft_draft_mlp", "second layer, 8 rows of 576", draft_mlp_shape(mlp), memory->keep(mlp),
                   8.0 * kRows * kSize, 3 * rows + bias + bytes_of_rows(kRows), Peak::kF32, memory, kArea, kLevels,
                   bias});
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
                   4.0 * kNodes + 12.0 * kRows * kBest + 8.0 * kRows * kBest, Peak::kF32, memory, kArea, kLevels, 0});
  cases.push_back({"redraft_beam_pack", "33 packed tokens", beam_shape(p), memory->keep(p), 33.0 * 33 * 2,
                   nodes + 12.0 * 33, Peak::kF32, memory, kArea, 1, 12.0 * 33});
  cases.push_back(
      {"redraft_beam_begin", "one sequence", beam_shape(p), memory->keep(p), 1, 40, Peak::kF32, memory, kArea, 1, 40});
}

}  // namespace

void add_draft_cases(Cases& cases) {
  add_products(cases);
  add_inputs(cases);
  add_rank(cases, 8);
  add_rank(cases, 4);
  add_cell(cases);
  add_mlp(cases);
  add_beams(cases);
}

}  // namespace redraft::cuda_report
