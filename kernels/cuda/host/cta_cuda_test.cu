// What running kernels on the host must find, and must not: small kernels with one fault each.
#include "../device.h"

#include <numeric>

#include "kernel_test.h"

namespace redraft::cuda {
namespace {

using namespace cuda_host;
using test::fail;

enum Fault : uint32_t {
  kNone,
  kNoBarrier,
  kNoWarpSync,
  kUnwrittenShared,
  kUnwrittenGlobal,
  kLoadOutside,
  kStoreOutside,
  kForeignMemory,
  kSharedOutside,
  kSomeAtBarrier,
  kDeadlock,
  kAbsentLane,
  kOtherCta,
  kAtomicAndPlain,
  kPartialMatrix,
};

struct FaultParams {
  uint32_t fault;
  const uint32_t *in, *unwritten, *foreign;
  uint32_t *out, *counter;
};
constexpr uint32_t kCount = 128;  // Of in and out, and threads of a CTA.

struct FaultShared {
  uint32_t at[kCount];
};

// Reverses its CTA's values by way of shared memory, then within each warp, then adds them up with atomics.
REDRAFT_KERNEL(test_faults, FaultParams, kCount) {
  REDRAFT_SHARED(FaultShared, shared);
  const uint32_t i = threadIdx.x;
  uint32_t value = p.in[p.fault == kLoadOutside ? i + 1 : i];
  if (p.fault == kUnwrittenGlobal) value += p.unwritten[i];
  if (p.fault == kForeignMemory) value += *p.foreign;
  if (p.fault != kUnwrittenShared || i != 5) shared.at[p.fault == kSharedOutside ? i + 12257 : i] = value;
  if (p.fault != kNoBarrier) __syncthreads();
  value = shared.at[p.fault == kSharedOutside ? i + 12257 : kCount - 1 - i];
  __syncthreads();
  shared.at[i] = value;
  if (p.fault != kNoWarpSync) __syncwarp();
  value = shared.at[i ^ 31];
  if (p.fault == kSomeAtBarrier && i < 7) return;
  if (p.fault != kDeadlock || i >= 32) __syncthreads();
  if (p.fault == kDeadlock && i < 16) value = __shfl_sync(kAllLanes, value, 0);
  if (p.fault == kDeadlock && i >= 16 && i < 32) __syncwarp();
  if (p.fault == kAbsentLane && i < 16) value += __shfl_sync(0xffffu, value, 20);
  if (p.fault == kPartialMatrix && i < 16) {
    int32_t c[4] = {};
    const uint32_t a[4] = {}, b[2] = {};
    mma_s8(c, a, b);
  }
  atomicAdd(p.counter, value);
  if (p.fault == kAtomicAndPlain && i == 3) *p.counter = 0;
  const uint32_t place = p.fault == kOtherCta ? i : blockIdx.x * kCount + i;
  p.out[p.fault == kStoreOutside ? place + 1 : place] = value;
}

std::string run(Fault fault, uint32_t* total = nullptr) {
  std::vector<uint32_t> numbers(kCount);
  std::iota(numbers.begin(), numbers.end(), 1);
  DeviceArray<uint32_t> in(numbers), unwritten(kCount), out(2 * kCount), counter(std::vector<uint32_t>{0});
  const uint32_t foreign = 7;
  try {
    const FaultParams p{fault, in.data(), unwritten.data(), &foreign, out.data(), counter.data()};
    launch("test_faults", {{2, 1, 1}, kCount, 0}, p);
  } catch (const DeviceFault& found) { return found.what(); }
  if (total) *total = counter[0];
  return "";
}

void expect_fault(Fault fault, const char* words) {
  for (const bool reverse : {false, true}) {
    run_in_reverse(reverse);
    const std::string found = run(fault);
    if (found.find(words) == std::string::npos || found.find("test_faults, CTA (") == std::string::npos)
      fail(__FILE__, __LINE__) << "\"" << found << "\" lacks \"" << words << "\"\n";
  }
  run_in_reverse(false);
}

TEST(CtaCuda, RunsASoundKernelWithoutComplaint) {
  uint32_t total = 0;
  EXPECT_EQ(run(kNone, &total), std::string());
  EXPECT_EQ(total, kCount * (kCount + 1));
  run_in_reverse(true);
  EXPECT_EQ(run(kNone), std::string());
  run_in_reverse(false);
}

TEST(CtaCuda, FindsRaces) {
  expect_fault(kNoBarrier, "");
  EXPECT_TRUE(!run(kNoBarrier).empty());
  expect_fault(kNoWarpSync, "with no barrier between");
  expect_fault(kOtherCta, "with no barrier between");
  expect_fault(kAtomicAndPlain, "with no barrier between");
}

TEST(CtaCuda, FindsWhatNobodyWrote) {
  expect_fault(kUnwrittenShared, "load of 4 bytes: it reads what nobody wrote");
  expect_fault(kUnwrittenGlobal, "load of 4 bytes: it reads what nobody wrote");
}

TEST(CtaCuda, FindsAccessesOutside) {
  expect_fault(kLoadOutside, "load of 4 bytes: it is outside");
  expect_fault(kStoreOutside, "store of 4 bytes: it is outside");
  expect_fault(kForeignMemory, "load of 4 bytes: it is outside of all memory");
  expect_fault(kSharedOutside, "it is outside");
}

TEST(CtaCuda, FindsThreadsThatNeverMeet) {
  expect_fault(kSomeAtBarrier, "121 of 128 threads wait at a barrier, 7 have ended");
  expect_fault(kDeadlock, "it will never open");
  expect_fault(kAbsentLane, "a shuffle from lane 20, which takes no part");
  EXPECT_TRUE(!run(kPartialMatrix).empty());
}

TEST(CtaCuda, RefusesLaunchesThatNoDeviceTakes) {
  const FaultParams p{};
  for (const LaunchShape& shape : {LaunchShape{{1, 1, 1}, 100, 0},
                                   {{1, 1, 1}, 256, 0},
                                   {{0, 1, 1}, 128, 0},
                                   {{1, 70000, 1}, 128, 0},
                                   {{1, 1, 1}, 128, 1 << 20}}) {
    bool refused = false;
    try {
      launch("test_faults", shape, p);
    } catch (const DeviceFault& found) { refused = std::string(found.what()).find("not allowed") != std::string::npos; }
    EXPECT_TRUE(refused);
  }
}

struct MatrixParams {
  const int8_t *a, *b;  // [16, 32], [8, 32]
  int32_t* c;           // [16, 8]
};
REDRAFT_KERNEL(test_matrix, MatrixParams, 32) {
  const uint32_t g = lane_index() / 4, t = lane_index() % 4;
  uint32_t a[4], b[2];
  for (uint32_t i = 0; i < 4; ++i)
    a[i] = *reinterpret_cast<const uint32_t*>(p.a + (g + 8 * (i % 2)) * 32 + 4 * t + 16 * (i / 2));
  for (uint32_t i = 0; i < 2; ++i) b[i] = *reinterpret_cast<const uint32_t*>(p.b + g * 32 + 4 * t + 16 * i);
  int32_t c[4] = {1, 1, 1, 1};
  mma_s8(c, a, b);
  for (uint32_t i = 0; i < 4; ++i) p.c[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2] = c[i];
}

TEST(CtaCuda, MultipliesMatricesAsPtxDefinesIt) {
  std::vector<int8_t> a(16 * 32), b(8 * 32);
  std::mt19937 random(4);
  for (auto* values : {&a, &b})
    for (int8_t& value : *values) value = static_cast<int8_t>(random());
  DeviceArray<int8_t> da(a), db(b);
  DeviceArray<int32_t> c(16 * 8);
  launch("test_matrix", {{1, 1, 1}, 32, 0}, MatrixParams{da.data(), db.data(), c.data()});
  for (size_t m = 0; m < 16; ++m)
    for (size_t n = 0; n < 8; ++n) {
      int32_t sum = 1;
      for (size_t k = 0; k < 32; ++k) sum += int32_t{a[m * 32 + k]} * b[n * 32 + k];
      EXPECT_EQ(c[m * 8 + n], sum);
    }
}

}  // namespace
}  // namespace redraft::cuda
