// The engine through its C ABI.
#include "../common/free_memory.h"
#include "engine_test_support.h"

using namespace redraft;
using namespace redraft::test;

TEST(Engine, SpeculationChangesNoToken) {
  const Opened engine;
  for (const Sampling& sampling : {Sampling{}, Sampling{0.9f, 7, 1}, Sampling{1.3f, 9, 1.2f}}) {
    Run plain;
    plain.sampling = sampling;
    const auto expected = generate_one(engine, plain);
    for (const auto& [width, length, packed] : {std::tuple{1u, 4u, 4u}, {3u, 4u, 8u}, {8u, 6u, 64u}}) {
      Run run = plain;
      run.width = width, run.length = length, run.packed = packed;
      Run* pointer = &run;
      EXPECT_EQ(generate(engine, {pointer}, 40)[0], expected);
      EXPECT_TRUE(run.drafted > 0);
      run.path_max = 16;  // Lookups beside the head.
      EXPECT_EQ(generate_one(engine, run), expected);
      run.verify_max = 3;  // A smaller budget at verification than at drafting.
      EXPECT_EQ(generate_one(engine, run), expected);
    }
  }
}

TEST(Engine, LookupsDraftWithoutAHead) {
  const Opened engine(false);
  Run plain;
  plain.sampling.forced = {7};  // A text that repeats itself, which a lookup follows as far as it may.
  const auto expected = generate_one(engine, plain, 60);
  EXPECT_EQ(expected, std::vector<uint32_t>(60, 7));
  for (const uint32_t path_max : {16, 3}) {
    Run run = plain;
    run.packed = 16, run.path_max = path_max;
    Run* pointer = &run;
    EXPECT_EQ(generate(engine, {pointer}, 60)[0], expected);
    EXPECT_EQ(run.accepted_most, path_max - 1);
  }
  plain.sampling = {1.0f, 4, 1, {7, 9}};  // Either, by chance.
  Run run = plain;
  run.packed = 16, run.path_max = 16;
  EXPECT_EQ(generate_one(engine, run, 60), generate_one(engine, plain, 60));
}

TEST(Engine, NeitherChunksNorCompanyChangeAToken) {
  const Opened engine;
  Run plain;
  plain.sampling = {0.8f, 3, 1};
  const auto expected = generate_one(engine, plain);
  for (const uint32_t chunk : {1, 2, 7, 16, 19}) {
    Run run = plain;
    run.chunk = chunk;
    EXPECT_EQ(generate_one(engine, run), expected);
  }
  std::vector<Run> crowd(8);
  std::vector<Run*> all;
  for (uint32_t slot = 0; slot < 8; ++slot) {
    crowd[slot].slot = slot;
    crowd[slot].chunk = 3 + slot;
    crowd[slot].sampling = slot == 5 ? plain.sampling : Sampling{1.0f, slot, 1};
    if (slot % 2) crowd[slot].width = 4, crowd[slot].length = 4, crowd[slot].packed = 9;
    all.push_back(&crowd[slot]);
  }
  EXPECT_EQ(generate(engine, all, 40)[5], expected);
}

TEST(Engine, APrefixHitChangesNoToken) {
  const Opened engine;
  Run plain;
  const auto expected = generate_one(engine, plain, 12);
  // Slot 0's first page holds the first 16 tokens; slot 1 starts from it.
  Record record{1, REDRAFT_PLAN_RESET | REDRAFT_PLAN_SAMPLE, 16, {}, {}, {0, 12, 13, 14}};
  const auto all = prompt();
  record.history.assign(all.begin(), all.begin() + 16);
  record.tokens.assign(all.begin() + 16, all.end());
  std::vector<uint32_t> result;
  EXPECT_EQ(engine.step(plan_words({record}), &result), REDRAFT_OK);
  EXPECT_EQ(result[kResultHeader + kResultWords], expected[0]);
}

TEST(Engine, ToldTimesArePartsOfTheStep) {
  const Opened engine(true);
  Record record{0, REDRAFT_PLAN_RESET | REDRAFT_PLAN_SAMPLE, 0, prompt(), {}, {0, 1, 2, 3}};
  record.width = 4, record.length = 4, record.packed = 8;
  std::vector<uint32_t> result;
  EXPECT_EQ(engine.step(plan_words({record}), &result), REDRAFT_OK);
  const uint32_t step = result[6], target = result[7], logits = result[8], sample = result[9], draft = result[10],
                 head = result[11];
  EXPECT_TRUE(target > 0 && draft > 0 && head > 0);
  EXPECT_TRUE(head <= draft);
  EXPECT_TRUE(target + logits + sample + draft <= step);
}

