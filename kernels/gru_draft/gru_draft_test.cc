#include "gru_draft.h"

#include <algorithm>
#include <cmath>

#include "../common/error.h"
#include "gru_draft_reference.h"
#include "gru_draft_test_support.h"

namespace redraft {
namespace {

constexpr double kErrorMax = 0.08;  // Of compare_with_reference(): 8-bit weights and activations through four layers.

double deviation(const std::vector<float>& values) {
  double sum = 0, squares = 0;
  for (const float value : values) sum += value, squares += double{value} * value;
  const double count = static_cast<double>(values.size());
  return std::sqrt(squares / count - sum / count * (sum / count));
}

// Drafts four tokens deep along fixed paths of three sequences and compares all candidates with the reference.
// Returns the largest error of a log-probability, in standard deviations of its row: what 8 bits leave of a logit is a
// share of how far logits spread.
double compare_with_reference(const Head& head) {
  const DraftHead loaded = DraftHead::load(head.directory(), kTarget);
  ThreadPool pool(2);
  DraftRun run(loaded, embed);
  const size_t sequences = 3, k = 8;
  std::vector<float> hidden;
  for (size_t i = 0; i < sequences; ++i) {
    const auto row = hidden_of(i);
    hidden.insert(hidden.end(), row.begin(), row.end());
  }
  run.begin(pool, hidden.data(), kHidden, sequences);
  std::vector<std::vector<int32_t>> beams(sequences);
  double worst = 0;
  for (size_t level = 0; level < 4; ++level) {
    std::vector<DraftRow> rows;
    // In another order than before on odd levels, so that states must be looked up.
    for (size_t i = 0; i < sequences; ++i) {
      const size_t sequence = level % 2 ? sequences - 1 - i : i;
      const size_t before = level == 0 ? sequence : (level - 1) % 2 ? sequences - 1 - sequence : sequence;
      beams[sequence].push_back(static_cast<int32_t>(7 * level + 13 * sequence));
      rows.push_back({static_cast<int32_t>(sequence), beams[sequence].back(), static_cast<int32_t>(before)});
    }
    std::vector<TokenLogprob> candidates(rows.size() * k);
    run.step(pool, rows.data(), rows.size(), k, candidates.data());
    for (size_t r = 0; r < rows.size(); ++r) {
      const auto sequence = static_cast<size_t>(rows[r].sequence);
      const auto expected = draft_reference(head.directory(), hidden_of(sequence), beams[sequence], embed);
      const bool trimmed = expected.size() == kDraftVocab;
      const double spread = deviation(expected);
      for (size_t i = 0; i < k; ++i) {
        const TokenLogprob& candidate = candidates[r * k + i];
        const int32_t index = trimmed ? (candidate.token - 1) / 3 : candidate.token;
        if (trimmed) EXPECT_EQ(candidate.token, 3 * index + 1);
        worst = std::fmax(worst, std::fabs(candidate.logprob - expected[index]) / spread);
        if (i > 0) EXPECT_TRUE(candidate.logprob <= candidates[r * k + i - 1].logprob);
      }
      // What was left out is no better than what came last, but for the quantisation.
      std::vector<float> sorted = expected;
      std::sort(sorted.rbegin(), sorted.rend());
      EXPECT_TRUE(sorted[0] - candidates[r * k].logprob < 0.1 * spread);
      EXPECT_TRUE(sorted[k] - candidates[r * k + k - 1].logprob < 0.1 * spread);
    }
  }
  return worst;
}

TEST(GruDraft, AgreesWithThePlainReference) {
  for (const char* type : {"F32", "F16", "BF16"}) {
    Head head;
    make_ours(head, "gru", type);
    EXPECT_NEAR(compare_with_reference(head), 0, kErrorMax);
  }
}

TEST(GruDraft, TheSiluCellAgreesToo) {
  Head head;
  make_ours(head, "silu");
  EXPECT_NEAR(compare_with_reference(head), 0, kErrorMax);
}

TEST(GruDraft, ApplesCheckpointsAgreeToo) {
  for (const bool rnn : {true, false})
    for (const size_t exit_dim : {2 * kHidden, kHidden}) {
      Head head;
      make_apples(head, rnn, exit_dim);
      EXPECT_NEAR(compare_with_reference(head), 0, kErrorMax);
    }
}

TEST(GruDraft, ARowDependsOnThatRowAlone) {
  Head head;
  make_ours(head, "gru");
  const DraftHead loaded = DraftHead::load(head.directory(), kTarget);
  EXPECT_EQ(loaded.info().draft_vocab_size, kDraftVocab);
  const size_t sequences = 70, k = 4;  // More than one pass of rows.
  std::vector<float> hidden;
  for (size_t i = 0; i < sequences; ++i) {
    const auto row = hidden_of(i);
    hidden.insert(hidden.end(), row.begin(), row.end());
  }
  ThreadPool one(1), three(3);
  DraftRun together(loaded, embed), alone(loaded, embed);
  std::vector<DraftRow> rows;
  for (int32_t i = 0; i < static_cast<int32_t>(sequences); ++i) rows.push_back({i, 5 * i + 2, i});
  std::vector<TokenLogprob> all(sequences * k), own(k);
  together.begin(three, hidden.data(), kHidden, sequences);
  together.step(three, rows.data(), rows.size(), k, all.data());
  together.step(three, rows.data(), rows.size(), k, all.data());
  for (size_t i : {size_t{0}, size_t{33}, size_t{69}}) {
    const DraftRow row = {0, rows[i].token, 0};
    alone.begin(one, hidden.data() + i * kHidden, kHidden, 1);
    alone.step(one, &row, 1, k, own.data());
    alone.step(one, &row, 1, k, own.data());
    for (size_t j = 0; j < k; ++j) {
      EXPECT_EQ(own[j].token, all[i * k + j].token);
      EXPECT_EQ(own[j].logprob, all[i * k + j].logprob);
    }
  }
  EXPECT_THROW(alone.step(one, rows.data() + 1, 1, k, own.data()), REDRAFT_INTERNAL, "sequence");
}

void refuses(const std::function<void(Head&)>& spoil, const std::string& reason) {
  Head head;
  make_ours(head, "gru");
  spoil(head);
  head.write();
  EXPECT_THROW(DraftHead::load(head.directory(), kTarget), REDRAFT_BAD_HEAD, reason);
}

void replace(std::string& text, const std::string& from, const std::string& to) {
  text.replace(text.find(from), from.size(), to);
}

TEST(GruDraft, RefusesAHeadOfAnotherModel) {
  const std::string other(64, 'b');
  refuses([&](Head& head) { replace(head.config, kTarget.digest, other); }, other + ", this one is " + kTarget.digest);
  refuses([](Head& head) { replace(head.config, "\"hidden_size\":64", "\"hidden_size\":65"); },
          "hidden size is 65, the model's is 64");
  refuses([](Head& head) { replace(head.config, "1000", "1001"); }, "vocabulary of 1001, the model's has 1000");
  Head apples;
  make_apples(apples, true, 2 * kHidden);
  DraftTarget wide = kTarget;
  wide.hidden_size = 128;
  EXPECT_THROW(DraftHead::load(apples.directory(), wide), REDRAFT_BAD_HEAD, "hidden size is 64, the model's is 128");
}

TEST(GruDraft, RefusesAMalformedHead) {
  refuses([](Head& head) { replace(head.config, "redraft-head-1", "redraft-head-2"); },
          "names the format \"redraft-head-2\"");
  refuses([](Head& head) { replace(head.config, "\"gru\"", "\"lstm\""); }, "\"cell\" is \"lstm\"");
  refuses([](Head& head) { replace(head.config, "\"state_size\":48,", ""); }, "\"state_size\" is missing");
  refuses([](Head& head) { replace(head.config, "\"state_size\":48", "\"state_size\":-1"); }, "\"state_size\" must be");
  refuses([](Head& head) { replace(head.config, "0.75", "0"); }, "\"logit_scale\" must be");
  refuses([](Head& head) { head.config = "{"; }, "config.json");
  refuses([](Head& head) { replace(head.config, "\"state_size\":48", "\"state_size\":49"); },
          "tensor \"init.weight\" is [48, 64], expected [49, 64]");
  refuses([](Head& head) { head.tensors.erase(head.tensors.begin()); }, "tensor \"init.weight\" is missing");
  refuses([](Head& head) { head.tensors.push_back(random_tensor("extra", {2})); }, "\"extra\" does not belong");
  refuses([](Head& head) { head.tensor("head.weight").values[5] = INFINITY; }, "\"head.weight\" holds a value");
  refuses([](Head& head) { head.tensor("draft_vocab").values[5] = 1; }, "\"draft_vocab\" must rise");
  refuses([](Head& head) { head.tensor("draft_vocab").values.back() = 1000; }, "stay under 1000");
  refuses([](Head& head) { head.tensor("draft_vocab").values.front() = -1; }, "\"draft_vocab\" must rise");
  const test::Folder empty;
  EXPECT_THROW(DraftHead::load(empty.path().string(), kTarget), REDRAFT_BAD_HEAD, "config.json");
}

TEST(GruDraft, ASpoiltConfigIsRefusedOrHarmless) {
  Head head;
  make_ours(head, "gru");
  const std::string whole = head.config;
  int loaded_count = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const double place = philox_uniform(seed, 0), value = philox_uniform(seed, 1);
    head.config = whole;
    head.config[static_cast<size_t>(place * static_cast<double>(whole.size()))] = static_cast<char>(32 + value * 96);
    test::write_file(head.folder.path() / "config.json", head.config);
    try {
      DraftHead::load(head.directory(), kTarget);
      ++loaded_count;
    } catch (const Error& error) { EXPECT_EQ(error.status(), static_cast<int32_t>(REDRAFT_BAD_HEAD)); }
  }
  EXPECT_TRUE(loaded_count < 60);  // White space and the optional field's name.
}

}  // namespace
}  // namespace redraft
