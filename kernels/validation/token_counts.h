// How often a sequence's tokens occurred, for penalties. Sparse: a sequence knows few of the vocabulary's tokens.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace redraft {

class TokenCounts {
 public:
  struct Entry {
    int32_t token;
    uint32_t prompt_count;
    uint32_t generated_count;
  };

  void clear();
  void add_prompt(int32_t token) { ++entry(token).prompt_count; }
  void add_generated(int32_t token) { ++entry(token).generated_count; }
  void remove_generated(int32_t token);  // Takes one add_generated() back; asserts that there was one.
  uint32_t prompt_count(int32_t token) const;
  uint32_t generated_count(int32_t token) const;
  // Each token once, in order of first occurrence; the counts of one that was taken back may be 0.
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  size_t find(int32_t token) const;  // Its place in table_, or the free one where it belongs.
  Entry& entry(int32_t token);
  void grow();

  std::vector<Entry> entries_;
  std::vector<uint32_t> table_;  // Open addressing, a power of two: index in entries_ + 1, 0 = free.
};

}  // namespace redraft
