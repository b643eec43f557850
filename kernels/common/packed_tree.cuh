// What a slot holds on the device between steps.
#pragma once
#include <cstddef>
#include <cstdint>

namespace redraft::cuda {

constexpr uint32_t kTreeMax = 64;  // Packed tokens.
constexpr uint32_t kPathMax = 16;  // Packed tokens from the root on.

// A draft tree, as PackedTree: falling by logprob, so that every prefix is a tree.
struct DeviceTree {
  int32_t count;
  int32_t token[kTreeMax];
  int32_t parent[kTreeMax];
  float logprob[kTreeMax];
};
struct DeviceSlot {
  uint32_t computed_count;  // KV rows held.
  DeviceTree pending;       // Root: the newest known token. count 0 in the context phase.
};

}  // namespace redraft::cuda
