// Writes safetensors files for tests: valid ones, and whatever a hostile header says.
#pragma once
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "half.h"
#include "json.h"

namespace redraft::test {

struct NewTensor {
  std::string name, type;  // F32, F16, BF16, I32 or I64.
  std::vector<size_t> shape;
  std::vector<double> values;
};

inline void append_value(std::string& data, const std::string& type, double value) {
  const auto put = [&](auto typed) { data.append(reinterpret_cast<const char*>(&typed), sizeof typed); };
  if (type == "F32") put(static_cast<float>(value));
  if (type == "F16") put(f32_to_f16(static_cast<float>(value)));
  if (type == "BF16") put(f32_to_bf16(static_cast<float>(value)));
  if (type == "I32") put(static_cast<int32_t>(value));
  if (type == "I64") put(static_cast<int64_t>(value));
}

inline std::string safetensors_bytes(const std::string& header, const std::string& data) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(uint64_t{header.size()} >> (8 * i)));
  return bytes + header + data;
}

inline std::string safetensors_bytes(const std::vector<NewTensor>& tensors) {
  JsonWriter header;
  std::string data;
  header.begin_object();
  header.key("__metadata__").begin_object().key("format").text("pt").end_object();
  for (const NewTensor& tensor : tensors) {
    const size_t begin = data.size();
    for (const double value : tensor.values) append_value(data, tensor.type, value);
    header.key(tensor.name).begin_object().key("dtype").text(tensor.type).key("shape").begin_array();
    for (const size_t size : tensor.shape) header.integer(static_cast<int64_t>(size));
    header.end_array().key("data_offsets").begin_array();
    header.integer(static_cast<int64_t>(begin)).integer(static_cast<int64_t>(data.size())).end_array().end_object();
  }
  header.end_object();
  return safetensors_bytes(header.take(), data);
}

inline void write_file(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// A folder of its own, gone with the object.
class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "redraft_test_XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace redraft::test
