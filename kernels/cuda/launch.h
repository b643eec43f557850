// The shape of a launch: what the engine, the tests and the report have in common.
#pragma once
#include <cstddef>
#include <cstdint>

namespace redraft::cuda {

struct Dim3 {
  uint32_t x = 1, y = 1, z = 1;
};

struct LaunchShape {
  Dim3 grid;            // CTAs.
  uint32_t threads;     // Of a CTA, in one dimension: a whole number of warps.
  size_t shared_bytes;  // Dynamic shared memory.
};

constexpr uint32_t ceil_div(size_t count, size_t by) { return static_cast<uint32_t>((count + by - 1) / by); }

}  // namespace redraft::cuda
