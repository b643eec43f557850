// Who sees whom in a packed tree. A packed token sees itself and its ancestors.
#pragma once
#include <cstdint>

namespace redraft {

// Whether parent is a packed tree: parent[0] = -1, 0 <= parent[r] < r elsewhere, 1 <= token_count <= 64.
// parent: [token_count].
bool is_packed_tree(const int32_t* parent, int32_t token_count);

// Bit c of mask[r] is set iff packed token r sees packed token c: itself or an ancestor.
// parent: [token_count], parent[r] < r, -1 at the root. mask: [token_count]. token_count <= 64.
void tree_mask_cpu(const int32_t* parent, uint64_t* mask, int32_t token_count);  // The reference.

// Tokens above each packed token, 0 at the root: its position is the root's plus this.
// parent, depth: [token_count].
void tree_depths(const int32_t* parent, int32_t* depth, int32_t token_count);

// The packed indices that mask row r sees, root first, r last: as parents precede children, they are its set bits in
// ascending order. path: [64]. Returns their count, depth[r] + 1.
int32_t root_path(uint64_t mask_row, int32_t* path);

}  // namespace redraft
