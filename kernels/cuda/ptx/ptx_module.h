// PTX as nvcc writes it, made ready to run: instructions whose operands are rows of a warp's registers.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace redraft::cuda_ptx {

// PTX that is not understood, or a program that does what none may.
class PtxFault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

constexpr uint32_t kLanes = 32;
constexpr uint32_t kAllLanes = 0xffffffffu;
constexpr uint32_t kOperandsMax = 16;
constexpr uint8_t kPredicate = 1;  // Its "bytes": a predicate's row is one word, a bit a lane.

// A register's row: 32 values of 2, 4 or 8 bytes, or a predicate's word.
constexpr uint32_t row_bytes(uint8_t bytes) { return bytes == kPredicate ? 4 : kLanes * bytes; }

struct Operand {
  int32_t row = 0;    // From 0: where it lies in a warp's registers; below: ~where among the kernel's constants.
  uint8_t bytes = 0;  // Of one value.
};

// Rows that every warp has before those of its kernel, 4 bytes a lane.
constexpr const char* kSpecialRegisters[] = {"%tid.x",    "%tid.y",    "%tid.z",   "%ntid.x",     "%ntid.y",
                                             "%ntid.z",   "%ctaid.x",  "%ctaid.y", "%ctaid.z",    "%nctaid.x",
                                             "%nctaid.y", "%nctaid.z", "%laneid",  "%lanemask_lt"};
constexpr uint32_t kSpecialCount = std::size(kSpecialRegisters);

enum class Kind : uint8_t {
  kOperation,   // Each lane by itself.
  kCollective,  // Joins the lanes of a mask, its last operand.
  kAligned,     // Joins all lanes.
  kBranch,
  kReturn,
  kBarrier,
};

class Warp;
struct Instruction;
// Does the instruction for the lanes of the mask.
using Handler = void (*)(Warp& warp, const Instruction& instruction, uint32_t mask);

struct Instruction {
  Handler run = nullptr;
  Kind kind = Kind::kOperation;
  uint8_t operand_count = 0, result_count = 0;  // Results come first.
  bool guard_negated = false;
  int32_t guard = -1;   // The predicate's row; -1: always done.
  uint32_t target = 0;  // Of a branch.
  int64_t offset = 0;   // Of its address.
  std::array<Operand, kOperandsMax> at;
};

struct Kernel {
  std::string name;
  size_t param_bytes = 0, register_bytes = 0, shared_bytes = 0;
  uint32_t threads_max = 1024;
  std::vector<uint8_t> constants;
  std::vector<Instruction> code;
  std::vector<std::string> texts;  // Of each instruction, with its line, for messages.
};

// Every kernel of a PTX text. Throws PtxFault, which names the line, at what it does not know.
std::map<std::string, Kernel> parse_ptx(const std::string& text);

}  // namespace redraft::cuda_ptx
