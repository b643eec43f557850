// Loads and stores, one to four values a lane: each lane's place is checked.
#include <bit>
#include <mutex>

#include "ptx_rows.h"

namespace redraft::cuda_ptx {
namespace {

void read_addresses(const Warp& warp, const Instruction& instruction, size_t n, uint64_t (&addresses)[kLanes]) {
  if (instruction.at[n].bytes == 8) {
    const uint64_t* base = warp.in<uint64_t>(instruction, n);
    for (uint32_t lane = 0; lane < kLanes; ++lane)
      addresses[lane] = base[lane] + static_cast<uint64_t>(instruction.offset);
  } else {
    const uint32_t* base = warp.in<uint32_t>(instruction, n);
    for (uint32_t lane = 0; lane < kLanes; ++lane)
      addresses[lane] = static_cast<uint32_t>(base[lane] + static_cast<uint64_t>(instruction.offset));
  }
}

template <Space space, typename T, uint32_t kCount>
void load(Warp& warp, const Instruction& instruction, uint32_t mask) {
  uint64_t addresses[kLanes];
  read_addresses(warp, instruction, kCount, addresses);
  T values[kCount][kLanes] = {};
  for (uint32_t left = mask; left; left &= left - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(left));
    const uint8_t* from = warp.place(space, addresses[lane], kCount * sizeof(T));
    for (uint32_t i = 0; i < kCount; ++i) std::memcpy(&values[i][lane], from + i * sizeof(T), sizeof(T));
  }
  for (uint32_t i = 0; i < kCount; ++i) write_row(warp, instruction, i, values[i], mask);
}

template <Space space, typename T, uint32_t kCount>
void store(Warp& warp, const Instruction& instruction, uint32_t mask) {
  uint64_t addresses[kLanes];
  read_addresses(warp, instruction, 0, addresses);
  T values[kCount][kLanes];
  for (uint32_t i = 0; i < kCount; ++i) read_row(warp, instruction, i + 1, values[i]);
  for (uint32_t left = mask; left; left &= left - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(left));
    uint8_t* to = warp.place(space, addresses[lane], kCount * sizeof(T));
    for (uint32_t i = 0; i < kCount; ++i) std::memcpy(to + i * sizeof(T), &values[i][lane], sizeof(T));
  }
}

template <Space space, typename T, uint32_t kCount>
void add_count(Operations& all, const std::string& name, std::initializer_list<const char*> types) {
  const std::string vector = kCount == 1 ? "" : ".v" + std::to_string(kCount);
  std::vector<uint8_t> operands(kCount, kAnyBytes);
  operands.push_back(kAddress);
  for_names("ld" + name + vector, types, [&](const std::string& opcode) {
    all[opcode] = {load<space, T, kCount>, Kind::kOperation, operands, kCount};
  });
  if constexpr (space != Space::kParam)
    for_names("st" + name + vector, types, [&](const std::string& opcode) {
      all[opcode] = {store<space, T, kCount>, Kind::kOperation,
                     std::vector<uint8_t>(operands.rbegin(), operands.rend()), 0};
    });
}

template <Space space, typename T>
void add_type(Operations& all, const std::string& name, std::initializer_list<const char*> types) {
  add_count<space, T, 1>(all, name, types);
  add_count<space, T, 2>(all, name, types);
  if constexpr (sizeof(T) < 8) add_count<space, T, 4>(all, name, types);
}

template <Space space>
void add_space(Operations& all, const std::string& name) {
  add_type<space, uint8_t>(all, name, {"u8", "b8"}), add_type<space, int8_t>(all, name, {"s8"});
  add_type<space, uint16_t>(all, name, {"u16", "b16"}), add_type<space, int16_t>(all, name, {"s16"});
  add_type<space, uint32_t>(all, name, {"u32", "b32", "f32"}), add_type<space, int32_t>(all, name, {"s32"});
  add_type<space, uint64_t>(all, name, {"u64", "b64", "s64", "f64"});
}

