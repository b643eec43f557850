// Operations made of what one lane does: rows go in, a row comes out. All lanes are computed, in a loop that a compiler
// can vectorise; those of the mask are kept. So a lane's function must be defined for every value.
#pragma once
#include <tuple>
#include <utility>

#include "ptx_operations.h"
#include "ptx_warp.h"

namespace redraft::cuda_ptx {

template <typename T>
void keep_lanes(T* to, const T* values, uint32_t mask) {
  if (mask == kAllLanes) {
    std::memcpy(to, values, kLanes * sizeof(T));
    return;
  }
  for (uint32_t lane = 0; lane < kLanes; ++lane)
    if (mask >> lane & 1) to[lane] = values[lane];
}

template <typename F, typename To, typename... From>
struct LaneOperation {
  template <size_t... n>
  static void apply(Warp& warp, const Instruction& instruction, uint32_t mask, std::index_sequence<n...>) {
    const std::tuple<const From*...> rows{warp.in<From>(instruction, n + 1)...};
    To values[kLanes];
    for (uint32_t lane = 0; lane < kLanes; ++lane) values[lane] = static_cast<To>(F{}(std::get<n>(rows)[lane]...));
    keep_lanes(warp.out<To>(instruction, 0), values, mask);
  }
  static void run(Warp& warp, const Instruction& instruction, uint32_t mask) {
    apply(warp, instruction, mask, std::index_sequence_for<From...>{});
  }
};

// To result = f(From...), a lane at a time.
template <typename To, typename... From, typename F>
void add_lanes(Operations& all, const std::string& opcode, F) {
  all[opcode] = {LaneOperation<F, To, From...>::run, Kind::kOperation, {sizeof(To), sizeof(From)...}};
}

template <typename T, typename F>
struct LaneComparison {
  static void run(Warp& warp, const Instruction& instruction, uint32_t mask) {
    const T *a = warp.in<T>(instruction, 1), *b = warp.in<T>(instruction, 2);
    uint32_t bits = 0;
    for (uint32_t lane = 0; lane < kLanes; ++lane) bits |= static_cast<uint32_t>(F{}(a[lane], b[lane])) << lane;
    uint32_t* to = warp.out<uint32_t>(instruction, 0);
    *to = (*to & ~mask) | (bits & mask);
  }
};

// predicate = f(a, b), a lane at a time.
template <typename T, typename F>
void add_comparison(Operations& all, const std::string& opcode, F) {
  all[opcode] = {LaneComparison<T, F>::run, Kind::kOperation, {kPredicate, sizeof(T), sizeof(T)}};
}

// The same operation under the names of several types.
template <typename Add>
void for_names(const std::string& opcode, std::initializer_list<const char*> types, Add&& add) {
  for (const char* type : types) add(opcode + "." + type);
}

}  // namespace redraft::cuda_ptx
