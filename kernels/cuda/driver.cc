#include "driver.h"

#include <dlfcn.h>

#include <cstdlib>
#include <map>
#include <vector>

#include "../common/error.h"

namespace redraft::cuda {
namespace {

// What the driver of CUDA 13.0, whose compiler made the kernels, calls itself.
constexpr int kDriverVersionMin = 13000;
constexpr int kCapabilityMin = 80;
constexpr size_t kSharedWithoutAsking = 48 << 10;

Driver open_driver() {
  const char* named = std::getenv("REDRAFT_CUDA_DRIVER");
  const char* path = named && *named ? named : "libcuda.so.1";
  // Never closed: the driver's threads outlive any engine.
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library)
    throw Error(REDRAFT_UNSUPPORTED, std::string("cannot use CUDA: no driver (") + path +
                                         "); install NVIDIA's driver, or ask for the cpu backend");
  Driver calls;
#define REDRAFT_CUDA_LOOK_UP(member, symbol, parameters)                                                       \
  calls.member = reinterpret_cast<CuResult(*) parameters>(dlsym(library, symbol));                             \
  if (!calls.member)                                                                                           \
    throw Error(REDRAFT_UNSUPPORTED, std::string("cannot use CUDA: the driver ") + path + " lacks " + symbol + \
                                         "; install a newer one, or ask for the cpu backend");
  REDRAFT_CUDA_CALLS(REDRAFT_CUDA_LOOK_UP)
#undef REDRAFT_CUDA_LOOK_UP
  return calls;
}

std::string result_name(CuResult result) {
  const char* name = nullptr;
  if (driver().error_name(result, &name) != kCuSuccess || !name) return "error " + std::to_string(result);
  return name;
}

Error unusable(const std::string& why, const std::string& remedy = "") {
  return Error(REDRAFT_UNSUPPORTED,
               "cannot use CUDA: " + why + "; " + (remedy.empty() ? "" : remedy + ", or ") + "ask for the cpu backend");
}

// What fails before a kernel has run is of the driver or the device, and no fault of the engine's: a device that
// another process has for itself, a driver that does not know these kernels.
void expect_usable(CuResult result, const char* call) {
  if (result == kCuSuccess) return;
  const std::string why = std::string(call) + " failed with " + result_name(result);
  if (result != kCuOutOfMemory) throw unusable(why, "see what nvidia-smi says of the device");
  throw Error(REDRAFT_NO_MEMORY, "cannot use CUDA: " + why + "; free the device's memory, or ask for the cpu backend");
}

}  // namespace

const Driver& driver() {
  static const Driver opened = open_driver();  // Tried again on the next call where it throws.
  return opened;
}

void check(CuResult result, const char* call) {
  if (result == kCuSuccess) return;
  throw Error(result == kCuOutOfMemory ? REDRAFT_NO_MEMORY : REDRAFT_INTERNAL,
              std::string("CUDA: ") + call + " failed with " + result_name(result));
}

struct Device::Kernels {
  std::vector<CuModule> modules;
  std::map<std::string, CuFunction> functions;
  ~Kernels() {
    for (const CuModule module : modules) driver().module_unload(module);
  }
};

Device::Device() : kernels_(std::make_unique<Kernels>()) {
  const Driver& cu = driver();
  int version = 0, count = 0;
  const CuResult started = cu.init(0);
  if (started == kCuNoDevice) throw unusable("no device answers");
  if (started != kCuSuccess) throw unusable("the driver does not start (" + result_name(started) + ")");
  expect_usable(cu.version(&version), "cuDriverGetVersion");
  if (version < kDriverVersionMin)
    throw unusable("the driver is of CUDA " + std::to_string(version / 1000) + "." +
                       std::to_string(version % 1000 / 10) + ", the kernels need 13.0 or newer",
                   "install a newer driver");
  if (cu.device_count(&count) != kCuSuccess || count == 0) throw unusable("no device answers");
  expect_usable(cu.device(&device_, 0), "cuDeviceGet");
  char name[128] = {};
  int major = 0, minor = 0;
  expect_usable(cu.device_name(name, sizeof name - 1, device_), "cuDeviceGetName");
  expect_usable(cu.device_attribute(&major, kCuMajor, device_), "cuDeviceGetAttribute");
  expect_usable(cu.device_attribute(&minor, kCuMinor, device_), "cuDeviceGetAttribute");
  expect_usable(cu.device_attribute(&shared_max_, kCuSharedOptIn, device_), "cuDeviceGetAttribute");
  name_ = name, capability_ = 10 * major + minor;
  if (capability_ < kCapabilityMin)
    throw unusable(name_ + " is of compute capability " + std::to_string(major) + "." + std::to_string(minor) +
                   ", the kernels need 8.0 or newer");
  expect_usable(cu.context_retain(&context_, device_), "cuDevicePrimaryCtxRetain");
  try {
    enter();
    expect_usable(cu.stream_create(&stream_, 1), "cuStreamCreate");  // 1: it does not wait for the default stream.
    for (const void* const* image = kKernelImages; *image; ++image) {
      CuModule module = nullptr;
      expect_usable(cu.module_load(&module, *image), "cuModuleLoadData");
      kernels_->modules.push_back(module);
    }
  } catch (...) {
    kernels_.reset();
    if (stream_) cu.stream_destroy(stream_);
    cu.context_release(device_);
    throw;
  }
}

