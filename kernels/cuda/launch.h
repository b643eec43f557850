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

// How many rows, tiles or sequences a launch is for. `most` shapes it. Where `live` is not null there are *live * each
// of them, which the device alone knows: a graph's launches are shaped for a bucket, whatever a step has.
struct Count {
  uint32_t most = 0;
  const uint32_t* live = nullptr;
  uint32_t each = 1;
  constexpr Count() = default;
  constexpr Count(uint32_t count) : most(count) {}  // A plain number is a count, too.
  constexpr Count(uint32_t most_count, const uint32_t* live_count, uint32_t each_count = 1)
      : most(most_count), live(live_count), each(each_count) {}
};

constexpr uint32_t ceil_div(size_t count, size_t by) { return static_cast<uint32_t>((count + by - 1) / by); }

// Threads for so many items: whole warps, no more than there is work for.
constexpr uint32_t threads_for(size_t items, uint32_t threads_max) {
  const size_t threads = (items + 31) / 32 * 32;
  return threads < 32 ? 32 : threads > threads_max ? threads_max : static_cast<uint32_t>(threads);
}

}  // namespace redraft::cuda
