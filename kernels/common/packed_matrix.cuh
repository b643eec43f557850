// Weights and activations as the CUDA kernels read them. Weights are the CPU's (packed_matrix.h): the same 4- or 8-bit
// numbers. Activations keep 15 bits in blocks of 32, as two bytes: where the CPU spends a byte, since a second costs it
// time, the second matrix instruction here is hidden behind the load of the weights.
//
// A product is mma.m16n8k32 on 8-bit integers: its k is one quantisation block, so a block's sum is exact, and what is
// left to rounding is a sum over blocks in one fixed order. Rows are the columns of the matrix instruction. So a row's
// result does not depend on how many rows there are: a tree of 8 costs what one row costs, and gets the same bits.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../cuda/launch.h"

namespace redraft::cuda {

constexpr uint32_t kBlock = 32;          // Inputs that share a scale.
constexpr uint32_t kMatrixOutputs = 16;  // Of a strip: rows of the matrix instruction.
constexpr uint32_t kMatrixWarps = 8;     // Of a CTA; pair p of blocks is summed by warp p % 8.
constexpr uint32_t kMatrixThreads = 32 * kMatrixWarps;
constexpr uint32_t kMatrixRows = 8;       // Columns of the matrix instruction.
constexpr uint32_t kMatrixTilesWide = 4;  // Row tiles of the wide kernel: weights are read once for 32 rows.

// A strip of 16 outputs after the other; in it pair after pair of blocks (an odd last block is paired with zeros):
//   8 bits: for both blocks, lane l's 16 bytes of A fragments (device.h), l = 0 .. 31; then f32 scale[2][16].
//   4 bits: lane l's 16 bytes: of block 0 the word of output g, of output g + 8; of block 1 the same; byte i of a word
//     holds input 4 t + i in its low nibble, 16 + 4 t + i in its high one; then f16 scale[2][16], f16 minimum[2][16].
struct DeviceMatrix {
  const uint8_t* data;
  uint32_t out_count, in_count;  // in_count: a multiple of 32.
  uint32_t bits;                 // 4 or 8.
};
constexpr uint32_t kPairBytes8 = 2 * 512 + 2 * 64;
constexpr uint32_t kPairBytes4 = 512 + 2 * 64;
constexpr uint32_t pair_bytes(uint32_t bits) { return bits == 4 ? kPairBytes4 : kPairBytes8; }
constexpr uint32_t pair_count(uint32_t in_count) { return (in_count / kBlock + 1) / 2; }
constexpr size_t matrix_bytes(size_t out_count, uint32_t in_count, uint32_t bits) {
  return (out_count + kMatrixOutputs - 1) / kMatrixOutputs * pair_count(in_count) * pair_bytes(bits);
}

// Quantised activations, row after row: x = scale * (128 * high + low).
struct DeviceRows {
  int8_t* values;     // [row_count, in_count / 32, 2, 32]: the high bytes of a block, then the low ones.
  float* scales;      // [row_count, in_count / 32]
  float* sums;        // [row_count, in_count / 32]: scale times the sum of the block's values.
  uint32_t in_count;  // A multiple of 32.
};
constexpr int32_t kActivationMax = 127 * 128;  // Of 128 * high + low; low is in [-64, 63].

// y[row * y_stride + out] = sum over in of w[out, in] * x[row, in], rows [0, row_count).
struct MatmulParams {
  DeviceMatrix w;
  DeviceRows x;
  float* y;
  Count row_count;
  uint32_t y_stride;
};
inline const char* matmul_kernel(const MatmulParams& p) {
  const bool wide = p.row_count.most > kMatrixRows;
  if (p.w.bits == 4) return wide ? "redraft_matmul4_wide" : "redraft_matmul4";
  return wide ? "redraft_matmul8_wide" : "redraft_matmul8";
}
inline LaunchShape matmul_shape(const MatmulParams& p) {
  const uint32_t rows = p.row_count.most > kMatrixRows ? kMatrixRows * kMatrixTilesWide : kMatrixRows;
  return {{ceil_div(p.w.out_count, kMatrixOutputs), ceil_div(p.row_count.most, rows), 1}, kMatrixThreads, 0};
}

// x[r, i] becomes quantised activations: row r of rows; x's row r is from[r] if from is not null.
struct QuantiseParams {
  const float* x;
  const uint32_t* from;  // [row_count], or null.
  DeviceRows rows;
  Count row_count;
  uint32_t x_stride, x_count;  // Inputs from x_count on are zeros.
};
constexpr uint32_t kQuantiseThreads = 256;
inline LaunchShape quantise_shape(const QuantiseParams& p) {
  return {{p.row_count.most, 1, 1}, threads_for(p.rows.in_count, kQuantiseThreads), 0};
}

}  // namespace redraft::cuda
