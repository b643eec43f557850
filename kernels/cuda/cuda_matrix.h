// Arrays and packed matrices with their device memory.
#pragma once
#include <vector>

#include "../common/packed_matrix.cuh"
#include "device_matrix.h"
#include "driver.h"

namespace redraft::cuda {

// A matrix with its memory.
class MatrixBuffer {
 public:
  MatrixBuffer() = default;
  MatrixBuffer(Device& device, const PackedMatrix& matrix);
  const DeviceMatrix& view() const { return view_; }
  bool present() const { return view_.out_count > 0; }

 private:
  Buffer<uint8_t> bytes_;
  DeviceMatrix view_{};
};
// A host array on the device; empty stays null.
Buffer<float> upload(Device& device, const std::vector<float>& values);

}  // namespace redraft::cuda
