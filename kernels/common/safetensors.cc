#include "safetensors.h"

#include <algorithm>
#include <cstring>

#include "error.h"
#include "half.h"
#include "json.h"

namespace redraft {

namespace {

constexpr size_t kHeaderBytesMax = size_t{16} << 20;
constexpr size_t kTensorsMax = 4096;
constexpr size_t kDimensionsMax = 8;
constexpr int64_t kWholeMax = int64_t{1} << 53;

struct TypeName {
  const char* name;
  TensorType type;
  size_t bytes;
};
constexpr TypeName kTypes[] = {{"F32", TensorType::kF32, 4},
                               {"F16", TensorType::kF16, 2},
                               {"BF16", TensorType::kBF16, 2},
                               {"I32", TensorType::kI32, 4},
                               {"I64", TensorType::kI64, 8}};

struct Span {
  size_t begin, end;
};

std::string quoted(std::string_view name) { return "tensor \"" + std::string(name.substr(0, 200)) + "\""; }

// Reads one header entry. data_bytes: what follows the header. Throws std::string, the reason.
SafeTensor read_entry(const std::string& name, const Json& entry, const uint8_t* data, size_t data_bytes, Span* span) {
  if (!entry.is_object()) throw quoted(name) + " is no object";
  const Json* type = entry.find("dtype");
  const Json* shape = entry.find("shape");
  const Json* offsets = entry.find("data_offsets");
  if (!type || !type->is_string()) throw quoted(name) + " has no dtype";
  if (!shape || !shape->is_array() || shape->items().size() > kDimensionsMax)
    throw quoted(name) + " has no valid shape";
  if (!offsets || !offsets->is_array() || offsets->items().size() != 2) throw quoted(name) + " has no data_offsets";

  const auto known = std::find_if(std::begin(kTypes), std::end(kTypes),
                                  [&](const TypeName& candidate) { return type->text() == candidate.name; });
  if (known == std::end(kTypes))
    throw quoted(name) + " is of dtype " + type->text().substr(0, 20) + ", expected F32, F16, BF16, I32 or I64";

  SafeTensor tensor{name, known->type, {}, 1, nullptr};
  for (const Json& dimension : shape->items()) {
    int64_t size = 0;
    if (!dimension.integer(0, kWholeMax, &size)) throw quoted(name) + " has a dimension that is no count";
    if (size != 0 && tensor.element_count > data_bytes / static_cast<size_t>(size))
      throw quoted(name) + " has more elements than the file has bytes";
    tensor.shape.push_back(static_cast<size_t>(size));
    tensor.element_count *= static_cast<size_t>(size);
  }
  int64_t begin = 0, end = 0;
  if (!offsets->items()[0].integer(0, kWholeMax, &begin) || !offsets->items()[1].integer(begin, kWholeMax, &end) ||
      static_cast<uint64_t>(end) > data_bytes)
    throw quoted(name) + " has data_offsets outside the file";
  *span = {static_cast<size_t>(begin), static_cast<size_t>(end)};
  if (span->end - span->begin != tensor.element_count * known->bytes)
    throw quoted(name) + " takes " + std::to_string(span->end - span->begin) + " bytes, expected " +
        std::to_string(tensor.element_count * known->bytes) + " for " + known->name + " " + shape_text(tensor.shape);
  tensor.bytes = data + span->begin;
  return tensor;
}

}  // namespace

const char* tensor_type_name(TensorType type) {
  for (const TypeName& known : kTypes)
    if (known.type == type) return known.name;
  return "?";
}

std::string shape_text(const std::vector<size_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

void SafeTensors::refuse(const std::string& reason) const {
  throw Error(error_status_, "Cannot read " + file_.path() + ": " + reason);
}

SafeTensors SafeTensors::load(const std::string& path, int32_t error_status) {
  SafeTensors loaded;
  loaded.file_ = MappedFile(path, error_status);
  loaded.error_status_ = error_status;
  const MappedFile& file = loaded.file_;
  if (file.size() < 8) loaded.refuse("the file is shorter than its header's length field");
  uint64_t header_bytes = 0;
  for (int i = 0; i < 8; ++i) header_bytes |= uint64_t{file.data()[i]} << (8 * i);
  if (header_bytes > kHeaderBytesMax) loaded.refuse("the header claims " + std::to_string(header_bytes) + " bytes");
  if (header_bytes > file.size() - 8) loaded.refuse("the file ends inside its header");
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + 8, header_bytes);
  const uint8_t* data = file.data() + 8 + header_bytes;
  const size_t data_bytes = file.size() - 8 - header_bytes;

  const Json header = Json::parse(text, error_status, "the header of " + path, {.bytes_max = kHeaderBytesMax});
  if (!header.is_object()) loaded.refuse("the header is no object");
  if (header.fields().size() > kTensorsMax) loaded.refuse("more than " + std::to_string(kTensorsMax) + " tensors");
  std::vector<Span> spans;
  for (const auto& [name, entry] : header.fields()) {
    if (name == "__metadata__") continue;
    Span span{};
    try {
      loaded.tensors_.push_back(read_entry(name, entry, data, data_bytes, &span));
    } catch (const std::string& reason) { loaded.refuse(reason); }
    spans.push_back(span);
  }
  // Gapless and disjoint, as the format demands: hidden bytes have no business in a model file.
  std::sort(spans.begin(), spans.end(),
            [](const Span& a, const Span& b) { return a.begin != b.begin ? a.begin < b.begin : a.end < b.end; });
  size_t at = 0;
  for (const Span& span : spans) {
    if (span.begin < at) loaded.refuse("tensors overlap at byte " + std::to_string(span.begin) + " of the data");
    if (span.begin > at) loaded.refuse("no tensor owns byte " + std::to_string(at) + " of the data");
    at = span.end;
  }
  if (at != data_bytes) loaded.refuse("no tensor owns byte " + std::to_string(at) + " of the data");
  return loaded;
}

const SafeTensor* SafeTensors::find(std::string_view name) const {
  for (const SafeTensor& tensor : tensors_)
    if (tensor.name == name) return &tensor;
  return nullptr;
}

const SafeTensor& SafeTensors::require(std::string_view name, std::initializer_list<size_t> shape) const {
  const SafeTensor* tensor = find(name);
  if (!tensor) refuse(quoted(name) + " is missing, expected " + shape_text(shape));
  if (!std::equal(tensor->shape.begin(), tensor->shape.end(), shape.begin(), shape.end()))
    refuse(quoted(name) + " is " + shape_text(tensor->shape) + ", expected " + shape_text(shape));
  return *tensor;
}

std::vector<float> SafeTensors::floats(std::string_view name, std::initializer_list<size_t> shape) const {
  const SafeTensor& tensor = require(name, shape);
  std::vector<float> values(tensor.element_count);
  if (tensor.type == TensorType::kF32) {
    if (!values.empty()) std::memcpy(values.data(), tensor.bytes, values.size() * sizeof(float));
  } else if (tensor.type == TensorType::kF16 || tensor.type == TensorType::kBF16) {
    const bool brain = tensor.type == TensorType::kBF16;
    for (size_t i = 0; i < values.size(); ++i) {
      uint16_t bits;
      std::memcpy(&bits, tensor.bytes + 2 * i, 2);
      values[i] = brain ? bf16_to_f32(bits) : f16_to_f32(bits);
    }
  } else {
    refuse(quoted(name) + " is of dtype " + tensor_type_name(tensor.type) + ", expected F32, F16 or BF16");
  }
  return values;
}

std::vector<int32_t> SafeTensors::integers(std::string_view name, std::initializer_list<size_t> shape) const {
  const SafeTensor& tensor = require(name, shape);
  std::vector<int32_t> values(tensor.element_count);
  for (size_t i = 0; i < values.size(); ++i) {
    int64_t wide = 0;
    if (tensor.type == TensorType::kI32) {
      std::memcpy(&values[i], tensor.bytes + 4 * i, 4);
      continue;
    }
    if (tensor.type != TensorType::kI64)
      refuse(quoted(name) + " is of dtype " + tensor_type_name(tensor.type) + ", expected I32 or I64");
    std::memcpy(&wide, tensor.bytes + 8 * i, 8);
    if (wide < INT32_MIN || wide > INT32_MAX) refuse(quoted(name) + " holds " + std::to_string(wide));
    values[i] = static_cast<int32_t>(wide);
  }
  return values;
}

}  // namespace redraft
