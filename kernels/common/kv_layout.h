// How keys and values lie in KV pages: f16, 16 tokens a page; in a layer, page after page; in a page, head after head;
// for a head the keys as [head_size][16 tokens], so that one load serves 16 scores, then the values as [16][head_size].
#pragma once
#include <cstddef>
#include <cstdint>

#include "../include/redraft.h"

namespace redraft {

constexpr size_t kPageTokens = REDRAFT_PAGE_TOKENS;

struct KvLayout {
  size_t layer_count;
  size_t kv_head_count;
  size_t head_size;
  size_t page_count;  // In all, the scratch pages of draft trees included.

  size_t head_elements() const { return 2 * kPageTokens * head_size; }
  size_t page_elements() const { return kv_head_count * head_elements(); }  // Of one layer.
  size_t layer_elements() const { return page_count * page_elements(); }
  size_t bytes_per_token() const { return layer_count * page_elements() / kPageTokens * sizeof(uint16_t); }
  size_t key_at(size_t page, size_t kv_head, size_t row, size_t d) const {
    return page * page_elements() + kv_head * head_elements() + d * kPageTokens + row;
  }
  size_t value_at(size_t page, size_t kv_head, size_t row) const {
    return page * page_elements() + kv_head * head_elements() + (kPageTokens + row) * head_size;
  }
};

}  // namespace redraft
