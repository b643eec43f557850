// The bodies behind AttentionKernels on 16 lanes. Included once by each tree_attention_{portable,avx2,avx512}.cc,
// compiled for its instruction set; all in an unnamed namespace, so that no copy for a newer machine ends up in an
// older one's path.
#pragma once
#include <cstddef>
#include <cstdint>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "tree_attention.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"  // Vectors are returned only by functions that are inlined.
#endif

namespace redraft {
namespace {

#define REDRAFT_LANES static inline __attribute__((always_inline))

#if defined(__AVX512F__)
typedef __m512 Lanes;
REDRAFT_LANES Lanes widen(const uint16_t* half) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(half)));
}
REDRAFT_LANES Lanes spread(float value) { return _mm512_set1_ps(value); }
REDRAFT_LANES Lanes load(const float* x) { return _mm512_loadu_ps(x); }
REDRAFT_LANES void store(float* x, Lanes v) { _mm512_storeu_ps(x, v); }
REDRAFT_LANES Lanes fused(Lanes a, Lanes b, Lanes c) { return _mm512_fmadd_ps(a, b, c); }
#elif defined(__AVX2__)
struct Lanes {
  __m256 low, high;
};
REDRAFT_LANES Lanes widen(const uint16_t* half) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(half))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(half + 8)))};
}
REDRAFT_LANES Lanes spread(float value) { return {_mm256_set1_ps(value), _mm256_set1_ps(value)}; }
REDRAFT_LANES Lanes load(const float* x) { return {_mm256_loadu_ps(x), _mm256_loadu_ps(x + 8)}; }
REDRAFT_LANES void store(float* x, Lanes v) { _mm256_storeu_ps(x, v.low), _mm256_storeu_ps(x + 8, v.high); }
REDRAFT_LANES Lanes fused(Lanes a, Lanes b, Lanes c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
#else
struct Lanes {
  float at[16];
};
REDRAFT_LANES float widen_one(uint16_t half) {  // Keys and values are finite: no infinities to care for.
  const uint32_t magnitude = half & 0x7fffu;
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  uint32_t bits = sign | ((magnitude << 13) + (112u << 23));
  float value;
  __builtin_memcpy(&value, &bits, 4);
  if (magnitude < 0x0400u) value = static_cast<float>(magnitude) * (sign ? -0x1p-24f : 0x1p-24f);
  return value;
}
REDRAFT_LANES Lanes widen(const uint16_t* half) {
  Lanes v;
  for (int l = 0; l < 16; ++l) v.at[l] = widen_one(half[l]);
  return v;
}
REDRAFT_LANES Lanes spread(float value) {
  Lanes v;
  for (int l = 0; l < 16; ++l) v.at[l] = value;
  return v;
}
REDRAFT_LANES Lanes load(const float* x) {
  Lanes v;
  __builtin_memcpy(&v, x, sizeof v);
  return v;
}
REDRAFT_LANES void store(float* x, const Lanes& v) { __builtin_memcpy(x, &v, sizeof v); }
REDRAFT_LANES Lanes fused(const Lanes& a, const Lanes& b, const Lanes& c) {
  Lanes v;
  for (int l = 0; l < 16; ++l) v.at[l] = __builtin_fmaf(a.at[l], b.at[l], c.at[l]);
  return v;
}
#endif

// Of three queries alone the sums are too few to fill the time that one addition takes: hence pages in pairs.
template <size_t kCount, size_t kPages>
void score_some(const uint16_t* const* keys, const uint16_t* const* ahead, size_t head_size, const float* const* q,
                float* const* scores) {
  Lanes sum[kPages][kCount];
  for (size_t page = 0; page < kPages; ++page)
    for (size_t i = 0; i < kCount; ++i) sum[page][i] = spread(0);
  for (size_t d = 0; d < head_size; ++d) {
    Lanes key[kPages];
    for (size_t page = 0; page < kPages; ++page) key[page] = widen(keys[page] + d * kPageTokens);
    if (ahead && d % 2 == 0)  // A line holds two.
      for (size_t page = 0; page < kPages; ++page) __builtin_prefetch(ahead[page] + d * kPageTokens);
    for (size_t i = 0; i < kCount; ++i) {
      const Lanes value = spread(q[i][d]);
      for (size_t page = 0; page < kPages; ++page) sum[page][i] = fused(value, key[page], sum[page][i]);
    }
  }
  for (size_t page = 0; page < kPages; ++page)
    for (size_t i = 0; i < kCount; ++i) store(scores[i] + page * kPageTokens, sum[page][i]);
}

template <size_t kPages>
void score_all(const uint16_t* const* keys, const uint16_t* const* ahead, size_t head_size, const float* const* q,
               float* const* scores, size_t count) {
  constexpr size_t kMost = 12 / kPages;
  const auto score = [&]<size_t kCount>() {
    score_some<kCount, kPages>(keys, ahead, head_size, q, scores);
    ahead = nullptr;  // Once is enough.
    count -= kCount, q += kCount, scores += kCount;
  };
  while (count >= kMost) score.template operator()<kMost>();
  if constexpr (kMost > 6)
    while (count >= 6) score.template operator()<6>();
  while (count >= 3) score.template operator()<3>();
  while (count >= 1) score.template operator()<1>();
}

void score_pages(const uint16_t* const* keys, const uint16_t* const* ahead, size_t page_count, size_t head_size,
                 const float* const* q, float* const* scores, size_t count) {
  if (page_count == 2) score_all<2>(keys, ahead, head_size, q, scores, count);
  else score_all<1>(keys, ahead, head_size, q, scores, count);
}

// kParts 16-lane parts of the head, from d on, stay in registers while the rows go by.
template <size_t kCount, size_t kParts>
REDRAFT_LANES void add_some(const uint16_t* values, const uint16_t* ahead, size_t head_size, size_t row_count,
                            const float* const* weights, float* const* out, size_t d) {
  Lanes sum[kCount][kParts];
  for (size_t i = 0; i < kCount; ++i)
    for (size_t part = 0; part < kParts; ++part) sum[i][part] = load(out[i] + d + 16 * part);
  for (size_t row = 0; row < row_count; ++row) {
    Lanes value[kParts];
    for (size_t part = 0; part < kParts; ++part) value[part] = widen(values + row * head_size + d + 16 * part);
    if (ahead)
      for (size_t part = 0; part < kParts; part += 2) __builtin_prefetch(ahead + row * head_size + d + 16 * part);
    for (size_t i = 0; i < kCount; ++i) {
      const Lanes weight = spread(weights[i][row]);
      for (size_t part = 0; part < kParts; ++part) sum[i][part] = fused(weight, value[part], sum[i][part]);
    }
  }
  for (size_t i = 0; i < kCount; ++i)
    for (size_t part = 0; part < kParts; ++part) store(out[i] + d + 16 * part, sum[i][part]);
}

template <size_t kCount>
void add_group(const uint16_t* values, const uint16_t* ahead, size_t head_size, size_t row_count,
               const float* const* weights, float* const* out) {
  size_t d = 0;
  for (; d + 64 <= head_size; d += 64) add_some<kCount, 4>(values, ahead, head_size, row_count, weights, out, d);
  for (; d + 16 <= head_size; d += 16) add_some<kCount, 1>(values, ahead, head_size, row_count, weights, out, d);
}

void add_values(const uint16_t* values, const uint16_t* ahead, size_t head_size, size_t row_count,
                const float* const* weights, float* const* out, size_t count) {
  const auto add = [&]<size_t kCount>() {
    add_group<kCount>(values, ahead, head_size, row_count, weights, out);
    ahead = nullptr;
    count -= kCount, weights += kCount, out += kCount;
  };
  while (count >= 6) add.template operator()<6>();
  while (count >= 3) add.template operator()<3>();
  while (count >= 1) add.template operator()<1>();
}

}  // namespace
}  // namespace redraft