// Lanes run in order, and no two CTAs at once where memory is everyone's: what is changed is changed as a whole.
std::mutex& global_atomics() {
  static std::mutex guard;
  return guard;
}
template <Space space, typename T, bool has_result, typename F>
struct Atomic {
  static void run(Warp& warp, const Instruction& instruction, uint32_t mask) {
    constexpr size_t kAt = has_result ? 1 : 0;
    uint64_t addresses[kLanes];
    read_addresses(warp, instruction, kAt, addresses);
    const T *operand = warp.in<T>(instruction, kAt + 1),
            *last = warp.in<T>(instruction, instruction.operand_count - 1u);
    T before[kLanes] = {};
    const auto lock = space == Space::kGlobal ? std::unique_lock(global_atomics()) : std::unique_lock<std::mutex>();
    for (uint32_t left = mask; left; left &= left - 1) {
      const auto lane = static_cast<uint32_t>(std::countr_zero(left));
      uint8_t* at = warp.place(space, addresses[lane], sizeof(T));
      std::memcpy(&before[lane], at, sizeof(T));
      const T after = F{}(before[lane], operand[lane], last[lane]);
      std::memcpy(at, &after, sizeof(T));
    }
    if constexpr (has_result) keep_lanes(warp.out<T>(instruction, 0), before, mask);
  }
};

// f(what was there, operand, the last operand) is there afterwards.
template <Space space, typename T, typename F>
void add_atomic(Operations& all, const std::string& name, const std::string& operation, size_t operand_count, F) {
  std::vector<uint8_t> operands(operand_count, sizeof(T));
  operands.insert(operands.begin(), kAddress);
  all["red" + name + operation] = {Atomic<space, T, false, F>::run, Kind::kOperation, operands, 0};
  operands.insert(operands.begin(), sizeof(T));
  all["atom" + name + operation] = {Atomic<space, T, true, F>::run, Kind::kOperation, operands};
}

template <Space space, typename T>
void add_atomic_order(Operations& all, const std::string& name, const std::string& type) {
  add_atomic<space, T>(all, name, ".min" + type, 1, [](T a, T b, T) { return b < a ? b : a; });
  add_atomic<space, T>(all, name, ".max" + type, 1, [](T a, T b, T) { return a < b ? b : a; });
}

template <Space space, typename T>
void add_atomic_bits(Operations& all, const std::string& name, const std::string& bits) {
  add_atomic<space, T>(all, name, ".add.u" + bits, 1, [](T a, T b, T) { return a + b; });
  add_atomic<space, T>(all, name, ".and.b" + bits, 1, [](T a, T b, T) { return a & b; });
  add_atomic<space, T>(all, name, ".or.b" + bits, 1, [](T a, T b, T) { return a | b; });
  add_atomic<space, T>(all, name, ".exch.b" + bits, 1, [](T, T b, T) { return b; });
  add_atomic<space, T>(all, name, ".cas.b" + bits, 2, [](T a, T b, T c) { return a == b ? c : a; });
  add_atomic_order<space, T>(all, name, ".u" + bits);
  add_atomic_order<space, std::make_signed_t<T>>(all, name, ".s" + bits);
}

template <Space space>
void add_atomics(Operations& all, const std::string& name) {
  add_atomic_bits<space, uint32_t>(all, name, "32"), add_atomic_bits<space, uint64_t>(all, name, "64");
  add_atomic<space, float>(all, name, ".add.f32", 1, [](float a, float b, float) { return a + b; });
}

}  // namespace

void add_memory_operations(Operations& all) {
  add_space<Space::kGlobal>(all, ".global"), add_space<Space::kGlobal>(all, ".global.nc");
  add_space<Space::kShared>(all, ".shared"), add_space<Space::kParam>(all, ".param");
}

void add_atomic_operations(Operations& all) {
  add_atomics<Space::kGlobal>(all, ".global"), add_atomics<Space::kShared>(all, ".shared");
}

}  // namespace redraft::cuda_ptx
