#include "ptx_warp.h"

#include <algorithm>
#include <bit>

namespace redraft::cuda_ptx {

void Warp::start(uint32_t index, const cuda::Dim3& cta) {
  live_ = kAllLanes;
  groups_.assign(1, {0, kAllLanes, State::kReady});
  const cuda::Dim3& grid = launch_.shape.grid;
  const uint32_t same[] = {0, 0, 0, launch_.shape.threads, 1, 1, cta.x, cta.y, cta.z, grid.x, grid.y, grid.z};
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    const auto set = [&](uint32_t special, uint32_t value) {
      std::memcpy(&registers_[special * row_bytes(4) + lane * 4], &value, 4);
    };
    for (uint32_t special = 0; special < std::size(same); ++special) set(special, same[special]);
    set(0, index * kLanes + lane);
    set(12, lane);
    set(13, (1u << lane) - 1);
  }
}

uint32_t Warp::live_count() const { return static_cast<uint32_t>(std::popcount(live_)); }

uint32_t Warp::barrier_count() const {
  uint32_t count = 0;
  for (const Group& group : groups_)
    if (group.state == State::kAtBarrier) count += static_cast<uint32_t>(std::popcount(group.mask));
  return count;
}

void Warp::pass_barrier() {
  // bar.sync is "aligned": a warp's lanes come to it together.
  if (groups_.size() > 1) throw PtxFault("the lanes of a warp wait at different barriers");
  for (Group& group : groups_) ++group.at, group.state = State::kReady;
}

uint32_t Warp::guarded(const Instruction& instruction, uint32_t mask) const {
  if (instruction.guard < 0) return mask;
  uint32_t predicate;
  std::memcpy(&predicate, row(instruction.guard), 4);
  return mask & (instruction.guard_negated ? ~predicate : predicate);
}

// The lanes that must come before those of the mask can go on.
uint32_t Warp::wanted(const Instruction& instruction, uint32_t mask) const {
  if (instruction.kind == Kind::kAligned) return kAllLanes;
  const uint32_t* named = in<uint32_t>(instruction, instruction.operand_count - 1);
  const uint32_t first = named[std::countr_zero(mask)];
  const bool constant = instruction.at[instruction.operand_count - 1u].row < 0;
  for (uint32_t lane = 0; lane < kLanes && !constant; ++lane)
    if ((mask >> lane & 1) && named[lane] != first) throw PtxFault("lanes that name different masks");
  if (mask & ~first) throw PtxFault("a lane that its own mask leaves out");
  return first & live_;
}

// Lanes of the mask stay at the group's instruction, the others go on.
// Returns whether a group is left to run.
bool Warp::wait(size_t index, uint32_t mask, State state) {
  const Group group = groups_[index];
  groups_[index].mask = group.mask & ~mask, groups_[index].at = group.at + 1;
  groups_.push_back({group.at, mask, state});
  return groups_[index].mask != 0;
}

void Warp::run_group(size_t index) {
  const std::vector<Instruction>& code = launch_.kernel->code;
  uint32_t limit = ~0u;  // Where others wait to be joined.
  for (const Group& other : groups_)
    if (other.state == State::kReady && other.at > groups_[index].at) limit = std::min(limit, other.at);
  while (groups_[index].at < limit) {
    const uint32_t at = groups_[index].at, lanes = groups_[index].mask;
    const Instruction& instruction = code[at];
    current_ = at;
    if (launch_.instructions_left-- == 0) throw PtxFault("a CTA that does not end");
    const uint32_t mask = guarded(instruction, lanes);
    if (mask == 0) {
      ++groups_[index].at;
      continue;
    }
    switch (instruction.kind) {
      case Kind::kOperation:
        instruction.run(*this, instruction, mask);
        ++groups_[index].at;
        break;
      case Kind::kBranch:
        groups_[index].mask = mask, groups_[index].at = instruction.target;
        if (mask == lanes) break;
        groups_.push_back({at + 1, lanes & ~mask, State::kReady});
        return;
      case Kind::kReturn:
        live_ &= ~mask;
        groups_[index].mask = lanes & ~mask, ++groups_[index].at;
        if (mask == lanes) return;
        break;
      case Kind::kBarrier:
        if (!wait(index, mask, State::kAtBarrier)) return;
        break;
      default:
        if (mask == lanes && mask == wanted(instruction, mask)) {
          instruction.run(*this, instruction, mask);
          ++groups_[index].at;
        } else if (!wait(index, mask, State::kAtCollective)) return;
    }
  }
}

// Lanes that are at one instruction are one group again.
void Warp::join_groups() {
  for (size_t i = 0; i < groups_.size(); ++i)
    for (size_t j = i + 1; j < groups_.size(); ++j)
      if (groups_[i].at == groups_[j].at && groups_[i].state == groups_[j].state)
        groups_[i].mask |= groups_[j].mask, groups_[j].mask = 0;
  std::erase_if(groups_, [](const Group& group) { return group.mask == 0; });
}

// Performs an operation whose lanes have all come. Returns whether there was one.
bool Warp::perform_collective() {
  for (Group& group : groups_) {
    if (group.state != State::kAtCollective) continue;
    const Instruction& instruction = launch_.kernel->code[group.at];
    current_ = group.at;
    if (wanted(instruction, group.mask) != group.mask) continue;
    instruction.run(*this, instruction, group.mask);
    ++group.at, group.state = State::kReady;
    return true;
  }
  return false;
}

void Warp::run() {
  for (;;) {
    join_groups();
    size_t lowest = groups_.size();
    bool waiting = false;
    for (size_t i = 0; i < groups_.size(); ++i) {
      waiting = waiting || groups_[i].state == State::kAtCollective;
      if (groups_[i].state == State::kReady && (lowest == groups_.size() || groups_[i].at < groups_[lowest].at))
        lowest = i;
    }
    if (lowest < groups_.size()) run_group(lowest);
    else if (!waiting) return;
    else if (!perform_collective()) throw PtxFault("lanes wait for others that never come");
  }
}

}  // namespace redraft::cuda_ptx
