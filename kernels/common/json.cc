#include "json.h"

#include <algorithm>
#include <cmath>
#include <locale>
#include <sstream>
#include <unordered_set>

#include "error.h"

namespace redraft {

namespace {

// From the classic locale: strtod would read by the host process's, which may have a decimal comma.
bool parse_double(std::string_view text, double* value) {
  std::istringstream in{std::string(text)};
  in.imbue(std::locale::classic());
  in >> *value;
  // Some libraries call a subnormal a failure; past the range is one.
  return (!in.fail() && std::isfinite(*value)) || (std::isfinite(*value) && std::fabs(*value) < 1);
}

class Parser {
 public:
  Parser(std::string_view text, int32_t status, const std::string& what, const JsonLimits& limits)
      : text_(text), status_(status), what_(what), limits_(limits) {}

  Json document() {
    if (text_.size() > limits_.bytes_max) fail("more than " + std::to_string(limits_.bytes_max) + " bytes");
    Json value = this->value(0);
    skip_space();
    if (at_ != text_.size()) fail("something follows the value");
    return value;
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const {
    throw Error(status_, "Cannot parse " + what_ + ": " + reason + " at byte " + std::to_string(at_));
  }

  int peek() const { return at_ < text_.size() ? static_cast<unsigned char>(text_[at_]) : -1; }

  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
      ++at_;
  }

  void expect(char wanted) {
    skip_space();
    if (peek() != wanted) fail(std::string("expected '") + wanted + "'");
    ++at_;
  }

  Json word(std::string_view name, Json value) {
    if (text_.substr(at_, name.size()) != name) fail("expected a value");
    at_ += name.size();
    return value;
  }

  Json value(size_t depth) {
    if (depth > limits_.depth_max) fail("nested deeper than " + std::to_string(limits_.depth_max));
    if (++value_count_ > limits_.values_max) fail("more than " + std::to_string(limits_.values_max) + " values");
    skip_space();
    switch (peek()) {
      case '{': return object(depth);
      case '[': return array(depth);
      case '"': return Json::of(string());
      case 't': return word("true", Json::of(true));
      case 'f': return word("false", Json::of(false));
      case 'n': return word("null", Json());
      case -1: fail("the text ends early");
      default: return number();
    }
  }

  Json object(size_t depth) {
    Json::Object fields;
    std::unordered_set<std::string> names;
    ++at_;
    skip_space();
    if (peek() == '}') return ++at_, Json::of(std::move(fields));
    for (;;) {
      skip_space();
      if (peek() != '"') fail("expected a field's name");
      std::string name = string();
      if (!names.insert(name).second) fail("the field \"" + name + "\" repeats");
      expect(':');
      fields.emplace_back(std::move(name), value(depth + 1));
      skip_space();
      if (peek() == '}') return ++at_, Json::of(std::move(fields));
      expect(',');
    }
  }

  Json array(size_t depth) {
    Json::Array items;
    ++at_;
    skip_space();
    if (peek() == ']') return ++at_, Json::of(std::move(items));
    for (;;) {
      items.push_back(value(depth + 1));
      skip_space();
      if (peek() == ']') return ++at_, Json::of(std::move(items));
      expect(',');
    }
  }

  void digits() {
    if (peek() < '0' || peek() > '9') fail("expected a digit");
    while (peek() >= '0' && peek() <= '9') ++at_;
  }

  Json number() {
    const size_t start = at_;
    if (peek() == '-') ++at_;
    if (peek() != '-' && (peek() < '0' || peek() > '9')) fail("expected a value");
    if (peek() == '0') {
      ++at_;  // No digit may follow a leading zero.
    } else {
      digits();
    }
    bool whole = true;
    if (peek() == '.') whole = false, ++at_, digits();
    if (peek() == 'e' || peek() == 'E') {
      whole = false, ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      digits();
    }
    const std::string_view literal = text_.substr(start, at_ - start);
    double value = 0;
    if (whole && literal.size() <= 15) {  // Exact, and a header is full of these.
      int64_t sum = 0;
      for (const char c : literal)
        if (c != '-') sum = sum * 10 + (c - '0');
      value = literal[0] == '-' ? -static_cast<double>(sum) : static_cast<double>(sum);
    } else if (literal.size() > 1024 || !parse_double(literal, &value)) {
      fail("a number out of range");
    }
    return Json::of(value);
  }

  uint32_t hex4() {
    uint32_t code = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const int c = peek();
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) fail("expected four hexadecimal digits");
      code = code * 16 + static_cast<uint32_t>(digit);
    }
    return code;
  }

  void escaped_character(std::string& out) {
    uint32_t code = hex4();
    if (code >= 0xDC00 && code < 0xE000) fail("a lone surrogate");
    if (code >= 0xD800 && code < 0xDC00) {
      if (text_.substr(at_, 2) != "\\u") fail("a lone surrogate");
      at_ += 2;
      const uint32_t low = hex4();
      if (low < 0xDC00 || low >= 0xE000) fail("a lone surrogate");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    const auto put = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
    if (code < 0x80) {
      put(code);
    } else if (code < 0x800) {
      put(0xC0 | code >> 6), put(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
      put(0xE0 | code >> 12), put(0x80 | (code >> 6 & 0x3F)), put(0x80 | (code & 0x3F));
    } else {
      put(0xF0 | code >> 18), put(0x80 | (code >> 12 & 0x3F)), put(0x80 | (code >> 6 & 0x3F)),
          put(0x80 | (code & 0x3F));
    }
  }

  std::string string() {
    static constexpr std::string_view kEscapes = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
    std::string out;
    ++at_;
    for (;;) {
      const int c = peek();
      if (c < 0) fail("a string that does not end");
      if (c < 0x20) fail("a raw control character in a string");
      if (c == '"') return ++at_, out;
      if (c == '\\') {
        ++at_;
        const int escape = peek();
        if (escape == 'u') {
          ++at_, escaped_character(out);
          continue;
        }
        const size_t index = escape < 0 ? std::string_view::npos : kEscapes.find(static_cast<char>(escape));
        if (index == std::string_view::npos) fail("an unknown escape");
        out.push_back(kMeanings[index]), ++at_;
        continue;
      }
      const size_t bytes = utf8_character_bytes(text_.substr(at_, 4));
      if (bytes == 0) fail("broken UTF-8");
      out.append(text_.substr(at_, bytes)), at_ += bytes;
    }
  }

  std::string_view text_;
  size_t at_ = 0, value_count_ = 0;
  int32_t status_;
  const std::string& what_;
  const JsonLimits& limits_;
};

}  // namespace

size_t utf8_character_bytes(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto follows = [&](size_t i, unsigned low, unsigned high) {
    return i < text.size() && byte(i) >= low && byte(i) <= high;
  };
  if (text.empty()) return 0;
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return follows(1, 0x80, 0xBF) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const unsigned low = lead == 0xE0 ? 0xA0 : 0x80, high = lead == 0xED ? 0x9F : 0xBF;
    return follows(1, low, high) && follows(2, 0x80, 0xBF) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const unsigned low = lead == 0xF0 ? 0x90 : 0x80, high = lead == 0xF4 ? 0x8F : 0xBF;
    return follows(1, low, high) && follows(2, 0x80, 0xBF) && follows(3, 0x80, 0xBF) ? 4 : 0;
  }
  return 0;
}

Json Json::parse(std::string_view text, int32_t error_status, const std::string& what, const JsonLimits& limits) {
  return Parser(text, error_status, what, limits).document();
}

}  // namespace redraft
