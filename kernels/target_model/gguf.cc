#include "gguf.h"

#include <cstring>
#include <map>

#include "../common/error.h"

namespace redraft {
namespace {

// ggml's other types (ggml.h, enum ggml_type), to be refused by name.
std::string unread_type(uint32_t type) {
  static const std::map<uint32_t, const char*> names{
      {9, "Q8_1"},    {10, "Q2_K"},    {11, "Q3_K"},  {13, "Q5_K"},   {15, "Q8_K"},  {16, "IQ2_XXS"},
      {17, "IQ2_XS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"}, {20, "IQ4_NL"}, {21, "IQ3_S"}, {22, "IQ2_S"},
      {23, "IQ4_XS"}, {24, "I8"},      {25, "I16"},   {26, "I32"},    {27, "I64"},   {28, "F64"},
      {29, "IQ1_M"},  {34, "TQ1_0"},   {35, "TQ2_0"}, {39, "MXFP4"}};
  const auto found = names.find(type);
  return found == names.end() ? std::to_string(type) : found->second;
}

constexpr uint64_t kValuesMax = 1 << 16, kTensorsMax = 1 << 16, kNameBytesMax = 1 << 12, kDimensionsMax = 4;
constexpr uint64_t kDimensionMax = uint64_t{1} << 32;

size_t fixed_bytes(GgufType type) {  // 0: none, or not known.
  switch (type) {
    case GgufType::U8:
    case GgufType::I8:
    case GgufType::BOOL: return 1;
    case GgufType::U16:
    case GgufType::I16: return 2;
    case GgufType::U32:
    case GgufType::I32:
    case GgufType::F32: return 4;
    case GgufType::U64:
    case GgufType::I64:
    case GgufType::F64: return 8;
    case GgufType::STRING:
    case GgufType::ARRAY: return 0;
  }
  return 0;
}

template <typename T>
T read_at(const uint8_t* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

bool integer_at(GgufType type, const uint8_t* bytes, int64_t* value) {
  switch (type) {
    case GgufType::U8: *value = *bytes; return true;
    case GgufType::I8: *value = static_cast<int8_t>(*bytes); return true;
    case GgufType::U16: *value = read_at<uint16_t>(bytes); return true;
    case GgufType::I16: *value = read_at<int16_t>(bytes); return true;
    case GgufType::U32: *value = read_at<uint32_t>(bytes); return true;
    case GgufType::I32: *value = read_at<int32_t>(bytes); return true;
    case GgufType::U64:
    case GgufType::I64: *value = read_at<int64_t>(bytes); return true;
    default: return false;
  }
}

std::string_view text_at(const uint8_t* bytes) {
  return {reinterpret_cast<const char*>(bytes + 8), static_cast<size_t>(read_at<uint64_t>(bytes))};
}

}  // namespace

// Walks the file; nothing is read past its end.
class Gguf::Reader {
 public:
  Reader(const Gguf& gguf) : gguf_(gguf), bytes_(gguf.file_.data()), size_(gguf.file_.size()) {}

  const uint8_t* take(uint64_t count, const char* what) {
    if (count > size_ - at_) gguf_.refuse(std::string("it ends inside ") + what);
    const uint8_t* taken = bytes_ + at_;
    at_ += count;
    return taken;
  }
  template <typename T>
  T number(const char* what) {
    return read_at<T>(take(sizeof(T), what));
  }
  std::string name(const char* what) {
    const uint64_t length = number<uint64_t>(what);
    if (length == 0 || length > kNameBytesMax)
      gguf_.refuse(std::string(what) + " is of " + std::to_string(length) + " bytes");
    return {reinterpret_cast<const char*>(take(length, what)), static_cast<size_t>(length)};
  }
  void skip_text(const char* what) { take(number<uint64_t>(what), what); }
  uint64_t at() const { return at_; }

