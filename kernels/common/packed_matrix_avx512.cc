// Products with AVX-512 VNNI: 16 outputs x 4 inputs an instruction, weights unpacked once for up to eight rows.
#include "packed_matrix_kernels.h"

#if defined(__AVX512VNNI__) && defined(__AVX512F__)
#include <immintrin.h>

#include <cstring>
#include <utility>

namespace redraft {
namespace {

inline __m512i broadcast4(const int8_t* values) {
  int32_t four;
  std::memcpy(&four, values, 4);
  return _mm512_set1_epi32(four);
}

// Rows are a template argument so that their sums stay in registers; row r's result is the same in every instance.
template <int kRows>
void strip4_rows(const StripCall& call, size_t row_begin) {
  const QuantRows& x = *call.x;
  const int8_t* values[kRows];
  const float* scales[kRows];
  const float* sums[kRows];
  __m512 y[kRows];
  for (int r = 0; r < kRows; ++r) {
    values[r] = x.values(row_begin + r);
    scales[r] = x.scales(row_begin + r);
    sums[r] = x.sums(row_begin + r);
    y[r] = _mm512_setzero_ps();
  }
  const __m512i low_nibbles = _mm512_set1_epi8(15);
  const uint8_t* block = call.strip;
  for (size_t b = 0; b < call.block_count; ++b, block += 320) {
    const __m512 d = _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(block)));
    const __m512 m = _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(block + 32)));
    __m512i w[8];
    for (int g = 0; g < 4; ++g) {
      const __m512i both = _mm512_loadu_si512(block + 64 + 64 * g);
      w[g] = _mm512_and_si512(both, low_nibbles);
      w[g + 4] = _mm512_and_si512(_mm512_srli_epi16(both, 4), low_nibbles);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const int8_t* v = values[r] + b * kBlockInputs;
      __m512i sum = _mm512_setzero_si512();
#pragma GCC unroll 8
      for (int g = 0; g < 8; ++g) sum = _mm512_dpbusd_epi32(sum, w[g], broadcast4(v + 4 * g));
      const __m512 scale = _mm512_mul_ps(d, _mm512_set1_ps(scales[r][b]));
      y[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), scale, y[r]);
      y[r] = _mm512_fmadd_ps(m, _mm512_set1_ps(sums[r][b]), y[r]);
    }
  }
  const __mmask16 valid = static_cast<__mmask16>((1u << call.out_count) - 1);
  for (int r = 0; r < kRows; ++r) _mm512_mask_storeu_ps(call.y + (row_begin + r) * call.y_stride, valid, y[r]);
}

template <int kRows>
void strip8_rows(const StripCall& call, size_t row_begin) {
  const QuantRows& x = *call.x;
  const int8_t* values[kRows];
  const float* scales[kRows];
  const int32_t* offsets[kRows];
  __m512 y[kRows];
  for (int r = 0; r < kRows; ++r) {
    values[r] = x.values(row_begin + r);
    scales[r] = x.scales(row_begin + r);
    offsets[r] = x.offsets(row_begin + r);
    y[r] = _mm512_setzero_ps();
  }
  const uint8_t* block = call.strip;
  for (size_t b = 0; b < call.block_count; ++b, block += 576) {
    const __m512 d = _mm512_loadu_ps(block);
    __m512i w[8];
    for (int g = 0; g < 8; ++g) w[g] = _mm512_loadu_si512(block + 64 + 64 * g);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const int8_t* v = values[r] + b * kBlockInputs;
      __m512i sum = _mm512_set1_epi32(offsets[r][b]);
#pragma GCC unroll 8
      for (int g = 0; g < 8; ++g) sum = _mm512_dpbusd_epi32(sum, w[g], broadcast4(v + 4 * g));
      const __m512 scale = _mm512_mul_ps(d, _mm512_set1_ps(scales[r][b]));
      y[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), scale, y[r]);
    }
  }
  const __mmask16 valid = static_cast<__mmask16>((1u << call.out_count) - 1);
  for (int r = 0; r < kRows; ++r) _mm512_mask_storeu_ps(call.y + (row_begin + r) * call.y_stride, valid, y[r]);
}

using RowsCall = void (*)(const StripCall&, size_t);
template <size_t... kRows>
void dispatch4(const StripCall& call, size_t row_begin, size_t row_count, std::index_sequence<kRows...>) {
  static constexpr RowsCall table[] = {strip4_rows<kRows + 1>...};
  table[row_count - 1](call, row_begin);
}
template <size_t... kRows>
void dispatch8(const StripCall& call, size_t row_begin, size_t row_count, std::index_sequence<kRows...>) {
  static constexpr RowsCall table[] = {strip8_rows<kRows + 1>...};
  table[row_count - 1](call, row_begin);
}
void strip4_avx512(const StripCall& call, size_t row_begin, size_t row_count) {
  dispatch4(call, row_begin, row_count, std::make_index_sequence<kRowsTile>());
}
void strip8_avx512(const StripCall& call, size_t row_begin, size_t row_count) {
  dispatch8(call, row_begin, row_count, std::make_index_sequence<kRowsTile>());
}

void quantise_avx512(const float* x, size_t block_count, int8_t* values, float* scales, float* sums, int32_t* offsets) {
  for (size_t block = 0; block < block_count; ++block, x += kBlockInputs, values += kBlockInputs) {
    const __m512 a = _mm512_loadu_ps(x), b = _mm512_loadu_ps(x + 16);
    const float largest = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b)));
    const float scale = largest / 127;
    const __m512 inverse = _mm512_set1_ps(largest > 0 ? 127 / largest : 0);
    const __m512i qa = _mm512_cvtps_epi32(_mm512_mul_ps(a, inverse));  // Rounds to nearest even, as nearbyint does.
    const __m512i qb = _mm512_cvtps_epi32(_mm512_mul_ps(b, inverse));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(values), _mm512_cvtepi32_epi8(qa));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(values + 16), _mm512_cvtepi32_epi8(qb));
    const int32_t sum = _mm512_reduce_add_epi32(_mm512_add_epi32(qa, qb));
    scales[block] = scale;
    sums[block] = scale * static_cast<float>(sum);
    offsets[block] = -128 * sum;
  }
}

}  // namespace

const MatrixKernels* kernels_avx512() {
  static const MatrixKernels table{"avx512vnni", strip4_avx512, strip8_avx512, quantise_avx512};
  return &table;
}

}  // namespace redraft
#else
namespace redraft {
const MatrixKernels* kernels_avx512() { return nullptr; }
}  // namespace redraft
#endif
