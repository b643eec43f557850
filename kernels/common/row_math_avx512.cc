// row_math.h with AVX-512.
#include "row_math.h"

#if defined(__AVX512F__)
#include "row_math_layers.h"

namespace redraft {
const RowKernels* row_kernels_avx512() {
  static constexpr RowKernels kTable = table_named("avx512");
  return &kTable;
}
}  // namespace redraft
#else
namespace redraft {
const RowKernels* row_kernels_avx512() { return nullptr; }
}  // namespace redraft
#endif
