// More of the bodies behind row_math.h, on the lanes of row_math_lanes.h: what the layers of a model do to a row; and
// the table of all. Included once by each row_math_*.cc.
#pragma once
#include "row_math_lanes.h"
#if !defined(__F16C__)
#include "half.h"  // In the portable file alone.
#endif

namespace redraft {
namespace {

REDRAFT_INLINE F16 sigmoid_lanes(const F16& x) {
  return 1.0f / (1.0f + exp_lanes(x < fill(-88.0f) ? fill(88.0f) : -x));
}

void sigmoid(float* x, size_t count) {
  for (size_t i = 0; i < count; i += kLanes) store_at(x, i, count, sigmoid_lanes(load_at(x, i, count)));
}
void tanh(float* x, size_t count) {
  for (size_t i = 0; i < count; i += kLanes)
    store_at(x, i, count, sigmoid_lanes(load_at(x, i, count) * 2.0f) * 2.0f - 1.0f);
}
void silu(float* x, size_t count) {
  for (size_t i = 0; i < count; i += kLanes) {
    const F16 v = load_at(x, i, count);
    store_at(x, i, count, v * sigmoid_lanes(v));
  }
}

void silu_times(float* x, const float* y, size_t count) {
  for (size_t i = 0; i < count; i += kLanes) {
    const F16 v = load_at(x, i, count);
    store_at(x, i, count, v * sigmoid_lanes(v) * load_at(y, i, count));
  }
}

void add(float* x, const float* y, size_t count) {
  for (size_t i = 0; i < count; i += kLanes) store_at(x, i, count, load_at(x, i, count) + load_at(y, i, count));
}

void rms_norm(const float* x, const float* weight, float epsilon, size_t count, float* y) {
  F16 squares = {};
  for (size_t i = 0; i < count; i += kLanes) squares += load(x + i) * load(x + i);
  float sums[kLanes];
  store(sums, squares);
  for (size_t half = kLanes / 2; half > 0; half /= 2)
    for (size_t l = 0; l < half; ++l) sums[l] += sums[l + half];
  const float scale = 1 / __builtin_sqrtf(sums[0] / static_cast<float>(count) + epsilon);
  for (size_t i = 0; i < count; i += kLanes) store(y + i, load(x + i) * scale * load(weight + i));
}

void rotate(float* x, const float* cosines, const float* sines, float scale, size_t count) {
  for (size_t i = 0; i < count; i += kLanes) {
    const F16 v = load_at(x, i, count);
    const F16 other = __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
    store_at(x, i, count, (v * load_at(cosines, i, count) + other * load_at(sines, i, count)) * scale);
  }
}

void to_f16(const float* x, size_t count, uint16_t* y) {
  size_t i = 0;
#if defined(__AVX512F__)
  for (; i + 16 <= count; i += 16)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(y + i),
                        _mm512_cvtps_ph(_mm512_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#endif
#if defined(__F16C__)
  for (; i + 8 <= count; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(y + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  for (; i < count; ++i) y[i] = _cvtss_sh(x[i], _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
  for (; i < count; ++i) y[i] = f32_to_f16(x[i]);
#endif
}

constexpr RowKernels table_named(const char* name) {
  return {name, peak, top,        at_least, exp_sum,  exp_blocks, gumbel, sigmoid,
          tanh, silu, silu_times, add,      rms_norm, rotate,     to_f16};
}

}  // namespace
}  // namespace redraft
