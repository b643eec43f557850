// Rows of registers wider than the type that an instruction reads or writes: loads, stores and conversions.
#pragma once
#include "ptx_lanes.h"

namespace redraft::cuda_ptx {

// The low bytes of each register.
template <typename T>
void read_row(const Warp& warp, const Instruction& instruction, size_t n, T (&values)[kLanes]) {
  const uint8_t bytes = instruction.at[n].bytes;
  if (bytes < sizeof(T)) throw PtxFault("a register that is too narrow");
  const uint8_t* row = warp.in<uint8_t>(instruction, n);
  if (bytes == sizeof(T)) std::memcpy(values, row, sizeof values);
  else
    for (uint32_t lane = 0; lane < kLanes; ++lane) std::memcpy(&values[lane], row + lane * bytes, sizeof(T));
}

// A whole number is extended to the register's width: by its sign if it has one, else by zeros.
template <typename T>
void write_row(Warp& warp, const Instruction& instruction, size_t n, const T (&values)[kLanes], uint32_t mask) {
  const uint8_t bytes = instruction.at[n].bytes;
  if (bytes < sizeof(T)) throw PtxFault("a register that is too narrow");
  if (bytes == sizeof(T)) return keep_lanes(warp.out<T>(instruction, n), values, mask);
  if constexpr (std::is_integral_v<T>) {
    const auto extend = [&]<typename U>(U) {
      U wide[kLanes];
      for (uint32_t lane = 0; lane < kLanes; ++lane) wide[lane] = static_cast<U>(values[lane]);
      keep_lanes(warp.out<U>(instruction, n), wide, mask);
    };
    if (bytes == 2) extend(uint16_t{});
    else if (bytes == 4) extend(uint32_t{});
    else extend(uint64_t{});
  } else throw PtxFault("a float in a register of another width");
}

}  // namespace redraft::cuda_ptx
