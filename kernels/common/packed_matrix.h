// Weights packed once at load for a weight-stationary product with few rows, and activations quantised to meet them.
// A row's result depends on that row alone: each output sums over the inputs in one fixed order, whatever the number of
// rows, the tile or the thread (DESIGN.md section 4).
#pragma once
#include <cstddef>
#include <cstdint>

#include <algorithm>
#include <memory>

#include "aligned.h"
#include "thread_pool.h"
#include "weight_view.h"

namespace redraft {

constexpr size_t kBlockInputs = 32;   // Inputs that share a scale, of weights and of activations.
constexpr size_t kStripOutputs = 16;  // Outputs computed side by side: the 32-bit lanes of a 512-bit register.

constexpr size_t kRowsTile = 8;   // Rows whose sums fit the registers beside one block of weights.
constexpr size_t kRowsWide = 16;  // Rows of a tile register, where there are any (packed_matrix_amx.cc).
// Fewer take less time without tiles, which want the weights unpacked in memory.
constexpr size_t kRowsWorthTiles = 32;
// Rows that meet all weights of a product before the next ones do: so many, with what they become, stay in the
// second-level cache meanwhile. A prompt of 512 tokens takes a fifth longer where all its rows go together.
constexpr size_t kRowsGroup = 128;

// 32 activations of one row: x = scale * value, value a whole number. Four neighbours, those with the largest input,
// may reach 2032 and keep 16 * high[i] apart; all others reach 127. Without that, one outlier takes the precision of
// the 31 beside it: it cost four fifths of the error of the logits.
struct alignas(64) RowBlock {
  int8_t values[kBlockInputs];  // Of the four, what is left: -8 ... 7.
  int8_t high[4];
  float scale;
  float sum;       // scale * sum of the 32 values
  int32_t offset;  // -128 * sum of the values: undoes the 128 that 8-bit weights are stored with
  uint32_t group;  // The four are inputs [4 * group, 4 * group + 4).
  uint32_t at4;    // In 4-bit weights their bytes are at 64 + at4,
  uint32_t shift;  // in the nibbles that this shift takes to the high ones.
};

// A block of the rows of a tile register. Of each row the 32 values and then, at the places of the four, their high
// parts.
struct alignas(64) WideBlock {
  int8_t values[kRowsWide][2 * kBlockInputs];
  float scale[kRowsWide], sum[kRowsWide];
};

// Activations quantised in blocks of 32 along a row. Eight rows lie together, block by block, so that the inner loops
// reach all of them from one pointer.
class QuantRows {
 public:
  void resize(size_t row_max, size_t in_count);  // in_count: a multiple of 32. Keeps capacity.
  // Rows that the next products will have. What tile registers want is laid out only where they are worth it.
  void begin(size_t row_count);
  // x: [in_count]. Rows, and blocks of a row, may be filled from several threads.
  void quantise(size_t row, const float* x) { quantise_blocks(row, 0, block_count(), x); }
  void quantise_blocks(size_t row, size_t first, size_t count, const float* x);  // x: [32 * count]
  size_t in_count() const { return in_count_; }
  size_t block_count() const { return in_count_ / kBlockInputs; }
  // Rows [8 * tile, 8 * tile + 8): [block][row].
  const RowBlock* tile(size_t tile) const { return &blocks_[tile * kRowsTile * block_count()]; }
  // The same for tile registers: [row / 16][block]; nullptr where they are not worth it.
  const WideBlock* wide() const { return is_wide_ ? wide_.data() : nullptr; }

