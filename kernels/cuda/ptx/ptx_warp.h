// A warp as it runs. Its lanes go together while their ways are one; where a branch divides them, those at the lowest
// instruction go first, so that they meet again where the ways do. Lanes wait for each other where PTX says so alone:
// at what joins the lanes of a mask, and at barriers.
#pragma once
#include <cstring>
#include <vector>

#include "../launch.h"
#include "ptx_memory.h"
#include "ptx_module.h"

namespace redraft::cuda_ptx {

// What the warps of a launch have in common.
struct Launch {
  const Kernel* kernel;
  const uint8_t* params;
  const GlobalMemory* memory;
  cuda::LaunchShape shape;
  std::vector<uint8_t> shared;  // Of the CTA that runs.
  uint64_t instructions_left;   // Of warps, in that CTA.
};

enum class Space : uint8_t { kGlobal, kShared, kParam };

class Warp {
 public:
  // registers: [kernel's register_bytes]
  Warp(Launch& launch, uint8_t* registers) : launch_(launch), registers_(registers) {}

  void start(uint32_t index, const cuda::Dim3& cta);
  // Until all lanes wait at a barrier, or have ended. Throws PtxFault.
  void run();
  void pass_barrier();
  uint32_t live_count() const;
  uint32_t barrier_count() const;
  const std::string& current() const { return launch_.kernel->texts[current_]; }

  // Rows of an instruction's operands.
  template <typename T>
  const T* in(const Instruction& instruction, size_t n) const {
    return reinterpret_cast<const T*>(row(instruction.at[n].row));
  }
  template <typename T>
  T* out(const Instruction& instruction, size_t n) {
    return reinterpret_cast<T*>(registers_ + instruction.at[n].row);
  }
  // Where the bytes at an address lie. Throws PtxFault unless they are all there, and aligned. bytes: a power of two.
  uint8_t* place(Space space, uint64_t address, size_t bytes) {
    if (address & (bytes - 1)) return find_place(space, address, bytes);
    if (space == Space::kGlobal && last_range().holds(address, bytes)) return reinterpret_cast<uint8_t*>(address);
    const size_t shared_bytes = launch_.shared.size();
    if (space == Space::kShared && address < shared_bytes && bytes <= shared_bytes - address)
      return launch_.shared.data() + address;
    return find_place(space, address, bytes);
  }

 private:
  enum class State : uint8_t { kReady, kAtCollective, kAtBarrier };
  struct Group {  // Lanes at one instruction.
    uint32_t at, mask;
    State state;
  };

  const uint8_t* row(int32_t place) const {
    return place >= 0 ? registers_ + place : launch_.kernel->constants.data() + ~place;
  }
  // Of an instruction, or of few: each mostly goes on in one allocation.
  GlobalMemory::Range& last_range() { return last_ranges_[current_ % last_ranges_.size()]; }
  uint8_t* find_place(Space space, uint64_t address, size_t bytes);
  uint32_t guarded(const Instruction& instruction, uint32_t mask) const;
  uint32_t wanted(const Instruction& instruction, uint32_t mask) const;
  void run_group(size_t index);
  bool wait(size_t index, uint32_t mask, State state);
  void join_groups();
  bool perform_collective();

  Launch& launch_;
  uint8_t* const registers_;
  std::vector<Group> groups_;
  std::array<GlobalMemory::Range, 16> last_ranges_;
  uint32_t live_ = 0, current_ = 0;
};

// Runs all CTAs of a launch, several at once where there are many. Throws PtxFault that names the kernel, the CTA and
// the instruction.
void launch_ptx(const Kernel& kernel, const cuda::LaunchShape& shape, const void* params, const GlobalMemory& memory);

}  // namespace redraft::cuda_ptx
