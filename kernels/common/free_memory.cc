#include "free_memory.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace redraft {
namespace {

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// The number behind a word at the start of a line.
bool number_of(const std::string& text, const std::string& word, size_t* value) {
  size_t at = text.rfind(word, 0) == 0 ? 0 : text.find("\n" + word);
  if (at == std::string::npos) return false;
  at = text.find(word, at) + word.size();
  const char* const begin = text.c_str() + at;
  char* end;
  *value = std::strtoull(begin, &end, 10);
  return end != begin;
}

// The path behind "N:controller:" in /proc/self/cgroup; empty where there is none.
std::string path_of(const std::string& groups, const std::string& controller) {
  std::istringstream lines(groups);
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    if (line.substr(first + 1, second - first - 1) == controller) return line.substr(second + 1);
  }
  return "";
}

// What a group and all above it leave; a container sees its own as the root.
template <typename FreeIn>
size_t free_up_from(const std::string& root, std::string path, FreeIn&& free_in) {
  size_t least = free_in(root);
  for (; path.size() > 1; path.erase(path.rfind('/'))) least = std::min(least, free_in(root + path));
  return least;
}

}  // namespace

size_t free_of_machine(const std::string& meminfo) {
  size_t kib;
  return number_of(meminfo, "MemAvailable:", &kib) ? kib << 10 : SIZE_MAX;
}

size_t free_of_group(const std::string& max, const std::string& current, const std::string& stat,
                     const std::string& cache) {
  size_t most, used, cached = 0;
  if (!number_of(max, "", &most) || !number_of(current, "", &used)) return SIZE_MAX;  // "max" is no number.
  number_of(stat, cache, &cached);                                                    // Files that were read give way.
  used -= std::min(used, cached);
  return most - std::min(most, used);
}

size_t free_memory() {
  const std::string groups = read_text("/proc/self/cgroup");
  const auto free_in_v2 = [](const std::string& folder) {
    return free_of_group(read_text(folder + "/memory.max"), read_text(folder + "/memory.current"),
                         read_text(folder + "/memory.stat"), "file ");
  };
  const auto free_in_v1 = [](const std::string& folder) {
    return free_of_group(read_text(folder + "/memory.limit_in_bytes"), read_text(folder + "/memory.usage_in_bytes"),
                         read_text(folder + "/memory.stat"), "total_cache ");
  };
  return std::min({free_of_machine(read_text("/proc/meminfo")),
                   free_up_from("/sys/fs/cgroup", path_of(groups, ""), free_in_v2),
                   free_up_from("/sys/fs/cgroup/memory", path_of(groups, "memory"), free_in_v1)});
}

}  // namespace redraft
