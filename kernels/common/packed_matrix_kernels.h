// The inner loops of packed_matrix.cc, one table an instruction set. All tables give the same bits: the integer sums
// are exact, and the floating-point operations are the same ones in the same order (f = d * s; y = fma(sum, f, y),
// ...).
#pragma once
#include "packed_matrix.h"

namespace redraft {

// One strip of weights against one tile of rows; pointers as QuantRows gives them.
struct StripCall {
  const uint8_t* strip;
  size_t block_count;
  const int8_t* values;
  const float* scales;
  const float* sums;
  const int32_t* offsets;
  size_t row_count;  // 1 ... kRowsTile.
  float* y;          // Of the strip's first output, the tile's first row.
  size_t y_stride;
  size_t out_count;  // 1 ... 16.
};

struct MatrixKernels {
  const char* name;
  void (*strip4)(const StripCall& call);
  void (*strip8)(const StripCall& call);
  // x: [32 * block_count]; the rest: one row's places in a tile, a block being 8 rows.
  void (*quantise)(const float* x, size_t block_count, int8_t* values, float* scales, float* sums, int32_t* offsets);
};

const MatrixKernels& kernels();  // The best this machine runs, or what REDRAFT_ISA asks for.
const MatrixKernels* kernels_portable();
const MatrixKernels* kernels_avx2();  // nullptr where it was not compiled.
const MatrixKernels* kernels_avx512();

}  // namespace redraft
