// A driver library whose device is the host: what of libcuda the engine calls, over kernels built for the host. Put in
// the driver's place (REDRAFT_CUDA_DRIVER), it runs the whole engine without a GPU.
//
// Work on a stream waits until the stream is waited for, so a result that is read too early, or a buffer that is
// changed too early, is seen. While a stream is captured (sim_graph.cc) its work is kept, and what may wait is refused.
// Memory is the host's; where the kernels were built with checks, each allocation is known to them.
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <map>
#include <mutex>
#include <new>
#include <string>
#include <vector>

#include "../host/access_check.h"
#include "../host/cta.h"
#include "sim_stream.h"

using namespace redraft::cuda;
using namespace redraft::cuda_sim;
using redraft::cuda_host::DeviceFault;
using redraft::cuda_host::Kernel;

namespace redraft::cuda_sim {

std::mutex guard;

int setting(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  return text ? std::atoi(text) : otherwise;
}
std::vector<CuStream>& streams() {
  static std::vector<CuStream> all;
  return all;
}

}  // namespace redraft::cuda_sim

namespace {

std::map<CuPointer, size_t> allocations;
size_t allocated_bytes = 0;
CuResult failed = 0;  // Of a kernel: every later call fails, as on a device.

// Whether a test wants this call to fail.
bool fails(const char* call) {
  const char* named = std::getenv("REDRAFT_SIM_FAILS");
  return named && std::strcmp(named, call) == 0;
}

// Small: an engine that is told no number of pages takes most of it, and it is the host's.
size_t memory_bytes() { return static_cast<size_t>(setting("REDRAFT_SIM_MEMORY_MIB", 2048)) << 20; }

// Whether [pointer, pointer + bytes) lies in one allocation.
bool holds(CuPointer pointer, size_t bytes) {
  auto place = allocations.upper_bound(pointer);
  if (place == allocations.begin()) return false;
  --place;
  return pointer + bytes <= place->first + place->second;
}

// A copy's memory may have been freed since it was asked for.
void expect_held(CuPointer pointer, size_t bytes) {
  const std::lock_guard lock(guard);
  if (!holds(pointer, bytes)) throw DeviceFault("a copy of memory that has been freed");
}
CuResult copy_of(CuPointer pointer, size_t bytes, CuStream stream, std::function<void()> copy) {
  {
    const std::lock_guard lock(guard);
    if (!holds(pointer, bytes)) return kInvalid;
  }
  return enqueue(stream, [=, copy = std::move(copy)] { expect_held(pointer, bytes), copy(); });
}

}  // namespace

CuResult redraft::cuda_sim::enqueue(CuStream stream, std::function<void()> work) {
  if (!stream) return kInvalid;
  SimCapture* capture = stream->capture.get();
  if (capture && capture->invalid) return kCaptureInvalidated;
  (capture ? capture->work : stream->queue).push_back(std::move(work));
  return failed;
}

