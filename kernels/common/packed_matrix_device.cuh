// Reading a DeviceMatrix and writing DeviceRows, for kernels.
#pragma once
#include "../cuda/device.h"
#include "packed_matrix.cuh"

namespace redraft::cuda {

// Quantises one block of 32 activations, one a lane.
REDRAFT_DEVICE void quantise_block(const DeviceRows& rows, uint32_t row, uint32_t block, float x) {
  const float largest = warp_max(fabsf(x));
  const float inverse = largest > 1e-30f ? kActivationMax / largest : 0;  // Its reciprocal stays finite.
  const float rounded = rintf(x * inverse);
  const int32_t value = rounded == rounded ? static_cast<int32_t>(rounded) : 0;  // A NaN has no integer.
  const int32_t high = (value + 64) >> 7;
  const int32_t sum = static_cast<int32_t>(warp_sum(static_cast<uint32_t>(value)));
  const size_t at = static_cast<size_t>(row) * (rows.in_count / kBlock) + block;
  rows.values[at * 2 * kBlock + lane_index()] = static_cast<int8_t>(high);
  rows.values[at * 2 * kBlock + kBlock + lane_index()] = static_cast<int8_t>(value - 128 * high);
  if (lane_index() != 0) return;
  const float scale = largest > 1e-30f ? largest / kActivationMax : 0;
  rows.scales[at] = scale;
  rows.sums[at] = scale * static_cast<float>(sum);
}

// The weight of one output and input.
REDRAFT_DEVICE float weight_at(const DeviceMatrix& w, uint32_t out, uint32_t in) {
  const uint32_t block = in / kBlock, i = in % kBlock, j = out % kMatrixOutputs, half = block % 2;
  const uint8_t* pair =
      w.data + (static_cast<size_t>(out / kMatrixOutputs) * pair_count(w.in_count) + block / 2) * pair_bytes(w.bits);
  const uint32_t lane = (j % 8) * 4 + (i % 16) / 4;
  if (w.bits == 8) {
    const int8_t q = static_cast<int8_t>(pair[half * 512 + lane * 16 + (j / 8 + 2 * (i / 16)) * 4 + i % 4]);
    return reinterpret_cast<const float*>(pair + 1024)[half * 16 + j] * static_cast<float>(q);
  }
  const uint8_t byte = pair[lane * 16 + (2 * half + j / 8) * 4 + i % 4];
  const uint16_t* scales = reinterpret_cast<const uint16_t*>(pair + 512);
  return half_to_float(scales[half * 16 + j]) * static_cast<float>(i < 16 ? byte & 15 : byte >> 4) +
         half_to_float(scales[32 + half * 16 + j]);
}

}  // namespace redraft::cuda
