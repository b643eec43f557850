#include "ptx_tokens.h"

#include <cctype>
#include <charconv>

namespace redraft::cuda_ptx {
namespace {

bool in_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '.' || c == '%';
}

}  // namespace

std::vector<Token> cut_tokens(std::string_view text) {
  std::vector<Token> tokens;
  uint32_t line = 1;
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    const bool comment = c == '/' && text.substr(at, 2) == "//";
    if (c == '\n') ++line;
    if (comment) {
      at = std::min(text.find('\n', at), text.size());
    } else if (std::isspace(static_cast<unsigned char>(c))) {
      ++at;
    } else {
      size_t end = at + 1;
      if (c == '"') end = std::min(text.find('"', at + 1), text.size() - 1) + 1;
      const bool minus = c == '-' && end < text.size() && std::isdigit(static_cast<unsigned char>(text[end]));
      if (in_word(c) || minus)
        while (end < text.size() && in_word(text[end])) ++end;
      tokens.push_back({std::string(text.substr(at, end - at)), line});
      at = end;
    }
  }
  tokens.push_back({"", line});
  return tokens;
}

Token TokenReader::take() {
  Token token = peek();
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool TokenReader::take_if(std::string_view text) {
  if (!is(text)) return false;
  take();
  return true;
}

void TokenReader::expect(std::string_view text) {
  if (!take_if(text)) refuse("expected \"" + std::string(text) + "\", found \"" + peek().text + "\"");
}

uint64_t TokenReader::take_count() {
  const Token token = take();
  uint64_t count = 0;
  const char* end = token.text.data() + token.text.size();
  if (std::from_chars(token.text.data(), end, count).ptr != end || token.text.empty())
    refuse("expected a number, found \"" + token.text + "\"");
  return count;
}

void TokenReader::refuse(const std::string& what) const {
  throw PtxFault("PTX line " + std::to_string(peek().line) + ": " + what);
}

}  // namespace redraft::cuda_ptx
