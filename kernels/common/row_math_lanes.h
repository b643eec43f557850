// The bodies behind row_math.h, on 16 lanes of the compiler's own vector type. Included once by each row_math_*.cc,
// which is compiled for its instruction set; everything is in an unnamed namespace and inlines nothing of the
// library's, so that no copy made for a newer machine can end up in an older one's path.
#pragma once
#include <cstddef>
#include <cstdint>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "row_math.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"  // Vectors are returned only by functions that are inlined.
#endif
#define REDRAFT_INLINE static inline __attribute__((always_inline))

namespace redraft {
namespace {

typedef float F16 __attribute__((vector_size(64)));
typedef int32_t I16 __attribute__((vector_size(64)));
typedef uint32_t U16 __attribute__((vector_size(64)));
typedef uint64_t L8 __attribute__((vector_size(64)));
typedef float F8 __attribute__((vector_size(32)));
typedef double D8 __attribute__((vector_size(64)));

constexpr size_t kLanes = 16;
constexpr float kInfinity = __builtin_inff();

REDRAFT_INLINE F16 fill(float value) { return value - F16{}; }
REDRAFT_INLINE F16 load(const float* x) {
  F16 v;
  __builtin_memcpy(&v, x, sizeof v);
  return v;
}
REDRAFT_INLINE void store(float* x, const F16& v) { __builtin_memcpy(x, &v, sizeof v); }
// count < 16 values, the rest filled.
REDRAFT_INLINE F16 load_some(const float* x, size_t count, float rest) {
  F16 v = fill(rest);
  __builtin_memcpy(&v, x, count * sizeof(float));
  return v;
}
REDRAFT_INLINE F16 load_at(const float* x, size_t i, size_t count) {
  return i + kLanes <= count ? load(x + i) : load_some(x + i, count - i, -kInfinity);
}
REDRAFT_INLINE void store_at(float* x, size_t i, size_t count, const F16& v) {
  if (i + kLanes <= count) store(x + i, v);
  else __builtin_memcpy(x + i, &v, (count - i) * sizeof(float));
}

// Bit l is set iff mask[l] is; mask is what a comparison gives: all bits or none.
REDRAFT_INLINE uint32_t bits_of(const I16& mask) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask);
#elif defined(__AVX__)
  __m256 halves[2];
  __builtin_memcpy(halves, &mask, sizeof mask);
  const int low = _mm256_movemask_ps(halves[0]), high = _mm256_movemask_ps(halves[1]);
  return static_cast<uint32_t>(low | high << 8);
#elif defined(__SSE2__)
  __m128 quarters[4];
  __builtin_memcpy(quarters, &mask, sizeof mask);
  uint32_t bits = 0;
  for (int q = 0; q < 4; ++q) bits |= static_cast<uint32_t>(_mm_movemask_ps(quarters[q])) << (4 * q);
  return bits;
#else
  uint64_t pairs[8];
  __builtin_memcpy(pairs, &mask, sizeof mask);
  uint64_t any = 0;
  for (int p = 0; p < 8; ++p) any |= pairs[p];
  if (!any) return 0;  // Nearly always: a scan meets few values over its threshold.
  uint32_t bits = 0;
  for (int l = 0; l < 16; ++l) bits |= (mask[l] ? 1u : 0u) << l;
  return bits;
#endif
}

