#include "products.h"

#include <cstring>
#include <random>
#include <vector>

#include "../common/dense_matrix.cuh"
#include "../common/error.h"
#include "../common/half.h"

namespace redraft::cuda {
namespace {

constexpr uint32_t kTriedRows = kBlasRows / 2;

// Where the second trial has the first one's row.
constexpr uint32_t moved(uint32_t row) { return (5 * row + 17) % kBlasRows; }

std::vector<uint16_t> random_rows(uint32_t in_count, uint32_t seed, float size) {
  std::mt19937 random(seed);
  std::vector<uint16_t> rows(size_t{kBlasRows} * in_count);
  for (uint16_t& value : rows) value = f32_to_bf16(size * (static_cast<float>(random() % 20001) / 10000 - 1));
  return rows;
}

}  // namespace

size_t Products::bytes(WeightKind kind, size_t rows_max, size_t in_max) {
  return kind == WeightKind::kBf16 ? product_rows(rows_max) * in_max * sizeof(uint16_t) : 0;
}

Products::Products(Device& device, WeightKind kind, size_t rows_max, size_t in_max) : device_(device), kind_(kind) {
  if (kind != WeightKind::kBf16) return;
  blas_ = CublasLt::open(&why_);
  bf16_rows_ = Buffer<uint16_t>(product_rows(rows_max) * in_max);
  device_.fill_zero(bf16_rows_.pointer(), bf16_rows_.bytes());  // Rows behind the last are multiplied, too.
}

// Rows at other places among other rows must get the same bits.
bool Products::keeps_rows_apart(const LayerMatrix& w, const BlasProduct& product) {
  const uint32_t in = w.in_count(), out = w.out_count();
  const std::vector<uint16_t> first = random_rows(in, 1, 1);
  std::vector<uint16_t> second = random_rows(in, 2, 50);
  for (uint32_t row = 0; row < kTriedRows; ++row)
    std::memcpy(&second[size_t{moved(row)} * in], &first[size_t{row} * in], in * sizeof(uint16_t));
  Buffer<float> y(size_t{kBlasRows} * out);
  std::vector<float> results[2] = {std::vector<float>(y.size()), std::vector<float>(y.size())};
  for (uint32_t trial = 0; trial < 2; ++trial) {
    const std::vector<uint16_t>& rows = trial == 0 ? first : second;
    device_.copy_in(bf16_rows_.pointer(), rows.data(), rows.size() * sizeof(uint16_t));
    product.multiply(w.bf16(), bf16_rows_.get(), y.get(), device_.stream());
    device_.copy_out(results[trial].data(), y.pointer(), y.bytes());
    device_.wait();
  }
  for (uint32_t row = 0; row < kTriedRows; ++row)
    if (std::memcmp(&results[0][size_t{row} * out], &results[1][size_t{moved(row)} * out], out * sizeof(float)) != 0)
      return false;
  return true;
}

void Products::try_out(const LayerMatrix& w) {
  const std::pair shape{w.out_count(), w.in_count()};
  if (!blas_ || by_blas_.count(shape)) return;
  std::unique_ptr<BlasProduct> product = blas_->product(w.out_count(), w.in_count());
  bool serves = false;
  for (int algorithm = 0; !serves && algorithm < product->algorithm_count(); ++algorithm) {
    product->choose(algorithm);
    serves = keeps_rows_apart(w, *product);
  }
  by_blas_[shape] = serves ? std::move(product) : nullptr;
}

void Products::take(const DeviceRows& x, const Count& row_count) {
  x_ = x, row_count_ = row_count;
  if (kind_ != WeightKind::kBf16) return;
  const RowsBf16Params p{x, bf16_rows_.get(), row_count};
  device_.launch("redraft_rows_bf16", rows_bf16_shape(p), p);
}

void Products::multiply(const LayerMatrix& w, float* y) {
  REDRAFT_ASSERT(w.kind() == kind_ && w.in_count() == x_.in_count);
  const uint32_t out = w.out_count(), in = w.in_count();
  if (kind_ == WeightKind::kPacked) {
    const MatmulParams p{w.packed(), x_, y, row_count_, out};
    device_.launch(matmul_kernel(p), matmul_shape(p), p);
  } else if (kind_ == WeightKind::kE4m3) {
    const MatmulE4m3Params p{w.e4m3(), w.scales(), x_, y, row_count_, out, out};
    device_.launch(matmul_e4m3_kernel(p), dense_shape(row_count_, out), p);
  } else if (const auto place = by_blas_.find({out, in}); place != by_blas_.end() && place->second) {
    for (size_t first = 0; first < row_count_.most; first += kBlasRows)
      place->second->multiply(w.bf16(), bf16_rows_.get() + first * in, y + first * out, device_.stream());
  } else {
    const MatmulBf16Params p{w.bf16(), bf16_rows_.get(), y, row_count_, out, in, out};
    device_.launch(matmul_bf16_kernel(p), dense_shape(row_count_, out), p);
  }
}

std::string Products::names() const {
  if (kind_ != WeightKind::kBf16) return "own kernels";
  if (!blas_) return "own kernels: " + why_;
  size_t served = 0;
  for (const auto& [shape, product] : by_blas_) served += product != nullptr;
  return "cuBLASLt for " + std::to_string(served) + " of " + std::to_string(by_blas_.size()) + " shapes of weights";
}

}  // namespace redraft::cuda
