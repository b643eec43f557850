#include "ptx_words.h"

#include <charconv>

namespace redraft::cuda_ptx {

uint8_t type_bytes(const std::string& type) {
  static const std::map<std::string, uint8_t> bytes = {
      {".pred", kPredicate}, {".b8", 1},  {".u8", 1},  {".s8", 1},  {".b16", 2}, {".u16", 2}, {".s16", 2}, {".f16", 2},
      {".b32", 4},           {".u32", 4}, {".s32", 4}, {".f32", 4}, {".b64", 8}, {".u64", 8}, {".s64", 8}, {".f64", 8}};
  const auto place = bytes.find(type);
  return place == bytes.end() ? 0 : place->second;
}

Variable read_variable(TokenReader& in) {
  size_t alignment = 0;
  if (in.take_if(".align")) alignment = in.take_count();
  const uint8_t bytes = type_bytes(in.peek().text);
  if (!bytes) in.refuse("unknown type " + in.peek().text);
  in.take();
  Variable variable{bytes, alignment ? alignment : bytes, in.take().text};
  if (in.take_if("[")) {
    variable.bytes = in.is("]") ? 0 : bytes * in.take_count();
    in.expect("]");
  }
  return variable;
}

bool read_number(const std::string& text, uint64_t* bits) {
  const bool is_float = text.size() > 2 && text[0] == '0' && (text[1] == 'f' || text[1] == 'd');
  const bool is_hex = text.size() > 2 && text[0] == '0' && text[1] == 'x';
  const char *begin = text.data() + (is_float || is_hex ? 2 : 0), *end = text.data() + text.size();
  if (begin == end) return false;
  if (*begin == '-') {
    int64_t value = 0;
    if (std::from_chars(begin, end, value).ptr != end) return false;
    *bits = static_cast<uint64_t>(value);
    return true;
  }
  return std::from_chars(begin, end, *bits, is_float || is_hex ? 16 : 10).ptr == end;
}

}  // namespace redraft::cuda_ptx
