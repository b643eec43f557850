#include "free_memory.h"

#include <cstdint>

#include "test.h"

using namespace redraft;

TEST(FreeMemory, IsWhatTheMachineAndTheGroupLeave) {
  EXPECT_EQ(free_of_machine("MemTotal:  100 kB\nMemFree:   10 kB\nMemAvailable:   40 kB\n"), size_t{40} << 10);
  EXPECT_EQ(free_of_machine(""), SIZE_MAX);
  EXPECT_EQ(free_of_group("1000\n", "700\n", "anon 500\nfile 200\nfile_mapped 90\n", "file "), size_t{500});
  EXPECT_EQ(free_of_group("1000\n", "1200\n", "", "file "), size_t{0});
  EXPECT_EQ(free_of_group("max\n", "700\n", "file 200\n", "file "), SIZE_MAX);
  EXPECT_EQ(free_of_group("", "", "", "file "), SIZE_MAX);
  EXPECT_EQ(free_of_group("1000\n", "700\n", "cache 50\ntotal_cache 100\n", "total_cache "), size_t{400});
  EXPECT_EQ(free_memory() > 0, true);
}
