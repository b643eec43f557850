// JSON for configurations and headers: a strict parser (RFC 8259, nothing lenient) that treats its input as hostile,
// and a writer. Numbers are doubles.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace redraft {

struct JsonLimits {
  size_t bytes_max = size_t{64} << 20;
  size_t depth_max = 64;
  size_t values_max = size_t{1} << 20;  // A value takes some 100 bytes, its text perhaps two.
};

class Json {
 public:
  enum class Kind { kNull, kBool, kNumber, kString, kArray, kObject };
  using Array = std::vector<Json>;
  using Field = std::pair<std::string, Json>;
  using Object = std::vector<Field>;  // In the order of the text.

  // Refuses: bytes after the value, names that repeat in one object, broken UTF-8, lone surrogates, raw control
  // characters, numbers past the range of a double, and what the limits refuse.
  // what: the text's name in the message ("Cannot parse <what>: <reason> at byte <n>"). Throws Error(error_status).
  static Json parse(std::string_view text, int32_t error_status, const std::string& what,
                    const JsonLimits& limits = JsonLimits());

  Json() = default;
  static Json of(bool value);
  static Json of(double value);
  static Json of(std::string value);
  static Json of(Array value);
  static Json of(Object value);

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::kNull; }
  bool is_bool() const { return kind_ == Kind::kBool; }
  bool is_number() const { return kind_ == Kind::kNumber; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_array() const { return kind_ == Kind::kArray; }
  bool is_object() const { return kind_ == Kind::kObject; }
  static const char* kind_name(Kind kind);  // "null", "a boolean", "a number", ...

  // Each asserts the kind: ask first.
  bool boolean() const;
  double number() const;
  const std::string& text() const;
  const Array& items() const;
  const Object& fields() const;
  const Json* find(std::string_view name) const;  // nullptr where the object has no such field.

  // True, and the value, if this is a whole number in [min, max]; the bounds are within +-2^53.
  bool integer(int64_t min, int64_t max, int64_t* value) const;

 private:
  Kind kind_ = Kind::kNull;
  bool boolean_ = false;
  double number_ = 0;
  std::string text_;
  Array items_;
  Object fields_;
};

// Reads the fields of a configuration object; a missing, wrong or unknown one is named in the error.
class JsonFields {
 public:
  // object must outlive this. what: the object's name in messages. Throws Error(error_status) if it is no object.
  JsonFields(const Json& object, int32_t error_status, std::string what);

  // A field that is null counts as absent. Those without a fallback must be there.
  int64_t integer(std::string_view name, int64_t min, int64_t max);
  int64_t integer(std::string_view name, int64_t min, int64_t max, int64_t fallback);
  double number(std::string_view name, double min, double max, double fallback);
  bool boolean(std::string_view name, bool fallback);
  std::string text(std::string_view name);
  std::string text(std::string_view name, std::string fallback);
  void ignore(std::string_view name);
  void refuse_unknown() const;  // Any field that none of the calls above asked for.

 private:
  const Json* find(std::string_view name);
  const Json& require(std::string_view name);
  [[noreturn]] void refuse(std::string_view name, const std::string& reason) const;
  int64_t integer_of(std::string_view name, const Json& value, int64_t min, int64_t max) const;

  const Json& object_;
  int32_t error_status_;
  std::string what_;
  std::vector<std::string> known_;
};

// Appends JSON text; commas and colons are its own business. Unbalanced calls fail an assertion in take().
class JsonWriter {
 public:
  JsonWriter& begin_object();
  JsonWriter& end_object();
  JsonWriter& begin_array();
  JsonWriter& end_array();
  JsonWriter& key(std::string_view name);
  JsonWriter& null();
  JsonWriter& boolean(bool value);
  JsonWriter& integer(int64_t value);
  JsonWriter& number(double value);          // null if not finite: JSON has no word for it.
  JsonWriter& text(std::string_view value);  // Bytes that are no UTF-8 become U+FFFD.
  std::string take();

 private:
  void before_value();
  void quote(std::string_view value);
  std::string out_;
  std::vector<bool> has_items_;
  bool after_key_ = false;
};

// Bytes of the UTF-8 character that starts at text[0], 0 if none does (cut short, overlong, a surrogate, past
// U+10FFFF).
size_t utf8_character_bytes(std::string_view text);

}  // namespace redraft
