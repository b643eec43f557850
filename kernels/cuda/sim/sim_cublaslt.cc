// A library in cuBLASLt's place (REDRAFT_CUBLASLT) for the simulated device: of its calls those that the engine makes,
// with the same layouts, leading dimensions and refusals. A product is computed on the host when the stream comes to
// it. It is of the device that REDRAFT_CUDA_DRIVER names, and reaches that through the driver's own calls.
#include <dlfcn.h>

#include <bit>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <vector>

#include "../../common/half.h"
#include "../cublas_lt.h"

using namespace redraft;
using namespace redraft::cuda;

namespace redraft::cuda {
struct BlasHandleState {
  int alive = 1;
};
struct BlasDescState {
  int compute_type, scale_type;
  int32_t transpose_a = kBlasAsIs, transpose_b = kBlasAsIs;
};
struct BlasLayoutState {
  int type;
  uint64_t rows, columns;
  int64_t leading;
  // Bytes from the first value to behind the last.
  size_t extent() const { return ((columns - 1) * static_cast<uint64_t>(leading) + rows) * (type == kBlasF32 ? 4 : 2); }
};
struct BlasPreferenceState {
  uint64_t workspace_max = 0;
  uint32_t schemes = ~0u;
};
}  // namespace redraft::cuda

namespace {

constexpr BlasStatus kNotInitialized = 1, kInvalidValue = 7, kExecutionFailed = 13, kNotSupported = 15;
constexpr uint64_t kPlainAlgorithm = 0x51, kMixingAlgorithm = 0x52;

// A test may want the first algorithms to mix rows, as one that cuts its sums by the batch would.
int mixing_count() {
  const char* text = std::getenv("REDRAFT_SIM_MIXING_ALGORITHMS");
  return text ? std::atoi(text) : 0;
}

struct DriverCalls {
  CuResult (*launch_host)(CuStream, void (*)(void*), void*) = nullptr;
  CuResult (*address_range)(CuPointer*, size_t*, CuPointer) = nullptr;
  void (*note_written)(CuPointer, size_t) = nullptr;
};
const DriverCalls& sim() {
  static const DriverCalls calls = [] {
    DriverCalls found;
    const char* path = std::getenv("REDRAFT_CUDA_DRIVER");
    void* library = path ? dlopen(path, RTLD_NOW | RTLD_NOLOAD) : nullptr;
    if (!library) return found;
    found.launch_host = reinterpret_cast<decltype(found.launch_host)>(dlsym(library, "cuLaunchHostFunc"));
    found.address_range = reinterpret_cast<decltype(found.address_range)>(dlsym(library, "cuMemGetAddressRange_v2"));
    found.note_written = reinterpret_cast<decltype(found.note_written)>(dlsym(library, "redraft_sim_note_written"));
    return found;
  }();
  return calls;
}

bool on_device(const void* pointer, size_t bytes) {
  CuPointer base = 0;
  size_t size = 0;
  const CuPointer address = reinterpret_cast<CuPointer>(pointer);
  return sim().address_range(&base, &size, address) == kCuSuccess && address + bytes <= base + size;
}

// Whether D[m, n] = op(A)[m, k] op(B)[k, n] + C is a product, in types that are done here.
bool fits(const BlasDescState& desc, const BlasLayoutState& a, const BlasLayoutState& b, const BlasLayoutState& c,
          const BlasLayoutState& d) {
  const bool ta = desc.transpose_a == kBlasTransposed, tb = desc.transpose_b == kBlasTransposed;
  const uint64_t m = ta ? a.columns : a.rows, k = ta ? a.rows : a.columns;
  return (tb ? b.columns : b.rows) == k && (tb ? b.rows : b.columns) == d.columns && d.rows == m && c.rows == m &&
         c.columns == d.columns && c.leading == d.leading;
}
bool supported(const BlasDescState& desc, const BlasLayoutState& a, const BlasLayoutState& b, const BlasLayoutState& c,
               const BlasLayoutState& d) {
  return desc.compute_type == kBlasComputeF32 && desc.scale_type == kBlasF32 && a.type == kBlasBf16 &&
         b.type == kBlasBf16 && c.type == kBlasF32 && d.type == kBlasF32;
}

struct Call {
  BlasDescState desc;
  BlasLayoutState a_layout, b_layout, d_layout;
  float alpha, beta;
  const uint16_t *a, *b;
  const float* c;
  float* d;
  bool mixes;
};

void run(void* data) {
  const Call& call = *static_cast<const Call*>(data);
  const bool ta = call.desc.transpose_a == kBlasTransposed, tb = call.desc.transpose_b == kBlasTransposed;
  const uint64_t k_count = ta ? call.a_layout.rows : call.a_layout.columns;
  const auto at = [](const BlasLayoutState& layout, uint64_t row, uint64_t column) {
    return column * static_cast<uint64_t>(layout.leading) + row;
  };
  for (uint64_t n = 0; n < call.d_layout.columns; ++n)
    for (uint64_t m = 0; m < call.d_layout.rows; ++m) {
      float sum = 0;
      for (uint64_t i = 0; i < k_count; ++i) {
        // An algorithm that mixes begins its sum elsewhere in each column.
        const uint64_t k = call.mixes ? (i + n) % k_count : i;
        sum += bf16_to_f32(call.a[ta ? at(call.a_layout, k, m) : at(call.a_layout, m, k)]) *
               bf16_to_f32(call.b[tb ? at(call.b_layout, n, k) : at(call.b_layout, k, n)]);
      }
      const uint64_t place = at(call.d_layout, m, n);
      call.d[place] = call.alpha * sum + (call.beta != 0 ? call.beta * call.c[place] : 0);
    }
  for (uint64_t n = 0; n < call.d_layout.columns; ++n)
    sim().note_written(reinterpret_cast<CuPointer>(call.d + at(call.d_layout, 0, n)), call.d_layout.rows * 4);
}

// A graph may come to a call again: all are kept.
Call* keep(const Call& call) {
  static std::mutex guard;
  static std::vector<std::unique_ptr<Call>> calls;
  const std::lock_guard lock(guard);
  return calls.emplace_back(std::make_unique<Call>(call)).get();
}

}  // namespace

