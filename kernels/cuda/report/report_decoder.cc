// Shapes of an 8-billion-parameter Llama (hidden 4096, 32 heads on 8 key heads of 128), cut to a part of the outputs so
// that the host runs them in seconds: bytes and operations grow with the outputs.
#include "common/dense_matrix.cuh"
#include "common/packed_matrix.h"
#include "report.h"
#include "target_model/decoder_rows.cuh"

namespace redraft::cuda_report {
namespace {

using namespace cuda;

constexpr uint32_t kHidden = 4096, kOutputs = 256;

DeviceRows rows_of(Memory& memory, uint32_t row_count, uint32_t in) {
  return {memory.array<int8_t>(row_count * in * 2, 1), memory.array<float>(row_count * in / 32, 0.01f),
          memory.array<float>(row_count * in / 32, 0.32f), in};
}
double bytes_of_rows(double row_count, double in) { return row_count * in * (2 + 8.0 / 32); }
double bytes_of_rows8(double row_count, double in) { return row_count * in * (2 + 4.0 / 32); }

void add_matmul(Cases& cases, uint32_t bits, uint32_t row_count) {
  auto memory = std::make_shared<Memory>();
  const size_t weights = matrix_bytes(kOutputs, kHidden, bits);
  const MatmulParams p{{memory->array<uint8_t>(weights, 1), kOutputs, kHidden, bits},
                       rows_of(*memory, row_count, kHidden),
                       memory->array<float>(row_count * kOutputs),
                       row_count,
                       kOutputs};
  const double rows = bits == 4 ? bytes_of_rows(row_count, kHidden) : bytes_of_rows8(row_count, kHidden);
  cases.push_back({matmul_kernel(p),
                   std::to_string(row_count) + " rows, 256 of 4096 x 4096, " + std::to_string(bits) + " bits",
                   matmul_shape(p), memory->keep(p), 4.0 * row_count * kOutputs * kHidden,
                   static_cast<double>(weights) + rows + 4.0 * row_count * kOutputs, Peak::kInt8, memory});
}

void add_dense_matmuls(Cases& cases, uint32_t row_count) {
  auto memory = std::make_shared<Memory>();
  const std::string shape = std::to_string(row_count) + " rows, 256 of 4096 x 4096, ";
  const double results = 4.0 * row_count * kOutputs, operations = 2.0 * row_count * kOutputs * kHidden;
  float* y = memory->array<float>(row_count * kOutputs);
  const DeviceRows rows = rows_of(*memory, row_count, kHidden);
  const MatmulBf16Params bf16{memory->array<uint16_t>(kOutputs * kHidden, 0x3f80),
                              memory->array<uint16_t>(row_count * kHidden, 0x3f80),
                              y,
                              row_count,
                              kOutputs,
                              kHidden,
                              kOutputs};
  cases.push_back({matmul_bf16_kernel(bf16), shape + "bf16", dense_shape(row_count, kOutputs), memory->keep(bf16),
                   operations, 2.0 * kHidden * (kOutputs + row_count) + results, Peak::kF16, memory});
  const MatmulE4m3Params e4m3{memory->array<uint8_t>(e4m3_bytes(kOutputs, kHidden), 0x38),
                              memory->array<float>(kOutputs, 1),
                              rows,
                              y,
                              row_count,
                              kOutputs,
                              kOutputs};
  cases.push_back({matmul_e4m3_kernel(e4m3), shape + "E4M3", dense_shape(row_count, kOutputs), memory->keep(e4m3),
                   2 * operations, kHidden * double{kOutputs} + bytes_of_rows8(row_count, kHidden) + results,
                   Peak::kF16, memory});
  if (row_count > kMatrixRows) return;
  const RowsBf16Params round{rows, memory->array<uint16_t>(row_count * kHidden), row_count};
  cases.push_back({"redraft_rows_bf16", "8 rows of 4096", rows_bf16_shape(round), memory->keep(round),
                   3.0 * row_count * kHidden, bytes_of_rows8(row_count, kHidden) + 2.0 * row_count * kHidden,
                   Peak::kF32, memory});
}

}  // namespace

void add_decoder_cases(Cases& cases) {
  for (const uint32_t bits : {4u, 8u})
    for (const uint32_t rows : {8u, 32u}) add_matmul(cases, bits, rows);
  for (const uint32_t rows : {8u, 32u}) add_dense_matmuls(cases, rows);
  constexpr uint32_t kRows = 8;
  const double row_floats = 4.0 * kRows * kHidden;
  {
    auto memory = std::make_shared<Memory>();
    const QuantiseParams p{
        memory->array<float>(kRows * kHidden), nullptr, rows_of(*memory, kRows, kHidden), kRows, kHidden, kHidden};
    cases.push_back({"redraft_quantise", "8 rows of 4096", quantise_shape(p), memory->keep(p), 3.0 * kRows * kHidden,
                     row_floats + bytes_of_rows(kRows, kHidden), Peak::kF32, memory});
  }
  {
    auto memory = std::make_shared<Memory>();
    const EmbedParams p{{memory->array<uint8_t>(matrix_bytes(256, kHidden, 4), 1), 256, kHidden, 4},
                        memory->array(std::vector<uint32_t>{0, 17, 34, 51, 68, 85, 102, 119}),
                        memory->array<float>(kRows * kHidden),
                        kRows};
    cases.push_back({"redraft_embed", "8 rows of 4096, 4 bits", embed_shape(p), memory->keep(p), 2.0 * kRows * kHidden,
                     row_floats + kRows * kHidden * 20.0 / 32, Peak::kF32, memory});
  }
  {
    auto memory = std::make_shared<Memory>();
    const NormParams p{memory->array<float>(kRows * kHidden, 1),
                       memory->array<float>(kRows * kHidden, 1),
                       memory->array<float>(kHidden, 1),
                       nullptr,
                       rows_of(*memory, kRows, kHidden),
                       kRows,
                       kHidden,
                       1e-5f};
    cases.push_back({"redraft_norm", "8 rows of 4096", norm_shape(p), memory->keep(p), 8.0 * kRows * kHidden,
                     3 * row_floats + 4.0 * kHidden + bytes_of_rows(kRows, kHidden), Peak::kF32, memory});
  }
  {
    auto memory = std::make_shared<Memory>();
    std::vector<uint32_t> place(kRows), position(kRows);
    for (uint32_t r = 0; r < kRows; ++r) place[r] = r, position[r] = r;
    const RopeAppendParams p{memory->array<float>(kRows * kHidden),
                             memory->array<float>(kRows * 1024),
                             memory->array<float>(kRows * 1024),
                             memory->array<float>(kRows * 64),
                             memory->array<float>(kRows * 64),
                             memory->array(position),
                             memory->array(place),
                             memory->array<uint16_t>(2 * 16 * 1024),
                             kRows,
                             32,
                             8,
                             128,
                             128,
                             1};
    cases.push_back({"redraft_rope_append", "8 rows, 32 heads on 8 of 128", rope_append_shape(p), memory->keep(p),
                     3.0 * kRows * (kHidden + 1024), 2 * row_floats + kRows * (2 * 1024 * 6.0 + 2 * 64 * 4), Peak::kF32,
                     memory});
  }
  {
    auto memory = std::make_shared<Memory>();
    const SwigluParams p{memory->array<float>(kRows * kHidden, 1), memory->array<float>(kRows * kHidden, 1),
                         rows_of(*memory, kRows, kHidden), kRows, kHidden};
    cases.push_back({"redraft_swiglu", "8 rows of 4096", swiglu_shape(p), memory->keep(p), 6.0 * kRows * kHidden,
                     2 * row_floats + bytes_of_rows(kRows, kHidden), Peak::kF32, memory});
  }
}

}  // namespace redraft::cuda_report
