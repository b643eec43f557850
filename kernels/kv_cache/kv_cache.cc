#include "kv_cache.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "../common/error.h"
#include "../common/row_math.h"

namespace redraft {

KvCache::KvCache(const KvLayout& layout) : layout_(layout) {
  size_t elements;
  if (__builtin_mul_overflow(layout.page_stride(), layout.page_count, &elements) ||
      __builtin_mul_overflow(elements, sizeof(uint16_t), &bytes_))
    throw Error(REDRAFT_NO_MEMORY, "cannot hold KV pages: their size overflows");
  void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    throw Error(REDRAFT_NO_MEMORY, "cannot hold " + std::to_string(layout.page_count) + " KV pages: " +
                                       std::to_string(bytes_ >> 20) + " MiB are not to be had; ask for fewer pages");
#if defined(MADV_HUGEPAGE)
  madvise(memory, bytes_, MADV_HUGEPAGE);  // A wish: without it each key's page costs a walk of the page tables.
#endif
  data_ = static_cast<uint16_t*>(memory);
}

KvCache::~KvCache() { munmap(data_, bytes_); }

void KvCache::write_key(size_t layer_index, size_t page, size_t row, size_t kv_head, const float* key) {
  uint16_t* const to = layer(layer_index) + layout_.key_at(page, kv_head, row, 0);
  constexpr size_t kPart = 64;
  uint16_t part[kPart];
  for (size_t begin = 0; begin < layout_.head_size; begin += kPart) {
    const size_t count = std::min(kPart, layout_.head_size - begin);
    row_to_f16(key + begin, count, part);
    for (size_t d = 0; d < count; ++d) to[(begin + d) * kPageTokens] = part[d];
  }
}

void KvCache::write_value(size_t layer_index, size_t page, size_t row, size_t kv_head, const float* value) {
  row_to_f16(value, layout_.head_size, layer(layer_index) + layout_.value_at(page, kv_head, row));
}

void KvCache::copy_row(size_t from_page, size_t from_row, size_t to_page, size_t to_row) {
  for (size_t index = 0; index < layout_.layer_count; ++index) {
    uint16_t* const base = layer(index);
    for (size_t head = 0; head < layout_.kv_head_count; ++head) {
      const uint16_t* from = base + layout_.key_at(from_page, head, from_row, 0);
      uint16_t* to = base + layout_.key_at(to_page, head, to_row, 0);
      for (size_t d = 0; d < layout_.head_size; ++d) to[d * kPageTokens] = from[d * kPageTokens];
      std::memcpy(base + layout_.value_at(to_page, head, to_row), base + layout_.value_at(from_page, head, from_row),
                  layout_.head_size * sizeof(uint16_t));
    }
  }
}

void KvCache::release(size_t first, size_t count) {
  const auto system_page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t begin = reinterpret_cast<uintptr_t>(data_ + first * layout_.page_stride());
  const uintptr_t end = reinterpret_cast<uintptr_t>(data_ + (first + count) * layout_.page_stride());
  const uintptr_t whole_begin = (begin + system_page - 1) / system_page * system_page,
                  whole_end = end / system_page * system_page;
  if (whole_begin < whole_end) madvise(reinterpret_cast<void*>(whole_begin), whole_end - whole_begin, MADV_DONTNEED);
}

}  // namespace redraft
