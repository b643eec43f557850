// Graphs of the simulated device: the driver's capture, with its refusals. A launch does the captured work again: a
// kernel with the parameters it was captured with, a copy from and to what lies there at that time.
#include <algorithm>
#include <set>

#include "sim_stream.h"

using namespace redraft::cuda;
using namespace redraft::cuda_sim;

namespace redraft::cuda {
struct CuGraphState {
  SimWork work;
};
// Shared, since one in flight may be destroyed.
struct CuGraphExecState {
  std::shared_ptr<const SimWork> work;
};
}  // namespace redraft::cuda

namespace {

std::set<CuGraph> graphs;
std::set<CuGraphExec> execs;

}  // namespace

namespace redraft::cuda_sim {

CuResult allow_unsafe_call() {
  const std::lock_guard lock(guard);
  CuResult result = kCuSuccess;
  for (const CuStream stream : streams()) {
    SimCapture* capture = stream->capture.get();
    if (!capture || capture->mode > kCuCaptureThreadLocal) continue;
    if (capture->mode == kCuCaptureThreadLocal && capture->thread != std::this_thread::get_id()) continue;
    capture->invalid = true, result = kCaptureUnsupported;
  }
  return result;
}

}  // namespace redraft::cuda_sim

extern "C" {
#pragma GCC visibility push(default)

CuResult cuStreamBeginCapture_v2(CuStream stream, int mode) {
  if (!stream || mode < 0 || mode > 2) return stream ? kInvalid : kCaptureUnsupported;  // Not of the default stream.
  const std::lock_guard lock(guard);
  if (stream->capture) return kIllegalState;
  stream->capture = std::make_unique<SimCapture>();
  stream->capture->mode = mode, stream->capture->thread = std::this_thread::get_id();
  return kCuSuccess;
}
CuResult cuStreamEndCapture(CuStream stream, CuGraph* graph) {
  if (!stream || !graph) return kInvalid;
  const std::lock_guard lock(guard);
  *graph = nullptr;
  if (!stream->capture) return kIllegalState;
  if (stream->capture->mode != 2 && stream->capture->thread != std::this_thread::get_id()) return kCaptureWrongThread;
  const auto capture = std::move(stream->capture);
  if (capture->invalid) return kCaptureInvalidated;
  *graph = new CuGraphState{std::move(capture->work)};
  graphs.insert(*graph);
  return kCuSuccess;
}
CuResult cuGraphGetNodes(CuGraph graph, CuGraphNode* nodes, size_t* count) {
  const std::lock_guard lock(guard);
  if (!graphs.count(graph) || nodes || !count) return kInvalid;  // Only how many there are.
  return *count = graph->work.size(), kCuSuccess;
}
CuResult cuGraphDestroy(CuGraph graph) {
  const std::lock_guard lock(guard);
  if (graphs.erase(graph) == 0) return kInvalid;
  return delete graph, kCuSuccess;
}
CuResult cuGraphInstantiateWithFlags(CuGraphExec* exec, CuGraph graph, unsigned long long flags) {
  const std::lock_guard lock(guard);
  if (!exec || !graphs.count(graph) || flags != 0) return kInvalid;
  if (static_cast<int>(execs.size()) >= setting("REDRAFT_SIM_GRAPHS_MAX", 1000)) return kCuOutOfMemory;
  *exec = new CuGraphExecState{std::make_shared<const SimWork>(graph->work)};
  execs.insert(*exec);
  return kCuSuccess;
}
CuResult cuGraphLaunch(CuGraphExec exec, CuStream stream) {
  std::shared_ptr<const SimWork> work;
  {
    const std::lock_guard lock(guard);
    if (!execs.count(exec)) return kInvalid;
    work = exec->work;
  }
  return enqueue(stream, [work] {
    for (const auto& item : *work) item();
  });
}
CuResult cuGraphExecDestroy(CuGraphExec exec) {
  const std::lock_guard lock(guard);
  if (execs.erase(exec) == 0) return kInvalid;
  return delete exec, kCuSuccess;
}

#pragma GCC visibility pop
}
