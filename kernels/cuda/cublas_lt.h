// NVIDIA's cuBLASLt, opened at run time: dense bf16 products, where the library is there.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "driver.h"

namespace redraft::cuda {

// Types of cublasLt.h, by their meaning there.
using BlasStatus = int;
struct BlasHandleState;
struct BlasDescState;
struct BlasLayoutState;
struct BlasPreferenceState;
using BlasHandle = BlasHandleState*;
using BlasDesc = BlasDescState*;
using BlasLayout = BlasLayoutState*;
using BlasPreference = BlasPreferenceState*;
struct BlasAlgorithm {
  uint64_t data[8];
};
struct BlasHeuristic {
  BlasAlgorithm algorithm;
  size_t workspace_bytes;
  BlasStatus state;
  float waves;
  int reserved[4];
};

constexpr BlasStatus kBlasSuccess = 0;
constexpr int kBlasF32 = 0, kBlasBf16 = 14;  // cudaDataType
constexpr int kBlasComputeF32 = 68;          // cublasComputeType_t
constexpr int32_t kBlasAsIs = 0, kBlasTransposed = 1;
constexpr int kBlasTransposeA = 3, kBlasTransposeB = 4;          // Attributes of a product.
constexpr int kBlasWorkspaceMax = 1, kBlasReductionSchemes = 3;  // Attributes of a preference.

#define REDRAFT_BLAS_CALLS(CALL)                                                                                    \
  CALL(create, "cublasLtCreate", (BlasHandle * handle))                                                             \
  CALL(destroy, "cublasLtDestroy", (BlasHandle handle))                                                             \
  CALL(desc_create, "cublasLtMatmulDescCreate", (BlasDesc * desc, int compute_type, int scale_type))                \
  CALL(desc_set, "cublasLtMatmulDescSetAttribute", (BlasDesc desc, int attribute, const void* value, size_t bytes)) \
  CALL(desc_destroy, "cublasLtMatmulDescDestroy", (BlasDesc desc))                                                  \
  CALL(layout_create, "cublasLtMatrixLayoutCreate",                                                                 \
       (BlasLayout * layout, int type, uint64_t rows, uint64_t columns, int64_t leading))                           \
  CALL(layout_destroy, "cublasLtMatrixLayoutDestroy", (BlasLayout layout))                                          \
  CALL(preference_create, "cublasLtMatmulPreferenceCreate", (BlasPreference * preference))                          \
  CALL(preference_set, "cublasLtMatmulPreferenceSetAttribute",                                                      \
       (BlasPreference preference, int attribute, const void* value, size_t bytes))                                 \
  CALL(preference_destroy, "cublasLtMatmulPreferenceDestroy", (BlasPreference preference))                          \
  CALL(heuristic, "cublasLtMatmulAlgoGetHeuristic",                                                                 \
       (BlasHandle handle, BlasDesc desc, BlasLayout a, BlasLayout b, BlasLayout c, BlasLayout d,                   \
        BlasPreference preference, int wanted, BlasHeuristic* results, int* count))                                 \
  CALL(multiply, "cublasLtMatmul",                                                                                  \
       (BlasHandle handle, BlasDesc desc, const void* alpha, const void* a, BlasLayout a_layout, const void* b,     \
        BlasLayout b_layout, const void* beta, const void* c, BlasLayout c_layout, void* d, BlasLayout d_layout,    \
        const BlasAlgorithm* algorithm, void* workspace, size_t workspace_bytes, CuStream stream))

struct BlasCalls {
#define REDRAFT_BLAS_MEMBER(member, symbol, parameters) BlasStatus(*member) parameters = nullptr;
  REDRAFT_BLAS_CALLS(REDRAFT_BLAS_MEMBER)
#undef REDRAFT_BLAS_MEMBER
};

// Rows of each call, no more and no less: a library may choose its way by the number of rows, and a row's bits would
// then depend on its company.
constexpr uint32_t kBlasRows = 128;

// One shape of weights, with the one algorithm that serves it.
class BlasProduct {
 public:
  BlasProduct(const BlasCalls& calls, BlasHandle handle, uint32_t out_count, uint32_t in_count);
  ~BlasProduct();
  BlasProduct(const BlasProduct&) = delete;
  BlasProduct& operator=(const BlasProduct&) = delete;

  static constexpr int kAlgorithmsMax = 8;
  int algorithm_count() const { return count_; }
  void choose(int algorithm) { chosen_ = algorithm; }
  // y[kBlasRows, out] = x[kBlasRows, in] w[out, in]^T. Throws Error(REDRAFT_INTERNAL).
  void multiply(const uint16_t* w, const uint16_t* x, float* y, CuStream stream) const;

 private:
  const BlasCalls& calls_;
  BlasHandle handle_;
  BlasDesc desc_ = nullptr;
  BlasLayout w_ = nullptr, x_ = nullptr, y_ = nullptr;
  BlasHeuristic found_[kAlgorithmsMax] = {};
  int count_ = 0, chosen_ = 0;
};

class CublasLt {
 public:
  // Opens libcublasLt.so.13, or what REDRAFT_CUBLASLT names; "off" opens nothing. Null, with the reason in `why`, where
  // there is none to be used.
  static std::unique_ptr<CublasLt> open(std::string* why);
  ~CublasLt();
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;

  std::unique_ptr<BlasProduct> product(uint32_t out_count, uint32_t in_count) const {
    return std::make_unique<BlasProduct>(calls_, handle_, out_count, in_count);
  }

 private:
  explicit CublasLt(const BlasCalls& calls);
  BlasCalls calls_;
  BlasHandle handle_ = nullptr;
};

}  // namespace redraft::cuda
