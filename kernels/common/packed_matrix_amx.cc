// Products of many rows with 4-bit weights by AMX: 16 outputs, up to 16 rows and a whole block of inputs an
// instruction, so that a row beside others costs little more than turning its sums into floating point. Integer sums
// are exact and what follows is what packed_matrix_avx512.cc does, in its order: the bits are the same. Weights of 8
// bits need a second product for the inputs that keep 12 bits, and its sums cost what the tiles save: they were slower
// so.
#include "packed_matrix_kernels.h"

#if defined(__AMX_INT8__) && defined(__AVX512F__) && defined(__linux__)
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <utility>

namespace redraft {
namespace {

// Blocks of a strip that are unpacked together. With the values of 16 rows they fill the first-level cache; with fewer
// at a time, sums would be stored and loaded more often.
constexpr size_t kBlocksChunk = 24;
constexpr size_t kAheadBytes = 8192;     // Weights fetched while others are unpacked.
constexpr size_t kBlockBytes = 320;      // Of 16 outputs and 32 inputs, as packed;
constexpr size_t kUnpackedBytes = 1024;  // 512 bytes of the weights, 512 of 16 times them.

// _tile_loadconfig's operand (Intel SDM, volume 1, 18.2).
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
  void set(int tile, size_t row_count, size_t bytes) {
    rows[tile] = static_cast<uint8_t>(row_count), row_bytes[tile] = static_cast<uint16_t>(bytes);
  }
};

// Tile registers, by their use. The intrinsics want plain numbers: 0 holds sums, 1 rows, 2 weights.
void configure(size_t rows) {
  TileConfig config;
  config.set(0, rows, 64);
  config.set(1, rows, 64);
  config.set(2, 16, 64);
  asm volatile("" : : "r"(&config) : "memory");  // GCC 12 takes the intrinsic to read eight bytes alone.
  _tile_loadconfig(&config);
}

struct Sums {
  alignas(64) int32_t of[kRowsWide][kStripOutputs];
};

// The 512 bytes of a strip's weights for the values, and for their high parts 16 times the same: at most 240.
void unpack(const uint8_t* block, uint8_t* to) {
  const __m512i low = _mm512_set1_epi8(15), high = _mm512_set1_epi8(static_cast<char>(240));
  for (size_t g = 0; g < 4; ++g) {
    const __m512i both = _mm512_load_si512(block + 64 + 64 * g), w = _mm512_and_si512(both, low);
    _mm512_store_si512(to + 64 * g, w);
    _mm512_store_si512(to + 256 + 64 * g, _mm512_and_si512(_mm512_srli_epi16(both, 4), low));
    _mm512_store_si512(to + 512 + 64 * g, _mm512_slli_epi16(w, 4));
    _mm512_store_si512(to + 768 + 64 * g, _mm512_and_si512(both, high));
  }
  for (size_t i = 0; i < kBlockBytes; i += 64)
    _mm_prefetch(reinterpret_cast<const char*>(block + kAheadBytes + i), _MM_HINT_T0);
}

inline void multiply_block(const int8_t* values, const uint8_t* unpacked, Sums& sums) {
  _tile_zero(0);
  _tile_loadd(1, values, 64);
  _tile_loadd(2, unpacked, 64);
  _tile_dpbsud(0, 1, 2);
  _tile_stored(0, sums.of, 64);
}

// Some blocks of one strip against one tile of rows.
struct TileCall {
  const uint8_t* block;     // Of the strip, as packed.
  const uint8_t* unpacked;  // The same, by unpack().
  size_t block_count;
  const WideBlock* rows;
  float* y;
  size_t y_stride;
  __mmask16 outputs;
  bool is_first;  // Of the strip's blocks: sums start at zero.
};

// Row r's result is the same in every instance. While a block's sums become floating point, the tiles of the next one
// are already multiplied.
template <size_t kRows>
void multiply_tile(const TileCall& call) {
  __m512 y[kRows];  // In registers, if the loops over it are unrolled, all of them.
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r)
    y[r] = call.is_first ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(call.outputs, call.y + r * call.y_stride);
  Sums sums[2];
  const auto multiply = [&](size_t b) {
    multiply_block(call.rows[b].values[0], call.unpacked + b * kUnpackedBytes, sums[b % 2]);
  };
  multiply(0);
  for (size_t b = 0; b < call.block_count; ++b) {
    if (b + 1 < call.block_count) multiply(b + 1);
    const auto* block = reinterpret_cast<const __m256i*>(call.block + b * kBlockBytes);
    const __m512 d = _mm512_cvtph_ps(_mm256_load_si256(block)), m = _mm512_cvtph_ps(_mm256_load_si256(block + 1));
    const WideBlock& x = call.rows[b];
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r) {
      const __m512 sum = _mm512_cvtepi32_ps(_mm512_load_si512(sums[b % 2].of[r]));
      y[r] = _mm512_fmadd_ps(sum, _mm512_mul_ps(d, _mm512_set1_ps(x.scale[r])), y[r]);
      y[r] = _mm512_fmadd_ps(m, _mm512_set1_ps(x.sum[r]), y[r]);
    }
  }
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r) _mm512_mask_storeu_ps(call.y + r * call.y_stride, call.outputs, y[r]);
}

