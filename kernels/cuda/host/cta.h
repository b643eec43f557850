// Runs kernel sources on the host, as a GPU would see them: every thread of a CTA is a fibre; barriers, shuffles, votes
// and matrix instructions join fibres; CTAs run one after the other. Built with -fsanitize=thread and linked with
// access_check.cc instead of a sanitizer's runtime, every load and store of a kernel is checked: in bounds, written
// before it is read, ordered against other threads' accesses. What cannot be, is a DeviceFault that names the kernel.
#pragma once
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "../../common/half.h"
#include "../launch.h"

namespace redraft::cuda_host {

using cuda::Dim3;
using cuda::LaunchShape;

// A kernel did what no kernel may. The message names the kernel, the CTA and the thread.
class DeviceFault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct Kernel {
  const char* name;
  size_t param_bytes;
  uint32_t threads_max;
  void (*body)(const void* params);
};
// Throws DeviceFault if there is no such kernel in this binary.
const Kernel& find_kernel(const std::string& name);
std::vector<const Kernel*> all_kernels();
struct RegisterKernel {
  explicit RegisterKernel(const Kernel& kernel);
};

constexpr size_t kSharedStaticMax = 48 << 10;    // As ptxas allows.
constexpr size_t kSharedDynamicMax = 227 << 10;  // Of Hopper, opted in.
constexpr uint32_t kThreadsMax = 1024;

// Runs all CTAs of a launch on this thread. Throws DeviceFault.
void launch(const Kernel& kernel, const LaunchShape& shape, const void* params);
template <typename Params>
void launch(const char* name, const LaunchShape& shape, const Params& params) {
  const Kernel& kernel = find_kernel(name);
  if (kernel.param_bytes != sizeof(Params)) throw DeviceFault(std::string(name) + " takes other parameters");
  launch(kernel, shape, &params);
}
// Warps and lanes run in falling order of index from now on, or in rising order: results must not tell.
void run_in_reverse(bool reverse);

// ---- What kernels call, by way of device.h ----

struct Running {
  Dim3 thread, block, block_size, grid_size;
};
extern thread_local constinit Running running;

enum class Collective : uint8_t { kSync, kIndex, kUp, kDown, kXor, kBallot, kMma, kMmaF16, kMmaBf16 };
void* static_shared(size_t bytes);
void* dynamic_shared();
void barrier();
uint32_t collective(Collective kind, uint32_t mask, uint32_t value, uint32_t argument, void* pointer = nullptr);
void before_atomic(void* address, size_t bytes);
struct MmaArguments {
  int32_t* c;
  const uint32_t *a, *b;
};
struct MmaHalvesArguments {
  float* c;
  const uint32_t *a, *b;
};

template <typename T>
T shuffle(Collective kind, uint32_t mask, T value, uint32_t argument) {
  static_assert(sizeof(T) == 4);
  return std::bit_cast<T>(collective(kind, mask, std::bit_cast<uint32_t>(value), argument));
}

}  // namespace redraft::cuda_host

