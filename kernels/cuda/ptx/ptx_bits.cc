// Bits: logic, shifts, fields, counts; predicates among them.
#include <bit>

#include "ptx_lanes.h"

namespace redraft::cuda_ptx {
namespace {

template <typename U>
void add_logic(Operations& all, const std::string& suffix) {
  constexpr uint32_t kBits = 8 * sizeof(U);
  add_lanes<U, U, U>(all, "and" + suffix, [](U a, U b) { return a & b; });
  add_lanes<U, U, U>(all, "or" + suffix, [](U a, U b) { return a | b; });
  add_lanes<U, U, U>(all, "xor" + suffix, [](U a, U b) { return a ^ b; });
  add_lanes<U, U>(all, "not" + suffix, [](U a) { return ~a; });
  add_lanes<U, U, uint32_t>(all, "shl" + suffix,
                            [](U a, uint32_t by) { return by < kBits ? static_cast<uint64_t>(a) << by : 0; });
  add_lanes<U, U, uint32_t>(all, "shr" + suffix, [](U a, uint32_t by) { return by < kBits ? a >> by : 0; });
}

// Ones from bit `at` on, as many as fit.
template <typename U>
U field_mask(uint32_t at, uint32_t count) {
  constexpr uint32_t kBits = 8 * sizeof(U);
  at &= 0xff, count &= 0xff;
  if (at >= kBits || count == 0) return 0;
  const U ones = count >= kBits ? ~U{0} : static_cast<U>((U{1} << count) - 1);
  return static_cast<U>(ones << at);
}

template <typename U>
void add_fields(Operations& all, const std::string& bits) {
  using S = std::make_signed_t<U>;
  constexpr uint32_t kBits = 8 * sizeof(U);
  add_lanes<U, U, U, uint32_t, uint32_t>(all, "bfi.b" + bits, [](U value, U into, uint32_t at, uint32_t count) {
    const U mask = field_mask<U>(at, count);
    return (into & ~mask) | ((at & 0xff) < kBits ? (value << (at & 0xff)) & mask : 0);
  });
  add_lanes<U, U, uint32_t, uint32_t>(all, "bfe.u" + bits, [](U value, uint32_t at, uint32_t count) -> U {
    return (at & 0xff) < kBits ? (value & field_mask<U>(at, count)) >> (at & 0xff) : 0;
  });
  add_lanes<uint32_t, U>(all, "popc.b" + bits, [](U a) { return std::popcount(a); });
  add_lanes<uint32_t, U>(all, "clz.b" + bits, [](U a) { return std::countl_zero(a); });
  add_lanes<U, U>(all, "brev.b" + bits, [](U a) {
    U reversed = 0;
    for (uint32_t i = 0; i < kBits; ++i) reversed = static_cast<U>(reversed << 1 | (a >> i & 1));
    return reversed;
  });
  // From the highest one; none: all ones.
  add_lanes<uint32_t, U>(all, "bfind.u" + bits, [](U a) { return a ? kBits - 1 - std::countl_zero(a) : ~0u; });
  add_lanes<uint32_t, U>(all, "bfind.shiftamt.u" + bits, [](U a) { return a ? std::countl_zero(a) : ~0u; });
  // Of a negative number, the highest bit that is not the sign's.
  add_lanes<uint32_t, S>(all, "bfind.shiftamt.s" + bits, [](S a) {
    const U significant = static_cast<U>(a < 0 ? ~a : a);
    return significant ? static_cast<uint32_t>(std::countl_zero(significant)) : ~0u;
  });
}

uint32_t permuted(uint32_t a, uint32_t b, uint32_t selection) {
  const uint64_t bytes = static_cast<uint64_t>(b) << 32 | a;
  uint32_t result = 0;
  for (uint32_t i = 0; i < 4; ++i) {
    const uint32_t choice = selection >> (4 * i) & 15;
    uint32_t byte = static_cast<uint32_t>(bytes >> (8 * (choice & 7))) & 0xff;
    if (choice & 8) byte = byte & 0x80 ? 0xff : 0;  // Its sign, all over.
    result |= byte << (8 * i);
  }
  return result;
}

uint32_t looked_up(uint32_t a, uint32_t b, uint32_t c, uint32_t table) {
  uint32_t result = 0;
  for (uint32_t row = 0; row < 8; ++row)
    if (table >> row & 1) result |= (row & 4 ? a : ~a) & (row & 2 ? b : ~b) & (row & 1 ? c : ~c);
  return result;
}

template <typename F>
struct PredicateOperation {
  static void run(Warp& warp, const Instruction& instruction, uint32_t mask) {
    const uint32_t a = *warp.in<uint32_t>(instruction, 1);
    const uint32_t b = instruction.operand_count > 2 ? *warp.in<uint32_t>(instruction, 2) : 0;
    uint32_t* to = warp.out<uint32_t>(instruction, 0);
    *to = (*to & ~mask) | (F{}(a, b) & mask);
  }
};

template <typename F>
void add_predicates(Operations& all, const std::string& opcode, size_t operand_count, F) {
  all[opcode] = {PredicateOperation<F>::run, Kind::kOperation, std::vector<uint8_t>(operand_count, kPredicate)};
}

}  // namespace

void add_bit_operations(Operations& all) {
  add_logic<uint16_t>(all, ".b16"), add_logic<uint32_t>(all, ".b32"), add_logic<uint64_t>(all, ".b64");
  add_fields<uint32_t>(all, "32"), add_fields<uint64_t>(all, "64");
  using U = uint32_t;
  add_lanes<U, U, U, U>(all, "prmt.b32", [](U a, U b, U c) { return permuted(a, b, c); });
  add_lanes<U, U, U, U, U>(all, "lop3.b32", [](U a, U b, U c, U table) { return looked_up(a, b, c, table); });
  add_lanes<U, U, U, U>(all, "shf.l.wrap.b32", [](U low, U high, U by) {
    return static_cast<U>((static_cast<uint64_t>(high) << 32 | low) << (by & 31) >> 32);
  });
  add_lanes<U, U, U, U>(all, "shf.r.wrap.b32",
                        [](U low, U high, U by) { return (static_cast<uint64_t>(high) << 32 | low) >> (by & 31); });
  add_predicates(all, "and.pred", 3, [](U a, U b) { return a & b; });
  add_predicates(all, "or.pred", 3, [](U a, U b) { return a | b; });
  add_predicates(all, "xor.pred", 3, [](U a, U b) { return a ^ b; });
  add_predicates(all, "not.pred", 2, [](U a, U) { return ~a; });
  add_predicates(all, "mov.pred", 2, [](U a, U) { return a; });
}

}  // namespace redraft::cuda_ptx
