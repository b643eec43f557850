// Products with AVX2, which multiplies bytes into sums of two that have 16 bits.
#include "packed_matrix_kernels.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include "packed_matrix_256.h"
#include "packed_matrix_largest.h"

namespace redraft {
namespace {

// Keeps the compiler from adding in another order, for which it has too few registers.
inline void keep(__m256i& sum) { asm("" : "+x"(sum)); }

struct Dot {
  // A sum of two is at most 2 * 15 * 127, so those of all eight fit 16 bits: 8 * 3810 = 30480.
  static void add4(__m256i& sum, __m256i w, __m256i x) {
    sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(w, x));
    keep(sum);
  }
  static __m256i whole4(__m256i sum, __m256i four, __m256i high) {
    const __m256i coarse = _mm256_madd_epi16(_mm256_maddubs_epi16(four, high), _mm256_set1_epi16(16));
    return _mm256_add_epi32(coarse, _mm256_madd_epi16(sum, _mm256_set1_epi16(1)));
  }

  // |w| * (sign of w) x: the sum of two is then at most 2 * 128 * 127, which fits.
  struct Weights8 {
    __m256i w, size;
    explicit Weights8(__m256i packed)
        : w(_mm256_xor_si256(packed, _mm256_set1_epi8(static_cast<char>(0x80)))), size(_mm256_abs_epi8(w)) {}
    __m256i product(__m256i x, __m256i factor) const {
      return _mm256_madd_epi16(_mm256_maddubs_epi16(size, _mm256_sign_epi8(x, w)), factor);
    }
    void add(__m256i& sum, __m256i x) const {
      sum = _mm256_add_epi32(sum, product(x, _mm256_set1_epi16(1)));
      keep(sum);
    }
    __m256i whole(__m256i sum, __m256i high, int32_t) const {
      return _mm256_add_epi32(sum, product(high, _mm256_set1_epi16(16)));
    }
  };
};

// Of each four lanes the largest, in all four. A NaN never is: maximum with a NaN first gives the second.
inline __m256 largest_of_four(__m256 x) {
  const __m256 size = _mm256_max_ps(_mm256_andnot_ps(_mm256_set1_ps(-0.0f), x), _mm256_setzero_ps());
  const __m256 pairs = _mm256_max_ps(size, _mm256_permute_ps(size, 0xb1));
  return _mm256_max_ps(pairs, _mm256_permute_ps(pairs, 0x4e));
}

// To nearest even, as nearbyint does; a NaN has no integer.
inline __m256i rounded(__m256 x) {
  const __m256i is_number = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_ORD_Q));
  return _mm256_and_si256(_mm256_cvtps_epi32(x), is_number);
}

inline int32_t sum_of_lanes(__m256i x) {
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1)));
}

// As quantise_avx512, on registers half as wide.
void quantise_avx2(const float* x, size_t block_count, RowBlock* to) {
  // Halves of four registers that lie 0, 2, 4, 6 | 1, 3, 5, 7 or 0, 1 | ... in order.
  const __m256i in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7),
                places = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  for (size_t block = 0; block < block_count; ++block, x += kBlockInputs, to += kRowsTile) {
    __m256 part[4];
    for (size_t i = 0; i < 4; ++i) part[i] = _mm256_loadu_ps(x + 8 * i);
    const __m256 first = _mm256_shuffle_ps(largest_of_four(part[0]), largest_of_four(part[1]), 0);
    const __m256 last = _mm256_shuffle_ps(largest_of_four(part[2]), largest_of_four(part[3]), 0);
    const __m256 fours = _mm256_permutevar8x32_ps(_mm256_shuffle_ps(first, last, 0x88), in_order);
    const __m256 largest = largest_of_eight(fours);
    const int found = _mm256_movemask_ps(_mm256_cmp_ps(fours, largest, _CMP_EQ_OQ));
    const uint32_t group = static_cast<uint32_t>(__builtin_ctz(static_cast<unsigned>(found)));
    const __m256i is_group = _mm256_cmpeq_epi32(places, _mm256_set1_epi32(static_cast<int>(group)));
    const __m256 rest = largest_of_eight(_mm256_andnot_ps(_mm256_castsi256_ps(is_group), fours));
    const float scale = block_scale(_mm256_cvtss_f32(largest), _mm256_cvtss_f32(rest));
    const __m256 inverse = _mm256_set1_ps(scale > 0 ? 1 / scale : 0);
    __m256i q[4];
    alignas(32) int32_t all[kBlockInputs];
    for (size_t i = 0; i < 4; ++i) {
      q[i] = rounded(_mm256_mul_ps(part[i], inverse));
      _mm256_store_si256(reinterpret_cast<__m256i*>(all) + i, q[i]);
    }
    const __m256i words = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
    _mm256_store_si256(reinterpret_cast<__m256i*>(to->values), _mm256_permutevar8x32_epi32(words, in_order));
    for (size_t i = 0; i < 4; ++i) {
      const int32_t value = all[4 * group + i], high = (value + 8) >> 4;
      to->high[i] = static_cast<int8_t>(high);
      to->values[4 * group + i] = static_cast<int8_t>(value - 16 * high);
    }
    const __m256i sums = _mm256_add_epi32(_mm256_add_epi32(q[0], q[1]), _mm256_add_epi32(q[2], q[3]));
    finish_block(*to, scale, sum_of_lanes(sums), group);
  }
}

}  // namespace

const MatrixKernels* kernels_avx2() {
  static const MatrixKernels table{kRowsTile, strip<Dot, 4>, strip<Dot, 8>, quantise_avx2};
  return &table;
}

}  // namespace redraft
#else
namespace redraft {
const MatrixKernels* kernels_avx2() { return nullptr; }
}  // namespace redraft
#endif
