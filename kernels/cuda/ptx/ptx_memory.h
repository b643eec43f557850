// Memory that kernels may touch: what the driver allocated.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>

namespace redraft::cuda_ptx {

class GlobalMemory {
 public:
  struct Range {
    uint64_t begin = 0, end = 0;
    bool holds(uint64_t address, size_t bytes) const {
      return address >= begin && address < end && bytes <= end - address;
    }
  };
  void add(const void* begin, size_t bytes);
  void remove(const void* begin);
  Range range_of(uint64_t address) const;  // The allocation around it; empty: none.

 private:
  mutable std::mutex guard_;
  std::map<uint64_t, uint64_t> ends_;  // By begin.
};

}  // namespace redraft::cuda_ptx
