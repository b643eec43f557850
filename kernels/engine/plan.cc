#include "plan.h"

#include <cstring>
#include <set>
#include <string>

#include "../common/error.h"
#include "../include/redraft.h"

namespace redraft {
namespace {

constexpr size_t kHeaderWords = REDRAFT_PLAN_HEADER_WORDS, kRecordWords = 14;

[[noreturn]] void refuse(const std::string& reason) { throw Error(REDRAFT_BAD_PLAN, "bad plan: " + reason); }

// Words of one record or of the header; nothing is read past the end.
class Words {
 public:
  Words(const uint8_t* bytes, size_t word_count, std::string what)
      : bytes_(bytes), left_(word_count), what_(std::move(what)) {}
  uint32_t next() {
    need(1);
    uint32_t word;
    std::memcpy(&word, bytes_, 4);
    bytes_ += 4, --left_;
    return word;
  }
  float next_float() {
    const uint32_t word = next();
    float value;
    std::memcpy(&value, &word, 4);
    return value;
  }
  std::vector<uint32_t> next_many(size_t count) {
    need(count);
    std::vector<uint32_t> words(count);
    if (count) std::memcpy(words.data(), bytes_, count * 4);
    bytes_ += count * 4, left_ -= count;
    return words;
  }
  size_t left() const { return left_; }

