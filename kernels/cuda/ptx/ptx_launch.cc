#include "ptx_warp.h"

namespace redraft::cuda_ptx {
namespace {

constexpr size_t kSharedStaticMax = 48 << 10;    // As ptxas allows.
constexpr size_t kSharedDynamicMax = 227 << 10;  // Of Hopper, opted in.
constexpr uint64_t kCtaInstructionsMax =
    100'000'000;  // Of all its warps: seconds. The longest of ours takes 1 % of it.

void run_cta(std::vector<Warp>& warps, Launch& launch, const cuda::Dim3& cta, const Warp*& running) {
  launch.instructions_left = kCtaInstructionsMax;
  std::fill(launch.shared.begin(), launch.shared.end(), uint8_t{0xcd});
  for (uint32_t i = 0; i < warps.size(); ++i) warps[i].start(i, cta);
  for (;;) {
    uint32_t waiting = 0, live = 0;
    for (Warp& warp : warps) {
      running = &warp;
      warp.run();
      waiting += warp.barrier_count(), live += warp.live_count();
    }
    if (live == 0) return;
    if (waiting != launch.shape.threads)
      throw PtxFault(std::to_string(waiting) + " of " + std::to_string(launch.shape.threads) +
                     " threads wait at a barrier, " + std::to_string(launch.shape.threads - live) +
                     " have ended: it will never open");
    for (Warp& warp : warps) {
      running = &warp;
      warp.pass_barrier();
    }
  }
}

}  // namespace

uint8_t* Warp::place(Space space, uint64_t address, size_t bytes) {
  const char* const names[] = {"global memory", "shared memory", "the parameters"};
  const auto fault = [&](const char* what) {
    throw PtxFault(std::string(what) + " of " + std::to_string(bytes) + " bytes at " + std::to_string(address) +
                   " of " + names[static_cast<size_t>(space)]);
  };
  if (address % bytes != 0) fault("a misaligned access");
  if (space == Space::kGlobal) {
    if (!last_range_.holds(address, bytes)) last_range_ = launch_.memory->range_of(address);
    if (!last_range_.holds(address, bytes)) fault("an access out of bounds");
    return reinterpret_cast<uint8_t*>(address);
  }
  const bool shared = space == Space::kShared;
  const size_t size = shared ? launch_.shared.size() : launch_.kernel->param_bytes;
  if (address > size || bytes > size - address) fault("an access out of bounds");
  return (shared ? launch_.shared.data() : const_cast<uint8_t*>(launch_.params)) + address;
}

void launch_ptx(const Kernel& kernel, const cuda::LaunchShape& shape, const void* params, const GlobalMemory& memory) {
  const cuda::Dim3& grid = shape.grid;
  if (shape.threads == 0 || shape.threads % kLanes != 0 || shape.threads > kernel.threads_max ||
      kernel.shared_bytes > kSharedStaticMax || shape.shared_bytes > kSharedDynamicMax || grid.x == 0 || grid.y == 0 ||
      grid.z == 0 || grid.y > 65535 || grid.z > 65535)
    throw PtxFault(kernel.name + ": a launch of " + std::to_string(grid.x) + " x " + std::to_string(grid.y) + " x " +
                   std::to_string(grid.z) + " CTAs of " + std::to_string(shape.threads) + " threads and " +
                   std::to_string(shape.shared_bytes) + " bytes of shared memory is not allowed");
  Launch launch{&kernel, static_cast<const uint8_t*>(params), &memory, shape, {}, 0};
  launch.shared.resize(kernel.shared_bytes + shape.shared_bytes);
  thread_local std::vector<uint8_t> registers;  // Kept, as fresh memory at each launch would take most of the time.
  const size_t warp_count = shape.threads / kLanes;
  if (registers.size() < warp_count * kernel.register_bytes) registers.resize(warp_count * kernel.register_bytes);
  std::vector<Warp> warps;
  for (size_t i = 0; i < warp_count; ++i) warps.emplace_back(launch, registers.data() + i * kernel.register_bytes);
  for (uint32_t z = 0; z < grid.z; ++z)
    for (uint32_t y = 0; y < grid.y; ++y)
      for (uint32_t x = 0; x < grid.x; ++x) {
        const Warp* running = nullptr;
        try {
          run_cta(warps, launch, {x, y, z}, running);
        } catch (const PtxFault& fault) {
          throw PtxFault(kernel.name + ", CTA (" + std::to_string(x) + ", " + std::to_string(y) + ", " +
                         std::to_string(z) + "), warp " + std::to_string(running - warps.data()) + ", PTX " +
                         running->current() + ": " + fault.what());
        }
      }
}

}  // namespace redraft::cuda_ptx