// exp(z) for z <= 88; 0 under -87 and for NaN. Cody and Waite's reduction, Cephes' polynomial.
REDRAFT_INLINE F16 exp_lanes(const F16& argument) {
  const I16 counts = argument >= fill(-87.0f);
  const F16 z = counts ? argument : F16{};
  const F16 magic = fill(12582912.0f);  // 1.5 * 2^23: adding it rounds to a whole number, in the low bits.
  const F16 shifted = z * 1.44269504088896341f + magic;
  const F16 whole = shifted - magic;
  F16 r = z - whole * 0.693359375f;
  r = r - whole * -2.12194440e-4f;
  F16 p = fill(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  I16 exponent, magic_bits;
  __builtin_memcpy(&exponent, &shifted, sizeof shifted);
  __builtin_memcpy(&magic_bits, &magic, sizeof magic);
  exponent = (exponent - magic_bits + 127) << 23;
  F16 power;
  __builtin_memcpy(&power, &exponent, sizeof exponent);
  return counts ? p * power : F16{};
}

REDRAFT_INLINE F16 weight_lanes(const F16& x, float peak, float scale) {
  const F16 z = (x - peak) * scale;
  return exp_lanes(z > F16{} ? F16{} : z);
}

struct Sums {
  D8 low = {}, high = {};
};
REDRAFT_INLINE void add_to(Sums& sums, const F16& v) {
  F8 halves[2];
  __builtin_memcpy(halves, &v, sizeof v);
  sums.low += __builtin_convertvector(halves[0], D8);
  sums.high += __builtin_convertvector(halves[1], D8);
}
REDRAFT_INLINE double total(const Sums& sums) {
  const D8 eight = sums.low + sums.high;
  return ((eight[0] + eight[4]) + (eight[2] + eight[6])) + ((eight[1] + eight[5]) + (eight[3] + eight[7]));
}

RowItem peak(const float* x, size_t count) {
  F16 best = fill(-kInfinity);
  I16 at = I16{} - 1;
  I16 lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  for (size_t i = 0; i < count; i += kLanes, lane += 16) {
    const F16 v = load_at(x, i, count);
    const I16 above = v > best;
    best = above ? v : best;
    at = above ? lane : at;
  }
  RowItem item = {-1, -kInfinity};
  for (size_t l = 0; l < kLanes; ++l)
    if (at[l] >= 0 && (best[l] > item.value || (best[l] == item.value && at[l] < item.index))) item = {at[l], best[l]};
  return item;
}

// Sinks (index, value) to its place in top[0 .. held), whose last entry falls off.
REDRAFT_INLINE void insert(RowItem* top, size_t held, int32_t index, float value) {
  size_t place = held - 1;
  for (; place > 0 && top[place - 1].value < value; --place) top[place] = top[place - 1];
  top[place] = {index, value};
}

void top(const float* x, size_t count, size_t k, RowItem* best) {
  if (k == 0) return;
  for (size_t i = 0; i < k; ++i) insert(best, i + 1, static_cast<int32_t>(i), x[i] == x[i] ? x[i] : -kInfinity);
  float threshold = best[k - 1].value;
  // Upwards with a strict comparison, so that among equals the lower index stays.
  for (size_t i = k; i < count; i += kLanes) {
    uint32_t bits = bits_of(load_at(x, i, count) > fill(threshold));
    for (; bits; bits &= bits - 1) {
      const size_t index = i + static_cast<size_t>(__builtin_ctz(bits));
      if (!(x[index] > threshold)) continue;  // It rose within these 16.
      insert(best, k, static_cast<int32_t>(index), x[index]);
      threshold = best[k - 1].value;
    }
  }
}

size_t at_least(const float* x, size_t count, float threshold, uint32_t* indices) {
  size_t found = 0;
  for (size_t i = 0; i < count; i += kLanes) {
    uint32_t bits = bits_of(load_at(x, i, count) >= fill(threshold));
    if (i + kLanes > count) bits &= (1u << (count - i)) - 1;  // Where the threshold is -infinity, so is the filling.
    for (; bits; bits &= bits - 1)
      indices[found++] = static_cast<uint32_t>(i + static_cast<size_t>(__builtin_ctz(bits)));
  }
  return found;
}

double exp_sum(const float* x, size_t count, float peak_value, float scale) {
  Sums sums;
  for (size_t i = 0; i < count; i += kLanes) add_to(sums, weight_lanes(load_at(x, i, count), peak_value, scale));
  return total(sums);
}

double exp_blocks(const float* x, size_t count, float peak_value, float scale, float* weights, double* block_sums) {
  double sum = 0;
  for (size_t begin = 0; begin < count; begin += kRowBlock) {
    const size_t end = begin + kRowBlock < count ? begin + kRowBlock : count;
    Sums sums;
    for (size_t i = begin; i < end; i += kLanes) {
      const F16 w = weight_lanes(load_at(x, i, end), peak_value, scale);
      if (weights) store_at(weights, i, end, w);
      add_to(sums, w);
    }
    *block_sums = total(sums);
    sum += *block_sums++;
  }
  return sum;
}

// log(1 + z) for 1 + z in [sqrt(1/2), sqrt(2)). Cephes' polynomial; small z keep their relative precision.
REDRAFT_INLINE F16 log1p_lanes(const F16& z) {
  F16 p = fill(7.0376836292e-2f);
  p = p * z - 1.1514610310e-1f;
  p = p * z + 1.1676998740e-1f;
  p = p * z - 1.2420140846e-1f;
  p = p * z + 1.4249322787e-1f;
  p = p * z - 1.6668057665e-1f;
  p = p * z + 2.0000714765e-1f;
  p = p * z - 2.4999993993e-1f;
  p = p * z + 3.3333331174e-1f;
  const F16 square = z * z;
  return z + (p * z * square - square * 0.5f);
}

// log(x) for finite x >= 2^-126.
REDRAFT_INLINE F16 log_lanes(const F16& x) {
  U16 bits;
  __builtin_memcpy(&bits, &x, sizeof x);
  const U16 offset = bits - 0x3f3504f3u;  // The bits of sqrt(1/2).
  const I16 exponent = (I16)offset >> 23;
  const U16 mantissa = (offset & 0x007fffffu) + 0x3f3504f3u;
  F16 m;
  __builtin_memcpy(&m, &mantissa, sizeof m);
  const F16 e = __builtin_convertvector(exponent, F16);
  return log1p_lanes(m - 1.0f) + e * -2.12194440e-4f + e * 0.693359375f;
}

struct Product {
  U16 high, low;
};
REDRAFT_INLINE Product multiply(const U16& x, uint32_t factor) {
  L8 pairs;
  __builtin_memcpy(&pairs, &x, sizeof x);
  const L8 even = (pairs & 0xffffffffu) * factor, odd = (pairs >> 32) * factor;
  const L8 high = (even >> 32) | (odd & ~uint64_t{0xffffffffu});
  Product product = {{}, x * factor};
  __builtin_memcpy(&product.high, &high, sizeof high);
  return product;
}

REDRAFT_INLINE F16 gumbel_lanes(uint64_t seed, uint64_t position, const U16& token) {
  U16 c0 = static_cast<uint32_t>(position) + U16{}, c1 = static_cast<uint32_t>(position >> 32) + U16{};
  U16 c2 = token, c3 = {};
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
    const Product p0 = multiply(c0, 0xD2511F53u), p1 = multiply(c2, 0xCD9E8D57u);
    c0 = p1.high ^ c1 ^ k0, c1 = p1.low;
    c2 = p0.high ^ c3 ^ k1, c3 = p0.low;
  }
  // e = -log(u) keeps its relative precision at both ends: the largest noise comes of u next to 1.
  const F16 above = (__builtin_convertvector(~c0, F16) + 0.5f) * 0x1p-32f;  // 1 - u
  const F16 u = (__builtin_convertvector(c0, F16) + 0.5f) * 0x1p-32f;
  const I16 near_one = above < fill(0.29f);
  const F16 e = near_one ? -log1p_lanes(-above) : -log_lanes(u);
  return -log_lanes(e);
}

void gumbel(uint64_t seed, uint64_t position, const uint32_t* tokens, size_t count, float* noise) {
  for (size_t i = 0; i < count; i += kLanes) {
    U16 token = {};
    __builtin_memcpy(&token, tokens + i, (count - i < kLanes ? count - i : kLanes) * sizeof(uint32_t));
    store_at(noise, i, count, gumbel_lanes(seed, position, token));
  }
}

}  // namespace
}  // namespace redraft
