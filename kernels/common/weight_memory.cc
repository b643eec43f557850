#include "weight_memory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace redraft {
namespace {

constexpr size_t kLineBytes = 64, kLargePageBytes = size_t{2} << 20, kChunkBytes = size_t{32} << 20;

size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

std::shared_ptr<uint8_t> allocate_chunk(size_t bytes) {
#if defined(__linux__)
  // Reserved with room to align; what is never touched costs no memory.
  const size_t mapped = bytes + kLargePageBytes;
  void* memory = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  auto* begin = reinterpret_cast<uint8_t*>(round_up(reinterpret_cast<uintptr_t>(memory), kLargePageBytes));
  madvise(begin, bytes, MADV_HUGEPAGE);  // A wish: without it all works, more slowly.
  return {begin, [memory, mapped](uint8_t*) { munmap(memory, mapped); }};
#else
  void* memory = std::aligned_alloc(kLineBytes, bytes);
  if (!memory) throw std::bad_alloc();
  std::memset(memory, 0, bytes);
  return {static_cast<uint8_t*>(memory), std::free};
#endif
}

}  // namespace

std::shared_ptr<uint8_t> allocate_weights(size_t bytes) {
  static std::mutex mutex;
  static std::weak_ptr<uint8_t> current;  // Weak: the last engine to close frees its weights.
  static size_t used = 0, size = 0;
  bytes = round_up(std::max<size_t>(bytes, 1), kLineBytes);
  const std::lock_guard lock(mutex);
  std::shared_ptr<uint8_t> chunk = current.lock();
  if (!chunk || used + bytes > size) {
    used = 0, size = round_up(std::max(bytes, kChunkBytes), kLargePageBytes);
    current = chunk = allocate_chunk(size);
  }
  const size_t at = used;
  used += bytes;
  return {chunk, chunk.get() + at};
}

}  // namespace redraft
