// PTX text cut into words and signs.
#pragma once
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "ptx_module.h"

namespace redraft::cuda_ptx {

struct Token {
  std::string text;  // Empty: the end.
  uint32_t line = 1;
};

std::vector<Token> cut_tokens(std::string_view text);

// Reads tokens in order; what is not as expected is a PtxFault that names the line.
class TokenReader {
 public:
  explicit TokenReader(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}
  const Token& peek(size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  bool is(std::string_view text) const { return peek().text == text; }
  Token take();
  bool take_if(std::string_view text);
  void expect(std::string_view text);
  uint64_t take_count();  // A whole number from 0.
  [[noreturn]] void refuse(const std::string& what) const;

 private:
  std::vector<Token> tokens_;
  size_t at_ = 0;
};

}  // namespace redraft::cuda_ptx
