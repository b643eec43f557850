// Products with AVX-512 VNNI: 16 outputs x 4 inputs an instruction, weights unpacked once for up to eight rows.
#include "packed_matrix_kernels.h"

#if defined(__AVX512VNNI__) && defined(__AVX512F__)
#include <immintrin.h>

#include <cstring>

namespace redraft {
namespace {

inline __m512i broadcast4(const int8_t* values) {
  int32_t four;
  std::memcpy(&four, values, 4);
  return _mm512_set1_epi32(four);
}

inline void store_rows(const StripCall& call, const __m512* y, int rows) {
  const __mmask16 valid = static_cast<__mmask16>((1u << call.out_count) - 1);
  for (int r = 0; r < rows; ++r) _mm512_mask_storeu_ps(call.y + r * call.y_stride, valid, y[r]);
}

// Rows are a template argument so that their sums stay in registers; row r's result is the same in every instance.
template <int kRows>
void strip4_rows(const StripCall& call) {
  __m512 y[kRows];
  for (int r = 0; r < kRows; ++r) y[r] = _mm512_setzero_ps();
  const __m512i low_nibbles = _mm512_set1_epi8(15);
  const uint8_t* block = call.strip;
  const int8_t* values = call.values;
  const float* scales = call.scales;
  const float* sums = call.sums;
  for (size_t b = 0; b < call.block_count; ++b) {
    const __m512 d = _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(block)));
    const __m512 m = _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(block + 32)));
    __m512i w[8];
    for (int g = 0; g < 4; ++g) {
      const __m512i both = _mm512_load_si512(block + 64 + 64 * g);
      w[g] = _mm512_and_si512(both, low_nibbles);
      w[g + 4] = _mm512_and_si512(_mm512_srli_epi16(both, 4), low_nibbles);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const int8_t* v = values + r * kBlockInputs;
      __m512i sum = _mm512_setzero_si512();
#pragma GCC unroll 8
      for (int g = 0; g < 8; ++g) sum = _mm512_dpbusd_epi32(sum, w[g], broadcast4(v + 4 * g));
      y[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(d, _mm512_set1_ps(scales[r])), y[r]);
      y[r] = _mm512_fmadd_ps(m, _mm512_set1_ps(sums[r]), y[r]);
    }
    block += 320, values += kRowsTile * kBlockInputs, scales += kRowsTile, sums += kRowsTile;
  }
  store_rows(call, y, kRows);
}

template <int kRows>
void strip8_rows(const StripCall& call) {
  __m512 y[kRows];
  for (int r = 0; r < kRows; ++r) y[r] = _mm512_setzero_ps();
  const uint8_t* block = call.strip;
  const int8_t* values = call.values;
  const float* scales = call.scales;
  const int32_t* offsets = call.offsets;
  for (size_t b = 0; b < call.block_count; ++b) {
    const __m512 d = _mm512_load_ps(block);
    __m512i w[8];
    for (int g = 0; g < 8; ++g) w[g] = _mm512_load_si512(block + 64 + 64 * g);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const int8_t* v = values + r * kBlockInputs;
      __m512i sum = _mm512_set1_epi32(offsets[r]);
#pragma GCC unroll 8
      for (int g = 0; g < 8; ++g) sum = _mm512_dpbusd_epi32(sum, w[g], broadcast4(v + 4 * g));
      y[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(d, _mm512_set1_ps(scales[r])), y[r]);
    }
    block += 576, values += kRowsTile * kBlockInputs, scales += kRowsTile, offsets += kRowsTile;
  }
  store_rows(call, y, kRows);
}

using RowsCall = void (*)(const StripCall&);
constexpr RowsCall kStrip4[] = {strip4_rows<1>, strip4_rows<2>, strip4_rows<3>, strip4_rows<4>,
                                strip4_rows<5>, strip4_rows<6>, strip4_rows<7>, strip4_rows<8>};
constexpr RowsCall kStrip8[] = {strip8_rows<1>, strip8_rows<2>, strip8_rows<3>, strip8_rows<4>,
                                strip8_rows<5>, strip8_rows<6>, strip8_rows<7>, strip8_rows<8>};
void strip4_avx512(const StripCall& call) { kStrip4[call.row_count - 1](call); }
void strip8_avx512(const StripCall& call) { kStrip8[call.row_count - 1](call); }

void quantise_avx512(const float* x, size_t block_count, int8_t* values, float* scales, float* sums, int32_t* offsets) {
  for (size_t block = 0; block < block_count; ++block, x += kBlockInputs, values += kRowsTile * kBlockInputs) {
    const __m512 a = _mm512_loadu_ps(x), b = _mm512_loadu_ps(x + 16);
    // Maximum with a NaN in its first place gives the second: a NaN never is the largest, as in the plain loop.
    const __m512 zero = _mm512_setzero_ps();
    const __m512 larger = _mm512_max_ps(_mm512_abs_ps(b), _mm512_max_ps(_mm512_abs_ps(a), zero));
    const float largest = _mm512_reduce_max_ps(larger);
    const float scale = largest / 127;
    const __m512 inverse = _mm512_set1_ps(largest > 0 ? 127 / largest : 0);
    const __m512 sa = _mm512_mul_ps(a, inverse), sb = _mm512_mul_ps(b, inverse);
    const __m512i qa = _mm512_maskz_cvtps_epi32(_mm512_cmp_ps_mask(sa, sa, _CMP_ORD_Q), sa);  // To nearest even, as
    const __m512i qb = _mm512_maskz_cvtps_epi32(_mm512_cmp_ps_mask(sb, sb, _CMP_ORD_Q), sb);  // nearbyint does.
    _mm_storeu_si128(reinterpret_cast<__m128i*>(values), _mm512_cvtepi32_epi8(qa));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(values + 16), _mm512_cvtepi32_epi8(qb));
    const int32_t sum = _mm512_reduce_add_epi32(_mm512_add_epi32(qa, qb));
    scales[block * kRowsTile] = scale;
    sums[block * kRowsTile] = scale * static_cast<float>(sum);
    offsets[block * kRowsTile] = -128 * sum;
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
