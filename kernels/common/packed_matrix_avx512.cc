// Products with AVX-512 VNNI: 16 outputs x 4 inputs an instruction, weights unpacked once for up to eight rows.
#include "packed_matrix_kernels.h"

#if defined(__AVX512VNNI__) && defined(__AVX512F__)
#include <immintrin.h>

#include <array>
#include <cstring>
#include <utility>

namespace redraft {
namespace {

// sum += the products of four values with w, in each lane. In assembly, for the compiler spends an instruction more on
// spreading the values, of which the loops below have too many: many rows take 10 % less so.
inline void add_products(__m512i& sum, __m512i w, const int8_t* values) {
  asm("vpdpbusd %1%{1to16%}, %2, %0" : "+v"(sum) : "m"(*reinterpret_cast<const int8_t(*)[4]>(values)), "v"(w));
}

// The products of a block's inputs, on top of `sum`. One chain: what else is at hand fills the time between its links.
inline __m512i block_sum(const __m512i* w, const RowBlock& x, __m512i sum) {
#pragma GCC unroll 8
  for (int g = 0; g < 8; ++g) add_products(sum, w[g], x.values + 4 * g);
  return sum;
}

// AMD's prefetcher keeps up with one row or two, and asking beside it slows it; with more, the work between two blocks
// is too long for it to see a stream. Intel's falls short with one row too: a step takes 1.3 to 1.4 times as long
// without.
struct Ahead {
  bool few_rows;
  size_t bytes;
};
const Ahead kAhead = __builtin_cpu_is("intel") ? Ahead{true, 8192} : Ahead{false, 2048};
inline void fetch_block(const uint8_t* block, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 64) _mm_prefetch(reinterpret_cast<const char*>(block + i), _MM_HINT_T0);
}

// Rows are a template argument so that their sums stay in registers, which they do only where every loop over them is
// unrolled; row r's result is the same in every instance.
template <int kRows>
inline void store_rows(const StripCall& call, const __m512* y) {
  const __mmask16 valid = static_cast<__mmask16>((1u << call.out_count) - 1);
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) _mm512_mask_storeu_ps(call.y + r * call.y_stride, valid, y[r]);
}

inline const RowBlock& row_of(const StripCall& call, size_t block, int row) {
  return call.rows[row / kRowsTile * kRowsTile * call.block_count + block * kRowsTile + row % kRowsTile];
}

template <int kRows>
void strip4_rows(const StripCall& call) {
  __m512 y[kRows];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) y[r] = _mm512_setzero_ps();
  const __m512i low_nibbles = _mm512_set1_epi8(15), high_nibbles = _mm512_set1_epi8(static_cast<char>(240));
  const uint8_t* block = call.strip;
  const bool is_fetched = kRows > 2 || kAhead.few_rows;
  const size_t ahead_bytes = kAhead.bytes;
  alignas(64) uint8_t w16[512];  // The weights times 16, where each row finds the four that it wants.
  for (size_t b = 0; b < call.block_count; ++b) {
    const __m512 d = _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(block)));
    const __m512 m = _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(block + 32)));
    __m512i w[8];
#pragma GCC unroll 4
    for (int g = 0; g < 4; ++g) {
      const __m512i both = _mm512_load_si512(block + 64 + 64 * g);
      w[g] = _mm512_and_si512(both, low_nibbles);
      w[g + 4] = _mm512_and_si512(_mm512_srli_epi16(both, 4), low_nibbles);
      _mm512_store_si512(w16 + 64 * g, _mm512_slli_epi16(w[g], 4));
      _mm512_store_si512(w16 + 256 + 64 * g, _mm512_and_si512(both, high_nibbles));
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const RowBlock& x = row_of(call, b, r);
      __m512i sum = _mm512_setzero_si512();
      add_products(sum, _mm512_load_si512(w16 + 64 * x.group), x.high);
      sum = block_sum(w, x, sum);
      y[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(d, _mm512_set1_ps(x.scale)), y[r]);
      y[r] = _mm512_fmadd_ps(m, _mm512_set1_ps(x.sum), y[r]);
    }
    if (is_fetched) fetch_block(block + ahead_bytes, 320);
    block += 320;
  }
  store_rows<kRows>(call, y);
}

template <int kRows>
void strip8_rows(const StripCall& call) {
  __m512 y[kRows];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) y[r] = _mm512_setzero_ps();
  const uint8_t* block = call.strip;
  const bool is_fetched = kRows > 2 || kAhead.few_rows;
  const size_t ahead_bytes = kAhead.bytes;
  for (size_t b = 0; b < call.block_count; ++b) {
    const __m512 d = _mm512_load_ps(block);
    __m512i w[8];
#pragma GCC unroll 8
    for (int g = 0; g < 8; ++g) w[g] = _mm512_load_si512(block + 64 + 64 * g);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const RowBlock& x = row_of(call, b, r);
      const __m512i four = _mm512_load_si512(block + 64 + 64 * x.group);
      __m512i sum = _mm512_setzero_si512();
      add_products(sum, four, x.high);
      sum = _mm512_add_epi32(_mm512_slli_epi32(sum, 4), _mm512_set1_epi32(x.offset));
      sum = block_sum(w, x, sum);
      y[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(d, _mm512_set1_ps(x.scale)), y[r]);
    }
    if (is_fetched) fetch_block(block + ahead_bytes, 576);
    block += 576;
  }
  store_rows<kRows>(call, y);
}

