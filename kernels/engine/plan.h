// The plan of a step, parsed and checked for what can be seen from its bytes alone (redraft.h gives the format).
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../beam_search/beam_search.h"
#include "../validation/sampling.h"

namespace redraft {

struct PlanRecord {
  uint32_t slot, flags, computed_count, page_start, verify_max;
  DraftBudget budget;
  std::vector<uint32_t> history;  // [computed_count] if RESET, else empty.
  std::vector<uint32_t> tokens;   // New context tokens.
  std::vector<uint32_t> pages;
  SamplingParams sampling;  // If RESET.
  uint32_t prompt_count;    // If RESET.
  std::vector<uint32_t> mask;  // [mask_count, ceil(vocab_size / 32)] if MASK, else empty. One without DRAFT.
  PackedTree draft;                // If DRAFT: tokens and parents alone, else count 0.
  std::vector<uint32_t> mask_of;   // [draft.count], the mask at each packed token.
  bool has(uint32_t flag) const { return (flags & flag) != 0; }
};

struct Plan {
  uint32_t step_id;
  std::vector<PlanRecord> records;
};

struct PlanLimits {
  uint32_t slots_max, pages_max, rows_max, context_max, vocab_size;
};

// Throws Error(REDRAFT_BAD_PLAN) that names the record's slot and the field.
Plan parse_plan(const uint8_t* bytes, size_t byte_count, const PlanLimits& limits);

// Writes a result: u32 words into the caller's buffer.
class ResultWriter {
 public:
  // Throws Error(REDRAFT_NO_SPACE) when a word does not fit.
  ResultWriter(uint8_t* bytes, size_t bytes_max) : bytes_(bytes), words_max_(bytes_max / 4) {}
  void put(uint32_t word);
  void put(float value);
  size_t word_count() const { return word_count_; }
  void set(size_t word, uint32_t value);

 private:
  uint8_t* bytes_;
  size_t words_max_, word_count_ = 0;
};

}  // namespace redraft
