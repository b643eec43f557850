// Products with AVX-VNNI: the dot products of packed_matrix_avx512.cc on half as many outputs, for processors without
// AVX-512.
#include "packed_matrix_kernels.h"

#if defined(__AVXVNNI__) && defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include "packed_matrix_256.h"

namespace redraft {
namespace {

struct Dot {
  static void add4(__m256i& sum, __m256i w, __m256i x) { sum = _mm256_dpbusd_avx_epi32(sum, w, x); }
  static __m256i whole4(__m256i sum, __m256i four, __m256i high) {
    return _mm256_dpbusd_avx_epi32(sum, _mm256_slli_epi16(four, 4), high);
  }

  struct Weights8 {
    __m256i w;
    explicit Weights8(__m256i packed) : w(packed) {}
    void add(__m256i& sum, __m256i x) const { sum = _mm256_dpbusd_avx_epi32(sum, w, x); }
    __m256i whole(__m256i sum, __m256i high, int32_t offset) const {
      const __m256i coarse = _mm256_slli_epi32(_mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), w, high), 4);
      return _mm256_add_epi32(_mm256_add_epi32(sum, coarse), _mm256_set1_epi32(offset));
    }
  };
};

}  // namespace

const MatrixKernels* kernels_avxvnni() {
  static const MatrixKernels table{kRowsTile, strip<Dot, 4>, strip<Dot, 8>, kernels_avx2()->quantise};
  return &table;
}

}  // namespace redraft
#else
namespace redraft {
const MatrixKernels* kernels_avxvnni() { return nullptr; }
}  // namespace redraft
#endif