#define REDRAFT_DEVICE static inline __attribute__((always_inline))
#define REDRAFT_KERNEL(name, Params, threads_max)                                                                \
  static void name##_body(const Params& p);                                                                      \
  static const ::redraft::cuda_host::RegisterKernel name##_registered(                                           \
      {#name, sizeof(Params), threads_max, [](const void* p) { name##_body(*static_cast<const Params*>(p)); }}); \
  static void name##_body(const Params& p)
#define REDRAFT_KERNEL_AT_LEAST(name, Params, threads_max, ctas_min) REDRAFT_KERNEL(name, Params, threads_max)
#define REDRAFT_SHARED(Type, name) Type& name = *static_cast<Type*>(::redraft::cuda_host::static_shared(sizeof(Type)))
#define REDRAFT_DYNAMIC_SHARED(Type, name) Type* const name = static_cast<Type*>(::redraft::cuda_host::dynamic_shared())
#define threadIdx (::redraft::cuda_host::running.thread)
#define blockIdx (::redraft::cuda_host::running.block)
#define blockDim (::redraft::cuda_host::running.block_size)
#define gridDim (::redraft::cuda_host::running.grid_size)

REDRAFT_DEVICE void __syncthreads() { ::redraft::cuda_host::barrier(); }
REDRAFT_DEVICE void __syncwarp(uint32_t mask = 0xffffffffu) {
  ::redraft::cuda_host::collective(::redraft::cuda_host::Collective::kSync, mask, 0, 0);
}
template <typename T>
REDRAFT_DEVICE T __shfl_sync(uint32_t mask, T value, uint32_t lane) {
  return ::redraft::cuda_host::shuffle(::redraft::cuda_host::Collective::kIndex, mask, value, lane);
}
template <typename T>
REDRAFT_DEVICE T __shfl_up_sync(uint32_t mask, T value, uint32_t by) {
  return ::redraft::cuda_host::shuffle(::redraft::cuda_host::Collective::kUp, mask, value, by);
}
template <typename T>
REDRAFT_DEVICE T __shfl_down_sync(uint32_t mask, T value, uint32_t by) {
  return ::redraft::cuda_host::shuffle(::redraft::cuda_host::Collective::kDown, mask, value, by);
}
template <typename T>
REDRAFT_DEVICE T __shfl_xor_sync(uint32_t mask, T value, uint32_t by) {
  return ::redraft::cuda_host::shuffle(::redraft::cuda_host::Collective::kXor, mask, value, by);
}
REDRAFT_DEVICE uint32_t __ballot_sync(uint32_t mask, bool vote) {
  return ::redraft::cuda_host::collective(::redraft::cuda_host::Collective::kBallot, mask, vote, 0);
}
REDRAFT_DEVICE bool __any_sync(uint32_t mask, bool vote) { return __ballot_sync(mask, vote) != 0; }
// Fibres share one thread and never stop within an operation: plain arithmetic is atomic here.
template <typename T, typename U>
__attribute__((no_sanitize("thread"))) inline T atomicAdd(T* address, U value) {
  ::redraft::cuda_host::before_atomic(address, sizeof(T));
  const T before = *address;
  *address = static_cast<T>(before + value);
  return before;
}
template <typename T, typename U>
__attribute__((no_sanitize("thread"))) inline T atomicMax(T* address, U value) {
  ::redraft::cuda_host::before_atomic(address, sizeof(T));
  const T before = *address;
  if (static_cast<T>(value) > before) *address = static_cast<T>(value);
  return before;
}
template <typename T>
REDRAFT_DEVICE T min(T a, T b) {
  return b < a ? b : a;
}
template <typename T>
REDRAFT_DEVICE T max(T a, T b) {
  return a < b ? b : a;
}
REDRAFT_DEVICE int __popc(uint32_t bits) { return std::popcount(bits); }
REDRAFT_DEVICE int __popcll(uint64_t bits) { return std::popcount(bits); }
REDRAFT_DEVICE int __ffs(uint32_t bits) { return __builtin_ffs(static_cast<int>(bits)); }
REDRAFT_DEVICE int __ffsll(uint64_t bits) { return __builtin_ffsll(static_cast<long long>(bits)); }
REDRAFT_DEVICE uint64_t __umul64hi(uint64_t a, uint64_t b) {
  return static_cast<uint64_t>((static_cast<unsigned __int128>(a) * b) >> 64);
}

namespace redraft::cuda {

REDRAFT_DEVICE void mma_s8(int32_t (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  ::redraft::cuda_host::MmaArguments arguments{c, a, b};
  ::redraft::cuda_host::collective(::redraft::cuda_host::Collective::kMma, 0xffffffffu, 0, 0, &arguments);
}
REDRAFT_DEVICE void mma_halves(::redraft::cuda_host::Collective kind, float (&c)[4], const uint32_t (&a)[4],
                               const uint32_t (&b)[2]) {
  ::redraft::cuda_host::MmaHalvesArguments arguments{c, a, b};
  ::redraft::cuda_host::collective(kind, 0xffffffffu, 0, 0, &arguments);
}
REDRAFT_DEVICE void mma_f16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  mma_halves(::redraft::cuda_host::Collective::kMmaF16, c, a, b);
}
REDRAFT_DEVICE void mma_bf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  mma_halves(::redraft::cuda_host::Collective::kMmaBf16, c, a, b);
}
REDRAFT_DEVICE uint32_t half2_subtract(uint32_t a, uint32_t b) {
  uint32_t difference = 0;
  for (uint32_t i = 0; i < 32; i += 16)
    difference |=
        uint32_t{f32_to_f16(f16_to_f32(static_cast<uint16_t>(a >> i)) - f16_to_f32(static_cast<uint16_t>(b >> i)))}
        << i;
  return difference;
}
REDRAFT_DEVICE uint16_t float_to_bf16(float value) { return f32_to_bf16(value); }
REDRAFT_DEVICE float half_to_float(uint16_t half) { return f16_to_f32(half); }
REDRAFT_DEVICE uint16_t float_to_half(float value) { return f32_to_f16(value); }
REDRAFT_DEVICE uint32_t float_bits(float value) { return std::bit_cast<uint32_t>(value); }
REDRAFT_DEVICE float bits_float(uint32_t bits) { return std::bit_cast<float>(bits); }

}  // namespace redraft::cuda
