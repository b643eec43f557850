// The inner loops of packed_matrix.cc, one table an instruction set. All tables give the same bits: the integer sums are
// exact, and the floating-point operations are the same ones in the same order (f = d * s; y = fma(sum, f, y), ...).
#pragma once
#include "packed_matrix.h"

namespace redraft {

constexpr size_t kRowsTile = 8;  // Rows whose sums fit the registers beside one block of weights.

struct StripCall {
  const uint8_t* strip;
  size_t block_count;
  const QuantRows* x;
  float* y;  // Of the strip's first output, row 0.
  size_t y_stride;
  size_t out_count;  // <= 16.
};

struct MatrixKernels {
  const char* name;
  // Rows [row_begin, row_begin + row_count) of one strip; row_count <= kRowsTile.
  void (*strip4)(const StripCall& call, size_t row_begin, size_t row_count);
  void (*strip8)(const StripCall& call, size_t row_begin, size_t row_count);
  // x: [32 * block_count]; the rest as QuantRows.
  void (*quantise)(const float* x, size_t block_count, int8_t* values, float* scales, float* sums, int32_t* offsets);
};

const MatrixKernels& kernels();  // The best this machine runs, or what REDRAFT_ISA asks for.
const MatrixKernels* kernels_portable();
const MatrixKernels* kernels_avx2();        // nullptr where it was not compiled.
const MatrixKernels* kernels_avx512();

}  // namespace redraft
