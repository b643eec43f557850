// How much memory this process may still take: what the machine has, and what its control group leaves it.
#pragma once
#include <cstddef>
#include <string>

namespace redraft {

// Bytes; SIZE_MAX where the system does not say.
size_t free_memory();

// The parts of it, by the texts of /proc/meminfo, and of memory.max, memory.current and memory.stat of a control group
// (Linux: Documentation/admin-guide/cgroup-v2.rst). SIZE_MAX where a text does not say.
size_t free_of_machine(const std::string& meminfo);
size_t free_of_group(const std::string& max, const std::string& current, const std::string& stat);

}  // namespace redraft
