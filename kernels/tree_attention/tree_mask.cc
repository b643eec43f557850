#include "tree_mask.h"

#include <bit>

namespace redraft {

bool is_packed_tree(const int32_t* parent, int32_t token_count) {
  if (token_count < 1 || token_count > 64 || parent[0] != -1) return false;
  for (int32_t r = 1; r < token_count; ++r)
    if (parent[r] < 0 || parent[r] >= r) return false;
  return true;
}

void tree_mask_cpu(const int32_t* parent, uint64_t* mask, int32_t token_count) {
  for (int32_t r = 0; r < token_count; ++r) mask[r] = (uint64_t{1} << r) | (parent[r] < 0 ? 0 : mask[parent[r]]);
}

void tree_depths(const int32_t* parent, int32_t* depth, int32_t token_count) {
  for (int32_t r = 0; r < token_count; ++r) depth[r] = parent[r] < 0 ? 0 : depth[parent[r]] + 1;
}

int32_t root_path(uint64_t mask_row, int32_t* path) {
  int32_t count = 0;
  for (; mask_row; mask_row &= mask_row - 1) path[count++] = std::countr_zero(mask_row);
  return count;
}

}  // namespace redraft
