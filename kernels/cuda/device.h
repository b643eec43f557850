// What a kernel source may use of CUDA. Under nvcc these are the device's own instructions; under a host compiler they
// are host/cta.h, which runs the same source thread by thread. A kernel includes this and nothing of either side.
//
// A kernel takes one struct by value, so that a launch is a name, a shape and a pointer:
//   REDRAFT_KERNEL(redraft_scale, ScaleParams, 128) { if (threadIdx.x < p.count) p.y[threadIdx.x] *= p.factor; }
// Shared memory is one struct, or one array whose size the launch gives:
//   REDRAFT_SHARED(Sums, sums);            Sums& sums
//   REDRAFT_DYNAMIC_SHARED(float, scores); float* scores
#pragma once
#include <cstddef>
#include <cstdint>

#include "launch.h"

#if defined(__CUDACC__)

#define REDRAFT_DEVICE static __device__ __forceinline__
#define REDRAFT_KERNEL(name, Params, threads_max) \
  extern "C" __global__ void __launch_bounds__(threads_max) name(const __grid_constant__ Params p)
// With registers few enough for that many CTAs on a multiprocessor.
#define REDRAFT_KERNEL_AT_LEAST(name, Params, threads_max, ctas_min) \
  extern "C" __global__ void __launch_bounds__(threads_max, ctas_min) name(const __grid_constant__ Params p)
#define REDRAFT_SHARED(Type, name) __shared__ Type name
#define REDRAFT_DYNAMIC_SHARED(Type, name)                    \
  extern __shared__ __align__(16) unsigned char name##_raw[]; \
  Type* const name = reinterpret_cast<Type*>(name##_raw)

namespace redraft::cuda {

// Product of a 16 x 32 tile of weights and a 32 x 8 tile of activations in exact integers: c += a b. Fragments as PTX
// lays out mma.m16n8k32 (lane l: g = l / 4, t = l % 4): a[0], a[2] row g, inputs 4 t and 16 + 4 t; a[1], a[3] row
// g + 8; b[0], b[1] inputs 4 t and 16 + 4 t of column g; c[0], c[1] row g, columns 2 t, 2 t + 1; c[2], c[3] row g + 8.
REDRAFT_DEVICE void mma_s8(int32_t (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// Product of a 16 x 16 tile of weights and a 16 x 8 tile of activations in f32: c += a b, two values a word. Fragments
// as PTX lays out mma.m16n8k16: a[0], a[2] row g, inputs 2 t and 8 + 2 t; a[1], a[3] row g + 8; b[0], b[1] inputs 2 t
// and 8 + 2 t of column g; c as above.
#define REDRAFT_MMA_HALVES(name, type)                                                   \
  REDRAFT_DEVICE void name(float(&c)[4], const uint32_t(&a)[4], const uint32_t(&b)[2]) { \
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." type "." type                  \
                 ".f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"            \
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                        \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));    \
  }
REDRAFT_MMA_HALVES(mma_f16, "f16")
REDRAFT_MMA_HALVES(mma_bf16, "bf16")
#undef REDRAFT_MMA_HALVES
// Of two halves each.
REDRAFT_DEVICE uint32_t half2_subtract(uint32_t a, uint32_t b) {
  uint32_t difference;
  asm("sub.f16x2 %0, %1, %2;" : "=r"(difference) : "r"(a), "r"(b));
  return difference;
}
REDRAFT_DEVICE uint16_t float_to_bf16(float value) {
  uint16_t brain;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(brain) : "f"(value));
  return brain;
}
REDRAFT_DEVICE float half_to_float(uint16_t half) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
  return value;
}
REDRAFT_DEVICE uint16_t float_to_half(float value) {
  uint16_t half;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));
  return half;
}
REDRAFT_DEVICE uint32_t float_bits(float value) { return __float_as_uint(value); }
REDRAFT_DEVICE float bits_float(uint32_t bits) { return __uint_as_float(bits); }

}  // namespace redraft::cuda

#else
#include "host/cta.h"
#endif

namespace redraft::cuda {

constexpr uint32_t kWarpLanes = 32;
constexpr uint32_t kAllLanes = 0xffffffffu;

REDRAFT_DEVICE uint32_t count_of(const Count& count) { return count.live ? *count.live * count.each : count.most; }

REDRAFT_DEVICE uint32_t lane_index() { return threadIdx.x % kWarpLanes; }
REDRAFT_DEVICE uint32_t warp_index() { return threadIdx.x / kWarpLanes; }

// All lanes get the sum; in one fixed order (a butterfly), so the bits do not depend on the lane.
REDRAFT_DEVICE float warp_sum(float value) {
  for (uint32_t step = 16; step > 0; step /= 2) value += __shfl_xor_sync(kAllLanes, value, step);
  return value;
}
REDRAFT_DEVICE float warp_max(float value) {
  for (uint32_t step = 16; step > 0; step /= 2) value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, step));
  return value;
}
REDRAFT_DEVICE uint32_t warp_sum(uint32_t value) {
  for (uint32_t step = 16; step > 0; step /= 2) value += __shfl_xor_sync(kAllLanes, value, step);
  return value;
}
REDRAFT_DEVICE uint64_t shuffle_xor(uint64_t value, uint32_t step) {
  const uint32_t low = __shfl_xor_sync(kAllLanes, static_cast<uint32_t>(value), step);
  const uint32_t high = __shfl_xor_sync(kAllLanes, static_cast<uint32_t>(value >> 32), step);
  return static_cast<uint64_t>(high) << 32 | low;
}
REDRAFT_DEVICE uint64_t warp_sum(uint64_t value) {
  for (uint32_t step = 16; step > 0; step /= 2) value += shuffle_xor(value, step);
  return value;
}

struct alignas(16) Words4 {
  uint32_t at[4];
};
struct alignas(8) Words2 {
  uint32_t at[2];
};

}  // namespace redraft::cuda