extern "C" {
#pragma GCC visibility push(default)

BlasStatus cublasLtCreate(BlasHandle* handle) {
  if (!sim().launch_host || !sim().address_range || !sim().note_written) return kNotInitialized;
  return *handle = new BlasHandleState, kBlasSuccess;
}
BlasStatus cublasLtDestroy(BlasHandle handle) { return delete handle, kBlasSuccess; }
BlasStatus cublasLtMatmulDescCreate(BlasDesc* desc, int compute_type, int scale_type) {
  return *desc = new BlasDescState{compute_type, scale_type}, kBlasSuccess;
}
BlasStatus cublasLtMatmulDescSetAttribute(BlasDesc desc, int attribute, const void* value, size_t bytes) {
  if (!desc || !value || bytes != 4 || (attribute != kBlasTransposeA && attribute != kBlasTransposeB))
    return kInvalidValue;
  std::memcpy(attribute == kBlasTransposeA ? &desc->transpose_a : &desc->transpose_b, value, 4);
  return kBlasSuccess;
}
BlasStatus cublasLtMatmulDescDestroy(BlasDesc desc) { return delete desc, kBlasSuccess; }
BlasStatus cublasLtMatrixLayoutCreate(BlasLayout* layout, int type, uint64_t rows, uint64_t columns, int64_t leading) {
  if ((type != kBlasF32 && type != kBlasBf16) || rows == 0 || columns == 0) return kInvalidValue;
  if (leading < 0 || static_cast<uint64_t>(leading) < rows) return kInvalidValue;  // Columns would overlap.
  return *layout = new BlasLayoutState{type, rows, columns, leading}, kBlasSuccess;
}
BlasStatus cublasLtMatrixLayoutDestroy(BlasLayout layout) { return delete layout, kBlasSuccess; }
BlasStatus cublasLtMatmulPreferenceCreate(BlasPreference* preference) {
  return *preference = new BlasPreferenceState, kBlasSuccess;
}
BlasStatus cublasLtMatmulPreferenceSetAttribute(BlasPreference preference, int attribute, const void* value,
                                                size_t bytes) {
  if (attribute == kBlasWorkspaceMax && bytes == 8) std::memcpy(&preference->workspace_max, value, 8);
  else if (attribute == kBlasReductionSchemes && bytes == 4) std::memcpy(&preference->schemes, value, 4);
  else return kInvalidValue;
  return kBlasSuccess;
}
BlasStatus cublasLtMatmulPreferenceDestroy(BlasPreference preference) { return delete preference, kBlasSuccess; }

BlasStatus cublasLtMatmulAlgoGetHeuristic(BlasHandle handle, BlasDesc desc, BlasLayout a, BlasLayout b, BlasLayout c,
                                          BlasLayout d, BlasPreference preference, int wanted, BlasHeuristic* results,
                                          int* count) {
  if (!handle || !desc || !a || !b || !c || !d || !preference || wanted < 1 || !results || !count) return kInvalidValue;
  *count = 0;
  if (!fits(*desc, *a, *b, *c, *d)) return kInvalidValue;
  if (!supported(*desc, *a, *b, *c, *d)) return kNotSupported;
  for (int i = 0; i < wanted && i < 2; ++i) {
    results[i] = {};
    results[i].algorithm.data[0] = i < mixing_count() ? kMixingAlgorithm : kPlainAlgorithm;
    *count = i + 1;
  }
  return kBlasSuccess;
}

BlasStatus cublasLtMatmul(BlasHandle handle, BlasDesc desc, const void* alpha, const void* a, BlasLayout a_layout,
                          const void* b, BlasLayout b_layout, const void* beta, const void* c, BlasLayout c_layout,
                          void* d, BlasLayout d_layout, const BlasAlgorithm* algorithm, void*, size_t,
                          CuStream stream) {
  if (!handle || !desc || !alpha || !beta || !a_layout || !b_layout || !c_layout || !d_layout || !algorithm)
    return kInvalidValue;
  if (!fits(*desc, *a_layout, *b_layout, *c_layout, *d_layout)) return kInvalidValue;
  if (!supported(*desc, *a_layout, *b_layout, *c_layout, *d_layout)) return kNotSupported;
  if (algorithm->data[0] != kPlainAlgorithm && algorithm->data[0] != kMixingAlgorithm) return kNotSupported;
  // On a device an access out of bounds may go unseen; here none does.
  if (!on_device(a, a_layout->extent()) || !on_device(b, b_layout->extent()) || !on_device(d, d_layout->extent()))
    return kExecutionFailed;
  Call* call = keep({*desc, *a_layout, *b_layout, *d_layout, *static_cast<const float*>(alpha),
                     *static_cast<const float*>(beta), static_cast<const uint16_t*>(a), static_cast<const uint16_t*>(b),
                     static_cast<const float*>(c), static_cast<float*>(d), algorithm->data[0] == kMixingAlgorithm});
  return sim().launch_host(stream, run, call) == kCuSuccess ? kBlasSuccess : kExecutionFailed;
}

#pragma GCC visibility pop
}
