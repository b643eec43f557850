#include "cublas_lt.h"

#include <dlfcn.h>

#include <cstdlib>

#include "../common/error.h"

namespace redraft::cuda {
namespace {

void expect(BlasStatus status, const char* call) {
  if (status != kBlasSuccess)
    throw Error(REDRAFT_INTERNAL, std::string("cuBLASLt: ") + call + " failed with status " + std::to_string(status));
}

}  // namespace

// The library counts columns first: row-major w[out, in] is its [in, out] matrix, to be transposed; x[rows, in] its
// [in, rows]; y[rows, out] its [out, rows].
BlasProduct::BlasProduct(const BlasCalls& calls, BlasHandle handle, uint32_t out_count, uint32_t in_count)
    : calls_(calls), handle_(handle) {
  const int32_t transposed = kBlasTransposed, as_is = kBlasAsIs;
  BlasPreference preference = nullptr;
  expect(calls.desc_create(&desc_, kBlasComputeF32, kBlasF32), "cublasLtMatmulDescCreate");
  expect(calls.desc_set(desc_, kBlasTransposeA, &transposed, sizeof transposed), "cublasLtMatmulDescSetAttribute");
  expect(calls.desc_set(desc_, kBlasTransposeB, &as_is, sizeof as_is), "cublasLtMatmulDescSetAttribute");
  expect(calls.layout_create(&w_, kBlasBf16, in_count, out_count, in_count), "cublasLtMatrixLayoutCreate");
  expect(calls.layout_create(&x_, kBlasBf16, in_count, kBlasRows, in_count), "cublasLtMatrixLayoutCreate");
  expect(calls.layout_create(&y_, kBlasF32, out_count, kBlasRows, out_count), "cublasLtMatrixLayoutCreate");
  expect(calls.preference_create(&preference), "cublasLtMatmulPreferenceCreate");
  // No sum is cut among CTAs: neither by a reduction nor by way of a workspace.
  const uint64_t workspace_max = 0;
  const uint32_t schemes = 0;
  BlasStatus status = calls.preference_set(preference, kBlasWorkspaceMax, &workspace_max, sizeof workspace_max);
  if (status == kBlasSuccess)
    status = calls.preference_set(preference, kBlasReductionSchemes, &schemes, sizeof schemes);
  if (status == kBlasSuccess)
    status = calls.heuristic(handle, desc_, w_, x_, y_, y_, preference, kAlgorithmsMax, found_, &count_);
  calls.preference_destroy(preference);
  if (status != kBlasSuccess) count_ = 0;  // It knows no way: another serves the shape.
}

BlasProduct::~BlasProduct() {
  for (const BlasLayout layout : {w_, x_, y_})
    if (layout) calls_.layout_destroy(layout);
  if (desc_) calls_.desc_destroy(desc_);
}

void BlasProduct::multiply(const uint16_t* w, const uint16_t* x, float* y, CuStream stream) const {
  const float one = 1, zero = 0;
  expect(calls_.multiply(handle_, desc_, &one, w, w_, x, x_, &zero, y, y_, y, y_, &found_[chosen_].algorithm, nullptr,
                         0, stream),
         "cublasLtMatmul");
}

CublasLt::CublasLt(const BlasCalls& calls) : calls_(calls) { expect(calls_.create(&handle_), "cublasLtCreate"); }
CublasLt::~CublasLt() {
  if (handle_) calls_.destroy(handle_);
}

std::unique_ptr<CublasLt> CublasLt::open(std::string* why) {
  const char* named = std::getenv("REDRAFT_CUBLASLT");
  const std::string path = named && *named ? named : "libcublasLt.so.13";
  if (path == "off") return *why = "REDRAFT_CUBLASLT is off", nullptr;
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);  // Never closed: it has threads and tables of its own.
  if (!library) return *why = path + " is not there", nullptr;
  BlasCalls calls;
#define REDRAFT_BLAS_LOOK_UP(member, symbol, parameters)                             \
  calls.member = reinterpret_cast<BlasStatus(*) parameters>(dlsym(library, symbol)); \
  if (!calls.member) return *why = path + " lacks " + symbol, nullptr;
  REDRAFT_BLAS_CALLS(REDRAFT_BLAS_LOOK_UP)
#undef REDRAFT_BLAS_LOOK_UP
  try {
    return std::unique_ptr<CublasLt>(new CublasLt(calls));
  } catch (const Error& error) { return *why = error.what(), nullptr; }
}

}  // namespace redraft::cuda
