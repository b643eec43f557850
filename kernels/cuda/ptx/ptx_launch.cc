#include <algorithm>
#include <atomic>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

#include "ptx_warp.h"

namespace redraft::cuda_ptx {
namespace {

constexpr size_t kSharedStaticMax = 48 << 10;    // As ptxas allows.
constexpr size_t kSharedDynamicMax = 227 << 10;  // Of Hopper, opted in.
constexpr uint64_t kCtasAThreadMin = 8;          // A thread is not worth starting for fewer.
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

// One thread's part of a launch.
class CtaRunner {
 public:
  CtaRunner(const Launch& launch, std::vector<uint8_t>& registers) : launch_(launch) {
    const Kernel& kernel = *launch_.kernel;
    launch_.shared.resize(kernel.shared_bytes + launch_.shape.shared_bytes);
    const size_t warp_count = launch_.shape.threads / kLanes;
    if (registers.size() < warp_count * kernel.register_bytes) registers.resize(warp_count * kernel.register_bytes);
    warps_.reserve(warp_count);
    for (size_t i = 0; i < warp_count; ++i) warps_.emplace_back(launch_, registers.data() + i * kernel.register_bytes);
  }
  CtaRunner(const CtaRunner&) = delete;

  void run(uint64_t index) {
    const cuda::Dim3& grid = launch_.shape.grid;
    const auto x = static_cast<uint32_t>(index % grid.x), y = static_cast<uint32_t>(index / grid.x % grid.y);
    const auto z = static_cast<uint32_t>(index / grid.x / grid.y);
    const Warp* running = nullptr;
    try {
      run_cta(warps_, launch_, {x, y, z}, running);
    } catch (const PtxFault& fault) {
      throw PtxFault(launch_.kernel->name + ", CTA (" + std::to_string(x) + ", " + std::to_string(y) + ", " +
                     std::to_string(z) + "), warp " + std::to_string(running - warps_.data()) + ", PTX " +
                     running->current() + ": " + fault.what());
    }
  }

 private:
  Launch launch_;
  std::vector<Warp> warps_;
};

// Of a launch's CTAs, the first one's that had one.
class Faults {
 public:
  bool any() const { return first_ != ~uint64_t{0}; }
  void keep(uint64_t cta) {
    const std::lock_guard lock(guard_);
    if (cta < first_) first_ = cta, fault_ = std::current_exception();
  }
  void raise() const {
    if (fault_) std::rethrow_exception(fault_);
  }

 private:
  std::mutex guard_;
  std::atomic<uint64_t> first_ = ~uint64_t{0};
  std::exception_ptr fault_;
};

}  // namespace

uint8_t* Warp::find_place(Space space, uint64_t address, size_t bytes) {
  const auto fault = [&](const char* what) {
    const char* const names[] = {"global memory", "shared memory", "the parameters"};
    throw PtxFault(std::string(what) + " of " + std::to_string(bytes) + " bytes at " + std::to_string(address) +
                   " of " + names[static_cast<size_t>(space)]);
  };
  if (address & (bytes - 1)) fault("a misaligned access");
  if (space == Space::kGlobal) {
    if (!last_range().holds(address, bytes)) last_range() = launch_.memory->range_of(address);
    if (!last_range().holds(address, bytes)) fault("an access out of bounds");
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
  const uint64_t cta_count = uint64_t{grid.x} * grid.y * grid.z;
  const size_t threads = cta_count < kCtasAThreadMin * 2 ? 1 : std::clamp(std::thread::hardware_concurrency(), 1u, 2u);
  // Kept, as fresh memory at each launch would take most of the time.
  thread_local std::vector<uint8_t> registers[2];
  Faults faults;
  std::atomic<uint64_t> next = 0;
  const auto work = [&](std::vector<uint8_t>& memory_of_registers) {
    CtaRunner runner({&kernel, static_cast<const uint8_t*>(params), &memory, shape, {}, 0}, memory_of_registers);
    for (uint64_t cta; (cta = next++) < cta_count && !faults.any();) try {
        runner.run(cta);
      } catch (...) { faults.keep(cta); }
  };
  std::vector<std::jthread> others;
  for (size_t i = 1; i < threads; ++i) others.emplace_back(work, std::ref(registers[i]));
  work(registers[0]);
  others.clear();
  faults.raise();
}

}  // namespace redraft::cuda_ptx
