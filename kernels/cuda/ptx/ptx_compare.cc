// Comparisons into predicates, and choices by them.
#include <cmath>

#include "ptx_lanes.h"

namespace redraft::cuda_ptx {
namespace {

template <typename T>
void add_order(Operations& all, const std::string& type) {
  add_comparison<T>(all, "setp.lt" + type, [](T a, T b) { return a < b; });
  add_comparison<T>(all, "setp.le" + type, [](T a, T b) { return a <= b; });
  add_comparison<T>(all, "setp.gt" + type, [](T a, T b) { return a > b; });
  add_comparison<T>(all, "setp.ge" + type, [](T a, T b) { return a >= b; });
}

template <typename T>
void add_whole(Operations& all, const std::string& type) {
  add_comparison<T>(all, "setp.eq" + type, [](T a, T b) { return a == b; });
  add_comparison<T>(all, "setp.ne" + type, [](T a, T b) { return a != b; });
  add_order<T>(all, type);
}

// Against a NaN all are false; those that end in u are true.
template <typename T>
void add_floats(Operations& all, const std::string& type) {
  add_order<T>(all, type);
  add_comparison<T>(all, "setp.eq" + type, [](T a, T b) { return a == b; });
  add_comparison<T>(all, "setp.ne" + type, [](T a, T b) { return a < b || a > b; });
  add_comparison<T>(all, "setp.equ" + type, [](T a, T b) { return !(a < b || a > b); });
  add_comparison<T>(all, "setp.neu" + type, [](T a, T b) { return !(a == b); });
  add_comparison<T>(all, "setp.ltu" + type, [](T a, T b) { return !(a >= b); });
  add_comparison<T>(all, "setp.leu" + type, [](T a, T b) { return !(a > b); });
  add_comparison<T>(all, "setp.gtu" + type, [](T a, T b) { return !(a <= b); });
  add_comparison<T>(all, "setp.geu" + type, [](T a, T b) { return !(a < b); });
  add_comparison<T>(all, "setp.num" + type, [](T a, T b) { return a == a && b == b; });
  add_comparison<T>(all, "setp.nan" + type, [](T a, T b) { return a != a || b != b; });
}

template <typename U>
void choose(Warp& warp, const Instruction& instruction, uint32_t mask) {
  const U *a = warp.in<U>(instruction, 1), *b = warp.in<U>(instruction, 2);
  const uint32_t predicate = *warp.in<uint32_t>(instruction, 3);
  U values[kLanes];
  for (uint32_t lane = 0; lane < kLanes; ++lane) values[lane] = predicate >> lane & 1 ? a[lane] : b[lane];
  keep_lanes(warp.out<U>(instruction, 0), values, mask);
}

template <typename U>
void add_choice(Operations& all, std::initializer_list<const char*> types) {
  constexpr uint8_t kBytes = sizeof(U);
  for_names("selp", types, [&](const std::string& opcode) {
    all[opcode] = {choose<U>, Kind::kOperation, {kBytes, kBytes, kBytes, kPredicate}};
  });
}

}  // namespace

void add_compare_operations(Operations& all) {
  add_whole<uint16_t>(all, ".u16"), add_whole<int16_t>(all, ".s16"), add_whole<uint16_t>(all, ".b16");
  add_whole<uint32_t>(all, ".u32"), add_whole<int32_t>(all, ".s32"), add_whole<uint32_t>(all, ".b32");
  add_whole<uint64_t>(all, ".u64"), add_whole<int64_t>(all, ".s64"), add_whole<uint64_t>(all, ".b64");
  add_floats<float>(all, ".f32"), add_floats<double>(all, ".f64");
  add_choice<uint16_t>(all, {"b16", "u16", "s16"});
  add_choice<uint32_t>(all, {"b32", "u32", "s32", "f32"});
  add_choice<uint64_t>(all, {"b64", "u64", "s64", "f64"});
}

}  // namespace redraft::cuda_ptx
