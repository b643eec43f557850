// What joins the lanes of a warp, and what moves it on: shuffles, votes, reductions, branches, barriers.
#include <bit>

#include "ptx_lanes.h"

namespace redraft::cuda_ptx {
namespace {

enum class Way : uint8_t { kUp, kDown, kXor, kIndex };

// Operands: result, predicate "in range", value, lane or distance, clamp, mask.
template <Way way>
void shuffle(Warp& warp, const Instruction& instruction, uint32_t mask) {
  const uint32_t *value = warp.in<uint32_t>(instruction, 2), *by = warp.in<uint32_t>(instruction, 3);
  const uint32_t* clamp = warp.in<uint32_t>(instruction, 4);
  uint32_t values[kLanes] = {}, in_range = 0;
  for (uint32_t left = mask; left; left &= left - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(left));
    const uint32_t segment = clamp[lane] >> 8 & 31, bound = clamp[lane] & 31, distance = by[lane] & 31;
    const uint32_t last = (lane & segment) | (bound & ~segment);
    uint32_t from = lane;
    bool ranges = false;
    if (way == Way::kUp) ranges = static_cast<int>(lane - distance) >= static_cast<int>(last), from = lane - distance;
    else {
      from = way == Way::kDown  ? lane + distance
             : way == Way::kXor ? lane ^ distance
                                : (lane & segment) | (distance & ~segment);
      ranges = from <= last;
    }
    if (!ranges) from = lane;
    if (!(mask >> from & 1)) throw PtxFault("a shuffle from lane " + std::to_string(from) + ", which takes no part");
    values[lane] = value[from];
    in_range |= static_cast<uint32_t>(ranges) << lane;
  }
  uint32_t* predicate = warp.out<uint32_t>(instruction, 1);
  *predicate = (*predicate & ~mask) | (in_range & mask);
  keep_lanes(warp.out<uint32_t>(instruction, 0), values, mask);
}

// Operands: result, predicate, mask.
template <typename F>
struct Vote {
  static void to_word(Warp& warp, const Instruction& instruction, uint32_t mask) {
    const uint32_t votes = *warp.in<uint32_t>(instruction, 1) & mask;
    uint32_t values[kLanes];
    for (uint32_t& value : values) value = votes;
    keep_lanes(warp.out<uint32_t>(instruction, 0), values, mask);
  }
  static void to_predicate(Warp& warp, const Instruction& instruction, uint32_t mask) {
    const uint32_t votes = *warp.in<uint32_t>(instruction, 1) & mask;
    uint32_t* to = warp.out<uint32_t>(instruction, 0);
    *to = (*to & ~mask) | (F{}(votes, mask) ? mask : 0);
  }
};

template <typename F>
void add_vote(Operations& all, const std::string& opcode, F) {
  all[opcode] = {Vote<F>::to_predicate, Kind::kCollective, {kPredicate, kPredicate, 4}};
}

template <typename T, typename F>
struct Reduction {
  static void run(Warp& warp, const Instruction& instruction, uint32_t mask) {
    const T* value = warp.in<T>(instruction, 1);
    T sum = value[std::countr_zero(mask)];
    for (uint32_t left = mask & (mask - 1); left; left &= left - 1) sum = F{}(sum, value[std::countr_zero(left)]);
    T values[kLanes];
    for (T& each : values) each = sum;
    keep_lanes(warp.out<T>(instruction, 0), values, mask);
  }
};

template <typename T, typename F>
void add_reduction(Operations& all, const std::string& opcode, F) {
  all[opcode] = {Reduction<T, F>::run, Kind::kCollective, {4, 4, 4}};
}

void nothing(Warp&, const Instruction&, uint32_t) {}

}  // namespace

void add_warp_operations(Operations& all) {
  const std::vector<uint8_t> shuffled = {4, kPredicate, 4, 4, 4, 4};
  all["shfl.sync.up.b32"] = {shuffle<Way::kUp>, Kind::kCollective, shuffled, 2};
  all["shfl.sync.down.b32"] = {shuffle<Way::kDown>, Kind::kCollective, shuffled, 2};
  all["shfl.sync.bfly.b32"] = {shuffle<Way::kXor>, Kind::kCollective, shuffled, 2};
  all["shfl.sync.idx.b32"] = {shuffle<Way::kIndex>, Kind::kCollective, shuffled, 2};
  using U = uint32_t;
  const auto any = [](U votes, U) { return votes != 0; };
  all["vote.sync.ballot.b32"] = {Vote<decltype(any)>::to_word, Kind::kCollective, {4, kPredicate, 4}};
  add_vote(all, "vote.sync.any.pred", any);
  add_vote(all, "vote.sync.all.pred", [](U votes, U mask) { return votes == mask; });
  add_vote(all, "vote.sync.uni.pred", [](U votes, U mask) { return votes == 0 || votes == mask; });
  add_reduction<U>(all, "redux.sync.add.u32", [](U a, U b) { return a + b; });
  add_reduction<U>(all, "redux.sync.add.s32", [](U a, U b) { return a + b; });
  add_reduction<U>(all, "redux.sync.min.u32", [](U a, U b) { return b < a ? b : a; });
  add_reduction<U>(all, "redux.sync.max.u32", [](U a, U b) { return a < b ? b : a; });
  add_reduction<int32_t>(all, "redux.sync.min.s32", [](int32_t a, int32_t b) { return b < a ? b : a; });
  add_reduction<int32_t>(all, "redux.sync.max.s32", [](int32_t a, int32_t b) { return a < b ? b : a; });
  add_reduction<U>(all, "redux.sync.and.b32", [](U a, U b) { return a & b; });
  add_reduction<U>(all, "redux.sync.or.b32", [](U a, U b) { return a | b; });
  add_reduction<U>(all, "redux.sync.xor.b32", [](U a, U b) { return a ^ b; });
  all["bar.warp.sync"] = {nothing, Kind::kCollective, {4}, 0};
  all["bar.sync"] = {nullptr, Kind::kBarrier, {4}, 0};
  for (const char* branch : {"bra", "bra.uni"}) all[branch] = {nullptr, Kind::kBranch, {}, 0};
  for (const char* end : {"ret", "exit"}) all[end] = {nullptr, Kind::kReturn, {}, 0};
  // Lanes and CTAs run in turn: each sees at once what another wrote.
  for (const char* fence : {"membar.cta", "membar.gl", "fence.acq_rel.gpu", "fence.sc.gpu", "fence.sc.cta"})
    all[fence] = {nothing, Kind::kOperation, {}, 0};
}

const Operations& all_operations() {
  static const Operations all = [] {
    Operations made;
    for (const auto add : {add_integer_operations, add_bit_operations, add_float_operations, add_compare_operations,
                           add_convert_operations, add_move_operations, add_memory_operations, add_atomic_operations,
                           add_warp_operations, add_matrix_operations})
      add(made);
    return made;
  }();
  return all;
}

}  // namespace redraft::cuda_ptx
