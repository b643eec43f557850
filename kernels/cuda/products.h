// The products of a layer's weights with the rows of a step, whatever kind the weights are of. One way serves all of a
// weight's products, for one row or for hundreds: a row's bits depend on that row alone.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "cublas_lt.h"
#include "layer_matrix.h"

namespace redraft::cuda {

// Rows of buffers that products write to: cuBLASLt fills whole calls.
constexpr size_t product_rows(size_t row_count) { return (row_count + kBlasRows - 1) / kBlasRows * kBlasRows; }

class Products {
 public:
  // in_max: the most inputs of a weight.
  Products(Device& device, WeightKind kind, size_t rows_max, size_t in_max);
  static size_t bytes(WeightKind kind, size_t rows_max, size_t in_max);

  // Whether cuBLASLt may serve weights of this one's shape: tried, since no document says how a library sums. To be
  // called for one weight of each shape before the first product.
  void try_out(const LayerMatrix& w);
  // The rows of the products that follow.
  void take(const DeviceRows& x, const Count& row_count);
  void multiply(const LayerMatrix& w, float* y);
  // Who multiplies, in words.
  std::string names() const;

 private:
  bool keeps_rows_apart(const LayerMatrix& w, const BlasProduct& product);

  Device& device_;
  WeightKind kind_;
  std::string why_;  // Why there is no cuBLASLt.
  std::unique_ptr<CublasLt> blas_;
  std::map<std::pair<uint32_t, uint32_t>, std::unique_ptr<BlasProduct>> by_blas_;
  Buffer<uint16_t> bf16_rows_;
  DeviceRows x_{};
  Count row_count_;
};

}  // namespace redraft::cuda
