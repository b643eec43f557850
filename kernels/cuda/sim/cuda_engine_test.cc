// The CUDA engine through the C ABI, on the device that REDRAFT_CUDA_DRIVER names: short runs, as a simulated one is
// slow. All of engine_test.cc runs on it, too.
#include <algorithm>
#include <cmath>

#include "../../engine/engine_test_support.h"
#include "../cuda_engine.h"
#include "plain_target.h"
#include "setting.h"

using namespace redraft;
using namespace redraft::test;

namespace {

constexpr size_t kTokens = 14;

Run run_of(const Sampling& sampling, uint32_t width, uint32_t length, uint32_t packed) {
  Run run;
  run.sampling = sampling, run.width = width, run.length = length, run.packed = packed;
  return run;
}

}  // namespace

TEST(CudaEngine, SpeculationChangesNoToken) {
  const Opened engine;
  for (const Sampling& sampling : {Sampling{}, Sampling{1.1f, 9, 1.2f}}) {
    const auto expected = generate_one(engine, run_of(sampling, 0, 0, 0), kTokens);
    EXPECT_EQ(expected.size(), kTokens);
    Run run = run_of(sampling, 3, 4, 8);
    Run* const pointer = &run;
    EXPECT_EQ(generate(engine, {pointer}, kTokens)[0], expected);
    EXPECT_TRUE(run.drafted > 0);
  }
}

// The head drafts until a text goes round; then lookups do, and follow it as far as they may.
TEST(CudaEngine, LooksUpBesideTheHead) {
  const Opened engine;
  Run run = run_of({}, 2, 3, 12);
  run.sampling.forced = {7}, run.path_max = 12;
  Run* const pointer = &run;
  EXPECT_EQ(generate(engine, {pointer}, 40)[0], std::vector<uint32_t>(40, 7));
  EXPECT_EQ(run.accepted_most, 11u);
  const auto expected = generate_one(engine, run_of({0.7f, 3, 1, {7, 9}}, 0, 0, 0), 24);
  Run sampled = run_of({0.7f, 3, 1, {7, 9}}, 2, 3, 12);
  sampled.path_max = 16;
  EXPECT_EQ(generate_one(engine, sampled, 24), expected);
}

TEST(CudaEngine, NeitherChunksNorCompanyChangeAToken) {
  const Opened engine;
  Run alone = run_of({0.8f, 3, 1}, 0, 0, 0);
  const auto expected = generate_one(engine, alone, kTokens);
  Run chunked = run_of({0.8f, 3, 1}, 2, 3, 5), other = run_of({1.0f, 5, 1.1f}, 2, 4, 6), greedy;
  chunked.chunk = 7, chunked.slot = 2, other.slot = 1, other.chunk = 3, greedy.slot = 5;
  EXPECT_EQ(generate(engine, {&other, &chunked, &greedy}, kTokens)[1], expected);
}

// Two backends with the same weights: the device keeps 15 bits of each activation, the CPU 8.
TEST(CudaEngine, IsNearerToF64ThanTheCpu) {
  const TemporaryFile model(".gguf", tiny_model_bytes());
  EngineConfig config{};
  config.model_path = model.path();
  config.threads = 1, config.slots_max = 2, config.pages_max = 8, config.rows_max = 64;
  Engine cpu(config);
  cuda::CudaEngine device(config);
  ThreadPool pool(1);
  const LlamaWeights weights = LlamaWeights::load(Gguf(model.path()), pool);
  std::vector<uint32_t> tokens(70);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<uint32_t>(i * 37 % kVocab);
  Numbers hidden, logits;
  for (const Numbers& row : plain_hidden(weights, tokens)) {
    hidden.insert(hidden.end(), row.begin(), row.end());
    const Numbers more = times(weights.head(), row);
    logits.insert(logits.end(), more.begin(), more.end());
  }
  std::vector<float> a(hidden.size()), b(hidden.size()), la(logits.size()), lb(logits.size());
  cpu.hidden(tokens.data(), tokens.size(), a.data(), la.data(), 0);
  device.hidden(tokens.data(), tokens.size(), b.data(), lb.data(), 0);
  EXPECT_TRUE(distance(b, hidden) < 0.002);
  EXPECT_TRUE(distance(lb, logits) < 0.002);
  EXPECT_TRUE(distance(a, hidden) < 0.1);  // The same model, at least.
  EXPECT_TRUE(distance(b, hidden) < distance(a, hidden));
  std::cout << "  from f64: device " << distance(lb, logits) << ", CPU " << distance(la, logits) << "\n";
}

// Where no number of pages is given the free memory is shared out; the plan holds all that is taken, and little more.
TEST(CudaEngine, TakesThePagesThatFit) {
  const Setting small("REDRAFT_SIM_MEMORY_MIB", "64");  // The checks of accesses take a multiple of it.
  const TemporaryFile model(".gguf", tiny_model_bytes());
  EngineConfig config{};
  config.model_path = model.path();
  config.threads = 1, config.slots_max = 2, config.rows_max = 64;
  cuda::Device device;
  const size_t before = device.free_bytes();
  const cuda::CudaEngine engine(config);
  const size_t taken = before - device.free_bytes();
  const cuda::MemoryPlan& plan = engine.memory();
  EXPECT_TRUE(plan.kv_pages > plan.weights + plan.workspace);
  EXPECT_TRUE(plan.total() <= plan.free_bytes / 100 * 90);
  if (device.name() == "simulated device") {  // It counts bytes; a GPU gives whole blocks.
    EXPECT_EQ(plan.free_bytes, before);
    EXPECT_TRUE(taken <= plan.total());
    EXPECT_TRUE(static_cast<double>(taken) > 0.99 * static_cast<double>(plan.total()));
  }
  std::cout << "  planned " << plan.total() << " bytes, took " << taken << "\n";
}

TEST(CudaEngine, GivesLogprobsAndTrees) {
  const Opened engine;
  Record record{0, REDRAFT_PLAN_RESET | REDRAFT_PLAN_SAMPLE, 0, prompt(), {}, {0, 1, 2, 3}};
  record.width = 3, record.length = 3, record.packed = 6;
  auto plan = plan_words({record});
  const size_t sampling = plan.size() - 12;
  plan[sampling + 9] = 3;  // logprobs: the drawn token's and the two best.
  std::vector<uint32_t> result;
  EXPECT_EQ(engine.step(plan, &result), REDRAFT_OK);
  const auto number = [&](size_t word) {
    float value;
    std::memcpy(&value, &result[word], 4);
    return value;
  };
  EXPECT_EQ(result[kResultHeader + 3], 1u);
  const uint32_t token = result[kResultHeader + 10], pending = result[kResultHeader + 6];
  EXPECT_EQ(result[kResultHeader + 12], token);  // Greedy: the best is the drawn one.
  EXPECT_EQ(number(kResultHeader + 11), number(kResultHeader + 13));
  EXPECT_TRUE(number(kResultHeader + 13) < 0 && number(kResultHeader + 15) <= number(kResultHeader + 13));
  EXPECT_TRUE(pending > 1 && pending <= 6);
  for (uint32_t i = 1; i < pending; ++i) EXPECT_TRUE(number(kResultHeader + 16 + i) <= number(kResultHeader + 15 + i));
  Record next{0, REDRAFT_PLAN_SAMPLE | REDRAFT_PLAN_TREE, result[kResultHeader + 2], {}, {}, {}};
  EXPECT_EQ(engine.step(plan_words({next}), &result), REDRAFT_OK);
  EXPECT_EQ(result[kResultHeader + 7], pending);
  EXPECT_EQ(result[kResultHeader + 4], pending - 1);
}
