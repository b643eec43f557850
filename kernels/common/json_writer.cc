#include <cmath>
#include <cstdio>
#include <locale>
#include <sstream>

#include "error.h"
#include "json.h"

namespace redraft {

void JsonWriter::before_value() {
  if (after_key_) {
    after_key_ = false;
  } else if (!has_items_.empty()) {
    if (has_items_.back()) out_.push_back(',');
    has_items_.back() = true;
  }
}

JsonWriter& JsonWriter::begin_object() {
  before_value();
  out_.push_back('{');
  has_items_.push_back(false);
  return *this;
}

JsonWriter& JsonWriter::end_object() {
  REDRAFT_ASSERT(!has_items_.empty() && !after_key_);
  has_items_.pop_back();
  out_.push_back('}');
  return *this;
}

JsonWriter& JsonWriter::begin_array() {
  before_value();
  out_.push_back('[');
  has_items_.push_back(false);
  return *this;
}

JsonWriter& JsonWriter::end_array() {
  REDRAFT_ASSERT(!has_items_.empty() && !after_key_);
  has_items_.pop_back();
  out_.push_back(']');
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  REDRAFT_ASSERT(!has_items_.empty() && !after_key_);
  before_value();
  quote(name);
  out_.push_back(':');
  after_key_ = true;
  return *this;
}

JsonWriter& JsonWriter::null() {
  before_value();
  out_ += "null";
  return *this;
}

JsonWriter& JsonWriter::boolean(bool value) {
  before_value();
  out_ += value ? "true" : "false";
  return *this;
}

JsonWriter& JsonWriter::integer(int64_t value) {
  before_value();
  out_ += std::to_string(value);
  return *this;
}

JsonWriter& JsonWriter::number(double value) {
  if (!std::isfinite(value)) return null();
  before_value();
  for (const int digits : {9, 17}) {  // The shorter one where it reads back as the same number.
    std::ostringstream text;
    text.imbue(std::locale::classic());
    text.precision(digits);
    text << value;
    std::istringstream again(text.str());
    again.imbue(std::locale::classic());
    double read = 0;
    if ((again >> read && read == value) || digits == 17) {
      out_ += text.str();
      break;
    }
  }
  return *this;
}

JsonWriter& JsonWriter::text(std::string_view value) {
  before_value();
  quote(value);
  return *this;
}

void JsonWriter::quote(std::string_view value) {
  out_.push_back('"');
  while (!value.empty()) {
    const size_t bytes = utf8_character_bytes(value);
    const auto c = static_cast<unsigned char>(value[0]);
    if (bytes == 0) {
      out_ += "\xEF\xBF\xBD";
    } else if (c == '"' || c == '\\') {
      out_.push_back('\\'), out_.push_back(static_cast<char>(c));
    } else if (c < 0x20 || c == 0x7F) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", c);
      out_ += escape;
    } else {
      out_.append(value.substr(0, bytes));
    }
    value.remove_prefix(bytes ? bytes : 1);
  }
  out_.push_back('"');
}

std::string JsonWriter::take() {
  REDRAFT_ASSERT(has_items_.empty() && !after_key_);
  return std::move(out_);
}

}  // namespace redraft