 private:
  void need(size_t count) const {
    if (count > left_) refuse(what_ + " ends too early");
  }
  const uint8_t* bytes_;
  size_t left_;
  std::string what_;
};

SamplingParams parse_sampling(Words& words, uint32_t* prompt_count, uint32_t vocab_size) {
  SamplingParams params;
  params.temperature = words.next_float();
  params.top_k = words.next();
  params.top_p = words.next_float();
  params.min_p = words.next_float();
  params.repetition_penalty = words.next_float();
  params.presence_penalty = words.next_float();
  params.frequency_penalty = words.next_float();
  const uint64_t seed_low = words.next();
  params.seed = seed_low | uint64_t{words.next()} << 32;
  params.logprobs = words.next();
  *prompt_count = words.next();
  const uint32_t bias_count = words.next();
  if (bias_count > REDRAFT_BIAS_MAX) refuse("bias_count is " + std::to_string(bias_count));
  for (uint32_t i = 0; i < bias_count; ++i) {
    const uint32_t token = words.next();
    if (token >= vocab_size) refuse("logit bias names token " + std::to_string(token) + ", which the model lacks");
    params.bias.push_back({static_cast<int32_t>(token), words.next_float()});
  }
  check_sampling(params, vocab_size);
  return params;
}

// A mask that allows nothing would leave no token to draw.
void check_masks(const PlanRecord& record, const std::string& slot, uint32_t vocab_size) {
  if (!record.has(REDRAFT_PLAN_SAMPLE)) refuse(slot + "MASK without SAMPLE");
  if (!record.has(REDRAFT_PLAN_DRAFT) && record.tokens.empty() && record.verify_max != 1)
    refuse(slot + "MASK with verify_max other than 1");
  const size_t words = (vocab_size + 31) / 32;
  for (size_t mask = 0; mask < record.mask.size(); mask += words) {
    uint32_t token = 0;
    while (token < vocab_size && !(record.mask[mask + token / 32] >> (token % 32) & 1)) ++token;
    if (token == vocab_size) refuse(slot + "its mask allows no token");
  }
}

// The words of a tree that the plan brings: how many packed tokens, then token, parent and mask of each.
void parse_draft(Words& words, PlanRecord& record, const std::string& slot, uint32_t vocab_size) {
  if (!record.has(REDRAFT_PLAN_MASK)) refuse(slot + "DRAFT without MASK");
  if (!record.tokens.empty()) refuse(slot + "DRAFT in the context phase");
  PackedTree& tree = record.draft;
  const uint32_t count = words.next();
  if (count < 1 || count > REDRAFT_TREE_TOKENS_MAX) refuse(slot + "its draft has " + std::to_string(count) + " tokens");
  const size_t mask_count = record.mask.size() / ((vocab_size + 31) / 32);
  int32_t depth[REDRAFT_TREE_TOKENS_MAX];
  for (int32_t r = 0; r < static_cast<int32_t>(count); ++r) {
    const uint32_t token = words.next();
    const int32_t parent = static_cast<int32_t>(words.next());
    if (token >= vocab_size) refuse(slot + "draft token " + std::to_string(token) + " is not in the vocabulary");
    if (r == 0 ? parent != -1 : parent < 0 || parent >= r)
      refuse(slot + "packed token " + std::to_string(r) + " has parent " + std::to_string(parent));
    depth[r] = r == 0 ? 0 : depth[parent] + 1;
    if (depth[r] >= static_cast<int32_t>(REDRAFT_BEAM_LENGTH_MAX)) refuse(slot + "its draft is too deep");
    for (int32_t other = 1; other < r; ++other)
      if (tree.parent[other] == parent && tree.token[other] == static_cast<int32_t>(token))
        refuse(slot + "two children of a packed token are equal");
    tree.token[r] = static_cast<int32_t>(token);
    tree.parent[r] = parent;
    record.mask_of.push_back(words.next());
    if (record.mask_of.back() >= mask_count) refuse(slot + "a draft token's mask is not there");
  }
  tree.count = static_cast<int32_t>(count);
}

PlanRecord parse_record(Words& words, const PlanLimits& limits) {
  PlanRecord record{};
  record.slot = words.next();
  const std::string slot = "slot " + std::to_string(record.slot) + ": ";
  if (record.slot >= limits.slots_max)
    refuse("slot " + std::to_string(record.slot) + " of " + std::to_string(limits.slots_max));
  const auto bounded = [&](const char* name, uint32_t max) {
    const uint32_t value = words.next();
    if (value > max) refuse(slot + name + " is " + std::to_string(value) + ", at most " + std::to_string(max));
    return value;
  };
  record.flags = bounded("flags", REDRAFT_PLAN_RESET | REDRAFT_PLAN_SAMPLE | REDRAFT_PLAN_TREE | REDRAFT_PLAN_MASK |
                                      REDRAFT_PLAN_DRAFT | REDRAFT_PLAN_NEXT);
  record.computed_count = bounded("computed_count", limits.context_max);
  const uint32_t token_count = bounded("token_count", limits.rows_max);
  const uint32_t table_max = (limits.context_max + REDRAFT_PAGE_TOKENS - 1) / REDRAFT_PAGE_TOKENS;
  record.page_start = bounded("page_start", table_max);
  const uint32_t page_count = bounded("page_count", table_max - record.page_start);
  record.budget.beam_width = static_cast<int32_t>(bounded("beam_width", REDRAFT_BEAM_WIDTH_MAX));
  record.budget.beam_length = static_cast<int32_t>(bounded("beam_length", REDRAFT_BEAM_LENGTH_MAX));
  record.budget.packed_max = static_cast<int32_t>(bounded("packed_max", REDRAFT_TREE_TOKENS_MAX));
  record.verify_max = bounded("verify_max", REDRAFT_TREE_TOKENS_MAX);
  record.budget.path_max = static_cast<int32_t>(bounded("path_max", REDRAFT_BEAM_LENGTH_MAX));
  record.budget.chance_min = words.next_float();
  if (!(record.budget.chance_min >= 0 && record.budget.chance_min <= 1))
    refuse(slot + "chance_min is " + std::to_string(record.budget.chance_min) + ", not in [0, 1]");
  const uint32_t mask_words = words.next();
  const uint32_t mask_size = (limits.vocab_size + 31) / 32;
  const uint32_t masks_max = record.has(REDRAFT_PLAN_DRAFT) ? REDRAFT_TREE_TOKENS_MAX : 1;
  if (record.has(REDRAFT_PLAN_MASK)
          ? mask_words == 0 || mask_words % mask_size != 0 || mask_words / mask_size > masks_max
          : mask_words != 0)
    refuse(slot + "mask_words is " + std::to_string(mask_words));
  if (record.computed_count + token_count > limits.context_max)
    refuse(slot + "its tokens pass the context of " + std::to_string(limits.context_max));
  if (record.has(REDRAFT_PLAN_RESET)) {
    if (token_count == 0) refuse(slot + "a RESET brings no new token");
    record.history = words.next_many(record.computed_count);
  }
  record.tokens = words.next_many(token_count);
  record.pages = words.next_many(page_count);
  for (const auto* tokens : {&record.history, &record.tokens})
    for (const uint32_t token : *tokens)
      if (token >= limits.vocab_size) refuse(slot + "token " + std::to_string(token) + " is not in the vocabulary");
  for (const uint32_t page : record.pages)
    if (page >= limits.pages_max)
      refuse(slot + "page " + std::to_string(page) + " of " + std::to_string(limits.pages_max));
  if (record.has(REDRAFT_PLAN_RESET)) record.sampling = parse_sampling(words, &record.prompt_count, limits.vocab_size);
  record.mask = words.next_many(mask_words);
  if (mask_words > 0) check_masks(record, slot, limits.vocab_size);
  if (record.has(REDRAFT_PLAN_DRAFT)) parse_draft(words, record, slot, limits.vocab_size);
  if (words.left() != 0) refuse(slot + std::to_string(words.left()) + " words are left over");
  return record;
}

}  // namespace

Plan parse_plan(const uint8_t* bytes, size_t byte_count, const PlanLimits& limits) {
  if (byte_count % 4 != 0) refuse("its size is not whole words");
  Words words(bytes, byte_count / 4, "the plan");
  if (words.next() != REDRAFT_PLAN_MAGIC) refuse("its magic number is wrong");
  const uint32_t version = words.next();
  if (version != REDRAFT_ABI_VERSION) refuse("version " + std::to_string(version));
  if (words.next() != byte_count) refuse("plan_bytes is not its size");
  Plan plan;
  plan.step_id = words.next();
  const uint32_t sequence_count = words.next();
  if (sequence_count == 0 || sequence_count > limits.slots_max)
    refuse("sequence_count is " + std::to_string(sequence_count));
  words.next_many(kHeaderWords - 5);
  std::set<uint32_t> slots;
  size_t at = kHeaderWords * 4;
  for (uint32_t i = 0; i < sequence_count; ++i) {
    const uint32_t record_bytes = words.next();
    if (record_bytes % 4 != 0 || record_bytes < kRecordWords * 4 || record_bytes > byte_count - at)
      refuse("record_bytes is " + std::to_string(record_bytes));
    Words record_words(bytes + at + 4, record_bytes / 4 - 1, "record " + std::to_string(i));
    plan.records.push_back(parse_record(record_words, limits));
    if (!slots.insert(plan.records.back().slot).second)
      refuse("slot " + std::to_string(plan.records.back().slot) + " has two records");
    words.next_many(record_bytes / 4 - 1);
    at += record_bytes;
  }
  if (words.left() != 0) refuse(std::to_string(words.left()) + " words follow the last record");
  return plan;
}

void ResultWriter::put(uint32_t word) {
  if (word_count_ >= words_max_) throw Error(REDRAFT_NO_SPACE, "the result buffer is too small");
  std::memcpy(bytes_ + 4 * word_count_++, &word, 4);
}

void ResultWriter::put(float value) {
  uint32_t word;
  std::memcpy(&word, &value, 4);
  put(word);
}

void ResultWriter::set(size_t word, uint32_t value) { std::memcpy(bytes_ + 4 * word, &value, 4); }

}  // namespace redraft
