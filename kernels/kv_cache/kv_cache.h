// The KV pages of all sequences, and the moves of rows between them.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../common/kv_layout.h"

namespace redraft {

// Owns the pages. Memory comes zeroed and is taken from the system when a page is first written: where there are large
// pages of memory, so much at once.
class KvCache {
 public:
  // Throws Error(REDRAFT_NO_MEMORY) that names the size.
  explicit KvCache(const KvLayout& layout);
  ~KvCache();
  KvCache(const KvCache&) = delete;
  KvCache& operator=(const KvCache&) = delete;

  const KvLayout& layout() const { return layout_; }
  uint16_t* layer(size_t index) { return data_ + index * layout_.page_elements(); }  // In the first page.

  // Writes one head's part of one row of one layer. key, value: [head_size], rounded to f16.
  void write_key(size_t layer, size_t page, size_t row, size_t kv_head, const float* key);
  void write_value(size_t layer, size_t page, size_t row, size_t kv_head, const float* value);
  // Commit: copies one row in every layer. Rows of a draft tree lie in pages of their own, so a source is never another
  // move's target and the order of moves is free.
  void copy_row(size_t from_page, size_t from_row, size_t to_page, size_t to_row);
  // Gives the memory of pages [first, first + count) back to the system; they read as zeros afterwards.
  void release(size_t first, size_t count);

 private:
  KvLayout layout_;
  size_t bytes_ = 0;
  uint16_t* data_ = nullptr;
};

}  // namespace redraft
