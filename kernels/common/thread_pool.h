// Threads of the engine's own. run() splits a loop over them; between runs of one step they spin briefly, then sleep.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>

namespace redraft {

class ThreadPool {
 public:
  // thread_count includes the caller of run(); at least 1.
  explicit ThreadPool(size_t thread_count);
  ~ThreadPool();  // Joins.
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  size_t thread_count() const;

  // Moves the calling thread off a CPU that one of the pool's threads holds, if there is another. Worth calling before
  // many runs, by a caller that may have slept since the last ones.
  void spread_out();

  // Calls task(begin, end) for ranges that make up [0, count), and returns when all are done. Every thread begins with
  // a share of its own and takes it from the front, in ever smaller pieces, so that what it reads lies in one piece;
  // who is done takes from the ends of the others' shares, so that one that is held up holds nobody up. How it is cut
  // and who does what vary from run to run, so a task's result must not depend on it. Not reentrant. An exception is
  // rethrown here.
  template <typename Task>
  void share(size_t count, Task&& task) {
    auto call = [](void* context, size_t begin, size_t end) {
      (*static_cast<std::remove_reference_t<Task>*>(context))(begin, end);
    };
    share_erased(count, call, const_cast<void*>(static_cast<const void*>(&task)));
  }

  // Calls task(i) once for every i in [0, count), likewise.
  template <typename Task>
  void run(size_t count, Task&& task) {
    share(count, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) task(i);
    });
  }

 private:
  using Call = void (*)(void* context, size_t begin, size_t end);
  void share_erased(size_t count, Call call, void* context);
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace redraft
