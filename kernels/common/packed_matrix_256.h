// Strips on 256-bit registers, 8 outputs x 4 inputs an instruction: weights of half a strip are unpacked once for up to
// eight rows. Included once by each packed_matrix_{avx2,avxvnni}.cc, whose Dot multiplies with the instructions that it
// has. Sums of 4-bit weights:
//   add4(sum, w, x)          sum += products, in whatever form Dot keeps it
//   whole4(sum, four, high)  the block's sums; four: weights of the inputs that keep 12 bits, high: their high parts
// and of 8-bit weights, as packed, the same by Weights8(w).add(sum, x) and Weights8(four).whole(sum, high, offset).
#pragma once
#include "packed_matrix_kernels.h"

#include <immintrin.h>

#include <array>
#include <cmath>
#include <cstring>
#include <utility>

namespace redraft {
namespace {

constexpr size_t kHalfOutputs = 8;
constexpr size_t kAheadBytes = 4096;  // Of weights, asked for while others are multiplied.

inline __m256i load256(const void* bytes) { return _mm256_loadu_si256(static_cast<const __m256i*>(bytes)); }

inline void store256(void* to, __m256i bytes) { _mm256_store_si256(static_cast<__m256i*>(to), bytes); }

inline __m256i broadcast4(const int8_t* values) {
  int32_t four;
  std::memcpy(&four, values, 4);
  return _mm256_set1_epi32(four);
}

inline __m256 halves(const uint8_t* eight) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(eight)));
}

inline void fetch(const uint8_t* block, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 64)
    _mm_prefetch(reinterpret_cast<const char*>(block + kAheadBytes + i), _MM_HINT_T0);
}

// Else the compiler spreads the values of all rows once for both halves, and keeps them in memory.
inline void read_again() { asm volatile("" : : : "memory"); }

// Sums of both halves of a strip for some rows. In memory: the weights of a block take the registers.
template <size_t kRows>
struct Sums256 {
  alignas(32) float of[2][kRows][kHalfOutputs] = {};

  void store(const StripCall& call) const {
    for (size_t r = 0; r < kRows; ++r) {
      float* const y = call.y + r * call.y_stride;
      const size_t first = std::min(call.out_count, kHalfOutputs);
      std::memcpy(y, of[0][r], first * sizeof(float));
      std::memcpy(y + kHalfOutputs, of[1][r], (call.out_count - first) * sizeof(float));
    }
  }
};

// y += sum * (d * scale) + m * the sum of x: as every instruction set does it, in this order.
inline void add_block(float* y, __m256i sum, __m256 d, const RowBlock& x) {
  const __m256 factor = _mm256_mul_ps(d, _mm256_set1_ps(x.scale));
  _mm256_store_ps(y, _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), factor, _mm256_load_ps(y)));
}
inline void add_minimum(float* y, __m256 m, const RowBlock& x) {
  _mm256_store_ps(y, _mm256_fmadd_ps(m, _mm256_set1_ps(x.sum), _mm256_load_ps(y)));
}

// Four inputs of all rows at a time, so that the rows' sums are chains beside each other: all loops over rows and
// inputs are unrolled.
template <typename Dot, size_t kRows>
inline void half_block4(const uint8_t* block, size_t half, const RowBlock* rows, float (*y)[kHalfOutputs]) {
  const __m256i low_nibbles = _mm256_set1_epi8(15);
  alignas(32) uint8_t unpacked[256];  // Where each row finds the four that it wants.
  __m256i sums[kRows];
#pragma GCC unroll 8
  for (size_t r = 0; r < kRows; ++r) sums[r] = _mm256_setzero_si256();
#pragma GCC unroll 4
  for (size_t g = 0; g < 4; ++g) {
    const __m256i both = load256(block + 64 + 64 * g + 32 * half);
    const __m256i low = _mm256_and_si256(both, low_nibbles);
    const __m256i high = _mm256_and_si256(_mm256_srli_epi16(both, 4), low_nibbles);
    store256(unpacked + 32 * g, low), store256(unpacked + 128 + 32 * g, high);
#pragma GCC unroll 8
    for (size_t r = 0; r < kRows; ++r) Dot::add4(sums[r], low, broadcast4(rows[r].values + 4 * g));
#pragma GCC unroll 8
    for (size_t r = 0; r < kRows; ++r) Dot::add4(sums[r], high, broadcast4(rows[r].values + 16 + 4 * g));
  }
  const __m256 d = halves(block + 16 * half), m = halves(block + 32 + 16 * half);
#pragma GCC unroll 8
  for (size_t r = 0; r < kRows; ++r) {
    const RowBlock& x = rows[r];
    add_block(y[r], Dot::whole4(sums[r], load256(unpacked + 32 * x.group), broadcast4(x.high)), d, x);
    add_minimum(y[r], m, x);
  }
}

template <typename Dot, size_t kRows>
inline void half_block8(const uint8_t* block, size_t half, const RowBlock* rows, float (*y)[kHalfOutputs]) {
  const uint8_t* const weights = block + 64 + 32 * half;
  __m256i sums[kRows];
#pragma GCC unroll 8
  for (size_t r = 0; r < kRows; ++r) sums[r] = _mm256_setzero_si256();
#pragma GCC unroll 8
  for (size_t g = 0; g < 8; ++g) {
    const typename Dot::Weights8 w(load256(weights + 64 * g));
#pragma GCC unroll 8
    for (size_t r = 0; r < kRows; ++r) w.add(sums[r], broadcast4(rows[r].values + 4 * g));
  }
  const __m256 d = _mm256_loadu_ps(reinterpret_cast<const float*>(block) + kHalfOutputs * half);
#pragma GCC unroll 8
  for (size_t r = 0; r < kRows; ++r) {
    const RowBlock& x = rows[r];
    const typename Dot::Weights8 four(load256(weights + 64 * x.group));
    add_block(y[r], four.whole(sums[r], broadcast4(x.high), x.offset), d, x);
  }
}

template <typename Dot, int kBits, size_t kRows>
void strip_rows(const StripCall& call) {
  constexpr size_t kBlockBytes = kBits == 4 ? 64 + 256 : 64 + 512;
  Sums256<kRows> y;
  const uint8_t* block = call.strip;
  const RowBlock* rows = call.rows;
  for (size_t b = 0; b < call.block_count; ++b, block += kBlockBytes, rows += kRowsTile) {
    for (size_t half = 0; half < 2; ++half) {
      read_again();
      if constexpr (kBits == 4) half_block4<Dot, kRows>(block, half, rows, y.of[half]);
      else half_block8<Dot, kRows>(block, half, rows, y.of[half]);
    }
    fetch(block, kBlockBytes);
  }
  y.store(call);
}

using RowsCall = void (*)(const StripCall&);
template <typename Dot, int kBits, size_t... kIndex>
constexpr std::array<RowsCall, kRowsTile> strips(std::index_sequence<kIndex...>) {
  return {strip_rows<Dot, kBits, kIndex + 1>...};
}
template <typename Dot, int kBits>
void strip(const StripCall& call) {
  static constexpr auto kCalls = strips<Dot, kBits>(std::make_index_sequence<kRowsTile>());
  kCalls[call.row_count - 1](call);
}

}  // namespace
}  // namespace redraft
