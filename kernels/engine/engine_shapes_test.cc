// The engine on models of other shapes than the tiny one's, with one thread to three: against the plain reference, and
// against itself.
#include "../target_model/llama_reference.h"
#include "engine_test_support.h"

using namespace redraft;
using namespace redraft::test;

namespace {

// Heads of sizes that fill no register evenly, that share keys and do not, that turn whole and in part.
constexpr TinyShape kShapes[] = {
    {.hidden = 96,
     .ffn = 160,
     .heads = 4,
     .kv_heads = 4,
     .head_size = 48,
     .rope = 32,
     .vocab = 101,
     .query_scale = 0.1f},
    {.hidden = 160,
     .ffn = 96,
     .heads = 4,
     .kv_heads = 1,
     .head_size = 80,
     .rope = 80,
     .vocab = 129,
     .has_own_head = true,
     .query_scale = 0.1f},
    {.hidden = 128,
     .layers = 3,
     .ffn = 224,
     .heads = 6,
     .kv_heads = 2,
     .head_size = 64,
     .rope = 32,
     .vocab = 97,
     .query_scale = 0.1f},
};

}  // namespace

TEST(EngineShapes, LogitsAreTheReferences) {
  const auto tokens = prompt();
  for (const TinyShape& shape : kShapes) {
    const Opened engine(false, 256, shape);
    const Gguf gguf(engine.model.path());
    LlamaReference reference(gguf);
    std::vector<float> hidden(tokens.size() * shape.hidden), logits(tokens.size() * shape.vocab);
    EXPECT_EQ(redraft_hidden(engine.handle, tokens.data(), tokens.size(), hidden.data(), logits.data(), 0), REDRAFT_OK);
    double error = 0, size = 0;
    for (size_t i = 0; i < tokens.size(); ++i) {
      const auto expected = reference.next(tokens[i]);
      for (size_t j = 0; j < shape.vocab; ++j) {
        const double actual = logits[i * shape.vocab + j];
        error += (actual - expected[j]) * (actual - expected[j]), size += expected[j] * expected[j];
      }
    }
    // Weights and activations of 8 bits, half a percent each in every product: 3 to 4 % in all. A head turned wrongly,
    // or that reads another's keys, is off by ten times as much.
    if (!(std::sqrt(error / size) < 0.06)) fail(__FILE__, __LINE__) << std::sqrt(error / size) << "\n";
  }
}

TEST(EngineShapes, NeitherThreadsNorSpeculationNorCompanyChangeAToken) {
  for (const TinyShape& shape : kShapes) {
    std::vector<uint32_t> expected;
    for (const size_t threads : {1, 2, 3}) {
      const Opened engine(true, 256, shape, threads);
      Run plain;
      plain.sampling = {0.9f, 7, 1};
      if (expected.empty()) expected = generate_one(engine, plain);
      EXPECT_EQ(generate_one(engine, plain), expected);
      Run drafted = plain, chunked = plain;
      drafted.width = 4, drafted.length = 5, drafted.packed = 24, drafted.path_max = 16;
      chunked.slot = 1, chunked.chunk = 3, chunked.width = 2, chunked.length = 3, chunked.packed = 5;
      const auto together = generate(engine, {&drafted, &chunked}, 40);
      for (const auto& tokens : together) EXPECT_EQ(tokens, expected);
      EXPECT_TRUE(drafted.drafted > 0 && chunked.drafted > 0);
    }
  }
}
