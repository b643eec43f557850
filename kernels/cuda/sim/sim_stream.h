// What a stream of the simulated device holds: work that waits, or the capture that takes it instead.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "../driver.h"

namespace redraft::cuda {

using SimWork = std::vector<std::function<void()>>;

struct SimCapture {
  int mode = 0;
  std::thread::id thread;
  bool invalid = false;  // Something was asked for that a capture does not allow: it ends with nothing.
  SimWork work;
};
struct CuStreamState {
  SimWork queue;
  std::unique_ptr<SimCapture> capture;
};

}  // namespace redraft::cuda

namespace redraft::cuda_sim {

constexpr cuda::CuResult kInvalid = 1, kDeviceUnavailable = 46, kNoBinary = 209, kInvalidHandle = 400,
                         kIllegalState = 401, kNotFound = 500, kLaunchFailed = 719, kCaptureUnsupported = 900,
                         kCaptureInvalidated = 901, kCaptureWrongThread = 908;

// A test may want an older driver, another device, or little memory.
int setting(const char* name, int otherwise);
extern std::mutex guard;
// All streams that there are.
std::vector<cuda::CuStream>& streams();
// Puts work on a stream, or into what captures it.
cuda::CuResult enqueue(cuda::CuStream stream, std::function<void()> work);
// Whether a call that may wait for the device, or change its memory, is allowed to this thread now. Where it is not,
// the captures in its way are no longer valid: as on a device.
cuda::CuResult allow_unsafe_call();

}  // namespace redraft::cuda_sim
