// What each opcode does. One that is not here is not understood.
#pragma once
#include <string>
#include <unordered_map>
#include <vector>

#include "ptx_module.h"

namespace redraft::cuda_ptx {

// What an operand may be, beside the bytes of its values (kPredicate, 2, 4, 8).
constexpr uint8_t kAnyBytes = 0;  // A register of any width: the instruction's type says how much of it counts.
constexpr uint8_t kAddress = 16;  // [register + offset], [name + offset]

struct Operation {
  Handler run = nullptr;
  Kind kind = Kind::kOperation;
  std::vector<uint8_t> operands;
  uint8_t result_count = 1;  // The first of them.
};
using Operations = std::unordered_map<std::string, Operation>;

// By the opcode as PTX spells it. "mov.b64" with two registers in braces as its result is "mov.b64/unpack2", as its
// source "mov.b64/pack2".
const Operations& all_operations();

void add_integer_operations(Operations& all);
void add_bit_operations(Operations& all);
void add_float_operations(Operations& all);
void add_compare_operations(Operations& all);
void add_convert_operations(Operations& all);
void add_move_operations(Operations& all);
void add_memory_operations(Operations& all);
void add_atomic_operations(Operations& all);
void add_warp_operations(Operations& all);
void add_matrix_operations(Operations& all);

}  // namespace redraft::cuda_ptx
