#include "tree_walk.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "../common/chi_square.h"
#include "../common/error.h"
#include "../common/test.h"
#include "../common/test_random.h"
#include "sampling_reference.h"

namespace redraft {
namespace {

using Tokens = std::vector<int32_t>;

// A toy target model: logits by the last two tokens.
std::vector<float> toy_logits(const Tokens& prefix, size_t vocab_size, double spread) {
  uint64_t hash = 99;
  for (size_t i = prefix.size() > 2 ? prefix.size() - 2 : 0; i < prefix.size(); ++i)
    hash = hash * 1000003 + static_cast<uint64_t>(prefix[i]) + 1;
  std::vector<float> logits(vocab_size);
  for (size_t i = 0; i < vocab_size; ++i) logits[i] = static_cast<float>(philox_uniform(hash, i) * spread);
  return logits;
}

// Adds a child to the tree; its logprob does not matter to a walk.
int32_t add_child(PackedTree& tree, int32_t parent, int32_t token) {
  tree.token[tree.count] = token;
  tree.parent[tree.count] = parent;
  tree.logprob[tree.count] = 0;
  return tree.count++;
}

// Every child of every token, breadth first, as far as there is room: order(i) is the i-th choice.
PackedTree bushy_tree(int32_t root, int32_t width, int32_t count, const std::function<int32_t(int32_t)>& order) {
  PackedTree tree;
  tree.count = 0;
  add_child(tree, -1, root);
  for (int32_t parent = 0; tree.count < count; ++parent)
    for (int32_t i = 0; i < width && tree.count < count; ++i) add_child(tree, parent, order(i));
  return tree;
}

// One row of logits a packed token, each at its own prefix.
std::vector<float> tree_logits(const PackedTree& tree, const Tokens& known, size_t vocab_size, double spread) {
  std::vector<Tokens> prefixes;
  std::vector<float> logits;
  for (int32_t r = 0; r < tree.count; ++r) {
    Tokens prefix = tree.parent[r] < 0 ? known : prefixes[tree.parent[r]];
    if (r > 0) prefix.push_back(tree.token[r]);
    const std::vector<float> row = toy_logits(prefix, vocab_size, spread);
    logits.insert(logits.end(), row.begin(), row.end());
    prefixes.push_back(prefix);
  }
  return logits;
}

using MakeTree = std::function<PackedTree(const Tokens& known)>;

// Appends at least token_count tokens to known by walks over drafted trees.
void generate(const MakeTree& make_tree, size_t vocab_size, double spread, const SamplingParams& params,
              TokenCounts& counts, Tokens& known, size_t token_count, std::vector<TokenLogprob>* logprobs = nullptr) {
  Sampler sampler;
  TreeWalk walk;
  for (const size_t end = known.size() + token_count; known.size() < end;) {
    const PackedTree tree = make_tree(known);
    const std::vector<float> logits = tree_logits(tree, known, vocab_size, spread);
    tree_walk(sampler, tree, tree.count, logits.data(), vocab_size, vocab_size, params, known.size(), counts, &walk);
    for (int32_t i = 0; i <= walk.accepted_count; ++i) {
      if (i > 0) EXPECT_EQ(tree.token[walk.path[i]], walk.token[i - 1]);
      known.push_back(walk.token[i]);
    }
    if (logprobs) logprobs->insert(logprobs->end(), walk.logprobs.begin(), walk.logprobs.end());
  }
}

constexpr size_t kVocab = 6, kLength = 3;
constexpr int kDraws = 200000;
constexpr double kSpread = 3;
const Tokens kPrompt = {2, 4};

// Probability times kDraws of each of the kVocab^kLength continuations of the prompt.
std::vector<double> expected_counts(const SamplingParams& params) {
  std::vector<double> expected(kVocab * kVocab * kVocab);
  for (size_t cell = 0; cell < expected.size(); ++cell) {
    Tokens known = kPrompt;
    double probability = 1;
    for (size_t place = 0, power = kVocab * kVocab; place < kLength; ++place, power /= kVocab) {
      const auto token = static_cast<int32_t>(cell / power % kVocab);
      probability *= sampling_reference(toy_logits(known, kVocab, kSpread), params, TokenCounts())[token];
      known.push_back(token);
    }
    expected[cell] = probability * kDraws;
  }
  return expected;
}

size_t cell_of(const Tokens& known) { return (known[2] * kVocab + known[3]) * kVocab + known[4]; }

double walk_p(SamplingParams params, const MakeTree& make_tree) {
  std::vector<double> drawn(kVocab * kVocab * kVocab);
  TokenCounts counts;
  for (int draw = 0; draw < kDraws; ++draw) {
    params.seed = static_cast<uint64_t>(draw) * 977 + 5;
    Tokens known = kPrompt;
    generate(make_tree, kVocab, kSpread, params, counts, known, kLength);
    ++drawn[cell_of(known)];
  }
  return chi_square_p(expected_counts(params), drawn);
}

int32_t ranked_token(const Tokens& known, int32_t rank) {
  const std::vector<float> logits = toy_logits(known, kVocab, kSpread);
  Tokens order = {0, 1, 2, 3, 4, 5};
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
  return order[rank];
}

SamplingParams warm() {
  SamplingParams params;
  params.temperature = 1;
  return params;
}

TEST(TreeWalk, ItsOutputIsTheTargetsWhateverWasDrafted) {
  const auto best_first = [](const Tokens& known) {
    return bushy_tree(known.back(), 2, 7, [&](int32_t i) { return ranked_token(known, i); });
  };
  const auto worst_first = [](const Tokens& known) {
    return bushy_tree(known.back(), 3, 13, [&](int32_t i) { return 5 - i; });
  };
  const auto everything = [](const Tokens& known) {
    return bushy_tree(known.back(), 6, 43, [](int32_t i) { return i; });
  };
  const auto one_chain = [](const Tokens& known) {
    return bushy_tree(known.back(), 1, 4, [&](int32_t) { return ranked_token(known, 0); });
  };
  SamplingParams sharp = warm();
  sharp.temperature = 0.8f, sharp.top_k = 4, sharp.top_p = 0.9f;
  EXPECT_TRUE(walk_p(warm(), best_first) > 0.001);
  EXPECT_TRUE(walk_p(warm(), worst_first) > 0.001);
  EXPECT_TRUE(walk_p(warm(), everything) > 0.001);
  EXPECT_TRUE(walk_p(sharp, one_chain) > 0.001);
}

// The published rule, for one drafted token at a time: accept the drafter's best with probability min(1, p / q), else
// draw from what p has over q. Exact only if the draft is drawn from q; a beam is not.
int32_t published_rule(const std::vector<double>& p, uint64_t seed, uint64_t position) {
  std::vector<double> q(p.size()), rest(p.size());
  for (size_t i = 0; i < p.size(); ++i) q[i] = 0.8 * p[i] + 0.2 / static_cast<double>(p.size());  // A good drafter.
  const auto drafted = static_cast<size_t>(std::max_element(q.begin(), q.end()) - q.begin());
  if (philox_uniform(seed, 2 * position) < p[drafted] / q[drafted]) return static_cast<int32_t>(drafted);
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) sum += rest[i] = std::fmax(p[i] - q[i], 0.0);
  for (double& weight : rest) weight /= sum;
  return inverse_cdf(rest, philox_uniform(seed, 2 * position + 1));
}

TEST(TreeWalk, TheSameTestCatchesABiasedSampler) {
  std::vector<double> published(kVocab * kVocab * kVocab), tilted = published;
  for (int draw = 0; draw < kDraws; ++draw) {
    const uint64_t seed = static_cast<uint64_t>(draw);
    Tokens known = kPrompt, tilted_known = kPrompt;
    for (size_t place = 0; place < kLength; ++place) {
      const auto p = sampling_reference(toy_logits(known, kVocab, kSpread), warm(), TokenCounts());
      known.push_back(published_rule(p, seed, place));
      // A subtler fault: logits 2 % too large.
      auto logits = toy_logits(tilted_known, kVocab, kSpread);
      for (float& logit : logits) logit *= 1.02f;
      const auto steep = sampling_reference(logits, warm(), TokenCounts());
      tilted_known.push_back(inverse_cdf(steep, philox_uniform(seed, place)));
    }
    ++published[cell_of(known)];
    ++tilted[cell_of(tilted_known)];
  }
  const std::vector<double> expected = expected_counts(warm());
  EXPECT_TRUE(chi_square_p(expected, published) < 1e-9);
  EXPECT_TRUE(chi_square_p(expected, tilted) < 1e-3);
}

SamplingParams stream_params(uint64_t seed) {
  SamplingParams params;
  params.temperature = seed % 4 == 0 ? 0 : 0.8f;
  params.top_k = seed % 3 == 0 ? 12 : 0;
  params.top_p = seed % 5 == 0 ? 0.9f : 1;
  if (seed % 2) params.repetition_penalty = 1.2f, params.presence_penalty = 0.4f, params.frequency_penalty = 0.2f;
  if (seed % 7 == 0) params.bias = {{5, 2}};
  params.seed = seed;
  params.logprobs = 3;
  return params;
}

TEST(TreeWalk, AStreamIsTheSameWithAndWithoutADraftTree) {
  const size_t vocab_size = 40;
  uint64_t step_count = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    const SamplingParams params = stream_params(seed);
    TokenCounts plain_counts, counts;
    for (const int32_t token : kPrompt) plain_counts.add_prompt(token), counts.add_prompt(token);
    Tokens plain = kPrompt, drafted = kPrompt;
    std::vector<TokenLogprob> plain_logprobs, logprobs;
    const auto no_tree = [](const Tokens& known) { return bushy_tree(known.back(), 0, 1, nullptr); };
    generate(no_tree, vocab_size, 8, params, plain_counts, plain, 60, &plain_logprobs);
    uint64_t tree_number = 0;
    const auto random_tree = [&](const Tokens& known) {
      ++tree_number, ++step_count;
      const auto hit = static_cast<int32_t>(philox_uniform(tree_number, 1) * 4);
      PackedTree tree = bushy_tree(known.back(), 3, 20, [&](int32_t i) { return 7 * i + hit; });
      // Sometimes the drafter is right all the way.
      int32_t parent = 0;
      for (size_t i = known.size(); tree_number % 3 == 0 && i < plain.size() && tree.count < 30; ++i) {
        int32_t child = parent + 1;
        while (child < tree.count && !(tree.parent[child] == parent && tree.token[child] == plain[i])) ++child;
        parent = child < tree.count ? child : add_child(tree, parent, plain[i]);
      }
      return tree;
    };
    generate(random_tree, vocab_size, 8, params, counts, drafted, 60, &logprobs);
    drafted.resize(plain.size());
    EXPECT_EQ(drafted, plain);
    for (size_t i = 0; i < plain_logprobs.size(); ++i)
      EXPECT_TRUE(logprobs[i].token == plain_logprobs[i].token && logprobs[i].logprob == plain_logprobs[i].logprob);
  }
  EXPECT_TRUE(step_count < 60 * 60 * 2 / 3);  // Some drafts were accepted, or this would have tested nothing.
}

