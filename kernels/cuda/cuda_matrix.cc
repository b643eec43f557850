#include "cuda_matrix.h"

namespace redraft::cuda {

MatrixBuffer::MatrixBuffer(Device& device, const PackedMatrix& matrix) {
  const std::vector<uint8_t> bytes = device_matrix_bytes(matrix);
  bytes_ = Buffer<uint8_t>(bytes.size());
  device.copy_in(bytes_.pointer(), bytes.data(), bytes.size());
  device.wait();  // The host's copy goes now, so that a model counts once at a time.
  view_ = {bytes_.get(), static_cast<uint32_t>(matrix.out_count()), static_cast<uint32_t>(matrix.in_count()),
           static_cast<uint32_t>(matrix.bits())};
}

Buffer<float> upload(Device& device, const std::vector<float>& values) {
  if (values.empty()) return {};
  Buffer<float> buffer(values.size());
  device.copy_in(buffer.pointer(), values.data(), buffer.bytes());
  device.wait();
  return buffer;
}

}  // namespace redraft::cuda
