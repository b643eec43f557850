// Vector arithmetic over one row of f32: softmax pieces, largest values, activations. Every instruction set gives the
// same bits: the same operations on the same 16 lanes in the same order, none fused.
#pragma once
#include <cstddef>
#include <cstdint>

namespace redraft {

struct RowItem {
  int32_t index;
  float value;
};

// The largest value and the lowest index that has it. NaN never counts. index = -1 if nothing is above -infinity.
RowItem row_peak(const float* x, size_t count);

// The k largest, falling, among equals the lower index first. NaN counts as -infinity. top: [k],
// k <= min(kRowTopMax, count).
inline constexpr size_t kRowTopMax = 32;
void row_top(const float* x, size_t count, size_t k, RowItem* top);

// Indices of all x >= threshold, ascending. indices: room for count. Returns how many.
size_t row_at_least(const float* x, size_t count, float threshold, uint32_t* indices);

// weight(x) = exp((min(x, peak) - peak) * scale): in [0, 1]; 0 for NaN and under exp(-87), where f32 ends. Relative
// error of exp itself under 2e-7. The sum is of f64 lanes in a fixed order. peak is finite.
inline constexpr size_t kRowBlock = 256;
double row_exp_sum(const float* x, size_t count, float peak, float scale);
// weights: [count], or null where the sums are enough. block_sums: [ceil(count / kRowBlock)]. Returns the sum of
// block_sums, added in order.
double row_exp_blocks(const float* x, size_t count, float peak, float scale, float* weights, double* block_sums);

// Gumbel noise, -log(-log(u)): noise[i] of u = (w + 1/2) / 2^32, w the first word of Philox4x32-10 with the counter
// (position, tokens[i], 0) and the key seed. The largest of logit + noise over a row is a draw from its softmax.
// Absolute error under 2e-6. May write over tokens.
void row_gumbel(uint64_t seed, uint64_t position, const uint32_t* tokens, size_t count, float* noise);

// In place, x: [count]; absolute error under 3e-7 (silu: times |x|).
void row_sigmoid(float* x, size_t count);
void row_tanh(float* x, size_t count);
void row_silu(float* x, size_t count);
// x[i] = silu(x[i]) * y[i]
void row_silu_times(float* x, const float* y, size_t count);

void row_add(float* x, const float* y, size_t count);  // x[i] += y[i]
// y[i] = x[i] / sqrt(mean(x^2) + epsilon) * weight[i]; count: a multiple of 16.
void row_rms_norm(const float* x, const float* weight, float epsilon, size_t count, float* y);
// Rotates neighbouring pairs, as RoPE does (arXiv 2104.09864), and scales: x[i] = (x[i] * cosines[i] + x[i ^ 1] *
// sines[i]) * scale. A pair's cosine stands twice, its sine too, once with a minus. count: even.
void row_rotate(float* x, const float* cosines, const float* sines, float scale, size_t count);
void row_to_f16(const float* x, size_t count, uint16_t* y);  // As f32_to_f16 rounds (half.h).

// One table an instruction set; for tests.
struct RowKernels {
  const char* name;
  RowItem (*peak)(const float*, size_t);
  void (*top)(const float*, size_t, size_t, RowItem*);
  size_t (*at_least)(const float*, size_t, float, uint32_t*);
  double (*exp_sum)(const float*, size_t, float, float);
  double (*exp_blocks)(const float*, size_t, float, float, float*, double*);
  void (*gumbel)(uint64_t, uint64_t, const uint32_t*, size_t, float*);
  void (*sigmoid)(float*, size_t);
  void (*tanh)(float*, size_t);
  void (*silu)(float*, size_t);
  void (*silu_times)(float*, const float*, size_t);
  void (*add)(float*, const float*, size_t);
  void (*rms_norm)(const float*, const float*, float, size_t, float*);
  void (*rotate)(float*, const float*, const float*, float, size_t);
  void (*to_f16)(const float*, size_t, uint16_t*);
};
const RowKernels* row_kernels_portable();
const RowKernels* row_kernels_avx2();  // nullptr where it was not compiled.
const RowKernels* row_kernels_avx512();

}  // namespace redraft
