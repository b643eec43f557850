// Moves: whole registers, and registers put together or taken apart.
#include "ptx_lanes.h"

namespace redraft::cuda_ptx {
namespace {

template <typename U>
void add_moves(Operations& all, const std::string& opcode, std::initializer_list<const char*> types) {
  for_names(opcode, types, [&](const std::string& name) { add_lanes<U, U>(all, name, [](U a) { return a; }); });
}

// One register from parts, the first of them lowest.
template <typename Whole, typename Part>
void pack(Warp& warp, const Instruction& instruction, uint32_t mask) {
  Whole values[kLanes] = {};
  for (size_t n = 1; n < instruction.operand_count; ++n) {
    const Part* part = warp.in<Part>(instruction, n);
    for (uint32_t lane = 0; lane < kLanes; ++lane)
      values[lane] |= static_cast<Whole>(part[lane]) << (8 * sizeof(Part) * (n - 1));
  }
  keep_lanes(warp.out<Whole>(instruction, 0), values, mask);
}

template <typename Whole, typename Part>
void unpack(Warp& warp, const Instruction& instruction, uint32_t mask) {
  const size_t count = instruction.operand_count - 1u;
  Whole whole[kLanes];
  std::memcpy(whole, warp.in<Whole>(instruction, count), sizeof whole);
  for (size_t n = 0; n < count; ++n) {
    Part values[kLanes];
    for (uint32_t lane = 0; lane < kLanes; ++lane)
      values[lane] = static_cast<Part>(whole[lane] >> (8 * sizeof(Part) * n));
    keep_lanes(warp.out<Part>(instruction, n), values, mask);
  }
}

template <typename Whole, typename Part>
void add_parts(Operations& all, const std::string& opcode) {
  constexpr size_t kCount = sizeof(Whole) / sizeof(Part);
  std::vector<uint8_t> operands(kCount, sizeof(Part));
  operands.push_back(sizeof(Whole));
  all[opcode + "/unpack" + std::to_string(kCount)] = {unpack<Whole, Part>, Kind::kOperation, operands, kCount};
  all[opcode + "/pack" + std::to_string(kCount)] = {pack<Whole, Part>, Kind::kOperation,
                                                    std::vector<uint8_t>(operands.rbegin(), operands.rend())};
}

}  // namespace

void add_move_operations(Operations& all) {
  add_moves<uint16_t>(all, "mov", {"b16", "u16", "s16"});
  add_moves<uint32_t>(all, "mov", {"b32", "u32", "s32", "f32"});
  add_moves<uint64_t>(all, "mov", {"b64", "u64", "s64", "f64"});
  // Global memory is where a generic address says.
  add_moves<uint64_t>(all, "cvta.to.global", {"u64"});
  add_moves<uint64_t>(all, "cvta.global", {"u64"});
  add_parts<uint32_t, uint16_t>(all, "mov.b32");
  add_parts<uint64_t, uint32_t>(all, "mov.b64");
  add_parts<uint64_t, uint16_t>(all, "mov.b64");
}

}  // namespace redraft::cuda_ptx
