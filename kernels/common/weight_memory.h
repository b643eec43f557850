// Memory for weights: read whole each step and never written again, so it lies in large pages, which read a quarter
// faster here than small ones. Matrices are smaller than a large page and share chunks.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

namespace redraft {

// bytes of zeros on a cache line of their own. Thread-safe; the chunk goes with the last matrix in it.
std::shared_ptr<uint8_t> allocate_weights(size_t bytes);

}  // namespace redraft
