// SHA-256 (FIPS 180-4): the name of a model file, by which a draft head says what it was trained for.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace redraft {

class Sha256 {
 public:
  void update(const uint8_t* bytes, size_t count);
  std::array<uint8_t, 32> finish();  // Once; the object is spent.

 private:
  uint32_t state_[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  uint8_t pending_[64];  // [pending_count_]: what does not fill a block yet.
  size_t pending_count_ = 0;
  uint64_t byte_count_ = 0;
};

std::string to_hex(const uint8_t* bytes, size_t count);  // Lower case.
std::string sha256_hex(const uint8_t* bytes, size_t count);

// Adds blocks of 64 bytes to the state. state: [8]. blocks: [block_count, 64].
using Sha256Blocks = void (*)(uint32_t* state, const uint8_t* blocks, size_t block_count);
void sha256_blocks_portable(uint32_t* state, const uint8_t* blocks, size_t block_count);
Sha256Blocks sha256_blocks_shani();  // nullptr where it was not compiled or this machine lacks it.

}  // namespace redraft
