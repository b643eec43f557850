// An engine behind its C ABI on a tiny model with random weights and a random draft head, and runs of it: for
// engine_test.cc.
#pragma once
#include <cstring>
#include <fstream>
#include <random>

#include "../common/error.h"
#include "../common/safetensors_writer.h"
#include "../common/sha256.h"
#include "../common/test.h"
#include "../include/redraft.h"
#include "../target_model/gguf_writer.h"

namespace redraft::test {

constexpr uint32_t kVocab = 96;

inline uint32_t word_of(float value) {
  uint32_t word;
  std::memcpy(&word, &value, 4);
  return word;
}

struct Sampling {
  float temperature = 0;
  uint32_t seed = 1;
  float repetition = 1;
  std::vector<uint32_t> forced = {};  // Tokens that a bias makes likelier than all others.
};

struct Record {
  uint32_t slot, flags, computed = 0;
  std::vector<uint32_t> tokens, history, pages;
  uint32_t width = 0, length = 0, packed = 0, verify_max = 0;
  Sampling sampling = {};
  uint32_t path_max = 0;
  float chance_min = 0;
  std::vector<uint32_t> mask = {};
  std::vector<uint32_t> draft = {};  // With DRAFT: token, parent and mask of each packed token.

  std::vector<uint32_t> words() const {
    std::vector<uint32_t> out = {0,
                                 slot,
                                 flags,
                                 computed,
                                 static_cast<uint32_t>(tokens.size()),
                                 0,
                                 static_cast<uint32_t>(pages.size()),
                                 width,
                                 length,
                                 packed,
                                 verify_max,
                                 path_max,
                                 word_of(chance_min),
                                 static_cast<uint32_t>(mask.size())};
    for (const auto* part : {&history, &tokens, &pages}) out.insert(out.end(), part->begin(), part->end());
    if (flags & REDRAFT_PLAN_RESET)
      for (const uint32_t word :
           {word_of(sampling.temperature), 0u, word_of(1.0f), word_of(0.0f), word_of(sampling.repetition),
            word_of(0.0f), word_of(0.0f), sampling.seed, 0u, 0u, 1000u, static_cast<uint32_t>(sampling.forced.size())})
        out.push_back(word);
    if (flags & REDRAFT_PLAN_RESET)
      for (const uint32_t token : sampling.forced) out.insert(out.end(), {token, word_of(1e4f)});
    out.insert(out.end(), mask.begin(), mask.end());
    if (flags & REDRAFT_PLAN_DRAFT) out.push_back(static_cast<uint32_t>(draft.size() / 3));
    out.insert(out.end(), draft.begin(), draft.end());
    out[0] = static_cast<uint32_t>(out.size() * 4);
    return out;
  }
};

inline std::vector<uint32_t> plan_words(const std::vector<Record>& records) {
  std::vector<uint32_t> plan = {
      REDRAFT_PLAN_MAGIC, REDRAFT_ABI_VERSION, 0, 77, static_cast<uint32_t>(records.size()), 0, 0, 0};
  for (const Record& record : records) {
    const auto words = record.words();
    plan.insert(plan.end(), words.begin(), words.end());
  }
  plan[2] = static_cast<uint32_t>(plan.size() * 4);
  return plan;
}

struct Opened {
  std::string model_bytes;
  TemporaryFile model;
  std::filesystem::path head_directory;
  uint32_t handle = 0;

  explicit Opened(bool with_head = true, size_t rows_max = 256, const TinyShape& shape = {}, size_t threads = 2)
      : model_bytes(tiny_model_bytes(1, {}, shape)), model(".gguf", model_bytes) {
    std::string head = "null";
    if (with_head) {
      head_directory =
          std::filesystem::temp_directory_path() / ("redraft-head-" + std::to_string(std::random_device()()));
      std::filesystem::create_directory(head_directory);
      write_head(shape);
      head = '"' + head_directory.string() + '"';
    }
    const std::string config = "{\"model\":\"" + model.path() + "\",\"head\":" + head +
                               ",\"threads\":" + std::to_string(threads) +
                               ",\"slots_max\":8,\"pages_max\":64,\"rows_max\":" + std::to_string(rows_max) + "}";
    EXPECT_EQ(redraft_open(reinterpret_cast<const uint8_t*>(config.data()), config.size(), &handle), REDRAFT_OK);
    if (!handle) std::cerr << last_error() << "\n";
  }
  ~Opened() {
    redraft_close(handle);
    if (!head_directory.empty()) std::filesystem::remove_all(head_directory);
  }

  void write_head(const TinyShape& shape) const {
    const std::string digest = sha256_hex(reinterpret_cast<const uint8_t*>(model_bytes.data()), model_bytes.size());
    write_file(head_directory / "config.json",
               "{\"format\":\"redraft-head-1\",\"cell\":\"gru\",\"hidden_size\":" + std::to_string(shape.hidden) +
                   ",\"state_size\":32,\"mlp_size\":32,\"mlp_layers\":1,\"draft_vocab_size\":48,"
                   "\"target_vocab_size\":" +
                   std::to_string(shape.vocab) + ",\"target_digest\":\"" + digest + "\"}");
    std::mt19937 random(5);
    std::normal_distribution<double> normal(0, 0.3);
    std::vector<NewTensor> tensors;
    const auto add = [&](const char* name, std::vector<size_t> shape) {
      NewTensor tensor{name, "F32", shape, {}};
      size_t count = 1;
      for (const size_t d : shape) count *= d;
      for (size_t i = 0; i < count; ++i) tensor.values.push_back(normal(random));
      tensors.push_back(tensor);
    };
    add("init.weight", {32, shape.hidden}), add("init.bias", {32});
    add("gru.w_ih", {96, shape.hidden}), add("gru.b_ih", {96}), add("gru.w_hh", {96, 32}), add("gru.b_hh", {96});
    add("mlp.0.weight", {32, 32 + shape.hidden}), add("mlp.0.bias", {32}), add("head.weight", {48, 32});
    NewTensor map{"draft_vocab", "I32", {48}, {}};
    for (int i = 0; i < 48; ++i) map.values.push_back(2 * i);
    tensors.push_back(map);
    write_file(head_directory / "model.safetensors", safetensors_bytes(tensors));
  }