template <size_t... kIndex>
constexpr std::array<void (*)(const TileCall&), kRowsWide> tiles(std::index_sequence<kIndex...>) {
  return {multiply_tile<kIndex + 1>...};
}
constexpr auto kTiles = tiles(std::make_index_sequence<kRowsWide>());

// One strip against all rows.
void multiply_strip(const WideCall& call, size_t strip) {
  alignas(64) uint8_t unpacked[kBlocksChunk * kUnpackedBytes];
  const uint8_t* const blocks = call.strips + strip * call.block_count * kBlockBytes;
  const size_t out = strip * kStripOutputs, out_count = std::min(kStripOutputs, call.out_count - out);
  const size_t chunks = (call.block_count + kBlocksChunk - 1) / kBlocksChunk;
  const size_t chunk = (call.block_count + chunks - 1) / chunks;  // Of nearly one size.
  for (size_t begin = 0; begin < call.block_count; begin += chunk) {
    const size_t count = std::min(chunk, call.block_count - begin);
    for (size_t b = 0; b < count; ++b) unpack(blocks + (begin + b) * kBlockBytes, unpacked + b * kUnpackedBytes);
    for (size_t row = 0; row < call.row_count; row += kRowsWide) {
      kTiles[std::min(kRowsWide, call.row_count - row) - 1](
          {blocks + begin * kBlockBytes, unpacked, count, call.rows + row / kRowsWide * call.block_count + begin,
           call.y + row * call.y_stride + out, call.y_stride, static_cast<__mmask16>((1u << out_count) - 1),
           begin == 0});
    }
  }
}

void strips4_amx(const WideCall& call) {
  configure(std::min(kRowsWide, call.row_count));
  for (size_t strip = 0; strip < call.strip_count; ++strip) multiply_strip(call, strip);
  _tile_release();  // Else each switch of threads would save the tiles.
}

void widen(const RowBlock* rows, size_t block_count, size_t row, WideBlock* to) {
  for (size_t b = 0; b < block_count; ++b, rows += kRowsTile, ++to) {
    int32_t four;
    std::memcpy(&four, rows->high, 4);
    auto* const values = reinterpret_cast<__m256i*>(to->values[row]);
    _mm256_store_si256(values, _mm256_load_si256(reinterpret_cast<const __m256i*>(rows->values)));
    _mm256_store_si256(values + 1, _mm256_maskz_set1_epi32(static_cast<__mmask8>(1u << rows->group), four));
    to->scale[row] = rows->scale, to->sum[row] = rows->sum;
  }
}

// Leaf 7 of cpuid has tiles in bit 24 of edx and their 8-bit products in bit 25; Linux gives the registers to a process
// that asks for them (Documentation/arch/x86/xstate.rst).
bool ask_for_tiles() {
  unsigned eax, ebx, ecx, edx;
  if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || (edx >> 24 & 3) != 3) return false;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

const WideKernels* wide_kernels_amx() {
  static const WideKernels table{"amx-int8", strips4_amx, widen};
  static const bool is_given = ask_for_tiles();
  return is_given ? &table : nullptr;
}

}  // namespace redraft
#else
namespace redraft {
const WideKernels* wide_kernels_amx() { return nullptr; }
}  // namespace redraft
#endif
