#include "layer_matrix.h"

#include <cstdlib>

#include "../common/dense_matrix.cuh"
#include "../common/error.h"
#include "dense_weights.h"

namespace redraft::cuda {

WeightKind weight_kind_asked() {
  const char* named = std::getenv("REDRAFT_CUDA_WEIGHTS");
  const std::string word = named && *named ? named : "packed";
  for (const WeightKind kind : {WeightKind::kPacked, WeightKind::kBf16, WeightKind::kE4m3})
    if (word == name_of(kind)) return kind;
  throw Error(REDRAFT_BAD_CONFIG, "REDRAFT_CUDA_WEIGHTS is \"" + word + "\"; \"packed\", \"bf16\" or \"fp8\" is meant");
}

const char* name_of(WeightKind kind) {
  return kind == WeightKind::kPacked ? "packed" : kind == WeightKind::kBf16 ? "bf16" : "fp8";
}

LayerMatrix::LayerMatrix(Device& device, const PackedMatrix& matrix, WeightKind kind)
    : kind_(kind),
      out_count_(static_cast<uint32_t>(matrix.out_count())),
      in_count_(static_cast<uint32_t>(matrix.in_count())) {
  if (kind == WeightKind::kPacked) {
    packed_ = MatrixBuffer(device, matrix);
    return;
  }
  if (kind == WeightKind::kBf16) {
    *this = LayerMatrix(device, bf16_weights(matrix), matrix.out_count(), matrix.in_count());
    return;
  }
  const E4m3Weights weights = e4m3_weights(matrix);
  bytes_ = Buffer<uint8_t>(weights.bytes.size());
  scales_ = Buffer<float>(weights.scales.size());
  device.copy_in(bytes_.pointer(), weights.bytes.data(), bytes_.size());
  device.copy_in(scales_.pointer(), weights.scales.data(), scales_.bytes());
  device.wait();
}

LayerMatrix::LayerMatrix(Device& device, const std::vector<uint16_t>& bf16, size_t out_count, size_t in_count)
    : kind_(WeightKind::kBf16),
      out_count_(static_cast<uint32_t>(out_count)),
      in_count_(static_cast<uint32_t>(in_count)),
      bytes_(bf16.size() * sizeof(uint16_t)) {
  device.copy_in(bytes_.pointer(), bf16.data(), bytes_.size());
  device.wait();
}

size_t LayerMatrix::bytes(const MatrixShape& shape, WeightKind kind) {
  const size_t outs = shape.strip_count() * kStripOutputs;
  const uint32_t in = static_cast<uint32_t>(shape.in_count);
  if (kind == WeightKind::kBf16) return outs * in * 2;
  if (kind == WeightKind::kE4m3) return e4m3_bytes(outs, in) + outs * 4;
  return matrix_bytes(shape.out_count, in, static_cast<uint32_t>(shape.bits));
}

}  // namespace redraft::cuda