TEST(TreeWalk, ATrimmedTreeIsWalkedAsFarAsItWasVerified) {
  const Tokens chosen = {1, 3, 5};
  PackedTree tree;
  add_child(tree, -1, 0);
  for (const int32_t token : chosen) add_child(tree, tree.count - 1, token);
  std::vector<float> logits(4 * kVocab);
  for (size_t r = 0; r < 3; ++r) logits[r * kVocab + static_cast<size_t>(chosen[r])] = 9;
  logits[3 * kVocab + 2] = 9;
  Sampler sampler;
  TokenCounts counts;
  TreeWalk walk;
  for (int32_t packed_count = 1; packed_count <= 4; ++packed_count) {
    tree_walk(sampler, tree, packed_count, logits.data(), kVocab, kVocab, SamplingParams(), 7, counts, &walk);
    EXPECT_EQ(walk.accepted_count, packed_count - 1);
    for (int32_t i = 0; i < packed_count; ++i) EXPECT_EQ(walk.path[i], i);
    EXPECT_EQ(walk.token[packed_count - 1], packed_count < 4 ? chosen[packed_count - 1] : 2);
    EXPECT_TRUE(walk.logprobs.empty());
  }
  EXPECT_TRUE(counts.entries().empty());  // No penalty asks for them.
  EXPECT_THROW(tree_walk(sampler, tree, 5, logits.data(), kVocab, kVocab, SamplingParams(), 7, counts, &walk),
               REDRAFT_INTERNAL, "assertion");
}

