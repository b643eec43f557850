#include "thread_pool.h"

#if defined(__linux__)
#include <sched.h>
#endif

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "error.h"
#include "test.h"

using namespace redraft;

TEST(ThreadPool, RunsEachTaskOnceOverManyRuns) {
  ThreadPool pool(4);
  for (size_t round = 0; round < 3000; ++round) {
    const size_t count = round % 37;
    std::vector<std::atomic<int>> seen(count);
    pool.run(count, [&](size_t i) { seen[i].fetch_add(1); });
    for (auto& times : seen) EXPECT_EQ(times.load(), 1);
    if (round % 1000 == 999) std::this_thread::sleep_for(std::chrono::milliseconds(5));  // Lets the threads sleep.
  }
}

TEST(ThreadPool, SharesMakeUpTheWhole) {
  ThreadPool pool(3);
  for (size_t round = 0; round < 3000; ++round) {
    const size_t count = round * 7 % 211;
    std::vector<std::atomic<int>> seen(count);
    pool.share(count, [&](size_t begin, size_t end) {
      EXPECT_TRUE(begin < end && end <= count);
      for (size_t i = begin; i < end; ++i) seen[i].fetch_add(1);
    });
    for (auto& times : seen) EXPECT_EQ(times.load(), 1);
  }
}

TEST(ThreadPool, OneThatIsHeldUpHoldsNobodyUp) {
  ThreadPool pool(2);
  constexpr size_t kCount = 100;
  for (const size_t slow : {size_t{0}, kCount / 2}) {  // Of the thread's share, of the caller's.
    std::atomic<size_t> done{0};
    bool is_alone = false;
    pool.share(kCount, [&](size_t begin, size_t end) {
      if (begin == slow) {
        const size_t others = kCount - (end - begin);
        const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (done < others && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
        is_alone = done == others;
      }
      done += end - begin;
    });
    EXPECT_TRUE(is_alone);
    EXPECT_EQ(done.load(), kCount);
  }
}

TEST(ThreadPool, RethrowsATasksException) {
  ThreadPool pool(2);
  for (int round = 0; round < 20; ++round)
    EXPECT_THROW(pool.run(8,
                          [](size_t i) {
                            if (i == 5) throw Error(REDRAFT_INTERNAL, "task five");
                          }),
                 REDRAFT_INTERNAL, "five");
  std::atomic<int> sum{0};
  pool.run(10, [&](size_t i) { sum += static_cast<int>(i); });
  EXPECT_EQ(sum.load(), 45);
}

#if defined(__linux__)
TEST(ThreadPool, SpreadingOutLeavesTheCallerFreeToRunAnywhere) {
  ThreadPool pool(2);
  cpu_set_t before, after;
  EXPECT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  for (int round = 0; round < 100; ++round) {
    pool.run(4, [](size_t) {});
    pool.spread_out();
  }
  EXPECT_EQ(sched_getaffinity(0, sizeof after, &after), 0);
  EXPECT_TRUE(CPU_EQUAL(&before, &after));
}
#endif

TEST(ThreadPool, DoesNotSpinWhileIdle) {
  ThreadPool pool(2);
  pool.run(4, [](size_t) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const std::clock_t before = std::clock();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_TRUE(double(std::clock() - before) / CLOCKS_PER_SEC < 0.02);
}
