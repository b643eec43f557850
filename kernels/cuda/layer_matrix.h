// A layer's weights in device memory, of the kind that was asked for.
#pragma once
#include <string>

#include "cuda_matrix.h"

namespace redraft::cuda {

// kPacked: the CPU's 4 or 8 bits in blocks of 32. The others are made of those numbers, and change logits.
enum class WeightKind : uint32_t { kPacked, kBf16, kE4m3 };
// What REDRAFT_CUDA_WEIGHTS asks for: "packed" (as where it is not set), "bf16" or "fp8". Throws
// Error(REDRAFT_BAD_CONFIG) on another word.
WeightKind weight_kind_asked();
const char* name_of(WeightKind kind);

class LayerMatrix {
 public:
  LayerMatrix() = default;
  LayerMatrix(Device& device, const PackedMatrix& matrix, WeightKind kind);
  // Of kBf16, as bf16_weights() lays them out.
  LayerMatrix(Device& device, const std::vector<uint16_t>& bf16, size_t out_count, size_t in_count);
  static size_t bytes(const MatrixShape& shape, WeightKind kind);

  WeightKind kind() const { return kind_; }
  uint32_t out_count() const { return out_count_; }
  uint32_t in_count() const { return in_count_; }
  const DeviceMatrix& packed() const { return packed_.view(); }
  const uint16_t* bf16() const { return reinterpret_cast<const uint16_t*>(bytes_.get()); }
  const uint8_t* e4m3() const { return bytes_.get(); }
  const float* scales() const { return scales_.get(); }  // Of kE4m3: one an output.

 private:
  WeightKind kind_ = WeightKind::kPacked;
  uint32_t out_count_ = 0, in_count_ = 0;
  MatrixBuffer packed_;
  Buffer<uint8_t> bytes_;
  Buffer<float> scales_;
};

}  // namespace redraft::cuda
