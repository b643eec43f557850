// Captured chains of launches by their shape: a step of a shape seen before is one launch or two instead of hundreds.
#pragma once
#include <map>
#include <optional>

#include "driver.h"
#include "step_shape.h"

namespace redraft::cuda {

constexpr size_t kGraphsMax = 64;  // Shapes remembered; the one that was longest out of use makes way.

class StepGraphs {
 public:
  // Reads REDRAFT_CUDA_GRAPHS: "on" (as where it is not set) or "off". Throws Error(REDRAFT_BAD_CONFIG) on others.
  explicit StepGraphs(Device& device);

  bool on() const { return on_; }
  // Launches what the chain does. A shape's first chain runs as it is: the driver loads kernels at their first launch,
  // which no capture allows, and a shape that never comes back is not worth one. Its second is captured.
  void run(const GraphKey& key, const std::function<void()>& chain);

  struct Use {
    uint64_t captured = 0, replayed = 0, plain = 0;  // Chains.
  };
  const Use& use() const { return use_; }

 private:
  struct Entry {
    std::optional<Graph> graph;
    bool refused = false;  // The device had no memory for it.
    uint64_t last_use = 0;
  };
  void drop_oldest();

  Device& device_;
  bool on_ = true;
  uint64_t clock_ = 0;
  std::map<GraphKey, Entry> entries_;
  Use use_;
};

}  // namespace redraft::cuda
