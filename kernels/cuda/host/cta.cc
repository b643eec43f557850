#include "cta.h"

#include <sys/mman.h>

#include <map>
#include <new>

#include "access_check.h"
#include "cta_mma.h"
#include "fibre.h"

namespace redraft::cuda_host {

thread_local constinit Running running{};

namespace {

enum class State : uint8_t { kReady, kAtBarrier, kAtCollective, kDone };

struct Fibre {
  void* stack_pointer;
  State state;
  Collective kind;
  uint32_t mask, value, argument, result;
  void* pointer;
};

// The machine that a launch runs on: one a host thread.
struct Machine {
  FibreStacks stacks;
  std::vector<Fibre> fibres;
  std::vector<uint32_t> warp_epochs;
  uint8_t* shared = nullptr;  // Static memory first, dynamic memory from kSharedStaticMax on.
  void* scheduler = nullptr;  // Its stack pointer while a fibre runs.
  uint32_t current = 0, thread_count = 0;
  const Kernel* kernel = nullptr;
  const void* params = nullptr;
  std::string problem;
  AccessPlace place{};

  ~Machine() {
    if (shared) munmap(shared, kSharedStaticMax + kSharedDynamicMax);
  }
  Fibre& fibre() { return fibres[current]; }
};

thread_local Machine machine;
uint32_t next_stamp = 2;  // 1: what was written by a copy.
bool reverse_order = false;

void stop() { fibre_switch(&machine.fibre().stack_pointer, machine.scheduler); }

void fibre_entry() {
  machine.kernel->body(machine.params);
  machine.fibre().state = State::kDone;
  stop();
}

void resume(uint32_t index) {
  Machine& m = machine;
  m.current = index;
  running.thread = {index, 0, 0};
  m.place.stack_begin = m.stacks.begin(index), m.place.stack_end = m.place.stack_begin + kStackBytes;
  m.place.thread = index;
  m.place.warp_epoch = m.warp_epochs[index / 32];
  access_place = &m.place;
  fibre_switch(&m.scheduler, m.fibres[index].stack_pointer);
  access_place = nullptr;
}

std::map<std::string, Kernel>& kernel_table() {
  static std::map<std::string, Kernel> table;
  return table;
}

uint32_t shuffle_source(Collective kind, uint32_t lane, uint32_t argument) {
  switch (kind) {
    case Collective::kIndex: return argument % 32;
    case Collective::kUp: return argument > lane ? lane : lane - argument;
    case Collective::kDown: return lane + argument > 31 ? lane : lane + argument;
    case Collective::kXor: return (lane ^ argument) % 32;
    default: return lane;
  }
}

// All of `group` have met at the same operation.
void perform(uint32_t warp, uint32_t group) {
  Machine& m = machine;
  Fibre* lanes = &m.fibres[warp * 32];
  const Collective kind = lanes[__builtin_ctz(group)].kind;
  uint32_t votes = 0;
  for (uint32_t lane = 0; lane < 32; ++lane)
    if (group >> lane & 1 && lanes[lane].value) votes |= 1u << lane;
  if (is_mma(kind) && group != 0xffffffffu) {
    m.problem = "a matrix instruction without all lanes";
    return;
  }
  if (is_mma(kind)) {
    void* arguments[32];
    for (uint32_t lane = 0; lane < 32; ++lane) arguments[lane] = lanes[lane].pointer;
    multiply_fragments(kind, arguments);
  }
  for (uint32_t lane = 0; lane < 32; ++lane) {
    if (!(group >> lane & 1)) continue;
    const uint32_t source = shuffle_source(kind, lane, lanes[lane].argument);
    if (!(group >> source & 1)) m.problem = "a shuffle from lane " + std::to_string(source) + ", which takes no part";
    lanes[lane].result = kind == Collective::kBallot ? votes : lanes[source].value;
    lanes[lane].state = State::kReady;
  }
  // Shuffles and votes order no memory accesses; only __syncwarp() of the whole warp does.
  if (kind == Collective::kSync && group == 0xffffffffu) ++m.warp_epochs[warp];
}

// Performs an operation of this warp whose lanes are all there. Returns whether there was one.
bool join(uint32_t warp) {
  Machine& m = machine;
  const Fibre* lanes = &m.fibres[warp * 32];
  for (uint32_t lane = 0; lane < 32; ++lane) {
    if (lanes[lane].state != State::kAtCollective) continue;
    const uint32_t mask = lanes[lane].mask;
    bool complete = true;
    uint32_t group = 0;
    for (uint32_t other = 0; other < 32; ++other) {
      if (!(mask >> other & 1) || lanes[other].state == State::kDone) continue;
      group |= 1u << other;
      complete = complete && lanes[other].state == State::kAtCollective && lanes[other].mask == mask &&
                 lanes[other].kind == lanes[lane].kind;
    }
    if (!(mask >> lane & 1)) m.problem = "a lane that its own mask leaves out";
    if (!complete) continue;
    perform(warp, group);
    return true;
  }
  return false;
}

// Runs a warp until each of its lanes waits for another warp, or is done.
void run_warp(uint32_t warp) {
  Machine& m = machine;
  do {
    for (uint32_t i = 0; i < 32 && m.problem.empty(); ++i) {
      const uint32_t index = warp * 32 + (reverse_order ? 31 - i : i);
      if (m.fibres[index].state == State::kReady) resume(index);
    }
  } while (m.problem.empty() && join(warp));
}

void run_cta() {
  Machine& m = machine;
  m.place.cta_stamp = next_stamp++;
  m.place.cta_epoch = 0;
  m.warp_epochs.assign(m.thread_count / 32, 0);
  for (uint32_t i = 0; i < m.thread_count; ++i)
    m.fibres[i] = {m.stacks.prepare(i, fibre_entry), {}, {}, 0, 0, 0, 0, {}};
  const uint32_t warp_count = m.thread_count / 32;
  while (m.problem.empty()) {
    for (uint32_t w = 0; w < warp_count && m.problem.empty(); ++w) run_warp(reverse_order ? warp_count - 1 - w : w);
    uint32_t waiting = 0, done = 0;
    for (const Fibre& fibre : m.fibres)
      waiting += fibre.state == State::kAtBarrier, done += fibre.state == State::kDone;
    if (!m.problem.empty() || done == m.thread_count) return;
    if (waiting != m.thread_count) {
      m.problem = std::to_string(waiting) + " of " + std::to_string(m.thread_count) + " threads wait at a barrier, " +
                  std::to_string(done) + " have ended: it will never open";
      return;
    }
    for (Fibre& fibre : m.fibres) fibre.state = State::kReady;
    ++m.place.cta_epoch;
  }
}

}  // namespace

RegisterKernel::RegisterKernel(const Kernel& kernel) { kernel_table().emplace(kernel.name, kernel); }

const Kernel& find_kernel(const std::string& name) {
  const auto place = kernel_table().find(name);
  if (place == kernel_table().end()) throw DeviceFault("no kernel is named " + name);
  return place->second;
}

std::vector<const Kernel*> all_kernels() {
  std::vector<const Kernel*> all;
  for (const auto& [name, kernel] : kernel_table()) all.push_back(&kernel);
  return all;
}

void run_in_reverse(bool reverse) { reverse_order = reverse; }

void launch(const Kernel& kernel, const LaunchShape& shape, const void* params) {
  Machine& m = machine;
  const Dim3& grid = shape.grid;
  if (shape.threads == 0 || shape.threads % 32 != 0 || shape.threads > kernel.threads_max ||
      shape.shared_bytes > kSharedDynamicMax || grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.y > 65535 ||
      grid.z > 65535)
    throw DeviceFault(std::string(kernel.name) + ": a launch of " + std::to_string(grid.x) + " x " +
                      std::to_string(grid.y) + " x " + std::to_string(grid.z) + " CTAs of " +
                      std::to_string(shape.threads) + " threads and " + std::to_string(shape.shared_bytes) +
                      " bytes of shared memory is not allowed");
  if (!m.shared) {
    void* memory = mmap(nullptr, kSharedStaticMax + kSharedDynamicMax, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    m.shared = static_cast<uint8_t*>(memory);
  }
  m.thread_count = shape.threads;
  m.stacks.reserve(shape.threads);
  m.fibres.resize(shape.threads);
  m.kernel = &kernel, m.params = params;
  m.problem.clear();
  running.block_size = {shape.threads, 1, 1}, running.grid_size = grid;
  m.place.launch_stamp = next_stamp;
  m.place.params_begin = reinterpret_cast<uintptr_t>(params);
  m.place.params_end = m.place.params_begin + kernel.param_bytes;
  m.place.index_begin = reinterpret_cast<uintptr_t>(&running);
  m.place.index_end = m.place.index_begin + sizeof running;
  m.place.shared_begin = reinterpret_cast<uintptr_t>(m.shared);
  m.place.shared_end = m.place.shared_begin + kSharedStaticMax + shape.shared_bytes;
  for (uint32_t z = 0; z < grid.z; ++z)
    for (uint32_t y = 0; y < grid.y; ++y)
      for (uint32_t x = 0; x < grid.x; ++x) {
        running.block = {x, y, z};
        run_cta();
        if (m.problem.empty()) continue;
        throw DeviceFault(std::string(kernel.name) + ", CTA (" + std::to_string(x) + ", " + std::to_string(y) + ", " +
                          std::to_string(z) + "), thread " + std::to_string(m.current) + ": " + m.problem);
      }
}

void fault(const std::string& what) {
  access_place = nullptr;
  machine.problem = what;
  machine.fibre().state = State::kDone;
  stop();
}

void* static_shared(size_t bytes) {
  const Unchecked unchecked;
  if (bytes > kSharedStaticMax) fault("more static shared memory than a CTA may have");
  return machine.shared;
}

void* dynamic_shared() {
  const Unchecked unchecked;
  return machine.shared + kSharedStaticMax;
}

void barrier() {
  access_place = nullptr;  // Until resume().
  machine.fibre().state = State::kAtBarrier;
  stop();
}

uint32_t collective(Collective kind, uint32_t mask, uint32_t value, uint32_t argument, void* pointer) {
  access_place = nullptr;
  Fibre& fibre = machine.fibre();
  fibre.state = State::kAtCollective;
  fibre.kind = kind, fibre.mask = mask, fibre.value = value, fibre.argument = argument, fibre.pointer = pointer;
  stop();
  return fibre.result;
}

void before_atomic(void* address, size_t bytes) {
  const Unchecked unchecked;
  if (!checks_memory()) return;
  if (std::string problem =
          check_access(*unchecked.place(), reinterpret_cast<uintptr_t>(address), bytes, Access::kAtomic);
      !problem.empty())
    fault("atomic of " + std::to_string(bytes) + " bytes: " + problem);
}

}  // namespace redraft::cuda_host
