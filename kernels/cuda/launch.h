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

// Threads for so many items: whole warps, no more than there is work for.
constexpr uint32_t threads_for(size_t items, uint32_t threads_max) {
  const size_t threads = (items + 31) / 32 * 32;
  return threads < 32 ? 32 : threads > threads_max ? threads_max : static_cast<uint32_t>(threads);
}

}  // namespace redraft::cuda