TEST(Engine, HiddenStatesDoNotDependOnTheirChunks) {
  const Opened wide(false, 256), narrow(false, 64);
  std::vector<uint32_t> tokens(150);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<uint32_t>(i * 31 % kVocab);
  std::vector<float> a(150 * 64), b(150 * 64), la(50 * kVocab), lb(50 * kVocab);
  EXPECT_EQ(redraft_hidden(wide.handle, tokens.data(), 150, a.data(), la.data(), 100), REDRAFT_OK);
  EXPECT_EQ(redraft_hidden(narrow.handle, tokens.data(), 150, b.data(), lb.data(), 100), REDRAFT_OK);
  EXPECT_TRUE(a == b);
  EXPECT_TRUE(la == lb);
  EXPECT_EQ(redraft_hidden(wide.handle, tokens.data(), 300, a.data(), nullptr, 0), REDRAFT_BAD_ARGUMENT);
}

TEST(Engine, RefusesBadPlansAndGoesOn) {
  const Opened engine;
  const Record good{0, REDRAFT_PLAN_RESET | REDRAFT_PLAN_SAMPLE, 0, prompt(), {}, {0, 1, 2, 3}};
  const auto changed = [&](size_t word, uint32_t value) {
    auto plan = plan_words({good});
    plan[word] = value;
    return plan;
  };
  engine.expect_refused(changed(0, 5), "magic");
  engine.expect_refused(changed(1, 9), "version 9");
  engine.expect_refused(changed(2, 4), "plan_bytes");
  engine.expect_refused(changed(4, 2), "ends too early");
  engine.expect_refused(plan_words({}), "sequence_count is 0");
  engine.expect_refused(changed(8, 8), "record_bytes");
  engine.expect_refused(changed(8 + 1, 8), "slot 8");
  engine.expect_refused(changed(8 + 2, 64), "flags");
  engine.expect_refused(changed(8 + 3, 1u << 31), "computed_count");
  engine.expect_refused(changed(8 + 4, 200), "ends too early");
  engine.expect_refused(changed(8 + 7, 99), "beam_width");
  engine.expect_refused(changed(8 + 11, 17), "path_max");
  engine.expect_refused(changed(8 + 12, word_of(1.5f)), "chance_min");
  engine.expect_refused(changed(8 + 12, word_of(NAN)), "chance_min");
  engine.expect_refused(changed(8 + 14, 96), "token 96");
  engine.expect_refused(changed(8 + 14 + 20, 64), "page 64");
  engine.expect_refused(plan_words({good, good}), "two records");
  engine.expect_refused(plan_words({{1, REDRAFT_PLAN_SAMPLE, 0, {}, {}, {}}}), "never RESET");
  Record short_of_pages = good;
  short_of_pages.pages = {0};
  engine.expect_refused(plan_words({short_of_pages}), "1 pages do not hold 20 rows");
  Record bad_sampling = good;
  bad_sampling.sampling.temperature = -1;
  engine.expect_refused(plan_words({bad_sampling}), "temperature");
  std::vector<uint32_t> result;
  EXPECT_EQ(engine.step(plan_words({good}), &result), REDRAFT_OK);
  engine.expect_refused(plan_words({{0, REDRAFT_PLAN_SAMPLE, 19, {}, {}, {}}}), "computed_count is 19");
  engine.expect_refused(plan_words({{0, 0, 20, {}, {}, {}}}), "SAMPLE is missing");
  engine.expect_refused(plan_words({{0, REDRAFT_PLAN_SAMPLE, 20, {1}, {}, {}}}), "RESET comes first");
  EXPECT_EQ(engine.step(plan_words({{0, REDRAFT_PLAN_SAMPLE, 20, {}, {}, {}}}), &result), REDRAFT_OK);
}

