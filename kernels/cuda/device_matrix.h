// The CPU's packed weights in the order that the CUDA kernels read them: the same numbers.
#pragma once
#include <cstdint>
#include <vector>

#include "../common/packed_matrix.cuh"
#include "../common/packed_matrix.h"

namespace redraft::cuda {

// The bytes behind a DeviceMatrix of that matrix's out_count, in_count and bits.
std::vector<uint8_t> device_matrix_bytes(const PackedMatrix& matrix);

}  // namespace redraft::cuda
