// Matrix instructions on the host.
#pragma once
#include "cta.h"

namespace redraft::cuda_host {

bool is_mma(Collective kind);
// lanes: [32], what each lane of the warp gave as its arguments.
void multiply_fragments(Collective kind, void* const* lanes);

}  // namespace redraft::cuda_host
