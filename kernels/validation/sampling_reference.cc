#include "sampling_reference.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "../common/philox.h"

namespace redraft {

namespace {

// Bias and penalties, rounded to f32 at each operation as the engine's logits are.
std::vector<float> adjusted(std::vector<float> logits, const SamplingParams& params, const TokenCounts& counts) {
  for (float& logit : logits)
    if (std::isnan(logit)) logit = -INFINITY;
  for (const TokenLogprob& bias : params.bias) logits[bias.token] += bias.logprob;
  for (size_t token = 0; token < logits.size(); ++token) {
    const uint32_t generated = counts.generated_count(static_cast<int32_t>(token));
    const uint32_t prompt = counts.prompt_count(static_cast<int32_t>(token));
    float& logit = logits[token];
    const float repetition = generated + prompt > 0 ? params.repetition_penalty : 1;
    logit = logit > 0 ? logit / repetition : logit * repetition;
    logit -= params.frequency_penalty * static_cast<float>(generated);
    logit -= generated > 0 ? params.presence_penalty : 0;
  }
  return logits;
}

void normalise(std::vector<double>& probabilities) {
  const double sum = std::accumulate(probabilities.begin(), probabilities.end(), 0.0);
  for (double& probability : probabilities) probability /= sum;
}

}  // namespace

std::vector<double> sampling_reference(const std::vector<float>& logits, const SamplingParams& params,
                                       const TokenCounts& counts) {
  const std::vector<float> row = adjusted(logits, params, counts);
  std::vector<int32_t> order(row.size());  // Falling; among equals the lower token first.
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return row[a] > row[b]; });
  const double peak = row[order[0]];
  std::vector<double> probabilities(row.size());
  if (params.temperature < 1e-5f) {
    probabilities[order[0]] = 1;
    return probabilities;
  }
  for (size_t i = 0; i < row.size(); ++i) probabilities[i] = std::exp((row[i] - peak) / params.temperature);
  for (double& weight : probabilities)
    if (weight < params.min_p) weight = 0;
  if (params.top_k > 0)
    for (size_t i = params.top_k; i < order.size(); ++i) probabilities[order[i]] = 0;
  normalise(probabilities);
  double before = 0;
  for (const int32_t token : order) {
    const double probability = probabilities[token];
    if (params.top_p < 1 && before >= params.top_p) probabilities[token] = 0;
    before += probability;
  }
  normalise(probabilities);
  return probabilities;
}

ReferenceDraw reference_draw(const std::vector<float>& logits, const SamplingParams& params, const TokenCounts& counts,
                             uint64_t position) {
  const std::vector<double> probabilities = sampling_reference(logits, params, counts);
  const std::vector<float> row = adjusted(logits, params, counts);
  const bool truncates = (params.top_k > 0 && params.top_k < row.size()) || params.top_p < 1 || params.min_p > 0;
  const float floor =
      truncates ? -INFINITY : *std::max_element(row.begin(), row.end()) - kNoiseDepth * params.temperature;
  std::vector<double> rest(row.size());
  ReferenceDraw best = {-1, 0};
  double best_score = -INFINITY, rest_sum = 0;
  const auto offer = [&](int32_t token, double score) {
    if (score > best_score) best = {token, score - best_score}, best_score = score;
    else best.margin = std::fmin(best.margin, best_score - score);
  };
  const auto noise = [](uint32_t word) { return -std::log(-std::log((word + 0.5) * 0x1p-32)); };
  for (size_t token = 0; token < row.size(); ++token) {
    if (probabilities[token] == 0) continue;
    if (row[token] < floor) rest_sum += rest[token] = probabilities[token];
    else
      offer(static_cast<int32_t>(token),
            std::log(probabilities[token]) +
                noise(philox_words(params.seed, position, static_cast<uint32_t>(token), 0)[0]));
  }
  if (rest_sum == 0) return best;
  const auto words = philox_words(params.seed, position, 0, kRestStream);
  offer(-1, std::log(rest_sum) + noise(words[0]));
  if (best.token >= 0) return best;
  for (double& probability : rest) probability /= rest_sum;
  return {inverse_cdf(rest, words[2] * 0x1p-32 + words[3] * 0x1p-64), best.margin};
}

int32_t inverse_cdf(const std::vector<double>& probabilities, double uniform) {
  double left = uniform;
  size_t heaviest = 0;
  for (size_t token = 0; token < probabilities.size(); ++token) {
    left -= probabilities[token];
    if (left < 0) return static_cast<int32_t>(token);
    if (probabilities[token] > probabilities[heaviest]) heaviest = token;
  }
  return static_cast<int32_t>(heaviest);
}

}  // namespace redraft
