#include "packed_matrix.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "error.h"
#include "half.h"
#include "packed_matrix_kernels.h"
#include "weight_memory.h"

namespace redraft {

void PackedMatrix::allocate(size_t out_count, size_t in_count, int bits) {
  if (out_count == 0 || in_count == 0 || in_count % kBlockInputs != 0)
    throw Error(REDRAFT_UNSUPPORTED, "cannot pack a matrix of " + std::to_string(out_count) + " x " +
                                         std::to_string(in_count) + ": inputs must be a multiple of 32");
  out_count_ = out_count;
  in_count_ = in_count;
  bits_ = bits;
  data_ = allocate_weights(bytes());
}

uint8_t* PackedMatrix::block_at(size_t out, size_t block) {
  return data_.get() + ((out / kStripOutputs) * block_count() + block) * block_bytes();
}

void PackedMatrix::put_block8(size_t out, size_t block, float scale, const int8_t* q) {
  uint8_t* target = block_at(out, block);
  const size_t lane = out % kStripOutputs;
  std::memcpy(target + 4 * lane, &scale, 4);
  for (size_t i = 0; i < kBlockInputs; ++i)
    target[64 + (i / 4) * 64 + 4 * lane + i % 4] = static_cast<uint8_t>(q[i] + 128);
}

void PackedMatrix::put_block4(size_t out, size_t block, uint16_t scale, uint16_t minimum, const uint8_t* q) {
  uint8_t* target = block_at(out, block);
  const size_t lane = out % kStripOutputs;
  std::memcpy(target + 2 * lane, &scale, 2);
  std::memcpy(target + 32 + 2 * lane, &minimum, 2);
  for (size_t i = 0; i < 16; ++i)
    target[64 + (i / 4) * 64 + 4 * lane + i % 4] = static_cast<uint8_t>(q[i] | (q[i + 16] << 4));
}

// Rounds 32 weights to 8 bits, as Q8_0 is made.
void PackedMatrix::put_block(size_t out, size_t block, const float* weights) {
  float largest = 0;
  for (size_t i = 0; i < kBlockInputs; ++i) largest = std::fmax(largest, std::fabs(weights[i]));
  const float scale = largest / 127;
  const float inverse = scale > 0 ? 1 / scale : 0;
  int8_t q[kBlockInputs];
  for (size_t i = 0; i < kBlockInputs; ++i) {
    const float scaled = std::nearbyint(weights[i] * inverse);
    q[i] = static_cast<int8_t>(scaled < -127 ? -127 : scaled > 127 ? 127 : scaled == scaled ? scaled : 0);
  }
  put_block8(out, block, scale, q);
}

PackedMatrix PackedMatrix::pack_f32(const float* weights, size_t out_count, size_t in_count) {
  PackedMatrix packed;
  packed.allocate(out_count, in_count, 8);
  for (size_t out = 0; out < out_count; ++out)
    for (size_t block = 0; block < packed.block_count(); ++block)
      packed.put_block(out, block, weights + out * in_count + block * kBlockInputs);
  return packed;
}

namespace {

constexpr float kHalfMax = 65504;  // The largest that a 16-bit float holds.

uint16_t half_at(const uint8_t* bytes) {
  uint16_t half;
  std::memcpy(&half, bytes, 2);
  return half;
}

void split_nibbles(const uint8_t* nibbles, uint8_t* q) {
  for (size_t i = 0; i < 16; ++i) q[i] = nibbles[i] & 15, q[i + 16] = nibbles[i] >> 4;
}

}  // namespace

MatrixShape PackedMatrix::shape_of(const WeightView& view) {
  const bool four_bits = view.type == WeightType::Q4_0 || view.type == WeightType::Q4_1;
  return {view.out_count, view.in_count, four_bits ? 4 : 8};
}

PackedMatrix PackedMatrix::pack(const WeightView& view) {
  const int bits = shape_of(view).bits;
  const bool four_bits = bits == 4;
  PackedMatrix packed;
  packed.allocate(view.out_count, view.in_count, bits);
  const size_t row_bytes = weight_row_bytes(view.type, view.in_count);
  if (row_bytes == 0) throw Error(REDRAFT_UNSUPPORTED, "cannot pack weights: rows are not whole blocks of their type");
  std::vector<float> row(view.in_count);
  for (size_t out = 0; out < view.out_count; ++out) {
    const uint8_t* bytes = view.bytes + out * row_bytes;
    if (!four_bits && view.type != WeightType::Q8_0 && view.type != WeightType::Q5_0)
      dequantise_row(view, out, row.data());
    for (size_t block = 0; block < packed.block_count(); ++block) {
      uint8_t q[kBlockInputs];
      int8_t signed_q[kBlockInputs];
      switch (view.type) {
        case WeightType::Q4_0: {
          const uint8_t* from = bytes + block * 18;
          const float minimum = -8 * f16_to_f32(half_at(from));
          if (!(std::fabs(minimum) <= kHalfMax))
            throw Error(REDRAFT_UNSUPPORTED, "cannot pack weights: a Q4_0 scale is too large, or no number");
          split_nibbles(from + 2, q);
          packed.put_block4(out, block, half_at(from), f32_to_f16(minimum), q);
          break;
        }
        case WeightType::Q4_1: {
          const uint8_t* from = bytes + block * 20;
          split_nibbles(from + 4, q);
          packed.put_block4(out, block, half_at(from), half_at(from + 2), q);
          break;
        }
        case WeightType::Q5_0: {
          const uint8_t* from = bytes + block * 22;
          uint32_t high;
          std::memcpy(&high, from + 2, 4);
          split_nibbles(from + 6, q);
          for (size_t i = 0; i < 32; ++i) signed_q[i] = static_cast<int8_t>((q[i] | ((high >> i & 1) << 4)) - 16);
          packed.put_block8(out, block, f16_to_f32(half_at(from)), signed_q);
          break;
        }
        case WeightType::Q8_0:
          std::memcpy(signed_q, bytes + block * 34 + 2, 32);
          packed.put_block8(out, block, f16_to_f32(half_at(bytes + block * 34)), signed_q);
          break;
        default: packed.put_block(out, block, row.data() + block * kBlockInputs);
      }
    }
  }
  return packed;
}

void PackedMatrix::unpack_row(size_t out, float* weights) const {
  const size_t lane = out % kStripOutputs;
  for (size_t block = 0; block < block_count(); ++block) {
    const uint8_t* from = strip(out / kStripOutputs) + block * block_bytes();
    float* to = weights + block * kBlockInputs;
    if (bits_ == 8) {
      float scale;
      std::memcpy(&scale, from + 4 * lane, 4);
      for (size_t i = 0; i < kBlockInputs; ++i)
        to[i] = scale * static_cast<float>(from[64 + (i / 4) * 64 + 4 * lane + i % 4] - 128);
    } else {
      const float scale = f16_to_f32(half_at(from + 2 * lane)), minimum = f16_to_f32(half_at(from + 32 + 2 * lane));
      for (size_t i = 0; i < 16; ++i) {
        const uint8_t byte = from[64 + (i / 4) * 64 + 4 * lane + i % 4];
        to[i] = scale * static_cast<float>(byte & 15) + minimum;
        to[i + 16] = scale * static_cast<float>(byte >> 4) + minimum;
      }
    }
  }
}

void QuantRows::resize(size_t row_max, size_t in_count) {
  REDRAFT_ASSERT(in_count % kBlockInputs == 0);
  in_count_ = in_count;
  const size_t whole_tiles = (row_max + kRowsWide - 1) / kRowsWide * kRowsWide;
  blocks_.resize(whole_tiles * block_count());
  if (wide_kernels()) wide_.resize(blocks_.size() / kRowsWide);
}

void QuantRows::begin(size_t row_count) { is_wide_ = wide_kernels() && row_count >= kRowsWorthTiles; }

void QuantRows::quantise_blocks(size_t row, size_t first, size_t count, const float* x) {
  RowBlock* const blocks = &blocks_[(row / kRowsTile * block_count() + first) * kRowsTile + row % kRowsTile];
  kernels().quantise(x, count, blocks);
  if (is_wide_) wide_kernels()->widen(blocks, count, row % kRowsWide, &wide_[row / kRowsWide * block_count() + first]);
}

void matmul_strips(const PackedMatrix& w, const QuantRows& x, RowRange rows, float* y, size_t y_stride,
                   size_t strip_begin, size_t strip_end) {
  REDRAFT_ASSERT(rows.begin % kRowsWide == 0);
  const size_t row_count = rows.count();
  if (w.bits() == 4 && x.wide() && strip_begin < strip_end) {
    const WideCall call{w.strip(strip_begin),
                        strip_end - strip_begin,
                        w.block_count(),
                        x.wide() + rows.begin / kRowsWide * x.block_count(),
                        row_count,
                        y,
                        y_stride,
                        std::min(strip_end * kStripOutputs, w.out_count()) - strip_begin * kStripOutputs};
    return wide_kernels()->strips4(call);
  }
  const auto multiply = w.bits() == 4 ? kernels().strip4 : kernels().strip8;
  const size_t rows_max = kernels().rows_max;
  for (size_t strip = strip_begin; strip < strip_end; ++strip, y += kStripOutputs) {
    const size_t out_count = std::min(kStripOutputs, w.out_count() - strip * kStripOutputs);
    // The strip stays in the first-level cache while the rows go by.
    for (size_t row = 0; row < row_count; row += rows_max) {
      multiply({w.strip(strip), w.block_count(), x.tile((rows.begin + row) / kRowsTile),
                std::min(rows_max, row_count - row), y + row * y_stride, y_stride, out_count});
    }
  }
}

void matmul(ThreadPool& pool, const PackedMatrix& w, const QuantRows& x, size_t row_count, float* y, size_t y_stride) {
  REDRAFT_ASSERT(w.in_count() == x.in_count());
  if (row_count == 0) return;
  share_strips(pool, w.strip_count(), row_count, [&](RowRange rows, size_t begin, size_t end) {
    matmul_strips(w, x, rows, y + rows.begin * y_stride + begin * kStripOutputs, y_stride, begin, end);
  });
}

}  // namespace redraft