 private:
  const Gguf& gguf_;
  const uint8_t* bytes_;
  uint64_t size_, at_ = 0;
};

void Gguf::refuse(const std::string& reason) const {
  throw Error(REDRAFT_BAD_MODEL, "cannot load model " + file_.path() + ": " + reason);
}

Gguf::Gguf(const std::string& path) : file_(path, REDRAFT_BAD_MODEL) {
  Reader reader(*this);
  if (std::memcmp(reader.take(4, "its header"), "GGUF", 4) != 0)
    refuse("not a GGUF file (its first bytes are not GGUF)");
  const uint32_t version = reader.number<uint32_t>("its header");
  if (version != 2 && version != 3) refuse("GGUF version " + std::to_string(version) + " is not known (2 and 3 are)");
  const uint64_t tensor_count = reader.number<uint64_t>("its header");
  const uint64_t value_count = reader.number<uint64_t>("its header");
  if (tensor_count > kTensorsMax) refuse("it claims " + std::to_string(tensor_count) + " tensors");
  if (value_count > kValuesMax) refuse("it claims " + std::to_string(value_count) + " metadata values");
  read_values(reader, value_count);
  read_tensors(reader, tensor_count);
}

void Gguf::read_values(Reader& reader, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    const std::string key = reader.name("a metadata key");
    GgufValue value{};
    value.type = static_cast<GgufType>(reader.number<uint32_t>("a metadata type"));
    value.item_type = value.type;
    value.count = 1;
    if (value.type == GgufType::ARRAY) {
      value.item_type = static_cast<GgufType>(reader.number<uint32_t>("an array type"));
      value.count = reader.number<uint64_t>("an array count");
    }
    value.bytes = reader.take(0, "a metadata value");
    if (value.item_type == GgufType::STRING) {
      if (value.count > file_.size() / 8)
        refuse("metadata " + key + " claims " + std::to_string(value.count) + " strings, more than a file of " +
               std::to_string(file_.size()) + " bytes holds");
      for (uint64_t item = 0; item < value.count; ++item) reader.skip_text("a metadata string");
    } else {
      const size_t item_bytes = fixed_bytes(value.item_type);
      if (item_bytes == 0)
        refuse("metadata " + key + " has unknown type " + std::to_string(static_cast<uint32_t>(value.item_type)));
      if (value.count > file_.size() / item_bytes)
        refuse("metadata " + key + " claims " + std::to_string(value.count) + " items, more than a file of " +
               std::to_string(file_.size()) + " bytes holds");
      reader.take(value.count * item_bytes, "a metadata array");
    }
    if (!values_.emplace(key, value).second) refuse("metadata " + key + " occurs twice");
  }
}

void Gguf::read_tensors(Reader& reader, uint64_t count) {
  const uint64_t alignment = integer("general.alignment", 1, 1 << 20, 32);
  std::vector<std::pair<GgufTensor*, uint64_t>> offsets;
  for (uint64_t i = 0; i < count; ++i) {
    const std::string name = reader.name("a tensor name");
    GgufTensor tensor{};
    const uint32_t dimension_count = reader.number<uint32_t>("a tensor shape");
    if (dimension_count == 0 || dimension_count > kDimensionsMax)
      refuse("tensor " + name + " has " + std::to_string(dimension_count) + " dimensions");
    uint64_t elements = 1;
    for (uint32_t d = 0; d < dimension_count; ++d) {
      tensor.shape.push_back(reader.number<uint64_t>("a tensor shape"));
      if (tensor.shape.back() == 0 || tensor.shape.back() > kDimensionMax ||
          __builtin_mul_overflow(elements, tensor.shape.back(), &elements) || elements > uint64_t{1} << 48)
        refuse("tensor " + name + " has an impossible shape");
    }
    tensor.type = static_cast<WeightType>(reader.number<uint32_t>("a tensor type"));
    const WeightBlock block = weight_block(tensor.type);
    if (block.weights == 0)
      refuse("tensor " + name + " has type " + unread_type(static_cast<uint32_t>(tensor.type)) +
             ", which this build cannot read (F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K and Q6_K it can)");
    if (tensor.shape[0] % block.weights != 0)
      refuse("tensor " + name + ": rows of " + std::to_string(tensor.shape[0]) + " are not whole blocks of " +
             weight_type_name(tensor.type));
    tensor.byte_count = elements / block.weights * block.bytes;
    const uint64_t offset = reader.number<uint64_t>("a tensor offset");
    const auto [place, is_new] = tensors_.emplace(name, std::move(tensor));
    if (!is_new) refuse("tensor " + name + " occurs twice");
    offsets.emplace_back(&place->second, offset);
  }
  const uint64_t data_at = (reader.at() + alignment - 1) / alignment * alignment;
  for (auto& [tensor, offset] : offsets) {
    if (offset % alignment != 0 || data_at > file_.size() || offset > file_.size() - data_at ||
        tensor->byte_count > file_.size() - data_at - offset) {
      for (const auto& [name, each] : tensors_)
        if (&each == tensor) refuse("tensor " + name + " lies outside the file, which is cut short or damaged");
    }
    tensor->bytes = file_.data() + data_at + offset;
  }
}

const GgufValue* Gguf::find(const std::string& key) const {
  const auto place = values_.find(key);
  return place == values_.end() ? nullptr : &place->second;
}

const GgufValue& Gguf::require(const std::string& key) const {
  const GgufValue* value = find(key);
  if (!value) refuse("metadata " + key + " is missing");
  return *value;
}

uint64_t Gguf::integer(const std::string& key, uint64_t min, uint64_t max) const {
  const GgufValue& value = require(key);
  int64_t number;
  if (!integer_at(value.type, value.bytes, &number)) refuse("metadata " + key + " is no integer");
  if (number < 0 || static_cast<uint64_t>(number) < min || static_cast<uint64_t>(number) > max)
    refuse("metadata " + key + " is " + std::to_string(number) + ", not in " + std::to_string(min) + " ... " +
           std::to_string(max));
  return static_cast<uint64_t>(number);
}

uint64_t Gguf::integer(const std::string& key, uint64_t min, uint64_t max, uint64_t fallback) const {
  return has(key) ? integer(key, min, max) : fallback;
}

double Gguf::number(const std::string& key) const {
  const GgufValue& value = require(key);
  if (value.type == GgufType::F32) return read_at<float>(value.bytes);
  if (value.type == GgufType::F64) return read_at<double>(value.bytes);
  refuse("metadata " + key + " is no floating-point number");
}

double Gguf::number(const std::string& key, double fallback) const { return has(key) ? number(key) : fallback; }

bool Gguf::boolean(const std::string& key, bool fallback) const {
  const GgufValue* value = find(key);
  if (!value) return fallback;
  if (value->type != GgufType::BOOL) refuse("metadata " + key + " is no boolean");
  return *value->bytes != 0;
}

std::string_view Gguf::text(const std::string& key) const {
  const GgufValue& value = require(key);
  if (value.type != GgufType::STRING) refuse("metadata " + key + " is no string");
  return text_at(value.bytes);
}

std::vector<std::string_view> Gguf::texts(const std::string& key) const {
  const GgufValue* value = find(key);
  if (!value) return {};
  if (value->type != GgufType::ARRAY || value->item_type != GgufType::STRING)
    refuse("metadata " + key + " is no array of strings");
  std::vector<std::string_view> all;
  const uint8_t* at = value->bytes;
  for (uint64_t i = 0; i < value->count; ++i) {
    all.push_back(text_at(at));
    at += 8 + all.back().size();
  }
  return all;
}

std::vector<int64_t> Gguf::integers(const std::string& key) const {
  const GgufValue* value = find(key);
  if (!value) return {};
  std::vector<int64_t> all(value->count);
  for (uint64_t i = 0; i < value->count; ++i)
    if (value->type != GgufType::ARRAY ||
        !integer_at(value->item_type, value->bytes + i * fixed_bytes(value->item_type), &all[i]))
      refuse("metadata " + key + " is no array of integers");
  return all;
}

std::vector<float> Gguf::floats(const std::string& key) const {
  const GgufValue* value = find(key);
  if (!value) return {};
  if (value->type != GgufType::ARRAY || value->item_type != GgufType::F32)
    refuse("metadata " + key + " is no array of F32");
  std::vector<float> all(value->count);
  std::memcpy(all.data(), value->bytes, all.size() * sizeof(float));
  return all;
}

const GgufTensor& Gguf::tensor(const std::string& name) const {
  const auto place = tensors_.find(name);
  if (place == tensors_.end()) refuse("tensor " + name + " is missing");
  return place->second;
}

WeightView Gguf::matrix(const std::string& name, size_t out_count, size_t in_count) const {
  const GgufTensor& found = tensor(name);
  if (found.shape.size() != 2 || found.shape[0] != in_count || found.shape[1] != out_count) {
    std::string shape;
    for (size_t d = found.shape.size(); d-- > 0;) shape += std::to_string(found.shape[d]) + (d ? " x " : "");
    refuse("tensor " + name + " is " + shape + ", expected " + std::to_string(out_count) + " x " +
           std::to_string(in_count));
  }
  return {found.type, found.bytes, out_count, in_count};
}

std::vector<float> Gguf::vector(const std::string& name, size_t count) const {
  const GgufTensor& found = tensor(name);
  if (found.shape.size() != 1 || found.shape[0] != count)
    refuse("tensor " + name + " is not a vector of " + std::to_string(count));
  std::vector<float> all(count);
  dequantise_row({found.type, found.bytes, 1, count}, 0, all.data());
  return all;
}

}  // namespace redraft
