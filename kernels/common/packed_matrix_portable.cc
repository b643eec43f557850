// The reference of packed_matrix_{avx2,avxvnni,avx512,neon}.cc, what machines without any run, and the table that isa()
// wants.
#include <cmath>
#include <cstring>

#include "half.h"
#include "packed_matrix_kernels.h"

namespace redraft {
namespace {

template <int kBits>
void strip_portable(const StripCall& call) {
  for (size_t row = 0; row < call.row_count; ++row) {
    for (size_t out = 0; out < call.out_count; ++out) {
      float y = 0;
      for (size_t block = 0; block < call.block_count; ++block) {
        const uint8_t* w = call.strip + block * (kBits == 4 ? 320 : 576);
        const RowBlock& x = call.rows[block * kRowsTile + row];
        int32_t sum = kBits == 4 ? 0 : x.offset;
        for (size_t i = 0; i < kBlockInputs; ++i) {
          const size_t place = kBits == 4 ? i % 16 : i;
          const uint8_t byte = w[64 + (place / 4) * 64 + 4 * out + place % 4];
          const int32_t value = i / 4 == x.group ? x.values[i] + 16 * x.high[i % 4] : x.values[i];
          sum += value * (kBits == 8 ? byte : i < 16 ? byte & 15 : byte >> 4);
        }
        float scale;
        if constexpr (kBits == 4) {
          uint16_t halves[2];
          std::memcpy(&halves[0], w + 2 * out, 2);
          std::memcpy(&halves[1], w + 32 + 2 * out, 2);
          scale = f16_to_f32(halves[0]);
          y = std::fma(static_cast<float>(sum), scale * x.scale, y);
          y = std::fma(f16_to_f32(halves[1]), x.sum, y);
        } else {
          std::memcpy(&scale, w + 4 * out, 4);
          y = std::fma(static_cast<float>(sum), scale * x.scale, y);
        }
      }
      call.y[row * call.y_stride + out] = y;
    }
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
  return isa() == Isa::Avx512Vnni && !is_isa_asked_for() ? wide_kernels_amx() : nullptr;
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