 private:
  size_t in_count_ = 0;
  AlignedVector<RowBlock> blocks_;
  AlignedVector<WideBlock> wide_;  // Empty where no kernel wants it.
  bool is_wide_ = false;
};

// What is known of a matrix before it is packed. bits: as PackedMatrix keeps it.
struct MatrixShape {
  size_t out_count = 0, in_count = 0;
  int bits = 0;
  size_t strip_count() const { return (out_count + kStripOutputs - 1) / kStripOutputs; }
  size_t block_bytes() const { return bits == 4 ? 64 + 256 : 64 + 512; }
  size_t bytes() const { return strip_count() * (in_count / kBlockInputs) * block_bytes(); }  // Packed.
  bool operator==(const MatrixShape&) const = default;
};

// Strips of 16 outputs; in a strip, blocks of 32 inputs, one after the other as they are read:
//   4 bits (w = d * q + m, q in 0..15): f16 d[16], f16 m[16], then 4 x 64 bytes. Byte 4 j + i of the g-th 64 is output
//   j,
//     input 4 g + i in its low nibble and input 16 + 4 g + i in its high one.
//   8 bits (w = d * q, q in -128..127): f32 d[16], then 8 x 64 bytes. Byte 4 j + i of the g-th is output j, input 4 g +
//   i,
//     stored as q + 128: the dot-product instruction wants one side unsigned.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  // 4-bit formats stay at 4 bits; Q8_0 and Q5_0 keep their exact values in 8 bits; all others are rounded to 8 bits
  // with a scale a block of 32, as Q8_0 is made. Throws Error(REDRAFT_UNSUPPORTED) for a shape that it cannot take.
  static PackedMatrix pack(const WeightView& view);
  // Of what pack() would make.
  static MatrixShape shape_of(const WeightView& view);
  static PackedMatrix pack_f32(const float* weights, size_t out_count, size_t in_count);
  size_t out_count() const { return out_count_; }
  size_t in_count() const { return in_count_; }
  size_t block_count() const { return in_count_ / kBlockInputs; }
  size_t strip_count() const { return (out_count_ + kStripOutputs - 1) / kStripOutputs; }
  size_t bytes() const { return shape().bytes(); }
  int bits() const { return bits_; }
  MatrixShape shape() const { return {out_count_, in_count_, bits_}; }
  size_t block_bytes() const { return shape().block_bytes(); }
  const uint8_t* strip(size_t index) const { return data_.get() + index * block_count() * block_bytes(); }
  // out: [in_count], the weights of one output.
  void unpack_row(size_t out, float* weights) const;

 private:
  void allocate(size_t out_count, size_t in_count, int bits);
  uint8_t* block_at(size_t out, size_t block);
  void put_block(size_t out, size_t block, const float* weights);
  void put_block8(size_t out, size_t block, float scale, const int8_t* q);
  void put_block4(size_t out, size_t block, uint16_t scale, uint16_t minimum, const uint8_t* q);

  size_t out_count_ = 0, in_count_ = 0;
  int bits_ = 0;
  std::shared_ptr<uint8_t> data_;  // Copies share it.
};

struct RowRange {
  size_t begin, end;
  size_t count() const { return end - begin; }
};

// Calls task(rows, strip_begin, strip_end) on the pool's threads until all rows of [0, row_count) have met all strips:
// a thread takes one group of rows after the other, groups of nearly one size. rows.begin is a multiple of kRowsWide.
template <typename Task>
void share_strips(ThreadPool& pool, size_t strip_count, size_t row_count, Task&& task) {
  const size_t groups = (row_count + kRowsGroup - 1) / kRowsGroup;
  const size_t tiles = (row_count + kRowsWide - 1) / kRowsWide;
  const auto first_row = [&](size_t group) { return std::min(row_count, group * tiles / groups * kRowsWide); };
  pool.share(groups * strip_count, [&](size_t begin, size_t end) {
    while (begin < end) {
      const size_t group = begin / strip_count, first = begin % strip_count;
      const size_t count = std::min(strip_count - first, end - begin);
      task(RowRange{first_row(group), first_row(group + 1)}, first, first + count);
      begin += count;
    }
  });
}

// y[row * y_stride + out] = sum over in of w[out, in] * x[row, in], for rows [0, row_count) on all threads.
void matmul(ThreadPool& pool, const PackedMatrix& w, const QuantRows& x, size_t row_count, float* y, size_t y_stride);
// Outputs [16 * strip_begin, min(16 * strip_end, out_count)) of the same, of some rows, on this thread. y: the first of
// these outputs of the range's first row. rows.begin: a multiple of kRowsWide.
void matmul_strips(const PackedMatrix& w, const QuantRows& x, RowRange rows, float* y, size_t y_stride,
                   size_t strip_begin, size_t strip_end);

// "amx-int8" where products of many rows with 4-bit weights take tile registers, else nullptr. REDRAFT_ISA, naming any
// of the others, asks for none.
const char* wide_isa_name();

}  // namespace redraft
