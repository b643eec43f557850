#include "thread_pool.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "error.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(__linux__)
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace redraft {
namespace {

constexpr int kSpinsBeforeSleep = 20000;  // 0.05 to 0.8 ms, as the processor pauses: a gap within or between steps.
constexpr int kSpinsBeforeYield = 2000;
constexpr int kSpinsBeforeLook = 64;  // At where a waiting thread is.

inline void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// What is left of a thread's share, [begin, end), in one word, so that its owner and who takes from it agree. It says
// nothing of the run it belongs to, and need not: whoever took a piece holds up that piece's run, which tells the rest.
struct alignas(64) Share {
  std::atomic<uint64_t> left{0};

  void set(size_t begin, size_t end) { left.store(uint64_t{begin} << 32 | end, std::memory_order_release); }
  // Half of what is left, at least one.
  bool take(bool from_front, size_t* begin, size_t* end) {
    uint64_t now = left.load(std::memory_order_acquire);
    for (;;) {
      *begin = now >> 32, *end = now & 0xffffffff;
      if (*begin >= *end) return false;
      const size_t size = std::max<size_t>(1, (*end - *begin) / 2);
      if (from_front) *end = *begin + size;
      else *begin = *end - size;
      const uint64_t rest = from_front ? now + (uint64_t{size} << 32) : now - size;
      if (left.compare_exchange_weak(now, rest, std::memory_order_acq_rel, std::memory_order_acquire)) return true;
    }
  }
};

// Keeps threads that compute together on CPUs of their own. The kernel often wakes a thread on the CPU of one that
// computes or spins, and lets both share it for many milliseconds while another CPU is idle. Nothing is pinned: a
// thread moves, and is free to go anywhere again.
#if defined(__linux__)
struct Place {
  std::atomic<int> cpu{-1};  // Where the thread was last seen; -1 while it sleeps.
  std::atomic<pid_t> thread{0};
  std::atomic<bool> is_kept_off{false};
  cpu_set_t home;  // While it is kept off: where it may go afterwards.

  void see() { cpu.store(sched_getcpu(), std::memory_order_relaxed); }
  void sleep() { cpu.store(-1, std::memory_order_relaxed); }
  // By the thread itself, once it runs.
  void settle() {
    thread.store(static_cast<pid_t>(syscall(SYS_gettid)), std::memory_order_relaxed);
    const bool was_kept_off = is_kept_off.load(std::memory_order_acquire);
    if (was_kept_off) sched_setaffinity(0, sizeof home, &home);
    see();
    // Last: from here on another may write to home.
    if (was_kept_off) is_kept_off.store(false, std::memory_order_release);
  }
  // By another, before it wakes this one.
  void keep_off(int other) {
    const pid_t id = thread.load(std::memory_order_relaxed);
    if (id == 0 || other < 0 || cpu.load(std::memory_order_relaxed) >= 0 || is_kept_off.load(std::memory_order_acquire))
      return;
    if (sched_getaffinity(id, sizeof home, &home) != 0) return;
    cpu_set_t rest = home;
    CPU_CLR(static_cast<size_t>(other), &rest);
    if (CPU_COUNT(&rest) == 0 || sched_setaffinity(id, sizeof rest, &rest) != 0) return;
    is_kept_off.store(true, std::memory_order_release);
  }
};
int cpu_here() { return sched_getcpu(); }

void leave(const std::vector<Place>& places) {
  const int here = sched_getcpu();
  cpu_set_t all;
  const auto holds = [&](const Place& place) { return place.cpu.load(std::memory_order_relaxed) == here; };
  if (std::none_of(places.begin(), places.end(), holds) || sched_getaffinity(0, sizeof all, &all) != 0) return;
  cpu_set_t rest = all;
  for (const Place& place : places)
    if (const int cpu = place.cpu.load(std::memory_order_relaxed); cpu >= 0) CPU_CLR(static_cast<size_t>(cpu), &rest);
  if (CPU_COUNT(&rest) != 0 && sched_setaffinity(0, sizeof rest, &rest) == 0) sched_setaffinity(0, sizeof all, &all);
}
#else
struct Place {
  void see() {}
  void sleep() {}
  void settle() {}
  void keep_off(int) {}
};
int cpu_here() { return -1; }
void leave(const std::vector<Place>&) {}
#endif

}  // namespace

struct ThreadPool::State {
  alignas(64) std::atomic<size_t> remaining{0};
  alignas(64) std::atomic<uint32_t> epoch{0};
  std::atomic<int> sleepers{0};
  std::atomic<bool> stopping{false};
  Call call = nullptr;
  void* context = nullptr;
  std::mutex failure_mutex;
  std::exception_ptr failure;
  std::vector<std::thread> threads;
  std::vector<Place> places;  // Of the threads.
  std::vector<Share> shares;  // Of the threads, then the caller's.

  void work(size_t own) {
    for (size_t i = 0; i < shares.size(); ++i) {
      size_t done = 0, begin, end;
      while (shares[(own + i) % shares.size()].take(i == 0, &begin, &end)) {
        try {
          call(context, begin, end);  // Stable: this run cannot end before this piece is counted as done.
        } catch (...) {
          const std::lock_guard lock(failure_mutex);
          if (!failure) failure = std::current_exception();
        }
        done += end - begin;
      }
      if (done != 0) remaining.fetch_sub(done, std::memory_order_acq_rel);
    }
  }

  void live(size_t index) {
    places[index].settle();
    uint32_t seen = 0;  // Not the epoch now: a pool destroyed before this thread got going would never wake it.
    for (;;) {
      work(index);
      int spins = 0;
      for (; epoch.load(std::memory_order_acquire) == seen && spins < kSpinsBeforeSleep; ++spins) {
        if (spins % kSpinsBeforeLook == 0) places[index].see();
        pause();
      }
      if (epoch.load(std::memory_order_acquire) == seen) {
        places[index].sleep();
        sleepers.fetch_add(1, std::memory_order_seq_cst);
        epoch.wait(seen, std::memory_order_seq_cst);
        sleepers.fetch_sub(1, std::memory_order_seq_cst);
        places[index].settle();
      }
      seen = epoch.load(std::memory_order_acquire);
      if (stopping.load(std::memory_order_acquire)) return;
    }
  }

  void stop() {
    stopping.store(true, std::memory_order_release);
    epoch.fetch_add(1, std::memory_order_seq_cst);
    epoch.notify_all();
    for (auto& thread : threads) thread.join();
  }

  void announce() {
    epoch.fetch_add(1, std::memory_order_seq_cst);
    if (sleepers.load(std::memory_order_seq_cst) == 0) return;
    const int here = cpu_here();
    for (Place& place : places) place.keep_off(here);
    epoch.notify_all();
  }
};

ThreadPool::ThreadPool(size_t thread_count) : state_(std::make_unique<State>()) {
  REDRAFT_ASSERT(thread_count >= 1 && thread_count <= 1024);
  state_->places = std::vector<Place>(thread_count - 1);
  state_->shares = std::vector<Share>(thread_count);
  try {
    for (size_t i = 0; i + 1 < thread_count; ++i)
      state_->threads.emplace_back([state = state_.get(), i] { state->live(i); });
  } catch (const std::system_error& error) {
    state_->stop();
    throw Error(REDRAFT_NO_MEMORY, "cannot start " + std::to_string(thread_count) + " threads: " + error.what());
  }
}

ThreadPool::~ThreadPool() { state_->stop(); }

size_t ThreadPool::thread_count() const { return state_->threads.size() + 1; }

void ThreadPool::spread_out() { leave(state_->places); }

void ThreadPool::share_erased(size_t count, Call call, void* context) {
  if (count == 0) return;
  State& state = *state_;
  if (count == 1 || state.threads.empty()) return call(context, 0, count);
  REDRAFT_ASSERT(count <= 0xffffffff);
  state.call = call;
  state.context = context;
  state.remaining.store(count, std::memory_order_relaxed);
  const size_t thread_count = state.shares.size();
  for (size_t i = 0; i < thread_count; ++i)
    state.shares[i].set(i * count / thread_count, (i + 1) * count / thread_count);
  state.announce();
  state.work(thread_count - 1);
  for (int spins = 0; state.remaining.load(std::memory_order_acquire) != 0; ++spins) {
    if (spins < kSpinsBeforeYield) pause();
    else std::this_thread::yield();
  }
  if (state.failure) std::rethrow_exception(std::exchange(state.failure, nullptr));
}

}  // namespace redraft
