#include "tree_attention_lanes.h"

namespace redraft {

const AttentionKernels& attention_kernels_portable() {
  static const AttentionKernels table{score_pages, add_values};
  return table;
}

}  // namespace redraft
