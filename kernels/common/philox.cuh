// Philox4x32-10 and Gumbel noise on the device; philox.h and row_gumbel() in row_math.h say what they are.
#pragma once
#include "../cuda/device.h"

namespace redraft::cuda {

struct PhiloxWords {
  uint32_t word[4];
};

REDRAFT_DEVICE PhiloxWords philox_words(uint64_t seed, uint64_t position, uint32_t token, uint32_t stream) {
  uint32_t c0 = static_cast<uint32_t>(position), c1 = static_cast<uint32_t>(position >> 32), c2 = token, c3 = stream;
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (uint32_t round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{0xD2511F53u} * c0, product1 = uint64_t{0xCD9E8D57u} * c2;
    c0 = static_cast<uint32_t>(product1 >> 32) ^ c1 ^ k0, c1 = static_cast<uint32_t>(product1);
    c2 = static_cast<uint32_t>(product0 >> 32) ^ c3 ^ k1, c3 = static_cast<uint32_t>(product0);
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// -log(-log((word + 1/2) / 2^32)), with its relative precision at both ends.
REDRAFT_DEVICE float gumbel_of(uint32_t word) {
  const float above = (static_cast<float>(~word) + 0.5f) * 2.3283064365386963e-10f;  // 1 - u
  const float e = above < 0.29f ? -log1pf(-above) : -logf((static_cast<float>(word) + 0.5f) * 2.3283064365386963e-10f);
  return -logf(e);
}

REDRAFT_DEVICE float gumbel_noise(uint64_t seed, uint64_t position, uint32_t token) {
  return gumbel_of(philox_words(seed, position, token, 0).word[0]);
}

}  // namespace redraft::cuda
