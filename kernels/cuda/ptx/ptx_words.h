// Types, numbers and declared variables, as PTX spells them.
#pragma once
#include "ptx_tokens.h"

namespace redraft::cuda_ptx {

// Of one value; kPredicate for .pred, 0 where there is no such type.
uint8_t type_bytes(const std::string& type);

// 0f and 0d: the bits of a float; else a whole number. Returns whether it is one.
bool read_number(const std::string& text, uint64_t* bits);

struct Variable {
  size_t bytes, alignment;
  std::string name;
};

// [.align n] type name [count]; an array without a count has no bytes.
Variable read_variable(TokenReader& in);

}  // namespace redraft::cuda_ptx
