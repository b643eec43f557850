// A GGUF file (ggml's docs/gguf.md, versions 2 and 3), read as hostile: every count, size, type and offset is checked
// against the file before it is believed.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "../common/mapped_file.h"
#include "../common/weight_view.h"

namespace redraft {

enum class GgufType : uint32_t {
  U8 = 0,
  I8 = 1,
  U16 = 2,
  I16 = 3,
  U32 = 4,
  I32 = 5,
  F32 = 6,
  BOOL = 7,
  STRING = 8,
  ARRAY = 9,
  U64 = 10,
  I64 = 11,
  F64 = 12,
};

struct GgufValue {
  GgufType type;
  GgufType item_type;    // Of an array.
  uint64_t count;        // Items of an array, else 1.
  const uint8_t* bytes;  // Of the first item; a string starts with its u64 length.
};

struct GgufTensor {
  WeightType type;
  std::vector<uint64_t> shape;  // Innermost first, as in the file.
  const uint8_t* bytes;
  uint64_t byte_count;
};

class Gguf {
 public:
  // Throws Error(REDRAFT_BAD_MODEL) that names the path and what is wrong.
  explicit Gguf(const std::string& path);

  const std::string& path() const { return file_.path(); }
  const MappedFile& file() const { return file_; }
  const std::map<std::string, GgufTensor>& tensors() const { return tensors_; }

  bool has(const std::string& key) const { return values_.count(key) != 0; }
  // Each throws if the key holds another type; those without a fallback if it is missing. Integers of any width count.
  uint64_t integer(const std::string& key, uint64_t min, uint64_t max) const;
  uint64_t integer(const std::string& key, uint64_t min, uint64_t max, uint64_t fallback) const;
  double number(const std::string& key) const;
  double number(const std::string& key, double fallback) const;
  bool boolean(const std::string& key, bool fallback) const;
  std::string_view text(const std::string& key) const;
  std::vector<std::string_view> texts(const std::string& key) const;  // Empty if missing.
  std::vector<int64_t> integers(const std::string& key) const;
  std::vector<float> floats(const std::string& key) const;

  // The tensor as a matrix [out_count, in_count]; throws if it is missing or of another shape.
  WeightView matrix(const std::string& name, size_t out_count, size_t in_count) const;
  // The tensor as count floats; throws likewise.
  std::vector<float> vector(const std::string& name, size_t count) const;
  bool has_tensor(const std::string& name) const { return tensors_.count(name) != 0; }

 private:
  class Reader;
  const GgufValue* find(const std::string& key) const;
  const GgufValue& require(const std::string& key) const;
  const GgufTensor& tensor(const std::string& name) const;
  [[noreturn]] void refuse(const std::string& reason) const;
  void read_values(Reader& reader, uint64_t count);
  void read_tensors(Reader& reader, uint64_t count);

  MappedFile file_;
  std::map<std::string, GgufValue> values_;
  std::map<std::string, GgufTensor> tensors_;
};

}  // namespace redraft
