// SHA-256 with the SHA extensions of x86: two rounds an instruction.
#include "sha256.h"

#if defined(__SHA__) && defined(__SSE4_1__)
#include <cpuid.h>
#include <immintrin.h>

#include "sha256_constants.h"

namespace redraft {

namespace {

__m128i load(const void* from) { return _mm_loadu_si128(static_cast<const __m128i*>(from)); }

void blocks_shani(uint32_t* state, const uint8_t* blocks, size_t block_count) {
  const __m128i swap_bytes = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
  // The instructions want the state as (a b e f) and (c d g h).
  const __m128i badc = _mm_shuffle_epi32(load(state), 0xB1), fehg = _mm_shuffle_epi32(load(state + 4), 0x1B);
  __m128i abef = _mm_alignr_epi8(badc, fehg, 8), cdgh = _mm_blend_epi16(fehg, badc, 0xF0);
  for (; block_count; --block_count, blocks += 64) {
    const __m128i abef_before = abef, cdgh_before = cdgh;
    __m128i w[4];  // The last 16 words of the schedule, four a vector.
    for (int i = 0; i < 4; ++i) w[i] = _mm_shuffle_epi8(load(blocks + 16 * i), swap_bytes);
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) {
      const __m128i words = w[i % 4];
      const __m128i sum = _mm_add_epi32(words, load(kSha256Rounds + 4 * i));
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0E));
      if (i >= 12) continue;
      // Words 16 on: w[t] = s1(w[t-2]) + w[t-7] + s0(w[t-15]) + w[t-16].
      const __m128i next = w[(i + 1) % 4], third = w[(i + 2) % 4], last = w[(i + 3) % 4];
      const __m128i partial = _mm_add_epi32(_mm_sha256msg1_epu32(words, next), _mm_alignr_epi8(last, third, 4));
      w[i % 4] = _mm_sha256msg2_epu32(partial, last);
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
  }
  const __m128i feba = _mm_shuffle_epi32(abef, 0x1B), dchg = _mm_shuffle_epi32(cdgh, 0xB1);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(state), _mm_blend_epi16(feba, dchg, 0xF0));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

}  // namespace

Sha256Blocks sha256_blocks_shani() {
  // __builtin_cpu_supports() does not know "sha" in every compiler that builds this.
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !(ebx >> 29 & 1)) return nullptr;
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx >> 19 & 1) || !(ecx >> 9 & 1)) return nullptr;
  return blocks_shani;
}

}  // namespace redraft
#else
namespace redraft {
Sha256Blocks sha256_blocks_shani() { return nullptr; }
}  // namespace redraft
#endif
