// A safetensors file, mapped. The file is hostile until checked: load() accepts only one whose tensors are well formed,
// disjoint, gapless and wholly inside it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "mapped_file.h"

namespace redraft {

enum class TensorType { kF32, kF16, kBF16, kI32, kI64 };

struct SafeTensor {
  std::string name;
  TensorType type;
  std::vector<size_t> shape;
  size_t element_count;
  const uint8_t* bytes;  // [element_count] of type, little-endian, of any alignment.
};

class SafeTensors {
 public:
  // Throws Error(error_status) that names the file, the tensor and what is wrong with it.
  static SafeTensors load(const std::string& path, int32_t error_status);

  const std::vector<SafeTensor>& tensors() const { return tensors_; }  // In the order of the header.
  const SafeTensor* find(std::string_view name) const;                 // nullptr if there is none.

  // Of a tensor that must be there with this shape; errors name it with what was found and expected.
  // floats() takes F32, F16 and BF16; integers() takes I32, and I64 of 32-bit values.
  std::vector<float> floats(std::string_view name, std::initializer_list<size_t> shape) const;
  std::vector<int32_t> integers(std::string_view name, std::initializer_list<size_t> shape) const;

 private:
  const SafeTensor& require(std::string_view name, std::initializer_list<size_t> shape) const;
  [[noreturn]] void refuse(const std::string& reason) const;

  MappedFile file_;
  int32_t error_status_ = 0;
  std::vector<SafeTensor> tensors_;
};

const char* tensor_type_name(TensorType type);
std::string shape_text(const std::vector<size_t>& shape);  // "[3, 4]"

}  // namespace redraft
