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

// Of the group in which this process is; in a container, its root.
std::string group_folder() {
  const std::string groups = read_text("/proc/self/cgroup");
  const size_t at = groups.rfind("0::/", 0) == 0 ? 0 : groups.find("\n0::/");
  if (at == std::string::npos) return "/sys/fs/cgroup";
  const size_t begin = groups.find("0::/", at) + 3;
  const std::string path = groups.substr(begin, groups.find('\n', begin) - begin);
  return "/sys/fs/cgroup" + (path == "/" ? "" : path);
}

}  // namespace

size_t free_of_machine(const std::string& meminfo) {
  size_t kib;
  return number_of(meminfo, "MemAvailable:", &kib) ? kib << 10 : SIZE_MAX;
}

size_t free_of_group(const std::string& max, const std::string& current, const std::string& stat) {
  size_t most, used, cached = 0;
  if (!number_of(max, "", &most) || !number_of(current, "", &used)) return SIZE_MAX;  // "max" is no number.
  number_of(stat, "file ", &cached);                                                  // Files that were read give way.
  used -= std::min(used, cached);
  return most - std::min(most, used);
}

size_t free_memory() {
  const std::string group = group_folder();
  return std::min(free_of_machine(read_text("/proc/meminfo")),
                  free_of_group(read_text(group + "/memory.max"), read_text(group + "/memory.current"),
                                read_text(group + "/memory.stat")));
}

}  // namespace redraft
