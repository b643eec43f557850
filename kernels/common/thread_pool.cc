#include "thread_pool.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "error.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif

namespace redraft {
namespace {

constexpr int kSpinsBeforeSleep = 20000;  // About 50 us: the gap between two loops of one step, seldom more.
constexpr int kSpinsBeforeYield = 2000;
constexpr int kSpinsBeforeLook = 64;  // At where a waiting thread is.

inline void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// A ticket carries all that tells whether it is still good, so that a thread which wakes late cannot mistake one run's
// ticket for another's: epoch (24 bits), task count (20), next index (20).
constexpr uint64_t kIndexBits = 20, kIndexMask = (uint64_t{1} << kIndexBits) - 1;
uint64_t ticket_of(uint64_t epoch, uint64_t count) { return (epoch << (2 * kIndexBits)) | (count << kIndexBits); }
uint64_t index_of(uint64_t ticket) { return ticket & kIndexMask; }
uint64_t count_of(uint64_t ticket) { return (ticket >> kIndexBits) & kIndexMask; }

int cpu_here() {
#if defined(__linux__)
  return sched_getcpu();
#else
  return -1;
#endif
}

}  // namespace

struct ThreadPool::State {
  alignas(64) std::atomic<uint64_t> ticket{0};
  alignas(64) std::atomic<size_t> remaining{0};
  alignas(64) std::atomic<uint32_t> epoch{0};
  std::atomic<int> sleepers{0};
  std::atomic<bool> stopping{false};
  Call call = nullptr;
  void* context = nullptr;
  std::mutex failure_mutex;
  std::exception_ptr failure;
  std::vector<std::thread> threads;
  std::vector<std::atomic<int>> cpus;  // Where each thread was last seen; -1 while it sleeps.

  void work() {
    for (;;) {
      // Look before taking: without it idle threads would run the index over its bits.
      if (index_of(ticket.load(std::memory_order_acquire)) >= count_of(ticket.load(std::memory_order_acquire))) return;
      const uint64_t mine = ticket.fetch_add(1, std::memory_order_acq_rel);
      if (index_of(mine) >= count_of(mine)) return;
      try {
        call(context, index_of(mine));  // Stable: this run cannot end before this task is counted as done.
      } catch (...) {
        const std::lock_guard lock(failure_mutex);
        if (!failure) failure = std::current_exception();
      }
      remaining.fetch_sub(1, std::memory_order_acq_rel);
    }
  }

  void live(size_t index) {
    uint32_t seen = 0;  // Not the epoch now: a pool destroyed before this thread got going would never wake it.
    for (;;) {
      work();
      int spins = 0;
      for (; epoch.load(std::memory_order_acquire) == seen && spins < kSpinsBeforeSleep; ++spins) {
        if (spins % kSpinsBeforeLook == 0) cpus[index].store(cpu_here(), std::memory_order_relaxed);
        pause();
      }
      if (epoch.load(std::memory_order_acquire) == seen) {
        cpus[index].store(-1, std::memory_order_relaxed);
        sleepers.fetch_add(1, std::memory_order_seq_cst);
        epoch.wait(seen, std::memory_order_seq_cst);
        sleepers.fetch_sub(1, std::memory_order_seq_cst);
      }
      seen = epoch.load(std::memory_order_acquire);
      if (stopping.load(std::memory_order_acquire)) return;
    }
  }

  void announce() {
    epoch.fetch_add(1, std::memory_order_seq_cst);
    if (sleepers.load(std::memory_order_seq_cst) > 0) epoch.notify_all();
  }
};

ThreadPool::ThreadPool(size_t thread_count) : state_(std::make_unique<State>()) {
  REDRAFT_ASSERT(thread_count >= 1 && thread_count <= 1024);
  state_->cpus = std::vector<std::atomic<int>>(thread_count);
  for (auto& cpu : state_->cpus) cpu = -1;
  for (size_t i = 1; i < thread_count; ++i) state_->threads.emplace_back([state = state_.get(), i] { state->live(i); });
}

ThreadPool::~ThreadPool() {
  state_->stopping.store(true, std::memory_order_release);
  state_->epoch.fetch_add(1, std::memory_order_seq_cst);
  state_->epoch.notify_all();
  for (auto& thread : state_->threads) thread.join();
}

size_t ThreadPool::thread_count() const { return state_->threads.size() + 1; }

void ThreadPool::spread_out() {
#if defined(__linux__)
  const auto holds = [&](int cpu) {
    return std::any_of(state_->cpus.begin(), state_->cpus.end(), [&](const auto& other) { return other == cpu; });
  };
  cpu_set_t all, rest;
  if (!holds(sched_getcpu()) || sched_getaffinity(0, sizeof all, &all) != 0) return;
  rest = all;
  for (const auto& cpu : state_->cpus)
    if (cpu >= 0) CPU_CLR(static_cast<size_t>(cpu.load()), &rest);
  if (CPU_COUNT(&rest) == 0) return;
  // The first call moves, the second lets the kernel move it again as it sees fit.
  if (sched_setaffinity(0, sizeof rest, &rest) == 0) sched_setaffinity(0, sizeof all, &all);
#endif
}

void ThreadPool::run_erased(size_t task_count, Call call, void* context) {
  if (task_count == 0) return;
  REDRAFT_ASSERT(task_count <= kIndexMask / 2);
  State& state = *state_;
  if (task_count == 1 || state.threads.empty()) {
    for (size_t i = 0; i < task_count; ++i) call(context, i);
    return;
  }
  state.call = call;
  state.context = context;
  state.remaining.store(task_count, std::memory_order_relaxed);
  const uint64_t epoch = (state.epoch.load(std::memory_order_relaxed) + 1) & 0xffffff;
  state.ticket.store(ticket_of(epoch, task_count), std::memory_order_release);
  state.announce();
  state.work();
  for (int spins = 0; state.remaining.load(std::memory_order_acquire) != 0; ++spins) {
    if (spins < kSpinsBeforeYield) pause();
    else std::this_thread::yield();
  }
  if (state.failure) std::rethrow_exception(std::exchange(state.failure, nullptr));
}

}  // namespace redraft
