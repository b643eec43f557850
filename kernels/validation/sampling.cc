#include "sampling.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "../common/error.h"
#include "../common/philox.h"

namespace redraft {

namespace {

// In units of the temperature under the peak: where weights of f32 end (row_math.h).
constexpr float kDepthMax = 87.0f;

bool comes_before(const RowItem& a, const RowItem& b) {
  return a.value != b.value ? a.value > b.value : a.index < b.index;
}

bool truncates(const SamplingParams& params, size_t vocab_size) {
  return (params.top_k > 0 && params.top_k < vocab_size) || params.top_p < 1 || params.min_p > 0;
}

}  // namespace

int32_t Sampler::draw(const float* logits, size_t vocab_size, const SamplingParams& params, const TokenCounts& counts,
                      uint64_t position, const uint32_t* mask) {
  const float* row = adjust(logits, vocab_size, params, counts, mask);
  const RowItem best = row_peak(row, vocab_size);
  if (best.index < 0)
    throw Error(REDRAFT_INTERNAL,
                "Cannot draw the token at position " + std::to_string(position) + ": no logit is above -infinity");
  if (params.greedy() || params.top_k == 1) return best.index;
  const float peak = std::fmin(best.value, FLT_MAX);
  if (!truncates(params, vocab_size)) return draw_from_all(row, vocab_size, peak, params, position);
  const float floor =
      params.min_p > 0 ? static_cast<float>(peak + params.temperature * std::log(double{params.min_p})) : -INFINITY;
  if (params.top_k > 0 && params.top_k < vocab_size) {
    keep_top_k(row, vocab_size, peak, params, floor);
  } else {
    keep_top_p(row, vocab_size, peak, params, floor);
  }
  return best_of_kept(peak, params, position).index;
}

const float* Sampler::adjust(const float* logits, size_t vocab_size, const SamplingParams& params,
                             const TokenCounts& counts, const uint32_t* mask) {
  if (params.bias.empty() && !params.uses_counts() && mask == nullptr) return logits;
  adjusted_.assign(logits, logits + vocab_size);
  if (mask != nullptr)
    for (size_t token = 0; token < vocab_size; ++token)
      if (!(mask[token / 32] >> (token % 32) & 1)) adjusted_[token] = -INFINITY;
  for (const TokenLogprob& bias : params.bias)
    if (static_cast<size_t>(bias.token) < vocab_size) adjusted_[bias.token] += bias.logprob;
  if (!params.uses_counts()) return adjusted_.data();
  for (const TokenCounts::Entry& entry : counts.entries()) {
    if (static_cast<size_t>(entry.token) >= vocab_size || entry.prompt_count + entry.generated_count == 0) continue;
    float& logit = adjusted_[entry.token];
    logit = logit > 0 ? logit / params.repetition_penalty : logit * params.repetition_penalty;
    if (entry.generated_count == 0) continue;
    logit -= params.frequency_penalty * static_cast<float>(entry.generated_count);
    logit -= params.presence_penalty;
  }
  return adjusted_.data();
}

// The kept token that wins, with its logit / temperature + noise, the peak's logit counting as 0.
RowItem Sampler::best_of_kept(float peak, const SamplingParams& params, uint64_t position) {
  const size_t count = kept_.size();
  indices_.resize(std::max(indices_.size(), count));
  noise_.resize(std::max(noise_.size(), count));
  for (size_t i = 0; i < count; ++i) indices_[i] = static_cast<uint32_t>(kept_[i].index);
  row_gumbel(params.seed, position, indices_.data(), count, noise_.data());
  const float scale = 1 / params.temperature;
  RowItem best = {-1, -INFINITY};
  for (size_t i = 0; i < count; ++i) {
    const float score = (std::fmin(kept_[i].value, peak) - peak) * scale + noise_[i];
    if (score > best.value || best.index < 0) best = {kept_[i].index, score};
  }
  return best;
}

int32_t Sampler::draw_from_all(const float* logits, size_t vocab_size, float peak, const SamplingParams& params,
                               uint64_t position) {
  const float scale = 1 / params.temperature, threshold = peak - kNoiseDepth * params.temperature;
  gather(logits, vocab_size, threshold);
  const RowItem best = best_of_kept(peak, params, position);
  if (kept_.size() == vocab_size) return best.index;
  // The two sums are of the same values in another order: where nothing is left but their rounding, nothing wins.
  const double total = row_exp_sum(logits, vocab_size, peak, scale), rest = total - weigh_kept(peak, scale);
  if (!(rest > 1e-12 * total)) return best.index;
  const auto words = philox_words(params.seed, position, 0, kRestStream);
  const double noise = -std::log(-std::log((words[0] + 0.5) * 0x1p-32));
  if (!(std::log(rest) + noise > best.value)) return best.index;
  if (logits != adjusted_.data()) adjusted_.assign(logits, logits + vocab_size);
  for (const RowItem& kept : kept_) adjusted_[static_cast<size_t>(kept.index)] = -INFINITY;
  return draw_by_inverse_cdf(adjusted_.data(), vocab_size, peak, scale, words[2] * 0x1p-32 + words[3] * 0x1p-64);
}

int32_t Sampler::draw_by_inverse_cdf(const float* logits, size_t vocab_size, float peak, float scale, double uniform) {
  block_sums_.resize((vocab_size + kRowBlock - 1) / kRowBlock);
  const double total = row_exp_blocks(logits, vocab_size, peak, scale, nullptr, block_sums_.data());
  double left = uniform * total;
  size_t block = 0;
  // Rounding may leave left >= 0 past the last block with weight in it; that block then takes it.
  size_t last = 0;
  for (; block < block_sums_.size(); ++block) {
    if (block_sums_[block] > 0) last = block;
    if (left < block_sums_[block]) break;
    left -= block_sums_[block];
  }
  if (block == block_sums_.size()) block = last;
  // The weights of one block are made again rather than all kept.
  const size_t begin = block * kRowBlock, count = std::min(kRowBlock, vocab_size - begin);
  float weights[kRowBlock];
  double sum;
  row_exp_blocks(logits + begin, count, peak, scale, weights, &sum);
  size_t heaviest = 0;
  for (size_t i = 0; i < count; ++i) {
    left -= weights[i];
    if (left < 0) return static_cast<int32_t>(begin + i);
    if (weights[i] > weights[heaviest]) heaviest = i;
  }
  // Sums in another order differ in the last bit: once in some 10^15 draws.
  return static_cast<int32_t>(begin + heaviest);
}

void Sampler::gather(const float* logits, size_t vocab_size, float threshold) {
  indices_.resize(vocab_size);
  const size_t count = row_at_least(logits, vocab_size, threshold, indices_.data());
  kept_.resize(count);
  for (size_t i = 0; i < count; ++i) kept_[i] = {static_cast<int32_t>(indices_[i]), logits[indices_[i]]};
}

double Sampler::weigh_kept(float peak, float scale) {
  kept_logits_.resize(kept_.size());
  for (size_t i = 0; i < kept_.size(); ++i) kept_logits_[i] = kept_[i].value;
  weights_.resize(std::max(weights_.size(), kept_.size()));
  block_sums_.resize(std::max(block_sums_.size(), (kept_.size() + kRowBlock - 1) / kRowBlock));
  return row_exp_blocks(kept_logits_.data(), kept_.size(), peak, scale, weights_.data(), block_sums_.data());
}

void Sampler::keep_top_k(const float* logits, size_t vocab_size, float peak, const SamplingParams& params,
                         float floor) {
  const float scale = 1 / params.temperature;
  // A few dozen of 50,000: look only as deep as they lie. Which depth finds them changes nothing.
  for (const float depth : {4.0f, 12.0f, 30.0f, kDepthMax}) {
    const float threshold = std::fmax(floor, peak - depth * params.temperature);
    gather(logits, vocab_size, threshold);
    if (kept_.size() >= params.top_k || threshold == floor) break;
  }
  if (kept_.size() > params.top_k) {
    std::nth_element(kept_.begin(), kept_.begin() + (params.top_k - 1), kept_.end(), comes_before);
    kept_.resize(params.top_k);
    std::sort(kept_.begin(), kept_.end(), [](const RowItem& a, const RowItem& b) { return a.index < b.index; });
  }
  const double total = weigh_kept(peak, scale);
  if (params.top_p < 1) cut_to_top_p(params.top_p * total, peak, scale);
}

void Sampler::keep_top_p(const float* logits, size_t vocab_size, float peak, const SamplingParams& params,
                         float floor) {
  const float scale = 1 / params.temperature;
  if (params.min_p > 0) {
    gather(logits, vocab_size, std::fmax(floor, peak - kDepthMax * params.temperature));
    const double total = weigh_kept(peak, scale);
    if (params.top_p < 1) cut_to_top_p(params.top_p * total, peak, scale);
    return;
  }
  const double target = params.top_p * row_exp_sum(logits, vocab_size, peak, scale);
  for (const float depth : {8.0f, 16.0f, 32.0f, kDepthMax}) {
    gather(logits, vocab_size, peak - depth * params.temperature);
    if (weigh_kept(peak, scale) >= target) break;
  }
  cut_to_top_p(target, peak, scale);
}

// Keeps the shortest head of the kept tokens, in falling order, whose weights reach target. A histogram finds the place
// and only its bucket is sorted: top_p = 0.95 of a flat row keeps thousands.
void Sampler::cut_to_top_p(double target, float peak, float scale) {
  constexpr size_t kBuckets = 1024;
  double sums[kBuckets] = {};
  const auto bucket_of = [&](float value) {
    const float depth = (peak - value) * scale * 8;  // Monotonic in value, rounding included.
    return depth < kBuckets - 1 ? static_cast<size_t>(std::fmax(depth, 0.0f)) : kBuckets - 1;
  };
  for (size_t i = 0; i < kept_.size(); ++i) sums[bucket_of(kept_[i].value)] += weights_[i];
  double before = 0;
  size_t bucket = 0;
  while (bucket < kBuckets && before + sums[bucket] < target) before += sums[bucket++];
  if (bucket == kBuckets) return;  // All of them are wanted.

  std::vector<std::pair<RowItem, float>> edge;  // Of that bucket, with its weights.
  for (size_t i = 0; i < kept_.size(); ++i)
    if (bucket_of(kept_[i].value) == bucket) edge.push_back({kept_[i], weights_[i]});
  std::sort(edge.begin(), edge.end(), [](const auto& a, const auto& b) { return comes_before(a.first, b.first); });
  size_t last = 0;  // The last one kept: the first at which the target is reached.
  for (double sum = before; last + 1 < edge.size(); ++last) {
    sum += edge[last].second;
    if (sum >= target) break;
  }
  const RowItem cut = edge[last].first;
  size_t count = 0;
  for (size_t i = 0; i < kept_.size(); ++i) {
    if (comes_before(cut, kept_[i])) continue;
    kept_[count] = kept_[i];
    weights_[count++] = weights_[i];
  }
  kept_.resize(count);
}

void Sampler::logprobs(const float* logits, size_t vocab_size, int32_t token, size_t best_count, TokenLogprob* out) {
  REDRAFT_ASSERT(best_count <= REDRAFT_LOGPROBS_MAX && best_count <= vocab_size);
  REDRAFT_ASSERT(token >= 0 && static_cast<size_t>(token) < vocab_size);
  const float peak = std::fmin(row_peak(logits, vocab_size).value, FLT_MAX);
  const double log_total = std::log(row_exp_sum(logits, vocab_size, peak, 1));
  const auto logprob = [&](float logit) {
    return std::isnan(logit) ? -INFINITY : static_cast<float>(std::fmin(logit, FLT_MAX) - double{peak} - log_total);
  };
  RowItem best[REDRAFT_LOGPROBS_MAX];
  row_top(logits, vocab_size, best_count, best);
  out[0] = {token, logprob(logits[token])};
  for (size_t i = 0; i < best_count; ++i) out[1 + i] = {best[i].index, logprob(best[i].value)};
}

}  // namespace redraft
