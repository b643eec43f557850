// NVIDIA's driver API, opened at run time: the library that holds this loads on machines with no driver, and says so.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "launch.h"

namespace redraft::cuda {

// Types of cuda.h, by their meaning there.
using CuResult = int;
using CuDevice = int;
using CuPointer = uint64_t;
struct CuContextState;
struct CuModuleState;
struct CuFunctionState;
struct CuStreamState;
struct CuGraphState;
struct CuGraphExecState;
struct CuGraphNodeState;
using CuContext = CuContextState*;
using CuModule = CuModuleState*;
using CuFunction = CuFunctionState*;
using CuStream = CuStreamState*;
using CuGraph = CuGraphState*;
using CuGraphExec = CuGraphExecState*;
using CuGraphNode = CuGraphNodeState*;

constexpr CuResult kCuSuccess = 0;
constexpr CuResult kCuOutOfMemory = 2;
constexpr CuResult kCuNoDevice = 100;
constexpr int kCuMajor = 75, kCuMinor = 76;  // Attributes of a device: its compute capability.
constexpr int kCuSharedOptIn = 97;           // Its most shared memory of a CTA.
constexpr int kCuFunctionSharedMax = 8;      // Attribute of a function: dynamic shared memory allowed.
constexpr int kCuCaptureThreadLocal = 1;     // Another thread's calls are its own affair while a chain is captured.

// Each call, with the name under which the driver exports it.
#define REDRAFT_CUDA_CALLS(CALL)                                                                                    \
  CALL(init, "cuInit", (unsigned flags))                                                                            \
  CALL(version, "cuDriverGetVersion", (int* version))                                                               \
  CALL(device_count, "cuDeviceGetCount", (int* count))                                                              \
  CALL(device, "cuDeviceGet", (CuDevice * device, int index))                                                       \
  CALL(device_name, "cuDeviceGetName", (char* name, int bytes, CuDevice device))                                    \
  CALL(device_attribute, "cuDeviceGetAttribute", (int* value, int attribute, CuDevice device))                      \
  CALL(context_retain, "cuDevicePrimaryCtxRetain", (CuContext * context, CuDevice device))                          \
  CALL(context_release, "cuDevicePrimaryCtxRelease_v2", (CuDevice device))                                          \
  CALL(context_set, "cuCtxSetCurrent", (CuContext context))                                                         \
  CALL(memory_info, "cuMemGetInfo_v2", (size_t * free_bytes, size_t * total_bytes))                                 \
  CALL(allocate, "cuMemAlloc_v2", (CuPointer * pointer, size_t bytes))                                              \
  CALL(release, "cuMemFree_v2", (CuPointer pointer))                                                                \
  CALL(allocate_host, "cuMemAllocHost_v2", (void** pointer, size_t bytes))                                          \
  CALL(release_host, "cuMemFreeHost", (void* pointer))                                                              \
  CALL(copy_in, "cuMemcpyHtoDAsync_v2", (CuPointer to, const void* from, size_t bytes, CuStream stream))            \
  CALL(copy_out, "cuMemcpyDtoHAsync_v2", (void* to, CuPointer from, size_t bytes, CuStream stream))                 \
  CALL(set_bytes, "cuMemsetD8Async", (CuPointer to, unsigned char value, size_t bytes, CuStream stream))            \
  CALL(stream_create, "cuStreamCreate", (CuStream * stream, unsigned flags))                                        \
  CALL(stream_destroy, "cuStreamDestroy_v2", (CuStream stream))                                                     \
  CALL(stream_wait, "cuStreamSynchronize", (CuStream stream))                                                       \
  CALL(module_load, "cuModuleLoadData", (CuModule * module, const void* image))                                     \
  CALL(module_unload, "cuModuleUnload", (CuModule module))                                                          \
  CALL(module_function, "cuModuleGetFunction", (CuFunction * function, CuModule module, const char* name))          \
  CALL(function_attribute, "cuFuncSetAttribute", (CuFunction function, int attribute, int value))                   \
  CALL(launch, "cuLaunchKernel",                                                                                    \
       (CuFunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y, \
        unsigned block_z, unsigned shared_bytes, CuStream stream, void** params, void** extra))                     \
  CALL(capture_begin, "cuStreamBeginCapture_v2", (CuStream stream, int mode))                                       \
  CALL(capture_end, "cuStreamEndCapture", (CuStream stream, CuGraph * graph))                                       \
  CALL(graph_nodes, "cuGraphGetNodes", (CuGraph graph, CuGraphNode * nodes, size_t * count))                        \
  CALL(graph_destroy, "cuGraphDestroy", (CuGraph graph))                                                            \
  CALL(graph_instantiate, "cuGraphInstantiateWithFlags",                                                            \
       (CuGraphExec * exec, CuGraph graph, unsigned long long flags))                                               \
  CALL(graph_launch, "cuGraphLaunch", (CuGraphExec exec, CuStream stream))                                          \
  CALL(graph_exec_destroy, "cuGraphExecDestroy", (CuGraphExec exec))                                                \
  CALL(error_name, "cuGetErrorName", (CuResult result, const char** name))

struct Driver {
#define REDRAFT_CUDA_MEMBER(member, symbol, parameters) CuResult(*member) parameters = nullptr;
  REDRAFT_CUDA_CALLS(REDRAFT_CUDA_MEMBER)
#undef REDRAFT_CUDA_MEMBER
};

// The driver, opened once: libcuda.so.1, or what REDRAFT_CUDA_DRIVER names.
// Throws Error(REDRAFT_UNSUPPORTED) that says what is missing and what to do.
const Driver& driver();
// Throws Error(REDRAFT_NO_MEMORY) where memory ran out, else Error(REDRAFT_INTERNAL), unless result is a success.
void check(CuResult result, const char* call);

// A captured chain of launches, ready to be launched as one.
class Graph {
 public:
  Graph(CuGraphExec exec, size_t node_count) : exec_(exec), node_count_(node_count) {}
  ~Graph() {
    if (exec_) driver().graph_exec_destroy(exec_);
  }
  Graph(Graph&& other) noexcept : exec_(other.exec_), node_count_(other.node_count_) { other.exec_ = nullptr; }
  Graph& operator=(Graph&&) = delete;
  CuGraphExec exec() const { return exec_; }
  size_t node_count() const { return node_count_; }

