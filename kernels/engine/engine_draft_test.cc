// Trees that a plan brings, with a mask at each packed token.
#include "engine_test_support.h"

namespace redraft::test {
namespace {

// Masks by depth: what a tree of the caller's own accepts is what one token a step draws under the same masks.
TEST(Engine, DraftsUnderMasks) {
  const Opened engine;
  constexpr uint32_t kWords = kVocab / 32, kDepth = 6;
  std::vector<std::vector<uint32_t>> masks;  // Every third token, shifted a step.
  for (uint32_t shift = 0; shift < 3; ++shift) {
    masks.emplace_back(kWords, 0);
    for (uint32_t token = shift; token < kVocab; token += 3) masks[shift][token / 32] |= 1u << token % 32;
  }
  const uint32_t masked = REDRAFT_PLAN_SAMPLE | REDRAFT_PLAN_MASK;
  std::vector<uint32_t> result;
  for (const float temperature : {0.0f, 1.0f}) {
    Record first{0, masked | REDRAFT_PLAN_RESET, 0, prompt(), {}, {0, 1, 2, 3}};
    first.sampling.temperature = temperature, first.mask = masks[0];
    std::vector<uint32_t> plain;
    EXPECT_EQ(engine.step(plan_words({first}), &result), REDRAFT_OK);
    plain.push_back(result[kResultHeader + kResultWords]);
    for (uint32_t step = 1; step <= kDepth; ++step) {
      Record next{0, masked, 19 + step, {}, {}, {}};
      next.verify_max = 1, next.mask = masks[step % 3];
      EXPECT_EQ(engine.step(plan_words({next}), &result), REDRAFT_OK);
      plain.push_back(result[kResultHeader + kResultWords]);
    }
    // The right path, with a wrong sibling at each place; then one that errs at the third token.
    for (const uint32_t right : {kDepth - 1, 2u}) {
      first.flags |= REDRAFT_PLAN_NEXT;
      first.width = 2, first.length = 3, first.packed = 8;
      EXPECT_EQ(engine.step(plan_words({first}), &result), REDRAFT_OK);
      const uint32_t pending = result[kResultHeader + 6], next_tree = kResultHeader + kResultWords + 1 + pending;
      EXPECT_TRUE(pending > 1);
      EXPECT_EQ(result[next_tree], plain[0]);
      EXPECT_EQ(result[next_tree + 1], ~0u);
      Record tree{0, masked | REDRAFT_PLAN_DRAFT, 20, {}, {}, {}};
      for (const auto& mask : masks) tree.mask.insert(tree.mask.end(), mask.begin(), mask.end());
      tree.draft = {plain[0], ~0u, 1};
      uint32_t parent = 0;
      for (uint32_t depth = 1; depth < kDepth; ++depth) {
        const uint32_t token = depth <= right ? plain[depth] : (plain[depth] + 3) % kVocab;
        const uint32_t at = static_cast<uint32_t>(tree.draft.size() / 3);
        tree.draft.insert(tree.draft.end(), {token, parent, (depth + 1) % 3});
        tree.draft.insert(tree.draft.end(), {(token + 6) % kVocab, parent, (depth + 1) % 3});
        parent = at;
      }
      EXPECT_EQ(engine.step(plan_words({tree}), &result), REDRAFT_OK);
      EXPECT_EQ(result[kResultHeader + 3], right + 1);
      for (uint32_t i = 0; i <= right; ++i) EXPECT_EQ(result[kResultHeader + kResultWords + i], plain[i + 1]);
    }
  }
}

TEST(Engine, RefusesADraftThatIsNoTree) {
  const Opened engine;
  const std::vector<uint32_t> all(kVocab / 32, ~0u);
  std::vector<uint32_t> result;
  EXPECT_EQ(engine.step(plan_words({{0, REDRAFT_PLAN_RESET | REDRAFT_PLAN_SAMPLE, 0, prompt(), {}, {0, 1}}}), &result),
            REDRAFT_OK);
  const uint32_t root = result[kResultHeader + kResultWords];
  Record good{0, REDRAFT_PLAN_SAMPLE | REDRAFT_PLAN_MASK | REDRAFT_PLAN_DRAFT, 20, {}, {}, {}};
  good.mask = all, good.draft = {root, ~0u, 0, 1, 0, 0, 2, 0, 0};
  const auto refused = [&](std::vector<uint32_t> draft, const char* reason) {
    Record bad = good;
    bad.draft = std::move(draft);
    engine.expect_refused(plan_words({bad}), reason);
  };
  refused({}, "its draft has 0 tokens");
  refused(std::vector<uint32_t>(65 * 3, 0), "its draft has 65 tokens");
  refused({root ^ 1, ~0u, 0}, "begins with another token");
  refused({root, 0, 0}, "parent 0");
  refused({root, ~0u, 0, 1, 1, 0}, "parent 1");
  refused({root, ~0u, 0, 1, ~0u, 0}, "parent -1");
  refused({root, ~0u, 0, kVocab, 0, 0}, "not in the vocabulary");
  refused({root, ~0u, 1}, "mask is not there");
  refused({root, ~0u, 0, 1, 0, 0, 1, 0, 0}, "are equal");
  std::vector<uint32_t> deep = {root, ~0u, 0};
  for (uint32_t r = 0; r < 16; ++r) deep.insert(deep.end(), {1, r, 0});
  refused(deep, "too deep");
  Record unmasked = good;
  unmasked.flags &= ~REDRAFT_PLAN_MASK, unmasked.mask = {};
  engine.expect_refused(plan_words({unmasked}), "DRAFT without MASK");
  EXPECT_EQ(engine.step(plan_words({good}), &result), REDRAFT_OK);
}

}  // namespace
}  // namespace redraft::test
