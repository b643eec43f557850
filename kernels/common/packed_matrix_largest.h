// What quantise_avx2 and quantise_avx512 share; in an unnamed namespace, for each is compiled for its own instructions.
#pragma once
#include <immintrin.h>

namespace redraft {
namespace {

// The largest lane, in all lanes.
inline __m256 largest_of_eight(__m256 x) {
  const __m256 halves = _mm256_max_ps(x, _mm256_permute2f128_ps(x, x, 1));
  const __m256 pairs = _mm256_max_ps(halves, _mm256_permute_ps(halves, 0x4e));
  return _mm256_max_ps(pairs, _mm256_permute_ps(pairs, 0xb1));
}

}  // namespace
}  // namespace redraft