Device::~Device() {
  const Driver& cu = driver();
  cu.context_set(context_);
  cu.stream_wait(stream_);
  kernels_.reset();
  cu.stream_destroy(stream_);
  cu.context_release(device_);
}

void Device::enter() const { check(driver().context_set(context_), "cuCtxSetCurrent"); }

size_t Device::free_bytes() const {
  size_t free_bytes = 0, total = 0;
  check(driver().memory_info(&free_bytes, &total), "cuMemGetInfo");
  return free_bytes;
}

void Device::launch_bytes(const char* kernel, const LaunchShape& shape, const void* params) {
  CuFunction& function = kernels_->functions[kernel];
  for (size_t i = 0; !function && i < kernels_->modules.size(); ++i)
    if (driver().module_function(&function, kernels_->modules[i], kernel) != kCuSuccess) function = nullptr;
  if (!function) throw Error(REDRAFT_INTERNAL, std::string("CUDA: no module has kernel ") + kernel);
  if (shape.shared_bytes > kSharedWithoutAsking) {
    if (shape.shared_bytes > static_cast<size_t>(shared_max_))
      throw Error(REDRAFT_UNSUPPORTED, std::string("CUDA: ") + kernel + " needs " + std::to_string(shape.shared_bytes) +
                                           " bytes of shared memory, " + name_ + " has " + std::to_string(shared_max_));
    check(driver().function_attribute(function, kCuFunctionSharedMax, static_cast<int>(shape.shared_bytes)),
          "cuFuncSetAttribute");
  }
  void* pointers[] = {const_cast<void*>(params)};
  const Dim3& grid = shape.grid;
  check(driver().launch(function, grid.x, grid.y, grid.z, shape.threads, 1, 1,
                        static_cast<unsigned>(shape.shared_bytes), stream_, pointers, nullptr),
        kernel);
}

Graph Device::capture(const std::function<void()>& chain) {
  const Driver& cu = driver();
  CuGraph graph = nullptr;
  CuGraphExec exec = nullptr;
  size_t node_count = 0;
  check(cu.capture_begin(stream_, kCuCaptureThreadLocal), "cuStreamBeginCapture");
  try {
    chain();
  } catch (...) {
    // The stream must leave the capture; what it had is of no use.
    if (cu.capture_end(stream_, &graph) == kCuSuccess && graph) cu.graph_destroy(graph);
    throw;
  }
  check(cu.capture_end(stream_, &graph), "cuStreamEndCapture");
  CuResult result = cu.graph_nodes(graph, nullptr, &node_count);
  if (result == kCuSuccess) result = cu.graph_instantiate(&exec, graph, 0);
  cu.graph_destroy(graph);
  check(result, "cuGraphInstantiate");
  return {exec, node_count};
}

void Device::launch(const Graph& graph) { check(driver().graph_launch(graph.exec(), stream_), "cuGraphLaunch"); }

void Device::copy_in(CuPointer to, const void* from, size_t bytes) {
  if (bytes) check(driver().copy_in(to, from, bytes, stream_), "cuMemcpyHtoDAsync");
}
void Device::copy_out(void* to, CuPointer from, size_t bytes) {
  if (bytes) check(driver().copy_out(to, from, bytes, stream_), "cuMemcpyDtoHAsync");
}
void Device::fill_zero(CuPointer to, size_t bytes) {
  if (bytes) check(driver().set_bytes(to, 0, bytes, stream_), "cuMemsetD8Async");
}
void Device::wait() { check(driver().stream_wait(stream_), "cuStreamSynchronize"); }

}  // namespace redraft::cuda
