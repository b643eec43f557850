// One stack a CUDA thread, and the switch between stacks.
#pragma once
#include <cstddef>
#include <cstdint>

namespace redraft::cuda_host {

constexpr size_t kStackBytes = 64 << 10;

// Stacks of fibres, mapped once and used again by every CTA.
class FibreStacks {
 public:
  FibreStacks() = default;
  ~FibreStacks();
  FibreStacks(const FibreStacks&) = delete;
  FibreStacks& operator=(const FibreStacks&) = delete;
  void reserve(size_t count);
  // A stack pointer that fibre_switch() may go to: entry runs there, and must not return.
  void* prepare(size_t index, void (*entry)());
  uintptr_t begin(size_t index) const { return reinterpret_cast<uintptr_t>(memory_) + index * kStackBytes; }

 private:
  uint8_t* memory_ = nullptr;
  size_t count_ = 0;
};

// Stores the caller's stack pointer in *save and continues at `to`.
void fibre_switch(void** save, void* to);

}  // namespace redraft::cuda_host
