// Products with the dot-product instruction of Armv8.2: 4 outputs x 4 inputs an instruction, a strip as four quads,
// weights unpacked once for up to eight rows.
#include "packed_matrix_kernels.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#include <cstring>
#if defined(__linux__)
#include <sys/auxv.h>
#endif

// Per function, so that the file compiles for any Armv8 and only what has the instruction runs it.
#if defined(__clang__)
#define REDRAFT_DOT __attribute__((target("dotprod")))
#else
#define REDRAFT_DOT __attribute__((target("arch=armv8.2-a+dotprod")))
#endif

namespace redraft {
namespace {

bool has_dot_product() {
#if defined(__APPLE__)
  return true;
#elif defined(__linux__)
  return (getauxval(AT_HWCAP) & (1ul << 20)) != 0;  // HWCAP_ASIMDDP
#else
  return false;
#endif
}

// The products of a block's 32 inputs with a row's, w[g] being the weights of inputs [4 g, 4 g + 4).
REDRAFT_DOT inline int32x4_t add_block(int32x4_t sum, const int8x16_t* w, const RowBlock& x) {
  const int8x16_t low = vld1q_s8(x.values), high = vld1q_s8(x.values + 16);
  int32x4_t other = vdupq_n_s32(0);
  sum = vdotq_laneq_s32(sum, w[0], low, 0), other = vdotq_laneq_s32(other, w[4], high, 0);
  sum = vdotq_laneq_s32(sum, w[1], low, 1), other = vdotq_laneq_s32(other, w[5], high, 1);
  sum = vdotq_laneq_s32(sum, w[2], low, 2), other = vdotq_laneq_s32(other, w[6], high, 2);
  sum = vdotq_laneq_s32(sum, w[3], low, 3), other = vdotq_laneq_s32(other, w[7], high, 3);
  return vaddq_s32(sum, other);
}

// 16 times the products of the four inputs that have a higher part.
REDRAFT_DOT inline int32x4_t outlier(int8x16_t w, const RowBlock& x) {
  int32_t four;
  std::memcpy(&four, x.high, 4);
  return vshlq_n_s32(vdotq_s32(vdupq_n_s32(0), w, vreinterpretq_s8_s32(vdupq_n_s32(four))), 4);
}

inline float32x4_t halves(const uint8_t* four) {
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(reinterpret_cast<const uint16_t*>(four))));
}

inline void store_rows(const StripCall& call, size_t quad, const float32x4_t* y, int rows) {
  const size_t count = call.out_count - 4 * quad;
  for (int r = 0; r < rows; ++r) {
    float four[4];
    vst1q_f32(four, y[r]);
    std::memcpy(call.y + static_cast<size_t>(r) * call.y_stride + 4 * quad, four,
                (count < 4 ? count : 4) * sizeof(float));
  }
}

template <int kRows>
REDRAFT_DOT void quad4(const StripCall& call, size_t quad) {
  float32x4_t y[kRows];
  for (int r = 0; r < kRows; ++r) y[r] = vdupq_n_f32(0);
  const uint8x16_t low_nibbles = vdupq_n_u8(15);
  const uint8_t* block = call.strip;
  const RowBlock* rows = call.rows;
  for (size_t b = 0; b < call.block_count; ++b, block += 320, rows += kRowsTile) {
    const float32x4_t d = halves(block + 8 * quad), m = halves(block + 32 + 8 * quad);
    const uint8_t* bytes = block + 64 + 16 * quad;
    int8x16_t w[8];
    for (int g = 0; g < 4; ++g) {
      const uint8x16_t both = vld1q_u8(bytes + 64 * g);
      w[g] = vreinterpretq_s8_u8(vandq_u8(both, low_nibbles));
      w[g + 4] = vreinterpretq_s8_u8(vshrq_n_u8(both, 4));
    }
    for (int r = 0; r < kRows; ++r) {
      const RowBlock& x = rows[r];
      // A shift to the left by -4 is one to the right.
      const uint8x16_t nibble = vshlq_u8(vld1q_u8(bytes + x.at4), vdupq_n_s8(static_cast<int8_t>(x.shift) - 4));
      const int8x16_t four = vreinterpretq_s8_u8(vandq_u8(nibble, low_nibbles));
      const int32x4_t sum = add_block(outlier(four, x), w, x);
      y[r] = vfmaq_f32(y[r], vcvtq_f32_s32(sum), vmulq_n_f32(d, x.scale));
      y[r] = vfmaq_f32(y[r], m, vdupq_n_f32(x.sum));
    }
  }
  store_rows(call, quad, y, kRows);
}

template <int kRows>
REDRAFT_DOT void quad8(const StripCall& call, size_t quad) {
  float32x4_t y[kRows];
  for (int r = 0; r < kRows; ++r) y[r] = vdupq_n_f32(0);
  const uint8x16_t sign = vdupq_n_u8(0x80);  // Back to signed: no offset is needed.
  const uint8_t* block = call.strip;
  const RowBlock* rows = call.rows;
  for (size_t b = 0; b < call.block_count; ++b, block += 576, rows += kRowsTile) {
    const float32x4_t d = vld1q_f32(reinterpret_cast<const float*>(block) + 4 * quad);
    const uint8_t* bytes = block + 64 + 16 * quad;
    int8x16_t w[8];
    for (int g = 0; g < 8; ++g) w[g] = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(bytes + 64 * g), sign));
    for (int r = 0; r < kRows; ++r) {
      const RowBlock& x = rows[r];
      const int8x16_t four = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(bytes + 64 * x.group), sign));
      const int32x4_t sum = add_block(outlier(four, x), w, x);
      y[r] = vfmaq_f32(y[r], vcvtq_f32_s32(sum), vmulq_n_f32(d, x.scale));
    }
  }
  store_rows(call, quad, y, kRows);
}

using QuadCall = void (*)(const StripCall&, size_t);
constexpr QuadCall kQuad4[] = {quad4<1>, quad4<2>, quad4<3>, quad4<4>, quad4<5>, quad4<6>, quad4<7>, quad4<8>};
constexpr QuadCall kQuad8[] = {quad8<1>, quad8<2>, quad8<3>, quad8<4>, quad8<5>, quad8<6>, quad8<7>, quad8<8>};

template <const QuadCall* kCalls>
void strip_neon(const StripCall& call) {
  for (size_t quad = 0; 4 * quad < call.out_count; ++quad) kCalls[call.row_count - 1](call, quad);
}

}  // namespace

const MatrixKernels* kernels_neon() {
  static const MatrixKernels table{kRowsTile, strip_neon<kQuad4>, strip_neon<kQuad8>, kernels_portable()->quantise};
  return has_dot_product() ? &table : nullptr;
}

}  // namespace redraft
#else
namespace redraft {
const MatrixKernels* kernels_neon() { return nullptr; }
}  // namespace redraft
#endif
