// Products with weights of other kinds than packed_matrix.cuh's: bf16 as they lie in memory for any library, and E4M3
// with a scale an output. As there, rows are the columns of the matrix instruction and each sum has one order: a row's
// bits do not depend on how many rows there are.
#pragma once
#include "packed_matrix.cuh"

namespace redraft::cuda {

// Rows as bf16, for weights in bf16.
struct RowsBf16Params {
  DeviceRows from;
  uint16_t* to;  // [row_count, in_count]
  Count row_count;
};
inline LaunchShape rows_bf16_shape(const RowsBf16Params& p) {
  return {{p.row_count.most, 1, 1}, threads_for(p.from.in_count, kQuantiseThreads), 0};
}

// y[row * y_stride + out] = sum over in of w[out, in] * x[row, in].
struct MatmulBf16Params {
  const uint16_t* w;  // [out_count up to a whole strip, in_count]
  const uint16_t* x;  // [row_count, in_count]
  float* y;
  Count row_count;
  uint32_t out_count, in_count, y_stride;  // in_count: a multiple of 32.
};
inline const char* matmul_bf16_kernel(const MatmulBf16Params& p) {
  return p.row_count.most > kMatrixRows ? "redraft_matmul_bf16_wide" : "redraft_matmul_bf16";
}

// E4M3 in the order of 8-bit weights (DeviceMatrix), without their scales: 1024 bytes a pair of blocks.
constexpr uint32_t kPairBytesE4m3 = 1024;
constexpr size_t e4m3_bytes(size_t out_count, uint32_t in_count) {
  return (out_count + kMatrixOutputs - 1) / kMatrixOutputs * pair_count(in_count) * kPairBytesE4m3;
}
struct MatmulE4m3Params {
  const uint8_t* w;
  const float* scales;  // [out_count up to a whole strip]
  DeviceRows x;
  float* y;
  Count row_count;
  uint32_t out_count, y_stride;
};
inline const char* matmul_e4m3_kernel(const MatmulE4m3Params& p) {
  return p.row_count.most > kMatrixRows ? "redraft_matmul_e4m3_wide" : "redraft_matmul_e4m3";
}

// Of both.
inline LaunchShape dense_shape(const Count& row_count, uint32_t out_count) {
  const uint32_t rows = row_count.most > kMatrixRows ? kMatrixRows * kMatrixTilesWide : kMatrixRows;
  return {{ceil_div(out_count, kMatrixOutputs), ceil_div(row_count.most, rows), 1}, kMatrixThreads, 0};
}

}  // namespace redraft::cuda
