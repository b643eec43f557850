// Registers share rows: nvcc names each value once, so a kernel has hundreds of names of which few are in use at a
// time, and a warp whose rows fit a core's nearest cache runs twice as fast.
#include "ptx_registers.h"

#include <algorithm>
#include <queue>

namespace redraft::cuda_ptx {
namespace {

// Instructions between which a register holds a value, both ends included.
struct Use {
  uint32_t first = ~0u, last = 0;
  bool read_first = false;  // It may hold what a turn of a loop before left there.
  void extend(uint32_t from, uint32_t to) { first = std::min(first, from), last = std::max(last, to); }
};

struct Loop {
  uint32_t begin, end;  // A branch at `end` goes back to `begin`.
};

std::vector<Use> find_uses(const Kernel& kernel, size_t register_count) {
  std::vector<Use> uses(register_count);
  for (uint32_t at = 0; at < kernel.code.size(); ++at) {
    const Instruction& instruction = kernel.code[at];
    const auto touch = [&](int32_t name, bool reads) {
      if (name < 0) return;
      Use& use = uses[static_cast<size_t>(name)];
      if (use.first == ~0u) use.read_first = reads;
      use.extend(at, at);
    };
    touch(instruction.guard, true);
    for (uint32_t n = instruction.result_count; n < instruction.operand_count; ++n) touch(instruction.at[n].row, true);
    // A guarded result leaves the other lanes' values as they are: as if they were read.
    for (uint32_t n = 0; n < instruction.result_count; ++n) touch(instruction.at[n].row, instruction.guard >= 0);
  }
  return uses;
}

// A register that is in use where a loop is entered or left, or that a turn hands to the next, is in use all over it.
void extend_over_loops(const Kernel& kernel, std::vector<Use>& uses) {
  std::vector<Loop> loops;
  for (uint32_t at = 0; at < kernel.code.size(); ++at)
    if (kernel.code[at].kind == Kind::kBranch && kernel.code[at].target <= at)
      loops.push_back({kernel.code[at].target, at});
  for (bool changed = true; changed;) {
    changed = false;
    for (Use& use : uses)
      for (const Loop& loop : loops) {
        if (use.first == ~0u || use.last < loop.begin || use.first > loop.end) continue;
        const bool inside = use.first >= loop.begin && use.last <= loop.end;
        if ((inside && !use.read_first) || (use.first <= loop.begin && use.last >= loop.end)) continue;
        use.extend(loop.begin, loop.end);
        changed = true;
      }
  }
}

}  // namespace

void share_rows(Kernel& kernel, const std::vector<uint8_t>& register_bytes) {
  std::vector<Use> uses = find_uses(kernel, register_bytes.size());
  extend_over_loops(kernel, uses);
  for (size_t name = 0; name < kSpecialCount; ++name) uses[name] = {0, ~0u, false};
  std::vector<size_t> order;
  for (size_t name = 0; name < uses.size(); ++name)
    if (uses[name].first != ~0u) order.push_back(name);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return uses[a].first < uses[b].first; });
  std::vector<int32_t> rows(uses.size(), 0);
  std::map<uint32_t, std::vector<int32_t>> idle;  // Rows that no register holds, by their bytes.
  using Held = std::pair<uint32_t, size_t>;
  std::priority_queue<Held, std::vector<Held>, std::greater<>> held;  // By where their use ends.
  for (const size_t name : order) {
    while (!held.empty() && held.top().first < uses[name].first) {
      const size_t ended = held.top().second;
      idle[row_bytes(register_bytes[ended])].push_back(rows[ended]);
      held.pop();
    }
    const uint32_t bytes = row_bytes(register_bytes[name]);
    if (idle[bytes].empty()) {
      rows[name] = static_cast<int32_t>(kernel.register_bytes);
      kernel.register_bytes += (bytes + 31) / 32 * 32;
    } else {
      rows[name] = idle[bytes].back();
      idle[bytes].pop_back();
    }
    held.emplace(uses[name].last, name);
  }
  for (Instruction& instruction : kernel.code) {
    if (instruction.guard >= 0) instruction.guard = rows[static_cast<size_t>(instruction.guard)];
    for (uint32_t n = 0; n < instruction.operand_count; ++n)
      if (int32_t& row = instruction.at[n].row; row >= 0) row = rows[static_cast<size_t>(row)];
  }
}

}  // namespace redraft::cuda_ptx