 private:
  CuGraphExec exec_;
  size_t node_count_;
};

// The first device with its context, kernels and one stream. Every call first makes the context the thread's own.
class Device {
 public:
  // Throws Error(REDRAFT_UNSUPPORTED) that says in one line why there is none to be used.
  Device();
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  void enter() const;  // To be called on each entry from outside.
  const std::string& name() const { return name_; }
  int capability() const { return capability_; }  // 80, 90, 100, ..
  size_t free_bytes() const;

  // On the engine's stream; params are copied by the call. Throws Error(REDRAFT_INTERNAL) that names the kernel.
  template <typename Params>
  void launch(const char* kernel, const LaunchShape& shape, const Params& params) {
    launch_bytes(kernel, shape, &params);
  }
  void copy_in(CuPointer to, const void* from, size_t bytes);
  void copy_out(void* to, CuPointer from, size_t bytes);
  void fill_zero(CuPointer to, size_t bytes);
  void wait();                                 // Until all that was asked is done.
  CuStream stream() const { return stream_; }  // For libraries that launch on their own.
  // What `chain` asks for is not done but kept. Parameters are as they are now; what pointers point to, on either side,
  // is read when the graph is launched. Throws what check() does, and what `chain` throws.
  Graph capture(const std::function<void()>& chain);
  void launch(const Graph& graph);

 private:
  struct Kernels;
  void launch_bytes(const char* kernel, const LaunchShape& shape, const void* params);
  CuDevice device_ = 0;
  CuContext context_ = nullptr;
  CuStream stream_ = nullptr;
  std::string name_;
  int capability_ = 0, shared_max_ = 0;
  std::unique_ptr<Kernels> kernels_;
};

// Device memory of one array; freed with it.
template <typename T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t count) : count_(count) {
    check(driver().allocate(&pointer_, count ? count * sizeof(T) : 1), "cuMemAlloc");
  }
  ~Buffer() {
    if (pointer_) driver().release(pointer_);
  }
  Buffer(Buffer&& other) noexcept : pointer_(other.pointer_), count_(other.count_) {
    other.pointer_ = 0, other.count_ = 0;
  }
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(pointer_, other.pointer_), std::swap(count_, other.count_);
    return *this;
  }
  CuPointer pointer() const { return pointer_; }
  // An address on the device: for kernels' parameters, never to be followed here.
  T* get() const { return reinterpret_cast<T*>(pointer_); }
  size_t size() const { return count_; }
  size_t bytes() const { return count_ * sizeof(T); }

 private:
  CuPointer pointer_ = 0;
  size_t count_ = 0;
};

// Host memory that stays where it is, so that a copy needs no other in between.
class HostBytes {
 public:
  explicit HostBytes(size_t count) : count_(count) {
    void* memory = nullptr;
    check(driver().allocate_host(&memory, count ? count : 1), "cuMemAllocHost");
    bytes_ = static_cast<uint8_t*>(memory);
  }
  ~HostBytes() { driver().release_host(bytes_); }
  HostBytes(const HostBytes&) = delete;
  HostBytes& operator=(const HostBytes&) = delete;
  uint8_t* get() const { return bytes_; }
  size_t size() const { return count_; }

 private:
  uint8_t* bytes_ = nullptr;
  size_t count_;
};

// Fat binaries of the kernels, embedded by the build; a null image ends the list.
extern const void* const kKernelImages[];

}  // namespace redraft::cuda
