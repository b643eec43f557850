// The reference of packed_matrix_{avx2,avxvnni,avx512,neon}.cc, what machines without any run, and the table that isa()
// wants.
#include <cmath>
#include <cstring>

#include "error.h"
#include "half.h"
#include "packed_matrix_kernels.h"

namespace redraft {
namespace {

// Sums of a block's products, of all outputs of the strip side by side: a loop that compilers vectorise.
template <int kBits>
void block_sums(const uint8_t* weights, const RowBlock& x, int32_t* sums) {
  std::fill_n(sums, kStripOutputs, kBits == 4 ? 0 : x.offset);
  for (size_t group = 0; group < kBlockInputs / 4; ++group) {
    int32_t value[4];
    for (size_t i = 0; i < 4; ++i) value[i] = x.values[4 * group + i] + (group == x.group ? 16 * x.high[i] : 0);
    const uint8_t* const bytes = weights + 64 * (kBits == 4 ? group % 4 : group);
    const int shift = kBits == 4 && group >= 4 ? 4 : 0, mask = kBits == 4 ? 15 : 255;
    for (size_t out = 0; out < kStripOutputs; ++out)
      for (size_t i = 0; i < 4; ++i) sums[out] += value[i] * (bytes[4 * out + i] >> shift & mask);
  }
}

template <int kBits>
void strip_portable(const StripCall& call) {
  for (size_t row = 0; row < call.row_count; ++row) {
    float y[kStripOutputs] = {};
    for (size_t block = 0; block < call.block_count; ++block) {
      const uint8_t* w = call.strip + block * (kBits == 4 ? 320 : 576);
      const RowBlock& x = call.rows[block * kRowsTile + row];
      int32_t sums[kStripOutputs];
      block_sums<kBits>(w + 64, x, sums);
      for (size_t out = 0; out < call.out_count; ++out) {
        const float sum = static_cast<float>(sums[out]);
        if constexpr (kBits == 4) {
          uint16_t halves[2];
          std::memcpy(&halves[0], w + 2 * out, 2);
          std::memcpy(&halves[1], w + 32 + 2 * out, 2);
          y[out] = std::fma(sum, f16_to_f32(halves[0]) * x.scale, y[out]);
          y[out] = std::fma(f16_to_f32(halves[1]), x.sum, y[out]);
        } else {
          float scale;
          std::memcpy(&scale, w + 4 * out, 4);
          y[out] = std::fma(sum, scale * x.scale, y[out]);
        }
      }
    }
    std::copy_n(y, call.out_count, call.y + row * call.y_stride);
  }
}

void quantise_portable(const float* x, size_t block_count, RowBlock* to) {
  for (size_t block = 0; block < block_count; ++block, x += kBlockInputs, to += kRowsTile) {
    float fours[8] = {};
    for (size_t i = 0; i < kBlockInputs; ++i)
      fours[i / 4] = std::fabs(x[i]) > fours[i / 4] ? std::fabs(x[i]) : fours[i / 4];
    uint32_t group = 0;
    for (uint32_t g = 1; g < 8; ++g) group = fours[g] > fours[group] ? g : group;
    float rest = 0;
    for (uint32_t g = 0; g < 8; ++g) rest = g != group && fours[g] > rest ? fours[g] : rest;
    const float scale = block_scale(fours[group], rest);
    const float inverse = scale > 0 ? 1 / scale : 0;
    int32_t sum = 0;
    for (size_t i = 0; i < kBlockInputs; ++i) {
      const float rounded = std::nearbyint(x[i] * inverse);
      int32_t value = static_cast<int32_t>(rounded == rounded ? rounded : 0);  // A NaN has no integer.
      sum += value;
      if (i / 4 == group) {
        to->high[i % 4] = static_cast<int8_t>((value + 8) >> 4);
        value -= 16 * to->high[i % 4];
      }
      to->values[i] = static_cast<int8_t>(value);
    }
    finish_block(*to, scale, sum, group);
  }
}

const WideKernels* wide_here() {
  if (isa() != Isa::Avx512Vnni || wanted_tiles() == Tiles::None) return nullptr;
  const WideKernels* const tiles = wide_kernels_amx();
  if (!tiles && wanted_tiles() == Tiles::Required)
    throw Error(REDRAFT_UNSUPPORTED, "REDRAFT_ISA asks for tile registers, which this machine or its system lacks");
  return tiles;
}

}  // namespace

const MatrixKernels* kernels_portable() {
  static const MatrixKernels table{kRowsTile, strip_portable<4>, strip_portable<8>, quantise_portable};
  return &table;
}

const MatrixKernels* kernels_of(Isa isa) {
  switch (isa) {
    case Isa::Portable: break;
    case Isa::NeonDotprod: return kernels_neon();
    case Isa::Avx2: return kernels_avx2();
    case Isa::AvxVnni: return kernels_avxvnni();
    case Isa::Avx512Vnni: return kernels_avx512();
  }
  return kernels_portable();
}

const MatrixKernels& kernels() {
  static const MatrixKernels* const chosen = kernels_of(isa());
  return *chosen;
}

const WideKernels* wide_kernels() {
  static const WideKernels* const chosen = wide_here();
  return chosen;
}

const char* wide_isa_name() { return wide_kernels() ? wide_kernels()->name : nullptr; }

}  // namespace redraft
