// Random numbers of the tests: the same on every machine, in any order.
#pragma once
#include <cstdint>

#include "philox.h"

namespace redraft {

// A uniform in [0, 1), 53 bits.
inline double philox_uniform(uint64_t seed, uint64_t position) {
  const auto words = philox_words(seed, position, 0, 0);
  const uint64_t bits = (static_cast<uint64_t>(words[0]) << 32 | words[1]) >> 11;
  return static_cast<double>(bits) * 0x1p-53;
}

}  // namespace redraft