  std::string last_error() const {
    char text[4096];
    size_t bytes = 0;
    redraft_last_error(handle, reinterpret_cast<uint8_t*>(text), sizeof text, &bytes);
    return {text, bytes};
  }
  int32_t step(const std::vector<uint32_t>& plan, std::vector<uint32_t>* result) const {
    result->assign(1 << 16, 0);
    return redraft_step(handle, reinterpret_cast<const uint8_t*>(plan.data()), plan.size() * 4,
                        reinterpret_cast<uint8_t*>(result->data()), result->size() * 4);
  }
  void expect_refused(const std::vector<uint32_t>& plan, const char* words) const {
    std::vector<uint32_t> result;
    EXPECT_EQ(step(plan, &result), REDRAFT_BAD_PLAN);
    if (last_error().find(words) == std::string::npos)
      fail(__FILE__, __LINE__) << last_error() << " lacks " << words << "\n";
  }
};

inline std::vector<uint32_t> prompt() {
  return {3, 14, 15, 92, 65, 35, 89, 79, 32, 38, 46, 26, 43, 38, 32, 79, 50, 28, 84, 19};
}

constexpr uint32_t kPagesARun = 6;  // 96 tokens, of prompt and answer.

struct Run {
  uint32_t slot = 0, chunk = 100;
  uint32_t width = 0, length = 0, packed = 0, verify_max = 0, path_max = 0;
  Sampling sampling;
  uint32_t accepted = 0, drafted = 0, accepted_most = 0;
  std::vector<uint32_t> prompt = test::prompt();
};

constexpr size_t kResultHeader = REDRAFT_RESULT_HEADER_WORDS, kResultWords = 10;

// logprobs: those of the pending tree in a result's record, which asks for no log-probabilities of its tokens.
inline void check_pending(const uint32_t* record, const uint32_t* logprobs) {
  const uint32_t count = record[6];
  EXPECT_TRUE(record[8] < std::max(count, 1u));
  float last = 0;
  for (uint32_t i = 0; i < count; ++i) {
    float logprob;
    std::memcpy(&logprob, logprobs + i, 4);
    EXPECT_TRUE(i == 0 ? logprob == 0 : logprob < 0 && logprob <= last);
    last = logprob;
  }
}

// Generates count tokens for each run, all in one batch.
inline std::vector<std::vector<uint32_t>> generate(const Opened& engine, std::vector<Run*> runs, size_t count) {
  std::vector<std::vector<uint32_t>> out(runs.size());
  std::vector<uint32_t> computed(runs.size(), 0), result;
  for (;;) {
    std::vector<Record> records;
    std::vector<size_t> who;
    for (size_t i = 0; i < runs.size(); ++i) {
      if (out[i].size() >= count) continue;
      const Run& run = *runs[i];
      Record record{run.slot,   0,          computed[i],    {},           {},          {}, run.width,
                    run.length, run.packed, run.verify_max, run.sampling, run.path_max};
      if (computed[i] == 0) {
        record.flags |= REDRAFT_PLAN_RESET;
        for (uint32_t page = 0; page < kPagesARun; ++page) record.pages.push_back(run.slot * kPagesARun + page);
      }
      for (uint32_t p = computed[i]; p < run.prompt.size() && record.tokens.size() < run.chunk; ++p)
        record.tokens.push_back(run.prompt[p]);
      if (computed[i] + record.tokens.size() >= run.prompt.size()) record.flags |= REDRAFT_PLAN_SAMPLE;
      records.push_back(record);
      who.push_back(i);
    }
    if (records.empty()) return out;
    if (engine.step(plan_words(records), &result) != REDRAFT_OK) {
      fail(__FILE__, __LINE__) << engine.last_error() << "\n";
      return out;
    }
    size_t at = kResultHeader;
    for (const size_t i : who) {
      computed[i] = result[at + 2];
      runs[i]->drafted += result[at + 4];
      runs[i]->accepted += result[at + 5];
      runs[i]->accepted_most = std::max(runs[i]->accepted_most, result[at + 5]);
      const uint32_t* tokens = &result[at + kResultWords];
      for (uint32_t t = 0; t < result[at + 3]; ++t) out[i].push_back(tokens[t]);
      check_pending(&result[at], tokens + result[at + 3]);
      at += result[at] / 4;
    }
    for (auto& tokens : out)
      if (tokens.size() > count) tokens.resize(count);
  }
}

inline std::vector<uint32_t> generate_one(const Opened& engine, Run run, size_t count = 40) {
  return generate(engine, {&run}, count)[0];
}

}  // namespace redraft::test
