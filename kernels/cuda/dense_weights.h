// The CPU's packed weights as bf16 and as E4M3, in the order that the CUDA kernels read them.
#pragma once
#include <cstdint>
#include <vector>

#include "../common/packed_matrix.h"

namespace redraft::cuda {

// [out_count up to a whole strip, in_count]; outputs past the last are zeros.
std::vector<uint16_t> bf16_weights(const PackedMatrix& matrix);

// An output's weights are its scale times their E4M3 values; its largest weight is the largest E4M3.
struct E4m3Weights {
  std::vector<uint8_t> bytes;  // e4m3_bytes() of them.
  std::vector<float> scales;   // [out_count up to a whole strip]
};
E4m3Weights e4m3_weights(const PackedMatrix& matrix);

}  // namespace redraft::cuda
