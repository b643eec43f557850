// Conversions between numbers: whole to whole cut off or extended, floats rounded as asked, out of range at the nearest
// there is.
#include <cmath>
#include <limits>

#include "../../common/half.h"
#include "ptx_rows.h"

namespace redraft::cuda_ptx {
namespace {

template <typename F, typename To, typename From>
struct Conversion {
  static void run(Warp& warp, const Instruction& instruction, uint32_t mask) {
    From from[kLanes];
    To to[kLanes];
    read_row(warp, instruction, 1, from);
    for (uint32_t lane = 0; lane < kLanes; ++lane) to[lane] = F{}(from[lane]);
    write_row(warp, instruction, 0, to, mask);
  }
};

template <typename To, typename From, typename F>
void add_conversion(Operations& all, const std::string& opcode, F) {
  all[opcode] = {Conversion<F, To, From>::run, Kind::kOperation, {kAnyBytes, kAnyBytes}};
}

template <typename To, typename From>
To whole_of(From x) {
  using Limits = std::numeric_limits<To>;
  if (x != x) {  // As PTX says: zero, or among 64 bits the highest one.
    const bool zero = sizeof(From) == 4 && sizeof(To) < 8;
    return zero ? To{0} : static_cast<To>(uint64_t{1} << (8 * sizeof(To) - 1));
  }
  // One past the largest is a power of two, which a float holds exactly.
  const From past = std::ldexp(From{1}, Limits::digits);
  if (x >= past) return Limits::max();
  if (x <= static_cast<From>(Limits::min())) return Limits::min();
  return static_cast<To>(x);
}

template <typename To, typename From>
void add_whole(Operations& all, const std::string& to, const std::string& from) {
  add_conversion<To, From>(all, "cvt" + to + from, [](From x) { return static_cast<To>(x); });
}

template <typename To>
void add_whole_from_all(Operations& all, const std::string& to) {
  add_whole<To, uint8_t>(all, to, ".u8"), add_whole<To, int8_t>(all, to, ".s8");
  add_whole<To, uint16_t>(all, to, ".u16"), add_whole<To, int16_t>(all, to, ".s16");
  add_whole<To, uint32_t>(all, to, ".u32"), add_whole<To, int32_t>(all, to, ".s32");
  add_whole<To, uint64_t>(all, to, ".u64"), add_whole<To, int64_t>(all, to, ".s64");
}

template <typename Float, typename Whole>
void add_float_and_whole(Operations& all, const std::string& type, const std::string& whole) {
  add_conversion<Float, Whole>(all, "cvt.rn" + type + whole, [](Whole x) { return static_cast<Float>(x); });
  add_conversion<Whole, Float>(all, "cvt.rzi" + whole + type, [](Float x) { return whole_of<Whole>(std::trunc(x)); });
  add_conversion<Whole, Float>(all, "cvt.rni" + whole + type,
                               [](Float x) { return whole_of<Whole>(std::nearbyint(x)); });
  add_conversion<Whole, Float>(all, "cvt.rmi" + whole + type, [](Float x) { return whole_of<Whole>(std::floor(x)); });
  add_conversion<Whole, Float>(all, "cvt.rpi" + whole + type, [](Float x) { return whole_of<Whole>(std::ceil(x)); });
}

template <typename Float>
void add_float(Operations& all, const std::string& type) {
  add_float_and_whole<Float, uint8_t>(all, type, ".u8"), add_float_and_whole<Float, int8_t>(all, type, ".s8");
  add_float_and_whole<Float, uint16_t>(all, type, ".u16"), add_float_and_whole<Float, int16_t>(all, type, ".s16");
  add_float_and_whole<Float, uint32_t>(all, type, ".u32"), add_float_and_whole<Float, int32_t>(all, type, ".s32");
  add_float_and_whole<Float, uint64_t>(all, type, ".u64"), add_float_and_whole<Float, int64_t>(all, type, ".s64");
  add_conversion<Float, Float>(all, "cvt.rni" + type + type, [](Float x) { return std::nearbyint(x); });
  add_conversion<Float, Float>(all, "cvt.rzi" + type + type, [](Float x) { return std::trunc(x); });
  add_conversion<Float, Float>(all, "cvt.rmi" + type + type, [](Float x) { return std::floor(x); });
  add_conversion<Float, Float>(all, "cvt.rpi" + type + type, [](Float x) { return std::ceil(x); });
  // Into [0, 1]; a NaN becomes 0.
  add_conversion<Float, Float>(all, "cvt.sat" + type + type,
                               [](Float x) { return x > 0 ? (x < 1 ? x : Float{1}) : Float{0}; });
}

// Two floats into one register, the second of them below.
void pack_brains(Warp& warp, const Instruction& instruction, uint32_t mask) {
  const float *high = warp.in<float>(instruction, 1), *low = warp.in<float>(instruction, 2);
  uint32_t values[kLanes];
  for (uint32_t lane = 0; lane < kLanes; ++lane)
    values[lane] = static_cast<uint32_t>(f32_to_bf16(high[lane])) << 16 | f32_to_bf16(low[lane]);
  keep_lanes(warp.out<uint32_t>(instruction, 0), values, mask);
}

}  // namespace

void add_convert_operations(Operations& all) {
  add_whole_from_all<uint8_t>(all, ".u8"), add_whole_from_all<int8_t>(all, ".s8");
  add_whole_from_all<uint16_t>(all, ".u16"), add_whole_from_all<int16_t>(all, ".s16");
  add_whole_from_all<uint32_t>(all, ".u32"), add_whole_from_all<int32_t>(all, ".s32");
  add_whole_from_all<uint64_t>(all, ".u64"), add_whole_from_all<int64_t>(all, ".s64");
  add_float<float>(all, ".f32"), add_float<double>(all, ".f64");
  add_conversion<double, float>(all, "cvt.f64.f32", [](float x) { return static_cast<double>(x); });
  add_conversion<float, double>(all, "cvt.rn.f32.f64", [](double x) { return static_cast<float>(x); });
  add_conversion<float, uint16_t>(all, "cvt.f32.f16", [](uint16_t x) { return f16_to_f32(x); });
  add_conversion<uint16_t, float>(all, "cvt.rn.f16.f32", [](float x) { return f32_to_f16(x); });
  add_conversion<float, uint16_t>(all, "cvt.f32.bf16", [](uint16_t x) { return bf16_to_f32(x); });
  add_conversion<uint16_t, float>(all, "cvt.rn.bf16.f32", [](float x) { return f32_to_bf16(x); });
  all["cvt.rn.bf16x2.f32"] = {pack_brains, Kind::kOperation, {4, 4, 4}};
}

}  // namespace redraft::cuda_ptx