TEST(TreeWalk, EachPackedTokenHasItsOwnMask) {
  PackedTree tree;
  add_child(tree, -1, 0);
  add_child(tree, 0, 4);
  add_child(tree, 1, 2);
  std::vector<float> logits(3 * kVocab);  // Each row likes 1 best, then 4, then 2.
  for (size_t r = 0; r < 3; ++r) logits[r * kVocab + 1] = 3, logits[r * kVocab + 4] = 2, logits[r * kVocab + 2] = 1;
  const std::vector<uint32_t> four_or_two((kVocab + 31) / 32, 1u << 4 | 1u << 2), two((kVocab + 31) / 32, 1u << 2),
      any((kVocab + 31) / 32, ~0u);
  const uint32_t* const masks[] = {four_or_two.data(), two.data(), any.data()};
  Sampler sampler;
  TokenCounts counts;
  TreeWalk walk;
  tree_walk(sampler, tree, 3, logits.data(), kVocab, kVocab, SamplingParams(), 7, counts, &walk, masks);
  EXPECT_EQ(walk.accepted_count, 2);
  EXPECT_EQ(walk.token[0], 4);
  EXPECT_EQ(walk.token[1], 2);
  EXPECT_EQ(walk.token[2], 1);
}

TEST(TreeWalk, CountsGainTheTokensOrStayAsTheyWere) {
  SamplingParams params;
  params.presence_penalty = 0.1f;
  PackedTree tree;
  add_child(tree, -1, 0);
  add_child(tree, 0, 4);
  std::vector<float> logits(2 * kVocab);
  logits[4] = 5, logits[kVocab + 2] = 5;
  Sampler sampler;
  TokenCounts counts;
  TreeWalk walk;
  tree_walk(sampler, tree, 2, logits.data(), kVocab, kVocab, params, 1, counts, &walk);
  EXPECT_EQ(counts.generated_count(4), 1u);
  EXPECT_EQ(counts.generated_count(2), 1u);
  std::fill(logits.begin() + kVocab, logits.end(), std::numeric_limits<float>::quiet_NaN());
  EXPECT_THROW(tree_walk(sampler, tree, 2, logits.data(), kVocab, kVocab, params, 3, counts, &walk), REDRAFT_INTERNAL,
               "position 4");
  EXPECT_EQ(counts.generated_count(4), 1u);
}

}  // namespace
}  // namespace redraft
