// row_math.h with AVX2.
#include "row_math.h"

#if defined(__AVX2__)
#include "row_math_layers.h"

namespace redraft {
const RowKernels* row_kernels_avx2() {
  static constexpr RowKernels kTable = table_named("avx2");
  return &kTable;
}
}  // namespace redraft
#else
namespace redraft {
const RowKernels* row_kernels_avx2() { return nullptr; }
}  // namespace redraft
#endif
