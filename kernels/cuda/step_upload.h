// A step's upload: each array has its own place on the device, the same in every step, so that a graph finds it.
#pragma once
#include "driver.h"
#include "step_batch.h"

namespace redraft::cuda {

// On the device.
struct StepArrays {
  StepCounts* counts;
  StepSequence* steps;
  AttentionTile* tiles;
  CommitSequence* commits;
  BeamSequence* beams;
  SequenceNoise* noise;
  uint32_t *mask_begin, *tokens, *pages, *masks;
};

class StepUpload {
 public:
  StepUpload(const StepLimits& limits, size_t vocab_size);
  static size_t bytes(const StepLimits& limits, size_t vocab_size);

  // The batch may go when this returns; the device must have been waited for since the call before.
  void send(Device& device, const StepBatch& batch);
  const StepArrays& arrays() const { return arrays_; }

 private:
  template <typename T>
  size_t put(const T* at, const std::vector<T>& values);

  HostBytes staging_;
  Buffer<uint8_t> device_;
  StepArrays arrays_;
};

}  // namespace redraft::cuda
