// Weights packed once at load for a weight-stationary product with few rows, and activations quantised to meet them.
// A row's result depends on that row alone: each output sums over the inputs in one fixed order, whatever the number of
// rows, the tile or the thread (DESIGN.md section 4).
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "aligned.h"
#include "thread_pool.h"

namespace redraft {

// Numbers are those of the GGUF format (ggml.h, enum ggml_type).
enum class WeightType : uint32_t {
  F32 = 0, F16 = 1, Q4_0 = 2, Q4_1 = 3, Q5_0 = 6, Q5_1 = 7, Q8_0 = 8, Q4_K = 12, Q6_K = 14, BF16 = 30,
};

// Weights as they lie in a file: row-major [out_count, in_count], rows of whole quantisation blocks.
struct WeightView {
  WeightType type;
  const uint8_t* bytes;
  size_t out_count;
  size_t in_count;
};

// Bytes of one row of in_count weights, 0 if the type is unknown or in_count is not a multiple of its block.
size_t weight_row_bytes(WeightType type, size_t in_count);
const char* weight_type_name(WeightType type);  // nullptr if unknown.
// out: [in_count].
void dequantise_row(const WeightView& view, size_t row, float* out);

// Activations as int8 in blocks of 32 along a row, each with its scale.
class QuantRows {
 public:
  void resize(size_t row_max, size_t in_count);  // in_count: a multiple of 32. Keeps capacity.
  void quantise(size_t row, const float* x);     // x: [in_count]. Rows may be filled from several threads.
  size_t in_count() const { return in_count_; }
  const int8_t* values(size_t row) const { return values_.data() + row * in_count_; }
  const float* scales(size_t row) const { return scales_.data() + row * (in_count_ / 32); }
  const float* sums(size_t row) const { return sums_.data() + row * (in_count_ / 32); }  // scale * sum of the block.

 private:
  size_t in_count_ = 0;
  AlignedVector<int8_t> values_;
  AlignedVector<float> scales_, sums_;
};

class PackedMatrix {
 public:
  PackedMatrix() = default;
  // 4-bit formats stay 4-bit, all others become 8-bit with a scale a block of 32 (F16, BF16 and F32 too: weights are
  // rounded to 8 bits, as Q8_0 does). Throws Error(REDRAFT_UNSUPPORTED) for a type or shape it cannot take.
  static PackedMatrix pack(const WeightView& view);
  // From f32 rows: [out_count, in_count], in_count padded with zeros to a multiple of 32 by the caller.
  static PackedMatrix pack_f32(const float* weights, size_t out_count, size_t in_count);
  size_t out_count() const { return out_count_; }
  size_t in_count() const { return in_count_; }
  size_t bytes() const { return bits_.size() + scales_.size() * 2; }
  int bits() const { return bit_count_; }

  // Internal to packed_matrix_*.cc. Strips of 16 outputs; layout in packed_matrix.cc.
  const uint8_t* strip_bits(size_t strip) const;
  const uint16_t* strip_scales(size_t strip) const;
  size_t strip_count() const { return (out_count_ + 15) / 16; }

 private:
  size_t out_count_ = 0, in_count_ = 0;
  int bit_count_ = 0;
  AlignedVector<uint8_t> bits_;
  AlignedVector<uint16_t> scales_;
};

// y[row * y_stride + out] = sum over in of w[out, in] * x[row, in], for rows [0, row_count).
void matmul(ThreadPool& pool, const PackedMatrix& w, const QuantRows& x, size_t row_count, float* y, size_t y_stride);
// One strip range of the same, on the calling thread: outputs [16 * strip_begin, min(16 * strip_end, out_count)).
void matmul_strips(const PackedMatrix& w, const QuantRows& x, size_t row_count, float* y, size_t y_stride,
                   size_t strip_begin, size_t strip_end);

// "avx512vnni", "avx2" or "portable": what matmul runs on this machine. REDRAFT_ISA in the environment asks for less.
const char* isa_name();

}  // namespace redraft
