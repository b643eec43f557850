// Where a kernel's registers lie in a warp.
#pragma once
#include "ptx_module.h"

namespace redraft::cuda_ptx {

// Instructions name their registers by number, in the place of a row; each number gets a row that it shares with
// others, never at the same time. The special registers are the first of them, and keep theirs. register_bytes: of a
// value of each.
void share_rows(Kernel& kernel, const std::vector<uint8_t>& register_bytes);

}  // namespace redraft::cuda_ptx
