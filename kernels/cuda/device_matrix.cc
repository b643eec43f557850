#include "device_matrix.h"

#include <cstring>

namespace redraft::cuda {

std::vector<uint8_t> device_matrix_bytes(const PackedMatrix& matrix) {
  const uint32_t in_count = static_cast<uint32_t>(matrix.in_count()), bits = static_cast<uint32_t>(matrix.bits());
  const uint32_t pairs = pair_count(in_count);
  std::vector<uint8_t> bytes(matrix_bytes(matrix.out_count(), in_count, bits));
  for (size_t strip = 0; strip < matrix.strip_count(); ++strip)
    for (size_t block = 0; block < matrix.block_count(); ++block) {
      const uint8_t* from = matrix.strip(strip) + block * matrix.block_bytes();
      uint8_t* to = bytes.data() + (strip * pairs + block / 2) * pair_bytes(bits);
      const size_t half = block % 2;
      // Word w of output j: inputs 4 w .. 4 w + 3, at 64 w + 4 j behind the 64 bytes of scales.
      for (size_t j = 0; j < kMatrixOutputs; ++j) {
        for (size_t w = 0; w < (bits == 4 ? 4 : 8); ++w) {
          uint32_t word;
          std::memcpy(&word, from + 64 + w * 64 + 4 * j, 4);
          const size_t lane = (j % 8) * 4 + w % 4;
          if (bits == 4) {
            std::memcpy(to + lane * 16 + (2 * half + j / 8) * 4, &word, 4);
          } else {
            word ^= 0x80808080u;  // Stored as q + 128 there, as q here.
            std::memcpy(to + half * 512 + lane * 16 + (j / 8 + 2 * (w / 4)) * 4, &word, 4);
          }
        }
      }
      if (bits == 4) {
        std::memcpy(to + 512 + half * 32, from, 32);
        std::memcpy(to + 576 + half * 32, from + 32, 32);
      } else {
        std::memcpy(to + 1024 + half * 64, from, 64);
      }
    }
  return bytes;
}

}  // namespace redraft::cuda