TEST(Engine, DrawsUnderAMask) {
  const Opened engine;
  constexpr uint32_t kWords = kVocab / 32;
  const auto only = [](std::initializer_list<uint32_t> tokens) {
    std::vector<uint32_t> mask(kWords, 0);
    for (const uint32_t token : tokens) mask[token / 32] |= 1u << token % 32;
    return mask;
  };
  const uint32_t start = REDRAFT_PLAN_RESET | REDRAFT_PLAN_SAMPLE | REDRAFT_PLAN_MASK;
  Record masked{0, start, 0, prompt(), {}, {0, 1, 2, 3}}, free{1, start & ~REDRAFT_PLAN_MASK, 0, prompt(), {}, {4, 5}};
  std::vector<uint32_t> result;
  const auto drawn = [&](size_t record) {
    const size_t at = record == 0 ? kResultHeader : kResultHeader + result[kResultHeader] / 4;
    EXPECT_EQ(result[at + 3], 1u);
    return result[at + kResultWords];
  };
  EXPECT_EQ(engine.step(plan_words({free}), &result), REDRAFT_OK);
  const uint32_t best = drawn(0);
  for (const float temperature : {0.0f, 1.5f}) {
    masked.sampling.temperature = temperature;
    masked.sampling.repetition = temperature > 0 ? 1.3f : 1;
    for (const uint32_t token : {0u, 31u, 32u, 95u}) {
      masked.mask = only({token});
      EXPECT_EQ(engine.step(plan_words({masked, free}), &result), REDRAFT_OK);
      EXPECT_EQ(drawn(0), token);
      EXPECT_EQ(drawn(1), best);  // Its neighbour's mask is none of its own.
      Record next{0, REDRAFT_PLAN_SAMPLE | REDRAFT_PLAN_MASK, 20, {}, {}, {}};
      next.verify_max = 1, next.mask = only({token ^ 1, token ^ 2});
      EXPECT_EQ(engine.step(plan_words({next}), &result), REDRAFT_OK);
      EXPECT_TRUE(drawn(0) == (token ^ 1) || drawn(0) == (token ^ 2));
    }
  }
  masked.sampling = {};
  masked.mask = std::vector<uint32_t>(kWords, ~0u);
  EXPECT_EQ(engine.step(plan_words({masked}), &result), REDRAFT_OK);
  EXPECT_EQ(drawn(0), best);
  masked.mask[best / 32] &= ~(1u << best % 32);
  EXPECT_EQ(engine.step(plan_words({masked}), &result), REDRAFT_OK);
  EXPECT_TRUE(drawn(0) != best);
  masked.mask = only({});
  engine.expect_refused(plan_words({masked}), "allows no token");
  masked.mask.push_back(1);
  engine.expect_refused(plan_words({masked}), "mask_words is 4");
}

TEST(Engine, SurvivesRandomPlans) {
  const Opened engine;
  const auto good =
      plan_words({{0, REDRAFT_PLAN_RESET | REDRAFT_PLAN_SAMPLE, 0, prompt(), {}, {0, 1, 2, 3}, 4, 4, 9, 0, {}}});
  std::mt19937 random(11);
  std::vector<uint32_t> result;
  for (int round = 0; round < 2000; ++round) {
    auto plan = good;
    for (int hit = 0; hit < 2; ++hit) plan[random() % plan.size()] = random() % 3 ? random() % 40 : random();
    const int32_t status = engine.step(plan, &result);
    EXPECT_TRUE(status == REDRAFT_OK || status == REDRAFT_BAD_PLAN);
  }
  EXPECT_EQ(engine.step(good, &result), REDRAFT_OK);
}

TEST(Abi, NamesWhatIsWrong) {
  uint32_t handle = 5;
  const auto open = [&](const std::string& config) {
    return redraft_open(reinterpret_cast<const uint8_t*>(config.data()), config.size(), &handle);
  };
  EXPECT_EQ(open("{"), REDRAFT_BAD_CONFIG);
  EXPECT_EQ(open("{\"model\":\"/nonexistent\"}"), REDRAFT_BAD_MODEL);
  EXPECT_EQ(handle, 0u);
  char text[512];
  size_t bytes = 0;
  const auto says = [&](const char* words) {
    EXPECT_EQ(redraft_last_error(0, reinterpret_cast<uint8_t*>(text), sizeof text, &bytes), REDRAFT_OK);
    return std::string(text, bytes).find(words) != std::string::npos;
  };
  EXPECT_EQ(open("{\"model\":\"x\",\"thread\":1}"), REDRAFT_BAD_CONFIG);
  EXPECT_TRUE(says("thread"));
  const TemporaryFile model(".gguf", tiny_model_bytes());
  if (free_memory() < size_t{1} << 36) {  // As much as they would be.
    EXPECT_EQ(open("{\"model\":\"" + model.path() + "\",\"pages_max\":16777216}"), REDRAFT_NO_MEMORY);
    EXPECT_TRUE(says("are free"));
  }
  EXPECT_EQ(redraft_step(999, nullptr, 0, nullptr, 0), REDRAFT_BAD_ARGUMENT);
  EXPECT_EQ(redraft_close(999), REDRAFT_BAD_ARGUMENT);
  const Opened engine;
  EXPECT_EQ(redraft_model_info(engine.handle, reinterpret_cast<uint8_t*>(text), 10, &bytes), REDRAFT_NO_SPACE);
  EXPECT_TRUE(bytes > 100);
}
