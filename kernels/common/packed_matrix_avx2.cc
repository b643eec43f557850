// Products with AVX2: 8 outputs x 4 inputs an instruction pair, a strip as two halves.
#include "packed_matrix_kernels.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include <immintrin.h>

#include <cmath>
#include <cstring>

namespace redraft {
namespace {

inline __m256i broadcast4(const int8_t* values) {
  int32_t four;
  std::memcpy(&four, values, 4);
  return _mm256_set1_epi32(four);
}

// sum += unsigned a * signed b over groups of four. a * b + a' * b' must fit 16 bits: a <= 128, or a <= 255 / 2.
inline __m256i add_products(__m256i sum, __m256i a, __m256i b) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1)));
}

inline void store_lanes(float* y, __m256 lanes, size_t count) {
  if (count >= 8) {
    _mm256_storeu_ps(y, lanes);
  } else {
    float all[8];
    _mm256_storeu_ps(all, lanes);
    std::memcpy(y, all, count * sizeof(float));
  }
}

// Outputs [8 * half, 8 * half + 8) of the strip, one row at a time: sixteen registers hold no more.
void half4(const StripCall& call, size_t row, size_t half) {
  const __m256i low_nibbles = _mm256_set1_epi8(15);
  __m256 y = _mm256_setzero_ps();
  for (size_t b = 0; b < call.block_count; ++b) {
    const uint8_t* block = call.strip + b * 320;
    const RowBlock& x = call.rows[b * kRowsTile + row];
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block + 64 + x.at4 + 32 * half));
    const __m256i four = _mm256_and_si256(x.group < 4 ? bytes : _mm256_srli_epi16(bytes, 4), low_nibbles);
    __m256i sum = _mm256_slli_epi32(add_products(_mm256_setzero_si256(), four, broadcast4(x.high)), 4);
    for (int g = 0; g < 4; ++g) {
      const __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block + 64 + 64 * g + 32 * half));
      sum = add_products(sum, _mm256_and_si256(both, low_nibbles), broadcast4(x.values + 4 * g));
      sum = add_products(sum, _mm256_and_si256(_mm256_srli_epi16(both, 4), low_nibbles),
                         broadcast4(x.values + 16 + 4 * g));
    }
    const __m256 d = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(block + 16 * half)));
    const __m256 m = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(block + 32 + 16 * half)));
    y = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(d, _mm256_set1_ps(x.scale)), y);
    y = _mm256_fmadd_ps(m, _mm256_set1_ps(x.sum), y);
  }
  store_lanes(call.y + row * call.y_stride + 8 * half, y, call.out_count - 8 * half);
}

void half8(const StripCall& call, size_t row, size_t half) {
  __m256 y = _mm256_setzero_ps();
  for (size_t b = 0; b < call.block_count; ++b) {
    const uint8_t* block = call.strip + b * 576;
    const RowBlock& x = call.rows[b * kRowsTile + row];
    const auto add = [&](__m256i sum, size_t g, const int8_t* values) {
      __m256i w = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block + 64 + 64 * g + 32 * half));
      w = _mm256_xor_si256(w, _mm256_set1_epi8(static_cast<char>(0x80)));  // Back to signed.
      // |w| * (sign of w) x: the pairs then fit the 16 bits of maddubs.
      return add_products(sum, _mm256_abs_epi8(w), _mm256_sign_epi8(broadcast4(values), w));
    };
    __m256i sum = _mm256_slli_epi32(add(_mm256_setzero_si256(), x.group, x.high), 4);
    for (size_t g = 0; g < 8; ++g) sum = add(sum, g, x.values + 4 * g);
    const __m256 d = _mm256_loadu_ps(reinterpret_cast<const float*>(block) + 8 * half);
    y = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(d, _mm256_set1_ps(x.scale)), y);
  }
  store_lanes(call.y + row * call.y_stride + 8 * half, y, call.out_count - 8 * half);
}

template <void (*kHalf)(const StripCall&, size_t, size_t)>
void strip_avx2(const StripCall& call) {
  for (size_t row = 0; row < call.row_count; ++row) {
    kHalf(call, row, 0);
    if (call.out_count > 8) kHalf(call, row, 1);
  }
}

}  // namespace

const MatrixKernels* kernels_avx2() {
  static const MatrixKernels table{"avx2", kRowsTile, strip_avx2<half4>, strip_avx2<half8>,
                                   kernels_portable()->quantise};
  return &table;
}

}  // namespace redraft
#else
namespace redraft {
const MatrixKernels* kernels_avx2() { return nullptr; }
}  // namespace redraft
#endif
