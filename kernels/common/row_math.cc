#include "row_math.h"

#include "isa.h"
#include "row_math_layers.h"

namespace redraft {

const RowKernels* row_kernels_portable() {
  static constexpr RowKernels kTable = table_named("portable");
  return &kTable;
}

namespace {

const RowKernels& kernels_here() {
  static const RowKernels* const chosen = [] {
    if (isa() >= Isa::Avx512Vnni) return row_kernels_avx512();
    return isa() >= Isa::Avx2 ? row_kernels_avx2() : row_kernels_portable();
  }();
  return *chosen;
}

}  // namespace

RowItem row_peak(const float* x, size_t count) { return kernels_here().peak(x, count); }
void row_top(const float* x, size_t count, size_t k, RowItem* top) { kernels_here().top(x, count, k, top); }
size_t row_at_least(const float* x, size_t count, float threshold, uint32_t* indices) {
  return kernels_here().at_least(x, count, threshold, indices);
}
double row_exp_sum(const float* x, size_t count, float peak, float scale) {
  return kernels_here().exp_sum(x, count, peak, scale);
}
double row_exp_blocks(const float* x, size_t count, float peak, float scale, float* weights, double* block_sums) {
  return kernels_here().exp_blocks(x, count, peak, scale, weights, block_sums);
}
void row_gumbel(uint64_t seed, uint64_t position, const uint32_t* tokens, size_t count, float* noise) {
  kernels_here().gumbel(seed, position, tokens, count, noise);
}
void row_sigmoid(float* x, size_t count) { kernels_here().sigmoid(x, count); }
void row_tanh(float* x, size_t count) { kernels_here().tanh(x, count); }
void row_silu(float* x, size_t count) { kernels_here().silu(x, count); }
void row_silu_times(float* x, const float* y, size_t count) { kernels_here().silu_times(x, y, count); }
void row_add(float* x, const float* y, size_t count) { kernels_here().add(x, y, count); }
void row_rms_norm(const float* x, const float* weight, float epsilon, size_t count, float* y) {
  kernels_here().rms_norm(x, weight, epsilon, count, y);
}
void row_rotate(float* x, const float* cosines, const float* sines, float scale, size_t count) {
  kernels_here().rotate(x, cosines, sines, scale, count);
}
void row_to_f16(const float* x, size_t count, uint16_t* y) { kernels_here().to_f16(x, count, y); }

}  // namespace redraft
