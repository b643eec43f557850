#include "safetensors.h"

#include "error.h"
#include "safetensors_writer.h"
#include "test.h"
#include "test_random.h"

namespace redraft {
namespace {

struct File {
  test::Folder folder;
  std::string path = (folder.path() / "a.safetensors").string();
  explicit File(const std::string& bytes) { test::write_file(path, bytes); }
};

SafeTensors load(const std::string& bytes) {
  const File file(bytes);
  return SafeTensors::load(file.path, REDRAFT_BAD_HEAD);  // The mapping outlives the name.
}

void refuses(const std::string& header, const std::string& data, const char* reason) {
  EXPECT_THROW(load(test::safetensors_bytes(header, data)), REDRAFT_BAD_HEAD, reason);
}

TEST(SafeTensors, ReadsEveryType) {
  const SafeTensors file = load(test::safetensors_bytes({{"a", "F32", {2, 2}, {1, -2.5, 3, 0.1}},
                                                         {"b", "F16", {3}, {1, 0.5, -65504}},
                                                         {"c", "BF16", {2}, {-1.5, 256}},
                                                         {"d", "I32", {2}, {-7, 2147483647}},
                                                         {"e", "I64", {2}, {-7, 49151}},
                                                         {"f", "F32", {}, {4}},
                                                         {"g", "F32", {0}, {}}}));
  EXPECT_EQ(file.tensors().size(), size_t{7});
  EXPECT_EQ(file.floats("a", {2, 2}), (std::vector<float>{1, -2.5f, 3, 0.1f}));
  EXPECT_EQ(file.floats("b", {3}), (std::vector<float>{1, 0.5f, -65504}));
  EXPECT_EQ(file.floats("c", {2}), (std::vector<float>{-1.5f, 256}));
  EXPECT_EQ(file.integers("d", {2}), (std::vector<int32_t>{-7, 2147483647}));
  EXPECT_EQ(file.integers("e", {2}), (std::vector<int32_t>{-7, 49151}));
  EXPECT_EQ(file.floats("f", {}), (std::vector<float>{4}));
  EXPECT_TRUE(file.find("h") == nullptr);
}

TEST(SafeTensors, NamesWhatAReaderExpected) {
  const SafeTensors file =
      load(test::safetensors_bytes({{"a", "F32", {2, 3}, {1, 2, 3, 4, 5, 6}}, {"i", "I64", {1}, {4294967296.0}}}));
  EXPECT_THROW(file.floats("a", {3, 2}), REDRAFT_BAD_HEAD, "tensor \"a\" is [2, 3], expected [3, 2]");
  EXPECT_THROW(file.floats("b", {3}), REDRAFT_BAD_HEAD, "tensor \"b\" is missing, expected [3]");
  EXPECT_THROW(file.floats("i", {1}), REDRAFT_BAD_HEAD, "of dtype I64, expected F32");
  EXPECT_THROW(file.integers("a", {2, 3}), REDRAFT_BAD_HEAD, "of dtype F32, expected I32");
  EXPECT_THROW(file.integers("i", {1}), REDRAFT_BAD_HEAD, "holds 4294967296");
}

std::string entry(const std::string& type, const std::string& shape, const std::string& offsets) {
  return R"({"dtype":")" + type + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

TEST(SafeTensors, RefusesHostileHeaders) {
  const auto one = [](const std::string& type, const std::string& shape, const std::string& offsets) {
    return "{\"a\":" + entry(type, shape, offsets) + "}";
  };
  const std::string eight(8, '\0');
  refuses("[]", "", "header is no object");
  refuses("{", "", "Cannot parse");
  refuses("{\"a\":1}", "", "\"a\" is no object");
  refuses(one("F64", "[1]", "[0,8]"), eight, "dtype F64");
  refuses(one("F32", "[3]", "[0,8]"), eight, "takes 8 bytes, expected 12");
  refuses(one("F32", "[9]", "[0,8]"), eight, "more elements than the file has bytes");
  refuses(one("F32", "[1]", "[0,8]"), eight, "takes 8 bytes, expected 4 for F32 [1]");
  refuses(one("F32", "[2]", "[0,12]"), eight, "outside the file");
  refuses(one("F32", "[2]", "[8,0]"), eight, "outside the file");
  refuses(one("F32", "[2]", "[-8,0]"), eight, "outside the file");
  refuses(one("F32", "[2]", "[0,8,9]"), eight, "no data_offsets");
  refuses(one("F32", "[-2]", "[0,8]"), eight, "no count");
  refuses(one("F32", "[1.5]", "[0,8]"), eight, "no count");
  refuses(one("F32", "\"2\"", "[0,8]"), eight, "no valid shape");
  // 2^32 * 2^32 elements wrap to none in 64 bits.
  refuses(one("F32", "[4294967296,4294967296]", "[0,0]"), eight, "more elements than");
  refuses(one("F32", "[4611686018427387904]", "[0,0]"), eight, "no count");
  refuses("{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", eight, "no dtype");
  refuses("{\"a\":" + entry("F32", "[2]", "[0,8]") + ",\"b\":" + entry("F32", "[1]", "[4,8]") + "}", eight, "overlap");
  refuses("{\"a\":" + entry("F32", "[1]", "[4,8]") + "}", eight, "no tensor owns byte 0");
  refuses("{\"a\":" + entry("F32", "[1]", "[0,4]") + "}", eight, "no tensor owns byte 4");
  refuses("{\"a\":" + entry("F32", "[1]", "[0,4]") + ",\"a\":" + entry("F32", "[1]", "[4,8]") + "}", eight, "repeats");
}

TEST(SafeTensors, RefusesFilesThatEndEarly) {
  const std::string whole = test::safetensors_bytes({{"a", "F32", {2, 2}, {1, 2, 3, 4}}});
  load(whole);
  for (size_t bytes = 0; bytes < whole.size(); ++bytes) {
    bool refused = false;
    try {
      load(whole.substr(0, bytes));
    } catch (const Error& error) { refused = error.status() == REDRAFT_BAD_HEAD; }
    EXPECT_TRUE(refused);
  }
  EXPECT_THROW(load("1234567"), REDRAFT_BAD_HEAD, "shorter than its header's length");
  EXPECT_THROW(load(std::string(8, '\xff') + "{}"), REDRAFT_BAD_HEAD, "claims 18446744073709551615 bytes");
  EXPECT_THROW(load(std::string("\x40\0\0\0\0\0\0\0{}", 10)), REDRAFT_BAD_HEAD, "ends inside its header");
}

TEST(SafeTensors, SpoiltBytesAreRefusedOrHarmless) {
  const std::string whole = test::safetensors_bytes({{"a", "F32", {2, 2}, {1, 2, 3, 4}}, {"b", "I64", {2}, {5, 6}}});
  int refused_count = 0;
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    std::string spoilt = whole;
    for (uint64_t i = 0; i < 1 + seed % 3; ++i) {
      const double place = philox_uniform(seed, 2 * i), value = philox_uniform(seed, 2 * i + 1);
      spoilt[static_cast<size_t>(place * static_cast<double>(whole.size()))] = static_cast<char>(value * 256);
    }
    try {
      const SafeTensors file = load(spoilt);
      for (const SafeTensor& tensor : file.tensors())  // All of each is inside the file.
        for (size_t i = 0; i < tensor.element_count; ++i) EXPECT_TRUE(tensor.bytes[i] <= 255);
    } catch (const Error& error) {
      ++refused_count;
      EXPECT_EQ(error.status(), static_cast<int32_t>(REDRAFT_BAD_HEAD));
    }
  }
  EXPECT_TRUE(refused_count > 1000);
}

}  // namespace
}  // namespace redraft
