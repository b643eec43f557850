// Order and selection over many values by one CTA, for kernels.
#pragma once
#include "../cuda/device.h"

namespace redraft::cuda {

// An unsigned number that rises with the value; a NaN is under all of them.
REDRAFT_DEVICE uint32_t order_key(float value) {
  if (value != value) return 0;
  const uint32_t bits = float_bits(value);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
REDRAFT_DEVICE float value_of_key(uint32_t key) { return bits_float(key & 0x80000000u ? key & 0x7fffffffu : ~key); }

struct SelectShared {
  uint64_t weights[256];
  uint64_t maxima[32];
  uint64_t above;  // What lies above the digit chosen so far.
  uint32_t prefix;
  uint64_t result;
};

// The largest key of the CTA, to all threads. Called by all of them.
REDRAFT_DEVICE uint64_t cta_max(SelectShared& shared, uint64_t key) {
  for (uint32_t step = 16; step > 0; step /= 2) {
    const uint64_t other = shuffle_xor(key, step);
    key = other > key ? other : key;
  }
  __syncthreads();
  if (lane_index() == 0) shared.maxima[warp_index()] = key;
  __syncthreads();
  uint64_t best = 0;
  for (uint32_t w = 0; w < blockDim.x / kWarpLanes; ++w) best = shared.maxima[w] > best ? shared.maxima[w] : best;
  return best;
}
// The sum over the CTA, to all threads: in integers, so no order shows.
REDRAFT_DEVICE uint64_t cta_sum(SelectShared& shared, uint64_t value) {
  value = warp_sum(value);
  __syncthreads();
  if (lane_index() == 0) shared.maxima[warp_index()] = value;
  __syncthreads();
  uint64_t sum = 0;
  for (uint32_t w = 0; w < blockDim.x / kWarpLanes; ++w) sum += shared.maxima[w];
  return sum;
}

struct Selected {
  uint32_t key;    // The key at which the target is reached, going down.
  uint64_t above;  // The weight of all keys above it.
};

// Goes down from the largest key until the weights met reach the target; target >= 1, and at most all of them together.
// items(i): key and weight of item i; an item of weight 0 is passed over. Four passes of eight bits over the items.
template <typename Items>
REDRAFT_DEVICE Selected cta_select(SelectShared& shared, uint32_t item_count, uint64_t target, const Items& items) {
  uint32_t prefix = 0;
  uint64_t above = 0;
  for (uint32_t shift = 32; shift > 0;) {
    shift -= 8;
    __syncthreads();
    for (uint32_t digit = threadIdx.x; digit < 256; digit += blockDim.x) shared.weights[digit] = 0;
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < item_count; i += blockDim.x) {
      uint32_t key;
      uint64_t weight;
      items(i, key, weight);
      if (weight == 0 || (shift < 24 && key >> (shift + 8) != prefix)) continue;
      atomicAdd(reinterpret_cast<unsigned long long*>(&shared.weights[key >> shift & 255]),
                static_cast<unsigned long long>(weight));
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      uint32_t digit = 255;
      while (digit > 0 && above + shared.weights[digit] < target) above += shared.weights[digit--];
      shared.prefix = prefix << 8 | digit, shared.above = above;
    }
    __syncthreads();
    prefix = shared.prefix, above = shared.above;
  }
  return {prefix, above};
}

}  // namespace redraft::cuda
