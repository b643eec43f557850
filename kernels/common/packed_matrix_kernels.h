// The inner loops of packed_matrix.cc, one table an instruction set. All tables give the same bits: the integer sums
// are exact, and the floating-point operations are the same ones in the same order (f = d * s; y = fma(sum, f, y),
// ...).
#pragma once
#include "isa.h"
#include "packed_matrix.h"

namespace redraft {

// One strip of weights against a tile of rows, or more tiles, one after the other.
struct StripCall {
  const uint8_t* strip;
  size_t block_count;
  const RowBlock* rows;  // As QuantRows::tile() gives them.
  size_t row_count;      // 1 ... MatrixKernels::rows_max.
  float* y;              // Of the strip's first output, the tile's first row.
  size_t y_stride;
  size_t out_count;  // 1 ... 16.
};

// largest: of the block; rest: of the block without the four that may reach 2032. Under the smallest normal number 1 /
// scale may be infinite: then all values are 0.
static inline float block_scale(float largest, float rest) {
  const float fine = rest * (1.0f / 127), coarse = largest * (1.0f / 2032);
  const float scale = fine > coarse ? fine : coarse;
  return scale >= 1.17549435e-38f ? scale : 0;
}

static inline void finish_block(RowBlock& block, float scale, int32_t sum, uint32_t group) {
  block.scale = scale;
  block.sum = scale * static_cast<float>(sum);
  block.offset = -128 * sum;
  block.group = group;
  block.at4 = 64 * (group % 4);
  block.shift = group < 4 ? 4 : 0;
}

struct MatrixKernels {
  size_t rows_max;  // That a strip meets in one call: whole tiles.
  void (*strip4)(const StripCall& call);
  void (*strip8)(const StripCall& call);
  // x: [32 * block_count]; to: one row's first block of a tile, the next being 8 further.
  void (*quantise)(const float* x, size_t block_count, RowBlock* to);
};

// Strips of 4-bit weights against all rows, where the machine multiplies tiles.
struct WideCall {
  const uint8_t* strips;
  size_t strip_count;
  size_t block_count;
  const WideBlock* rows;  // As QuantRows::wide() gives them.
  size_t row_count;       // At least 1.
  float* y;               // Of the strips' first output, the first row.
  size_t y_stride;
  size_t out_count;  // Of all the strips; the last one's may be fewer than 16.
};

struct WideKernels {
  const char* name;
  void (*strips4)(const WideCall& call);
  // rows: one row's first block of a tile of 8, the next being 8 further. row: its place in the tile of 16 at `to`.
  void (*widen)(const RowBlock* rows, size_t block_count, size_t row, WideBlock* to);
};

const WideKernels* wide_kernels();      // nullptr where there are none, or REDRAFT_ISA asks for something else.
const WideKernels* wide_kernels_amx();  // nullptr where it was not compiled, or the machine or the system has no tiles.

const MatrixKernels& kernels();  // Those of isa().
const MatrixKernels* kernels_of(Isa isa);
const MatrixKernels* kernels_portable();
const MatrixKernels* kernels_avx2();  // nullptr where it was not compiled.
const MatrixKernels* kernels_avxvnni();
const MatrixKernels* kernels_avx512();
const MatrixKernels* kernels_neon();  // nullptr too where the machine has no dot product.

}  // namespace redraft
