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

  // Calls task(i) once for every i in [0, task_count), on any thread, and returns when all are done. Which thread runs
  // which i varies from run to run, so a task's result must not depend on it. Not reentrant. An exception is rethrown
  // here.
  template <typename Task>
  void run(size_t task_count, Task&& task) {
    auto call = [](void* context, size_t index) { (*static_cast<std::remove_reference_t<Task>*>(context))(index); };
    run_erased(task_count, call, const_cast<void*>(static_cast<const void*>(&task)));
  }

 private:
  using Call = void (*)(void* context, size_t index);
  void run_erased(size_t task_count, Call call, void* context);
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace redraft
