// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): a counter in, random words out,
// no state. That is what makes a draw depend on (seed, position) alone: not on the batch, the order, or what was
// drafted.
#pragma once
#include <array>
#include <cstdint>

namespace redraft {

inline std::array<uint32_t, 4> philox4x32_10(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t product1 = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(product0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

// The words of one stream at (seed, position). position: absolute, of the token that is drawn.
inline std::array<uint32_t, 4> philox_words(uint64_t seed, uint64_t position, uint32_t token, uint32_t stream) {
  return philox4x32_10({static_cast<uint32_t>(position), static_cast<uint32_t>(position >> 32), token, stream},
                       {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
}

}  // namespace redraft
