// How much memory this process may still take: what the machine has, and what its control groups leave it.
#pragma once
#include <cstddef>
#include <string>

namespace redraft {

// Bytes; SIZE_MAX where the system does not say.
size_t free_memory();

// The parts of it, by the texts of /proc/meminfo, and of a control group's memory.max, memory.current and memory.stat
// (Linux: Documentation/admin-guide/cgroup-v2.rst) or memory.limit_in_bytes, memory.usage_in_bytes and memory.stat
// (cgroup-v1/memory.rst). cache: the word of memory.stat before what files take. SIZE_MAX where a text does not say.
size_t free_of_machine(const std::string& meminfo);
size_t free_of_group(const std::string& max, const std::string& current, const std::string& stat,
                     const std::string& cache);

}  // namespace redraft
