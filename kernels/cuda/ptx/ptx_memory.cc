#include "ptx_memory.h"

namespace redraft::cuda_ptx {

void GlobalMemory::add(const void* begin, size_t bytes) {
  const std::lock_guard lock(guard_);
  ends_[reinterpret_cast<uint64_t>(begin)] = reinterpret_cast<uint64_t>(begin) + bytes;
}

void GlobalMemory::remove(const void* begin) {
  const std::lock_guard lock(guard_);
  ends_.erase(reinterpret_cast<uint64_t>(begin));
}

GlobalMemory::Range GlobalMemory::range_of(uint64_t address) const {
  const std::lock_guard lock(guard_);
  auto place = ends_.upper_bound(address);
  if (place == ends_.begin()) return {};
  --place;
  return address < place->second ? Range{place->first, place->second} : Range{};
}

}  // namespace redraft::cuda_ptx
