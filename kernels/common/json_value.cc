// The parsed value, the reader of configuration fields and the writer. The parser is json.cc.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <locale>
#include <sstream>

#include "error.h"
#include "json.h"

namespace redraft {

namespace {

constexpr double kWholeMax = 9007199254740992.0;  // 2^53: past it, neighbouring integers share a double.

std::string range_text(double min, double max) {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out.precision(17);
  out << "[" << min << ", " << max << "]";
  return out.str();
}

}  // namespace

Json Json::of(bool value) {
  Json json;
  json.kind_ = Kind::kBool, json.boolean_ = value;
  return json;
}
Json Json::of(double value) {
  Json json;
  json.kind_ = Kind::kNumber, json.number_ = value;
  return json;
}
Json Json::of(std::string value) {
  Json json;
  json.kind_ = Kind::kString, json.text_ = std::move(value);
  return json;
}
Json Json::of(Array value) {
  Json json;
  json.kind_ = Kind::kArray, json.items_ = std::move(value);
  return json;
}
Json Json::of(Object value) {
  Json json;
  json.kind_ = Kind::kObject, json.fields_ = std::move(value);
  return json;
}

const char* Json::kind_name(Kind kind) {
  static constexpr const char* kNames[] = {"null", "a boolean", "a number", "a string", "an array", "an object"};
  return kNames[static_cast<size_t>(kind)];
}

bool Json::boolean() const {
  REDRAFT_ASSERT(is_bool());
  return boolean_;
}
double Json::number() const {
  REDRAFT_ASSERT(is_number());
  return number_;
}
const std::string& Json::text() const {
  REDRAFT_ASSERT(is_string());
  return text_;
}
const Json::Array& Json::items() const {
  REDRAFT_ASSERT(is_array());
  return items_;
}
const Json::Object& Json::fields() const {
  REDRAFT_ASSERT(is_object());
  return fields_;
}

const Json* Json::find(std::string_view name) const {
  for (const auto& [field_name, value] : fields())
    if (field_name == name) return &value;
  return nullptr;
}

bool Json::integer(int64_t min, int64_t max, int64_t* value) const {
  if (!is_number() || std::fabs(number_) > kWholeMax || number_ != std::floor(number_)) return false;
  const auto whole = static_cast<int64_t>(number_);
  if (whole < min || whole > max) return false;
  *value = whole;
  return true;
}

JsonFields::JsonFields(const Json& object, int32_t error_status, std::string what)
    : object_(object), error_status_(error_status), what_(std::move(what)) {
  if (!object.is_object())
    throw Error(error_status_,
                "Cannot read " + what_ + ": expected an object, found " + Json::kind_name(object.kind()));
}

void JsonFields::refuse(std::string_view name, const std::string& reason) const {
  throw Error(error_status_, "Cannot read " + what_ + ": \"" + std::string(name) + "\" " + reason);
}

const Json* JsonFields::find(std::string_view name) {
  known_.emplace_back(name);
  const Json* value = object_.find(name);
  return value && !value->is_null() ? value : nullptr;
}

const Json& JsonFields::require(std::string_view name) {
  const Json* value = find(name);
  if (!value) refuse(name, "is missing");
  return *value;
}

int64_t JsonFields::integer_of(std::string_view name, const Json& value, int64_t min, int64_t max) const {
  int64_t whole = 0;
  if (!value.integer(min, max, &whole))
    refuse(name, "must be a whole number in [" + std::to_string(min) + ", " + std::to_string(max) + "]");
  return whole;
}

int64_t JsonFields::integer(std::string_view name, int64_t min, int64_t max) {
  return integer_of(name, require(name), min, max);
}

int64_t JsonFields::integer(std::string_view name, int64_t min, int64_t max, int64_t fallback) {
  const Json* value = find(name);
  return value ? integer_of(name, *value, min, max) : fallback;
}

double JsonFields::number(std::string_view name, double min, double max, double fallback) {
  const Json* value = find(name);
  if (!value) return fallback;
  if (!value->is_number() || !(value->number() >= min && value->number() <= max))
    refuse(name, "must be a number in " + range_text(min, max));
  return value->number();
}

bool JsonFields::boolean(std::string_view name, bool fallback) {
  const Json* value = find(name);
  if (!value) return fallback;
  if (!value->is_bool()) refuse(name, "must be true or false");
  return value->boolean();
}

std::string JsonFields::text(std::string_view name) {
  const Json& value = require(name);
  if (!value.is_string()) refuse(name, "must be a string");
  return value.text();
}

std::string JsonFields::text(std::string_view name, std::string fallback) {
  const Json* value = find(name);
  if (!value) return fallback;
  if (!value->is_string()) refuse(name, "must be a string");
  return value->text();
}

void JsonFields::ignore(std::string_view name) { known_.emplace_back(name); }

void JsonFields::refuse_unknown() const {
  for (const auto& [name, value] : object_.fields())
    if (std::find(known_.begin(), known_.end(), name) == known_.end()) refuse(name, "is not a known field");
}

}  // namespace redraft
