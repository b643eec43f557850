// Products with AVX-512 VNNI: 16 outputs x 4 inputs an instruction, weights unpacked once for up to eight rows.
#include "packed_matrix_kernels.h"

#if defined(__AVX512VNNI__) && defined(__AVX512F__)
#include "packed_matrix_largest.h"

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
// without. With many rows of 8-bit weights its first level has too few lines on their way at once to cover the distance
// to memory: they are asked into the second level first.
const bool kIsIntel = __builtin_cpu_is("intel");
constexpr size_t kNearBytes = 2048, kFarBytes = 16384;
const size_t kAheadBytes = kIsIntel ? 8192 : kNearBytes;
inline void fetch_block(const uint8_t* block, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 64) _mm_prefetch(reinterpret_cast<const char*>(block + i), _MM_HINT_T0);
}
inline void fetch_block_far(const uint8_t* block, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 64) _mm_prefetch(reinterpret_cast<const char*>(block + i), _MM_HINT_T1);
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

// Rows [kFirst, kFirst + kCount) of a block, four inputs of all of them at a time: the rows' sums are chains beside
// each other, which no processor would find in a row's instructions one after the other.
template <int kCount>
inline void block4_rows(const __m512i* w, const uint8_t* w16, const RowBlock* rows, __m512 d, __m512 m, __m512* y) {
  __m512i sums[kCount];
#pragma GCC unroll 16
  for (int r = 0; r < kCount; ++r) sums[r] = _mm512_setzero_si512();
#pragma GCC unroll 8
  for (int g = 0; g < 8; ++g) {
#pragma GCC unroll 16
    for (int r = 0; r < kCount; ++r) add_products(sums[r], w[g], rows[r].values + 4 * g);
  }
#pragma GCC unroll 16
  for (int r = 0; r < kCount; ++r) {
    const RowBlock& x = rows[r];
    add_products(sums[r], _mm512_load_si512(w16 + 64 * x.group), x.high);
    y[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[r]), _mm512_mul_ps(d, _mm512_set1_ps(x.scale)), y[r]);
    y[r] = _mm512_fmadd_ps(m, _mm512_set1_ps(x.sum), y[r]);
  }
}

template <int kRows>
void strip4_rows(const StripCall& call) {
  __m512 y[kRows];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) y[r] = _mm512_setzero_ps();
  const __m512i low_nibbles = _mm512_set1_epi8(15), high_nibbles = _mm512_set1_epi8(static_cast<char>(240));
  const uint8_t* block = call.strip;
  const bool is_fetched = kRows > 2 || kIsIntel;
  const size_t ahead_bytes = kAheadBytes;
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
    constexpr int kFirst = kRows < 8 ? kRows : 8;
    block4_rows<kFirst>(w, w16, &row_of(call, b, 0), d, m, y);
    if constexpr (kRows > 8) block4_rows<kRows - 8>(w, w16, &row_of(call, b, 8), d, m, y + 8);
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
  const bool is_fetched = kRows > 2 || kIsIntel, is_fetched_far = kRows > 4 && kIsIntel;
  const size_t ahead_bytes = kRows > 4 ? kNearBytes : kAheadBytes;
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
    if (is_fetched_far) fetch_block_far(block + kFarBytes, 576);
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

inline void store_bytes(void* to, __m128i four) {
  const int32_t bytes = _mm_cvtsi128_si32(_mm_cvtepi32_epi8(four));
  std::memcpy(to, &bytes, 4);
}

// Without a branch on the values: where the four lie is as good as random, and a wrong guess costs more than a block.
void quantise_avx512(const float* x, size_t block_count, RowBlock* to) {
  const __m512i firsts = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 0, 0, 0, 0, 0, 0, 0);
  for (size_t block = 0; block < block_count; ++block, x += kBlockInputs, to += kRowsTile) {
    const __m512 a = _mm512_loadu_ps(x), b = _mm512_loadu_ps(x + 16);
    const __m512 of_fours = _mm512_permutex2var_ps(largest_of_four(a), firsts, largest_of_four(b));
    const __m256 fours = _mm512_castps512_ps256(of_fours), largest = largest_of_eight(fours);
    const uint32_t found = _mm256_cmp_ps_mask(fours, largest, _CMP_EQ_OQ);
    const uint32_t group = static_cast<uint32_t>(__builtin_ctz(found));
    const __m256 rest = largest_of_eight(_mm256_maskz_mov_ps(static_cast<__mmask8>(~(1u << group)), fours));
    const float scale = block_scale(_mm256_cvtss_f32(largest), _mm256_cvtss_f32(rest));
    const __m512 inverse = _mm512_set1_ps(scale > 0 ? 1 / scale : 0);
    const __m512i qa = rounded(_mm512_mul_ps(a, inverse)), qb = rounded(_mm512_mul_ps(b, inverse));
    alignas(64) int32_t q[kBlockInputs];
    _mm512_store_si512(q, qa);
    _mm512_store_si512(q + 16, qb);
    _mm_store_si128(reinterpret_cast<__m128i*>(to->values), _mm512_cvtepi32_epi8(qa));
    _mm_store_si128(reinterpret_cast<__m128i*>(to->values + 16), _mm512_cvtepi32_epi8(qb));
    const __m128i four = _mm_load_si128(reinterpret_cast<const __m128i*>(q + 4 * group));
    const __m128i high = _mm_srai_epi32(_mm_add_epi32(four, _mm_set1_epi32(8)), 4);
    store_bytes(to->values + 4 * group, _mm_sub_epi32(four, _mm_slli_epi32(high, 4)));
    store_bytes(to->high, high);
    finish_block(*to, scale, _mm512_reduce_add_epi32(_mm512_add_epi32(qa, qb)), group);
  }
}

}  // namespace

const MatrixKernels* kernels_avx512() {
  static const MatrixKernels table{kRowsMax, strip4_avx512, strip8_avx512, quantise_avx512};
  return &table;
}

}  // namespace redraft
#else
namespace redraft {
const MatrixKernels* kernels_avx512() { return nullptr; }
}  // namespace redraft
#endif
