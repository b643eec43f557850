#include "sha256.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "sha256_constants.h"

namespace redraft {

namespace {

Sha256Blocks blocks_here() {
  static const Sha256Blocks chosen = sha256_blocks_shani() ? sha256_blocks_shani() : sha256_blocks_portable;
  return chosen;
}

uint32_t big_endian(const uint8_t* bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
}

}  // namespace

void sha256_blocks_portable(uint32_t* state, const uint8_t* blocks, size_t block_count) {
  for (; block_count; --block_count, blocks += 64) {
    uint32_t w[64];
    for (int i = 0; i < 16; ++i) w[i] = big_endian(blocks + 4 * i);
    for (int i = 16; i < 64; ++i) {
      const uint32_t s0 = std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ w[i - 15] >> 3;
      const uint32_t s1 = std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ w[i - 2] >> 10;
      w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int i = 0; i < 64; ++i) {
      const uint32_t s1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
      const uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + kSha256Rounds[i] + w[i];
      const uint32_t s0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
      const uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
      h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
  }
}

void Sha256::update(const uint8_t* bytes, size_t count) {
  byte_count_ += count;
  if (pending_count_ > 0) {
    const size_t taken = std::min(count, 64 - pending_count_);
    std::memcpy(pending_ + pending_count_, bytes, taken);
    pending_count_ += taken, bytes += taken, count -= taken;
    if (pending_count_ < 64) return;
    blocks_here()(state_, pending_, 1);
    pending_count_ = 0;
  }
  blocks_here()(state_, bytes, count / 64);
  pending_count_ = count % 64;
  if (pending_count_ > 0) std::memcpy(pending_, bytes + count - pending_count_, pending_count_);
}

std::array<uint8_t, 32> Sha256::finish() {
  const uint64_t bit_count = byte_count_ * 8;
  const uint8_t one = 0x80, zeros[64] = {};
  update(&one, 1);
  update(zeros, (56 + 64 - pending_count_) % 64);
  uint8_t length[8];
  for (int i = 0; i < 8; ++i) length[i] = static_cast<uint8_t>(bit_count >> (56 - 8 * i));
  update(length, 8);
  std::array<uint8_t, 32> digest;
  for (int i = 0; i < 32; ++i) digest[i] = static_cast<uint8_t>(state_[i / 4] >> (24 - 8 * (i % 4)));
  return digest;
}

std::string to_hex(const uint8_t* bytes, size_t count) {
  std::string hex;
  for (size_t i = 0; i < count; ++i)
    for (const int shift : {4, 0}) hex.push_back("0123456789abcdef"[bytes[i] >> shift & 15]);
  return hex;
}

std::string sha256_hex(const uint8_t* bytes, size_t count) {
  Sha256 hash;
  hash.update(bytes, count);
  const auto digest = hash.finish();
  return to_hex(digest.data(), digest.size());
}

}  // namespace redraft
