#include "sha256.h"

#include <string_view>
#include <vector>

#include "test.h"
#include "test_random.h"

namespace redraft {
namespace {

std::string hex_of(std::string_view text) {
  return sha256_hex(reinterpret_cast<const uint8_t*>(text.data()), text.size());
}

TEST(Sha256, PublishedVectors) {  // FIPS 180-4 examples.
  EXPECT_EQ(hex_of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hex_of(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PiecesGiveTheSameDigest) {
  std::vector<uint8_t> bytes(1000);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(philox_uniform(3, i) * 256);
  for (size_t count = 0; count < bytes.size(); count += 37) {
    const std::string whole = sha256_hex(bytes.data(), count);
    for (const size_t piece : {size_t{1}, size_t{63}, size_t{64}, size_t{65}, size_t{200}}) {
      Sha256 hash;
      for (size_t at = 0; at < count; at += piece) hash.update(bytes.data() + at, std::min(piece, count - at));
      const auto digest = hash.finish();
      EXPECT_EQ(to_hex(digest.data(), digest.size()), whole);
    }
  }
}

TEST(Sha256, BothWaysAgree) {
  const Sha256Blocks fast = sha256_blocks_shani();
  if (!fast) return;
  std::vector<uint8_t> blocks(64 * 9);
  for (size_t i = 0; i < blocks.size(); ++i) blocks[i] = static_cast<uint8_t>(philox_uniform(4, i) * 256);
  std::vector<uint32_t> a = {1, 2, 3, 4, 5, 6, 7, 0xffffffffu}, b = a;
  sha256_blocks_portable(a.data(), blocks.data(), 9);
  fast(b.data(), blocks.data(), 9);
  EXPECT_EQ(a, b);
}

}  // namespace
}  // namespace redraft