extern "C" {
#pragma GCC visibility push(default)

CuResult cuInit(unsigned) { return setting("REDRAFT_SIM_DEVICES", 1) > 0 ? kCuSuccess : kCuNoDevice; }
CuResult cuDriverGetVersion(int* version) { return *version = setting("REDRAFT_SIM_VERSION", 13000), kCuSuccess; }
CuResult cuDeviceGetCount(int* count) { return *count = setting("REDRAFT_SIM_DEVICES", 1), kCuSuccess; }
CuResult cuDeviceGet(CuDevice* device, int index) { return *device = index, kCuSuccess; }
CuResult cuDeviceGetName(char* name, int bytes, CuDevice) {
  std::strncpy(name, "simulated device", static_cast<size_t>(bytes));
  return kCuSuccess;
}
CuResult cuDeviceGetAttribute(int* value, int attribute, CuDevice) {
  const int capability = setting("REDRAFT_SIM_CAPABILITY", 90);
  if (attribute == kCuMajor) *value = capability / 10;
  else if (attribute == kCuMinor) *value = capability % 10;
  else if (attribute == kCuSharedOptIn) *value = 227 << 10;
  else return kInvalid;
  return kCuSuccess;
}
CuResult cuDevicePrimaryCtxRetain(CuContext* context, CuDevice) {
  if (fails("cuDevicePrimaryCtxRetain")) return kDeviceUnavailable;
  return *context = reinterpret_cast<CuContext>(&allocations), kCuSuccess;
}
CuResult cuDevicePrimaryCtxRelease_v2(CuDevice) { return kCuSuccess; }
CuResult cuCtxSetCurrent(CuContext context) { return context ? failed : kInvalid; }
CuResult cuMemGetInfo_v2(size_t* free_bytes, size_t* total) {
  const std::lock_guard lock(guard);
  *total = memory_bytes(), *free_bytes = *total - allocated_bytes;
  return kCuSuccess;
}
CuResult cuMemAlloc_v2(CuPointer* pointer, size_t bytes) {
  if (const CuResult refused = allow_unsafe_call()) return refused;
  const std::lock_guard lock(guard);
  if (bytes == 0) return kInvalid;
  if (allocated_bytes + bytes > memory_bytes()) return kCuOutOfMemory;
  void* memory = ::operator new (bytes, std::align_val_t{256}, std::nothrow);
  if (!memory) return kCuOutOfMemory;
  std::memset(memory, 0xcd, bytes);
  *pointer = reinterpret_cast<CuPointer>(memory);
  allocations[*pointer] = bytes, allocated_bytes += bytes;
  if (redraft::cuda_host::kernels_are_checked()) redraft::cuda_host::register_memory(memory, bytes, false);
  return kCuSuccess;
}
CuResult cuMemFree_v2(CuPointer pointer) {
  if (const CuResult refused = allow_unsafe_call()) return refused;
  const std::lock_guard lock(guard);
  const auto place = allocations.find(pointer);
  if (place == allocations.end()) return kInvalid;
  allocated_bytes -= place->second;
  allocations.erase(place);
  void* memory = reinterpret_cast<void*>(pointer);
  if (redraft::cuda_host::kernels_are_checked()) redraft::cuda_host::forget_memory(memory);
  ::operator delete (memory, std::align_val_t{256});
  return kCuSuccess;
}
CuResult cuMemAllocHost_v2(void** pointer, size_t bytes) {
  if (const CuResult refused = allow_unsafe_call()) return refused;
  *pointer = std::malloc(bytes);
  return *pointer ? kCuSuccess : kCuOutOfMemory;
}
CuResult cuMemFreeHost(void* pointer) { return std::free(pointer), kCuSuccess; }
CuResult cuMemcpyHtoDAsync_v2(CuPointer to, const void* from, size_t bytes, CuStream stream) {
  return copy_of(to, bytes, stream, [=] {
    std::memcpy(reinterpret_cast<void*>(to), from, bytes);
    redraft::cuda_host::note_written(reinterpret_cast<void*>(to), bytes);
  });
}
CuResult cuMemcpyDtoHAsync_v2(void* to, CuPointer from, size_t bytes, CuStream stream) {
  return copy_of(from, bytes, stream, [=] { std::memcpy(to, reinterpret_cast<const void*>(from), bytes); });
}
CuResult cuMemsetD8Async(CuPointer to, unsigned char value, size_t bytes, CuStream stream) {
  return copy_of(to, bytes, stream, [=] {
    std::memset(reinterpret_cast<void*>(to), value, bytes);
    redraft::cuda_host::note_written(reinterpret_cast<void*>(to), bytes);
  });
}
CuResult cuMemGetAddressRange_v2(CuPointer* base, size_t* bytes, CuPointer pointer) {
  const std::lock_guard lock(guard);
  if (!holds(pointer, 1)) return kNotFound;
  const auto place = std::prev(allocations.upper_bound(pointer));
  return *base = place->first, *bytes = place->second, kCuSuccess;
}
CuResult cuLaunchHostFunc(CuStream stream, void (*function)(void*), void* data) {
  return function ? enqueue(stream, [=] { function(data); }) : kInvalid;
}
// Not the driver's: what a simulated library wrote to the device's memory, for the checks of accesses.
void redraft_sim_note_written(CuPointer to, size_t bytes) {
  redraft::cuda_host::note_written(reinterpret_cast<void*>(to), bytes);
}
CuResult cuStreamCreate(CuStream* stream, unsigned) {
  const std::lock_guard lock(guard);
  streams().push_back(*stream = new CuStreamState);
  return kCuSuccess;
}
CuResult cuStreamDestroy_v2(CuStream stream) {
  const std::lock_guard lock(guard);
  if (std::erase(streams(), stream) == 0) return kInvalidHandle;
  return delete stream, kCuSuccess;
}
CuResult cuStreamSynchronize(CuStream stream) {
  if (stream->capture) {
    stream->capture->invalid = true;  // What is captured never runs: there is nothing to wait for.
    return kCaptureUnsupported;
  }
  const auto queue = std::move(stream->queue);
  stream->queue.clear();
  try {
    for (const auto& work : queue) work();
  } catch (const redraft::cuda_host::DeviceFault& fault) {
    std::cerr << "simulated device: " << fault.what() << "\n";
    failed = kLaunchFailed;
  }
  return failed;
}
CuResult cuModuleLoadData(CuModule* module, const void* image) {
  if (!image) return kInvalid;
  if (fails("cuModuleLoadData")) return kNoBinary;
  if (const CuResult refused = allow_unsafe_call()) return refused;
  return *module = reinterpret_cast<CuModule>(const_cast<void*>(image)), kCuSuccess;
}
CuResult cuModuleUnload(CuModule) { return kCuSuccess; }
CuResult cuModuleGetFunction(CuFunction* function, CuModule, const char* name) {
  try {
    *function = reinterpret_cast<CuFunction>(const_cast<Kernel*>(&redraft::cuda_host::find_kernel(name)));
  } catch (const redraft::cuda_host::DeviceFault&) { return kNotFound; }
  return kCuSuccess;
}
CuResult cuFuncSetAttribute(CuFunction, int, int value) { return value <= (227 << 10) ? kCuSuccess : kInvalid; }
CuResult cuLaunchKernel(CuFunction function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned block_y,
                        unsigned block_z, unsigned shared_bytes, CuStream stream, void** params, void** extra) {
  if (!function || block_y != 1 || block_z != 1 || extra) return kInvalid;
  const Kernel* kernel = reinterpret_cast<const Kernel*>(function);
  const auto* bytes = static_cast<const uint8_t*>(params[0]);
  return enqueue(stream, [=, copy = std::vector<uint8_t>(bytes, bytes + kernel->param_bytes)] {
    redraft::cuda_host::launch(*kernel, {{x, y, z}, threads, shared_bytes}, copy.data());
  });
}
CuResult cuGetErrorName(CuResult result, const char** name) {
  *name = result == kCuOutOfMemory        ? "CUDA_ERROR_OUT_OF_MEMORY"
          : result == kCuNoDevice         ? "CUDA_ERROR_NO_DEVICE"
          : result == kDeviceUnavailable  ? "CUDA_ERROR_DEVICE_UNAVAILABLE"
          : result == kNoBinary           ? "CUDA_ERROR_NO_BINARY_FOR_GPU"
          : result == kInvalidHandle      ? "CUDA_ERROR_INVALID_HANDLE"
          : result == kIllegalState       ? "CUDA_ERROR_ILLEGAL_STATE"
          : result == kNotFound           ? "CUDA_ERROR_NOT_FOUND"
          : result == kLaunchFailed       ? "CUDA_ERROR_LAUNCH_FAILED"
          : result == kCaptureUnsupported ? "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"
          : result == kCaptureInvalidated ? "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"
          : result == kCaptureWrongThread ? "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD"
                                          : "CUDA_ERROR_INVALID_VALUE";
  return kCuSuccess;
}

#pragma GCC visibility pop
}
