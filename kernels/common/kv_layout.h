// How keys and values lie in KV pages: f16, 16 tokens a page; in a page, layer after layer, so that what a sequence
// holds lies in few of the system's large pages; in a layer, head after head; for a head the keys as [head_size][16
// tokens], so that one load serves 16 scores, then the values as [16][head_size]. Devices, whose pages of memory are
// all large, keep each layer's pages together, as caches of one layer.
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
  size_t page_stride() const { return layer_count * page_elements(); }
  size_t bytes_per_token() const { return page_stride() / kPageTokens * sizeof(uint16_t); }
  // Within what is one layer's of every page.
  size_t key_at(size_t page, size_t kv_head, size_t row, size_t d) const {
    return page * page_stride() + kv_head * head_elements() + d * kPageTokens + row;
  }
  size_t value_at(size_t page, size_t kv_head, size_t row) const {
    return page * page_stride() + kv_head * head_elements() + (kPageTokens + row) * head_size;
  }
};

}  // namespace redraft