using RowsCall = void (*)(const StripCall&);
template <size_t... kIndex>
constexpr std::array<RowsCall, sizeof...(kIndex)> strips4(std::index_sequence<kIndex...>) {
  return {strip4_rows<kIndex + 1>...};
}
template <size_t... kIndex>
constexpr std::array<RowsCall, sizeof...(kIndex)> strips8(std::index_sequence<kIndex...>) {
  return {strip8_rows<kIndex + 1>...};
}
constexpr size_t kRowsMax = 16;
constexpr auto kStrips4 = strips4(std::make_index_sequence<kRowsMax>());
constexpr auto kStrips8 = strips8(std::make_index_sequence<kRowsMax>());
void strip4_avx512(const StripCall& call) { kStrips4[call.row_count - 1](call); }
void strip8_avx512(const StripCall& call) { kStrips8[call.row_count - 1](call); }

// Of each four lanes the largest, in all four. A NaN never is: maximum with a NaN first gives the second.
inline __m512 largest_of_four(__m512 x) {
  const __m512 size = _mm512_max_ps(_mm512_abs_ps(x), _mm512_setzero_ps());
  const __m512 pairs = _mm512_max_ps(size, _mm512_permute_ps(size, 0xb1));
  return _mm512_max_ps(pairs, _mm512_permute_ps(pairs, 0x4e));
}

// To nearest even, as nearbyint does; a NaN has no integer.
inline __m512i rounded(__m512 x) { return _mm512_maskz_cvtps_epi32(_mm512_cmp_ps_mask(x, x, _CMP_ORD_Q), x); }

void quantise_avx512(const float* x, size_t block_count, RowBlock* to) {
  for (size_t block = 0; block < block_count; ++block, x += kBlockInputs, to += kRowsTile) {
    const __m512 a = _mm512_loadu_ps(x), b = _mm512_loadu_ps(x + 16);
    const __m512 fours_a = largest_of_four(a), fours_b = largest_of_four(b);
    const float largest = _mm512_reduce_max_ps(_mm512_max_ps(fours_a, fours_b));
    const __m512 all = _mm512_set1_ps(largest);
    const uint32_t found = _mm512_cmp_ps_mask(fours_a, all, _CMP_EQ_OQ) |
                           static_cast<uint32_t>(_mm512_cmp_ps_mask(fours_b, all, _CMP_EQ_OQ)) << 16;
    const uint32_t group = static_cast<uint32_t>(__builtin_ctz(found)) / 4;
    const uint32_t four = 15u << (4 * group);
    const __mmask16 in_a = static_cast<__mmask16>(four), in_b = static_cast<__mmask16>(four >> 16);
    const __m512 rest = _mm512_max_ps(_mm512_maskz_mov_ps(static_cast<__mmask16>(~in_a), fours_a),
                                      _mm512_maskz_mov_ps(static_cast<__mmask16>(~in_b), fours_b));
    const float scale = block_scale(largest, _mm512_reduce_max_ps(rest));
    const __m512 inverse = _mm512_set1_ps(scale > 0 ? 1 / scale : 0);
    __m512i qa = rounded(_mm512_mul_ps(a, inverse)), qb = rounded(_mm512_mul_ps(b, inverse));
    const int32_t sum = _mm512_reduce_add_epi32(_mm512_add_epi32(qa, qb));
    const __m512i eight = _mm512_set1_epi32(8);
    const __m512i high_a = _mm512_maskz_srai_epi32(in_a, _mm512_add_epi32(qa, eight), 4);
    const __m512i high_b = _mm512_maskz_srai_epi32(in_b, _mm512_add_epi32(qb, eight), 4);
    qa = _mm512_sub_epi32(qa, _mm512_slli_epi32(high_a, 4));
    qb = _mm512_sub_epi32(qb, _mm512_slli_epi32(high_b, 4));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to->values), _mm512_cvtepi32_epi8(qa));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to->values + 16), _mm512_cvtepi32_epi8(qb));
    // Which half holds the four is as good as random: a branch on it would be guessed wrong half the time.
    const __m512i high =
        _mm512_or_si512(_mm512_maskz_compress_epi32(in_a, high_a), _mm512_maskz_compress_epi32(in_b, high_b));
    const int32_t four_bytes = _mm_cvtsi128_si32(_mm512_cvtepi32_epi8(high));
    std::memcpy(to->high, &four_bytes, 4);
    finish_block(*to, scale, sum, group);
  }
}

}  // namespace

const MatrixKernels* kernels_avx512() {
  static const MatrixKernels table{"avx512vnni", kRowsMax, strip4_avx512, strip8_avx512, quantise_avx512};
  return &table;
}

}  // namespace redraft
#else
namespace redraft {
const MatrixKernels* kernels_avx512() { return nullptr; }
}  // namespace redraft
#endif
