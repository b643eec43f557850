#include "token_counts.h"

#include "../common/error.h"

namespace redraft {

void TokenCounts::clear() {
  entries_.clear();
  table_.assign(table_.size(), 0);
}

size_t TokenCounts::find(int32_t token) const {
  const size_t mask = table_.size() - 1;
  size_t place = (static_cast<uint32_t>(token) * 2654435769u) >> 7 & mask;  // Fibonacci hashing.
  while (table_[place] && entries_[table_[place] - 1].token != token) place = (place + 1) & mask;
  return place;
}

void TokenCounts::grow() {
  table_.assign(table_.empty() ? 64 : table_.size() * 2, 0);
  for (size_t i = 0; i < entries_.size(); ++i) table_[find(entries_[i].token)] = static_cast<uint32_t>(i + 1);
}

TokenCounts::Entry& TokenCounts::entry(int32_t token) {
  if (entries_.size() * 2 >= table_.size()) grow();
  const size_t place = find(token);
  if (!table_[place]) {
    entries_.push_back({token, 0, 0});
    table_[place] = static_cast<uint32_t>(entries_.size());
  }
  return entries_[table_[place] - 1];
}

void TokenCounts::remove_generated(int32_t token) {
  REDRAFT_ASSERT(generated_count(token) > 0);
  --entry(token).generated_count;
}

uint32_t TokenCounts::prompt_count(int32_t token) const {
  if (table_.empty()) return 0;
  const size_t place = find(token);
  return table_[place] ? entries_[table_[place] - 1].prompt_count : 0;
}

uint32_t TokenCounts::generated_count(int32_t token) const {
  if (table_.empty()) return 0;
  const size_t place = find(token);
  return table_[place] ? entries_[table_[place] - 1].generated_count : 0;
}

}  // namespace redraft
